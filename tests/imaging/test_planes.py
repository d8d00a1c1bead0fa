"""Laws of vanishing points, planes and what repeats itself on them, on pictures whose geometry is known."""

from typing import Any

import numpy as np
import pytest
from skimage import data

from inpaintlab.imaging import PlaneFinder, Planes, RegularityFinder, VanishingPointDetector
from inpaintlab.imaging.planes import vanishing_line
from inpaintlab.imaging.vanishing_points import VanishingPoint
from stand_ins.floors import angle_between, tiled_floor

DETECTOR = {
    "most": 3,
    "tolerance": 2.0,
    "least_segments": 10,
    "least_share": 0.05,
    "least_pixels": 10.0,
    "least_extent": 0.02,
}
FINDER = {"blur": 85.3, "parallel_density": 1e-5, "floor": 0.05}
REGULARITY = {
    "most_features": 1000,
    "contrast": 0.04,
    "least_posterior": 0.5,
    "shortest": 10.0,
    "longest": 1000.0,
    "bandwidth": 20.0,
    "least_members": 5,
}
SIDE = 160
FLOOR = tiled_floor(SIDE)


def block(side: int, first: int, last: int) -> Any:
    hole = np.zeros((side, side), bool)
    hole[first:last, first:last] = True
    return hole


HOLE = block(SIDE, 55, 105)
VISIBLE = np.where(HOLE[..., None], 0, FLOOR.image).astype(np.float32)


@pytest.fixture(scope="module")
def points() -> list[VanishingPoint]:
    return VanishingPointDetector(**DETECTOR).find(VISIBLE, HOLE)


@pytest.fixture(scope="module")
def planes(points: list[VanishingPoint]) -> Planes:
    return PlaneFinder(**FINDER).find(points, HOLE)


def test_the_vanishing_points_of_a_floor_are_found_within_a_degree(points: list[VanishingPoint]) -> None:
    assert len(points) == 2
    for true in FLOOR.points:
        assert min(angle_between(point.place, true, SIDE) for point in points) < 1
    assert all(np.linalg.norm(point.place) == pytest.approx(1) for point in points)


def test_they_are_the_same_whatever_lies_in_the_hole(points: list[VanishingPoint]) -> None:
    other = np.where(HOLE[..., None], np.random.default_rng(0).random(FLOOR.image.shape), VISIBLE).astype(np.float32)
    again = VanishingPointDetector(**DETECTOR).find(other, HOLE)
    ends = [point.segments for point in again]
    outside = [~HOLE[np.rint(of[:, 1]).astype(int), np.rint(of[:, 0]).astype(int)].any() for of in ends]
    assert all(outside)
    for one, two in zip(points, again, strict=True):
        assert angle_between(one.place, two.place, SIDE) < 0.5  # a long line through the noise may be one of it


@pytest.mark.parametrize("picture", ["flat", "noise", "grass", "gravel"])
def test_a_picture_without_lines_has_no_vanishing_point(picture: str) -> None:
    grey = {
        "flat": np.full((128, 128), 0.5),
        "noise": np.random.default_rng(0).random((128, 128)),
        "grass": data.grass()[:192, :192] / 255,
        "gravel": data.gravel()[:192, :192] / 255,
    }[picture]
    image = np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)
    hole = block(len(grey), 40, 90)
    image[hole] = 0  # whose sides are lines, but not the picture's
    assert VanishingPointDetector(**DETECTOR).find(image, hole) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 2), (5, 7)])
def test_the_smallest_pictures_have_none_either(size: tuple[int, int]) -> None:
    image, hole = np.random.default_rng(0).random((*size, 3)).astype(np.float32), np.zeros(size, bool)
    hole[0, 0] = size != (1, 1)
    assert VanishingPointDetector(**DETECTOR).find(image, hole) == []
    planes = PlaneFinder(**FINDER).find([], hole)
    assert np.array_equal(planes.posterior_at(*size), np.ones((1, *size)))
    assert [len(steps) for steps in RegularityFinder(**REGULARITY).find(image, hole, planes)] == [0]


def test_two_points_at_infinity_make_a_plane_without_a_horizon() -> None:
    """A facade from the front: verticals and horizontals stay as they are."""
    image = np.full((192, 192, 3), 0.8, np.float32)
    for top in range(10, 180, 24):
        for left in range(10, 180, 24):
            image[top : top + 16, left : left + 14] = 0.3
    hole = block(192, 84, 106)
    image[hole] = 0
    planes = PlaneFinder(**FINDER).find(VanishingPointDetector(**DETECTOR).find(image, hole), hole)
    assert len(planes.lines) == 2
    assert np.abs(planes.lines[1]).max() < 1e-4
    assert np.sort(np.abs(np.sin(planes.angles[1]))) == pytest.approx([0, 1], abs=0.01)
    assert np.sort(np.abs(np.cos(planes.angles[1]))) == pytest.approx([0, 1], abs=0.01)


def test_a_vanishing_line_goes_through_both_points() -> None:
    first, second = np.array([300.0, -40, 1]), np.array([1.0, 0.2, 0])
    line = vanishing_line(first, second, 256)
    assert line is not None
    assert [float(line @ point[:2] + point[2]) for point in (first, second)] == pytest.approx([0, 0], abs=1e-12)
    assert vanishing_line(np.array([10.0, 10, 1]), np.array([1.0, 1, 0]), 256) is None  # through the top left pixel


