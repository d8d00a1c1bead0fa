"""A figure as it is written: a picture for a screen, one for a page, the numbers behind it, and its caption."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import matplotlib
import polars as pl
from matplotlib.figure import Figure

from inpaintlab.figure.text import BASE, NORMAL
from inpaintlab.machine import alone, write_files

PNG_DPI, PDF_DPI = 200, 300


WIDTH = 7.0
"""Inches: that of the text of a page. A figure is printed as large as it is drawn, so its text has the size it says."""


_STYLE: dict[Any, Any] = {
    "font.family": [BASE],
    "font.size": NORMAL,
    "axes.labelsize": NORMAL,
    "axes.titlesize": NORMAL,
    "legend.fontsize": NORMAL,
    "xtick.labelsize": NORMAL,
    "ytick.labelsize": NORMAL,
    "text.parse_math": False,  # "$" and "_" of a label are data
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,  # whole outlines, which publishers ask for; Type 3 is refused by many
    "pdf.compression": 6,
}


@final
@dataclass(frozen=True)
class Drawn:
    """A figure that is drawn and not yet written.

    Args:
        figure: the picture.
        numbers: what it shows, in long form.
        caption: Markdown.
    """

    figure: Figure
    numbers: pl.DataFrame
    caption: str


def write(name: str, out: Path, draw: Callable[[], Drawn]) -> list[Path]:
    """Draw a figure and write NAME.png, NAME.pdf, NAME.csv and NAME.md, all or none of them.

    The same inputs give the same bytes: no file holds a date.

    Args:
        name: of the figure.
        out: the folder; it is made.
        draw: draws it, in the style of all figures.

    Returns:
        The files.

    Raises:
        ValueError: ``out`` is a file; and all that ``draw`` raises. Nothing is written then.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"out={out} is a file: name the folder that the figure goes to.")
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # the caption names the characters that no font has
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        drawn = draw()
        content = {
            f"{name}.png": _saved(drawn.figure, "png", PNG_DPI, ["Software"]),
            f"{name}.pdf": _saved(drawn.figure, "pdf", PDF_DPI, ["CreationDate", "Creator", "Producer"]),
            f"{name}.csv": drawn.numbers.write_csv().encode(),
            f"{name}.md": drawn.caption.encode(),
        }
    with alone(out / ".lock"):  # two figures of one name would mix their files
        write_files(out, content)
    return [out / file for file in content]


def _saved(figure: Figure, kind: str, dpi: int, left_out: list[str]) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=dpi, metadata=dict.fromkeys(left_out), facecolor="white")
    return file.getvalue()
