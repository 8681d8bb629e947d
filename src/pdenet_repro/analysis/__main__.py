"""Start the command ``python -m pdenet_repro.analysis``, which is defined in ``cli/analysis.py``."""

import sys

from pdenet_repro.cli.analysis import main
from pdenet_repro.system.console import surviving_output

if __name__ == "__main__":
    with surviving_output():
        sys.exit(main(sys.argv[1:]))
