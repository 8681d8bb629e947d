"""From the words of a command to configurations. The only file that imports Hydra, and only what Hydra documents.

Hydra reads ``key=value`` and composes the presets of ``configs/``; the schema checks the result. A sweep is multiplied
here: each of its runs becomes one ``Config``, which the run's process gets, so that nothing is composed twice.
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

from pdenet_repro.config import refusals
from pdenet_repro.config.check import check
from pdenet_repro.config.dynamics import locate
from pdenet_repro.config.presets import GROUPS, folder
from pdenet_repro.config.schema import Config
from pdenet_repro.system.errors import InvalidConfig

VERSION = "1.3"  # of Hydra's behaviour
PATHS = ("dynamic", "name", "variation", "output_root", "data.root")  # keys whose values stay as they are typed
PAIR = "pair"  # pair=KEY,KEY: the keys' values are gone through together
# values with commas between them; not those within quotes, brackets or ${...}
VALUES = re.compile(r"""(?:\$\{[^}]*\}|\[[^\]]*\]|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,])+""")
HYDRAS = re.compile(
    r"""\s*['"]|(choice|range|shuffle|sort)\("""
)  # how values begin that Hydra must read: quotes, functions

_hydra_in_use = threading.RLock()  # Hydra keeps its state in globals


@dataclass
class _Presets(Config):
    """What ``configs/`` may set: a run's settings, and in a study the values that its runs go through.

    ``sweep`` is {key: values}, of which every combination is a run, or a list of such mappings, one after the other.
    """

    sweep: Any = None


def compose(*overrides: str) -> Config:
    """The configuration that the same words on the command line give, e.g. ``compose("dynamic=resnet", "seed=1")``.

    Every value is checked by itself and with the others. Whether it suits the data set and the machine is not, so that
    networks can be built without either: ``data.fraction=0.333`` (no whole number of images), a batch larger than the
    training set and a GPU that is not here are refused when a run starts. May be called within another Hydra program
    and from several threads.

    Raises
    ------
    InvalidConfig
        One sentence: key, value, what is allowed.
    TypeError
        Something else than words.
    """
    for word in overrides:
        if not isinstance(word, str):
            raise TypeError(f'compose takes words, as in compose("dynamic=resnet", "seed=1"), not {word!r}')
    (config,) = _configs(overrides, sweep=False)
    check(config)
    return config


def compose_sweep(words: Sequence[str]) -> list[Config]:
    """The configurations of all runs of a sweep: every combination of the values, the last key's values change fastest.

    ``pair=KEY,KEY`` among the words goes through the values of these keys together instead of combining them. Of a study
    whose ``sweep`` is a list, the runs of each entry follow one another; what the words say holds for every entry.

    Raises
    ------
    InvalidConfig
        One sentence: key, value, what is allowed. Values that are wrong with others are left to ``schema.check``.
    """
    return _configs(words, sweep=True)


def parse(word: str) -> Override:
    """One word ``key=value`` as Hydra reads it; InvalidConfig where it cannot be read."""
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise InvalidConfig(refusals.unreadable(word)) from error


def scaled_milestones(milestones: Sequence[int], reference_epochs: int, epochs: int) -> list[int]:
    """Milestones of a schedule of ``reference_epochs`` for one of ``epochs``: the same shape, rounded, at least 1."""
    return [max(1, int(milestone * epochs / reference_epochs + 0.5)) for milestone in milestones]


def _configs(words: Sequence[str], sweep: bool) -> list[Config]:
    pairs = [word for word in words if word.partition("=")[0] == PAIR]
    settings = _read([word for word in words if word not in pairs], sweep)
    with _composing() as hydra_compose:
        # Composing takes Hydra a tenth of a second and more: once for each choice of presets, then values are put in.
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
                OmegaConf.copy_cache(before, composed)  # ${now:...} is the same time in all runs
            configs.append(_typed(composed))
            before = composed
        return configs


def _parts_of_sweep(sweep: Any) -> list[list[str]]:
    """The words of each part of a study's ``sweep``, as a command would give them; InvalidConfig where it is malformed."""
    parts = sweep if isinstance(sweep, list) else [{} if sweep is None else sweep]
    if fault := refusals.wrong_sweep(parts):
        raise InvalidConfig(fault)
    return [[f"{key}={_as_typed(values)}" for key, values in part.items()] for part in parts]


