"""The value of every test image under every metric, as the page's controls need them."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup

from inpaintlab.comparison import HEADLINE, Table, marked
from inpaintlab.testsets import picture_name

_DIGITS = 6


@dataclass(frozen=True)
class Numbers:
    """Values by metric, row of the table and image; NaN where an image has none.

    Metrics that have no value an image (of whole sets, or pooled over images) are left out, and so are the rows of
    methods that were not scored by a metric. `holes` are in % of the pixels; `headline` is the metric that the page
    begins with ("" where no metric has values).
    """

    names: list[str]
    bins: list[str]
    holes: list[float]
    values: dict[str, dict[int, list[float]]]
    higher_is_better: dict[str, bool]
    units: dict[str, str]
    decimals: dict[str, int]

    @classmethod
    def of(cls, table: Table) -> "Numbers":
        """The numbers of a comparison, in the order in which the first method's images stand."""
        first = table.results[0].per_image
        of_images = [name for name, metric in table.metrics.items() if not metric.of_set and not metric.pooled]
        values: dict[str, dict[int, list[float]]] = {metric: {} for metric in of_images}
        for row, result in enumerate(table.results):
            images = first.select("name").join(result.per_image, on="name", how="left", maintain_order="left")
            for metric in set(of_images) & set(result.metrics):
                values[metric][row] = images[metric].cast(pl.Float64).fill_null(math.nan).to_list()
        return cls(
            names=first["name"].to_list(),
            bins=first["bin"].to_list(),
            holes=[100 * ratio for ratio in first["hole_ratio"]],
            values=values,
            higher_is_better={metric: table.metrics[metric].higher_is_better for metric in of_images},
            units={metric: table.metrics[metric].unit for metric in of_images},
            decimals={metric: table.decimals(metric) for metric in of_images},
        )

    @property
    def headline(self) -> str:
        """`psnr_rgb`, or the first metric with values where that is missing."""
        return HEADLINE if HEADLINE in self.values else next(iter(self.values), "")

    def shuffled(self) -> list[int]:
        """The images in an order without meaning that is the same on every machine."""
        return sorted(range(len(self.names)), key=lambda i: hashlib.sha256(self.names[i].encode()).digest())

    def words(self, metric: str, row: int, position: int) -> str:
        """An image's value with its unit; empty where the method was not scored by the metric."""
        if row not in self.values.get(metric, {}):
            return ""
        value = self.values[metric][row][position]
        if math.isnan(value):
            return "undefined"
        number = "∞" if value == math.inf else f"{value:.{self.decimals[metric]}f}"
        return f"{number} {self.units[metric]}".strip()


def as_json(numbers: Numbers, table: Table, **more: Any) -> Markup:
    """The numbers as JSON that stands safely inside a script element, rounded to six digits.

    A value that is not a number is null, an infinite one the text "Infinity" or "-Infinity", which JavaScript's Number
    understands. No "<" is left in the text, so whatever an image is called, it cannot end the element.
    """
    content = {
        "methods": [marked(result) for result in table.results],
        "metrics": {
            metric: {
                "title": table.title(metric),
                "unit": numbers.units[metric],
                "higher": numbers.higher_is_better[metric],
                "decimals": numbers.decimals[metric],
                "rows": {row: [_plain(value) for value in column] for row, column in rows.items()},
            }
            for metric, rows in numbers.values.items()
        },
        "names": numbers.names,
        "files": [picture_name(name) for name in numbers.names],
        "bins": numbers.bins,
        "holes": [round(hole, 2) for hole in numbers.holes],
        "shuffled": numbers.shuffled(),
        **more,
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _plain(value: float) -> float | int | str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    rounded = float(f"{value:.{_DIGITS}g}")
    return int(rounded) if rounded == int(rounded) else rounded
