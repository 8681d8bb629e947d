"""From preset names and overrides to a configuration: Hydra composes ``configs/``, the schema holds it together."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdenet_repro.config.dynamics import locate
from pdenet_repro.config.presets import GROUPS, choices, folder
from pdenet_repro.config.schema import Config, check
from pdenet_repro.system.errors import InvalidConfig

# Our presets of launchers have the names that Hydra's plugins register theirs under, which Hydra warns of.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")


def register() -> None:
    """Tell Hydra the schema, and OmegaConf the functions that presets call. May be called again."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("milestones", _milestones, replace=True)
    OmegaConf.register_new_resolver("at_fraction", _at_fraction, replace=True)
    OmegaConf.register_new_resolver("for_dynamic", _for_dynamic, replace=True)


def _milestones(milestones: list[int], reference_epochs: int, *, _parent_: DictConfig) -> list[int]:
    return scaled_milestones(milestones, reference_epochs, _parent_.epochs)


def scaled_milestones(milestones: Sequence[int], reference_epochs: int, epochs: int) -> list[int]:
    """Milestones of a schedule of ``reference_epochs`` for one of ``epochs``: the same shape, rounded, at least 1."""
    return [max(1, int(milestone * epochs / reference_epochs + 0.5)) for milestone in milestones]


def _at_fraction(fraction: float, value: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """In a study: ``value`` for the runs of one fraction, ``otherwise`` for those of the others."""
    return value if abs(_root_.data.fraction - fraction) < 1e-9 else otherwise


def _for_dynamic(dynamic: str, value: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    """In a recipe: ``value`` for one dynamic, ``otherwise`` for the others."""
    return value if _root_.dynamic == dynamic else otherwise


def readable(words: Sequence[str]) -> list[str]:
    """Words of a command with quotes where Hydra's grammar needs them and nobody expects it: ``data.root=~/data``.

    Refuses the ``~key`` of that grammar, for a key taken out would silently get the schema's default, ``+key``, for one
    added would silently do nothing, a list of presets, for all but the last would silently be left out, and settings of
    Hydra's own, for most would silently move what this program and its reports expect in its place.
    """
    from pdenet_repro.config.refusals import complaint, launcher_complaint

    if fault := launcher_complaint(words):
        raise InvalidConfig(fault)
    for word in words:
        if word.startswith("+") and (fault := complaint(word)):
            raise InvalidConfig(fault)
        if word.startswith("~"):
            raise InvalidConfig(
                f"{word}: a setting cannot be removed; give it another value, or null where --help says so"
            )
        key, _, value = word.partition("=")
        if key in GROUPS and (value.startswith("[") or value == "null"):
            raise InvalidConfig(f"{word}: must be one of {', '.join(choices(key))}")
        if re.match(r"(glob|interval)\(", value):
            raise InvalidConfig(f"{word}: must be values with commas between them, or range(from,to,step)")
    return [_quoted(re.sub(r"^([\w.]+)=(~[^'\",]*)$", r"\1='\2'", word)) for word in words]


def _quoted(word: str) -> str:
    """``name=2024_11_25`` with quotes, where Hydra's grammar would read a number or a truth value: a name stays as typed."""
    key, _, values = word.partition("=")
    if key not in ("name", "output_root", "data.root"):
        return word
    no_text = re.compile(r"[+-]?[\d_.]*\d[\d_.]*(e[+-]?\d+)?|true|false|nan|[+-]?inf", re.IGNORECASE)
    return f"{key}=" + ",".join(f"'{value}'" if no_text.fullmatch(value) else value for value in values.split(","))


def to_config(composed: DictConfig) -> Config:
    """The typed configuration; InvalidConfig for a value still missing, or a dynamic that is not found."""
    try:
        config: Any = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise InvalidConfig(f"{getattr(error, 'full_key', '') or 'the configuration'}: {reason}") from error
    assert isinstance(config, Config)
    config.dynamic, config.dynamic_file, config.dynamic_sha256 = locate(
        config.dynamic, config.dynamic_file, config.dynamic_sha256
    )
    config.data.fraction = round(config.data.fraction, 10)  # range(0.1,1,0.1) counts 0.30000000000000004
    return config


def compose(*overrides: str) -> Config:
    """The configuration that the same words on the command line give, e.g. ``compose("dynamic=resnet", "seed=1")``.

    Every value is checked by itself and with the others. Whether it suits the data set and the machine is not, so that
    networks can be built without either: ``data.fraction=0.333`` (no whole number of images), a batch larger than the
    training set and a GPU that is not here are refused when a run starts.

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
    words = readable(overrides)
    with _composing(words) as hydra_compose:
        config = to_config(hydra_compose("config", words))
    check(config)
    return config


def compose_sweep(overrides: Sequence[str]) -> list[Config]:
    """The configurations of all runs of a sweep, multiplied and ordered as Hydra's own sweeper does.

    Raises
    ------
    InvalidConfig
        One sentence: key, value, what is allowed.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = readable(overrides)
    whole = [word for word in words if word.startswith(("study=", "hydra"))]  # not of single runs
    with _composing(words, sweep=True) as hydra_compose:
        axes = hydra_compose("config", whole, return_hydra_config=True).hydra.sweeper.params or {}
        parsed = OverridesParser.create().parse_overrides([f"{key}={values}" for key, values in axes.items()] + words)
        for each in parsed:
            if each.is_sweep_override() and not any(True for _ in each.sweep_string_iterator()):
                raise InvalidConfig(f"{each.input_line}: holds no value; must have one at least")
        (runs,) = BasicSweeper.split_arguments(parsed, None)
        # Composing takes Hydra a tenth of a second and more: once for each choice of presets, then values are put in.
        compose_presets = cache(lambda choices: hydra_compose("config", [*choices]))
        return [to_config(_with_values(run, compose_presets)) for run in runs]


def sweep_folder(overrides: Sequence[str]) -> Path:
    """Where Hydra puts what is of a whole sweep: it knows the settings that are the same in all runs, and presets."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = readable(overrides)
    with _composing(words, sweep=True) as hydra_compose:
        parsed = OverridesParser.create().parse_overrides(words)
        single = [str(each.input_line) for each in parsed if not each.is_sweep_override()]
        return Path(hydra_compose("config", single, return_hydra_config=True).hydra.sweep.dir)


def _with_values(run: Sequence[str], compose_presets: Callable[[tuple[str, ...]], DictConfig]) -> DictConfig:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides = [
        override
        for override in OverridesParser.create().parse_overrides(list(run))
        if not override.key_or_group.startswith("hydra")
    ]
    choices = tuple(str(each.input_line) for each in overrides if each.key_or_group in GROUPS)
    composed = compose_presets(choices).copy()
    for each in overrides:
        if each.key_or_group not in GROUPS:
            OmegaConf.update(composed, each.key_or_group, each.value())
    return composed


@contextmanager
def _composing(words: Sequence[str], sweep: bool = False) -> Iterator[Callable[..., DictConfig]]:
    """Hydra's ``compose``; what it refuses about ``words`` becomes one sentence."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException

    from pdenet_repro.config.refusals import explain

    register()
    try:
        with initialize_config_dir(str(folder()), version_base="1.3"):
            yield hydra_compose
    except (HydraException, OmegaConfBaseException) as error:
        raise InvalidConfig(explain(list(words), error, sweep)) from error
