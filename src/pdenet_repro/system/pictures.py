"""Matplotlib with settings of this package alone, whatever a notebook, a shell or a matplotlibrc file has set.

A figure depends on matplotlib's settings when it is made and again when it is saved: both belong within ``own_settings``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def load_matplotlib() -> None:
    """Import matplotlib, also where MPLBACKEND names a backend that does not exist, for which the import would fail.

    A user's own choice of a backend stays; nothing here uses one, since figures are drawn without ``pyplot``.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
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
