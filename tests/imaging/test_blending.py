"""Poisson blending takes the seam away, leaves known pixels alone, and knows nothing but the completed image."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from inpaintlab.imaging import blend
from inpaintlab.imaging.blending import clone

SIDE = 64
OFFSET = 40 / 255
ROUNDING = (
    3.5 / 255
)  # OpenCV's fast marching, which the rim is tied to, is off by 2/255 on flat images, and 8 bits round

Box = tuple[int, int, int, int]  # top, bottom, left, right

BOXES: dict[str, Box] = {
    "even": (20, 44, 16, 48),
    "odd": (20, 45, 16, 49),
    "top": (0, 20, 20, 44),
    "bottom": (40, 64, 20, 44),
    "left": (20, 44, 0, 24),
    "right": (20, 44, 40, 64),
    "corner": (44, 64, 0, 20),
    "across": (0, 64, 20, 40),
    "three pixels": (30, 33, 30, 33),
    "two pixels": (30, 32, 30, 50),
    "line": (30, 31, 10, 50),
    "pixel": (30, 31, 30, 31),
    "pixel in the corner": (0, 1, 63, 64),
}
each_box = pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)


def flat(colour: tuple[float, float, float] = (0.3, 0.5, 0.6)) -> Tensor:
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE).contiguous()


def photograph(batch: int = 1) -> Tensor:
    """Smooth waves of every colour, each image its own."""
    y, x = torch.meshgrid(torch.arange(SIDE) / SIDE, torch.arange(SIDE) / SIDE, indexing="ij")
    images = [[0.5 + 0.3 * torch.sin(3 * x + c + b) * torch.cos(2 * y - c) for c in range(3)] for b in range(batch)]
    return torch.stack([torch.stack(image) for image in images])


def hole(*boxes: Box) -> Tensor:
    mask = torch.zeros(1, 1, SIDE, SIDE)
    for top, bottom, left, right in boxes:
        mask[..., top:bottom, left:right] = 1
    return mask


def shifted(image: Tensor, mask: Tensor, offset: float = OFFSET) -> Tensor:
    """A completion that is right but for one brightness."""
    return torch.where(mask > 0.5, image + offset, image)


@each_box
def test_a_constant_offset_in_the_hole_vanishes(box: Box) -> None:
    mask = hole(box)
    blended = blend(shifted(flat(), mask), mask)
    assert (blended - flat()).abs().max() <= ROUNDING


@each_box
def test_known_pixels_come_back_untouched(box: Box) -> None:
    mask, image = hole(box), torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    blended = blend(image, mask)
    known = (mask == 0).expand_as(image)
    assert torch.equal(blended[known], image[known])
    assert blended.min() >= 0
    assert blended.max() <= 1


@pytest.mark.parametrize("box", [BOXES[name] for name in BOXES if "pixel" not in name and name != "line"])
def test_what_stands_out_inside_the_hole_keeps_its_shape(box: Box) -> None:
    top, bottom, left, right = box
    mask, image = hole(box), shifted(flat(), hole(box))
    middle = (slice(None), slice(None), slice((top + bottom) // 2 - 3, (top + bottom) // 2 + 3))
    spot = (*middle, slice((left + right) // 2 - 3, (left + right) // 2 + 3))
    image[spot] += 0.2  # on top of the offset
    blended = blend(image, mask)
    assert (blended[spot] - flat()[spot] - 0.2).abs().max() < 0.03
    assert (blended - flat()).abs()[..., top : top + 2, left : left + 2].max() < 0.03


@pytest.mark.parametrize("box", [BOXES["even"], BOXES["odd"], (10, 31, 12, 40), (10, 30, 12, 41)])
def test_cloning_a_scene_into_itself_changes_nothing(box: Box) -> None:
    scene = (photograph()[0].permute(1, 2, 0) * 255).round().byte().numpy()
    inside = hole(box)[0, 0].bool().numpy()
    cloned = clone(np.ascontiguousarray(scene), np.ascontiguousarray(scene), inside)
    assert np.abs(cloned.astype(int) - scene).max() <= 1  # a centre off by one shifts the patch and shows up here


def test_a_centre_that_is_off_by_a_pixel_would_show() -> None:
    scene = np.ascontiguousarray((photograph()[0].permute(1, 2, 0) * 255).round().byte().numpy())
    top, bottom, left, right = BOXES["even"]
    inside = hole(BOXES["even"])[0, 0].byte().numpy() * 255
    released = ((left + right - 1) // 2, (top + bottom - 1) // 2)
    cloned = cv2.seamlessClone(scene, scene, inside, released, cv2.NORMAL_CLONE)
    assert np.abs(cloned.astype(int) - scene).max() > 1


def test_several_holes_are_blended_as_if_each_were_alone() -> None:
    one, other = (8, 24, 8, 24), (36, 60, 30, 60)
    image, far = photograph(), hole(one, other)
    together = blend(shifted(image, far), far)
    for box in (one, other):
        top, bottom, left, right = box
        alone = blend(shifted(image, hole(box)), hole(box))
        part = (slice(None), slice(None), slice(top, bottom), slice(left, right))
        assert (together[part] - alone[part]).abs().max() <= 1.5 / 255


def test_a_hole_inside_anothers_box_is_blended_as_if_alone() -> None:
    around, within = hole((10, 40, 10, 18), (32, 40, 10, 40)), hole((12, 26, 24, 40))
    image = photograph()
    other = (image + 0.4 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    together = torch.maximum(around, within)
    blended = blend(torch.where(together > 0.5, other, image), together)
    for mask in (around, within):
        alone = blend(torch.where(mask > 0.5, other, image), mask)
        assert ((blended - alone) * mask).abs().max() <= 1.5 / 255


def ring() -> Tensor:
    mask = hole((12, 52, 12, 52))
    mask[..., 22:42, 22:42] = 0
    return mask


def strokes() -> Tensor:
    plane = np.zeros((SIDE, SIDE), np.uint8)
    cv2.line(plane, (0, 10), (63, 50), 1, 7)
    cv2.line(plane, (50, 0), (20, 63), 1, 5)
    return torch.from_numpy(plane).float()[None, None]


def boxes_that_overlap() -> Tensor:
    mask = hole((10, 40, 10, 14), (36, 40, 10, 40))  # an L around another hole
    mask[..., 15:30, 20:35] = 1
    return mask


@pytest.mark.parametrize("shape", [ring, strokes, boxes_that_overlap])
def test_holes_of_any_shape_lose_their_offset(shape: Callable[[], Tensor]) -> None:
    mask = shape()
    blended = blend(shifted(flat(), mask), mask)
    assert (blended - flat()).abs().max() <= ROUNDING
    assert torch.equal(blended[(mask == 0).expand_as(blended)], flat()[(mask == 0).expand_as(blended)])


def test_an_image_without_a_hole_or_without_anything_else_comes_back_as_it_is() -> None:
    image = photograph()
    for mask in (torch.zeros(1, 1, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE)):
        assert torch.equal(blend(image, mask), image)


def test_a_batch_equals_its_single_images() -> None:
    image = photograph(batch=4)
    mask = torch.cat([hole(BOXES["even"]), torch.zeros(1, 1, SIDE, SIDE), hole(BOXES["corner"]), ring()])
    completed = shifted(image, mask, 0.1)
    alone = [blend(completed[i : i + 1], mask[i : i + 1]) for i in range(4)]
    assert torch.equal(blend(completed, mask), torch.cat(alone))


def test_the_completed_images_are_not_written_to() -> None:
    mask = hole(BOXES["even"])
    completed = shifted(photograph(), mask)
    kept = completed.clone()
    blend(completed, mask)
    assert torch.equal(completed, kept)


def pixels(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray((image[0].permute(1, 2, 0) * 255).round().byte().numpy())


def noise(seed: int = 0) -> Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_hole_up_to_six_pixels_wide_is_fast_marchings_and_a_wider_one_is_not(width: int) -> None:
    mask = hole((12, 52, 30, 30 + width))
    completed = torch.where(mask > 0.5, noise(), photograph())
    marched = cv2.inpaint(pixels(completed), mask[0, 0].byte().numpy(), 1, cv2.INPAINT_TELEA)
    differ = np.abs(pixels(blend(completed, mask)).astype(int) - marched).max()
    assert (differ <= 1) == (width <= 6)


@pytest.mark.parametrize("box", [BOXES["even"], BOXES["top"], BOXES["corner"], BOXES["pixel"]])
def test_known_pixels_far_from_the_hole_have_no_influence(box: Box) -> None:
    mask = hole(box)
    top, bottom, left, right = box
    near = hole((max(0, top - 8), bottom + 8, max(0, left - 8), right + 8))
    first, other = noise(), torch.where(near > 0.5, noise(), noise(1))
    inside = (mask > 0.5).expand_as(first)
    assert torch.equal(blend(first, mask)[inside], blend(other, mask)[inside])


def test_known_pixels_beside_the_hole_have_influence() -> None:
    mask = hole(BOXES["even"])
    brighter = torch.where(mask > 0.5, flat(), flat() + OFFSET)
    assert (blend(brighter, mask) - flat() - OFFSET).abs().max() <= ROUNDING


def test_a_hole_at_the_border_is_half_of_a_hole_in_a_mirror_image() -> None:
    mask = hole((0, 24, 16, 48))
    completed = torch.where(mask > 0.5, (photograph() + 0.2 * noise()).clamp(0, 1), photograph())
    doubled = blend(torch.cat([completed.flip(2), completed], 2), torch.cat([mask.flip(2), mask], 2))
    assert (doubled[..., SIDE:, :] - blend(completed, mask)).abs().max() <= 3.5 / 255


def test_holes_that_touch_at_a_corner_are_one() -> None:
    mask = hole((10, 30, 10, 30), (30, 50, 30, 50))
    completed = torch.where(mask > 0.5, (photograph() + 0.3 * noise()).clamp(0, 1), photograph())
    inside = mask[0, 0].bool().numpy()
    marched = cv2.inpaint(pixels(completed), mask[0, 0].byte().numpy(), 1, cv2.INPAINT_TELEA)
    expected = clone(pixels(completed), marched, inside)
    assert (pixels(blend(completed, mask))[inside] == expected[inside]).all()


def test_the_completion_is_rounded_to_the_nearest_level() -> None:
    mask = hole(BOXES["even"])
    levels = torch.from_numpy(pixels(shifted(photograph(), mask, 0.1))).permute(2, 0, 1)[None].float()
    of_the_hole = (mask > 0.5).expand_as(levels)
    middle, below, above = (blend((levels + part) / 255, mask)[of_the_hole] for part in (0.0, -0.4, 0.4))
    assert torch.equal(below, middle)
    assert torch.equal(above, middle)


def test_images_smaller_than_a_hole_can_be_are_blended() -> None:
    image, mask = torch.rand(1, 3, 2, 3), torch.zeros(1, 1, 2, 3)
    mask[..., 0, 1] = 1
    assert blend(image, mask).shape == image.shape
