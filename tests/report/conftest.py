"""Fixtures of hand-made runs."""

import pytest
from made import Maker

from pdenet_repro.report import write


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Pictures take seconds: they are saved only for the tests marked ``pictures``, which look at them."""
    if not request.node.get_closest_marker("pictures"):
        monkeypatch.setattr(write, "save_figure", lambda figure, path, caption="": b"")


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


@pytest.fixture
def study(tmp_path, maker):
    """Three dynamics, two sizes, two seeds on the larger."""
    for dynamic, right in (("parabolic", 120), ("hamiltonian", 110), ("second_order", 130)):
        maker(f"dynamic={dynamic}", "data.fraction=0.05", right=range(40), images=100)
        for seed in (0, 1):
            maker(
                f"dynamic={dynamic}", "data.fraction=0.1", f"seed={seed}", right=range(right + 10 * seed), images=200,
                by_epoch=(0.1, 0.3 + 0.1 * seed, 0.5),
            )  # fmt: skip
    return tmp_path / "made"
