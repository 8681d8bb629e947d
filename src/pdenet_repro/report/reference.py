"""Compare runs with reference results, perhaps of another machine: with equal settings, seed and images only rounding differs."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pdenet_repro.report.run import Run
from pdenet_repro.report.runs import Collection, collect, combine
from pdenet_repro.report.tables import Column, Row, format_rows, number, percent, points, to_text
from pdenet_repro.runs.folder import config_digest
from pdenet_repro.system.errors import RunFolderError

# Largest difference of a reproduced test accuracy from the reference, as a fraction; docs/artifact.md gives the reason.
TOLERANCE = 0.04
REPRODUCED, NOT_REPRODUCED, NO_REFERENCE = "reproduced", "not reproduced", "no reference"
COLUMNS = [
    Column("dynamic", ("dynamic",), str),
    Column("images", ("images",), number(0)),
    Column("seed", ("seed",), str),
    Column("reference %", ("reference",), percent(2)),
    Column("here %", ("here",), percent(2)),
    Column("difference", ("difference",), points(2)),
    Column("loss of epoch 1, reference", ("reference_loss",), number(4)),
    Column("here", ("loss",), number(4)),
    Column("verdict", ("verdict",), str),
    Column("folder of the reference", ("reference_folder",), str),
]


def compare(folders: Sequence[Path], reference: Path) -> bool:
    """Print each run of ``folders`` beside the reference run of the same settings; return whether all are reproduced.

    A run that is missing, damaged or without a reference counts as not reproduced. If several reference runs have the same
    settings, one of them is taken; each row names the folder of its reference run.

    Raises
    ------
    RunFolderError
        No run is finished, or none has a reference.
    """
    found, known = _all(folders), _all([reference])
    if not found.runs:
        raise RunFolderError(f"{' '.join(map(str, folders))}: no run is finished, so nothing can be compared")
    by_settings = {_settings(run): run for run in known.runs}
    rows = [_row(run, by_settings.get(_settings(run))) for run in found.runs]
    if all(row["verdict"] == NO_REFERENCE for row in rows):
        raise RunFolderError(
            f"{reference} holds no finished run with the settings, seed and images of a run in "
            f"{' '.join(map(str, folders))}; name the folder of reference results that were made with the same command"
        )
    print(to_text(format_rows(rows, COLUMNS)))
    print(
        f"\nreproduced: the test accuracy is within {100 * TOLERANCE:g} percentage points of the reference in {reference}"
    )
    for missing in found.missing:
        print(f"{'damaged' if missing.damaged else 'missing'}: {missing.name}: {missing.reason}")
    return not found.missing and all(row["verdict"] == REPRODUCED for row in rows)


def _all(folders: Iterable[Path]) -> Collection:
    return combine(part for folder in folders for part in collect(folder, weights=False).values())


def _settings(run: Run) -> tuple[object, ...]:
    return config_digest(run.config), *run.data_identity


def _row(run: Run, reference: Run | None) -> Row:
    row = {"dynamic": run.dynamic, "images": run.images, "seed": str(run.config.seed), "here": run.accuracy}
    if reference is None:
        return {**row, "verdict": NO_REFERENCE}
    difference = run.accuracy - reference.accuracy
    same_images = run.summary.get("subset_sha256") == reference.summary.get("subset_sha256")
    verdict = REPRODUCED if same_images and abs(difference) <= TOLERANCE + 1e-9 else NOT_REPRODUCED
    return {
        **row,
        "reference": reference.accuracy,
        "difference": difference,
        "reference_loss": reference.by_epoch("data_loss").get(1),
        "loss": run.by_epoch("data_loss").get(1),
        "reference_folder": str(reference.folder),
        "verdict": verdict if same_images else f"{verdict}: it was trained on other images",
    }
