"""Finds the class of a dynamic, built in or in a user's file. No other module executes such a file."""

import hashlib
import inspect
import sys
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from pdenet_repro.config.dynamics import ALLOWED, changed_file_message, facts_of, read_source
from pdenet_repro.config.schema import Config
from pdenet_repro.networks.dynamics import DYNAMICS, Dynamic, SymmetricLayer
from pdenet_repro.system.errors import InvalidConfig


def dynamic_class(config: Config) -> type[Dynamic]:
    """Return the class of a configuration's dynamic, with its facts, in the variant that ``config.network`` chooses.

    This **executes** the file of a dynamic that is not built in, once in each process: the file that the command names, or the
    copy in a run folder. Its SHA-256 must be the one in the configuration.

    Raises
    ------
    InvalidConfig
        There is no such dynamic; or the file is missing, has changed, cannot be executed, or does not define a usable subclass
        of `Dynamic` of this name.
    """
    if config.dynamic_file is None:
        if config.dynamic not in DYNAMICS:
            raise InvalidConfig(f"dynamic={config.dynamic}: must be {ALLOWED}")
        return DYNAMICS[config.dynamic].variant(config.network)
    name, file = config.dynamic, config.dynamic_file
    content = read_source(Path(file), name)
    if (found := hashlib.sha256(content).hexdigest()) != config.dynamic_sha256:
        raise InvalidConfig(changed_file_message(name, file, found, str(config.dynamic_sha256)))
    facts = facts_of(name, file)
    cls = getattr(_execute(content, file, found), name, None)
    if not (inspect.isclass(cls) and issubclass(cls, Dynamic)):
        raise InvalidConfig(f"{file}: {name} must be a class that inherits from pdenet_repro.networks.dynamics.Dynamic")
    if inspect.isabstract(cls):
        raise InvalidConfig(f"{file}: the class {name} must have a method step")
    if facts.reversible and cls.inverse_step is Dynamic.inverse_step:
        raise InvalidConfig(f"{file}: the facts of {name} say reversible=True; it must have a method inverse_step")
    if facts.equation and not issubclass(cls.layer, SymmetricLayer):
        raise InvalidConfig(
            f"{file}: the facts of {name} say equation={facts.equation!r}; it must have layer = SymmetricLayer"
        )
    if "facts" not in vars(cls) and hasattr(cls, "facts"):
        raise InvalidConfig(
            f"{file}: the class {name} must state facts = Facts(...) of its own; those of its base class are not used"
        )
    cls.facts = facts
    return cls.variant(config.network)


def _execute(content: bytes, file: str, sha256: str) -> ModuleType:
    """Return the module of a file, which is executed unless a file of the same content has been executed before."""
    name = f"pdenet_dynamic_{sha256[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_loader(name, loader=None, origin=file)
    assert spec is not None
    module = module_from_spec(spec)
    module.__file__ = file
    sys.modules[name] = module  # dataclasses in the file look it up while they are defined
    try:
        exec(compile(content, file, "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise InvalidConfig(f"{file} cannot be executed: {type(error).__name__}: {error}") from error
    return module
