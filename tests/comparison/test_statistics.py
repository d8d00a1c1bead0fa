"""Laws of the statistics of a comparison."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from inpaintlab.comparison import tabulate
from inpaintlab.comparison.bootstrap import bootstrap, ends
from inpaintlab.comparison.paired_tests import holm, resampled, signed_rank, swapping
from inpaintlab.comparison.statistics import Statistics, analyse, paired_test
from inpaintlab.evaluation import ALL, DRAWN, Result
from inpaintlab.evaluation.results import means_by_bin
from inpaintlab.metrics import Meaning

METRICS = {"psnr_rgb": Meaning("PSNR", "dB", True, infinite_allowed=True), "mae": Meaning("MAE", "", False)} | DRAWN


def result(label: str, bins: dict[str, list[float | None]], metric: str = "psnr_rgb", **changes: Any) -> Result:
    """A method's values by mask bin: value i of each bin is that of photograph i, as in a manifest."""
    rows = [
        (f"{name}/photo {i}", f"photo {i}", name, value)
        for name, values in bins.items()
        for i, value in enumerate(values)
    ]
    schema = {"name": pl.String, "image": pl.String, "bin": pl.String, metric: pl.Float64}
    per_image = pl.DataFrame(rows, schema=schema, orient="row")
    fields: dict[str, Any] = dict.fromkeys(Result.__dataclass_fields__)
    fields |= dict.fromkeys(("method", "machine", "created", "code"), "")
    fields |= {"folder": Path("."), "label": label, "oracle": False, "trained": True}
    fields |= {"config": {}, "versions": {}, "seed": None, "switches": {}, "cost": {}, "replicates": {}}
    fields |= {"manifest": {"sha256": "c0ffee"}, "metrics": {metric: METRICS[metric]}, "per_image": per_image}
    fields |= {"means": means_by_bin(per_image, {metric: METRICS[metric]})}
    return Result(**(fields | changes))


def analysed(*results: Result, reference: str | None = None) -> Statistics:
    return analyse(list(results), results[0].metrics, list(results[0].means), reference)


def noisy(seed: int, images: int, shift: float = 0.0) -> list[float]:
    """Values of photographs of very different difficulty; the methods of all seeds share the difficulties."""
    difficulty = np.random.default_rng(99).normal(25, 5, images)
    return list(difficulty + np.random.default_rng(seed).normal(shift, 0.5, images))


# Estimates


def test_an_interval_depends_neither_on_the_order_of_the_images_nor_on_what_is_compared():
    a, b = result("a", {"x": noisy(1, 40), "y": noisy(2, 40)}), result("b", {"x": noisy(3, 40), "y": noisy(4, 40)})
    alone = analysed(a).estimates["psnr_rgb", "all", "a"]
    turned = result("a", {}, per_image=a.per_image.reverse(), means=a.means)
    for found in (analysed(a, b), analysed(b, a), analysed(turned, b)):
        estimate = found.estimates["psnr_rgb", "all", "a"]
        assert (estimate.low, estimate.high) == pytest.approx((alone.low, alone.high), rel=1e-12)
        assert estimate.mean == alone.mean
    (key,) = [key for key in analysed(a, b).from_best if key[1] == "x"]
    assert analysed(turned, b).from_best[key] == analysed(a, b).from_best[key]


def test_holes_of_one_photograph_in_one_bin_are_drawn_and_tested_together():
    def with_holes(once: Result, holes: int) -> Result:
        """The same values of as many holes in each photograph."""
        copies = [once.per_image.with_columns(name=pl.col("name") + f"/mask {i}") for i in range(holes)]
        return replace(once, per_image=pl.concat(copies), means=means_by_bin(pl.concat(copies), once.metrics))

    pair = result("a", {"x": noisy(1, 12)}), result("b", {"x": noisy(2, 12)})
    once, thrice = (analysed(*(with_holes(method, holes) for method in pair)) for holes in (1, 3))
    for key, estimate in once.estimates.items():
        found = thrice.estimates[key]
        assert (found.low, found.high) == pytest.approx((estimate.low, estimate.high))
        assert found.images == 36
    for pairs, difference in once.from_best.items():
        assert thrice.from_best[pairs].p == pytest.approx(difference.p)


