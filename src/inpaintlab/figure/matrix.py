"""heatmap: what is trained on rows and tested on columns, and what it loses to what was trained on the column's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import polars as pl
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from inpaintlab.comparison import SIGNIFICANT, Table, check, tabulate
from inpaintlab.evaluation import ALL, Result
from inpaintlab.figure.caption import caption, of_result
from inpaintlab.figure.page import Drawn
from inpaintlab.figure.sources import meaning, nine_digits
from inpaintlab.figure.text import LINE, NORMAL, POINTS, SMALL, families, lines, measured

HEATMAP = "heatmap"


_LABEL = 1.3  # inches, of the rows' labels


_PAD = 0.08  # inches around the text of a cell


@final
@dataclass(frozen=True)
class Matrix:
    """The results of every method on every test set.

    Args:
        tables: the comparison on each test set, by the name of its column, with differences from its own row.
        rows: the labels of the methods.
        diagonal: the row that was trained for each column.
    """

    tables: Mapping[str, Table]
    rows: Sequence[str]
    diagonal: Mapping[str, str]

    def result(self, column: str, row: str) -> Result | None:
        """The result of a cell."""
        return next((result for result in self.tables[column].results if result.label == row), None)


def heatmap(results: Sequence[str], *, metric: str, diagonal: Mapping[str, str]) -> Drawn:
    """A matrix of a metric with the interval in each cell, and the paired difference from the diagonal of its column.

    Args:
        results: folders of results, those of one test set in one folder, whose name is the column's. A method has the
            same label in each.
        metric: its name.
        diagonal: for each column the label of the method that was trained for it; for a column that is missing, the
            one whose label has the column's name in it.

    Raises:
        ValueError: no results, of two test sets in one folder or of one in two, without the metric, or a diagonal that
            names what is not there.
    """
    matrix = _matrix(results, metric, diagonal)
    columns = list(matrix.tables)
    texts = {(row, column): _text(matrix, row, column, metric) for row in matrix.rows for column in columns}
    figure = _drawn(matrix, columns, texts, metric)
    first = next(iter(matrix.tables.values()))
    title = first.title(metric)
    what = [f"{title}: each method (row) on each test set (column), the mean over all images with its 95 % interval."]
    if matrix.diagonal:
        of = ", ".join(f"{column}: {row}" for column, row in matrix.diagonal.items())
        what.append(
            f"Δ is the difference from the method that was trained for the column ({of}), over the same images; * "
            f"where p < {SIGNIFICANT} (paired over photographs, Holm-corrected over bins and methods)."
        )
    written = caption(
        HEATMAP,
        what,
        test_sets=[f"{column}: {of_result(table.results[0])}" for column, table in matrix.tables.items()],
        results=[result for table in matrix.tables.values() for result in table.results],
        metrics={metric: first.metrics[metric]},
        notes=dict.fromkeys(note for table in matrix.tables.values() for note in (*table.notes(), *table.left_out())),
        texts=[*columns, *matrix.rows],
    )
    return Drawn(figure, _numbers(matrix, metric), written)


def _matrix(folders: Sequence[str], metric: str, diagonal: Mapping[str, str]) -> Matrix:
    if not folders:
        raise ValueError(
            "Give the result folders of all test sets, those of one in one folder, as in "
            f"`inpaintlab figures {HEATMAP} results/*/*` of results/TEST/LABEL."
        )
    columns: dict[str, list[Result]] = {}
    for folder in folders:
        result = Result.load(Path(folder))
        columns.setdefault(result.folder.absolute().parent.name, []).append(result)
    seen: dict[str, str] = {}
    for column, results in columns.items():
        check(results)
        sha256 = results[0].manifest["sha256"]
        if sha256 in seen:
            raise ValueError(
                f"The results in {seen[sha256]} and {column} are of one test set, so they are one column: keep them in "
                "one folder."
            )
        seen[sha256] = column
        meaning(results, metric, "metric")
    rows = list(dict.fromkeys(result.label for results in columns.values() for result in results))
    for column, row in diagonal.items():
        if column not in columns or row not in rows:
            raise ValueError(
                f"diagonal.{column}={row}: the columns are {', '.join(columns)}, and the methods {', '.join(rows)}."
            )
    _check_methods(columns)
    own_of = {column: diagonal.get(column) or _trained_for(column, columns, rows) for column in columns}
    found = {column: label for column, label in own_of.items() if label is not None}
    tables = {}
    for column, results in columns.items():
        own = found.get(column)
        if own is not None and own not in [result.label for result in results]:
            raise ValueError(f"{own} was not evaluated on {column}, where it is the diagonal: evaluate it there.")
        tables[column] = tabulate(results, own, only=[metric])
    return Matrix(tables, rows, found)


def _check_methods(columns: Mapping[str, Sequence[Result]]) -> None:
    """Raise a ValueError if a label stands for several weights: a row is one method."""
    weights: dict[str, Result] = {}
    for results in columns.values():
        for result in results:
            first = weights.setdefault(result.label, result)
            if (first.checkpoint or {}).get("sha256") != (result.checkpoint or {}).get("sha256"):
                raise ValueError(
                    f"{first.folder} and {result.folder} have one label and different weights: evaluate one of them "
                    "with another label=..."
                )


def _trained_for(column: str, columns: Mapping[str, Sequence[Result]], rows: Sequence[str]) -> str | None:
    """The only method whose label has the column's name in it, and no longer one of another column."""
    longer = [other for other in columns if column in other and other != column]
    found = [row for row in rows if column in row and not any(other in row for other in longer)]
    return found[0] if len(found) == 1 else None


