"""Write a report of run folders: figures, CSV files, ``results.md`` and the web page ``report.html``."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pdenet_repro.report import analyses, captions, examples, page
from pdenet_repro.report.absolute_paths import without_folders
from pdenet_repro.report.accuracies import accuracies
from pdenet_repro.report.content import Content, as_markdown, as_text, content_of
from pdenet_repro.report.datapackage import FILE as DATA_PACKAGE
from pdenet_repro.report.datapackage import Table, data_package
from pdenet_repro.report.effects import effects, effects_figure
from pdenet_repro.report.figure1 import figure1
from pdenet_repro.report.figure2 import figure2
from pdenet_repro.report.figure3 import columns, figure3
from pdenet_repro.report.files import save_figure
from pdenet_repro.report.groups import Grouping, check_keys, counted
from pdenet_repro.report.loss_curves import loss_curves
from pdenet_repro.report.plan import Missing
from pdenet_repro.report.run import Run
from pdenet_repro.report.runs import Collection, collect, combine
from pdenet_repro.report.tables import Row, to_csv
from pdenet_repro.system.errors import InvalidConfig, RunFolderError
from pdenet_repro.system.files import make_folder, remove, write_atomically
from pdenet_repro.system.pictures import matplotlib_defaults

RECORD = "report.json"  # records the options, runs and figures of a report, which `refresh_page` reuses


@dataclass(frozen=True)
class Options:
    """The options of a report that a user can choose."""

    indices: Sequence[int] | None = None  # test images of Figure 1; None: four random ones
    seed: int = 0  # seed of the random test images
    by: Sequence[str] = ()  # settings to name groups by
    data_root: str | None = None  # folder of the data set, if it is not where the runs found it
    page: bool = True  # False in a published study: its readers have figures and tables as files


@dataclass(frozen=True)
class Drawn:
    """A figure, the rows of its CSV files by file name, its runs, and two phrases for its caption.

    ``absent`` names the lines that it leaves out; ``note`` is about the picture and no part of the CSV files' captions.
    """

    figure: Figure
    numbers: dict[str, Sequence[Row]]
    runs: Sequence[Run]
    absent: str = ""
    note: str = ""


@matplotlib_defaults()
def write_report(
    folders: Path | Sequence[Path],
    *,
    gaps: Sequence[Missing] = (),
    output: Path | None = None,
    options: Options | None = None,
) -> bool:
    """Write the report of every study at or below ``folders`` into the study's folder; print its table and its files.

    With ``output``, one report of all runs is written there instead; several ``folders`` need it. ``gaps`` are planned
    runs without a result, in addition to those that the folders show. Returns False if a run or an analysis is damaged.

    Raises
    ------
    RunFolderError
        There is no run, or no finished one; or the runs of a study used different images (other studies are written).
    InvalidConfig
        There are several folders and no ``output``; groups cannot be named by a setting of ``options.by`` (`check_keys`); or
        there are no test images ``options.indices``, or they cannot be read.
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
    conflicts = {path: conflict for path, found in finished.items() if (conflict := found.data_conflict(where[path]))}
    undamaged = True
    for path, found in studies.items():
        named = {gap.folder for gap in gaps}
        found.missing = [*gaps, *(each for each in found.missing if each.folder not in named)]
        if path in finished and path not in conflicts:
            undamaged &= _write(path, found, options, folders if output else [path])
        for copy in found.copies:
            print(f"left out: {copy}", file=sys.stderr)
        for each in found.missing:
            undamaged &= not each.damaged
            if each not in gaps:
                kind = f"damaged: {each.reason}" if each.damaged else f"missing: {each.name}: {each.reason}"
                print(kind, file=sys.stderr)
    if not finished:
        missing = sum(len(found.missing) for found in studies.values())
        raise RunFolderError(
            f"{where[next(iter(where))]}: must hold a finished run; {counted(missing, 'run')} there gave no result"
        )
    if conflicts:
        raise RunFolderError("; ".join(conflicts.values()))
    return undamaged


