"""Runs that differ by their seed alone: how much of a difference between methods is the luck of a training.

The intervals of the other tables are over photographs and do not include this: another seed gives other weights. So
the spread over seeds has tables of its own.
"""

import json
import math
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
    "Over seeds: runs that differ by their seed alone; their mean and the standard deviation (n - 1) of the runs, "
    "undefined where a run's mean is infinite; in brackets those of the images that have an error. The "
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

    def spread(self, metric: str, bin_name: str) -> tuple[float, float | None] | None:
        """Mean and standard deviation (n - 1) of the runs' means; None if a run has no such mean.

        A mean with an infinite one among it is infinite, and has no deviation: infinity less infinity is undefined.
        """
        means = [result.means[bin_name].get(metric) for result in self.results]
        known = [mean for mean in means if mean is not None]
        if len(known) < len(means):
            return None
        return (math.inf, None) if math.inf in known else (statistics.fmean(known), statistics.stdev(known))

    def rest(self, metric: str, bin_name: str) -> tuple[float, float] | None:
        """Mean and deviation over the images with an error; None if no run's mean is infinite, or a run has no such."""
        runs = [result.means[bin_name] for result in self.results]
        means = [means.get(f"{metric}_finite" if means.get(f"{metric}_infinite") else metric) for means in runs]
        known = [mean for mean in means if mean is not None]
        exact = any(means.get(f"{metric}_infinite") for means in runs)
        return (statistics.fmean(known), statistics.stdev(known)) if exact and len(known) == len(means) else None


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
            rests = [group.rest(metric, bin_name) for bin_name in table.bins]
            cells = [_cell(table, metric, *pair) for pair in zip(spreads, rests, strict=True)]
            body.append([group.name, *cells])
    return [[table.title(metric), *table.bins], *body] if body else []


def _cell(
    table: Table, metric: str, spread: tuple[float, float | None] | None, rest: tuple[float, float] | None
) -> str:
    if spread is None:
        return NO_MEAN
    text = " ± ".join(table.number(value, metric) for value in spread)
    return text if rest is None else f"{text} ({' ± '.join(table.number(value, metric) for value in rest)})"


def seeds_tables(table: Table, metrics: list[str]) -> list[RichTable]:
    """A table for the terminal for each of these metrics that a group has."""
    views = []
    for metric in metrics:
        if lines := seed_rows(table, metric):
            view = titled(f"{TITLE}: {lines[0][0]}")
            for heading in lines[0][1:]:
                view.add_column(heading, justify="right", no_wrap=True)
            for line in lines[1:]:
                narrow = [cell.replace(" ± ", "\n± ").replace(" (", "\n(") for cell in line[1:]]  # for 80 columns
                view.add_row(line[0], *narrow)
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
