"""The test images of Figure 1: from the run folders, or from the data set where others are wanted."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdenet_repro.data.examples import drawn
from pdenet_repro.report.runs import Collection, Run
from pdenet_repro.system.errors import InvalidConfig, UserError


class NoImages(InvalidConfig):
    """Test images that neither the run folders nor the data set can give."""


@dataclass(frozen=True, eq=False)
class Example:
    """A test image."""

    index: int
    pixels: np.ndarray  # (3, H, W) uint8


def choose(collection: Collection, indices: Sequence[int] | None, seed: int) -> list[Example]:
    """The images ``indices``, or four drawn with ``seed``.

    Raises
    ------
    InvalidConfig
        An index that is no test image.
    NoImages
        One that neither the run folders nor the data set can give.
    """
    run = collection.runs[0]
    images = len(run.labels)
    wanted = [int(i) for i in (drawn(seed, images) if indices is None else indices)]
    outside = [index for index in wanted if not 0 <= index < images]
    if outside:
        raise InvalidConfig(f"--images {outside[0]}: must be between 0 and {images - 1}, the test images of these runs")
    carried = _carried(run)
    if not set(wanted) <= set(carried):
        pixels = _from_data(run, wanted, sorted(carried))
        carried = dict(zip(wanted, pixels, strict=True))
    return [Example(index, carried[index]) for index in wanted]


def _carried(run: Run) -> dict[int, np.ndarray]:
    path = run.folder / "examples.npz"
    if not path.is_file():
        return {}
    with np.load(io.BytesIO(path.read_bytes())) as file:
        return {int(i): pixels for i, pixels in zip(file["indices"], file["pixels"], strict=True)}


def _from_data(run: Run, wanted: Sequence[int], carried: Sequence[int]) -> np.ndarray:
    from dataclasses import replace

    from pdenet_repro.data import source

    try:
        return np.asarray(
            source.load(replace(run.config.data, download=False), lambda line: None).test.pixels[list(wanted)]
        )
    except UserError as error:
        there = f"the test images {', '.join(map(str, carried))} only" if carried else "no test images"
        raise NoImages(
            f"--images {','.join(map(str, wanted))}: the run folders carry {there}, and the data set cannot be read: {error}"
        ) from error