def refresh_page(study: Path) -> bool:
    """Add a new analysis to the page of ``study``; return False if the study has no page or no finished run.

    If the runs or a figure have changed since the report was made, the whole report is made again, with the same options,
    so that everything on the page is about the same runs.

    Raises
    ------
    RunFolderError
        The study now holds runs on different images.
    """
    if not (study / "report.html").is_file():
        return False
    found = collect(study, weights=False)[study]
    if not found.runs:
        return False
    if conflict := found.data_conflict(str(study)):
        raise RunFolderError(f"{study / 'report.html'} is not updated: {conflict}")
    try:
        record = json.loads((study / RECORD).read_bytes())
        options = Options(record["images"], record["image_seed"], record["by"])
        figures = [_as_drawn(study, name, entry) for name, entry in record["figures"].items()]
        unchanged = record["runs"] == sorted(run.result_id for run in found.runs) and record["folders"] == ["."]
    except (OSError, ValueError, LookupError, TypeError):
        options, unchanged, figures = Options(), False, []
    if not unchanged:
        _write(study, found, options, [study])
        return True
    _write_page(study, content_of(study, found, Grouping(found.runs, options.by, found.missing)), figures)
    return True


def _as_drawn(study: Path, name: str, entry: dict[str, Any]) -> analyses.PageFigure:
    png = (study / f"{name}.png").read_bytes()
    if hashlib.sha256(png).hexdigest() != entry["sha256"]:
        raise ValueError(f"{name}.png is another picture")
    origin = [(term, words) for term, words in entry["origin"]]
    return analyses.PageFigure(*captions.FIGURES[name], png, entry["line"], origin)


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
        words = f"{line}; {each.note}" if each.note else line
        origin = captions.origin(each.runs or found.runs, found.commands)
        heading, explanation = captions.FIGURES[name]
        png = save_figure(each.figure, where / name, f"{heading}. {words}.")
        figures.append(analyses.PageFigure(heading, explanation, png, words, origin))
        for table, numbers in each.numbers.items():
            tables[table] = Table(numbers, captions.TABLES[table], line, origin)
    if folders == [where] and all("published" in run.summary for run in found.runs):
        content, tables, figures = without_folders((content, tables, figures), where.absolute())
    for name, entry in tables.items():
        write_atomically(where / f"{name}.csv", to_csv(entry.rows))
    write_atomically(where / DATA_PACKAGE, data_package(content.title, tables))
    write_atomically(where / "results.md", as_markdown(content) + _list_of_files(tables, drawn, figures))
    _remove_old(where, drawn, tables)
    record = {
        "folders": ["." if folder == where else str(folder) for folder in folders],
        "by": list(options.by),
        "images": options.indices,
        "image_seed": options.seed,
        "runs": sorted(run.result_id for run in found.runs),
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

    def absent(shown: Sequence[Run], where: str = "not shown") -> str:
        names = grouping.without(shown)
        return f"{where}: {names}" if names else ""

    drawn: dict[str, Drawn] = {}
    if strips := accuracies(grouping):
        figure, numbers, of, note = strips
        drawn["accuracies"] = Drawn(figure, {"accuracies": numbers}, of, absent(of), note)
    if changed := effects(runs, grouping.missing):
        drawn["effects"] = Drawn(effects_figure(changed), {"effects": changed}, runs)
    if changed or (drawn and all(run.config.variation for run in runs)):
        return drawn  # the paper's figures compare dynamics and numbers of images, not variations
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


def _list_of_files(tables: dict[str, Table], drawn: dict[str, Drawn], figures: Sequence[analyses.PageFigure]) -> str:
    pictures = [(f"{name}.png, {name}.pdf", each.heading, each.line) for name, each in zip(drawn, figures, strict=True)]
    numbers = [(f"{name}.csv", each.meaning.rstrip("."), each.line) for name, each in tables.items()]
    lines = [f"- {names}: {meaning}. {line}.\n" for names, meaning, line in [*pictures, *numbers]]
    return "\n## Files\n\n" + "".join(lines) + f"- {DATA_PACKAGE}: captions, columns and origin of the CSV files.\n"


def _remove_old(where: Path, drawn: dict[str, Drawn], tables: dict[str, Table]) -> None:
    """Remove the files of figures and tables that an earlier report has and this one has not."""
    for name in captions.FIGURES.keys() - drawn.keys():
        remove(where / f"{name}.png")
        remove(where / f"{name}.pdf")
    for name in captions.TABLES.keys() - tables.keys():
        remove(where / f"{name}.csv")


def _write_page(where: Path, content: Content, figures: Sequence[analyses.PageFigure]) -> list[str]:
    """Write the page with the analyses of the study; return a sentence for each analysis that cannot be shown."""
    measured, complaints = analyses.read(where, content.folders)
    write_atomically(where / "report.html", page.render(content, figures, measured, complaints))
    return complaints
