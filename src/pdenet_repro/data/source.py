"""From the ``data`` part of a configuration to the images."""

from collections.abc import Callable
from pathlib import Path

from pdenet_repro.config.schema import DataConfig
from pdenet_repro.data import shapes, stl10

# Training images of a class (all of them, in one official fold): enough to refuse a fraction before anything is read.
PER_CLASS = {"stl10": (500, 100), "shapes": (shapes.TRAIN_PER_CLASS, shapes.TRAIN_PER_CLASS // 10)}
TEST_IMAGES = {"stl10": 8000, "shapes": 10 * shapes.TEST_PER_CLASS}


def images_per_class(config: DataConfig) -> int:
    """Training images of each class there are to choose from."""
    whole, fold = PER_CLASS[config.name]
    return whole if config.fold is None else fold


def load(config: DataConfig, say: Callable[[str], None]) -> stl10.Dataset:
    """The verified data set, downloaded or drawn first if need be; DataError or StorageError if it cannot be had."""
    if config.name == "shapes":
        return shapes.read(shapes.ensure(Path(config.root).expanduser() if config.root else None, say=say))
    root = Path(config.root or "data").expanduser()
    if config.download:
        from pdenet_repro.data.fetch import fetch_stl10

        fetch_stl10(root, need_folds=config.fold is not None, say=say)
    return stl10.read_stl10(root, need_folds=config.fold is not None)
