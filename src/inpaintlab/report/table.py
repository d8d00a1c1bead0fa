"""The table of a comparison: methods in rows, metric by mask bin in columns; as terminal text, Markdown and CSV."""

import re
from dataclasses import dataclass

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from inpaintlab.results import ALL, Metric, Result, bin_order

HEADLINE = "psnr_rgb"  # orders the rows and picks the worst and best pictures
NO_MEAN = "–"  # noqa: RUF001  (an en dash is meant)


@dataclass(frozen=True)
class Table:
    """Means of every method, metric and mask bin.

    `results` stand in the order of the rows, `bins` maps each column to its number of images, with "all" last.
    """

    results: list[Result]
    bins: dict[str, int]
    metrics: dict[str, Metric]

    @property
    def headline(self) -> str:
        """The metric that decides which method leads: `psnr_rgb`, or the first metric where that is missing."""
        return HEADLINE if HEADLINE in self.metrics else next(iter(self.metrics))

    def mean(self, result: Result, metric: str, bin_name: str) -> float | None:
        """Mean over the images of a bin; None where the method has no such number."""
        return result.means[bin_name].get(metric)

    def decimals(self, metric: str) -> int:
        """Digits after the point: 2 for decibels, per cent and numbers of 10 and more, 4 for the rest."""
        means = [self.mean(result, metric, bin_name) for result in self.results for bin_name in self.bins]
        largest = max((abs(mean) for mean in means if mean is not None), default=0.0)
        return 2 if self.metrics[metric].unit in ("dB", "%") or largest >= 10 else 4

    def cell(self, result: Result, metric: str, bin_name: str) -> str:
        """The mean as the tables print it."""
        mean = self.mean(result, metric, bin_name)
        return NO_MEAN if mean is None else f"{mean:.{self.decimals(metric)}f}"

    def is_best(self, result: Result, metric: str, bin_name: str) -> bool:
        """Whether no method prints a better mean; oracles neither are best nor beat another; ties are all best."""
        rivals = [rival for rival in self.results if not rival.oracle]
        printed = [float(cell) for rival in rivals if (cell := self.cell(rival, metric, bin_name)) != NO_MEAN]
        own = self.cell(result, metric, bin_name)
        if result.oracle or own == NO_MEAN:
            return False
        return float(own) == (max(printed) if self.metrics[metric].higher_is_better else min(printed))

    def leader(self) -> Result:
        """The overall best trained method that is no oracle, by the headline metric; failing that, the first row."""
        higher = self.metrics[self.headline].higher_is_better
        means = {
            position: mean
            for position, result in enumerate(self.results)
            if result.trained and not result.oracle
            if (mean := self.mean(result, self.headline, ALL)) is not None
        }
        best = (max if higher else min)(means, key=means.__getitem__) if means else 0
        return self.results[best]

    def title(self, metric: str) -> str:
        """A metric with its unit and direction, as headings show it."""
        meaning = self.metrics[metric]
        unit = f" ({meaning.unit})" if meaning.unit else ""
        return f"{metric}{unit}, {'higher' if meaning.higher_is_better else 'lower'} is better"

    def notes(self) -> list[str]:
        """The sentences under the tables: only those that something in the tables needs."""
        notes = []
        if any(result.oracle for result in self.results):
            notes.append("† sees something of the hidden part (an oracle): for orientation, never counted as best.")
        if not all(result.trained for result in self.results):
            notes.append("“untrained” marks methods whose weights were never trained: their numbers are a floor.")
        for result in self.results:
            for metric in result.metrics:
                if exact := result.means[ALL].get(f"{metric}_infinite"):
                    notes.append(
                        f"{result.label}: {exact} of {self.bins[ALL]} images are reproduced exactly; their infinite "
                        f"{metric} is left out of the means."
                    )
        columns = [(metric, bin_name) for metric in self.metrics for bin_name in self.bins]
        if any(self.mean(result, *column) is None for result in self.results for column in columns):
            notes.append(f"{NO_MEAN} means that the metric was not computed, or that its values have no finite mean.")
        return notes


def tabulate(results: list[Result]) -> Table:
    """Lay out results of one manifest, the highest overall `psnr_rgb` first (in the given order without one)."""
    metrics = {name: metric for result in results for name, metric in result.metrics.items()}
    headline_first = sorted(metrics, key=lambda name: name != HEADLINE)
    bins = {name: results[0].means[name]["n"] for name in sorted(results[0].means, key=bin_order)}

    def overall(result: Result) -> float:
        mean = result.means[ALL].get(HEADLINE)
        return float("-inf") if mean is None else mean

    return Table(sorted(results, key=overall, reverse=True), bins, {name: metrics[name] for name in headline_first})


def marked(result: Result) -> str:
    """The label as tables show it: † for an oracle, "(untrained)" for weights that were never trained."""
    return result.label + (" †" if result.oracle else "") + ("" if result.trained else " (untrained)")


def terminal_tables(table: Table) -> list[RichTable]:
    """One table a metric, readable at 100 columns; the best of a column is bold and starred, for pipes and paper."""
    tables = []
    for metric in table.metrics:
        view = RichTable(title=Text(table.title(metric)), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
        view.add_column("method", overflow="fold")
        for bin_name, n in table.bins.items():
            view.add_column(Text(f"{bin_name}\nn={n}"), justify="right", no_wrap=True)
        for result in table.results:
            cells = []
            for bin_name in table.bins:
                best = table.is_best(result, metric, bin_name)
                text = table.cell(result, metric, bin_name) + ("*" if best else " ")
                cells.append(Text(text, style="bold" if best else ""))
            view.add_row(Text(marked(result)), *cells)
        tables.append(view)
    return tables


def markdown(table: Table) -> str:
    """One Markdown table a metric with the best means in bold, then the notes and the definitions."""
    manifest = table.results[0].manifest
    lines = ["# Comparison", "", f"{table.bins[ALL]} images of the manifest `{manifest['sha256'][:12]}`.", ""]
    for metric in table.metrics:
        heads = [f"{bin_name} (n={n})" for bin_name, n in table.bins.items()]
        lines += [f"## {_escaped(table.title(metric))}", "", f"| method | {' | '.join(map(_escaped, heads))} |"]
        lines += ["|---|" + "---:|" * len(table.bins)]
        for result in table.results:
            cells = []
            for bin_name in table.bins:
                cell = table.cell(result, metric, bin_name)
                cells.append(f"**{cell}**" if table.is_best(result, metric, bin_name) else cell)
            lines.append(f"| {_escaped(marked(result))} | {' | '.join(cells)} |")
        lines.append("")
    lines += [f"- {_escaped(note)}" for note in table.notes()]
    lines += [f"- `{name}`: {_escaped(metric.definition)}" for name, metric in table.metrics.items()]
    return "\n".join(lines) + "\n"


def csv(table: Table) -> str:
    """Long form with full precision: label, bin, n (images in the bin), metric, mean (empty where there is none)."""
    rows = [
        (result.label, bin_name, n, metric, table.mean(result, metric, bin_name))
        for result in table.results
        for metric in table.metrics
        for bin_name, n in table.bins.items()
    ]
    kinds = {"label": pl.String, "bin": pl.String, "n": pl.Int64, "metric": pl.String, "mean": pl.Float64}
    return pl.DataFrame(rows, schema=kinds, orient="row").write_csv()


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return re.sub(r"([\\|`*<\[\]])", r"\\\1", " ".join(text.split()))