def test_the_mean_of_an_estimate_is_the_tables_mean_and_counts_its_images():
    a = result("a", {"x": [30.0, 20.0, 25.0], "y": [1.0, 2.0, 4.0]})
    estimates = analysed(a).estimates
    assert (estimates["psnr_rgb", "x", "a"].mean, estimates["psnr_rgb", "x", "a"].images) == (25.0, 3)
    assert estimates["psnr_rgb", "all", "a"].mean == a.means["all"]["psnr_rgb"]
    assert estimates["psnr_rgb", "all", "a"].images == 6


def test_the_interval_of_a_mean_is_infinite_where_its_draws_are():
    """Of n photographs a certain one is in 1 - (1 - 1 / n) ** n of the draws: in two of three, but not in 97.5 %."""
    one = analysed(result("a", {"x": [math.inf, *[20.0] * 9]})).estimates["psnr_rgb", "x", "a"]
    assert (one.mean, one.low, one.high, one.images) == (math.inf, 20.0, math.inf, 10)
    every = analysed(result("a", {"x": [math.inf] * 10})).estimates["psnr_rgb", "x", "a"]
    assert (every.mean, every.low, every.high) == (math.inf, math.inf, math.inf)


# The comparison


def test_pairing_finds_a_lead_that_the_photographs_hide():
    strong, weak = result("strong", {"x": noisy(1, 60, 0.5)}), result("weak", {"x": noisy(2, 60)})
    found = analysed(weak, strong)
    assert found.best["psnr_rgb", "x"] == "strong"
    difference = found.from_best["psnr_rgb", "x", "weak"]
    assert difference.reference == "strong"
    assert difference.p < 0.001
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low < difference.mean < difference.high < 0
    intervals_of = [found.estimates["psnr_rgb", "x", label] for label in ("weak", "strong")]
    assert intervals_of[0].high > intervals_of[1].low  # on their own the two overlap


def test_differences_and_their_p_values_are_those_of_the_pairs():
    a, b = noisy(1, 12, 0.3), noisy(2, 12)
    found = analysed(result("a", {"x": a}), result("b", {"x": b}), reference="a").from_reference
    difference = found["psnr_rgb", "x", "b"]
    differences = np.subtract(b, a)
    assert difference.mean == pytest.approx(differences.mean(), rel=1e-12)
    # two columns, x and all, hold the same images
    assert difference.p == pytest.approx(min(1, 2 * signed_rank(differences)))
    assert ("psnr_rgb", "x", "a") not in found


def test_over_all_bins_a_photograph_counts_once_in_the_test():
    differences = [1.0, 2.0, 3.0, 4.0, 5.0]
    a = result("a", {name: [0.0] * 5 for name in ("x", "y", "z")})
    b = result("b", dict.fromkeys(("x", "y", "z"), differences))
    p = analysed(a, b, reference="a").from_reference["psnr_rgb", "all", "b"].p
    assert p == pytest.approx(4 * 2 / 32)  # four columns; as fifteen photographs it would be 4 * 2 / 2 ** 15


def test_the_best_is_corrected_for_all_pairs_and_a_named_reference_for_its_own():
    methods = [result(label, {"x": noisy(seed, 12, 0.6 * seed)}) for seed, label in enumerate("abc")]
    raw = {label: signed_rank(np.subtract(noisy(i, 12, 0.6 * i), noisy(2, 12, 1.2))) for i, label in enumerate("ab")}
    by_data = analysed(*methods).from_best
    named = analysed(*methods, reference="c").from_reference
    for differences, family in ((by_data, 6), (named, 4)):
        both_columns = [raw["a"], raw["b"], raw["a"], raw["b"]]
        expected = dict(zip(["a", "b"], holm(both_columns, family), strict=False))
        for label, p in expected.items():
            assert differences["psnr_rgb", "x", label].p == pytest.approx(p)
    assert by_data["psnr_rgb", "x", "a"].p > named["psnr_rgb", "x", "a"].p


