"""Laws of nearest-neighbour fields."""

import numpy as np
import pytest
from skimage import data

from inpaintlab.patches import (
    Painted,
    Targets,
    at_random,
    generator,
    improve,
    known_patches,
    measure,
    targets_of,
    touching,
    vote,
)
from inpaintlab.patches.field import offsets_of
from inpaintlab.patches.kernels import below, random_bits, uniform

SIDE = 64


def photograph(seed: int = 0) -> np.ndarray:
    """Smooth random colours with some texture, (64, 64, 3) in [0, 1]."""
    random = np.random.default_rng(seed)
    coarse = random.random((8, 8, 3), np.float32).repeat(8, 0).repeat(8, 1)
    return (0.8 * coarse + 0.2 * random.random((SIDE, SIDE, 3), np.float32)).astype(np.float32)


def a_hole(top: int = 24, left: int = 20, side: int = 16) -> np.ndarray:
    hole = np.zeros((SIDE, SIDE), bool)
    hole[top : top + side, left : left + side] = True
    return hole


def a_search(size: int = 7, hole: np.ndarray | None = None) -> tuple[Painted, Targets]:
    hole = a_hole() if hole is None else hole
    return Painted(photograph(), hole, size), targets_of(touching(hole, size))


def distances(painted: Painted, row: int, column: int, size: int) -> np.ndarray:
    """The distance of one target to every patch of the image, infinite where none may be taken."""
    around = size // 2
    image = np.pad(np.rint(painted.colours * 255), ((around, around), (around, around), (0, 0)), mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))
    found = ((patches - patches[row, column]) ** 2).sum(axis=(2, 3, 4))
    return np.where(painted.valid, found, np.inf)


@pytest.mark.parametrize("size", [3, 7, 10])
@pytest.mark.parametrize("place", [(24, 20), (0, 0), (48, 3)])
def test_targets_touch_the_hole_and_sources_do_not(size: int, place: tuple[int, int]) -> None:
    hole = a_hole(*place)
    first, last = offsets_of(size)
    assert last - first + 1 == size
    touch, known = touching(hole, size), known_patches(hole, size)
    for row, column in np.random.default_rng(1).integers(SIDE, size=(300, 2)):
        rows, columns = np.ogrid[row + first : row + last + 1, column + first : column + last + 1]
        inside = (rows >= 0) & (rows < SIDE) & (columns >= 0) & (columns < SIDE)
        holds = (hole[rows.clip(0, SIDE - 1), columns.clip(0, SIDE - 1)] & inside).any()
        assert touch[row, column] == holds
        assert known[row, column] == (inside.all() and not holds)


def test_a_cost_is_the_sum_of_squared_differences_of_8_bit_colours() -> None:
    painted, targets = a_search()
    matches = at_random(painted.valid, len(targets.rows), generator(3))
    costs = measure(painted.search, targets, matches)
    for k in (0, 100, len(costs) - 1):
        expected = distances(painted, targets.rows[k], targets.columns[k], 7)[tuple(matches[k])]
        assert costs[k] == expected


def searched(painted: Painted, targets: Targets, scans: int) -> np.ndarray:
    state = generator(1)
    matches = at_random(painted.valid, len(targets.rows), state)
    costs = measure(painted.search, targets, matches)
    for scan in range(scans):
        improve(painted.search, targets, matches, costs, state, backward=scan % 2 == 1)
    return costs


def nearest(painted: Painted, targets: Targets) -> np.ndarray:
    """The least distance of each target, by trying all."""
    centres = zip(targets.rows, targets.columns, strict=True)
    return np.array([distances(painted, row, column, 7).min() for row, column in centres], np.float32)


def test_five_scans_find_the_nearest_patch_of_nine_targets_in_ten_where_the_image_repeats_itself() -> None:
    half = photograph()[:, :32]
    noise = np.random.default_rng(1).normal(0, 0.02, (SIDE, SIDE, 3))  # so that no patch is found by accident
    image = (np.concatenate([half, half], axis=1) + noise).clip(0, 1).astype(np.float32)
    hole = a_hole(24, 8, 12)
    painted, targets = Painted(image, hole, 7), targets_of(touching(hole, 7))
    assert np.mean(searched(painted, targets, 5) == nearest(painted, targets)) >= 0.9


