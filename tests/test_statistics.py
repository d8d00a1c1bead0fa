"""Laws of the statistics of a comparison."""

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from inpaintlab.report.table import tabulate
from inpaintlab.results import Metric, Result, means_by_bin
from inpaintlab.statistics import Statistics, analyse, holm, intervals, signed_rank

METRICS = {"psnr_rgb": Metric("PSNR", "dB", True), "mae": Metric("MAE", "", False)}


def result(label: str, bins: dict[str, list[float | None]], metric: str = "psnr_rgb", **changes: Any) -> Result:
    """A method's values by mask bin: value i of each bin is that of photograph i, as in a manifest."""
    rows = [(f"{name}/photo {i}", name, value) for name, values in bins.items() for i, value in enumerate(values)]
    per_image = pl.DataFrame(rows, schema={"name": pl.String, "bin": pl.String, metric: pl.Float64}, orient="row")
    fields: dict[str, Any] = dict.fromkeys(Result.__dataclass_fields__)
    fields |= {"folder": Path("."), "label": label, "method": "", "oracle": False, "trained": True, "config": {}}
    fields |= {"manifest": {"sha256": "c0ffee"}, "metrics": {metric: METRICS[metric]}, "seconds_per_image": 1.0}
    fields |= {"machine": "", "versions": {}, "created": "", "switches": {}, "per_image": per_image}
    return Result(**(fields | {"means": means_by_bin(per_image, [metric])} | changes))


def analysed(*results: Result, reference: str | None = None) -> Statistics:
    return analyse(list(results), results[0].metrics, list(results[0].means), reference)


def noisy(seed: int, images: int, shift: float = 0.0) -> list[float]:
    """Values of photographs of very different difficulty; the methods of all seeds share the difficulties."""
    difficulty = np.random.default_rng(99).normal(25, 5, images)
    return list(difficulty + np.random.default_rng(seed).normal(shift, 0.5, images))


# Intervals


def test_an_interval_is_scipys_percentile_bootstrap():
    values = np.random.default_rng(0).lognormal(0, 0.8, 60)
    reference = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, random_state=0)
    low, high = intervals([values], np.arange(60), "seed")[0]
    close = 0.1 * reference.standard_error
    assert low == pytest.approx(reference.confidence_interval.low, abs=close)
    assert high == pytest.approx(reference.confidence_interval.high, abs=close)


def test_two_photographs_give_their_own_values_as_ends():
    # the means of the four possible draws are 1, 2, 2, 3, so each end has the probability 1/4
    assert intervals([np.array([1.0, 3.0])], np.arange(2), "seed") == [(1.0, 3.0)]


def test_one_photograph_has_no_interval_however_many_holes_it_has():
    assert intervals([np.array([1.0])], np.zeros(1, int), "seed") == [(None, None)]
    assert intervals([np.array([1.0, 2.0, 3.0])], np.zeros(3, int), "seed") == [(None, None)]


def test_equal_values_give_an_interval_without_width():
    assert intervals([np.full(9, 0.5)], np.arange(9), "seed") == [(0.5, 0.5)]


def test_no_rows_have_no_intervals():
    assert intervals([], np.arange(3), "seed") == []


def test_the_holes_of_a_photograph_are_drawn_together():
    once = np.array(noisy(1, 30))
    five_times = np.tile(once, 5)
    photographs = np.tile(np.arange(30), 5)
    together = intervals([five_times], photographs, "seed")[0]
    assert together == pytest.approx(intervals([once], np.arange(30), "seed")[0], rel=1e-12)
    apart = intervals([five_times], np.arange(150), "seed")[0]
    assert apart[1] - apart[0] < 0.6 * (together[1] - together[0])


def test_photographs_with_more_holes_weigh_more():
    values, photographs = np.array([0.0, 0.0, 0.0, 4.0]), np.array([0, 0, 0, 1])
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 2, (20_000, 2))
    means = (drawn == 1).sum(1) * 4 / ((drawn == 0).sum(1) * 3 + (drawn == 1).sum(1))
    assert intervals([values], photographs, "seed")[0] == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_values_that_are_left_out_count_nowhere():
    values = np.random.default_rng(0).normal(0, 1, 40)
    holes = np.where(np.arange(40) % 4 == 0, math.nan, values)
    reference = bootstrap((values[np.arange(40) % 4 != 0],), np.mean, method="percentile", random_state=0)
    low, high = intervals([holes], np.arange(40), "seed")[0]
    assert low == pytest.approx(reference.confidence_interval.low, abs=0.15 * reference.standard_error)
    assert high == pytest.approx(reference.confidence_interval.high, abs=0.15 * reference.standard_error)


def test_where_hardly_any_value_is_left_the_ends_are_still_numbers():
    row = np.full(20, math.nan)
    row[[3, 7]] = 1.0, 3.0  # most draws hold neither
    assert intervals([row], np.arange(20), "seed") == [(1.0, 3.0)]
    row[7] = math.nan
    assert intervals([row], np.arange(20), "seed") == [(None, None)]


def test_the_same_data_give_the_same_draws_and_others_do_not():
    values = np.array(noisy(1, 30))
    assert intervals([values], np.arange(30), "a") == intervals([values], np.arange(30), "a")
    assert intervals([values], np.arange(30), "a") != intervals([values], np.arange(30), "b")


