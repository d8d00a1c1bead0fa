"""The report: one HTML page that needs no other file."""

import base64
import functools
import hashlib
from datetime import UTC, datetime
from importlib import resources

import polars as pl
import yaml
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from inpaintlab.comparison import (
    DIFFERENCE_HEADINGS,
    SEEDS_NOTE,
    Table,
    cost_columns,
    costs_notes,
    marked,
    seed_groups,
    seed_rows,
    trained_on,
    weights,
)
from inpaintlab.evaluation import FIXED
from inpaintlab.report.appearance import looks, style
from inpaintlab.report.cases import GALLERY, gallery, pair
from inpaintlab.report.numbers import Numbers, as_json
from inpaintlab.report.plots import plot, window
from inpaintlab.shapes import in_pixels


def html_page(table: Table, count: int, root: str | None = None) -> str:
    """The HTML report of a comparison.

    The page needs no network. Without JavaScript it still shows every table, every plot and a first choice of images.

    Args:
        table: the comparison.
        count: the most test images with pictures in the page.
        root: the folder of the photographs on this machine, if they have moved.

    Raises:
        ValueError: a result lacks a picture that the page shows.
    """
    script = _file("report.js")
    numbers = Numbers.of(table)
    leader, runner_up = pair(table, numbers) if numbers.values else (0, None)
    first = table.results[0]
    return _template().render(
        table=table,
        marked=marked,
        breakable=_breakable,
        trained_on=trained_on,
        weights=weights,
        costs=cost_columns(table.results),
        difference_headings=DIFFERENCE_HEADINGS,
        looks=looks(result.label for result in table.results),
        plots={metric: Markup(plot(table, metric)) for metric in table.metrics},
        window=window(first.per_image.filter(pl.col("bin") != FIXED).height),
        fixed=FIXED,
        gallery=gallery(table, numbers, count, root),
        numbers=numbers,
        data=as_json(numbers, table, metric=numbers.headline, leader=leader, other=runner_up, shown=GALLERY),
        style=Markup(style()),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        manifest=first.manifest,
        in_pixels=in_pixels,
        commits=sorted({result.commit for result in table.results if result.commit}),
        evaluated=sorted({result.created[:10] for result in table.results}),
        cost_notes=costs_notes(table.results) + ([SEEDS_NOTE] if seed_groups(table.results) else []),
        seed_rows=seed_rows,
        today=datetime.now(UTC).date().isoformat(),
        as_yaml=lambda config: yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
    )


@functools.cache  # compiling takes 0.1 s, as long as several small pages
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_file("template.html"))


def _breakable(label: str) -> Markup:
    """A label that may be broken after its underscores in a narrow column."""
    return escape(label).replace("_", Markup("_<wbr>"))


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