def _as_typed(value: Any) -> str:
    """A value of a YAML file as a command takes it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"[{','.join(map(_as_typed, value))}]" if isinstance(value, list) else str(value)


def _runs_of(part: Sequence[str], settings: Mapping[str, list[str]], pairs: Sequence[str]) -> Iterator[dict[str, str]]:
    """{key: value} of each run of one part of a sweep: by its own words, and by the command's, which win."""
    own_pairs = [word for word in part if word.startswith(f"{PAIR}=")]
    own = _read([word for word in part if word not in own_pairs], sweep=True)
    return _combinations({**own, **settings}, [*own_pairs, *pairs])


def _read(words: Sequence[str], sweep: bool) -> dict[str, list[str]]:
    """{key: its values as they are typed}; of a key that is given twice, the last values, in the first place.

    InvalidConfig names the first word that sets nothing here, or no allowed value.
    """
    settings = {}
    for word in words:
        if fault := refusals.wrong_form(word):
            raise InvalidConfig(fault)
        key, _, typed = word.partition("=")
        if _is_path(key, typed) and ",".join(values := VALUES.findall(typed)) == typed:
            values, several = values or [""], len(values) > 1
        else:
            override = parse(word)
            several = override.is_sweep_override()
            values = list(override.sweep_string_iterator()) if several else [typed]
        read = [_value(key, value) for value in values]
        if fault := refusals.wrong_setting(word, key, read, several, sweep):
            raise InvalidConfig(fault)
        settings[key] = values
    return settings


def _is_path(key: str, value: str) -> bool:
    """Whether a value stays as it is typed, without Hydra's grammar: ``data.root=/tmp/é``, ``name=1e3``."""
    return key in PATHS and not HYDRAS.match(value)


@cache
def _value(key: str, value: str) -> Any:
    return value if _is_path(key, value) else parse(f"{key}={value}").value()


def _combinations(settings: Mapping[str, list[str]], pairs: Sequence[str]) -> Iterator[dict[str, str]]:
    """{key: value} of each run: every combination of the values, those of paired keys together."""
    groups: dict[str, tuple[str, ...]] = {key: (key,) for key in settings}
    for word in pairs:
        keys = tuple(word.partition("=")[2].split(","))
        if fault := refusals.wrong_pair(word, {key: len(settings.get(key, ())) for key in keys}, groups):
            raise InvalidConfig(fault)
        for key in keys[1:]:
            del groups[key]
        groups[keys[0]] = keys
    together = [list(zip(*(settings[key] for key in keys), strict=True)) for keys in groups.values()]
    order = [key for keys in groups.values() for key in keys]
    for run in itertools.product(*together):
        yield dict(zip(order, itertools.chain.from_iterable(run), strict=True))


def _with_values(run: Mapping[str, str], presets: Callable[[tuple[str, ...]], DictConfig]) -> DictConfig:
    """The presets that a run chooses, with its other values put in."""
    composed = presets(tuple(f"{key}={value}" for key, value in run.items() if key in GROUPS)).copy()
    for key, value in run.items():
        if key not in GROUPS:
            refusals.put(composed, key, _value(key, value), f"{key}={value}")
    return composed


def _typed(composed: DictConfig) -> Config:
    values: Any = OmegaConf.to_object(composed)
    config = Config(**{entry.name: getattr(values, entry.name) for entry in fields(Config)})
    config.dynamic, config.dynamic_file, config.dynamic_sha256 = locate(
        config.dynamic, config.dynamic_file, config.dynamic_sha256
    )
    config.data.fraction = round(config.data.fraction, 10)  # range(0.1,1,0.1) counts 0.30000000000000004
    return config


@contextmanager
def _composing() -> Iterator[Callable[..., DictConfig]]:
    """Hydra's ``compose`` for our presets; what it refuses becomes one sentence. Another Hydra program's is put back."""
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
            raise InvalidConfig(refusals.in_one_line(error)) from error
        finally:
            ours.hydra = others
            versions.version_base = (
                version  # not setbase, which refuses the value of a process that has composed nothing
            )


def _milestones(milestones: list[int], reference_epochs: int, *, _parent_: DictConfig) -> list[int]:
    return scaled_milestones(milestones, reference_epochs, _parent_.epochs)


def _at_fraction(fraction: float, value: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """In a study: ``value`` for the runs of one fraction, ``otherwise`` for those of the others."""
    return value if abs(_root_.data.fraction - fraction) < 1e-9 else otherwise


def _for_dynamic(dynamic: str, value: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """In a recipe: ``value`` for one dynamic, ``otherwise`` for the others."""
    return value if _root_.dynamic == dynamic else otherwise
