"""Columns of edges in a table of images, by hand."""

import numpy as np
import pytest
import torch
from skimage.feature import canny as skimage_canny

from inpaintlab.evaluation.drawn_edges import DRAWN, drawn_edges, edge_density


def test_precision_recall_and_f1_count_the_pixels_of_the_hole_from_one_half_on() -> None:
    mask = torch.zeros(3, 1, 2, 4)
    mask[:, :, :, :3] = 1  # six pixels
    drawn, true = torch.zeros(3, 1, 2, 4), torch.zeros(3, 1, 2, 4)
    drawn[0, 0, 0] = torch.tensor([0.5, 0.9, 0.49, 1.0])  # two in the hole, one outside
    true[0, 0, :, 0] = 1
    true[0, 0, 1, 1] = 1
    true[1, 0, 0, 0] = 1
    drawn[2, 0, 1, 1] = 1
    found = drawn_edges(drawn, true, mask)
    assert set(found) == set(DRAWN)
    np.testing.assert_allclose(found["drawn_edge_precision"], [1 / 2, np.nan, 0])
    np.testing.assert_allclose(found["drawn_edge_recall"], [1 / 3, 0, np.nan])
    np.testing.assert_allclose(found["drawn_edge_f1"], [2 / 5, 0, 0])
    neither = drawn_edges(torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2, 4), mask[:1])
    assert all(value.isnan().all() for value in neither.values())


def test_the_density_is_the_share_of_the_holes_pixels_that_are_edges() -> None:
    image = torch.zeros(2, 3, 32, 32)
    image[:, :, :, 16:] = 1
    image[:, :, :, 15] = 0.3
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, :, 8:20, 4:28] = 1
    edges = skimage_canny(image[0, 0].double().numpy(), sigma=2)
    found = edge_density(image, mask)
    assert found[0].item() == pytest.approx(edges[8:20, 4:28].mean())
    assert found[0] > 0.03
    assert found[1].isnan()  # no hole
    assert edge_density(image[..., :2], mask[..., :2]).isnan().all()
