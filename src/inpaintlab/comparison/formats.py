"""The table of a comparison as terminal text, Markdown and CSV."""

import math
import re
from collections.abc import Sequence

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from inpaintlab.comparison.papers import MARK
from inpaintlab.comparison.statistics import Key, paired_test
from inpaintlab.comparison.table import Table, marked
from inpaintlab.evaluation import ALL, Result

DIFFERENCE_HEADINGS = ("difference", "95 % interval", "p (Holm)", "images")


_CSV = {
    "label": pl.String(),
    "bin": pl.String(),
    "n": pl.Int64(),
    "metric": pl.String(),
    "mean": pl.Float64(),
    "infinite": pl.Int64(),
    "finite_mean": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "reference": pl.String(),
    "difference": pl.Float64(),
    "difference_low": pl.Float64(),
    "difference_high": pl.Float64(),
    "p": pl.Float64(),
    "test": pl.String(),
    "pairs": pl.Int64(),
    "left_out": pl.Int64(),
    "source": pl.String(),
}


def terminal_tables(table: Table, metrics: Sequence[str]) -> list[RichTable]:
    """A table for each of these metrics, readable at 100 columns, and one of the headline metric's differences.

    The best of a column is bold and has a star, which is also visible in a pipe; a mean level with the best has a ~.
    """
    tables = []
    signs = {"best": "*", "level": "~", "": " "}
    for metric in metrics:
        view = titled(table.title(metric))
        for bin_name, n in table.bins.items():
            view.add_column(Text(f"{bin_name}\nn={n}"), justify="right", no_wrap=True)
        for result in table.results:
            cells = []
            for bin_name in table.bins:
                mark = table.mark(result, metric, bin_name)
                text = table.cell(result, metric, bin_name) + signs[mark]
                cells.append(Text(text, style="bold" if mark == "best" else ""))
            view.add_row(Text(marked(result)), *cells)
        for method in table.printed(metric):
            numbers = [table.number(method.means.get((metric, bin_name)), metric) for bin_name in table.bins]
            view.add_row(Text(marked(method)), *(Text(f"{number} ") for number in numbers), style="dim")
        tables.append(view)
    if differences := table.differences(table.headline):
        view = titled(table.difference_title(table.headline))
        for heading in DIFFERENCE_HEADINGS:
            view.add_column(heading, justify="right", no_wrap=True)
        for result, difference in differences:
            view.add_row(Text(marked(result)), *table.difference_cells(table.headline, difference))
        tables.append(view)
    return tables


