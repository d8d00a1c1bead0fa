"""Laws of matches that are turned, scaled and mirrored patches."""

from typing import Any

import numpy as np
import pytest
from jaxtyping import Bool, Float
from scipy.ndimage import map_coordinates

from inpaintlab import patches
from inpaintlab.patches.similarity import (
    ANGLE,
    BIAS,
    DOWN,
    GAIN,
    NUMBERS,
    RIGHT,
    SLACK,
    XX,
    XY,
    YX,
    YY,
    Similarity,
    X,
    Y,
)
from inpaintlab.patches.similarity_fields import inside_image

UPRIGHT: dict[str, Any] = {
    "guesses": 8,
    "rotation": 0.0,
    "scale": (1.0, 1.0),
    "stretch": (1.0, 1.0),
    "reflection": False,
    "gain": (0.9, 1.1),
    "bias": 10.0,
    "adjusts": False,
}
Picture = Float[np.ndarray, "height width 5"]


def waves(y: Float[np.ndarray, "..."], x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "... 5"]:
    """A texture that repeats nowhere, with its own derivatives as gradients."""
    random = np.random.default_rng(7)
    frequency, phase = random.uniform(-0.45, 0.45, (3, 24, 2)), random.uniform(0, 6.3, (3, 24))
    colours, slopes = [], []
    for channel in range(3):
        angles = [fy * y + fx * x + p for (fy, fx), p in zip(frequency[channel], phase[channel], strict=True)]
        colours.append(4 * sum(np.sin(angle) for angle in angles))
        if not channel:
            fy, fx = frequency[0].T
            slopes = [4 * sum(f * np.cos(a) for f, a in zip(fs, angles, strict=True)) for fs in (fx, fy)]
    return np.stack([*colours, *slopes], axis=-1)


def matrix(degrees: float, down: float, right: float) -> Float[np.ndarray, "2 2"]:
    turn = np.deg2rad(degrees)
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * [down, right]


def beside_a_copy(degrees: float, down: float, right: float) -> tuple[Picture, Bool[np.ndarray, "height width"]]:
    """The texture at the left, and at the right what it looks like when it is read at turned and scaled places.

    Returns:
        The picture, and where its left half is.
    """
    y, x = np.mgrid[:80, :160].astype(np.float64)
    (yy, yx), (xy, xx) = turned = matrix(degrees, down, right)
    away_y, away_x = y - 40, x - 120
    picture = waves(y, x)
    copy = waves(40 + yy * away_y + yx * away_x, 40 + xy * away_y + xx * away_x)
    copy[..., 3:] = copy[..., :2:-1] @ turned[:, ::-1]  # by the chain rule; gradients to the right come first
    left = x < 80
    return np.where(left[..., None], picture, copy), left


def searched(
    picture: Picture,
    usable: Bool[np.ndarray, "height width"],
    wanted: Bool[np.ndarray, "height width"],
    scans: int = 5,
    **settings: Any,
) -> tuple[Similarity, Any, Float[np.ndarray, "targets numbers"], Float[np.ndarray, " targets"]]:
    search = patches.looking_at(patches.similarity(usable, 10, **(UPRIGHT | settings)), picture)
    targets = patches.targets_of(wanted)
    state = patches.generator(0)
    matches = patches.random_matches(search, targets, state)
    costs = patches.measure(search, targets, matches)
    for scan in range(scans):
        patches.improve(search, targets, matches, costs, state, backward=scan % 2 == 1)
    return search, targets, matches, costs


def middle(height: int = 80, width: int = 160) -> Bool[np.ndarray, "height width"]:
    wanted = np.zeros((height, width), bool)
    wanted[30:50, 110:130] = True
    return wanted


@pytest.mark.parametrize(
    ("degrees", "down", "right", "closely"),
    [(30.0, 1.1, 1.1, 0.02), (-41.0, 0.93, 0.93, 0.02), (15.0, 1.0, -1.0, 0.02), (20.0, 1.15, 1.05, 0.04)],
)
def test_a_turned_scaled_or_mirrored_copy_is_found(degrees: float, down: float, right: float, closely: float) -> None:
    picture, left = beside_a_copy(degrees, down, right)
    settings = {"rotation": 45.0, "scale": (0.9, 1.2), "stretch": (0.9, 1.1), "reflection": right < 0, "guesses": 30}
    _, targets, matches, _ = searched(picture, left, middle(), scans=10, **settings)
    off_angle = abs(matches[:, ANGLE] - degrees)
    off_scale = np.maximum(abs(matches[:, DOWN] / down - 1), abs(matches[:, RIGHT] / right - 1))
    assert np.mean(off_angle < 1) > 0.8
    assert np.mean(off_scale < closely) > 0.8
    turned = matrix(degrees, down, right)
    y, x = np.array([40, 40])[:, None] + turned @ np.array([targets.rows - 40, targets.columns - 120])
    assert np.mean(np.hypot(matches[:, Y] - y, matches[:, X] - x) < 0.5) > 0.8