def test_rectification_makes_a_points_lines_parallel_along_its_angle(planes: Planes) -> None:
    """As the authors measure it: the mean direction of the rectified segments."""
    for point, angle in zip(planes.points, planes.angles[1], strict=True):
        ends = point.segments.reshape(-1, 2, 2)
        rectified = ends / (ends @ planes.lines[1] + 1)[..., None]
        ways = rectified[:, 1] - rectified[:, 0]
        off = (np.degrees(np.arctan2(ways[:, 1], ways[:, 0])) - np.degrees(angle) + 90) % 180 - 90
        assert np.abs(off).max() < 6
        assert abs(np.average(off, weights=np.hypot(*ways.T))) < 1


def test_posteriors_are_shares_of_each_pixel(planes: Planes) -> None:
    for size in ((SIDE, SIDE), (40, 30), (1, 3)):
        posterior = planes.posterior_at(*size)
        assert posterior.shape == (2, *size)
        assert np.abs(posterior.sum(axis=0) - 1).max() < 1e-6
        assert posterior.min() > 0.04  # the floor of 0.05 among two planes


def test_the_floor_is_the_likeliest_plane_of_its_hole(planes: Planes) -> None:
    assert (planes.posterior_at(SIDE, SIDE).argmax(axis=0)[HOLE] == 1).mean() > 0.9


def test_each_side_of_a_picture_lies_on_its_own_plane() -> None:
    """Lines to the first point lie on the left alone, to the second on the right alone, to the third on both sides."""

    def point(place: tuple[float, float, float], columns: tuple[int, int]) -> VanishingPoint:
        rows = np.arange(10.0, 390, 10)
        ends = np.stack([np.full(38, columns[0]), rows, np.full(38, columns[1]), rows], axis=1)
        return VanishingPoint(np.array(place) / np.linalg.norm(place), ends)

    left, right = point((-500, 200, 1), (0, 150)), point((900, 200, 1), (250, 400))
    both = point((0, 1, 0), (0, 400))
    hole = block(400, 180, 220)
    planes = PlaneFinder(blur=20.0, parallel_density=1e-5, floor=0.05).find([left, right, both], hole)
    likeliest = planes.posterior_at(400, 400).argmax(axis=0)
    assert (likeliest[50:350, 20:130] == 2).all()  # of the first and the third
    assert (likeliest[50:350, 270:380] == 3).all()
    assert set(likeliest[hole]) <= {0, 1, 2, 3}


def test_one_gaussian_is_as_wide_as_the_releases_many() -> None:
    """filterSize 100, filterSigma 50, applied 10 and 20 times."""
    places = np.arange(100) - 49.5
    once = np.exp(-(places**2) / (2 * 50**2))
    variance = (once * places**2).sum() / once.sum()
    assert np.sqrt(10 * variance) == pytest.approx(85.3, rel=0.01)
    assert np.sqrt(20 * variance) == pytest.approx(120.7, rel=0.01)


def test_steps_on_the_floor_lead_to_the_same_colours(planes: Planes) -> None:
    of_image, of_floor = RegularityFinder(**REGULARITY | {"bandwidth": 3.0}).find(VISIBLE, HOLE, planes)
    assert len(of_image) == 0  # it is not likely enough to be the plane of any feature
    assert len(of_floor) >= 2
    y, x = np.mgrid[5:155:3, 5:155:3].reshape(2, -1)
    line = planes.lines[1]

    def change(step: Any) -> float:
        here = np.stack([x, y], axis=1) / (np.stack([x, y], axis=1) @ line + 1)[:, None] + step
        there = np.rint(here / (1 - here @ line)[:, None]).astype(int)
        inside = ((there >= 0) & (there < SIDE)).all(axis=1)
        assert inside.any()
        return float(
            np.abs(FLOOR.image[y, x] - FLOOR.image[there.clip(0, 159)[:, 1], there.clip(0, 159)[:, 0]])[inside].mean()
        )

    near = [step for step in of_floor if np.hypot(*step) < 60]
    assert near
    assert np.mean([change(step) for step in near]) < 0.6 * np.mean([change(step * 1.25) for step in near])


def test_clusters_of_steps_are_found_with_their_opposites_and_doubles() -> None:
    noise = np.random.default_rng(0)
    steps = np.concatenate(
        [np.array([80.0, 10.0]) + noise.normal(0, 2, (8, 2)), noise.uniform(-400, 400, (12, 2)), [[3.0, 4]]]
    )
    found = RegularityFinder(**REGULARITY).repeating(steps)
    for expected in ((80, 10), (-80, -10), (160, 20), (-160, -20)):
        assert np.hypot(*(found - expected).T).min() < 6
    assert len(found) == 4
    assert len(RegularityFinder(**REGULARITY).repeating(np.empty((0, 2)))) == 0


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: VanishingPointDetector(**DETECTOR | {"most": 4}), "most is 4"),
        (lambda: VanishingPointDetector(**DETECTOR | {"tolerance": 0.0}), "tolerance is 0.0"),
        (lambda: PlaneFinder(**FINDER | {"blur": 0.0}), "blur is 0.0"),
        (lambda: PlaneFinder(**FINDER | {"floor": -1.0}), "floor is -1.0"),
        (lambda: RegularityFinder(**REGULARITY | {"bandwidth": 0.0}), "bandwidth is 0.0"),
    ],
)
def test_numbers_without_sense_are_refused(build: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        build()
