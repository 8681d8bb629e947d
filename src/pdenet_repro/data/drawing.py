"""Draws the images of the built-in data set: one shape or texture on a cluttered background, 96x96 RGB.

An image depends on its seed alone and is the same on every machine to the last bit: the only arithmetic is ``+ - * / sqrt``
and comparisons in single precision, which IEEE 754 defines exactly, on numbers from the PCG64 bit stream, which numpy
promises never to change. No sine, no matrix product and no sum over pixels is used.

A figure is a *signed distance* in pixels (negative inside) as a function of coordinates ``u, v``, which are shifted and
rotated for each image; `cover` turns it into the opacity of the paint. Arrays: fields (N, 96, 96), colours (N, 3) for N images.

The difficulty was tuned on the default set, 200 images a class. Test accuracy in %, where chance is 10: logistic
regression on pixels reaches 24; the small parabolic network reaches 96 to 97 in twelve epochs, and 43 to 46 with a tenth
of the images. With a figure that is always brighter than the background, logistic regression reaches 37. With one that is
brighter in half of the images, in colours so strong that the three channels disagree, the network stays at 70.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pdenet_repro.config.schema import IMAGE_SIDE

Field = NDArray[np.float32]

_DRAWS = 256  # uniform random numbers for each image
_BEHIND, _ACROSS = 9, 1  # strokes behind the figure and across it
_INVERTED = 0.15  # share of images whose figure is darker than the background
_NOISE = 2, 10  # range of the noise's amplitude, grey levels
_CHROMA, _STROKE_CHROMA = 60, 90  # largest distance of a colour from grey: figure and background, strokes
_STROKE_CONTRAST = 40  # largest difference in brightness of a stroke and the background

_ROWS, _COLUMNS = (axis.astype(np.float32) for axis in np.mgrid[:IMAGE_SIDE, :IMAGE_SIDE])
# Unit vectors at every half degree; rounded, because mathematics libraries differ in the last bit of a cosine.
_DIRECTIONS = np.array(
    [[round(math.cos(math.radians(a / 2)), 6), round(math.sin(math.radians(a / 2)), 6)] for a in range(720)], np.float32
)
# Red, yellow, green, cyan, blue and magenta, each minus its brightness (Rec. 601 luma).
_HUES = np.array(
    [
        [0.701, -0.299, -0.299],
        [0.114, 0.114, -0.886],
        [-0.587, 0.413, -0.587],
        [-0.701, 0.299, 0.299],
        [-0.114, -0.114, 0.886],
        [0.587, -0.413, 0.587],
    ],
    np.float32,
)


class Dice:
    """Random numbers for several images: row n belongs to image n, and each call uses the next column."""

    def __init__(self, seeds: Sequence[Sequence[int]]) -> None:
        streams = [np.random.PCG64(np.random.SeedSequence(list(seed))) for seed in seeds]
        raw = np.stack([stream.random_raw(_DRAWS) for stream in streams])
        self._uniform = (raw >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        self._used = 0
        self._streams = streams

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Field:
        """Draw a number in [low, high) for each image, ``(N, 1, 1)``."""
        column = self._uniform[:, self._used, None, None]
        self._used += 1
        return low + (high - low) * column

    def index(self, n: int) -> NDArray[np.intp]:
        """Draw one of 0..n-1 for each image, ``(N,)``."""
        return self.uniform(0, n)[:, 0, 0].astype(np.intp)

    def direction(self) -> tuple[Field, Field]:
        """Draw the cosine and sine of an angle for each image, ``(N, 1, 1)`` each."""
        chosen = _DIRECTIONS[self.index(len(_DIRECTIONS))]
        return chosen[:, 0, None, None], chosen[:, 1, None, None]

    def noise(self) -> Field:
        """Draw noise for every pixel and channel, triangular on [-1, 1], ``(N, 3, 96, 96)``."""
        words = [stream.random_raw(2 * 3 * IMAGE_SIDE * IMAGE_SIDE // 8).astype("<u8") for stream in self._streams]
        halves = np.stack(words).view(np.uint8).reshape(-1, 2, 3, IMAGE_SIDE, IMAGE_SIDE).astype(np.float32)
        return (halves[:, 0] - halves[:, 1]) / np.float32(255)


def cover(distance: Field) -> Field:
    """Return the opacity in [0, 1] of a figure with this signed distance in pixels; its edge is one pixel wide."""
    covered: Field = np.clip(np.float32(0.5) - distance, 0, 1)
    return covered


def frame(dice: Dice, low: float, high: float) -> tuple[Field, Field]:
    """Return coordinates ``u, v`` in pixels about a random centre in [low, high]^2, rotated by a random angle."""
    x, y = _COLUMNS - dice.uniform(low, high), _ROWS - dice.uniform(low, high)
    cos, sin = dice.direction()
    return cos * x + sin * y, cos * y - sin * x


def length(u: Field, v: Field) -> Field:
    """Return the Euclidean length of the vectors ``(u, v)``."""
    lengths: Field = np.sqrt(u * u + v * v)
    return lengths


def box(u: Field, v: Field, half_width: Field | float, half_height: Field | float) -> Field:
    """Return the signed distance, in the maximum norm, of a rectangle."""
    distance: Field = np.maximum(abs(u) - half_width, abs(v) - half_height)
    return distance


def polygon(u: Field, v: Field, sides: int, radius: Field | float, star: bool = False) -> Field:
    """Return the signed distance of a regular polygon with this inner radius, or of the star that its extended sides form.

    A point is in the polygon if it is on the inner side of every side's line, and in the star if it is on that of all but one.
    """
    normals = _DIRECTIONS[:: len(_DIRECTIONS) // sides]
    lines = np.stack([a * u + b * v for a, b in normals]) - radius
    distance: Field = np.sort(lines, axis=0)[-2] if star else lines.max(axis=0)
    return distance


def wave(x: Field, period: Field) -> Field:
    """Return a triangle wave of slope one about zero: the distance to the nearest multiple of ``period`` minus ``period / 4``."""
    turns = x / period
    distance: Field = abs(turns - np.rint(turns)) * period - period / 4
    return distance


def _disc(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    return length(u, v) - R


def _ring(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    half = R * dice.uniform(0.10, 0.20)
    distance: Field = abs(length(u, v) - (R - half)) - half
    return distance


def _crescent(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    distance: Field = np.maximum(
        length(u, v) - R, R * dice.uniform(0.78, 0.88) - length(u - R * dice.uniform(0.42, 0.55), v)
    )
    return distance


def _square(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    return box(u, v, 0.86 * R, 0.86 * R)


def _triangle(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    return polygon(u, v, 3, 0.6 * R)


def _cross(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    arm = R * dice.uniform(0.24, 0.36)
    return np.minimum(box(u, v, R, arm), box(u, v, arm, R))


def _star(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    return polygon(u, v, 5, 0.36 * R, star=True)


def _patch(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    """The outline of a texture: a disc, a square or a triangle."""
    outlines = np.stack([length(u, v) - R, box(u, v, 0.88 * R, 0.88 * R), polygon(u, v, 3, 0.66 * R)])
    return outlines[dice.index(3), np.arange(len(u))]


def _stripes(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    cos, sin = dice.direction()
    return np.maximum(_patch(u, v, R, dice), wave(cos * u + sin * v, dice.uniform(12, 17)))


def _checkerboard(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    period = dice.uniform(20, 26)
    a, b = wave(u, period), wave(v, period)
    return np.maximum(_patch(u, v, R, dice), np.maximum(np.minimum(a, b), -np.maximum(a, b)))


def _dots(u: Field, v: Field, R: Field, dice: Dice) -> Field:
    period = dice.uniform(13, 17)
    quarter = 0.25 * period
    lattice = length(wave(u, period) + quarter, wave(v, period) + quarter) - period * dice.uniform(0.26, 0.34)
    return np.maximum(_patch(u, v, R, dice), lattice)


FIGURES: dict[str, Callable[[Field, Field, Field, Dice], Field]] = {
    "disc": _disc,
    "ring": _ring,
    "crescent": _crescent,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "stripes": _stripes,
    "checkerboard": _checkerboard,
    "dots": _dots,
}
"""Class name -> signed distance on ``(u, v)`` of the figure with radius R; in the order of the labels 1..10."""


def _colour(dice: Dice, luma: Field, chroma: float) -> Field:
    """Draw a colour of this brightness with a random hue, ``(N, 3)``."""
    return luma[:, 0] + _HUES[dice.index(len(_HUES))] * dice.uniform(0, chroma)[:, 0]


def _paint(canvas: Field, coverage: Field, colour: Field) -> None:
    """Blend a colour into the canvas ``(N, 3, 96, 96)``, in place."""
    canvas += coverage[:, None] * (colour[:, :, None, None] - canvas)


def _stroke(dice: Dice, canvas: Field, luma: Field) -> None:
    """Paint a stroke with round ends at a random place of the canvas, of about this brightness."""
    u, v = frame(dice, 0, IMAGE_SIDE)
    distance = length(np.maximum(abs(u) - dice.uniform(0, 18), 0), v) - dice.uniform(0.8, 3.5)
    luma = luma + dice.uniform(-_STROKE_CONTRAST, _STROKE_CONTRAST)
    _paint(canvas, cover(distance), _colour(dice, luma, _STROKE_CHROMA))


def _ground(dice: Dice, colour: Field) -> Field:
    """Draw a background of this colour with a gradient and a round spot of brightness, ``(N, 3, 96, 96)``."""
    cos, sin = dice.direction()
    light = (cos * (_COLUMNS - IMAGE_SIDE / 2) + sin * (_ROWS - IMAGE_SIDE / 2)) * dice.uniform(0, 0.5)
    u, v = frame(dice, 0, IMAGE_SIDE)
    size = dice.uniform(20, 50)
    light += dice.uniform(-40, 40) * np.maximum(0, 1 - (u * u + v * v) / (size * size))
    ground: Field = colour[:, :, None, None] + light[:, None]
    return ground


def draw(name: str, seeds: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """Draw images of one class, one for each seed: (N, 3, 96, 96), rows before columns."""
    dice = Dice(seeds)
    dark, contrast = dice.uniform(40, 100), dice.uniform(70, 115)
    inverted = dice.uniform() < _INVERTED
    ground, figure = np.where(inverted, dark + contrast, dark), np.where(inverted, dark, dark + contrast)

    canvas = _ground(dice, _colour(dice, ground, _CHROMA))
    for _ in range(_BEHIND):
        _stroke(dice, canvas, ground)
    u, v = frame(dice, 34, IMAGE_SIDE - 34)
    stretch, R = dice.uniform(0.88, 1.12), dice.uniform(24, 35)
    distance = FIGURES[name](u * stretch, v / stretch, R, dice)
    _paint(canvas, cover(distance), _colour(dice, figure, _CHROMA))
    for _ in range(_ACROSS):
        _stroke(dice, canvas, ground)
    canvas += dice.uniform(*_NOISE)[..., None] * dice.noise()
    return np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)
