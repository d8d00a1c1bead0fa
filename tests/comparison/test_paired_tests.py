"""Laws of the tests of paired differences."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test
from scipy.stats import t as student

from inpaintlab.comparison.bootstrap import Quantity, Row, mean_of
from inpaintlab.comparison.paired_tests import half_width, holm, resampled, signed_rank, swapping

# The signed-rank test


def test_the_p_value_is_that_of_the_table_of_the_signed_rank_test():
    assert signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(2 / 32)
    assert signed_rank(-np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(2 / 32)
    # of the 32 signs, those with no minus and that with a minus at rank 1 are as extreme
    assert signed_rank(np.array([-1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(4 / 32)


def test_infinite_differences_share_the_largest_rank():
    """Ranks of 1, -2, 3, inf, inf: 1, 2, 3, 4.5, 4.5; of 1, -2, 3, 9, 9 the same."""
    infinite = np.array([1.0, -2.0, 3.0, math.inf, math.inf])
    finite = np.array([1.0, -2.0, 3.0, 9.0, 9.0])
    assert signed_rank(infinite) == signed_rank(finite) < 1


def test_an_infinite_difference_that_the_ranks_contradict_proves_nothing():
    """19 of 20 photographs speak against the method whose mean difference one exact image makes infinite."""
    assert signed_rank(np.array([math.inf, *(-1.0 - 0.1 * i for i in range(19))])) == 1
    assert signed_rank(np.array([math.inf, -math.inf, *[1.0] * 30])) == 1
    assert signed_rank(np.array([math.nan, *[1.0] * 30])) == 1


def test_six_infinite_differences_have_the_p_value_of_six_equal_signs():
    assert signed_rank(np.full(6, math.inf)) == signed_rank(np.full(6, 1.0))
    assert signed_rank(np.full(6, math.inf)) < 0.05


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


@pytest.mark.parametrize("images", [1, 2, 3, 5, 8, 13, 14, 49, 50, 51, 60])
def test_ties_zeros_and_few_images_give_a_p_value_without_a_warning(images):
    alike = np.ones(images)
    assert signed_rank(np.zeros(images)) == 1.0
    assert 0 < signed_rank(alike) <= 1
    assert 0 < signed_rank(np.append(alike, 0.0)) <= 1
    assert signed_rank(np.concatenate([alike, -alike])) == 1.0


def test_one_or_two_photographs_are_never_significant():
    assert signed_rank(np.array([9.0])) == 1.0
    assert signed_rank(np.array([9.0, 8.0])) == 0.5


# Swapping


def f1(matched: Row, drawn: Row, true: Row) -> Quantity:
    return ((matched, drawn), (matched, true))


def counts(seed: int, images: int, quality: float) -> tuple[Row, Row, Row]:
    """Matched, drawn and true pixels; the true ones are the same for every seed."""
    rng = np.random.default_rng(seed)
    true = np.round(np.random.default_rng(99).lognormal(4, 1, images))
    drawn = np.round(true * rng.uniform(0.5, 1.5, images))
    return np.round(np.minimum(drawn, true) * np.clip(rng.normal(quality, 0.1, images), 0, 1)), drawn, true


def micro_f1(matched: Row, drawn: Row, true: Row) -> float:
    return float(2 * matched.sum() / (drawn.sum() + true.sum()))


@pytest.mark.parametrize("seed", range(4))
def test_the_p_value_of_a_few_photographs_is_that_of_every_choice_of_swaps(seed):
    one, two = counts(seed, 8, 0.55), counts(seed + 50, 8, 0.45)
    apart = []
    for swapped in itertools.product((False, True), repeat=8):
        sides = [[np.where(swapped, b, a), np.where(swapped, a, b)] for a, b in zip(one, two, strict=True)]
        apart.append(abs(micro_f1(*(side[0] for side in sides)) - micro_f1(*(side[1] for side in sides))))
    expected = np.mean([distance >= apart[0] * (1 - 1e-9) for distance in apart])
    assert swapping([(f1(*one), f1(*two))], np.arange(8), "seed") == [expected]
    assert 0 < expected < 1


def test_of_means_it_is_scipys_permutation_test():
    a, b = np.random.default_rng(0).normal(0, 1, 10), np.random.default_rng(1).normal(0.8, 1, 10)
    expected = permutation_test((a, b), lambda x, y: np.mean(x) - np.mean(y), permutation_type="samples").pvalue
    assert swapping([(mean_of(a), mean_of(b))], np.arange(10), "seed") == pytest.approx([expected])


def test_random_swaps_agree_with_all_of_them():
    one, two = counts(4, 17, 0.52), counts(5, 17, 0.5)
    halves = [(a - b) / 2 for a, b in zip(one, two, strict=True)]
    middles = [(a + b).sum() / 2 for a, b in zip(one, two, strict=True)]
    signs = 1 - 2 * (np.arange(2**17)[:, None] >> np.arange(17) & 1)
    moved = [signs @ half for half in halves]
    sides = [[middle + way * move for middle, move in zip(middles, moved, strict=True)] for way in (1, -1)]
    apart = abs(np.subtract(*(2 * matched / (drawn + true) for matched, drawn, true in sides)))
    expected = (apart >= apart[0] * (1 - 1e-9)).mean()
    (p,) = swapping([(f1(*one), f1(*two))], np.arange(17), "seed")
    assert p == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 2**16))
    assert 0.05 < expected < 0.95


def test_the_order_of_the_two_methods_changes_nothing():
    one, two = f1(*counts(0, 30, 0.5)), f1(*counts(1, 30, 0.55))
    there, back = swapping([(one, two), (two, one)], np.arange(30), "seed")
    assert there == back


def test_a_clear_lead_reaches_the_smallest_p_value():
    one, two = f1(*counts(0, 60, 0.3)), f1(*counts(1, 60, 0.8))
    assert swapping([(one, two)], np.arange(60), "seed") == [2**-16]


def test_equal_methods_differ_by_nothing():
    one = f1(*counts(0, 30, 0.5))
    assert swapping([(one, one)], np.arange(30), "seed") == [1.0]
    assert swapping([(one, one)], np.arange(30) // 10, "seed") == [1.0]
    assert swapping([], np.arange(3), "seed") == []


def test_holes_of_one_photograph_change_places_together():
    one, two = counts(0, 12, 0.4), counts(1, 12, 0.7)
    photographs = np.tile(np.arange(4), 3)
    summed = [f1(*(np.bincount(photographs, row) for row in method)) for method in (one, two)]
    p = swapping([(f1(*one), f1(*two))], photographs, "seed")
    assert p == swapping([(summed[0], summed[1])], np.arange(4), "seed")
    assert p[0] >= 2 / 2**4


def test_a_swap_that_leaves_nothing_to_divide_by_proves_no_lead():
    # where the first photograph is swapped, one side has drawn nothing at all
    one, two = ((np.array([3.0, 0.0]), np.array([4.0, 0.0])),), ((np.array([0.0, 1.0]), np.array([0.0, 4.0])),)
    assert swapping([(one, two)], np.arange(2), "seed") == [1.0]


def test_equally_good_methods_are_rarely_told_apart():
    pairs = [(f1(*counts(2 * seed, 25, 0.5)), f1(*counts(2 * seed + 1, 25, 0.5))) for seed in range(200)]
    significant = np.mean(np.array(swapping(pairs, np.arange(25), "seed")) < 0.05)
    assert significant < 0.1  # 0.05 and three standard errors of 200 trials


# Replicates of numbers of whole sets


def test_the_interval_of_replicates_is_students():
    replicates = np.array([1.0, 2.0, 4.0, 9.0])
    error = np.sqrt(((replicates - 4) ** 2).sum() / 3)  # their mean is 4
    assert half_width(replicates) == pytest.approx(3.1824463 * error)  # the table's t of 3 degrees at 97.5 %
    (low, high), p = resampled(2.0, replicates)
    assert (low, high) == pytest.approx((2 - 3.1824463 * error, 2 + 3.1824463 * error))
    assert p == pytest.approx(2 * student.sf(2 / error, 3))


def test_of_many_replicates_the_half_width_is_196_standard_deviations():
    replicates = np.random.default_rng(0).normal(7, 2, 10_000)
    assert half_width(replicates) == pytest.approx(1.96 * replicates.std(), rel=1e-3)


@given(st.floats(-10, 10), st.integers(2, 30))
def test_the_interval_of_a_difference_leaves_out_0_exactly_where_it_is_significant(difference, count):
    (low, high), p = resampled(difference, np.random.default_rng(count).normal(0, 2, count))
    assert (p < 0.05) == (low > 0 or high < 0)


def test_only_the_spread_of_the_replicates_counts():
    replicates = np.random.default_rng(0).normal(0, 1, 50)
    there, p = resampled(1.0, replicates)
    shifted, same = resampled(1.0, replicates + 100)
    assert (*shifted, same) == pytest.approx((*there, p))


def test_replicates_that_do_not_vary_prove_no_lead():
    assert resampled(0.5, np.full(9, 0.5)) == ((0.5, 0.5), 1.0)


# Holm's correction


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
