"""Laws of the bootstrap over photographs."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from inpaintlab.comparison.bootstrap import (
    Ends,
    Numbering,
    Quantity,
    Row,
    bootstrap,
    by_photograph,
    ends,
    harmonic,
    mean_of,
)
from inpaintlab.evaluation import drawn


def intervals(rows: Sequence[Row], photographs: Numbering, seed: str) -> list[Ends]:
    """The intervals of the rows' means."""
    return [ends(draws) for draws in bootstrap([mean_of(row) for row in rows], photographs, seed)]


# Means


def test_an_interval_is_scipys_percentile_bootstrap():
    values = np.random.default_rng(0).lognormal(0, 0.8, 60)
    reference = scipy_bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, random_state=0)
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
    once = np.random.default_rng(1).normal(25, 5, 30)
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
    reference = scipy_bootstrap((values[np.arange(40) % 4 != 0],), np.mean, method="percentile", random_state=0)
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
    values = np.random.default_rng(1).normal(25, 5, 30)
    assert intervals([values], np.arange(30), "a") == intervals([values], np.arange(30), "a")
    assert intervals([values], np.arange(30), "a") != intervals([values], np.arange(30), "b")


def test_known_draws_stay_the_draws_of_every_later_version():
    ends = intervals([np.arange(10.0) ** 3], np.arange(10), "c0ffee/all")[0]
    assert ends == pytest.approx((64.995, 365.11000000000007), rel=1e-12)


def test_more_images_than_fit_one_block_are_drawn_whole(monkeypatch):
    values = np.random.default_rng(0).normal(0, 1, 50)
    whole = intervals([values], np.arange(50), "seed")
    monkeypatch.setattr("inpaintlab.evaluation.resampling.BLOCK", 50 * 700)
    assert intervals([values], np.arange(50), "seed")[0] == pytest.approx(whole[0], rel=1e-12)


def test_fewer_draws_are_the_first_of_more(monkeypatch):
    many = np.concatenate(list(drawn(7, 50, "seed")))
    monkeypatch.setattr("inpaintlab.evaluation.resampling.BLOCK", 7 * 4)
    np.testing.assert_array_equal(np.concatenate(list(drawn(7, 9, "seed"))), many[:9])


def test_the_draws_are_those_of_a_frozen_stream():
    random = np.random.RandomState(np.frombuffer(hashlib.sha256(b"seed").digest(), dtype="<u4"))
    expected = [np.bincount(random.randint(7, size=7, dtype=np.int64), minlength=7) for _ in range(9)]
    np.testing.assert_array_equal(np.concatenate(list(drawn(7, 9, "seed"))), expected)


# Ratios of sums


def counts(seed: int, images: int = 40) -> tuple[Row, Row, Row]:
    """Matched, drawn and true pixels of images of very different size."""
    rng = np.random.default_rng(seed)
    drawn, true = (np.round(rng.lognormal(4, 1, images)) for _ in range(2))
    return np.round(rng.uniform(0, 1, images) * np.minimum(drawn, true)), drawn, true


def f1(matched: Row, drawn: Row, true: Row) -> Quantity:
    return ((matched, drawn), (matched, true))


def micro_f1(matched: Row, drawn: Row, true: Row, axis: int = -1) -> Row:
    """Written with the counts, as 2 TP / (2 TP + FP + FN)."""
    return np.asarray(2 * matched.sum(axis) / (drawn.sum(axis) + true.sum(axis)))


def test_the_interval_of_a_micro_average_is_scipys():
    reference = scipy_bootstrap(
        counts(0), micro_f1, paired=True, vectorized=True, method="percentile", n_resamples=20_000, random_state=0
    )
    (draws,) = bootstrap([f1(*counts(0))], np.arange(40), "seed")
    close = 0.1 * reference.standard_error
    assert draws.std() == pytest.approx(reference.standard_error, rel=0.05)
    assert ends(draws) == pytest.approx(tuple(reference.confidence_interval), abs=close)


def test_two_photographs_make_the_ratios_of_their_four_draws():
    # 1 of 2 pixels in one photograph, 3 of 4 in the other: the draws are 2/4, 4/6 twice, 6/8
    (draws,) = bootstrap([((np.array([1.0, 3.0]), np.array([2.0, 4.0])),)], np.arange(2), "seed")
    values, times = np.unique(draws.round(12), return_counts=True)
    assert values == pytest.approx([0.5, 4 / 6, 0.75])
    assert times / len(draws) == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_a_photograph_is_drawn_with_all_its_holes_into_a_ratio():
    matched, drawn, true = counts(1, 30)
    photographs = np.tile(np.arange(10), 3)
    summed = [np.bincount(photographs, row) for row in (matched, drawn, true)]
    (draws,) = bootstrap([f1(matched, drawn, true)], photographs, "seed")
    (expected,) = bootstrap([f1(*summed)], np.arange(10), "seed")
    assert np.array_equal(draws, expected)


def test_every_quantity_is_drawn_from_the_same_photographs():
    values = np.random.default_rng(0).normal(0, 1, 40)
    alone = [bootstrap([quantity], np.arange(40), "seed")[0] for quantity in (mean_of(values), f1(*counts(0)))]
    together = bootstrap([f1(*counts(3)), mean_of(values), f1(*counts(0))], np.arange(40), "seed")
    assert together[1] == pytest.approx(alone[0], rel=1e-12)
    assert together[2] == pytest.approx(alone[1], rel=1e-12)


def test_a_ratio_that_one_photograph_decides_has_no_interval():
    drawn = np.array([0.0, 7.0, 0.0])
    (draws,) = bootstrap([((np.array([0.0, 3.0, 0.0]), drawn),)], np.arange(3), "seed")
    assert ends(draws) == (None, None)


def test_the_harmonic_mean_is_0_where_a_ratio_is_and_nothing_where_one_is_undefined():
    one, two = np.array([1.0, 0.0, 0.0, 3.0]), np.array([2.0, 2.0, 0.0, 6.0])
    found = harmonic([(one, two), (np.ones(4), np.full(4, 4.0))])
    assert found[[0, 1, 3]] == pytest.approx([1 / 3, 0, 1 / 3])
    assert math.isnan(found[2])


def test_a_single_ratio_may_be_negative():
    assert harmonic([(np.array([-1.0, 0.0]), np.array([4.0, 4.0]))]).tolist() == [-0.25, 0.0]


def test_equal_rows_are_summed_once_and_each_finds_its_place():
    rows = [np.array([1.0, 2.0, 3.0]), np.ones(3), np.array([1.0, 2.0, 3.0])]
    sums, place = by_photograph(rows, np.array([0, 1, 0]))
    assert (sums.tolist(), place) == ([[4.0, 2.0], [2.0, 1.0]], [0, 1, 0])