def test_differences_from_the_best_stay_so_beside_a_reference():
    methods = [result(label, {"x": noisy(seed, 12, 0.6 * seed)}) for seed, label in enumerate("abc")]
    found = analysed(*methods, reference="a")
    assert {key[2]: difference.reference for key, difference in found.from_best.items()} == {"a": "c", "b": "c"}
    assert {key[2]: difference.reference for key, difference in found.from_reference.items()} == {"b": "a", "c": "a"}
    assert found.from_best == analysed(*methods).from_best


def test_identical_methods_differ_by_nothing():
    values = noisy(1, 8)
    found = analysed(result("a", {"x": values}), result("twin", {"x": values}))
    difference = found.from_best["psnr_rgb", "x", "twin"]
    assert (difference.mean, difference.low, difference.high, difference.p) == (0, 0, 0, 1)


def test_the_best_is_the_lowest_where_lower_is_better():
    found = analysed(result("a", {"x": [0.2, 0.3]}, "mae"), result("b", {"x": [0.1, 0.2]}, "mae"))
    assert found.best["mae", "x"] == "b"


@pytest.mark.parametrize("changes", [{"oracle": True}, {"trained": False}])
def test_oracles_and_floors_are_compared_but_never_the_best(changes):
    found = analysed(result("high", {"x": [30.0, 31.0]}, **changes), result("low", {"x": [20.0, 21.0]}))
    assert found.best == {("psnr_rgb", "x"): "low", ("psnr_rgb", "all"): "low"}
    assert found.from_best["psnr_rgb", "x", "high"].mean == 10
    assert analysed(result("high", {"x": [30.0, 31.0]}, **changes)).best == {}


@pytest.mark.parametrize(
    ("a", "b", "mean"),
    [
        ([30.0, math.inf, 20.0], [29.0, 25.0, 19.0], -math.inf),  # only a is exact somewhere
        ([30.0, math.inf, 20.0], [29.0, 25.0, math.inf], math.nan),  # each is, where the other is not
        ([30.0, math.inf, 20.0], [27.0, math.inf, 20.0], -1.0),  # both are, on the same image: a difference of 0
        ([math.inf] * 3, [math.inf] * 3, 0.0),
    ],
)
def test_an_infinite_difference_is_that_of_an_image_that_one_method_alone_reproduces(a, b, mean):
    found = analysed(result("a", {"x": a}), result("b", {"x": b}), reference="a")
    difference = found.from_reference["psnr_rgb", "x", "b"]
    assert difference.mean == pytest.approx(mean, nan_ok=True)
    assert (difference.pairs, difference.left_out) == (3, 0)
    assert (difference.low is None) == math.isnan(mean)


def test_the_order_of_infinite_means_is_that_of_exact_images_then_of_the_others():
    one = result("one", {"x": [math.inf, 90.0, 90.0]})
    two = result("two", {"x": [10.0, math.inf, math.inf]})
    better = result("better", {"x": [11.0, math.inf, math.inf]})
    sound = result("sound", {"x": [95.0, 95.0, 95.0]})
    assert analysed(sound, one).best["psnr_rgb", "x"] == "one"
    assert analysed(sound, one, two).best["psnr_rgb", "x"] == "two"
    assert analysed(sound, one, two, better).best["psnr_rgb", "x"] == "better"


def test_holes_of_one_photograph_add_up_to_infinity_or_to_nothing_known():
    a = result("a", {"x": [math.inf, 20.0, 21.0], "y": [20.0, 21.0, 22.0]})
    b = result("b", {"x": [20.0, 20.0, 21.0], "y": [math.inf, 21.0, 22.0]})
    c = result("c", {"x": [20.0, 20.0, 21.0], "y": [19.0, 21.0, 22.0]})
    undecided = analysed(a, b, reference="a").from_reference["psnr_rgb", "all", "b"]
    assert math.isnan(undecided.mean)
    assert undecided.p == 1
    assert analysed(a, c, reference="a").from_reference["psnr_rgb", "all", "c"].mean == -math.inf


