"""``python -m pdenet_repro.analysis KIND FOLDER...``: measure on networks what the theory predicts."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdenet_repro.runs import pretrained
from pdenet_repro.system.arguments import Parser, folder, whole_number
from pdenet_repro.system.environment import load_torch, refuse_missing_working_folder
from pdenet_repro.system.errors import InvalidConfig, OutOfMemory, UserError, is_out_of_memory, show
from pdenet_repro.system.files import make_folder
from pdenet_repro.system.pictures import matplotlib_defaults

if TYPE_CHECKING:
    from pdenet_repro.analysis.subjects import Subject

KINDS = {
    "stability": "distances of solutions, step by step and over a long time; Theorem 1 with all steps' own weights",
    "sensitivity": "largest singular values of units and networks, one-sided Lipschitz constants of layers",
    "spectrum": "eigenvalues of the layers' Jacobians, and the step sizes they allow",
    "energy": "feature norms, conserved and decreasing quantities, forces and their bound, at every time step",
    "smoothing": "energy of the features by frequency, and their gradient, at every time step",
    "refinement": "accuracy of the same network with finer time steps, and its distance to the limit",
    "kernels": "change of the kernels from step to step, their size, and accuracy with kernels averaged in time",
    "stencils": "kernels as differential operators; networks at other image resolutions",
    "robustness": "accuracy under noise, blur, contrast, occlusion and gradient attacks",
    "reversibility": "how exactly hyperbolic networks run backwards",
}
EPILOG = """\
FOLDER is a finished run, a study (then the run on the most images of each dynamic, first seed), or pretrained:NAME, a
network that comes with the package. Settings in place of a folder make networks at their initial weights:
dynamic=parabolic,hamiltonian data=shapes network=small
"""


def main(arguments: list[str]) -> int:
    """Run the command with these arguments; return its exit code."""
    try:
        refuse_missing_working_folder()
        kind = arguments[0] if arguments else ""
        given = _parser(kind).parse_args(arguments)
        if given.kind == "all":
            return _all(given, arguments[1:])
        _analyse(given)
    except UserError as error:
        return show(error)
    except KeyboardInterrupt:
        print("stopped; the analysis that was running has written nothing", file=sys.stderr)
        return 130
    return 0


def _parser(wanted: str) -> Parser:
    """Return the command's parser; only the kind ``wanted`` is imported, for its own options."""
    layout: dict[str, Any] = {"epilog": EPILOG, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = Parser(prog="python -m pdenet_repro.analysis", description=__doc__, **layout)
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, meaning in (
        KINDS | {"all": "all kinds that apply to the networks, one after the other, each with its default options"}
    ).items():
        kind = kinds.add_parser(name, help=meaning, description=meaning, **layout)
        kind.add_argument("networks", nargs="+", metavar="FOLDER", help="runs or studies, or settings with =")
        kind.add_argument("--output", type=folder, help="folder to write into; default: analysis/ in the study")
        kind.add_argument("--data-root", help="folder that holds the data set, if not where the run found it")
        kind.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
        kind.add_argument(
            "--seed",
            type=whole_number(0),
            default=0,
            metavar="N",
            help="seed of the images and perturbations (default 0)",
        )
        if name == wanted and name in KINDS:
            from pdenet_repro.analysis.options import add_options

            add_options(kind, import_module(f"pdenet_repro.analysis.{name}.measure"))
    return parser


def _all(given: argparse.Namespace, arguments: list[str]) -> int:
    """Run every kind; return the exit code of the first that failed, where a kind that does not apply is no failure."""
    from pdenet_repro.analysis.result import DoesNotApply

    _, output = _output_folder(given, _subjects(given))  # reports errors that concern all kinds before the first starts
    make_folder(output)
    outcomes, code = {}, 0
    for kind in KINDS:
        print(f"\n{kind}: {KINDS[kind]}", flush=True)
        try:
            _analyse(_parser(kind).parse_args([kind, *arguments]))
            outcomes[kind] = "done"
        except DoesNotApply as error:
            outcomes[kind] = f"does not apply: {error}"
        except UserError as error:
            outcomes[kind] = "failed, see above"
            refused = show(error)
            code = code or refused
    print()
    for kind, outcome in outcomes.items():
        print(f"{kind:<{max(map(len, KINDS))}}  {outcome}")
    return code


@contextmanager
def _raising_out_of_memory() -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise OutOfMemory("the memory does not suffice: use fewer --images, or smaller networks") from error
        raise


@_raising_out_of_memory()
def _subjects(given: argparse.Namespace) -> list["Subject"]:
    load_torch()
    from pdenet_repro.analysis.subjects import subjects
    from pdenet_repro.config.compose import compose
    from pdenet_repro.system import device
    from pdenet_repro.system.gpu_driver import refuse_missing_gpu

    config = compose(f"device={given.device}")
    refuse_missing_gpu(config)
    return subjects(given.networks, device.set_up(config), given.data_root)


@matplotlib_defaults()
@_raising_out_of_memory()
def _analyse(given: argparse.Namespace) -> None:
    from pdenet_repro.analysis.result import write
    from pdenet_repro.analysis.trajectory import at_initial_weights, set_initial_statistics
    from pdenet_repro.runs import provenance

    found = _subjects(given)
    study, output = _output_folder(given, found)
    make_folder(output)  # a failure is reported before minutes of measuring
    provenance.git_commit()  # cached now, so that it is the commit of the code that measures
    for subject in found:
        set_initial_statistics(subject, given.seed)
    module = import_module(f"pdenet_repro.analysis.{given.kind}.measure")
    if getattr(module, "COMPARE_WITH_INITIAL_WEIGHTS", False):  # to show what training has changed
        found = [*found, *(at_initial_weights(each, given.seed) for each in found if each.folder)]
    result = module.measure(found, given)
    origin = {
        "command": provenance.command("pdenet_repro.analysis"),
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "networks": [{"name": each.name, "folder": pretrained.argument_for(each.folder)} for each in found],
    }
    pictures = write(result, given.kind, output, meaning=KINDS[given.kind], **origin)
    print("\n".join(result.sentences))
    print(f"\nlook at   {', '.join(map(str, pictures))} (and .pdf)")
    print(f"numbers   {output}: {', '.join(f'{name}.csv' for name in result.tables)}", flush=True)
    if study:
        from pdenet_repro.report.write import refresh_page

        page, command = study / "report.html", f"python -m pdenet_repro.report {study} makes one"
        print(f"report    {page if refresh_page(study) else command}, with this analysis", flush=True)


def _output_folder(given: argparse.Namespace, found: list["Subject"]) -> tuple[Path | None, Path]:
    """Return the study that the results belong to, or None, and the folder to write them into.

    Results go into the study's folder only if all runs that represent the study are analysed. Those of a single run go into the
    run's folder, so that they do not replace the study's.
    """
    from pdenet_repro.analysis.subjects import of_study, study_of

    pretrained.resolve_all(given.networks, given.output)  # raises an error instead of writing into the package
    if given.output:
        return None, given.output
    folders = {each.folder.resolve() for each in found if each.folder}
    studies = {study_of(each) for each in found}
    alone = Path(os.path.relpath(min(folders))) / "analysis" if len(folders) == 1 else None
    if alone and studies == {None} and all(each.folder for each in found):  # a run that was copied alone
        return None, alone
    if len(studies) != 1 or None in studies:
        raise InvalidConfig(
            "--output: must be given for initial weights, and for runs that are not all in one study's folder"
        )
    (study,) = (Path(os.path.relpath(each)) for each in studies if each)
    if folders >= {each.resolve() for each in of_study(study)[0]}:
        return study, study / "analysis"
    if alone:
        return None, alone
    raise InvalidConfig(f"--output: must be given for some of the runs of {study}; {study}/analysis is for all of them")
