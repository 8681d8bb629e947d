"""``python -m pdenet_repro.clean``: the command is in ``cli/status.py``."""

import sys

from pdenet_repro.cli.status import clean
from pdenet_repro.system.console import surviving_output

if __name__ == "__main__":
    with surviving_output():
        sys.exit(clean(sys.argv[1:]))
