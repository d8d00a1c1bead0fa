"""Laws of thinning and of filling a hole for a detector of edges."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.edges import canny, fill_smoothly, fill_unseen
from inpaintlab.edges.thinning import thin


def ridge(angle: float, size: int = 48, away: float = 0.0) -> tuple[Tensor, Tensor]:
    """A soft straight line through the middle at so many degrees, and each pixel's distance from its crest."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    middle = (size - 1) / 2
    across = (x - middle) * math.sin(math.radians(angle)) - (y - middle) * math.cos(math.radians(angle)) - away
    return 0.9 * (-(across**2) / 8).exp()[None, None], across.abs()


@pytest.mark.parametrize("away", [0.0, 0.5])
@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90, 110, 135, 160])
def test_a_soft_line_becomes_its_crest_one_pixel_wide_and_unbroken(angle: int, away: float) -> None:
    soft, distance = ridge(angle, away=away)
    kept = thin(soft)[0, 0] > 0
    inner = kept[2:-2, 2:-2]
    assert distance[2:-2, 2:-2][inner].max() < 1
    steep = 45 <= angle <= 135
    lines = inner if steep else inner.T  # a pixel in each row of a steep line, in each column of a flat one
    assert (lines.sum(dim=1) >= 1).all()
    assert lines.sum() == len(lines) if angle in (0, 90) else lines.sum() <= 2 * len(lines)  # a slanted one has steps


def test_what_is_kept_is_the_map_itself_and_the_border_is_left_out() -> None:
    soft = torch.rand(2, 1, 20, 31, generator=torch.Generator().manual_seed(0))
    kept = thin(soft)
    assert ((kept == soft) | (kept == 0)).all()
    assert 0.05 < (kept > 0).float().mean() < 0.5
    border = torch.ones_like(kept)
    border[..., 1:-1, 1:-1] = 0
    assert (kept * border == 0).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 3), (1, 9)])
def test_a_picture_of_any_size_is_thinned_and_filled(size: tuple[int, int]) -> None:
    assert thin(torch.rand(1, 1, *size)).shape == (1, 1, *size)
    for fill in (fill_smoothly, fill_unseen):
        for share in (0.0, 1.0):
            filled = fill(torch.rand(1, 3, *size), torch.full((1, 1, *size), share))
            assert filled.isfinite().all()


def test_a_flat_map_has_no_crest() -> None:
    assert (thin(torch.full((1, 1, 12, 12), 0.7)) == 0).all()


# ------------------------------------------------------------------------------------------------------------ filling


def scene(size: int = 64) -> tuple[Tensor, Tensor]:
    """A gradient, and a hole in it."""
    y, x = torch.meshgrid(torch.linspace(0, 1, size), torch.linspace(0, 1, size), indexing="ij")
    image = torch.stack([0.2 + 0.6 * x, 0.8 - 0.5 * y, 0.3 + 0.2 * (x + y)])[None]
    mask = torch.zeros(1, 1, size, size)
    mask[..., 14:45, 20:52] = 1
    return image, mask


@pytest.mark.parametrize("fill", [fill_smoothly, fill_unseen])
@pytest.mark.parametrize("content", ["noise", "nan", "infinity"])
def test_known_pixels_stay_and_hidden_ones_have_no_influence(fill: object, content: str) -> None:
    assert callable(fill)
    image, mask = torch.rand(2, 3, 37, 50, generator=torch.Generator().manual_seed(1)), torch.zeros(2, 1, 37, 50)
    mask[0, :, 5:30, 7:40], mask[1, :, 20:, :20] = 1, 1
    others = {"noise": torch.rand_like(image), "nan": torch.full_like(image, torch.nan)}
    changed = torch.where(mask > 0.5, others.get(content, torch.full_like(image, torch.inf)), image)
    filled = fill(image, mask)
    known = (mask == 0).expand_as(image)
    assert torch.equal(filled[known], image[known])
    assert torch.equal(fill(changed, mask), filled)
    assert filled.min() >= 0
    assert filled.max() <= 1
    torch.testing.assert_close(filled, torch.cat([fill(image[i : i + 1], mask[i : i + 1]) for i in range(2)]))


def test_a_gradient_goes_on_through_the_hole_without_a_step() -> None:
    image, mask = scene()
    filled = fill_smoothly(image, mask)
    assert (filled - image).abs().max() < 0.08
    steps = [(filled.diff(dim=dim)).abs().max() for dim in (2, 3)]
    assert max(steps) < 0.03  # of white it would be 0.6


def test_the_texture_in_the_hole_is_as_strong_as_around_it_and_none_where_there_is_none() -> None:
    image, mask = scene()
    noise = 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(2))
    hole = mask > 0.5
    for strength in (0.0, 1.0):
        given = (image + strength * noise).clamp(0, 1)
        filled = fill_unseen(given, mask)
        detail = (filled - F.avg_pool2d(filled, 5, 1, 2, count_include_pad=False)).square().mean(1, keepdim=True)
        inside, around = detail[hole].mean().sqrt(), detail[~hole].mean().sqrt()
        assert 0.4 * around < inside + 1e-2 < 1.5 * around + 2e-2
        assert (inside > 0.02) == (strength > 0)


def test_canny_too_sees_no_outline_of_a_filled_hole() -> None:
    image, mask = scene()
    outline = canny(torch.where(mask > 0.5, 1.0, image).mean(1, keepdim=True), 2.0)
    assert outline.sum() > 60
    assert canny(fill_unseen(image, mask).mean(1, keepdim=True), 2.0).sum() == 0
