"""Laws of matches that are homographies of a plane."""

from typing import Any

import numpy as np
import pytest

from inpaintlab.patches import Homography, copies, generator, improve, known_patches, measure, rescaled, targets_of
from inpaintlab.patches.homography import (
    COLUMN,
    NUMBERS,
    PLANE,
    REGULAR,
    ROW,
    WX,
    XX,
    XY,
    YX,
    YY,
    X,
    Y,
    moved,
    scale,
    transform,
)

LINES = [(0.0011, -0.0023), (-0.004, 0.0007), (0.0, 0.0035)]
WHOLE = (1.0, 0.0, 1.0, 0.0)
"""The frame of a level that is the image itself."""
COARSE = (2.5, 0.75, 2.4, 0.7)


def made(
    line: tuple[float, float], target: tuple[float, float], source: tuple[float, float], frame: Any = WHOLE
) -> Any:
    match = np.zeros(NUMBERS)
    match[ROW], match[COLUMN] = target
    transform(np.array(line), frame, *target, *source, match)
    return match


def place(match: Any, down: float, right: float) -> Any:
    """Where a match takes a place of its patch, row and column."""
    depth = 1 + match[6] * down + match[7] * right
    y = match[Y] + match[YY] * down + match[YX] * right
    x = match[X] + match[XY] * down + match[XX] * right
    return np.array([y, x]) / depth


def independent(line: tuple[float, float], target: Any, source: Any, point: Any, frame: Any = WHOLE) -> Any:
    """The same by rectifying, moving by what takes target to source, and going back; rows and columns of a level."""
    a, b, c, d = frame
    h = np.array([[1, 0, 0], [0, 1, 0], [*line, 1]])

    def rectified(p: Any) -> Any:
        q = h @ np.array([c * p[1] + d, a * p[0] + b, 1])
        return q[:2] / q[2]

    moved_to = rectified(point) + rectified(source) - rectified(target)
    x, y, w = np.linalg.inv(h) @ np.array([*moved_to, 1])
    return np.array([(y / w - b) / a, (x / w - d) / c])


@pytest.mark.parametrize("frame", [WHOLE, COARSE], ids=["whole", "coarse"])
@pytest.mark.parametrize("line", LINES)
def test_the_transform_takes_the_target_to_the_source_and_what_is_around_it_along(line: Any, frame: Any) -> None:
    target, source = (31.0, 40.0), (12.3, 55.9)
    match = made(line, target, source, frame)
    assert np.abs(place(match, 0, 0) - source).max() < 1e-4
    for around in ((-4, -4), (3, -2), (0, 4)):
        expected = independent(line, target, source, np.add(target, around), frame)
        assert np.abs(place(match, *around) - expected).max() < 1e-9


def test_without_a_horizon_it_is_a_translation() -> None:
    match = made((0.0, 0.0), (31.0, 40.0), (12.0, 55.0), COARSE)
    assert match[: WX + 1].tolist() == [12, 55, 1, 0, 0, 1, 0, 0]
    assert np.array_equal(
        match[None, : WX + 1], copies(targets_of(np.eye(1, dtype=bool)), np.array([[12, 55]]))[:, : WX + 1]
    )


@pytest.mark.parametrize("line", LINES)
def test_the_scale_agrees_with_finite_differences(line: Any) -> None:
    match = made(line, (31.0, 40.0), (12.3, 55.9))
    step = 1e-5
    columns = [(place(match, *way) - place(match, *np.negative(way))) / (2 * step) for way in ((step, 0), (0, step))]
    assert scale(match) == pytest.approx(np.sqrt(abs(np.linalg.det(np.stack(columns)))), rel=1e-6)
    assert abs(scale(match) - 1) > 1e-3


@pytest.mark.parametrize("line", LINES)
def test_a_neighbour_suggests_the_same_homography(line: Any) -> None:
    match, suggested = made(line, (31.0, 40.0), (12.3, 55.9)), np.zeros(NUMBERS)
    assert moved(match, 1, -1, suggested)
    for around in ((-4, -4), (3, -2)):
        assert np.abs(place(suggested, *around) - place(match, around[0] + 1, around[1] - 1)).max() < 1e-9