def titled(title: str) -> RichTable:
    """An empty table for the terminal, with a first column for the methods."""
    view = RichTable(title=Text(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    view.add_column("method", overflow="fold")
    return view


def table_markdown(table: Table, intervals: bool = True) -> str:
    """Markdown: for each metric a table and its differences, then notes and the definitions of the metrics.

    Args:
        table: the comparison.
        intervals: whether cells show the 95 % interval.
    """
    manifest = table.results[0].manifest
    lines = ["# Comparison", "", f"{table.bins[ALL]} images of the manifest `{manifest['sha256'][:12]}`.", ""]
    wraps = {"best": "**", "level": "*", "": ""}
    for metric in table.metrics:
        rows = [["method", *(f"{bin_name} (n={n})" for bin_name, n in table.bins.items())]]
        for result in table.results:
            cells = []
            for bin_name in table.bins:
                wrap = wraps[table.mark(result, metric, bin_name)]
                ends = table.interval(result, metric, bin_name) if intervals else ""
                cells.append(f"{wrap}{table.cell(result, metric, bin_name)}{wrap}" + (f" ({ends})" if ends else ""))
            rows.append([marked(result), *cells])
        for method in table.printed(metric):
            numbers = [table.number(method.means.get((metric, bin_name)), metric) for bin_name in table.bins]
            rows.append([marked(method), *numbers])
        lines += [f"## {_escaped(table.title(metric))}", "", *grid(rows), ""]
        if differences := table.differences(metric):
            rows = [[table.difference_title(metric), *DIFFERENCE_HEADINGS]]
            rows += [
                [marked(result), *table.difference_cells(metric, difference)] for result, difference in differences
            ]
            lines += [*grid(rows), ""]
    lines += [f"- {_escaped(note)}" for note in [table.caption("Bold", "Italic"), *table.notes(), *table.left_out()]]
    for name, meaning in table.metrics.items():
        backend = "" if meaning.backend == "inpaintlab" else f"; computed by {meaning.backend}"
        lines.append(f"- `{name}`: {_escaped(meaning.definition + backend)}")
    lines += [f"- {_escaped(line)}" for line in _versions(table.results)]
    return "\n".join(lines) + "\n"


def _versions(results: list[Result]) -> list[str]:
    """The versions of the software that computed the numbers, one line for all methods with the same versions."""
    sharing: dict[str, list[str]] = {}
    for result in results:
        versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
        sharing.setdefault(versions, []).append(result.label)
    if len(sharing) == 1:
        return [f"Evaluated with {versions}." for versions in sharing]
    return [f"{', '.join(labels)}: evaluated with {versions}." for versions, labels in sharing.items()]


def grid(rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table; first row and first column are plain text, the other cells are Markdown already."""
    head, *body = [[_escaped(first), *rest] for first, *rest in rows]
    lines = [f"| {' | '.join([head[0], *map(_escaped, head[1:])])} |", "|---|" + "---:|" * (len(head) - 1)]
    return lines + [f"| {' | '.join(row)} |" for row in body]


def table_csv(table: Table) -> str:
    """`table_frame` as CSV; an unknown number is an empty cell."""
    return table_frame(table).write_csv()


def table_frame(table: Table) -> pl.DataFrame:
    """The table in long form, one row per method, metric and bin; an unknown number is null.

    Means have full precision, other numbers 9 digits. ``n`` is the number of images in the bin, ``infinite`` that of
    images that are reproduced exactly, ``finite_mean`` the mean of the others where the mean is ``inf``.
    ``difference`` is the method's mean minus that of ``reference`` over ``pairs`` images. ``p`` is the corrected p
    value of ``test``, see `paired_test`. ``source`` says where a published number is printed; measured ones have none.
    """
    rows: list[tuple[str | float | int | None, ...]] = []
    for result in table.results:
        for metric in table.metrics:
            for bin_name, n in table.bins.items():
                key = (metric, bin_name, result.label)
                mean, estimate = table.mean(result, metric, bin_name), table.statistics.estimates.get(key)
                ends = (None, None) if estimate is None else (_rounded(estimate.low), _rounded(estimate.high))
                means = result.means[bin_name]
                exact = (means.get(f"{metric}_infinite", 0), means.get(f"{metric}_finite"))
                rows.append((result.label, bin_name, n, metric, mean, *exact, *ends, *_difference(table, key), None))
    for method in table.published:
        for (metric, bin_name), mean in method.means.items():
            if metric in table.metrics and bin_name in table.bins:
                empty = (None,) * (len(_CSV) - 6)
                rows.append((method.label, bin_name, None, metric, mean, *empty, f"{MARK}: {method.source}"))
    return pl.DataFrame(rows, schema=_CSV, orient="row")


def _difference(table: Table, key: Key) -> tuple[str | float | int | None, ...]:
    found = table.statistics.from_reference.get(key)
    if found is None:
        return (None,) * 8
    numbers = [_rounded(number) for number in (found.mean, found.low, found.high, found.p)]
    return (found.reference, *numbers, paired_test(table.metrics[key[0]]), found.pairs, found.left_out)


def _rounded(number: float | None) -> float | None:
    """A number to 9 digits, because the last digits of a sum of products differ between processors; None for NaN."""
    return None if number is None or math.isnan(number) else float(f"{number:.9g}")


def _escaped(text: str) -> str:
    """Text in one line, escaped for Markdown."""
    return re.sub(r"([\\|`*<\[\]])", r"\\\1", " ".join(text.split()))
