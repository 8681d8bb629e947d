"""The main command, ``python -m pdenet_repro``: train one network, run a sweep, or print a plan, a configuration or help."""

import argparse
import shlex
import sys
from collections.abc import Sequence

from pdenet_repro.config import compose
from pdenet_repro.config.launchers import Slurm, launcher_of, split
from pdenet_repro.system.arguments import Parser
from pdenet_repro.system.environment import refuse_missing_working_folder
from pdenet_repro.system.errors import InvalidConfig, UserError, show
from pdenet_repro.system.signals import Interrupted, Stopped
from pdenet_repro.version import __version__


def execute(arguments: Sequence[str]) -> int:
    """Execute the command with these arguments; return its exit code. A `UserError` is one sentence on stderr, no traceback."""
    if "--version" in arguments:
        print(f"pdenet-repro {__version__}")
        return 0
    try:
        refuse_missing_working_folder()
        if not arguments or {"-h", "--help"} & set(arguments):
            from pdenet_repro.cli.help import first_steps, help_text

            print(help_text() if arguments else first_steps(), end="")
            return 0
        return _execute(arguments)
    except UserError as error:
        return show(error)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code


def _execute(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    settings, launcher_arguments = split(given.settings)
    command = shlex.join(["python", "-m", "pdenet_repro", *arguments])
    if given.cfg:
        for argument in launcher_arguments:
            raise InvalidConfig(f"{argument}: launches the runs of a sweep; leave it out, as --cfg shows one run")
        from pdenet_repro.runs.folder import to_yaml

        print(to_yaml(compose.compose(*settings)), end="")
        return 0
    if not given.multirun and not given.plan:
        return _run(settings, launcher_arguments, command)
    from pdenet_repro.sweeps import sweep

    launcher = launcher_of(launcher_arguments)
    configs = sweep.configurations(settings, here=not isinstance(launcher, Slurm))
    if given.plan:
        from pdenet_repro.sweeps import forecast

        forecast.show(configs)
        return 0
    try:
        return sweep.execute(configs, launcher, command)
    except Stopped as stop:
        print(f"stopped by {stop} while nothing was being trained; the same command continues", file=sys.stderr)
        return stop.exit_code


def _run(settings: Sequence[str], launcher_arguments: Sequence[str], command: str) -> int:
    for setting in settings:
        if setting.startswith("study="):
            raise InvalidConfig(f"{setting}: is a sweep of many runs, which needs -m (or --plan, to see them first)")
    for argument in launcher_arguments:
        raise InvalidConfig(f"{argument}: launches the runs of a sweep, which needs -m")
    config = compose.compose(*settings)
    from pdenet_repro.runs.run import run

    run(config, command)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options among the arguments, and all other arguments as ``settings``."""
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("settings", nargs="*")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("-c", "--cfg", choices=["job"])
    given = parser.parse_intermixed_args(arguments)
    if given.cfg and given.multirun:
        raise InvalidConfig("--cfg shows the configuration of one run; leave out -m")
    if given.cfg and given.plan:
        raise InvalidConfig("--cfg and --plan: must not be given together; leave out one of them")
    return given
