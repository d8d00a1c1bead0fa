"""Laws of the levels from coarse to fine."""

import numpy as np
import pytest

from inpaintlab.patches import carried, fitting_patch, from_nearest, geometric_sizes, inside, shrunk, targets_of


def test_levels_halve_the_area_down_to_the_smallest() -> None:
    sizes = geometric_sizes((256, 512), 32, 0.5**0.5)
    assert sizes == [(32, 64), (45, 91), (64, 128), (91, 181), (128, 256), (181, 362), (256, 512)]
    assert geometric_sizes((20, 500), 32, 0.5) == [(20, 500)]
    assert geometric_sizes((33, 33), 32, 0.5) == [(33, 33)]


def test_what_lies_in_the_hole_is_in_no_mean() -> None:
    random = np.random.default_rng(0)
    image = np.full((32, 32, 3), 0.25, np.float32)
    hole = random.random((32, 32)) < 0.4
    image[hole] = 0
    small, hidden = shrunk(image, hole, (16, 16))
    np.testing.assert_allclose(small[~hidden], 0.25, rtol=1e-6)
    quarters = hole.reshape(16, 2, 16, 2).sum(axis=(1, 3))
    np.testing.assert_array_equal(hidden, quarters > 2)


def test_a_level_of_the_image_s_size_is_the_image() -> None:
    image, hole = np.random.default_rng(0).random((5, 7, 3), np.float32), np.zeros((5, 7), bool)
    assert shrunk(image, hole, (5, 7))[0] is image


def test_matches_of_a_coarser_level_keep_their_direction() -> None:
    coarse, fine = np.zeros((10, 10), bool), np.zeros((20, 30), bool)
    coarse[4:6, 4:6] = True
    fine[8:12, 12:18] = True
    targets = targets_of(coarse)
    matches = np.stack([targets.rows + 3, targets.columns - 2], axis=1)
    after = carried(matches, targets, targets_of(fine))
    rows, columns = np.nonzero(fine)
    np.testing.assert_array_equal(after, np.stack([rows + 6, columns - 6], axis=1))


def test_a_finer_target_beside_all_coarser_ones_takes_the_nearest() -> None:
    coarse, fine = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    coarse[2, 2] = coarse[6, 6] = fine[5, 7] = True
    after = carried(np.array([[0, 0], [6, 2]]), targets_of(coarse), targets_of(fine))
    assert after.tolist() == [[5, 3]]


def test_a_match_outside_the_image_or_in_the_hole_is_none() -> None:
    valid = np.array([[True, False], [True, True]])
    matches = np.array([[0, 0], [0, 1], [1, 1], [-1, 0], [0, 2], [5, 5]])
    assert inside(matches, valid).tolist() == [True, False, True, False, False, False]


@pytest.mark.parametrize(("width", "size"), [(7, 7), (6, 5), (3, 3), (2, None)])
def test_a_patch_fits_into_the_known_region(width: int, size: int | None) -> None:
    hole = np.ones((20, 30), bool)
    hole[:, :width] = False
    assert fitting_patch(hole, 7) == size


def test_the_nearest_known_pixel_fills_the_hole() -> None:
    image = np.arange(10, dtype=np.float32).reshape(1, 10, 1)
    hole = np.array([[False, True, True, True, True, True, True, False, False, False]])
    assert from_nearest(image, hole).ravel().tolist() == [0, 0, 0, 0, 7, 7, 7, 7, 8, 9]
