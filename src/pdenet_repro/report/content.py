"""The tables and sentences of a report, from which the page, ``results.md`` and the terminal output are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pdenet_repro.report import captions, comparisons, effects, results
from pdenet_repro.report.groups import Grouping, counted
from pdenet_repro.report.plan import Missing
from pdenet_repro.report.runs import Collection
from pdenet_repro.report.statistics import MARGIN
from pdenet_repro.report.tables import FormattedRow, Row, format_rows, to_markdown, to_text
from pdenet_repro.runs.confusion import MANY_CLASSES

TERMINAL = (
    "dynamic", "images", "published %", "test %", "n", "sd", "verdict", "training %", "weights", "training time",
    "images/s, median", "peak MiB",
)  # fmt: skip

# Heading of each table of results.md and the page, and the meaning of its columns.
SECTIONS = {
    "effects": (
        "Effects",
        "Effect: test accuracy minus that of the run of the same dynamic, training images and seed without the variation, in "
        "percentage points. Interval of these two networks: for the same test images (Agresti and Min); it counts the "
        "uncertainty of the test images, not that of training again, which the rows of another seed show. A run does not "
        "record its predictions with other statistics at test time, so that the interval is that of two independent samples, "
        "wider than necessary. Over seeds: Student's interval of the mean. p: McNemar's exact test; p, Holm: "
        "corrected for the number of rows.",
    ),
    "results": (
        "Results",
        "Test accuracy: the mean over n seeds (or official folds), sd their standard deviation. 95 % over seeds: "
        "Student's interval of that mean, where n > 1: the uncertainty of training again, on these test images. 95 % of this "
        "network: exact (Clopper-Pearson), where n = 1: the uncertainty of the test images, for this network alone. p, one more "
        "draw: could the published value be one more run of ours (prediction interval)? Verdict: two one-sided tests at 5 % "
        f"with a margin of {100 * MARGIN:g} percentage points; none without a second seed.",
    ),
    "training": (
        "Training and cost",
        "Test % by the statistics of batch norms, where they were recorded. Training %: the reported network in evaluation "
        "mode; running training %: mean over the last epoch, while the weights change. Training time: without evaluation; wall "
        "time: with everything, where it was recorded. images/s: the median epoch's; the first epoch is longer by the time of "
        "compiling and of whatever else the machine did.",
    ),
    "comparisons": (
        "Networks compared",
        "Rows about the mean of seeds: the mean paired difference over the seeds that both have, with Student's interval and "
        "test. Rows about these two networks: one seed, where McNemar's exact test says whether these two are equally often "
        "right where only one of them is; it says nothing of the dynamics. Approximate: test images of a batch share its "
        "statistics, so that they are not independent. p, Holm: corrected for the number of rows. Same "
        "prediction: share of the test images; two seeds: the same for two seeds of one dynamic. Error correlation: of the "
        "confusion matrices off their diagonals; 0 on average for wrong classes drawn at random.",
    ),
    "per_class": (
        "Accuracy by class",
        "Per cent of the test images of each class that are classified correctly, mean over the runs on the number of training "
        "images that most dynamics and groups have; those without such a run have no row.",
    ),
}


@dataclass
class Content:
    """The tables and sentences of a report."""

    title: str
    lead: str
    caption: str
    gaps: Sequence[Missing]
    copies: Sequence[str]
    differences: Sequence[str]  # a sentence for each setting in which the runs differ
    naming: Sequence[str]  # the settings that name groups
    no_published: Sequence[str]  # a sentence for each row whose settings prevent a comparison with the published value
    rows: dict[str, Sequence[Row]]  # by name of the CSV file
    formatted: dict[str, Sequence[FormattedRow]]  # formatted rows, by name of the section
    origin: list[tuple[str, str]]
    folders: Sequence[Path]  # folders of the runs


def content_of(where: Path, found: Collection, grouping: Grouping) -> Content:
    """Return the content of a report in the folder ``where``, whose name becomes part of the title."""
    rows: dict[str, Sequence[Row]] = {
        "results": results.results(grouping),
        "comparisons": comparisons.comparisons(grouping),
        "per_class": comparisons.per_class(grouping),
        "runs": results.run_list(grouping),
    }
    digits = 2 if found.runs[0].summary["test_images"] >= 2000 else 1
    few = len(found.runs[0].class_names) <= MANY_CLASSES
    formatted: dict[str, Sequence[FormattedRow]] = {
        **{name: format_rows(rows["results"], of) for name, of in results.columns(digits, grouping.naming).items()},
        "effects": format_rows(effects.effects(found.runs, found.missing), effects.columns(digits)),
        "comparisons": format_rows(rows["comparisons"], comparisons.columns(digits)),
        "per_class": comparisons.classes_across(grouping, rows["per_class"], digits) if few else [],
    }
    return Content(
        title=f"{where.resolve().name}: networks motivated by partial differential equations",
        lead=captions.lead(grouping, found.runs),
        caption=captions.line(found.runs, len(found.missing), grouping.naming),
        gaps=found.missing,
        copies=found.copies,
        differences=grouping.full_differences(),
        naming=grouping.naming,
        no_published=results.no_published_value(grouping),
        rows=rows,
        formatted=formatted,
        origin=captions.origin(found.runs, found.commands),
        folders=[run.folder for run in found.runs],
    )


def warnings(content: Content) -> list[tuple[str, Sequence[str]]]:
    """Return what a reader must know first, as pairs of a heading and its sentences."""
    apart = "; each combination has rows and lines of its own" if content.naming else ", which go with the dynamic"
    parts = {
        f"Missing: {counted(len(content.gaps), 'run')}": _gaps(content.gaps),
        f"Left out: {counted(len(content.copies), 'copy')}": content.copies,
        f"The runs differ in these settings{apart}": content.differences,
        "Not compared with the published value, because the runs do not repeat that experiment": content.no_published,
    }
    return [(heading, sentences) for heading, sentences in parts.items() if sentences]


def _gaps(gaps: Sequence[Missing]) -> list[str]:
    """Return a sentence for each missing run; more than three with the same reason share one sentence."""
    names: dict[str, list[str]] = {}
    for gap in gaps:
        names.setdefault(gap.reason, []).append(gap.name)
    sentences = []
    for reason, of_reason in names.items():
        many = len(of_reason) > 3
        sentences += [f"{reason}: {'; '.join(of_reason)}"] if many else [f"{name}: {reason}" for name in of_reason]
    return sentences


def as_markdown(content: Content) -> str:
    """Return the tables and sentences of ``results.md``."""
    parts = [f"# {content.title}", content.lead]
    for heading, sentences in warnings(content):
        parts += [f"**{heading}**", "\n".join(f"- {sentence}" for sentence in sentences)]
    for name, (heading, legend) in SECTIONS.items():
        if content.formatted[name]:
            parts += [f"## {heading}", to_markdown(content.formatted[name]).rstrip(), f"{content.caption}. {legend}"]
    parts += ["## Where this comes from", "\n".join(f"- {term}: {words}" for term, words in content.origin)]
    return "\n\n".join(parts) + "\n"


def as_text(content: Content, keys: Sequence[str]) -> str:
    """Return the table of accuracies with its caption for a terminal; ``keys`` are the settings that name groups."""
    table = [
        {**one, **other} for one, other in zip(content.formatted["results"], content.formatted["training"], strict=True)
    ]
    wanted = [TERMINAL[0], *keys, *TERMINAL[1:]]
    kept = [name for name in wanted if table and name in table[0]]
    return to_text([{name: row[name] for name in kept} for row in table]) + f"\n{content.caption}"
