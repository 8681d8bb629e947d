"""Draw some images of every class of a data set in STL-10's format; ``python scripts/contact_sheet.py --help``."""

import argparse
import io
import sys
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.data import shapes, stl10
from pdenet_repro.system.arguments import whole_number
from pdenet_repro.system.errors import UserError

matplotlib.use("Agg")
from matplotlib import pyplot as plt

GAP = 5  # white pixels between images
LEVEL = 15  # colours are rounded to multiples of this; it divides 255, so that white stays white


def column(images: stl10.Images, label: int, rows: int) -> NDArray[np.uint8]:
    """Return the first ``rows`` images of one class, one below the other, (height, 96, 3)."""
    chosen = images.pixels[np.flatnonzero(images.labels == label)[:rows]].transpose(0, 2, 3, 1)
    framed = np.pad(chosen, ((0, 0), (0, GAP), (0, 0), (0, 0)), constant_values=255)
    return framed.reshape(-1, *framed.shape[2:])[:-GAP]


def contact_sheet(data: stl10.Dataset, rows: int, output: Path) -> None:
    """Draw and save one column of training images per class, below the name of the class."""
    columns = [column(data.train, label, rows) for label in range(len(data.class_names))]
    figure, axes = plt.subplots(1, len(columns), figsize=(len(columns), rows + 0.25))
    for axis, pixels, name in zip(axes, columns, data.class_names, strict=True):
        axis.imshow(pixels, interpolation="lanczos")
        axis.set_title(name, fontsize=10.5, pad=4)
        axis.axis("off")
    figure.subplots_adjust(left=0, right=1, bottom=0, top=rows / (rows + 0.25), wspace=GAP / IMAGE_SIDE)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=96)
    output.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(Image.open(drawn).convert("RGB"))
    coarse = np.rint(pixels / LEVEL) * LEVEL  # invisible, and a third of the file size
    Image.fromarray(coarse.astype(np.uint8)).save(output, optimize=True)
    print(f"{output}: {output.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Parse the options, read the data and draw the contact sheet."""
    parser = argparse.ArgumentParser(
        description="Draw a contact sheet: some training images of every class, by column."
    )
    parser.add_argument("--root", type=Path, help="folder of STL-10; without it the built-in shapes are drawn")
    parser.add_argument("--rows", type=whole_number(1), default=6, help="images of each class (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("docs/images/shapes.png"), help="default: %(default)s")
    options = parser.parse_args()
    try:
        data = stl10.read_stl10(options.root) if options.root else shapes.read(shapes.ensure())
    except UserError as error:
        sys.exit(f"error: {error}")
    contact_sheet(data, options.rows, options.output)


if __name__ == "__main__":
    main()
