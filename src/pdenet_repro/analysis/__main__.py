"""``python -m pdenet_repro.analysis``: the command is in ``cli/analysis.py``."""

import sys

from pdenet_repro.cli.analysis import main
from pdenet_repro.system.console import outlive_readers

if __name__ == "__main__":
    outlive_readers()
    sys.exit(main(sys.argv[1:]))
