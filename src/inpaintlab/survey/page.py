"""Runs side by side as one HTML page that needs no other file, in the style of the report."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from inpaintlab.machine import write_texts
from inpaintlab.survey.comparison import Compared
from inpaintlab.survey.curves import LARGEST, Curve
from inpaintlab.survey.differences import in_one_line
from inpaintlab.survey.summary import printable
from inpaintlab.survey.tables import HEADINGS, cells_of, last_values

_MARKED = 40
"""The most points of a curve that are marked one by one; those of more are a line."""


def write_page(path: Path, found: Compared) -> None:
    """Write the page, whole or not at all; its folder is made.

    Args:
        path: the HTML file; one that is there is replaced.
        found: the comparison.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_texts(path.parent, {path.name: page_of(found)})


def page_of(found: Compared) -> str:
    """The text of the page; all that comes from files is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from inpaintlab.report import looks, style

    names = [printable(name) for name in found.names]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files(__package__).joinpath("page.html").read_text("utf-8"))
    reasons = [printable(entry.reason) for entry in found.summaries]
    rows = [
        (name, [*cells_of(entry)[1:], *[reason] * any(reasons)])
        for name, entry, reason in zip(names, found.summaries, reasons, strict=True)
    ]
    return template.render(
        names=names,
        looks=looks(names),
        headings=[*HEADINGS, *["reason"] * any(reasons)],
        rows=rows,
        notes=[printable(note) for note in found.notes],
        sentence=found.sentence,
        differences=[
            (printable(key), [printable(in_one_line(value)) for value in values])
            for key, values in found.differences.items()
        ],
        plots=[(printable(metric), Markup(_plot(found, metric, names))) for metric in found.metrics],
        last={printable(metric): last_values(dict(_having(found, metric, names))) for metric in found.metrics},
        style=Markup(style()),
        today=datetime.now(UTC).date().isoformat(),
    )


def _having(found: Compared, metric: str, names: Sequence[str]) -> list[tuple[str, Curve]]:
    return [(name, curves[metric]) for name, curves in zip(names, found.curves, strict=True) if metric in curves]


def _plot(found: Compared, metric: str, names: Sequence[str]) -> str:
    """The curve of each run that has one; infinite values, and those that a plot cannot span, are left out of it."""
    from matplotlib.axes import Axes

    from inpaintlab.report import looks, svg

    look = looks(names)

    def draw(axes: Axes) -> None:
        for name, curve in _having(found, metric, names):
            points = [(batch, value) for batch, value in curve.items() if abs(value) <= LARGEST]
            marker = look[name].marker if len(points) <= _MARKED else ""
            at, values = [batch for batch, _ in points], [value for _, value in points]
            axes.plot(
                at,
                values,
                color=look[name].colour,
                dashes=look[name].dashes,
                marker=marker,
                markersize=3,
                linewidth=1.4,
            )

    return svg(draw, metric, "batches")
