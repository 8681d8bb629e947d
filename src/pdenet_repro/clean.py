"""``python -m pdenet_repro.clean``: the command is in ``cli/status.py``."""

import sys

from pdenet_repro.cli.status import clean
from pdenet_repro.system.console import outlive_readers

if __name__ == "__main__":
    outlive_readers()
    sys.exit(clean(sys.argv[1:]))