def test_known_draws_stay_the_draws_of_every_later_version():
    ends = intervals([np.arange(10.0) ** 3], np.arange(10), "c0ffee/all")[0]
    assert ends == pytest.approx((64.995, 365.11000000000007), rel=1e-12)


def test_more_images_than_fit_one_block_are_drawn_whole(monkeypatch):
    values = np.random.default_rng(0).normal(0, 1, 50)
    whole = intervals([values], np.arange(50), "seed")
    monkeypatch.setattr("inpaintlab.statistics._BLOCK", 50 * 700)
    assert intervals([values], np.arange(50), "seed")[0] == pytest.approx(whole[0], rel=1e-12)


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


def test_the_mean_of_an_estimate_is_the_tables_mean_and_counts_its_images():
    a = result("a", {"x": [30.0, math.inf, 20.0], "y": [1.0, 2.0, 4.0]})
    estimates = analysed(a).estimates
    assert (estimates["psnr_rgb", "x", "a"].mean, estimates["psnr_rgb", "x", "a"].images) == (25.0, 2)
    assert estimates["psnr_rgb", "all", "a"].mean == a.means["all"]["psnr_rgb"]
    assert estimates["psnr_rgb", "all", "a"].images == 5


# The paired test


def test_the_p_value_is_that_of_the_table_of_the_signed_rank_test():
    assert signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(2 / 32)
    assert signed_rank(-np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(2 / 32)
    # of the 32 signs, those with no minus and that with a minus at rank 1 are as extreme
    assert signed_rank(np.array([-1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(4 / 32)


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_is_that_of_every_choice_of_signs(seed):
    differences = np.random.default_rng(seed).normal(0.5, 1, 9)
    ranks = np.argsort(np.argsort(abs(differences))) + 1
    sums = np.array([np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=9)])
    side = 1 if differences.mean() > 0 else -1
    one_sided = (sums >= ranks[side * differences > 0].sum()).mean()
    assert signed_rank(differences) == pytest.approx(min(1.0, 2 * one_sided))


def test_ranks_that_point_the_other_way_than_the_mean_give_no_lead():
    assert signed_rank(np.array([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, 100.0])) == 1.0


@pytest.mark.parametrize("images", [*range(1, 16), 49, 50, 51, 60])
def test_ties_zeros_and_few_images_give_a_p_value_without_a_warning(images):
    alike = np.ones(images)
    assert signed_rank(np.zeros(images)) == 1.0
    assert 0 < signed_rank(alike) <= 1
    assert 0 < signed_rank(np.append(alike, 0.0)) <= 1
    assert signed_rank(np.concatenate([alike, -alike])) == 1.0


def test_one_or_two_photographs_are_never_significant():
    assert signed_rank(np.array([9.0])) == 1.0
    assert signed_rank(np.array([9.0, 8.0])) == 0.5


def test_holms_correction_by_hand():
    # 3 x 0.01, 2 x 0.03, and 1 x 0.04 is raised to the one before
    assert holm([0.01, 0.04, 0.03], 3) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, 0.04, 0.03], 5) == pytest.approx([0.05, 0.12, 0.12])
    assert holm([0.9, 0.8], 2) == [1.0, 1.0]
    assert holm([], 3) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.data())
def test_correcting_a_part_is_never_bolder_than_correcting_the_whole(p_values, data):
    part = data.draw(st.lists(st.sampled_from(range(len(p_values))), unique=True))
    whole = holm(p_values, len(p_values))
    for position, corrected in zip(part, holm([p_values[i] for i in part], len(p_values)), strict=True):
        assert corrected >= whole[position]


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


def test_pairs_with_an_exact_image_are_left_out_and_counted():
    a = result("a", {"x": [30.0, math.inf, 20.0, 22.0]})
    b = result("b", {"x": [29.0, 25.0, math.inf, 20.0]})
    difference = analysed(a, b, reference="a").from_reference["psnr_rgb", "x", "b"]
    assert (difference.mean, difference.pairs, difference.left_out) == (-1.5, 2, 2)
    nothing_in_common = result("c", {"x": [math.inf, 25.0, math.inf, math.inf]})
    found = analysed(a, nothing_in_common, reference="a")
    assert ("psnr_rgb", "x", "c") not in found.from_reference
    assert found.estimates["psnr_rgb", "x", "c"].mean == 25.0


def test_images_where_a_metric_is_undefined_are_left_out_of_the_pairs():
    a, b = result("a", {"x": [0.5, math.nan, 0.3]}, "mae"), result("b", {"x": [0.4, 0.2, 0.1]}, "mae")
    a = replace(a, means=means_by_bin(a.per_image, ["mae"], {"mae"}))
    found = analysed(a, b, reference="b")
    assert found.estimates["mae", "x", "a"].images == 2
    difference = found.from_reference["mae", "x", "a"]
    assert (difference.mean, difference.pairs, difference.left_out) == (pytest.approx(0.15), 2, 1)
    assert (
        "a: 1 of 3 images have no mae; they are left out of its means and of its differences." in tabulate([a]).notes()
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
