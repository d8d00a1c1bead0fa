"""The table of a comparison: methods in rows, metric by mask bin in columns, with its marks and notes."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from inpaintlab.comparison.papers import MARK, PaperMethod
from inpaintlab.comparison.statistics import (
    SIGNIFICANT,
    Difference,
    Statistics,
    analyse,
    competes,
    paired_test,
    standing,
    unlike,
)
from inpaintlab.evaluation import ALL, Result, bin_order
from inpaintlab.metrics import Meaning

HEADLINE = "psnr_rgb"  # orders the rows and picks the worst and best pictures


NO_MEAN = "–"  # noqa: RUF001  (an en dash is meant)


@dataclass(frozen=True)
class Table:
    """The means of every method, metric and mask bin, with their statistics.

    Args:
        results: the methods in the order of the rows.
        bins: each column's number of images, with "all" last.
        metrics: the meaning of each metric, in the order of the tables.
        statistics: intervals and differences.
        reference: the label that differences are taken from; None for the best of each column.
        published: papers' numbers, in rows below the measured ones.
    """

    results: list[Result]
    bins: dict[str, int]
    metrics: dict[str, Meaning]
    statistics: Statistics
    reference: str | None
    published: list[PaperMethod]

    @property
    def headline(self) -> str:
        """The metric that decides which method leads: `psnr_rgb`, or the first metric if that is missing."""
        return HEADLINE if HEADLINE in self.metrics else next(iter(self.metrics))

    def mean(self, result: Result, metric: str, bin_name: str) -> float | None:
        """The mean over the images of a bin; None if the method has no such number."""
        return result.means[bin_name].get(metric)

    def decimals(self, metric: str) -> int:
        """Digits after the point: 2 for decibels, per cent and numbers of 10 and more, 4 for the rest."""
        keys = (metric, f"{metric}_finite")
        means = [result.means[bin_name].get(key) for result in self.results for bin_name in self.bins for key in keys]
        largest = max((abs(mean) for mean in means if mean is not None and math.isfinite(mean)), default=0.0)
        return 2 if self.metrics[metric].unit in ("dB", "%") or largest >= 10 else 4

    def cell(self, result: Result, metric: str, bin_name: str) -> str:
        """The mean as the tables print it; behind an infinite one, in brackets, that of the images with an error."""
        number = self.number(self.mean(result, metric, bin_name), metric)
        rest = result.means[bin_name].get(f"{metric}_finite")
        return number if rest is None else f"{number} ({self.number(rest, metric)})"

    def number(self, value: float | None, metric: str, sign: Literal["", "+"] = "") -> str:
        """A value of this metric, printed with the digits of the table, with ``sign="+"`` always with its sign."""
        if value is None or math.isnan(value):
            return NO_MEAN
        if math.isinf(value):
            return "-∞" if value < 0 else f"{sign}∞"
        return f"{value:{sign}.{self.decimals(metric)}f}"

    def sorting(self, result: Result, metric: str, bin_name: str) -> str:
        """What a page sorts a mean by: numbers that JavaScript reads, the first ones first; empty without a mean."""
        place = standing(result, metric, bin_name)
        if place is None:
            return ""
        if math.isfinite(place[0]):
            return str(place[0])
        return " ".join("Infinity" if number == math.inf else str(number) for number in place)

    def interval(self, result: Result, metric: str, bin_name: str) -> str:
        """The mean's 95 % interval, as in "19.21 to 20.40"; empty if there is none."""
        estimate = self.statistics.estimates.get((metric, bin_name, result.label))
        if estimate is None or estimate.low is None:
            return ""
        return f"{self.number(estimate.low, metric)} to {self.number(estimate.high, metric)}"

    def mark(self, result: Result, metric: str, bin_name: str) -> Literal["best", "level", ""]:
        """Whether a mean is the "best" of its column, "level" with the best, or neither (see `caption`)."""
        if not competes(result) or self.mean(result, metric, bin_name) is None:
            return ""
        best = self.statistics.best.get((metric, bin_name))
        if best is None:
            return ""
        if result.label != best:
            return "level" if self._level(result, metric, bin_name) else ""
        rivals = [rival for rival in self.results if competes(rival) and rival is not result]
        return "level" if any(self._level(rival, metric, bin_name) for rival in rivals) else "best"

    def _level(self, result: Result, metric: str, bin_name: str) -> bool:
        """Whether the difference between a competing method and the best one is not significant."""
        if self.mean(result, metric, bin_name) is None:
            return False
        best = next(other for other in self.results if other.label == self.statistics.best[metric, bin_name])
        difference = self.statistics.from_best.get((metric, bin_name, result.label))
        if difference is None or difference.p >= SIGNIFICANT:
            return True
        # On the common images the order can differ from that of the means, which leave out other images.
        worse = (difference.mean < 0) == self.metrics[metric].higher_is_better
        return not worse or self.cell(result, metric, bin_name) == self.cell(best, metric, bin_name)

    def caption(self, best: str, level: str) -> str:
        """A sentence on the meaning of the marks; `best` and `level` are the names of their looks, such as "Bold"."""
        return (
            f"{best}: the best mean of its column, where its lead over every other method that counts stands. {level}: "
            "otherwise the best, and all that cannot be told from it. A lead stands where the printed means differ and "
            f"the metric's paired test over photographs gives p < {SIGNIFICANT}, Holm-corrected over all bins and "
            "pairs of methods of the metric."
        )

    def differences(self, metric: str) -> list[tuple[Result, Difference]]:
        """Each method's difference from the reference over all images."""
        found = [(result, self.statistics.from_reference.get((metric, ALL, result.label))) for result in self.results]
        return [(result, difference) for result, difference in found if difference is not None]

    def difference_title(self, metric: str) -> str:
        """The heading of the paired differences of a metric."""
        unit = self.metrics[metric].unit
        return f"{metric}{f' ({unit})' if unit else ''} minus that of {self.reference or 'the best'}, all images"

    def difference_cells(self, metric: str, difference: Difference) -> list[str]:
        """A difference as tables print it: mean, interval, corrected p value, images that count."""
        mean, low, high = (self.number(n, metric, "+") for n in (difference.mean, difference.low, difference.high))
        ends = NO_MEAN if difference.low is None else f"{low} to {high}"
        p = "< 0.001" if difference.p < 0.001 else f"{difference.p:.3f}"
        return [mean, ends, p, str(difference.pairs)]

    def printed(self, metric: str) -> list[PaperMethod]:
        """The published methods that have numbers of this metric in bins of this table."""
        return [
            method for method in self.published if any((metric, bin_name) in method.means for bin_name in self.bins)
        ]

    def leader(self) -> Result:
        """The best competing method over all images by the headline metric; if there is none, the first row."""
        best = self.statistics.best.get((self.headline, ALL))
        return next((result for result in self.results if result.label == best), self.results[0])

    def title(self, metric: str) -> str:
        """A metric with its unit and direction, as headings show it."""
        meaning = self.metrics[metric]
        unit = f" ({meaning.unit})" if meaning.unit else ""
        return f"{metric}{unit}, {'higher' if meaning.higher_is_better else 'lower'} is better"

    def notes(self) -> list[str]:
        """The sentences under the tables: on the statistics, and on marks and gaps that occur in the tables."""
        notes = self._methods_of_statistics()
        if any(result.oracle for result in self.results):
            notes.append("† sees something of the hidden part (an oracle): for orientation, never counted as best.")
        if not all(result.trained for result in self.results):
            notes.append("“untrained” marks methods whose weights were never trained: a floor, never counted as best.")
        for result in self.results:
            if "(trained on " in (edges := str(result.switches.get("edges"))):
                notes.append(f"{result.label}: edges: {edges}.")
        if unlike(self.results):
            notes.append("drawn_edge_*: against the edges of each method's own source; these differ, so nobody leads.")
        columns = [(metric, bin_name) for metric in self.metrics for bin_name in self.bins]
        if any(self.mean(result, *column) is None for result in self.results for column in columns):
            notes.append(f"{NO_MEAN} means that the metric was not computed, or that a value of it is a failure.")
        if any(self.mean(result, *column) == math.inf for result in self.results for column in columns):
            notes.append(
                "∞ means that images are reproduced exactly; the mean of the others stands behind it in brackets. A "
                "difference is infinite where one method reproduces an image that the other does not, and undefined "
                f"({NO_MEAN}) where each does; an image that both reproduce is a tie."
            )
        if min(self.bins.values()) < 20:
            notes.append("Intervals of fewer than about twenty photographs are too narrow; one photograph has none.")
        for source, doubts in dict.fromkeys((method.source, method.notes) for method in self.published):
            notes.append(f"“{MARK}”: {source}; for orientation, never marked, never tested. {' '.join(doubts)}".strip())
        return notes

    def left_out(self, metrics: Iterable[str] | None = None) -> list[str]:
        """Sentences on the images that the means of these metrics leave out, and why.

        Args:
            metrics: names of metrics; None for all.
        """
        metrics = list(self.metrics if metrics is None else metrics)
        sentences = []
        for labels, names, images in self._counted(metrics, "infinite"):
            of = f"{images} of {self.bins[ALL]} images are reproduced exactly"
            sentences.append(f"{labels}: {of}, so their {names} and its mean are infinite.")
        for labels, names, images in self._counted(metrics, "undefined"):
            of = f"{images} of {self.bins[ALL]} images have no {names}"
            sentences.append(f"{labels}: {of}; they are left out of these means and of their differences.")
        return sentences

    def _counted(self, metrics: list[str], why: str) -> list[tuple[str, str, int]]:
        """Methods, metrics and the number of such images, grouped so that equal numbers make one entry."""
        by_count: dict[tuple[str, int], list[str]] = {}
        for metric in metrics:
            for result in self.results:
                if images := result.means[ALL].get(f"{metric}_{why}"):
                    by_count.setdefault((metric, images), []).append(result.label)
        grouped: dict[tuple[str, int], list[str]] = {}
        for (metric, images), labels in by_count.items():
            grouped.setdefault((", ".join(labels), images), []).append(metric)
        return [(labels, ", ".join(names), images) for (labels, images), names in grouped.items()]

    def _methods_of_statistics(self) -> list[str]:
        """Sentences on the interval and the test of each kind of metric in the table."""
        names = {test: self._tested_by(test) for test in ("signed rank", "swap", "resampling")}
        notes = ["Intervals are 95 % bootstrap intervals over photographs; p is two-sided."]
        if names["signed rank"]:
            notes.append(
                "Differences of means are over the images that both methods have a value of; their p is that of "
                "Wilcoxon's signed-rank test."
            )
        if names["swap"]:
            notes.append(
                f"{', '.join(names['swap'])}: ratios of sums over all images. Their p is that of a permutation test: "
                "the share of the ways to swap the two methods on some of the photographs that part the two ratios at "
                "least as far."
            )
        if names["resampling"] and (draws := self._replicates(names["resampling"])):
            notes.append(
                f"{', '.join(names['resampling'])}: numbers of a whole set. Their intervals reach t standard "
                f"deviations over resampled photographs ({draws} draws; Student's t at "
                "97.5 %) to either side, cut at 0; their p is that of the t test of the difference in the same draws."
            )
        without: dict[str, list[str]] = {}
        for result in self.results:
            if lacking := [name for name in names["resampling"] if self._lacks_replicates(result, name)]:
                without.setdefault(", ".join(lacking), []).append(result.label)
        for metrics, labels in without.items():
            notes.append(f"{', '.join(labels)}: without replicates of {metrics}, so no interval, and no lead stands.")
        return notes

    def _tested_by(self, test: str) -> list[str]:
        return [name for name, metric in self.metrics.items() if paired_test(metric) == test]

    def _replicates(self, metrics: list[str]) -> str:
        numbers = {len(drawn) for r in self.results for m in metrics if (drawn := r.replicates.get(m, {}).get(ALL))}
        return " or ".join(map(str, sorted(numbers)))

    def _lacks_replicates(self, result: Result, metric: str) -> bool:
        estimate = self.statistics.estimates.get((metric, ALL, result.label))
        return estimate is not None and estimate.low is None


