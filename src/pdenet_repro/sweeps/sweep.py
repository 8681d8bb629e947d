"""Executes a sweep: composes its configurations, launches the runs that are missing, and draws the report.

A sweep that is started again skips finished runs, continues interrupted ones and tries failed ones again.
"""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.config.launchers import Local, Serial, Slurm
from pdenet_repro.config.schema import Config, all_settings, value_of
from pdenet_repro.data import source
from pdenet_repro.runs.folder import RunFolder, path_of
from pdenet_repro.sweeps.launch import Failures, LocalSweep
from pdenet_repro.sweeps.plan import names, study_of, write_plans
from pdenet_repro.sweeps.state import RunState, State, state_of
from pdenet_repro.system.errors import InvalidConfig, OtherConfiguration, RunFolderError, UserError


def configurations(arguments: Sequence[str], here: bool = True) -> list[Config]:
    """Return the configuration of every run of a sweep command with these arguments, in the order of launching.

    Equal configurations are one run. Everything that can be checked is checked here, before the first run starts.
    ``here=False``: the runs will train on other machines, so that this one needs no GPU.

    Raises
    ------
    InvalidConfig
        A value is not allowed in one of the runs, or two runs would share a folder.
    OtherConfiguration
        A folder holds a run of another configuration.
    """
    from pdenet_repro.runs.run import refuse_unusable

    configs: dict[Path, Config] = {}
    for config in compose_sweep(arguments):
        refuse_unusable(config, here)
        first = configs.setdefault(path_of(config), config)
        keys = [key for key, _ in all_settings() if value_of(config, key) != value_of(first, key)]
        if keys:
            raise InvalidConfig(
                f"two runs of this sweep would share {path_of(config)}: they differ in {', '.join(keys)}; give each a "
                f"folder, for example with name='sweep/{'-'.join('${' + key + '}' for key in keys)}'"
            )
    for config in configs.values():
        try:
            RunFolder(config).finished()
        except OtherConfiguration:
            raise
        except RunFolderError:
            pass  # a damaged run: the sweep reports it and trains the others
    return list(configs.values())


def execute(configs: Sequence[Config], launcher: Serial, command: str) -> int:
    """Train the missing runs, then draw figures and report; return the exit code, which is 1 if a run is still missing.

    The data are read first, so that an error in them is reported once and not by every run.

    Raises
    ------
    UserError
        No run can start, because data are missing or nothing can be written.
    Interrupted
        A stop signal came; the runs that were training on this machine have saved.
    """
    missing = [config for config in configs if state_of(config).state is not State.DONE]
    for data in {(each.data.name, each.data.root, each.data.fold is None): each.data for each in missing}.values():
        source.load(data, print)
    if missing:
        write_plans(configs, command)
    print(f"{len(missing)} of {len(configs)} runs to do", flush=True)
    failures = Failures(launcher.give_up_after)
    if missing and isinstance(launcher, Slurm):
        from pdenet_repro.sweeps import slurm

        slurm.launch(missing, launcher, command, failures)
    elif missing:
        LocalSweep(missing, launcher.n if isinstance(launcher, Local) else 1, command, failures).launch()
    return finish(configs, failures)


def finish(configs: Sequence[Config], failures: Failures) -> int:
    """Draw figures and report of the finished runs, print the missing ones, and return the exit code."""
    from pdenet_repro.report.runs import Missing
    from pdenet_repro.report.write import write_report

    states, name = {path_of(config): _with_failure(config, failures) for config in configs}, names(configs)
    missing = {path: found for path, found in states.items() if found.state is not State.DONE}
    print(f"\n{len(states) - len(missing)} of {len(states)} runs are done", flush=True)
    code = 1 if missing else 0
    gaps = [
        Missing(name[path], path, f"{missing[path].state}: {missing[path].reason}", dynamic=config.dynamic,
                fraction=config.data.fraction, variation=config.variation)
        for config in configs if (path := path_of(config)) in missing
    ]  # fmt: skip
    for study in dict.fromkeys(study_of(config) for config in configs if path_of(config) not in missing):
        try:
            write_report(study, gaps=[gap for gap in gaps if study in gap.folder.parents])
        except UserError as error:  # the other studies still get reports, and missing runs are still printed
            print(error, file=sys.stderr)
            code = code or error.exit_code
        except Exception as error:  # a fault of this program; the runs are trained all the same
            traceback.print_exception(error)
            print(
                f"the report of {study} failed; its runs are finished, and the same command draws it again",
                file=sys.stderr,
            )
            code = code or 1
    for path, found in missing.items():
        print(f"{found.state}: {name[path]}: {found.reason}", file=sys.stderr)
    if failures.give_up:
        print(
            f"the first {failures.give_up_after} runs failed for the same reason, so no more were started "
            f"(launcher.give_up_after={failures.give_up_after})",
            file=sys.stderr,
        )
    if missing:
        print(f"{len(missing)} of {len(states)} runs are missing; the same command tries again", file=sys.stderr)
    return code


def _with_failure(config: Config, failures: Failures) -> RunState:
    """Return the state of a run; a failure that its folder does not record (full disk) is taken from ``failures``."""
    found, reason = state_of(config), failures.reasons.get(path_of(config))
    if reason is None or found.state not in (State.TO_DO, State.INTERRUPTED):
        return found
    return RunState(State.FAILED, reason)