def test_nothing_is_suggested_across_a_horizon() -> None:
    match = made((0.0, -0.0238), (31.0, 40.0), (12.3, 55.9))
    assert 1 + match[6] * -6 == pytest.approx(0.0756, abs=1e-3)
    assert moved(match, -1, 0, np.zeros(NUMBERS))
    assert not moved(match, -6, 0, np.zeros(NUMBERS))


@pytest.mark.parametrize("line", LINES)
def test_a_finer_level_gets_the_same_homography_of_the_image(line: Any) -> None:
    coarse = made(line, (12.0, 15.0), (8.3, 20.9), COARSE)
    fine = (1.25, 0.125, 1.2, 0.1)
    wanted = np.zeros((40, 40), bool)
    wanted[25, 31], wanted[26, 30] = True, True
    found = rescaled(coarse[None], np.zeros(2, int), targets_of(wanted), COARSE, fine)
    for match in found:
        for around in ((0, 0), (-4, 3)):
            point = (match[ROW] + around[0], match[COLUMN] + around[1])
            inside = [(COARSE[0] * p + COARSE[1] - fine[1]) / fine[0] for p in (12.0, 8.3)]
            beside = [(COARSE[2] * p + COARSE[3] - fine[3]) / fine[2] for p in (15.0, 20.9)]
            expected = independent(line, (inside[0], beside[0]), (inside[1], beside[1]), point, fine)
            assert np.abs(place(match, *around) - expected).max() < 1e-9


def level(image: Any, hole: Any, **changes: Any) -> Homography:
    """A search in one plane parallel to the image and one with a horizon, both equally likely."""
    height, width = hole.shape
    ones = np.ones((height, width))
    targets = targets_of(~known_patches(hole, 5) & known_patches(np.zeros_like(hole), 5))
    settings = {
        "colours": image.astype(np.float32),
        "valid": known_patches(hole, 5),
        "number": targets.number,
        "size": 5,
        "weights": np.full(25, 1 / 25),
        "frame": WHOLE,
        "side": float(max(height, width)),
        "lines": np.array([(0.0, 0.0), (0.0, 0.004)]),
        "turns": np.array([[[1.0, 0.0], [1.0, 0.0]]] * 2),
        "unlikely": np.zeros((2, height, width), np.float32),
        "drawing": np.stack([ones / 2, ones], axis=-1).astype(np.float32),
        "steps": np.empty((0, 2)),
        "first": np.zeros(3, np.int64),
        "hole_distance": np.zeros((height, width), np.float32),
        "most_bias": 0.1,
        "scales": (0.5, 2.0),
        "direction": (0.0, 0.05),
        "proximity": (0.0, 0.0),
        "bonus": 0.0,
        "regular_draws": 5,
        "own_plane": False,
        "patch": np.empty(75, np.float32),
    }
    return Homography(**(settings | changes))


def one(search: Homography, match: Any) -> tuple[float, Any]:
    """The cost of a match of the only target, and the match as measuring left it."""
    targets = targets_of(np.arange(search.valid.size).reshape(search.valid.shape) == 12 * search.valid.shape[1] + 14)
    matches = match[None].copy()
    return float(measure(search, targets, matches)[0]), matches[0]


def noise(height: int = 32, width: int = 36) -> tuple[Any, Any]:
    hole = np.zeros((height, width), bool)
    hole[10:15, 12:18] = True
    return np.random.default_rng(0).uniform(0.2, 0.8, (height, width, 3)).astype(np.float32), hole


def test_the_cost_is_a_weighted_difference_after_a_bounded_bias() -> None:
    image, hole = noise()
    match = copies(targets_of(np.eye(1, dtype=bool)), np.array([[24, 7]]))[0]
    here, there = image[10:15, 12:17].reshape(25, 3), image[22:27, 5:10].reshape(25, 3)
    for most in (0.0, 0.02, 1.0):
        bias = np.clip((here - there).mean(axis=0), -most, most)
        cost, left = one(level(image, hole, most_bias=most), match)
        assert cost == pytest.approx(np.abs(here - there - bias).sum(axis=1).mean(), rel=1e-5)
        assert left[11:14] == pytest.approx(bias, abs=1e-6)


