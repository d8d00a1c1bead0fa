"""Methods that were made for one size and hole: what fits them, and how other images are resized and put back."""

from typing import Any

import pytest
import torch
from torch import Tensor

from inpaintlab.inpainting import Extent, Inpainter, MadeFor, extents
from inpaintlab.inpainting.made_for import Region
from inpaintlab.shapes import Images, Planes

CENTRE, ANYWHERE = MadeFor(16, centre=True), MadeFor(16, centre=False)


def image_with(height: int, width: int, top: int, left: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    mask = torch.zeros(1, 1, height, width)
    mask[..., top : top + rows, left : left + columns] = 1
    return image, mask


def test_the_extent_of_a_hole_is_its_rectangle_and_that_of_none_a_point() -> None:
    mask = torch.zeros(3, 1, 9, 7)
    mask[0, 0, 2, 1] = mask[0, 0, 5, 3] = 1
    mask[1] = 1
    first, full, none = extents(mask)
    assert first == Extent((9, 7), (2, 6), (1, 4))
    assert full == Extent((9, 7), (0, 9), (0, 7))
    assert none == Extent((9, 7), (4, 4), (3, 3))
    assert [extent.has_hole for extent in (first, full, none)] == [True, True, False]
    assert extents(mask.bool()) == [first, full, none]


@pytest.mark.parametrize(
    ("made_for", "box", "misfit"),
    [
        (CENTRE, (16, 16, 4, 4, 8, 8), None),
        (CENTRE, (16, 16, 6, 5, 1, 2), None),
        (CENTRE, (16, 16, 0, 0, 0, 0), None),
        (CENTRE, (40, 30, 0, 0, 0, 0), None),  # nothing is completed
        (CENTRE, (16, 16, 3, 4, 8, 8), "has its hole in rows 3 to 10 and columns 4 to 11"),
        (CENTRE, (16, 18, 4, 4, 8, 8), "is 16 x 18 pixels"),
        (ANYWHERE, (16, 16, 0, 3, 16, 9), None),
        (ANYWHERE, (32, 32, 0, 3, 16, 9), "is 32 x 32 pixels"),
    ],
)
def test_what_does_not_fit_is_told(made_for: MadeFor, box: tuple[int, ...], misfit: str | None) -> None:
    _, mask = image_with(*box)
    (extent,) = extents(mask)
    assert made_for.misfit(extent) == misfit


@pytest.mark.parametrize(
    ("box", "region"),
    [
        ((16, 16, 4, 4, 8, 8), Region(0, 0, 16, 16)),
        ((64, 64, 30, 40, 3, 5), Region(23, 34, 16, 16)),  # as it is, with the hole in its middle
        ((64, 64, 2, 59, 3, 5), Region(-2, 52, 16, 16)),  # beyond the top and the right, or the hole were outside
        ((64, 64, 6, 20, 4, 4), Region(0, 14, 16, 16)),  # moved inside
        ((64, 64, 20, 20, 20, 10), Region(10, 5, 40, 40)),  # twice the hole
        ((10, 64, 4, 20, 2, 2), Region(-1, 15, 12, 12)),  # no larger than the image, but a multiple of 4
        ((64, 32, 0, 0, 64, 32), Region(-32, -48, 128, 128)),
    ],
)
def test_the_region_is_a_square_with_the_hole_in_its_centre_half(box: tuple[int, ...], region: Region) -> None:
    _, mask = image_with(*box)
    (extent,) = extents(mask)
    found = CENTRE.region(extent)
    assert found == region
    for (first, last), begin in ((extent.rows, found.top), (extent.columns, found.left)):
        assert begin + found.height // 4 <= first
        assert last <= begin + 3 * found.height // 4
    assert ANYWHERE.region(extent) == Region(0, 0, *extent.size)


class Marks(Inpainter):
    """Fills with one colour, and keeps what it saw."""

    def __init__(self, made_for: MadeFor) -> None:
        super().__init__()
        self.made_for = made_for
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        assert self.made_for is not None
        assert visible.shape[-2:] == mask.shape[-2:] == (self.made_for.side, self.made_for.side)
        self.seen.append((visible, mask))
        return torch.full_like(visible, 0.25)


@pytest.mark.parametrize("made_for", [CENTRE, ANYWHERE], ids=["centre", "anywhere"])
@pytest.mark.parametrize(
    "box", [(64, 64, 20, 20, 21, 9), (40, 30, 0, 28, 3, 2), (9, 64, 2, 1, 4, 5), (16, 16, 0, 0, 5, 5)]
)
def test_the_whole_hole_comes_from_the_method_and_nothing_else_changes(made_for: MadeFor, box: tuple[int, ...]) -> None:
    image, mask = image_with(*box)
    completed = Marks(made_for).complete(image, mask)
    hole = (mask > 0.5).expand_as(image)
    assert torch.equal(completed[~hole], image[~hole])
    torch.testing.assert_close(completed[hole], torch.full_like(completed[hole], 0.25))


def test_an_image_that_fits_is_seen_as_it_is() -> None:
    image, mask = image_with(16, 16, 4, 5, 8, 7)
    model = Marks(CENTRE)
    raw = model.raw_output(image, mask)
    assert torch.equal(model.seen[0][0], image * (1 - mask))
    assert torch.equal(model.seen[0][1], mask)
    assert (raw == 0.25).all()


def test_a_small_hole_is_seen_at_its_own_size() -> None:
    image, mask = image_with(64, 64, 30, 40, 3, 5)
    model = Marks(CENTRE)
    model.complete(image, mask)
    assert torch.equal(model.seen[0][0], (image * (1 - mask))[..., 23:39, 34:50])
    assert torch.equal(model.seen[0][1], mask[..., 23:39, 34:50])


@pytest.mark.parametrize("made_for", [CENTRE, ANYWHERE], ids=["centre", "anywhere"])
def test_nothing_of_a_hole_is_seen_after_resizing(made_for: MadeFor) -> None:
    """White in the hole and black outside: every pixel that the hole reaches is hole."""
    _, mask = image_with(50, 70, 13, 20, 17, 11)
    model = Marks(made_for)
    for content in (mask, torch.where(mask > 0.5, torch.nan, 0)):
        model.complete(content.expand(-1, 3, -1, -1), mask)
    (visible, hole), (other, _) = model.seen
    assert (visible == 0).all()
    assert torch.equal(visible, other)
    grown = made_for.resized(mask, mask)  # the share of the hole in each pixel
    assert torch.equal(hole, (grown > 0).float())
    assert hole.sum() > grown.sum()


def test_images_of_several_sizes_share_a_batch() -> None:
    model = Marks(CENTRE)
    pairs = [image_with(64, 40, 5, 6, 7, 8), image_with(20, 90, 5, 60, 7, 8)]
    assert {model.padded_size(*mask.shape[-2:]) for _, mask in pairs} == {(16, 16)}
    raw = model.raw_outputs([(image, mask, None) for image, mask in pairs])
    assert len(model.seen) == 1
    assert [one.shape for one in raw] == [image.shape for image, _ in pairs]


def test_pictures_for_the_panels_are_put_back_too() -> None:
    class Draws(Marks):
        def inner_pictures(self, visible: Images, mask: Planes, edges: Planes | None = None) -> dict[str, Any]:
            return {"drawing": torch.ones_like(mask)}

    image, mask = image_with(64, 40, 5, 6, 7, 8)
    drawing = Draws(CENTRE).seen_inside(image, mask)["drawing"]
    assert drawing.shape == mask.shape
    assert (drawing[mask > 0.5] == 1).all()
    assert drawing[..., -1, -1] == 0


def test_the_words_name_the_size_and_where_holes_lie() -> None:
    assert str(CENTRE) == "16 x 16 pixels, with holes inside rows and columns 4 to 11"
    assert str(ANYWHERE) == "16 x 16 pixels"
