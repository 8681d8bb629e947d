"""The command line: ``python -m pdenet_repro dynamic=hamiltonian`` composes a configuration and carries out its run."""

import os
import signal
import sys
import traceback

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from pdenet_repro import presets
from pdenet_repro.errors import InvalidConfig, UserError
from pdenet_repro.interrupt import Interrupted

SWEEP = {"-m", "--multirun"}
SHOW = {"-c", "--cfg"}
OPTIONS = SWEEP | SHOW | {"-r", "--resolve"}


failures: list[UserError] = []  # of the runs of this command; a sweep goes on after one


@hydra.main(config_path=str(presets.folder()), config_name="config", version_base="1.3")
def _compose_and_run(composed: DictConfig) -> None:
    from pdenet_repro.run import run

    try:
        run(presets.to_config(composed))
    except UserError as error:
        _show(error)
        failures.append(error)


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
        arguments = sorted(presets.readable(arguments), key=lambda word: word not in SWEEP)
        sys.argv[1:] = arguments
        for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
            option, _, value = word.partition("=")
            if word.startswith("-") and option not in OPTIONS:
                raise InvalidConfig(f"{word}: there is no such option; settings are written key=value (see --help)")
            if option in SHOW and (value or following) not in ("job", "hydra", "all"):
                raise InvalidConfig(
                    f"{option} {value or following}: must be {option} job, {option} hydra or {option} all"
                )
            if option in SHOW and SWEEP & set(arguments):
                raise InvalidConfig(f"{option} shows the configuration of one run; leave out -m")
        _compose_and_run()
    except (HydraException, OmegaConfBaseException) as error:
        from pdenet_repro.refusal import explain

        overrides = [word for word in arguments if not word.startswith("-") and word not in ("job", "hydra", "all")]
        failures.append(InvalidConfig(explain(overrides, error, sweep=bool(SWEEP & set(arguments)))))
        _show(failures[-1], cause=error)
    except UserError as error:
        failures.append(error)
        _show(error)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("stopped before training began; nothing is lost", file=sys.stderr)
        return 128 + signal.SIGINT
    return failures[0].exit_code if failures else 0


def _show(error: UserError, cause: Exception | None = None) -> None:
    """One sentence on stderr; with PDENET_DEBUG set, the traceback before it."""
    if os.environ.get("PDENET_DEBUG"):
        traceback.print_exception(cause or error)
    print(error, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