def tabulate(
    results: list[Result],
    reference: str | None = None,
    published: Sequence[PaperMethod] = (),
    only: Collection[str] | None = None,
) -> Table:
    """Make the table of results of one manifest, sorted by overall `psnr_rgb`, the highest first.

    Args:
        results: checked to belong together (see `check`).
        reference: the label that differences are taken from; None for the best of each column.
        published: papers' methods, for rows below the measured ones in the tables of metrics that they share.
        only: names of the metrics; None for all that a result has.
    """
    metrics = {name: metric for result in results for name, metric in result.metrics.items()}
    if only is not None:
        metrics = {name: metrics[name] for name in only}
    headline_first = sorted(metrics, key=lambda name: name != HEADLINE)
    bins = {name: results[0].means[name]["n"] for name in sorted(results[0].means, key=bin_order)}

    def overall(result: Result) -> tuple[float, int, float]:
        return standing(result, HEADLINE, ALL) or (-math.inf, 0, 0.0)

    ordered = sorted(results, key=overall, reverse=True)
    metrics = {name: metrics[name] for name in headline_first}
    statistics = analyse(ordered, metrics, list(bins), reference)
    shared = [m for m in published if any(metric in metrics and name in bins for metric, name in m.means)]
    return Table(ordered, bins, metrics, statistics, reference, shared)


def marked(method: Result | PaperMethod) -> str:
    """The label as tables show it: † for an oracle, "(untrained)" for weights that were never trained."""
    if isinstance(method, PaperMethod):
        return f"{method.label}{' †' if method.oracle else ''} ({MARK})"
    return method.label + (" †" if method.oracle else "") + ("" if method.trained else " (untrained)")
