"""Composes command-line arguments with the presets of ``configs/`` into configurations. Only this module imports Hydra.

Hydra parses ``key=value`` and merges the presets; the schema checks the types of the result. A sweep is expanded here: each
of its runs becomes one ``Config``, which is passed to the process of the run, so that no run is composed twice.
"""

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdenet_repro.config import argument_errors
from pdenet_repro.config.check import check
from pdenet_repro.config.dynamics import locate
from pdenet_repro.config.presets import GROUPS, folder
from pdenet_repro.config.schema import Config
from pdenet_repro.system.errors import InvalidConfig

VERSION = "1.3"  # Hydra's version_base: it behaves as in this release
PATHS = ("dynamic", "name", "variation", "output_root", "data.root")  # their values are taken literally, not parsed
PAIR = "pair"  # pair=KEY,KEY: the values of these keys vary together
# one of several values with commas between them; commas within quotes, brackets or ${...} do not separate
VALUES = re.compile(r"""(?:\$\{[^}]*\}|\[[^\]]*\]|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,])+""")
# the beginning of a value that Hydra must parse: a quote, or a function of Hydra's grammar
HYDRA_SYNTAX = re.compile(r"""\s*['"]|(choice|range|shuffle|sort)\(""")

_hydra_in_use = threading.RLock()  # Hydra keeps its state in global variables


@dataclass
class _Presets(Config):
    """The keys that the files in ``configs/`` may set: the settings of a run and, in a study, ``sweep``.

    ``sweep`` is {key: values}, where every combination of values is a run, or a list of such mappings, whose runs follow one
    another.
    """

    sweep: Any = None


def compose(*overrides: str) -> Config:
    """Return the configuration of one run from command-line arguments, e.g. ``compose("dynamic=resnet", "seed=1")``.

    The values are checked by themselves and against one another, but not against the data set or the machine, so that networks
    can be built without them: a ``data.fraction`` that gives no whole number of images, a batch larger than the training set,
    and a missing GPU are errors only when a run starts. The function may be called within another Hydra program and from
    several threads.

    Raises
    ------
    InvalidConfig
        The message is one sentence that names the key, the value and what is allowed.
    TypeError
        An argument is not a string.
    """
    for argument in overrides:
        if not isinstance(argument, str):
            raise TypeError(f'compose takes strings, as in compose("dynamic=resnet", "seed=1"), not {argument!r}')
    (config,) = _configs(overrides, sweep=False)
    check(config)
    return config


def compose_sweep(arguments: Sequence[str]) -> list[Config]:
    """Return the configurations of all runs of a sweep: every combination of the values; those of the last key change fastest.

    With an argument ``pair=KEY,KEY`` the values of these keys vary together instead of being combined. If the ``sweep`` of a
    study is a list, the runs of its entries follow one another, and the arguments apply to every entry.

    Raises
    ------
    InvalidConfig
        The message is one sentence that names the key, the value and what is allowed. Ranges, and values that contradict one
        another, are not checked here but by `pdenet_repro.config.check.check`.
    """
    return _configs(arguments, sweep=True)


def parse(argument: str) -> Override:
    """Parse an argument ``key=value`` by Hydra's grammar; raise InvalidConfig if that fails."""
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException as error:
        raise InvalidConfig(argument_errors.unreadable(argument)) from error


def scaled_milestones(milestones: Sequence[int], reference_epochs: int, epochs: int) -> list[int]:
    """Return milestones for ``epochs`` in the proportions of those for ``reference_epochs``, rounded, at least 1."""
    return [max(1, int(milestone * epochs / reference_epochs + 0.5)) for milestone in milestones]


def _configs(arguments: Sequence[str], sweep: bool) -> list[Config]:
    pairs = [argument for argument in arguments if argument.partition("=")[0] == PAIR]
    settings = _read([argument for argument in arguments if argument not in pairs], sweep)
    with _composing() as hydra_compose:
        # Hydra needs a tenth of a second or more to compose presets: it does so once for each choice of them.
        presets = cache(lambda choices: hydra_compose("config", list(choices)))
        if sweep:
            studies = tuple(f"study={study}" for study in settings.get("study", ()))
            studied: Any = OmegaConf.to_container(presets(studies), resolve=False)
            parts = _parts_of_sweep(studied["sweep"])
        elif pairs:
            raise InvalidConfig(f"{pairs[0]}: belongs to a sweep, which needs -m")
        else:
            parts = [[]]  # one run
        configs, before = [], None
        for run in itertools.chain.from_iterable(_runs_of(part, settings, pairs) for part in parts):
            composed = _with_values(run, presets)
            if before is not None:
                OmegaConf.copy_cache(before, composed)  # so that ${now:...} is the same time in all runs
            configs.append(_to_config(composed))
            before = composed
        return configs


def _parts_of_sweep(sweep: Any) -> list[list[str]]:
    """Return each entry of a study's ``sweep`` as command-line arguments; raise InvalidConfig if it is malformed."""
    parts = sweep if isinstance(sweep, list) else [{} if sweep is None else sweep]
    if fault := argument_errors.wrong_sweep(parts):
        raise InvalidConfig(fault)
    return [[f"{key}={_command_syntax(values)}" for key, values in part.items()] for part in parts]