def test_five_passes_over_a_photograph_come_near_the_least_energy() -> None:
    """A pass is one scan forward and one backward; random search finds half the very nearest patches there."""
    hole = a_hole()
    painted = Painted(np.float32(data.astronaut()[5:69, 30:94]) / 255, hole, 7)
    targets = targets_of(touching(hole, 7))
    least = nearest(painted, targets).mean()
    assert least <= searched(painted, targets, 10).mean() < 1.1 * least


@pytest.mark.parametrize("exploring", [True, False])
def test_a_scan_makes_no_match_worse_and_tells_how_many_became_better(exploring: bool) -> None:
    painted, targets = a_search()
    state = generator(2)
    matches = at_random(painted.valid, len(targets.rows), state)
    before = measure(painted.search, targets, matches)
    costs = before.copy()
    changes = improve(painted.search, targets, matches, costs, state, exploring=exploring)
    assert (costs <= before).all()
    assert changes >= (costs < before).sum() > 0
    np.testing.assert_array_equal(costs, measure(painted.search, targets, matches))
    assert painted.valid[matches[:, 0], matches[:, 1]].all()


def test_in_how_many_parts_a_scan_runs_changes_nothing() -> None:
    painted, targets = a_search()
    found, told = [], []
    for at_once in (10_000, 37):
        state = generator(5)
        matches = at_random(painted.valid, len(targets.rows), state)
        costs = measure(painted.search, targets, matches, at_once=at_once)
        for backward in (False, True):
            improve(
                painted.search,
                targets,
                matches,
                costs,
                state,
                backward=backward,
                at_once=at_once,
                progress=told.append,
            )
        found.append(matches)
    np.testing.assert_array_equal(*found)
    assert told[:2] == [1.0, 1.0]
    assert told[2] == 37 / len(found[0])
    assert told[-1] == 1.0


def test_a_vote_is_the_weighted_mean_of_what_the_patches_put_there() -> None:
    painted, targets = a_search(size=5)
    matches = at_random(painted.valid, len(targets.rows), generator(4))
    weights = np.random.default_rng(0).random(len(targets.rows)).astype(np.float32)
    out = np.zeros((len(painted.hole.rows), 3), np.float32)
    vote(painted.search, targets, matches, weights, painted.hole, 5, out)
    for number in (0, 77, 200):
        row, column = painted.hole.rows[number], painted.hole.columns[number]
        total, weight = np.zeros(3), 0.0
        for k, (y, x) in enumerate(zip(targets.rows, targets.columns, strict=True)):
            down, right = row - y, column - x
            if max(abs(down), abs(right)) <= 2:
                total += weights[k] * painted.colours[matches[k, 0] + down, matches[k, 1] + right]
                weight += weights[k]
        np.testing.assert_allclose(out[number], total / weight, rtol=1e-5)


def test_painting_follows_the_hole_to_the_borders_of_the_searched_image() -> None:
    hole = a_hole(0, 48)
    painted, targets = a_search(hole=hole)
    matches = at_random(painted.valid, len(targets.rows), generator(6))
    painted.vote(targets, matches, np.ones(len(matches)))
    again = Painted(painted.colours, hole, 7)
    np.testing.assert_array_equal(painted.search.image, again.search.image)
    np.testing.assert_array_equal(painted.colours[~hole], photograph()[~hole])


def test_random_numbers_are_those_of_the_published_generator() -> None:
    """Vigna's xorshift64*, computed here in Python's whole numbers of any length."""
    state, bits = np.array([12345], np.uint64), 12345
    for _ in range(5):
        bits ^= bits >> 12
        bits = (bits ^ bits << 25) % 2**64
        bits ^= bits >> 27
        assert int(random_bits(state)) == bits * 2685821657736338717 % 2**64


def test_random_numbers_lie_in_their_range_and_reach_all_of_it() -> None:
    state = generator(0)
    drawn = [below(state, 5) for _ in range(200)]
    assert set(drawn) == {0, 1, 2, 3, 4}
    assert all(0 <= uniform(state) < 1 for _ in range(200))
    assert generator(1, 2) != generator(2, 1)