def test_an_infinite_value_is_a_failure_where_exact_images_have_none():
    a, b = result("a", {"x": [0.5, math.inf, 0.3]}, "mae"), result("b", {"x": [0.4, 0.2, 0.1]}, "mae")
    found = analysed(a, b)
    assert {key[2] for key in found.estimates} == {"b"}
    assert found.best["mae", "x"] == "b"


def test_images_where_a_metric_is_undefined_are_left_out_of_the_pairs():
    a, b = result("a", {"x": [0.5, math.nan, 0.3]}, "mae"), result("b", {"x": [0.4, 0.2, 0.1]}, "mae")
    undefined_allowed = replace(METRICS["mae"], undefined_allowed=True)
    a = replace(a, means=means_by_bin(a.per_image, {"mae": undefined_allowed}))
    found = analysed(a, b, reference="b")
    assert found.estimates["mae", "x", "a"].images == 2
    difference = found.from_reference["mae", "x", "a"]
    assert (difference.mean, difference.pairs, difference.left_out) == (pytest.approx(0.15), 2, 1)
    assert (
        "a: 1 of 3 images have no mae; they are left out of these means and of their differences."
        in tabulate([a]).left_out()
    )


@pytest.mark.parametrize("value", [math.nan, None, -math.inf])
def test_a_broken_method_has_no_statistics_and_takes_none_from_the_others(value):
    broken = result("broken", {"x": [30.0, value, 31.0], "y": [1.0, 2.0, 3.0]})
    sound = result("sound", {"x": [20.0, 21.0, 23.0], "y": [1.0, 2.0, 3.5]})
    found = analysed(broken, sound, reference="broken")
    assert {key[1] for key in found.estimates if key[2] == "broken"} == {"y"}
    assert {key[1] for key in found.estimates if key[2] == "sound"} == {"x", "y", "all"}
    assert found.best["psnr_rgb", "x"] == "sound"
    assert {key[1] for key in found.from_reference} == {"y"}


# Ratios of sums

F1 = Meaning("micro-averaged F1", "", True, pooled=(("matched", "drawn"), ("matched", "true")))


def pooled(label: str, seed: int, quality: float, images: int = 30, **changes: Any) -> Result:
    """A method whose edges are counted in two bins of the same photographs, where photographs differ in size."""
    rng = np.random.default_rng(seed)
    true = np.round(np.tile(np.random.default_rng(99).lognormal(4, 1, images), 2))
    drawn = np.round(true * rng.uniform(0.5, 1.5, 2 * images))
    matched = np.round(np.minimum(drawn, true) * np.clip(rng.normal(quality, 0.1, 2 * images), 0, 1))
    bins = np.repeat(["x", "y"], images)
    names = [f"{bin_name}/photo {i % images}" for i, bin_name in enumerate(bins)]
    photographs = [f"photo {i % images}" for i in range(2 * images)]
    columns = {"name": names, "image": photographs, "bin": bins, "matched": matched, "drawn": drawn, "true": true}
    means = means_by_bin(pl.DataFrame(columns), {"f1_micro": F1})
    empty = result(label, {"x": [1.0]}, **changes)
    return replace(empty, metrics={"f1_micro": F1}, per_image=pl.DataFrame(columns), means=means)