def _command_syntax(value: Any) -> str:
    """A value from a YAML file in the syntax of the command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"[{','.join(map(_command_syntax, value))}]" if isinstance(value, list) else str(value)


def _runs_of(part: Sequence[str], settings: Mapping[str, list[str]], pairs: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield {key: value} of each run of one entry of a sweep, whose own values the command's ``settings`` override."""
    own_pairs = [argument for argument in part if argument.startswith(f"{PAIR}=")]
    own = _read([argument for argument in part if argument not in own_pairs], sweep=True)
    return _combinations({**own, **settings}, [*own_pairs, *pairs])


def _read(arguments: Sequence[str], sweep: bool) -> dict[str, list[str]]:
    """Return {key: its values as strings}; a key that is given twice keeps its first position and gets its last values.

    InvalidConfig names the first argument with a wrong form, key or preset.
    """
    settings = {}
    for argument in arguments:
        if fault := argument_errors.wrong_form(argument):
            raise InvalidConfig(fault)
        key, _, typed = argument.partition("=")
        if _is_path(key, typed) and ",".join(values := VALUES.findall(typed)) == typed:
            values, several = values or [""], len(values) > 1
        else:
            override = parse(argument)
            several = override.is_sweep_override()
            values = list(override.sweep_string_iterator()) if several else [typed]
        read = [_value(key, value) for value in values]
        if fault := argument_errors.wrong_setting(argument, key, read, several, sweep):
            raise InvalidConfig(fault)
        settings[key] = values
    return settings


def _is_path(key: str, value: str) -> bool:
    """Whether a value is taken literally, without Hydra's grammar, as in ``data.root=/tmp/é`` and ``name=1e3``."""
    return key in PATHS and not HYDRA_SYNTAX.match(value)


@cache
def _value(key: str, value: str) -> Any:
    return value if _is_path(key, value) else parse(f"{key}={value}").value()


def _combinations(settings: Mapping[str, list[str]], pairs: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield {key: value} of each run: every combination of the values, where the values of paired keys vary together."""
    groups: dict[str, tuple[str, ...]] = {key: (key,) for key in settings}
    for argument in pairs:
        keys = tuple(argument.partition("=")[2].split(","))
        if fault := argument_errors.wrong_pair(argument, {key: len(settings.get(key, ())) for key in keys}, groups):
            raise InvalidConfig(fault)
        for key in keys[1:]:
            del groups[key]
        groups[keys[0]] = keys
    together = [list(zip(*(settings[key] for key in keys), strict=True)) for keys in groups.values()]
    order = [key for keys in groups.values() for key in keys]
    for run in itertools.product(*together):
        yield dict(zip(order, itertools.chain.from_iterable(run), strict=True))


def _with_values(run: Mapping[str, str], presets: Callable[[tuple[str, ...]], DictConfig]) -> DictConfig:
    """Compose the presets that a run chooses, and set its other values."""
    composed = presets(tuple(f"{key}={value}" for key, value in run.items() if key in GROUPS)).copy()
    for key, value in run.items():
        if key not in GROUPS:
            argument_errors.set_value(composed, key, _value(key, value), f"{key}={value}")
    return composed


def _to_config(composed: DictConfig) -> Config:
    values: Any = OmegaConf.to_object(composed)
    config = Config(**{entry.name: getattr(values, entry.name) for entry in fields(Config)})
    config.dynamic, config.dynamic_file, config.dynamic_sha256 = locate(
        config.dynamic, config.dynamic_file, config.dynamic_sha256
    )
    config.data.fraction = round(config.data.fraction, 10)  # range(0.1,1,0.1) yields 0.30000000000000004
    return config


@contextmanager
def _composing() -> Iterator[Callable[..., DictConfig]]:
    """Yield Hydra's ``compose`` for our presets; turn its errors into InvalidConfig and restore Hydra's global state."""
    with _hydra_in_use:
        ours, versions = GlobalHydra.instance(), VersionBase.instance()
        others, version = ours.hydra, versions.getbase()
        ours.clear()
        try:
            ConfigStore.instance().store(name="pdenet_repro_schema", node=_Presets)
            OmegaConf.register_new_resolver("milestones", _milestones, replace=True)
            OmegaConf.register_new_resolver("at_fraction", _at_fraction, replace=True)
            OmegaConf.register_new_resolver("for_dynamic", _for_dynamic, replace=True)
            hydra.initialize_config_dir(str(folder()), version_base=VERSION)
            yield hydra.compose
        except (HydraException, OmegaConfBaseException) as error:
            raise InvalidConfig(argument_errors.in_one_line(error)) from error
        finally:
            ours.hydra = others
            versions.version_base = version  # setbase would reject the value from before Hydra's first use


def _milestones(milestones: list[int], reference_epochs: int, *, _parent_: DictConfig) -> list[int]:
    return scaled_milestones(milestones, reference_epochs, _parent_.epochs)


def _at_fraction(fraction: float, value: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """Resolver for studies: ``value`` for the runs of one fraction, ``otherwise`` for all others."""
    return value if abs(_root_.data.fraction - fraction) < 1e-9 else otherwise


def _for_dynamic(dynamic: str, value: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """Resolver for recipes: ``value`` for one dynamic, ``otherwise`` for all others."""
    return value if _root_.dynamic == dynamic else otherwise
