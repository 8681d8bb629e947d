"""Load the test images of Figure 1 from run folders, from a published study, or from the data set."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from pdenet_repro.data.examples import figure1_indices
from pdenet_repro.data.stl10 import LABELLED
from pdenet_repro.report.run import Run
from pdenet_repro.system.errors import InvalidConfig, UserError

FILE = "examples.npz"


class NoImages(InvalidConfig):
    """Neither the run folders nor the data set contain the test images."""


@dataclass(frozen=True, eq=False)
class Example:
    """A test image and its index among the test images."""

    index: int
    pixels: np.ndarray  # (3, H, W) uint8


def load_examples(
    runs: Sequence[Run], indices: Sequence[int] | None, seed: int, data_root: str | None = None
) -> list[Example]:
    """Return the test images with these indices, or four random ones drawn with ``seed``.

    ``data_root`` is the folder of the data set, if it is not where the run found it.

    Raises
    ------
    InvalidConfig
        An index is outside the test images.
    NoImages
        Neither the run folders nor the data set contain the images.
    """
    images = int(runs[0].summary["test_images"])
    wanted = [int(i) for i in (figure1_indices(seed, images) if indices is None else indices)]
    outside = [index for index in wanted if not 0 <= index < images]
    if outside:
        raise InvalidConfig(f"--images {outside[0]}: must be between 0 and {images - 1}, the test images of these runs")
    seen: set[int] = set()
    for carried in _carried(runs):
        if set(wanted) <= set(carried):
            return [Example(index, carried[index]) for index in wanted]
        seen |= set(carried)
    images_named = f"{'test images' if indices is None else '--images'} {','.join(map(str, wanted))}"
    pixels = _from_data(runs[0], wanted, images_named, sorted(seen), data_root)
    return [Example(index, image) for index, image in zip(wanted, pixels, strict=True)]


def _carried(runs: Sequence[Run]) -> Iterator[dict[int, np.ndarray]]:
    """Yield the pixels by index in each undamaged file of examples: first those of runs, then those of published studies."""
    of_runs = [(run.folder, run.summary["files_sha256"].get(FILE)) for run in runs]
    published = [(run.folder.absolute().parents[2], run.summary.get("published") or {}) for run in runs]
    of_studies = [(study, entry.get("study_examples_sha256")) for study, entry in published]
    for folder, expected in dict.fromkeys([*of_runs, *of_studies]):
        with suppress(OSError):
            content = (folder / FILE).read_bytes() if expected else b""
            if hashlib.sha256(content).hexdigest() == expected:
                with np.load(io.BytesIO(content)) as file:
                    yield {int(i): pixels for i, pixels in zip(file["indices"], file["pixels"], strict=True)}


def _from_data(
    run: Run, wanted: Sequence[int], named: str, carried: Sequence[int], data_root: str | None
) -> np.ndarray:
    from pdenet_repro.data import source

    config = replace(run.config.data, download=False, root=data_root or run.config.data.root)
    try:
        dataset = source.load(config, lambda line: None)
    except UserError as error:
        there = f"the test images {', '.join(map(str, carried))} only" if carried else "no test images"
        raise NoImages(f"{named}: the run folders contain {there}, and the data set cannot be read: {error}") from error
    expected = run.summary.get("data_md5") or {}
    for name in LABELLED:
        found = dataset.checksums.get(name)
        if found and expected.get(name) and found != expected[name]:
            raise NoImages(
                f"{named}: the data set in {config.root or 'its default folder'} is not the one of the runs: "
                f"MD5 of {name} {found}, expected {expected[name]}; name the folder of their data set with --data-root"
            )
    return np.asarray(dataset.test.pixels[list(wanted)])
