"""The report: one HTML page that needs nothing beside itself."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

import polars as pl
import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from inpaintlab.report import pictures, plots
from inpaintlab.report.table import Table, marked
from inpaintlab.results import FIXED, Result

PICTURE_BYTES = 5_000_000  # of all pictures together; base64 adds a third, and the page stays below 8 MB


@dataclass(frozen=True)
class Shown:
    """One picture of the page: its data, the words that replace it, and its caption."""

    source: str
    alt: str
    caption: str
    value: str


@dataclass(frozen=True)
class Case:
    """One test image: its name, mask bin and hole (% of the pixels), and its pictures from left to right."""

    name: str
    bin: str
    hole: float
    pictures: list[Shown]


@dataclass(frozen=True)
class Gallery:
    """The test images on the page, by heading; why the originals are not among them ("" if they are); their size."""

    cases: dict[str, list[Case]]
    apology: str
    small: bool
    reduced: bool


def page(table: Table, count: int, root: str | None = None) -> str:
    """The HTML report of a comparison, with at most `count` test images; `root` is where their photographs lie now.

    Raises ValueError when a result lacks a completed picture that the page shows.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files(__name__).joinpath("template.html").read_text("utf-8"))
    first = table.results[0]
    irregular = first.per_image.filter(pl.col("bin") != FIXED).height
    return template.render(
        table=table,
        marked=marked,
        colour=plots.colour,
        key_dashes=plots.key_dashes,
        plots={metric: Markup(plots.plot(table, metric)) for metric in table.metrics},
        window=plots.window(irregular),
        fixed=FIXED,
        gallery=gallery(table, count, root),
        leader=table.leader(),
        manifest=first.manifest,
        commits=sorted({result.commit for result in table.results if result.commit}),
        evaluated=sorted({result.created[:10] for result in table.results}),
        today=datetime.now(UTC).date().isoformat(),
        as_yaml=lambda config: yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
    )


def gallery(table: Table, count: int, root: str | None) -> Gallery:
    """The worst and best images of the leading method and a spread of the rest, with every method's completion."""
    leader = table.leader()
    metric = table.headline if table.headline in leader.metrics else next(iter(leader.metrics))
    chosen = pictures.pick(leader, metric, table.metrics[metric].higher_is_better, count)
    names = [name for group in chosen.values() for name in group]
    found, apology = _originals(table, names, root)
    budget = PICTURE_BYTES // max(1, len(names) * (2 + len(table.results)))
    sizes: list[int] = []

    cases: dict[str, list[Case]] = {}
    for heading, group in chosen.items():
        cases[heading] = [_case(table, metric, name, found.get(name), budget, sizes) for name in group]
    largest = max(sizes, default=0)
    return Gallery(cases, apology, small=largest < 128, reduced=largest > pictures.LARGEST_SIDE)


def _originals(
    table: Table, names: list[str], root: str | None
) -> tuple[dict[str, tuple[Image.Image, Image.Image]], str]:
    """The photographs, or the sentence that says why there are none: the rest of the page does not need them."""
    if not names:
        return {}, ""
    try:
        return pictures.originals(table.results[0].folder, names, root), ""
    except (ValueError, OSError) as error:
        reason = str(error).rstrip(".")
        return {}, f"The photographs cannot be read on this machine ({reason}), so only the completions are shown."


def _case(
    table: Table,
    metric: str,
    name: str,
    original: tuple[Image.Image, Image.Image] | None,
    budget: int,
    sizes: list[int],
) -> Case:
    shown = []
    if original is not None:
        image, hole = original
        shown.append(Shown(pictures.data_uri(image, budget), f"original of {name}", "original", ""))
        shown.append(Shown(pictures.data_uri(hole, budget), f"{name} with its hole painted over", "input", ""))
    for result in table.results:
        picture = pictures.completion(result, name)
        sizes.append(max(picture.size))
        source = pictures.data_uri(picture, budget)
        value = _value(table, result, metric, name)
        shown.append(Shown(source, f"{name} completed by {result.label}", marked(result), value))
    row = table.results[0].per_image.row(by_predicate=pl.col("name") == name, named=True)
    return Case(name, row["bin"], 100 * row["hole_ratio"], shown)


def _value(table: Table, result: Result, metric: str, name: str) -> str:
    if metric not in result.metrics:
        return ""
    value = result.per_image.filter(pl.col("name") == name)[metric].item()
    unit = table.metrics[metric].unit
    if value == math.inf:
        return f"∞ {unit}".strip()
    if math.isnan(value):
        return "undefined"
    return f"{value:.{table.decimals(metric)}f} {unit}".strip()
