"""Matplotlib with settings of this package alone, whatever a notebook, a shell or a matplotlibrc file has set.

A figure depends on matplotlib's settings when it is made and again when it is saved: both belong within ``own_settings``.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from importlib.util import find_spec


def load_matplotlib() -> None:
    """Import matplotlib, also where its import would fail: MPLBACKEND names no backend, or a matplotlibrc is not UTF-8.

    A user's own choice of a backend stays; nothing here uses one, since figures are drawn without ``pyplot``.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    except UnicodeDecodeError:  # of the matplotlibrc that a warning of matplotlib names
        for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
            del sys.modules[name]
        (package,) = find_spec("matplotlib").submodule_search_locations  # type: ignore[union-attr, misc]
        with chdir(
            os.path.join(package, "mpl-data")
        ):  # a matplotlibrc in the working folder is read in place of others
            import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


@contextmanager
def own_settings() -> Iterator[None]:
    """Context (and decorator) in which matplotlib has its defaults; the user's settings return afterwards."""
    load_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield
