"""What `evaluate` and `compare` return: numbers and pictures that a terminal prints and a notebook shows."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, final

import polars as pl
from markupsafe import Markup

from inpaintlab.comparison import Table, marked, table_frame, tabulate
from inpaintlab.evaluation import ALL, Result
from inpaintlab.report import Gallery, Numbers, gallery

_SHOWN_METRICS, _SHOWN_CASES = 4, 4
"""Of how many metrics and test images a notebook shows numbers and pictures; the report has all."""

_LONGEST = 72
"""Characters of a name below a picture."""


@final
class Evaluation:
    """One method on one test set, as its result folder holds it.

    Attributes:
        result: all of it: settings, switches, costs, versions.
        blended: with ``blend=True``, the result after GLCIC's post-processing; else None.
    """

    def __init__(self, result: Result, root: str | None = None, blended: "Evaluation | None" = None) -> None:
        self.result, self.blended, self._root = result, blended, root

    @property
    def label(self) -> str:
        """What tables call the method."""
        return self.result.label

    @property
    def folder(self) -> Path:
        """The result folder."""
        return self.result.folder

    @property
    def means(self) -> dict[str, float | None]:
        """The mean of each metric over all images."""
        return {name: self.result.means[ALL].get(name) for name in self.result.metrics}

    @property
    def per_image(self) -> pl.DataFrame:
        """A row an image: name, mask bin, hole ratio, and the value of each metric."""
        return self.result.per_image

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row for each metric and mask bin: mean, the ends of its 95 % interval ("low", "high"), images ("n")."""
        return table_frame(self._tabulated).select("label", "bin", "n", "metric", "mean", "low", "high")

    @cached_property
    def _tabulated(self) -> Table:
        return tabulate([self.result])

    def __repr__(self) -> str:
        return f"<inpaintlab.Evaluation {self.label!r}: {_in_brief(self._tabulated)}, {self.folder}>"

    def _repr_html_(self) -> str:
        return _as_html(self._tabulated, self._root, f"{self.folder}")


@final
class Comparison:
    """Several methods on one test set.

    Attributes:
        folder: of table.md, .csv and .tex, costs.csv, seeds.csv and report.html.
        tabulated: the table with its statistics and notes.
    """

    def __init__(self, tabulated: Table, folder: Path, root: str | None = None) -> None:
        self.tabulated, self.folder, self._root = tabulated, folder, root

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row for each method, metric and mask bin, as table.csv has it: means, intervals, differences, p values."""
        return table_frame(self.tabulated)

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.folder / "report.html"

    def __repr__(self) -> str:
        labels = ", ".join(marked(result) for result in self.tabulated.results)
        return f"<inpaintlab.Comparison of {labels}: {_in_brief(self.tabulated)}, {self.folder}>"

    def _repr_html_(self) -> str:
        return _as_html(self.tabulated, self._root, f"{self.report}")


def _in_brief(table: Table) -> str:
    """The headline metric over all images, best first, and how many these are."""
    metric = table.headline
    unit = f" {table.metrics[metric].unit}".rstrip()
    numbers = [table.cell(result, metric, ALL) for result in table.results]
    return f"{metric} {' / '.join(numbers)}{unit} over {table.bins[ALL]} images"


def _as_html(table: Table, root: str | None, where: str) -> str:
    """A table of all images with intervals, and pictures of a few of them; no script, and all text escaped."""
    parts: list[Any] = [_style(), _numbers(table)]
    notes = [table.caption("Bold", "Italic"), *table.notes()] if len(table.results) > 1 else []
    if len(table.metrics) > _SHOWN_METRICS:
        notes.append(f"{len(table.metrics) - _SHOWN_METRICS} more metrics stand in .table and in {where}.")
    try:
        parts.append(_pictures(gallery(table, Numbers.of(table), _SHOWN_CASES, root)))
    except (ValueError, OSError) as error:  # numbers are worth showing without pictures
        notes.append(f"No pictures: {error}")
    listed = Markup("").join(Markup("<li>{}</li>").format(note) for note in notes)
    parts.append(Markup("<details><summary>notes</summary><ul>{}</ul></details>").format(listed) if notes else "")
    parts.append(Markup("<p><small>{}</small></p>").format(where))
    return str(Markup('<div class="inpaintlab">{}</div>').format(Markup("").join(parts)))


def _style() -> Markup:
    return Markup(
        "<style>.inpaintlab th, .inpaintlab td {text-align: right; padding: 2px 8px; vertical-align: top}"
        ".inpaintlab th:first-child, .inpaintlab td:first-child {text-align: left}"
        ".inpaintlab figure {display: inline-block; margin: 4px; width: 132px; vertical-align: top}"
        ".inpaintlab img {width: 100%; margin: 0}"
        ".inpaintlab figcaption {font-size: small; overflow-wrap: anywhere}</style>"
    )


def _numbers(table: Table) -> Markup:
    metrics = list(table.metrics)[:_SHOWN_METRICS]
    heads = [Markup("<th>{}</th>").format(table.title(metric)) for metric in metrics]
    rows = [_row([Markup("<th>method</th>"), *heads])]
    looks = {"best": "<b>{}</b>", "level": "<i>{}</i>", "": "{}"}
    for result in table.results:
        cells = [Markup("<td>{}</td>").format(marked(result))]
        for metric in metrics:
            look = looks[table.mark(result, metric, ALL)] if len(table.results) > 1 else "{}"
            number = Markup(look).format(table.cell(result, metric, ALL))
            ends = table.interval(result, metric, ALL)
            cells.append(
                Markup("<td>{}{}</td>").format(number, Markup("<br><small>{}</small>").format(ends) if ends else "")
            )
        rows.append(_row(cells))
    for method in table.published:
        numbers = [table.number(method.means.get((metric, ALL)), metric) for metric in metrics]
        rows.append(_row([Markup("<td>{}</td>").format(text) for text in (marked(method), *numbers)]))
    return Markup("<table><caption>{}</caption>{}</table>").format(f"{table.bins[ALL]} images", Markup("").join(rows))


def _row(cells: Sequence[Markup]) -> Markup:
    return Markup("<tr>{}</tr>").format(Markup("").join(cells))


def _pictures(found: Gallery) -> Markup:
    lines = []
    for case in (case for group in found.cases.values() for case in group):
        figures: list[Any] = [
            Markup('<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
                picture.source, picture.alt, f"{picture.caption} {picture.value}".strip()
            )
            for picture in case.pictures
            if picture.kind in ("original", "input", "completed")
        ]
        name = case.name if len(case.name) <= _LONGEST else f"{case.name[:_LONGEST]}…"
        head = Markup("<div><small>{}</small></div>").format(f"{name}, {case.hole:.1f} % hole")
        lines.append(Markup("<div>{}{}</div>").format(head, Markup("").join(figures)))
    if found.apology:
        lines.append(Markup("<p><small>{}</small></p>").format(found.apology))
    return Markup("").join(lines)