def test_a_ratio_of_sums_has_the_interval_of_its_draws_and_the_p_value_of_its_swaps():
    a, b = pooled("a", 0, 0.60), pooled("b", 1, 0.55)
    found = analysed(a, b, reference="a")
    photographs = np.tile(np.arange(30), 2)  # in the order of the images' names
    quantities = []
    for method in (a, b):
        images = method.per_image.sort("name")
        matched, drawn, true = (images[name].to_numpy() for name in ("matched", "drawn", "true"))
        micro = 2 * matched.sum() / (drawn.sum() + true.sum())
        assert found.estimates["f1_micro", "all", method.label].mean == pytest.approx(micro)
        quantities.append(((matched, drawn), (matched, true)))
    draws = bootstrap(quantities, photographs, "c0ffee/all")
    estimate = found.estimates["f1_micro", "all", "b"]
    assert (estimate.low, estimate.high) == pytest.approx(ends(draws[1]))
    assert estimate.low < estimate.mean < estimate.high
    assert estimate.images == 60
    difference = found.from_reference["f1_micro", "all", "b"]
    assert difference.mean == estimate.mean - found.estimates["f1_micro", "all", "a"].mean
    assert (difference.low, difference.high) == pytest.approx(ends(draws[1] - draws[0]))
    (p,) = swapping([(quantities[0], quantities[1])], photographs, "c0ffee/all")
    assert p < difference.p <= 3 * p  # three columns
    assert (difference.pairs, difference.left_out) == (60, 0)


def test_leads_of_micro_averages_are_found_among_means_of_images():
    strong, weak, twin = pooled("strong", 0, 0.8), pooled("weak", 1, 0.5), pooled("twin", 2, 0.8)
    found = analysed(weak, strong, twin)
    best = found.best["f1_micro", "all"]
    assert best in ("strong", "twin")
    assert found.from_best["f1_micro", "all", "weak"].p == pytest.approx(9 * 2**-16)  # three columns of three pairs
    (other,) = {"strong", "twin"} - {best}
    assert found.from_best["f1_micro", "all", other].p > 0.05


def test_a_micro_average_without_a_value_has_no_statistics():
    none = pooled("none", 0, 0.5)
    none = replace(none, per_image=none.per_image.with_columns(matched=pl.lit(0.0), drawn=pl.lit(0.0)))
    none = replace(none, means=means_by_bin(none.per_image, {"f1_micro": F1}))
    found = analysed(none, pooled("some", 1, 0.5), reference="none")
    assert {key[2] for key in found.estimates} == {"some"}
    assert found.from_reference == {}


# Numbers of whole sets

FID = Meaning("FID", "", False, of_set=True)


def scored(label: str, value: float | None, replicates: list[float], metric: Meaning = FID) -> Result:
    """A method's FID over all of 30 photographs, with its replicates."""
    method = result(label, {"x": [1.0] * 30})
    means = {bin_name: {"n": 30, "fid": value} for bin_name in ("x", "all")}
    drawn = {"fid": dict.fromkeys(means, replicates)}
    return replace(method, metrics={"fid": metric}, means=means, replicates=drawn)


def replicates(seed: int, spread: float, level: float = 50.0, count: int = 200) -> list[float]:
    return list(np.random.default_rng(seed).normal(level, spread, count))


def test_a_number_of_a_set_has_an_interval_as_wide_as_its_replicates_spread_wherever_they_lie():
    estimate = analysed(scored("a", 40.0, replicates(0, 2.0))).estimates["fid", "x", "a"]
    assert (estimate.mean, estimate.images) == (40.0, 30)
    half = 1.972 * np.std(replicates(0, 2.0), ddof=1)  # the table's t of 199 degrees
    assert (estimate.low, estimate.high) == pytest.approx((40 - half, 40 + half), rel=1e-4)


def test_an_interval_goes_below_0_only_as_far_as_the_number_itself():
    found = [
        analysed(scored("a", value, replicates(0, 2.0))).estimates["fid", "x", "a"].low for value in (1.0, 0.0, -0.5)
    ]
    assert found == [0.0, 0.0, -0.5]


def test_differences_of_sets_are_paired_by_draw():
    shared = np.array(replicates(0, 5.0))
    a = scored("a", 40.0, list(shared))
    b = scored("b", 42.0, list(shared + 2 + np.array(replicates(1, 0.2, 0.0))))
    found = analysed(b, a)
    assert found.best["fid", "x"] == "a"
    difference = found.from_best["fid", "x", "b"]
    assert difference.mean == 2.0
    assert difference.p < 0.001  # although each alone is known to 5 only
    assert difference.low == pytest.approx(2 - 1.972 * 0.2, abs=0.05)
    assert (difference.pairs, difference.left_out) == (30, 0)
    unpaired = scored("b", 42.0, replicates(7, 5.0))
    assert analysed(unpaired, a).from_best["fid", "x", "b"].p > 0.5


