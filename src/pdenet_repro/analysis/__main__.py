"""``python -m pdenet_repro.analysis KIND FOLDER...``: what the theory promises, measured on trained networks."""

import argparse
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pdenet_repro.errors import InvalidConfig, UserError

if TYPE_CHECKING:
    from pdenet_repro.analysis.subjects import Subject

KINDS = {
    "stability": "distance of solutions that start from perturbed images, through every time step",
    "spectrum": "eigenvalues of the layers' Jacobians, and the step sizes they allow",
    "energy": "energy and feature norms along the time steps",
    "stencils": "kernels as differential operators; trained networks at other image resolutions",
    "robustness": "accuracy under noise, blur, contrast, occlusion and gradient attacks",
    "reversibility": "how exactly hyperbolic networks run backwards",
}
EPILOG = """\
FOLDER is a finished run, or a study: then the run on the most images of each dynamic, first seed. Settings in place of a
folder make networks at their initial weights: dynamic=parabolic,hamiltonian data=shapes network=small
"""


def main(arguments: list[str]) -> int:
    """Measure, draw, write; returns the exit code."""
    given = _parser(arguments[0] if arguments else "").parse_args(arguments)
    try:
        _carry_out(given)
    except UserError as error:
        if os.environ.get("PDENET_DEBUG"):
            traceback.print_exception(error)
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; nothing is written", file=sys.stderr)
        return 130
    return 0


def _parser(wanted: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pdenet_repro.analysis", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, meaning in KINDS.items():
        kind = kinds.add_parser(
            name, help=meaning, description=meaning, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        kind.add_argument("networks", nargs="+", metavar="FOLDER", help="runs or studies, or settings with =")
        kind.add_argument("--output", type=Path, help="folder to write into; default: analysis/ in the study")
        kind.add_argument("--data-root", help="folder that holds the data set, if not where the run found it")
        kind.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
        kind.add_argument("--seed", type=int, default=0, metavar="N", help="of images and perturbations (default 0)")
        if name == wanted:  # the others' options need not be loaded
            import_module(f"pdenet_repro.analysis.{name}").add_options(kind)
    return parser


def _carry_out(given: argparse.Namespace) -> None:
    from pdenet_repro import device, presets, provenance
    from pdenet_repro.analysis import finding
    from pdenet_repro.analysis.subjects import subjects

    config = presets.compose(f"device={given.device}")
    device.refuse_missing_gpu(config)
    found = subjects(given.networks, device.set_up(config), given.data_root, print)
    module = import_module(f"pdenet_repro.analysis.{given.kind}")
    output = given.output or _study(found) / "analysis"
    result = module.measure(found, given)
    origin = {
        "command": provenance.command("pdenet_repro.analysis"),
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "networks": [{"name": each.name, "folder": str(each.folder or "")} for each in found],
    }
    pictures = finding.write(result, given.kind, output, **origin)
    print("\n".join(result.sentences))
    print(f"\nlook at   {', '.join(map(str, pictures))} (and .pdf)")
    print(f"numbers   {output}: {', '.join(f'{name}.csv' for name in result.tables)}", flush=True)


def _study(found: list["Subject"]) -> Path:
    """The study that all runs belong to; for others a folder must be given."""
    studies = {each.folder.resolve().parents[2] if each.folder else None for each in found}
    if len(studies) != 1 or None in studies:
        raise InvalidConfig("--output: must be given for initial weights, and for runs of more than one study")
    (study,) = studies
    assert study is not None
    return Path(os.path.relpath(study))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
