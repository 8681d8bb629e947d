"""Imports matplotlib and gives it its default settings, whatever a notebook, a shell or a matplotlibrc file has set.

A figure depends on the settings when it is made and again when it is saved: both must happen within ``matplotlib_defaults``.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from importlib.util import find_spec


def load_matplotlib() -> None:
    """Import matplotlib even if MPLBACKEND names no backend or a matplotlibrc file is not UTF-8.

    The backend that a user has chosen stays; this package needs none, since it draws figures without ``pyplot``.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    except UnicodeDecodeError:  # matplotlib has warned which matplotlibrc file it is
        for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
            del sys.modules[name]
        (package,) = find_spec("matplotlib").submodule_search_locations  # type: ignore[union-attr, misc]
        # a matplotlibrc in the working folder is read in place of others
        with chdir(os.path.join(package, "mpl-data")):
            import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


@contextmanager
def matplotlib_defaults() -> Iterator[None]:
    """Context (and decorator) in which matplotlib has its default settings; the user's settings return afterwards."""
    load_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield
