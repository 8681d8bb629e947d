"""Loads the data set that the ``data`` part of a configuration names."""

from collections.abc import Callable
from pathlib import Path

from pdenet_repro.config.schema import CLASSES, DataConfig
from pdenet_repro.data import shapes, stl10

# Training images of a class (in all, in one official fold), with which a fraction is checked before any file is read.
PER_CLASS = {"stl10": (500, 100), "shapes": (shapes.TRAIN_PER_CLASS, shapes.TRAIN_PER_CLASS // shapes.FOLDS)}
TEST_IMAGES = {"stl10": 8000, "shapes": CLASSES * shapes.TEST_PER_CLASS}


def images_per_class(config: DataConfig) -> int:
    """Return the number of training images of each class, before any fraction is taken."""
    whole, fold = PER_CLASS[config.name]
    return whole if config.fold is None else fold


def load(config: DataConfig, say: Callable[[str], None]) -> stl10.Dataset:
    """Return the verified data set, which is downloaded or drawn first if that is needed.

    Raises
    ------
    DataError
        The data set is missing or damaged.
    StorageError
        The data set cannot be written.
    """
    if config.name == "shapes":
        return shapes.read(shapes.ensure(Path(config.root).expanduser() if config.root else None, say=say))
    root = Path(config.root or "data").expanduser()
    if config.download:
        from pdenet_repro.data.fetch import fetch_stl10

        fetch_stl10(root, need_folds=config.fold is not None, say=say)
    return stl10.read_stl10(root, need_folds=config.fold is not None)
