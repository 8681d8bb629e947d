"""Residual networks motivated by partial differential equations: the STL-10 study of Ruthotto & Haber (arXiv 1804.04272).

From Python: ``config = compose("dynamic=hamiltonian")``, ``network = build_network(config)``, and for a finished run
``network, config = load_run(folder)``. ``load_pretrained("hamiltonian")`` is a trained network that comes with the package.
"""

from typing import TYPE_CHECKING, Any

from pdenet_repro.version import __version__

__all__ = ["__version__", "build_network", "compose", "load_pretrained", "load_run"]

if TYPE_CHECKING:
    from pdenet_repro.config.compose import compose
    from pdenet_repro.networks.build import build_network
    from pdenet_repro.runs.pretrained import load_pretrained
    from pdenet_repro.runs.results import load_run


def __getattr__(name: str) -> Any:
    """The public functions, imported when first used: the command line must not wait for torch."""
    if name == "build_network":
        from pdenet_repro.networks.build import build_network as found
    elif name == "compose":
        from pdenet_repro.config.compose import compose as found  # type: ignore[assignment]
    elif name == "load_run":
        from pdenet_repro.runs.results import load_run as found  # type: ignore[assignment]
    elif name == "load_pretrained":
        from pdenet_repro.runs.pretrained import load_pretrained as found  # type: ignore[assignment]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
