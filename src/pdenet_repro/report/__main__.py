"""``python -m pdenet_repro.report FOLDER``: what the runs below a folder came to."""

import argparse
import sys
from pathlib import Path

from pdenet_repro.errors import UserError


def main(arguments: list[str]) -> int:
    """Print the table, draw the curves; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pdenet_repro.report", description=__doc__)
    parser.add_argument("folder", type=Path, help="a study or a run, for example outputs/demo")
    folder = parser.parse_args(arguments).folder
    try:
        from pdenet_repro.report.figures import draw_curves
        from pdenet_repro.report.runs import collect
        from pdenet_repro.report.tables import result_table

        runs = collect(folder)
        print(result_table(runs))
        picture = folder / "accuracy.png"
        if draw_curves(runs, picture):
            print(f"\naccuracy by epoch: {picture}")
        print(f"losses, pictures:  tensorboard --logdir {folder}")
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
