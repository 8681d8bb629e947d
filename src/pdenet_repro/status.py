"""``python -m pdenet_repro.status``: the command is in ``cli/status.py``."""

import sys

from pdenet_repro.cli.status import show_status
from pdenet_repro.system.console import surviving_output

if __name__ == "__main__":
    with surviving_output():
        sys.exit(show_status(sys.argv[1:]))
