"""Entry point of ``python -m pdenet_repro.report``, which ``cli/report.py`` implements."""

import sys

from pdenet_repro.cli.report import main
from pdenet_repro.system.console import surviving_output

if __name__ == "__main__":
    with surviving_output():
        sys.exit(main(sys.argv[1:]))