def test_the_p_values_of_sets_are_corrected_like_the_others():
    a, b = scored("a", 40.0, replicates(0, 1.0)), scored("b", 42.5, replicates(1, 1.0))
    _, p = resampled(2.5, np.subtract(replicates(1, 1.0), replicates(0, 1.0)))
    assert 0 < p < 0.25
    assert analysed(a, b, reference="a").from_reference["fid", "all", "b"].p == pytest.approx(2 * p)  # two columns


@pytest.mark.parametrize("few", [[], [41.0]])
def test_without_replicates_there_is_neither_interval_nor_lead(few):
    a, b = scored("a", 40.0, replicates(0, 1.0)), scored("b", 90.0, few)
    found = analysed(a, b, reference="a")
    estimate = found.estimates["fid", "x", "b"]
    assert (estimate.mean, estimate.low, estimate.high) == (90.0, None, None)
    assert found.from_best == found.from_reference == {}
    missing = replace(b, replicates={})
    assert analysed(a, missing).estimates["fid", "x", "b"] == estimate


def test_of_unequally_many_replicates_the_common_draws_are_paired():
    many = replicates(0, 5.0)
    a, b = scored("a", 40.0, many), scored("b", 42.0, [value + 0.01 * i for i, value in enumerate(many[:50])])
    difference = analysed(a, b).from_best["fid", "x", "b"]
    _, p = resampled(2.0, 0.01 * np.arange(50))
    assert difference.p == pytest.approx(min(1.0, 2 * p))


def test_a_set_without_a_number_has_no_statistics():
    a, b = scored("a", 40.0, replicates(0, 1.0)), scored("b", None, [])
    assert {key[2] for key in analysed(a, b).estimates} == {"a"}


def test_all_three_kinds_stand_in_one_comparison():
    def method(label: str, seed: int) -> Result:
        counted = pooled(label, seed, 0.5)
        values = np.random.default_rng(seed).normal(20, 1, 60)
        per_image = counted.per_image.with_columns(psnr_rgb=pl.Series(values))
        metrics = {"psnr_rgb": METRICS["psnr_rgb"], "f1_micro": F1, "fid": FID}
        means = means_by_bin(per_image, metrics)
        for entry in means.values():
            entry["fid"] = 40.0 + seed
        drawn = {"fid": {name: replicates(seed, 1.0) for name in means}}
        return replace(counted, metrics=metrics, per_image=per_image, means=means, replicates=drawn)

    found = analysed(method("a", 0), method("b", 1))
    keys = {(metric, name) for metric in ("psnr_rgb", "f1_micro", "fid") for name in ("x", "y", "all")}
    assert {key[:2] for key in found.estimates} == {key[:2] for key in found.from_best} == keys
    for metric, test in (("psnr_rgb", "signed rank"), ("f1_micro", "swap"), ("fid", "resampling")):
        assert paired_test(method("a", 0).metrics[metric]) == test


@pytest.mark.parametrize(("other", "ranked"), [("canny, sigma 2 (trained on none)", True), ("canny, sigma 3", False)])
def test_nobody_leads_in_edges_that_are_held_against_others(other: str, ranked: bool) -> None:
    sources, f1 = {"one": "canny, sigma 2", "other": other}, "drawn_edge_f1"
    values = {"one": [0.5, 0.6, 0.7, 0.8], "other": [0.1, 0.3, 0.2, 0.4]}
    results = [result(label, {"10-20": values[label]}, f1, switches={"edges": of}) for label, of in sources.items()]
    for reference in (None, "other"):
        found = analyse(results, {f1: DRAWN[f1]}, [ALL], reference)
        assert {label for _, _, label in found.estimates} == {"one", "other"}
        assert found.best == ({(f1, ALL): "one"} if ranked else {})
        assert bool(found.from_reference) == ranked
    assert ("nobody leads" in " ".join(tabulate(results).notes())) != ranked
