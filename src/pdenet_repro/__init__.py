"""Residual networks motivated by partial differential equations: the STL-10 study of Ruthotto & Haber (arXiv 1804.04272).

``compose("dynamic=hamiltonian")`` returns a configuration, and ``build_network(config)`` its network with initial weights.
``load_run(folder)`` returns the network and the configuration of a finished run, ``load_pretrained("hamiltonian")`` a trained
network that comes with the package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pdenet_repro.version import __version__

__all__ = ["__version__", "build_network", "compose", "load_pretrained", "load_run"]

if TYPE_CHECKING:
    from pdenet_repro.config.compose import compose
    from pdenet_repro.networks.build import build_network
    from pdenet_repro.runs.pretrained import load_pretrained
    from pdenet_repro.runs.results import load_run

MODULES = {
    "build_network": "networks.build", "compose": "config.compose", "load_pretrained": "runs.pretrained",
    "load_run": "runs.results",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used, so that the command line need not wait for torch."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"pdenet_repro.{MODULES[name]}"), name)
