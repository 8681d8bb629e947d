"""``python -m pdenet_repro.report FOLDER...``: make figures, tables and a page from run folders, without training."""

import argparse
import sys

from pdenet_repro.runs import pretrained
from pdenet_repro.system.arguments import Parser, folder, whole_number
from pdenet_repro.system.environment import refuse_missing_working_folder
from pdenet_repro.system.errors import InvalidConfig, UserError, show


def main(arguments: list[str]) -> int:
    """Write reports, publish a study, or compare runs with reference results; return the exit code."""
    parser = Parser(prog="python -m pdenet_repro.report", description=__doc__)
    parser.add_argument(
        "folders", nargs="+", type=folder, metavar="FOLDER",
        help="a study, for example outputs/demo, a folder of studies, a run, or pretrained:NAME; several make one report, "
        "with --output",
    )  # fmt: skip
    parser.add_argument("--output", type=folder, help="folder of one report of all runs (default: each study's folder)")
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="KEY",
        help="name groups of runs by this setting, for example recipe; can be repeated",
    )
    parser.add_argument("--images", type=_indices, metavar="I,J,...", help="test images of Figure 1, counted from 0")
    parser.add_argument(
        "--image-seed", type=whole_number(0), default=0, metavar="N", help="seed of the random test images (default 0)"
    )
    parser.add_argument(
        "--data-root", help="folder that holds the data set, for --images, if not where the runs found it"
    )
    parser.add_argument(
        "--publish",
        type=folder,
        metavar="FOLDER",
        help="copy the study to this folder without weights, small enough for a repository",
    )
    parser.add_argument(
        "--compare",
        type=folder,
        metavar="REFERENCE",
        help="only say whether each run reproduces the run of the same settings in this folder; exit code 1 if one does not",
    )
    try:
        refuse_missing_working_folder()
        given = parser.parse_args(arguments)
        if given.publish and given.output:
            raise InvalidConfig(f"--output {given.output}: must not be given with --publish, which says where files go")
        if given.compare and (other := given.publish or given.output):
            raise InvalidConfig(
                f"--compare {given.compare}: writes no files; --publish and --output, here {other}, must not be given with it"
            )
        if given.compare:
            from pdenet_repro.report.reference import compare

            return 0 if compare(given.folders, given.compare) else 1
        folders = pretrained.resolve_all(given.folders, given.publish or given.output)
        from pdenet_repro.report.write import Options, write_report

        options = Options(given.images, given.image_seed, given.by, given.data_root)
        if given.publish:
            from pdenet_repro.report.publish import publish

            undamaged = publish(folders, given.publish, options)
        else:
            undamaged = write_report(folders, output=given.output, options=options)
    except UserError as error:
        return show(error)
    except KeyboardInterrupt:
        print("stopped; files that were not written yet are unchanged, and so are the runs", file=sys.stderr)
        return 130
    return 0 if undamaged else 2


def _indices(value: str) -> list[int]:
    try:
        found = [int(word) for word in value.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{value}: must be whole numbers with commas between them, like 3,14,159"
        ) from None
    if not 1 <= len(found) <= 12:
        raise argparse.ArgumentTypeError(f"{value}: must be 1 to 12 images")
    return found
