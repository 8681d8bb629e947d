"""Save figures as PNG and PDF files."""

import io
import textwrap
from pathlib import Path

from matplotlib.figure import Figure

from pdenet_repro.system.files import write_atomically


def save_figure(figure: Figure, path: Path, caption: str = "") -> bytes:
    """Save a figure as ``path`` with .png and .pdf, its caption below it; return the PNG. Equal figures give equal bytes."""
    if caption:
        _write_below(figure, caption)
    saved = {}
    for kind in ("png", "pdf"):
        file = io.BytesIO()
        metadata = {"CreationDate": None} if kind == "pdf" else None
        figure.savefig(file, format=kind, dpi=150, metadata=metadata, bbox_inches="tight" if caption else None)
        saved[kind] = file.getvalue()
        write_atomically(path.with_suffix(f".{kind}"), saved[kind])
    return saved["png"]


def _write_below(figure: Figure, caption: str) -> None:
    """Put the caption below the laid-out figure; saving with ``bbox_inches="tight"`` then enlarges the page to hold it."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for legend in figure.legends:  # fixed in place: they would follow the page's edge when the page is enlarged
        box = legend.get_window_extent().transformed(figure.transFigure.inverted())
        legend.borderaxespad = 0
        legend.set_loc("lower left")
        legend.set_bbox_to_anchor((box.x0, box.y0), transform=figure.transFigure)
    lines = textwrap.wrap(caption, int(figure.get_figwidth() * 17))  # 17 letters of seven points per inch
    figure.text(0.01, -0.1 / figure.get_figheight(), "\n".join(lines), va="top", fontsize=7, color="#555555")
