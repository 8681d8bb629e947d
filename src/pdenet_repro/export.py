"""``python -m pdenet_repro.export``: the command is in ``cli/export.py``."""

import sys

from pdenet_repro.cli.export import main
from pdenet_repro.system.console import surviving_output

if __name__ == "__main__":
    with surviving_output():
        sys.exit(main(sys.argv[1:]))