def test_a_mirrored_copy_is_not_found_where_mirrors_are_not_allowed() -> None:
    picture, left = beside_a_copy(15.0, 1.0, -1.0)
    settings = {"rotation": 45.0, "scale": (0.9, 1.2), "guesses": 30}
    _, _, matches, costs = searched(picture, left, middle(), **settings)
    _, _, mirrored, better = searched(picture, left, middle(), reflection=True, **settings)
    assert (matches[:, [DOWN, RIGHT]] > 0).all()
    assert (mirrored[:, RIGHT] < 0).mean() > 0.8
    assert np.median(better) < np.median(costs) / 10


def test_upright_matches_agree_with_brute_force() -> None:
    picture, left = beside_a_copy(8.0, 1.0, 1.0)
    _, targets, _, costs = searched(picture, left, middle())
    windows = np.lib.stride_tricks.sliding_window_view(picture.astype(np.float32), (10, 10), axis=(0, 1))
    sources = windows[:, :71].reshape(71 * 71, -1)
    wanted = windows[targets.rows - 5, targets.columns - 5].reshape(len(costs), -1)
    exact = (wanted**2).sum(1)[:, None] - 2 * wanted @ sources.T + (sources**2).sum(1)
    assert np.mean(costs <= exact.min(axis=1) * 1.01 + 0.1) >= 0.9
    assert (costs >= exact.min(axis=1) * 0.999 - 0.1).all()


def match_of(y: float, x: float, degrees: float, down: float, right: float) -> Float[np.ndarray, "1 numbers"]:
    match = np.zeros((1, NUMBERS), np.float32)
    match[0, [Y, X, ANGLE, DOWN, RIGHT]] = y, x, degrees, down, right
    match[0, [YY, YX, XY, XX]] = matrix(degrees, down, right).ravel()
    match[0, GAIN : GAIN + 3] = 1
    return match


def test_the_cost_and_the_vote_are_those_of_bilinear_interpolation() -> None:
    """scipy's interpolation of each plane, and the chain rule written as a product of matrices."""
    picture = np.random.default_rng(0).normal(size=(40, 60, 5)).astype(np.float32)
    match = match_of(19.3, 17.8, 33.0, 1.1, -0.9)
    turned = matrix(33.0, 1.1, -0.9)
    search = patches.looking_at(patches.similarity(np.ones((40, 60), bool), 10, **UPRIGHT), picture)
    wanted = np.zeros((40, 60), bool)
    wanted[20, 45] = True
    targets = patches.targets_of(wanted)
    down, right = np.mgrid[-5:5, -5:5]
    places = np.array([19.3, 17.8])[:, None] + turned @ np.stack([down.ravel(), right.ravel()])
    read = np.stack([map_coordinates(picture[..., c], places, order=1) for c in range(5)], axis=-1)
    read[:, 3:] = read[:, :2:-1] @ turned[:, ::-1]
    target = picture[15:25, 40:50].reshape(100, 5)
    np.testing.assert_allclose(patches.measure(search, targets, match), ((read - target) ** 2).sum(), rtol=1e-4)

    pixels = patches.targets_of(np.ones((40, 60), bool))
    votes = np.full((40 * 60, 5), 9.0, np.float32)
    patches.vote(search, targets, match, np.ones(1, np.float32), pixels, 10, votes)
    votes = votes.reshape(40, 60, 5)
    np.testing.assert_allclose(votes[15:25, 40:50].reshape(100, 5), read, atol=1e-3)
    assert (votes[:15] == 9).all()


def test_the_gradient_of_a_ramp_turns_with_the_patch() -> None:
    y, x = np.mgrid[:40, :40].astype(np.float32)
    ramp = np.stack([2 * x + 3 * y, 0 * x, 0 * x, 0 * x + 2, 0 * x + 3], axis=-1)
    search = patches.looking_at(patches.similarity(np.ones((40, 40), bool), 10, **UPRIGHT), ramp)
    targets = patches.targets_of((y == 20) & (x == 20))
    votes = np.zeros((1600, 5), np.float32)
    ones = np.ones(1, np.float32)
    patches.vote(search, targets, match_of(20, 20, 35.0, 1.1, -1.0), ones, patches.targets_of(x >= 0), 10, votes)
    votes = votes.reshape(40, 40, 5)[15:25, 15:25]
    np.testing.assert_allclose(votes[:, :-1, 3], np.diff(votes[..., 0], axis=1), atol=1e-3)
    np.testing.assert_allclose(votes[:-1, :, 4], np.diff(votes[..., 0], axis=0), atol=1e-3)


