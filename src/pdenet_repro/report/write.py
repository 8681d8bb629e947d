"""From run folders to the files of a report: figures, their numbers, tables, the page."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pdenet_repro.report import analyses, captions, examples, page
from pdenet_repro.report.content import Content, as_markdown, as_text, content_of
from pdenet_repro.report.datapackage import FILE as DATA_PACKAGE
from pdenet_repro.report.datapackage import Table, data_package
from pdenet_repro.report.effects import effects, effects_figure
from pdenet_repro.report.figure1 import figure1
from pdenet_repro.report.figure2 import figure2
from pdenet_repro.report.figure3 import columns, figure3
from pdenet_repro.report.files import save
from pdenet_repro.report.groups import Grouping, check_keys
from pdenet_repro.report.loss_curves import loss_curves
from pdenet_repro.report.plan import Missing
from pdenet_repro.report.run import Run
from pdenet_repro.report.runs import Collection, collect, combine
from pdenet_repro.report.tables import Row, to_csv
from pdenet_repro.system.errors import InvalidConfig, RunFolderError
from pdenet_repro.system.files import make_folder, remove, write_atomically
from pdenet_repro.system.pictures import matplotlib_defaults

RECORD = "report.json"  # what a report was made of, so that its page can be made again


@dataclass(frozen=True)
class Options:
    """What a command may choose about a report."""

    indices: Sequence[int] | None = None  # test images of Figure 1
    seed: int = 0  # of those drawn at random, where none are chosen
    by: Sequence[str] = ()  # settings to name groups by
    data_root: str | None = None
    page: bool = True  # not in a published study, where pictures and tables are files of their own


@dataclass(frozen=True)
class Drawn:
    """A figure, the rows of its CSV files by name, the runs it shows, and what it does not show."""

    figure: Figure
    numbers: dict[str, Sequence[Row]]
    runs: Sequence[Run]
    absent: str = ""


@matplotlib_defaults()
def write_report(
    folders: Path | Sequence[Path],
    *,
    gaps: Sequence[Missing] = (),
    output: Path | None = None,
    options: Options | None = None,
) -> bool:
    """Write the report of every study at or below ``folders`` into its folder; print tables and where to look.

    With ``output`` one report of all runs is written there instead; several folders need it. ``gaps``: runs that were
    planned and gave no result, beside those that are found. Returns False if a run is damaged.

    Raises
    ------
    RunFolderError
        No run there, or none finished; or runs on different images, after the other studies are written.
    InvalidConfig
        Several folders without ``output``, or a setting to name groups by that is none.
    """
    folders = [folders] if isinstance(folders, Path) else list(folders)
    options = options or Options()
    check_keys(options.by)
    if len(folders) > 1 and output is None:
        raise InvalidConfig(
            f"{' '.join(map(str, folders))}: several folders make one report; --output FOLDER must be given"
        )
    studies = {path: found for folder in folders for path, found in collect(folder, options.by, weights=False).items()}
    if output is not None:
        studies = {output: combine(studies.values(), options.by)}
    finished = {path: found for path, found in studies.items() if found.runs}
    where = {path: " and ".join(map(str, folders)) if output else str(path) for path in studies}
    mixtures = {path: mixture for path, found in finished.items() if (mixture := found.mixture(where[path]))}
    whole = True
    for path, found in studies.items():
        named = {gap.folder for gap in gaps}
        found.missing = [*gaps, *(each for each in found.missing if each.folder not in named)]
        if path in finished and path not in mixtures:
            whole &= _write(path, found, options, folders if output else [path])
        for copy in found.copies:
            print(f"left out: {copy}", file=sys.stderr)
        for each in found.missing:
            whole &= not each.damaged
            if each not in gaps:
                kind = f"damaged: {each.reason}" if each.damaged else f"missing: {each.name}: {each.reason}"
                print(kind, file=sys.stderr)
    if not finished:
        missing = sum(len(found.missing) for found in studies.values())
        raise RunFolderError(f"{where[next(iter(where))]}: not one run of {missing} is finished")
    if mixtures:
        raise RunFolderError("; ".join(mixtures.values()))
    return whole


def refresh_page(study: Path) -> bool:
    """Write the study's page again, for a new analysis; False without a page.

    Everything on the page is of the same runs: where these have changed since the figures were drawn, or a figure is not
    the one that was drawn, the whole report is made again with the choices it was made with.

    Raises
    ------
    RunFolderError
        Runs on other images have come to the study since.
    """
    if not (study / "report.html").is_file():
        return False
    found = collect(study, weights=False)[study]
    if not found.runs:
        return False
    if mixture := found.mixture(str(study)):
        raise RunFolderError(f"{study / 'report.html'} is as it was: {mixture}")
    try:
        record = json.loads((study / RECORD).read_bytes())
        options = Options(record["images"], record["image_seed"], record["by"])
        figures = [_as_drawn(study, name, entry) for name, entry in record["figures"].items()]
        unchanged = record["runs"] == sorted(run.key for run in found.runs) and record["folders"] == ["."]
    except (OSError, ValueError, LookupError, TypeError):
        options, unchanged, figures = Options(), False, []
    if not unchanged:
        _write(study, found, options, [study])
        return True
    _write_page(study, content_of(study, found, Grouping(found.runs, options.by, found.missing)), figures)
    return True


def _as_drawn(study: Path, name: str, entry: dict[str, Any]) -> analyses.Shown:
    png = (study / f"{name}.png").read_bytes()
    if hashlib.sha256(png).hexdigest() != entry["sha256"]:
        raise ValueError(f"{name}.png is another picture")
    origin = [(term, words) for term, words in entry["origin"]]
    return analyses.Shown(*captions.FIGURES[name], png, entry["line"], origin)


def _write(where: Path, found: Collection, options: Options, folders: Sequence[Path]) -> bool:
    grouping = Grouping(found.runs, options.by, found.missing)
    drawn = _draw(grouping, options)
    content = content_of(where, found, grouping)
    make_folder(where)
    tables = {
        name: Table(rows, captions.TABLES[name], content.caption, content.origin) for name, rows in content.rows.items()
    }
    figures = []
    for name, each in drawn.items():
        line = captions.line(each.runs or found.runs, len(found.missing), grouping.naming, each.absent)
        origin = captions.origin(each.runs or found.runs, found.commands)
        heading, explanation = captions.FIGURES[name]
        png = save(each.figure, where / name, f"{heading}. {line}.")
        figures.append(analyses.Shown(heading, explanation, png, line, origin))
        for table, numbers in each.numbers.items():
            tables[table] = Table(numbers, captions.TABLES[table], line, origin)
    for name, entry in tables.items():
        write_atomically(where / f"{name}.csv", to_csv(entry.rows))
    write_atomically(where / DATA_PACKAGE, data_package(content.title, tables))
    write_atomically(where / "results.md", as_markdown(content) + _list_of_files(tables, drawn, figures))
    _remove_old(where, drawn)
    record = {
        "folders": ["." if folder == where else str(folder) for folder in folders],
        "by": list(options.by),
        "images": options.indices,
        "image_seed": options.seed,
        "runs": sorted(run.key for run in found.runs),
        "figures": {
            name: {"sha256": hashlib.sha256(each.png).hexdigest(), "line": each.line, "origin": list(each.origin)}
            for name, each in zip(drawn, figures, strict=True)
        },
    }
    write_atomically(where / RECORD, json.dumps(record, indent=1) + "\n")
    complaints = _write_page(where, content, figures) if options.page else []
    print(as_text(content, grouping.naming))
    print(f"\nlook at   {where / ('report.html' if options.page else 'results.md')}")
    print(f"figures   {where}: {', '.join(f'{name}.png' for name in drawn)} (and .pdf, .csv)")
    if folders == [where] and options.page:
        print(f"curves    tensorboard --logdir {where}", flush=True)
    for complaint in complaints:
        print(f"damaged: {complaint}", file=sys.stderr)
    return not complaints


def _draw(grouping: Grouping, options: Options) -> dict[str, Drawn]:
    runs = [run for cell in grouping.cells for run in cell.runs]
    if changed := effects(
        runs, grouping.missing
    ):  # the paper's figures would compare dynamics and sizes, not these runs
        return {"effects": Drawn(effects_figure(changed), {"effects": changed}, runs)}

    def absent(shown: Sequence[Run], where: str = "not shown") -> str:
        names = grouping.without(shown)
        return f"{where}: {names}" if names else ""

    drawn: dict[str, Drawn] = {}
    try:
        shown = examples.load_examples(runs, options.indices, options.seed, options.data_root)
    except examples.NoImages as error:
        if options.indices is not None:
            raise
        print(f"Figure 1 is left out: {error}", file=sys.stderr)
    else:
        figure, numbers, of = figure1(grouping, shown)
        drawn["figure1"] = Drawn(figure, {"figure1": numbers}, of, absent(of))
    figure, by_size, by_epoch, of = figure2(grouping)
    not_right = absent(of, "not on the right") if of else ""
    drawn["figure2"] = Drawn(figure, {"figure2_left": by_size, "figure2_right": by_epoch}, runs, not_right)
    figure, numbers, of = figure3(grouping)
    sizes = columns(grouping)
    drawn["figure3"] = Drawn(figure, {"figure3": numbers}, of, absent([run for run in runs if run.images in sizes]))
    if curves := loss_curves(grouping):
        figure, numbers, of = curves
        drawn["loss_curves"] = Drawn(figure, {"loss_curves": numbers}, of, absent(of))
    return drawn


def _list_of_files(tables: dict[str, Table], drawn: dict[str, Drawn], figures: Sequence[analyses.Shown]) -> str:
    pictures = [(f"{name}.png, {name}.pdf", each.heading, each.line) for name, each in zip(drawn, figures, strict=True)]
    numbers = [(f"{name}.csv", each.meaning.rstrip("."), each.line) for name, each in tables.items()]
    lines = [f"- {names}: {meaning}. {line}.\n" for names, meaning, line in [*pictures, *numbers]]
    return "\n## Files\n\n" + "".join(lines) + f"- {DATA_PACKAGE}: captions, columns and origin of the CSV files.\n"


def _remove_old(where: Path, drawn: dict[str, Drawn]) -> None:
    """A figure that could not be drawn this time does not return from an earlier report."""
    for name in captions.FIGURES:
        if name not in drawn:
            for ending in ("png", "pdf", "csv"):
                remove(where / f"{name}.{ending}")


def _write_page(where: Path, content: Content, figures: Sequence[analyses.Shown]) -> list[str]:
    """Write the page with the analyses of the study; returns what of those cannot be shown."""
    measured, complaints = analyses.read(where, content.folders)
    write_atomically(where / "report.html", page.render(content, figures, measured, complaints))
    return complaints
