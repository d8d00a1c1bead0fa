"""The value of every metric for every test image, for the page's controls."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup

from inpaintlab.comparison import HEADLINE, Table, marked
from inpaintlab.machine import storable
from inpaintlab.testsets import picture_names

_DIGITS = 6


@dataclass(frozen=True)
class Numbers:
    """Values of all images.

    Args:
        names: of the images.
        bins: the mask bin of each image.
        holes: the hole ratio of each image in % of the pixels.
        values: by metric, row of the table and image; NaN if an image has no value. Metrics without values per image
            (of whole sets, or pooled over images) are left out, and so are methods that lack a metric.
        higher_is_better: the direction of each metric.
        units: of each metric.
        decimals: digits after the point, of each metric.
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
        """The numbers of a comparison; images are in the order of the first result."""
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
        """The metric that the page shows first: `psnr_rgb`, else the first with values; empty if there is none."""
        return HEADLINE if HEADLINE in self.values else next(iter(self.values), "")

    def shuffled(self) -> list[int]:
        """The images in a random order that is the same on every machine."""
        return sorted(range(len(self.names)), key=lambda i: hashlib.sha256(self.names[i].encode()).digest())

    def words(self, metric: str, row: int, position: int) -> str:
        """An image's value with its unit; empty if the method lacks the metric."""
        if row not in self.values.get(metric, {}):
            return ""
        value = self.values[metric][row][position]
        if math.isnan(value):
            return "undefined"
        number = "∞" if value == math.inf else f"{value:.{self.decimals[metric]}f}"
        return f"{number} {self.units[metric]}".strip()


def as_json(numbers: Numbers, table: Table, **more: Any) -> Markup:
    """The numbers as JSON for a script element, rounded to six digits.

    NaN becomes null; an infinite value becomes "Infinity" or "-Infinity", which JavaScript's Number parses. The
    text has no "<", so that no image's name can end the element.

    Args:
        numbers: the values.
        table: the comparison.
        more: further entries.
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
        "files": list(picture_names(numbers.names).values()),
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
        return str(storable(value))
    rounded = float(f"{value:.{_DIGITS}g}")
    return int(rounded) if rounded == int(rounded) else rounded