def _text(matrix: Matrix, row: str, column: str, metric: str) -> list[str]:
    """The lines of a cell; none where the method was not tested."""
    table, result = matrix.tables[column], matrix.result(column, row)
    if result is None:
        return []
    found = [table.cell(result, metric, ALL)]
    if interval := table.interval(result, metric, ALL):
        found.append(interval)
    difference = table.statistics.from_reference.get((metric, ALL, row)) if column in matrix.diagonal else None
    if difference is not None:
        star = " *" if difference.p < SIGNIFICANT else ""
        found.append(f"Δ {table.number(difference.mean, metric, '+')}{star}")
    return found


def _drawn(
    matrix: Matrix, columns: Sequence[str], texts: Mapping[tuple[str, str], Sequence[str]], metric: str
) -> Figure:
    family = families([*columns, *matrix.rows])
    width = max(measured(text, SMALL, family) for cell in texts.values() for text in cell) + 2 * _PAD
    width = max(width, 0.9)
    height = max(map(len, texts.values())) * SMALL * LINE / POINTS + 2 * _PAD
    heads = {column: lines(column, width - _PAD, NORMAL, family) for column in columns}
    sides = {row: lines(row, _LABEL - _PAD, NORMAL, family) for row in matrix.rows}
    step = NORMAL * LINE / POINTS
    height = max(height, max(map(len, sides.values())) * step + _PAD)
    top = (max(map(len, heads.values())) + 1.4) * step
    left, foot = _LABEL + 1.4 * step, _PAD
    size = (left + width * len(columns) + _PAD, top + height * len(matrix.rows) + foot)
    figure = Figure(figsize=size)
    values = np.array([[_mean(matrix, column, row, metric) for column in columns] for row in matrix.rows])
    box = (left / size[0], foot / size[1], width * len(columns) / size[0], height * len(matrix.rows) / size[1])
    axes = figure.add_axes(box)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    shades = axes.imshow(values, cmap="cividis", aspect="auto", vmin=low, vmax=high if high > low else low + 1)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    own = {(matrix.diagonal[column], column) for column in matrix.diagonal}

    def write(text: str, x: float, y: float, points: float, **look: Any) -> None:
        figure.text(x / size[0], 1 - y / size[1], text, size=points, family=family, va="center", **look)

    write("tested on", left + width * len(columns) / 2, 0.7 * step, NORMAL, ha="center", weight="bold")
    middle = top + height * len(matrix.rows) / 2
    write("trained on", 0.7 * step, middle, NORMAL, ha="center", rotation=90, weight="bold")
    for at, column in enumerate(columns):
        for number, text in enumerate(reversed(heads[column])):
            write(text, left + width * (at + 0.5), top - step * (number + 0.6), NORMAL, ha="center")
    for place, row in enumerate(matrix.rows):
        centre = top + height * (place + 0.5)
        for number, text in enumerate(sides[row]):
            write(text, left - _PAD, centre + step * (number - (len(sides[row]) - 1) / 2), NORMAL, ha="right")
        for at, column in enumerate(columns):
            ink = (
                _ink(to_rgba(tuple(shades.cmap(shades.norm(values[place, at])))))
                if np.isfinite(values[place, at])
                else "black"
            )
            cell = texts[row, column]
            for number, text in enumerate(cell):
                y = centre + SMALL * LINE / POINTS * (number - (len(cell) - 1) / 2)
                bold = "bold" if (row, column) in own and number == 0 else "normal"
                write(text, left + width * (at + 0.5), y, SMALL, ha="center", color=ink, weight=bold)
    return figure


def _mean(matrix: Matrix, column: str, row: str, metric: str) -> float:
    result = matrix.result(column, row)
    mean = None if result is None else matrix.tables[column].mean(result, metric, ALL)
    return np.nan if mean is None else float(mean)


def _ink(shade: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the higher contrast to this colour (WCAG 2, relative luminance)."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in shade[:3])
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"


def _numbers(matrix: Matrix, metric: str) -> pl.DataFrame:
    found = []
    for row in matrix.rows:
        for column, table in matrix.tables.items():
            result = matrix.result(column, row)
            if result is None:
                continue
            estimate = table.statistics.estimates.get((metric, ALL, row))
            ends = (None, None) if estimate is None else (nine_digits(estimate.low), nine_digits(estimate.high))
            apart = table.statistics.from_reference.get((metric, ALL, row)) if column in matrix.diagonal else None
            apart_in = (None,) * 4 if apart is None else (apart.mean, apart.low, apart.high, apart.p)
            differences = tuple(map(nine_digits, apart_in))
            own = matrix.diagonal.get(column)
            found.append(
                (row, column, metric, table.bins[ALL], table.mean(result, metric, ALL), *ends, own, *differences)
            )
    text, number = pl.String(), pl.Float64()
    schema = {"trained": text, "tested": text, "metric": text, "images": pl.Int64(), "mean": number, "low": number}
    schema |= {"high": number, "diagonal": text, "difference": number, "difference_low": number}
    schema |= {"difference_high": number, "p": number}
    return pl.DataFrame(found, schema=schema, orient="row")