def test_guidance_is_added_by_hand() -> None:
    image, hole = noise()
    flat = np.full_like(image, 0.5)  # so that colours cost nothing
    match = copies(targets_of(np.eye(1, dtype=bool)), np.array([[24, 7]]))[0]  # from (12, 14)
    unlikely = np.random.default_rng(1).random((2, *hole.shape)).astype(np.float32)
    planar = unlikely[0, 12, 14] + unlikely[0, 24, 7]
    assert one(level(flat, hole, unlikely=unlikely), match)[0] == pytest.approx(planar, rel=1e-5)
    # a match parallel to the image has the limit
    assert one(level(flat, hole, direction=(5.0, 0.05)), match)[0] == pytest.approx(0.25)
    on_plane = made((0.0, 0.004), (12.0, 14.0), (24.0, 7.0))
    on_plane[PLANE] = 1
    across = 24 / (1 + 0.004 * 24) - 12 / (1 + 0.004 * 12)
    assert one(level(flat, hole, direction=(5.0, 1.0)), on_plane)[0] == pytest.approx(5 * across / 36, rel=1e-5)
    along = 7 / (1 + 0.004 * 24) - 14 / (1 + 0.004 * 12)
    turned = np.array([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    found = one(level(flat, hole, direction=(5.0, 1.0), turns=turned), on_plane)[0]
    assert found == pytest.approx(5 * min(abs(along), across) / 36, rel=1e-5)
    far = np.hypot(12, 7) / 36
    distance = np.full(hole.shape, 0.1, np.float32)
    found = one(level(flat, hole, proximity=(0.2, 0.05), hole_distance=distance), match)[0]
    assert found == pytest.approx(0.2 * (far - 0.1 - 0.05), rel=1e-4)
    match[REGULAR] = 1
    assert one(level(flat, hole, bonus=0.02), match)[0] == pytest.approx(-0.02)


def searched(search: Homography, seed: int = 0) -> tuple[Any, Any, Any]:
    targets = targets_of(search.number >= 0)
    sources = np.argwhere(search.valid)
    drawn = np.random.default_rng(seed).integers(len(sources), size=len(targets.rows))
    matches = copies(targets, sources[drawn])
    costs = measure(search, targets, matches)
    improve(search, targets, matches, costs, generator(seed))
    improve(search, targets, matches, costs, generator(seed, 1), backward=True)
    return matches, targets, costs


def test_every_match_is_of_a_known_patch_and_costs_what_is_told() -> None:
    image, hole = noise()
    search = level(image, hole)
    matches, targets, costs = searched(search)
    centres = np.rint(matches[:, [Y, X]]).astype(int)
    assert search.valid[tuple(centres.T)].all()
    assert np.array_equal(matches[:, [ROW, COLUMN]], np.stack([targets.rows, targets.columns], axis=1))
    assert 1 in matches[:, PLANE]
    assert np.array_equal(measure(search, targets, matches.copy()), costs)
    assert np.array_equal(matches, searched(level(image, hole))[0])


def test_a_regular_step_finds_what_repeats_itself() -> None:
    tile = np.random.default_rng(2).uniform(0.2, 0.8, (9, 11, 3))
    image = np.tile(tile, (4, 4, 1))[:32, :36]
    _, hole = noise()
    steps = {"steps": np.array([[11.0, 0.0], [-11.0, 0.0]]), "first": np.array([0, 2, 2])}
    search = level(image, hole, bonus=0.5, **steps)
    matches, targets, _ = searched(search)
    regular = matches[:, REGULAR] == 1
    assert regular.mean() > 0.5
    assert (np.abs(matches[regular, X] - targets.columns[regular]) == 11).all()
    assert (matches[regular, Y] == targets.rows[regular]).all()


@pytest.mark.parametrize("own", [False, True])
def test_a_propagated_match_is_judged_by_the_neighbours_plane_or_by_its_targets_own(own: bool) -> None:
    image, hole = noise()
    search = level(image, hole, own_plane=own)
    targets = targets_of(search.number >= 0)
    matches = copies(targets, np.tile([[26, 5]], (len(targets.rows), 1)))
    first = made((0.0, 0.004), (targets.rows[0], targets.columns[0]), (4.0, 25.0))
    matches[0, : WX + 1] = first[: WX + 1]
    matches[0, PLANE] = 1
    costs = np.full(len(matches), 10.0, np.float32)  # everything that is suggested is taken
    improve(search, targets, matches, costs, generator(0), steps=np.array([[0, 1]]), exploring=False)
    assert matches[1, X] == pytest.approx(place(first, 0, 1)[1])
    assert matches[1, PLANE] == (0 if own else 1)