def test_gains_and_biases_follow_a_ramp_of_brightness() -> None:
    y, x = np.mgrid[:40, :120].astype(np.float64)
    texture = waves(y, x % 60)
    ramp = np.where(x >= 60, (x - 60) / 10, 0)  # 0 to 6 units of L
    texture[..., 0] += ramp
    texture[..., 1] *= np.where(x >= 60, 1.05, 1)
    targets = patches.targets_of((y > 10) & (y < 30) & (x > 70) & (x < 110))
    matches = np.repeat(match_of(0, 0, 0, 1, 1), len(targets.rows), axis=0)
    matches[:, Y], matches[:, X] = targets.rows, targets.columns - 60
    costs = {}
    for adjusts in (False, True):
        kind = patches.similarity(x < 60, 10, **(UPRIGHT | {"adjusts": adjusts}))
        costs[adjusts] = patches.measure(patches.looking_at(kind, texture), targets, matches)
    lightness = matches[:, BIAS] + (matches[:, GAIN] - 1) * texture[..., 0][targets.rows, targets.columns - 60]
    assert abs(lightness - ramp[targets.rows, targets.columns]).mean() < 0.3
    np.testing.assert_allclose(matches[:, GAIN + 1], 1.05, atol=1e-3)
    assert np.median(costs[True]) < np.median(costs[False]) / 50


def test_gains_and_biases_stay_within_their_bounds() -> None:
    picture = waves(*np.mgrid[:30, :60].astype(np.float64))
    picture[:, 30:] = 3 * picture[:, :30] + 200
    targets = patches.targets_of(inside_image((30, 60), 10) & (np.arange(60) >= 36))
    matches = np.repeat(match_of(0, 0, 0, 1, 1), len(targets.rows), axis=0)
    matches[:, Y], matches[:, X] = targets.rows, targets.columns - 30
    kind = patches.similarity(np.ones((30, 60), bool), 10, **(UPRIGHT | {"adjusts": True}))
    patches.measure(patches.looking_at(kind, picture), targets, matches)
    np.testing.assert_allclose(matches[:, GAIN : GAIN + 3], 1.1, rtol=1e-6)
    np.testing.assert_allclose(matches[:, BIAS : BIAS + 3], 10, rtol=1e-6)


def test_no_source_reaches_into_what_may_not_be_used() -> None:
    usable = np.ones((60, 70), bool)
    usable[20:40, 25:45] = False
    picture = np.random.default_rng(1).normal(size=(60, 70, 5)).astype(np.float32)
    settings = {"rotation": 45.0, "scale": (0.9, 1.2), "stretch": (0.9, 1.1), "reflection": True}
    _, _, matches, _ = searched(picture, usable, ~usable, **settings)
    down, right = np.mgrid[-5:5, -5:5].reshape(2, 100)
    y = matches[:, [Y]] + matches[:, [YY]] * down + matches[:, [YX]] * right
    x = matches[:, [X]] + matches[:, [XY]] * down + matches[:, [XX]] * right
    slack = 2 * SLACK
    for step_y in (-slack, slack):
        for step_x in (-slack, slack):
            rows, columns = (y + slack).astype(int), (x + slack).astype(int)
            assert usable[rows, columns].all()
            rows, columns = np.ceil(y - slack).astype(int), np.ceil(x - slack).astype(int)
            assert usable[rows, columns].all()
            assert (y + step_y > -1).all()
            assert (x + step_x < 70).all()


def test_a_finer_level_takes_the_matches_of_the_coarser_one() -> None:
    usable = np.ones((30, 40), bool)
    usable[10:20, 25:35] = False
    coarse = patches.targets_of(~usable)
    matches = np.repeat(match_of(0, 0, 0, 1, 1), len(coarse.rows), axis=0)
    matches[:, Y], matches[:, X] = coarse.rows + 1, coarse.columns - 17
    fine_usable = usable.repeat(2, axis=0).repeat(2, axis=1)
    fine = patches.targets_of(~fine_usable)
    carried = patches.carried_over(
        coarse, matches, patches.similarity(fine_usable, 6, **UPRIGHT), fine, patches.generator(0)
    )
    np.testing.assert_array_equal(carried[:, Y], fine.rows + 2)
    np.testing.assert_array_equal(carried[:, X], fine.columns - 34)


def test_matches_that_continue_each_other_are_coherent() -> None:
    targets = patches.targets_of(np.ones((6, 6), bool))
    matches = np.repeat(match_of(0, 0, 20.0, 1.1, 1.1), 36, axis=0)
    places = matrix(20.0, 1.1, 1.1) @ np.stack([targets.rows, targets.columns])
    matches[:, Y], matches[:, X] = places + 40
    np.testing.assert_array_equal(patches.coherence(targets, matches), 1)
    matches[14, Y] += 9  # row 2, column 2: all four neighbours disagree with it, and it with them
    shares = patches.coherence(targets, matches).reshape(6, 6)
    assert shares[2, 2] == 0
    assert shares[1, 2] == shares[2, 1] == shares[2, 3] == 0.75
    assert shares[0, 0] == 1
