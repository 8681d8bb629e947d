"""From preset names and overrides to a configuration: Hydra composes ``configs/``, the schema holds it together."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdenet_repro.config import Config
from pdenet_repro.errors import InvalidConfig
from pdenet_repro.training.schedule import scaled_milestones

GROUPS = ("dynamic", "recipe", "data", "network", "schedule")


def folder() -> Path:
    """The presets: inside an installed package, or at the top of the repository it runs from."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parents[1] / "configs"


def choices(group: str) -> list[str]:
    """Names of a group's presets."""
    return sorted(path.stem for path in (folder() / group).glob("*.yaml"))


def register() -> None:
    """Tell Hydra the schema, and OmegaConf how a schedule shortens. May be called again."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("milestones", _milestones, replace=True)


def _milestones(milestones: list[int], reference_epochs: int, *, _parent_: DictConfig) -> list[int]:
    return scaled_milestones(milestones, reference_epochs, _parent_.epochs)


def readable(words: Sequence[str]) -> list[str]:
    """Words of a command with quotes where Hydra's grammar needs them and nobody expects it: ``data.root=~/data``.

    Refuses the ``~key`` of that grammar: a key taken out would silently get the schema's default.
    """
    for word in words:
        if word.startswith("~"):
            raise InvalidConfig(
                f"{word}: a setting cannot be removed; give it another value, or null where --help says so"
            )
    return [re.sub(r"^([\w.]+)=(~[^'\",]*)$", r"\1='\2'", word) for word in words]


def to_config(composed: DictConfig) -> Config:
    """The typed configuration; InvalidConfig for a value still missing."""
    try:
        config: Any = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise InvalidConfig(f"{getattr(error, 'full_key', '') or 'the configuration'}: {reason}") from error
    assert isinstance(config, Config)
    return config


def compose(*overrides: str) -> Config:
    """The configuration that the same words on the command line give, e.g. ``compose("dynamic=resnet", "seed=1")``.

    Raises
    ------
    InvalidConfig
        One sentence: key, value, what is allowed.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException

    from pdenet_repro.refusal import explain

    register()
    words = readable(overrides)
    try:
        with initialize_config_dir(str(folder()), version_base="1.3"):
            return to_config(hydra_compose("config", words))
    except (HydraException, OmegaConfBaseException) as error:
        raise InvalidConfig(explain(words, error)) from error
