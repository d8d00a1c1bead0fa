"""Pictures in rows and columns with their labels, at the width of a page, however many and however long."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

from inpaintlab.figure.page import PDF_DPI, WIDTH
from inpaintlab.figure.text import LINE, POINTS, SMALL, families, lines

MOST_COLUMNS = 7
"""More pictures than these are continued in the next line, so that each stays large enough to be seen."""


_LARGEST = 1.7  # inches, of a picture


_GAP = 0.05  # inches between two pictures


_FLATTEST, _TALLEST = 0.1, 3.0
"""Height of a picture's place in widths; one of other proportions stands in the middle of it."""


@final
@dataclass(frozen=True, eq=False)
class Cell:
    """One picture.

    Args:
        picture: 8-bit grey or RGB.
        label: what it is, above it.
        note: such as its score, below it.
    """

    picture: UInt8[np.ndarray, "height width *colours"]
    label: str = ""
    note: str = ""


@final
@dataclass(frozen=True)
class Row:
    """Pictures that belong together.

    Args:
        cells: from left to right; more than a page is wide are continued below.
        title: what the row is of, above it.
    """

    cells: Sequence[Cell]
    title: str = ""


@final
@dataclass
class _Line:
    """What stands side by side: pictures with the lines of text above and below each."""

    cells: Sequence[Cell]
    title: list[str] = field(default_factory=list)
    labels: list[list[str]] = field(default_factory=list)
    notes: list[list[str]] = field(default_factory=list)
    height: float = 0.0  # of its pictures, in inches

    def above(self) -> float:
        return _high(len(self.title)) + _high(max(map(len, self.labels), default=0)) + (_GAP if self.title else 0)

    def below(self) -> float:
        return _high(max(map(len, self.notes), default=0)) + _GAP


def sheet(rows: Sequence[Row]) -> Figure:
    """Draw rows of pictures.

    A row without new labels has none, because those of the row above are its own. Text is broken into as many lines as
    it takes, so it never meets another.
    """
    most = max(len(row.cells) for row in rows)
    columns = math.ceil(most / math.ceil(most / MOST_COLUMNS))
    side = min(_LARGEST, (WIDTH - _GAP * (columns - 1)) / columns)
    width = columns * side + _GAP * (columns - 1)
    family = families(texts_of(rows))
    placed = list(_lines(rows, columns, side, width, family))
    height = sum(line.above() + line.height + line.below() for line in placed)
    figure = Figure(figsize=(width, height))

    def write(text: str, x: float, top: float, align: str) -> None:
        place = (x / width, 1 - (top + SMALL / POINTS) / height)
        figure.text(*place, text, size=SMALL, family=family, ha=align, va="baseline", parse_math=False)

    top = 0.0
    for line in placed:
        for number, text in enumerate(line.title):
            write(text, 0.0, top + _high(number), "left")
        bottom_of_labels = top + line.above()
        for place, cell in enumerate(line.cells):
            x = place * (side + _GAP)
            for number, text in enumerate(reversed(line.labels[place])):  # the last line stands at its picture
                write(text, x + side / 2, bottom_of_labels - _high(number + 1), "center")
            box = (x / width, 1 - (bottom_of_labels + line.height) / height, side / width, line.height / height)
            axes = figure.add_axes(box)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, linewidth=0.3, color="0.6")
            axes.imshow(_reduced(cell.picture, side), cmap="gray", vmin=0, vmax=255)
            for number, text in enumerate(line.notes[place]):
                write(text, x + side / 2, bottom_of_labels + line.height + _high(number), "center")
        top = bottom_of_labels + line.height + line.below()
    return figure


def texts_of(rows: Sequence[Row]) -> list[str]:
    """All text of a sheet."""
    return [text for row in rows for text in (row.title, *(t for cell in row.cells for t in (cell.label, cell.note)))]


def _lines(rows: Sequence[Row], columns: int, side: float, width: float, family: Sequence[str]) -> Iterator[_Line]:
    before: list[str] = []
    for row in rows:
        for start in range(0, len(row.cells), columns):
            cells = row.cells[start : start + columns]
            line = _Line(cells, title=lines(row.title, width, SMALL, family) if start == 0 else [])
            given = [cell.label for cell in cells]
            line.labels = [lines(label if given != before else "", side, SMALL, family) for label in given]
            line.notes = [lines(cell.note, side, SMALL, family) for cell in cells]
            ratio = max(cell.picture.shape[0] / cell.picture.shape[1] for cell in cells)
            line.height = side * min(max(ratio, _FLATTEST), _TALLEST)
            before = given
            yield line


def _high(count: int) -> float:
    """The height of so many lines of text, in inches."""
    return count * SMALL * LINE / POINTS


def _reduced(picture: UInt8[np.ndarray, "height width *colours"], side: float) -> np.ndarray:
    """A picture with at most the pixels that a page shows, so that nothing of it is skipped."""
    most = round(side * PDF_DPI)
    if max(picture.shape[:2]) <= most:
        return picture
    factor = most / max(picture.shape[:2])
    size = tuple(max(1, round(n * factor)) for n in (picture.shape[1], picture.shape[0]))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
