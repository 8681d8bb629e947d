"""One command from its words to its exit code: what is refused, what is shown, what is trained."""

import shlex
import sys
from collections.abc import Sequence

from pdenet_repro.config import compose
from pdenet_repro.config.launchers import Slurm, launcher_of, split
from pdenet_repro.system.errors import InvalidConfig, UserError, show
from pdenet_repro.system.signals import Interrupted, Stopped
from pdenet_repro.system.surroundings import refuse_missing_working_folder
from pdenet_repro.version import __version__

SWEEP = {"-m", "--multirun"}
SHOW = {"-c", "--cfg"}
OPTIONS = {*SWEEP, *SHOW, "--resolve", "--plan"}


def execute(words: Sequence[str]) -> int:
    """Execute one command; returns its exit code. What a user can mend is one sentence on stderr, no traceback."""
    if "--version" in words:
        print(f"pdenet-repro {__version__}")
        return 0
    try:
        refuse_missing_working_folder()
        if not words or {"-h", "--help"} & set(words):
            from pdenet_repro.cli.help import first_steps, help_text

            print(help_text() if words else first_steps(), end="")
            return 0
        return _execute(words)
    except UserError as error:
        return show(error)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code


def _execute(words: Sequence[str]) -> int:
    options, settings = _split_options(words)
    settings, launcher_words = split(settings)
    command = shlex.join(["python", "-m", "pdenet_repro", *words])
    if SHOW & options:
        compose.compose(*settings)  # refuses, or not
        print(compose.composed_yaml(settings, resolve="--resolve" in options), end="")
        return 0
    if not options & {*SWEEP, "--plan"}:
        return _run(settings, launcher_words, command)
    from pdenet_repro.sweeps import sweep

    launcher = launcher_of(launcher_words)
    configs = sweep.configurations(settings, here=not isinstance(launcher, Slurm))
    if "--plan" in options:
        from pdenet_repro.sweeps import forecast

        forecast.show(configs)
        return 0
    try:
        return sweep.execute(configs, launcher, command)
    except Stopped as stop:
        print(f"stopped by {stop} while nothing was being trained; the same command goes on", file=sys.stderr)
        return stop.exit_code


def _run(settings: Sequence[str], launcher_words: Sequence[str], command: str) -> int:
    for word in settings:
        if word.startswith("study="):
            raise InvalidConfig(f"{word}: is a sweep of many runs, which needs -m (or --plan, to see them first)")
    for word in launcher_words:
        raise InvalidConfig(f"{word}: launches the runs of a sweep, which needs -m")
    config = compose.compose(*settings)
    from pdenet_repro.runs.run import run

    run(config, command)
    return 0


def _split_options(words: Sequence[str]) -> tuple[set[str], list[str]]:
    """The options among the words, and the settings."""
    options, settings, rest = set[str](), list[str](), list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            settings.append(word)
            continue
        option, equals, value = word.partition("=")
        if option not in OPTIONS or (equals and option not in SHOW):
            raise InvalidConfig(f"{word}: there is no such option; settings are written key=value (see --help)")
        if option in SHOW:
            value = value if equals else rest.pop(0) if rest else ""
            if value in ("hydra", "all"):
                raise InvalidConfig(f"{option} {value}: there are no settings of Hydra here; must be {option} job")
            if value != "job":
                raise InvalidConfig(f"{option} {value}: must be {option} job")
        options.add(option)
    show = SHOW & options
    for option in show:
        if SWEEP & options:
            raise InvalidConfig(f"{option} shows the configuration of one run; leave out -m")
        if "--plan" in options:
            raise InvalidConfig(f"{option} and --plan: each shows something of its own; leave out one of them")
    if "--resolve" in options and not show:
        raise InvalidConfig("--resolve: goes with --cfg only, as in --cfg job --resolve")
    return options, settings
