"""``python -m pdenet_repro.export RUN``: make a pretrained network, small enough for a repository, of a finished run."""

import argparse
import re
from collections.abc import Sequence

from pdenet_repro.system.arguments import Parser, folder
from pdenet_repro.system.errors import InvalidConfig


def main(arguments: Sequence[str]) -> int:
    """Round the weights to half precision, evaluate and write the network; return the exit code."""
    parser = Parser(prog="python -m pdenet_repro.export", description=__doc__)
    parser.add_argument("run", type=folder, metavar="RUN", help="the folder of a finished run, with its weights")
    parser.add_argument("--name", type=_name, help="its name in load_pretrained (default: its dynamic)")
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

    provenance.git_commit()  # cached now, so that it is the commit of the code that evaluates
    is_run = (given.run / "config.yaml").is_file()
    collection, *_ = collect(given.run).values()  # a folder of studies has several
    if not is_run or not collection.runs:
        reason = (
            collection.missing[0].reason
            if is_run and collection.missing
            else "it is a folder of runs; name one of them"
        )
        raise InvalidConfig(f"{given.run}: must be the folder of one finished run; {reason}")
    found = collection.runs[0]
    network = round_weights(given.run, found.predicted, given.data_root, lambda line: print(line, flush=True))
    place = (given.output or pretrained.folder()) / (given.name or network.config.dynamic)
    if place.resolve() == given.run.resolve():
        raise InvalidConfig(f"{given.run}: must not be replaced by its own rounded weights; choose another --output")
    remove(place / "card.json")  # an interrupted export then leaves no network that could be loaded
    publish_run(found, place, None)
    add_weights(place, network)
    print(
        f"{place}: {network.accuracy:.2%} with weights in half precision, {found.accuracy:.2%} in the run; "
        f"{network.changed} predictions differ; {len(network.weights) / 1e6:.1f} MB"
    )


def _name(word: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", word):
        raise argparse.ArgumentTypeError(f"{word}: must consist of small letters, digits and _ . -, like hamiltonian")
    return word
