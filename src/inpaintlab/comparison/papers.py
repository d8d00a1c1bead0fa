"""Numbers that papers print, for tables beside measured ones: never marked best, never tested, never averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

MARK = "published, other protocol"


@dataclass(frozen=True)
class PaperMethod:
    """One method's means as a paper prints them.

    Args:
        label: the method's name.
        oracle: whether it sees something of the hidden pixels.
        means: by metric and mask bin, in the unit of our metric.
        source: the paper and the table.
        notes: doubts about the whole table.
    """

    label: str
    oracle: bool
    means: dict[tuple[str, str], float]
    source: str
    notes: tuple[str, ...]


def load_papers(tables: Sequence[str]) -> list[PaperMethod]:
    """The methods of published tables, in the order of the paper.

    Args:
        tables: names of the tables.

    Raises:
        ValueError: there is no such table.
    """
    files = {file.name.removesuffix(".yaml"): file for file in resources.files(__package__).iterdir()}
    names = sorted(name for name, file in files.items() if file.name.endswith(".yaml"))
    loaded = []
    for table in dict.fromkeys(tables):
        if table not in names:
            raise ValueError(f"published=[{table}] is no published table that inpaintlab has: give {', '.join(names)}.")
        loaded += _methods(yaml.safe_load(files[table].read_text("utf-8")))
    return loaded


def _methods(table: dict[str, Any]) -> list[PaperMethod]:
    loaded = []
    for column, label in enumerate(table["methods"]):
        means = {
            (metric, bin_name): row[column] / rows["printed_as"]
            for metric, rows in table["metrics"].items()
            for bin_name, row in rows["means"].items()
            if row[column] is not None
        }
        oracle = label in table["oracles"]
        loaded.append(PaperMethod(label, oracle, means, table["source"], tuple(table["notes"])))
    return loaded
