"""``python -m pdenet_repro.status FOLDER`` and ``python -m pdenet_repro.clean FOLDER``: show and clean up the runs of a study."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pdenet_repro.sweeps.state import counted
from pdenet_repro.sweeps.status import RunStatus, left_over, remove_run, status
from pdenet_repro.system.arguments import Parser, whole_number
from pdenet_repro.system.formatting import aligned


def show_status(arguments: Sequence[str]) -> int:
    """Show the state of each run of a study (done, running, queued, interrupted, failed or to do) and its size on disk."""
    parser = _parser("status", show_status.__doc__)
    parser.add_argument(
        "--watch", type=whole_number(1), nargs="?", const=5, metavar="SECONDS",
        help="show the state again every SECONDS seconds (default 5), until Ctrl-C",
    )  # fmt: skip

    def show(given: argparse.Namespace) -> None:
        while True:
            table = _table(given.folder, status(given.folder))
            print("\033[2J\033[H" * (given.watch is not None and sys.stdout.isatty()) + table, flush=True)
            if given.watch is None:
                return
            time.sleep(given.watch)

    return parser.execute(arguments, show)


def clean(arguments: Sequence[str]) -> int:
    """Show the unfinished and failed runs of a study; with --yes, remove their files and checkpoints. Finished runs stay."""
    parser = _parser("clean", clean.__doc__)
    parser.add_argument("--yes", action="store_true", help="remove these files")

    def show_or_remove(given: argparse.Namespace) -> None:
        found = left_over(given.folder)
        if not found:
            print(f"{given.folder}: there is nothing to remove; all runs are finished, running, queued or not begun")
        elif not given.yes:
            print(
                f"{_table(given.folder, found)}\nnothing is removed; --yes removes these runs with all that they have trained"
            )
        else:
            for run in found:
                print(f"{_name(given.folder, run)}: {remove_run(run)}", flush=True)

    return parser.execute(arguments, show_or_remove)


def _parser(command: str, description: str | None) -> Parser:
    parser = Parser(prog=f"python -m pdenet_repro.{command}", description=description)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a study, for example outputs/demo, or one run")
    return parser


def _table(folder: Path, runs: Sequence[RunStatus]) -> str:
    rows = [("run", "state", "", "MB")]
    rows += [(_name(folder, run), str(run.state), run.note, f"{run.bytes / 1e6:,.1f}") for run in runs]
    states, size = counted(run.state for run in runs), sum(run.bytes for run in runs) / 1e6
    return "\n".join([*aligned(rows, left=(0, 1, 2)), "", f"{len(runs)} runs: {states}; {size:,.1f} MB on disk"])


def _name(folder: Path, run: RunStatus) -> str:
    return run.folder.relative_to(folder).as_posix() if run.folder != folder else str(folder)
