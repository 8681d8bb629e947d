"""One command from its words to its exit code: what is refused, what is shown, what is run."""

import os
import sys
import traceback
from importlib.util import find_spec

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from pdenet_repro.config import compose, presets
from pdenet_repro.system.errors import InvalidConfig, UserError
from pdenet_repro.system.signals import Interrupted, Stopped
from pdenet_repro.system.surroundings import refuse_missing_working_folder

SWEEP = {"-m", "--multirun"}
SHOW = {"-c", "--cfg"}
LAUNCHERS = {
    "joblib": "hydra_joblib_launcher",
    "processes": "hydra_submitit_launcher",
    "slurm": "hydra_submitit_launcher",
}
OPTIONS = SWEEP | SHOW | {"--resolve", "--plan"}


def carry_out(arguments: list[str]) -> int:
    """Carry out one command; returns its exit code. What a user can mend is one sentence on stderr, no traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, and the sentence is ours
    compose.register()
    try:
        refuse_missing_working_folder()
        if not arguments or {"-h", "--help"} & set(arguments):
            from pdenet_repro.cli.help import first_steps, help_text

            print(help_text() if arguments else first_steps(), end="")
            return 0
        # Hydra reads sys.argv, and a -m between settings confuses its parser
        words = sorted(compose.readable(arguments), key=lambda word: word not in SWEEP)
        _refuse_options(words)
        sys.argv[1:] = words
        return _carry_out(words)
    except (HydraException, OmegaConfBaseException) as error:
        from pdenet_repro.config.refusals import explain

        settings = [word for word in arguments if not word.startswith("-") and word not in ("job", "hydra", "all")]
        refusal = InvalidConfig(explain(settings, error, sweep=bool(SWEEP & set(arguments))))
        _show(refusal, cause=error)
        return refusal.exit_code
    except UserError as error:
        _show(error)
        return error.exit_code
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code


def _carry_out(words: list[str]) -> int:
    from pdenet_repro.sweeps import sweep

    command = hydra.main(config_path=str(presets.folder()), config_name="config", version_base="1.3")(sweep.job)
    if "--plan" in words:
        from pdenet_repro.sweeps import plan

        plan.show(sweep.configurations(words))
        return 0
    if SHOW & {word.partition("=")[0] for word in words}:
        compose.compose(*(word for word in words if "=" in word and not word.startswith("-")))  # refuses, or not
    if not SWEEP & set(words):
        sweep.refusals.clear()
        command()
        for refusal in sweep.refusals:
            raise refusal
        return 0
    runs = sweep.configurations(words)
    launcher = next((word.partition("=")[2] for word in words[::-1] if word.startswith("hydra/launcher=")), "basic")
    try:
        if sweep.prepare(runs):
            with sweep.launching(launcher, runs, words):
                command()
    except (HydraException, OmegaConfBaseException, UserError):
        raise
    except Exception as error:  # of a launcher: a job of the cluster was cancelled, a worker was killed
        print(f"the launcher reports: {' '.join(str(error).split())[:300]}", file=sys.stderr)
    try:
        return sweep.conclude(runs)
    except Stopped as stop:
        print(f"stopped by {stop} while figures and report were drawn; the same command draws them", file=sys.stderr)
        return stop.exit_code


def _refuse_options(words: list[str]) -> None:
    shown = SHOW & {word.partition("=")[0] for word in words}
    several = (SWEEP | {"--plan"}) & set(words)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, _, value = word.partition("=")
        if not option:
            raise InvalidConfig(f"{word!r}: not a setting; write key=value (all keys: --help)")
        if word.startswith("-") and (option not in OPTIONS or (option != word and option not in SHOW)):
            raise InvalidConfig(f"{word}: there is no such option; settings are written key=value (see --help)")
        if option in SHOW and (value or following) not in ("job", "hydra", "all"):
            raise InvalidConfig(f"{option} {value or following}: must be {option} job, {option} hydra or {option} all")
        if option in SHOW and SWEEP & set(words):
            raise InvalidConfig(f"{option} shows the configuration of one run; leave out -m")
        if option in SHOW and "--plan" in words:
            raise InvalidConfig(f"{option} and --plan: each shows something of its own; leave out one of them")
        if option == "--resolve" and not shown:
            raise InvalidConfig(f"{option}: goes with --cfg only, as in --cfg job --resolve")
        plugin = LAUNCHERS.get(value) if option == "hydra/launcher" else None
        if plugin and find_spec(f"hydra_plugins.{plugin}") is None:
            raise InvalidConfig(f"{word}: needs {plugin}, which is not installed; pip install 'pdenet-repro[cluster]'")
        if option == "hydra/launcher" and not several and not shown:
            raise InvalidConfig(f"{word}: launches the runs of a sweep, which needs -m")
        if option == "study" and not several and not shown:
            raise InvalidConfig(f"{word}: is a sweep of many runs, which needs -m (or --plan, to see them first)")


def _show(error: UserError, cause: Exception | None = None) -> None:
    """One sentence on stderr; with PDENET_DEBUG set, the traceback before it."""
    if os.environ.get("PDENET_DEBUG"):
        traceback.print_exception(cause or error)
    print(error, file=sys.stderr)
