"""A figure as files."""

import io
import textwrap
from pathlib import Path

from matplotlib.figure import Figure

from pdenet_repro.system.files import write_atomically


def save(figure: Figure, path: Path, caption: str = "") -> bytes:
    """Write the figure as PNG and PDF beside each other, a line below it; returns the PNG. Equal figures, equal bytes."""
    if caption:
        figure.draw_without_rendering()
        lowest = min(0.0, figure.get_tightbbox().y0 / figure.get_figheight())  # a legend outside may reach below
        letters = int(figure.get_figwidth() * 17)  # of seven points, across
        figure.text(0.01, lowest - 0.02, textwrap.fill(caption, letters), va="top", fontsize=7, color="#555555")
    saved = {}
    for kind in ("png", "pdf"):
        file = io.BytesIO()
        metadata = {"CreationDate": None} if kind == "pdf" else None
        figure.savefig(file, format=kind, dpi=150, metadata=metadata, bbox_inches="tight" if caption else None)
        saved[kind] = file.getvalue()
        write_atomically(path.with_suffix(f".{kind}"), saved[kind])
    return saved["png"]
