"""``python -m pdenet_repro.export RUN``: a finished run as a pretrained network, small enough for a repository."""

import argparse
import re
from collections.abc import Sequence

from pdenet_repro.system.arguments import Parser, folder
from pdenet_repro.system.errors import InvalidConfig


def main(arguments: Sequence[str]) -> int:
    """Round, evaluate, write; returns the exit code."""
    parser = Parser(prog="python -m pdenet_repro.export", description=__doc__)
    parser.add_argument("run", type=folder, metavar="RUN", help="the folder of a finished run, with its weights")
    parser.add_argument("--name", type=_name, help="what load_pretrained calls it (default: its dynamic)")
    parser.add_argument("--data-root", help="folder that holds the data set, if not where the run found it")
    parser.add_argument(
        "--output", type=folder, help="folder of all pretrained networks (default: the package's, where they are found)"
    )
    return parser.execute(arguments, _export, "stopped; no pretrained network is made")


def _export(given: argparse.Namespace) -> None:
    from pdenet_repro.report.publish import publish_run
    from pdenet_repro.report.runs import collect
    from pdenet_repro.runs import pretrained, provenance
    from pdenet_repro.runs.export import add_weights, round_weights
    from pdenet_repro.system.files import remove

    provenance.git_commit()  # remembered
    (collection,) = collect(given.run).values()
    if not (given.run / "config.yaml").is_file() or not collection.runs:
        reason = collection.missing[0].reason if collection.missing else "is a study"
        raise InvalidConfig(f"{given.run}: must be the folder of one finished run; {reason}")
    (found,) = collection.runs
    network = round_weights(given.run, found.predicted, given.data_root, lambda line: print(line, flush=True))
    place = (given.output or pretrained.folder()) / (given.name or network.config.dynamic)
    if place.resolve() == given.run.resolve():
        raise InvalidConfig(f"{given.run}: must not be replaced by its own rounded weights; choose another --output")
    remove(place / "card.json")  # until all of it is written
    publish_run(found, place, None)
    add_weights(place, network)
    print(
        f"{place}: {network.accuracy:.2%} with weights in half precision, {found.accuracy:.2%} in the run; "
        f"{network.changed} predictions differ; {len(network.weights) / 1e6:.1f} MB"
    )


def _name(word: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", word):
        raise argparse.ArgumentTypeError(f"{word}: must be small letters, digits and _ . -, like hamiltonian")
    return word
