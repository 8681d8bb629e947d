"""The command line: ``python -m pdenet_repro dynamic=hamiltonian`` composes a configuration and carries out its run."""

import os
import signal
import sys
import traceback
from importlib.util import find_spec

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from pdenet_repro import presets
from pdenet_repro.errors import InvalidConfig, UserError
from pdenet_repro.interrupt import Interrupted
from pdenet_repro.tracking import outlive_readers

SWEEP = {"-m", "--multirun"}
SHOW = {"-c", "--cfg"}
LAUNCHERS = {
    "joblib": "hydra_joblib_launcher",
    "processes": "hydra_submitit_launcher",
    "slurm": "hydra_submitit_launcher",
}
OPTIONS = SWEEP | SHOW | {"--resolve", "--plan"}


def main(arguments: list[str]) -> int:
    """Carry out one command; returns its exit code. What a user can mend is one sentence on stderr, no traceback."""
    if not arguments or {"-h", "--help"} & set(arguments):
        from pdenet_repro import guide

        print(guide.help_text() if arguments else guide.first_steps(), end="")
        return 0
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, and the sentence is ours
    presets.register()
    try:
        # Hydra reads sys.argv, and a -m between settings confuses its parser
        words = sorted(presets.readable(arguments), key=lambda word: word not in SWEEP)
        _refuse_options(words)
        sys.argv[1:] = words
        return _carry_out(words)
    except (HydraException, OmegaConfBaseException) as error:
        from pdenet_repro.refusal import explain

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
    except KeyboardInterrupt:
        print("stopped before training began; nothing is lost", file=sys.stderr)
        return 128 + signal.SIGINT


def _carry_out(words: list[str]) -> int:
    from pdenet_repro import study

    command = hydra.main(config_path=str(presets.folder()), config_name="config", version_base="1.3")(study.job)
    if "--plan" in words:
        from pdenet_repro import plan

        plan.show(study.configurations(words))
        return 0
    if SHOW & {word.partition("=")[0] for word in words}:
        presets.compose(*(word for word in words if "=" in word and not word.startswith("-")))  # refuses, or not
    if not SWEEP & set(words):
        study.refusals.clear()
        command()
        for refusal in study.refusals:
            raise refusal
        return 0
    runs = study.configurations(words)
    launcher = next((word.partition("=")[2] for word in words[::-1] if word.startswith("hydra/launcher=")), "basic")
    try:
        if study.prepare(runs):
            with study.elsewhere(launcher, runs, words):
                command()
    except (HydraException, OmegaConfBaseException, UserError):
        raise
    except Exception as error:  # of a launcher: a job of the cluster was cancelled, a worker was killed
        print(f"the launcher reports: {' '.join(str(error).split())[:300]}", file=sys.stderr)
    try:
        return study.conclude(runs)
    except KeyboardInterrupt:
        print("stopped while figures and report were drawn; the same command draws them", file=sys.stderr)
        return 128 + signal.SIGINT


def _refuse_options(words: list[str]) -> None:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, _, value = word.partition("=")
        if not option:
            raise InvalidConfig(f"{word!r}: not a setting; write key=value (all keys: --help)")
        if word.startswith("-") and option not in OPTIONS:
            raise InvalidConfig(f"{word}: there is no such option; settings are written key=value (see --help)")
        if option in SHOW and (value or following) not in ("job", "hydra", "all"):
            raise InvalidConfig(f"{option} {value or following}: must be {option} job, {option} hydra or {option} all")
        if option in SHOW and SWEEP & set(words):
            raise InvalidConfig(f"{option} shows the configuration of one run; leave out -m")
        plugin = LAUNCHERS.get(value) if option == "hydra/launcher" else None
        if plugin and find_spec(f"hydra_plugins.{plugin}") is None:
            raise InvalidConfig(f"{word}: needs {plugin}, which is not installed; pip install 'pdenet-repro[cluster]'")
        if option == "study" and not (SWEEP | SHOW | {"--plan"}) & set(words):
            raise InvalidConfig(f"{word}: is a sweep of many runs, which needs -m (or --plan, to see them first)")


def _show(error: UserError, cause: Exception | None = None) -> None:
    """One sentence on stderr; with PDENET_DEBUG set, the traceback before it."""
    if os.environ.get("PDENET_DEBUG"):
        traceback.print_exception(cause or error)
    print(error, file=sys.stderr)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main(sys.argv[1:]))
