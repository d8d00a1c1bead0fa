"""Runs that differ by their seed alone: how much of a difference between methods is the luck of a training.

The intervals of the other tables are over photographs and do not include this: another seed gives other weights. So
the spread over seeds has tables of its own.
"""

import json
import os
import statistics
from dataclasses import dataclass

import polars as pl
from rich.table import Table as RichTable

from inpaintlab.comparison.formats import grid, titled
from inpaintlab.comparison.table import NO_MEAN, Table
from inpaintlab.evaluation import Result

TITLE = "Over seeds"


SEEDS_NOTE = (
    "Over seeds: runs that differ by their seed alone; their mean and the standard deviation (n - 1) of the runs. The "
    "intervals of the other tables are over photographs and hold no luck of training."
)


_CSV = {
    "group": pl.String(),
    "seeds": pl.Int64(),
    "bin": pl.String(),
    "metric": pl.String(),
    "mean": pl.Float64(),
    "standard_deviation": pl.Float64(),
}


@dataclass(frozen=True)
class Group:
    """Results of one configuration trained with several seeds; its name is the common beginning of their labels."""

    name: str
    results: list[Result]

    def spread(self, metric: str, bin_name: str) -> tuple[float, float] | None:
        """Mean and standard deviation (n - 1) of the runs' means; None if a run has no such mean."""
        means = [result.means[bin_name].get(metric) for result in self.results]
        known = [mean for mean in means if mean is not None]
        return (statistics.fmean(known), statistics.stdev(known)) if len(known) == len(means) else None


def seed_groups(results: list[Result]) -> list[Group]:
    """Groups of two or more results whose methods, settings and trainings differ in the seed alone."""
    alike: dict[str, dict[int, Result]] = {}
    for result in results:
        training = dict((result.checkpoint or {}).get("training") or {})
        seed = training.pop("seed", None)
        if seed is not None:
            same = [result.method, result.config, result.post_processing, training]
            alike.setdefault(json.dumps(same, sort_keys=True), {}).setdefault(seed, result)
    return [Group(_name(list(runs.values())), list(runs.values())) for runs in alike.values() if len(runs) > 1]


def _name(results: list[Result]) -> str:
    labels = [result.label for result in results]
    shared = os.path.commonprefix(labels).rstrip("-_. 0123456789")  # noqa: RUF071 (of words, not of paths)
    return f"{shared or ', '.join(labels)} ({len(labels)} seeds)"


def seed_rows(table: Table, metric: str) -> list[list[str]]:
    """A heading and one row per group, as text; empty if no group has this metric."""
    body = []
    for group in seed_groups(table.results):
        spreads = [group.spread(metric, bin_name) for bin_name in table.bins]
        if any(spreads):
            body.append([group.name, *(_cell(table, metric, spread) for spread in spreads)])
    return [[table.title(metric), *table.bins], *body] if body else []


def _cell(table: Table, metric: str, spread: tuple[float, float] | None) -> str:
    return NO_MEAN if spread is None else " ± ".join(table.number(value, metric) for value in spread)


def seeds_tables(table: Table, metrics: list[str]) -> list[RichTable]:
    """A table for the terminal for each of these metrics that a group has."""
    views = []
    for metric in metrics:
        if lines := seed_rows(table, metric):
            view = titled(f"{TITLE}: {lines[0][0]}")
            for heading in lines[0][1:]:
                view.add_column(heading, justify="right", no_wrap=True)
            for line in lines[1:]:
                view.add_row(*(cell.replace(" ± ", "\n± ") for cell in line))  # narrow, for 80 columns
            views.append(view)
    return views


def seeds_markdown(table: Table) -> str:
    """A section of a Markdown page; empty if there is no group."""
    sections = [grid(lines) for metric in table.metrics if (lines := seed_rows(table, metric))]
    if not sections:
        return ""
    return (
        "\n".join(["", f"## {TITLE}", "", *(line for lines in sections for line in (*lines, "")), f"- {SEEDS_NOTE}"])
        + "\n"
    )


def seeds_csv(table: Table) -> str:
    """CSV with one row per group, metric and bin, in full precision; only the heading if there is no group."""
    lines = []
    for group in seed_groups(table.results):
        for metric in table.metrics:
            for bin_name in table.bins:
                mean, deviation = group.spread(metric, bin_name) or (None, None)
                lines.append((group.name, len(group.results), bin_name, metric, mean, deviation))
    return pl.DataFrame(lines, schema=_CSV, orient="row").write_csv()
