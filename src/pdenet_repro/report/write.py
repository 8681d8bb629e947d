"""From run folders to the files of a report: figures, their numbers, tables, the page."""

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pdenet_repro.report import analyses, examples, figures, page, tables
from pdenet_repro.report.files import save
from pdenet_repro.report.runs import Collection, Missing, collect, label
from pdenet_repro.system.errors import InvalidConfig, RunFolderError
from pdenet_repro.system.files import make_folder, write_atomically
from pdenet_repro.system.pictures import own_settings

TERMINAL = (
    "dynamic",
    "images",
    "published %",
    "test %",
    "sd",
    "n",
    "training %",
    "weights",
    "time",
    "images/s",
    "peak MiB",
)


CAPTIONS = {
    "figure1": (
        "Figure 1: test images and class probabilities",
        "Random test images, their true class, and the probability that each network, trained on the most images, gives each "
        "class (full colour: the true one).",
    ),
    "figure2": (
        "Figure 2: accuracy by training images and by epoch",
        "Test accuracy after training against the number of training images, and during training on the most images. Lines: "
        "mean over seeds; bands: one standard deviation; dots: single runs; stars: published.",
    ),
    "figure3": (
        "Figure 3: confusion matrices",
        "Test images of each true class (row) by predicted class (column); rows of matrices are the networks, columns "
        "growing training data. First seed of each.",
    ),
}


@own_settings()
def write_report(
    folder: Path,
    *,
    gaps: Sequence[Missing] = (),
    output: Path | None = None,
    indices: Sequence[int] | None = None,
    seed: int = 0,
) -> bool:
    """Write the report of every study at or below ``folder``; print tables and where to look. False if a run is damaged.

    A study whose runs are on different images is refused when the others are written.

    ``gaps``: runs that were planned and gave no result, beside the unfinished and damaged ones that are found.

    Raises
    ------
    RunFolderError
        No run below ``folder``, or none finished; or runs that no figure can show together.
    """
    studies = collect(folder)
    if output is not None and len(studies) > 1:
        raise InvalidConfig(f"--output {output}: {folder} holds {len(studies)} studies; must be given for one of them")
    finished = {path: found for path, found in studies.items() if found.runs}
    mixtures = {path: mixture for path, found in finished.items() if (mixture := found.mixture(path))}
    whole = True
    for path, found in studies.items():
        named = {gap.folder for gap in gaps}
        found.missing = [*gaps, *(each for each in found.missing if each.folder not in named)]
        if path in finished and path not in mixtures:
            whole &= _write_study(path, found, output or path, indices, seed)
        for copy in found.copies:
            print(f"left out: {copy}", file=sys.stderr)
        for each in found.missing:
            whole &= not each.damaged
            if each not in gaps:
                print(
                    f"missing: {each.name}: {each.reason}" if not each.damaged else f"damaged: {each.reason}",
                    file=sys.stderr,
                )
    if not finished:
        raise RunFolderError(f"{folder}: none of its {sum(len(s.missing) for s in studies.values())} runs is finished")
    if mixtures:
        raise RunFolderError("; ".join(mixtures.values()))
    return whole


def refresh_page(study: Path) -> bool:
    """Write the study's page again with the figures that lie there, as they are, for a new analysis; False without one.

    RunFolderError where runs on other images have come to the study since.
    """
    if not (study / "report.html").is_file():
        return False
    found = collect(study)[study]
    if not found.runs:
        return False
    if mixture := found.mixture(study):
        raise RunFolderError(f"{study / 'report.html'} is as it was: {mixture}")
    pictures = {name: path.read_bytes() for name in CAPTIONS if (path := study / f"{name}.png").is_file()}
    html, _ = _page(study, found, pictures, _rows(found))
    write_atomically(study / "report.html", html)
    return True


def _write_study(study: Path, found: Collection, output: Path, indices: Sequence[int] | None, seed: int) -> bool:
    drawn: dict[str, tuple[Figure, dict[str, figures.Numbers]]] = {}
    try:
        first, first_numbers = figures.figure1(found, examples.choose(found, indices, seed))
        drawn["figure1"] = first, {"figure1": first_numbers}
    except examples.NoImages as error:
        if indices is not None:
            raise
        print(f"Figure 1 is left out: {error}", file=sys.stderr)
    second, by_size, by_epoch = figures.figure2(found)
    drawn["figure2"] = second, {"figure2_left": by_size, "figure2_right": by_epoch}
    third, third_numbers = figures.figure3(found)
    drawn["figure3"] = third, {"figure3": third_numbers}
    make_folder(output)
    pictures = {name: save(figure, output / name) for name, (figure, _) in drawn.items()}
    rows = _rows(found)
    for name, table in rows.items():
        write_atomically(output / f"{name}.csv", tables.to_csv(table))
    for _, parts in drawn.values():
        for name, numbers in parts.items():
            write_atomically(output / f"{name}.csv", tables.to_csv(numbers))
    write_atomically(output / "results.md", tables.to_markdown(page.without(rows["results"])))
    html, complaints = _page(study, found, pictures, rows)
    write_atomically(output / "report.html", html)
    print(tables.to_text(rows["results"], [name for name in TERMINAL if any(row[name] for row in rows["results"])]))
    print(f"\nlook at   {output / 'report.html'}")
    print(f"figures   {output}: {', '.join(f'{name}.png' for name in pictures)} (and .pdf, .csv)")
    print(f"curves    tensorboard --logdir {study}", flush=True)
    for complaint in complaints:
        print(f"damaged: {complaint}", file=sys.stderr)
    return not complaints


def _rows(found: Collection) -> dict[str, list[tables.Row]]:
    return {
        "results": tables.results(found),
        "agreement": tables.agreement(found),
        "per_class": tables.per_class(found),
        "runs": tables.run_list(found),
    }


def _page(
    study: Path, found: Collection, pictures: dict[str, bytes], rows: dict[str, list[tables.Row]]
) -> tuple[str, list[str]]:
    """The page, and what of the study's analyses cannot be shown in it."""
    config = found.runs[0].config
    data = {"stl10": "STL-10", "shapes": "the built-in shapes, not STL-10"}.get(config.data.name, config.data.name)
    seeds = sorted({run.config.seed for run in found.runs})
    lead = (
        f"{len(found.runs)} trained networks ({', '.join(label(name) for name in found.dynamics)}) on {data}: "
        f"{_range(found.sizes)} training images, {'seeds' if len(seeds) > 1 else 'seed'} {_range(seeds)}, recipe "
        f"{config.recipe}, {config.schedule.epochs} epochs, {found.runs[0].summary['test_images']:,} test images."
    )
    shown = {CAPTIONS[name][0]: (CAPTIONS[name][1], png) for name, png in pictures.items()}
    measured, complaints = analyses.read(study)
    html = page.render(
        f"{study.resolve().name}: networks motivated by partial differential equations",
        shown,
        lead=lead,
        gaps=found.missing,
        copies=found.copies,
        notes=found.other_differences(),
        results=page.without(rows["results"]),
        test_images=f"{found.runs[0].summary['test_images']:,}",
        agreement=page.without(rows["agreement"]),
        per_class=page.without(rows["per_class"]),
        runs=rows["runs"],
        analyses=[page.shown(each) for each in measured],
        unreadable=complaints,
    )
    return html, complaints


def _range(values: Sequence[int]) -> str:
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"
