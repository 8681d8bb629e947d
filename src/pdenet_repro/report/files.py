"""A figure as files."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from pdenet_repro.system.files import write_atomically


def save(figure: Figure, path: Path) -> bytes:
    """Write the figure as PNG and PDF beside each other; returns the PNG. The same figure gives the same bytes."""
    saved = {}
    for kind in ("png", "pdf"):
        file = io.BytesIO()
        figure.savefig(file, format=kind, dpi=150, metadata={"CreationDate": None} if kind == "pdf" else None)
        saved[kind] = file.getvalue()
        write_atomically(path.with_suffix(f".{kind}"), saved[kind])
    return saved["png"]
