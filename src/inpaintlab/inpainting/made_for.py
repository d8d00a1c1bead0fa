"""What a method was made for that does not take every size and hole, and how other images are resized to it."""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from inpaintlab.shapes import AnyPlanes

Pictures = Float[Tensor, "batch _ _ _"]
"""Planes of images, whose size differs within one signature."""

Span = tuple[int, int]
"""The first row or column, and the one behind the last."""


@final
@dataclass(frozen=True)
class Extent:
    """The size of an image, and the smallest rectangle that holds its hole; without a hole, a point in the middle.

    Args:
        size: height and width, in pixels.
        rows: of the hole.
        columns: of the hole.
    """

    size: tuple[int, int]
    rows: Span
    columns: Span

    @property
    def has_hole(self) -> bool:
        """Whether there is a hole."""
        return self.rows[0] < self.rows[1]


@final
@dataclass(frozen=True)
class Region:
    """A rectangle that a method completes; it may reach beyond the image.

    Args:
        top: its first row.
        left: its first column.
        height: in pixels.
        width: in pixels.
    """

    top: int
    left: int
    height: int
    width: int


@final
@dataclass(frozen=True)
class MadeFor:
    """Square images of one size, with the hole anywhere or in the centre half.

    Of every other image a region is resized to that size, completed, resized back and put into its place. For holes
    anywhere it is the whole image, whose sides may be scaled differently. For the centre half it is the smallest square
    with the hole in its centre half, but as large as the method's images where the image is, so that a small hole is
    completed without resizing. It may reach beyond the image, whose border is repeated there.

    Args:
        side: of the images, in pixels; a multiple of 4.
        centre: whether the hole lies in the centre half of rows and columns.
    """

    side: int
    centre: bool

    def __str__(self) -> str:
        """The images in words."""
        where = f", with holes inside rows and columns {self.side // 4} to {3 * self.side // 4 - 1}"
        return f"{self.side} x {self.side} pixels{where if self.centre else ''}"

    def misfits(self, size: tuple[int, int]) -> bool:
        """Whether no image of this height and width is completed as it is."""
        return size != (self.side, self.side)

    def misfit(self, extent: Extent) -> str | None:
        """What is wrong with an image, as in "is 300 x 200 pixels"; None where it is completed as it is."""
        if not extent.has_hole:
            return None
        if self.misfits(extent.size):
            return f"is {extent.size[0]} x {extent.size[1]} pixels"
        if self._fits(self.region(extent)):
            return None
        (top, below), (left, right) = extent.rows, extent.columns
        return f"has its hole in rows {top} to {below - 1} and columns {left} to {right - 1}"

    def region(self, extent: Extent) -> Region:
        """The part of an image that is completed."""
        height, width = extent.size
        if not self.centre:
            return Region(0, 0, height, width)
        longest = max(last - first for first, last in (extent.rows, extent.columns))
        side = max(2 * longest, min(self.side, height, width))
        side += -side % 4
        return Region(_begin(extent.rows, side, height), _begin(extent.columns, side, width), side, side)

    def resized(self, planes: Pictures, mask: AnyPlanes, *, hole: bool = False) -> Pictures:
        """The regions of images, at the size that the method takes; images that fit are not changed.

        Args:
            planes: of the images.
            mask: 1 = hole.
            hole: whether ``planes`` is the mask: a pixel that any part of the hole reaches is hole, so that nothing of
                what lies there reaches a known one.
        """
        regions = self._regions(mask)
        if self._all_fit(regions, mask):
            return planes
        cut = [_resized(_cut(planes[i : i + 1], region), self.side, self.side) for i, region in enumerate(regions)]
        found = torch.cat(cut)
        return (found > 0).to(found.dtype) if hole else found

    def put_back(self, raw: Pictures, image: Pictures, mask: AnyPlanes) -> Pictures:
        """The output of the method in its place in the images.

        Args:
            raw: the output, at the method's size.
            image: what surrounds it.
            mask: 1 = hole.
        """
        regions = self._regions(mask)
        if self._all_fit(regions, mask):
            return raw
        return torch.cat([self._put(raw[i : i + 1], image[i : i + 1], region) for i, region in enumerate(regions)])

    def _put(self, raw: Pictures, image: Pictures, region: Region) -> Pictures:
        """Put the part of the output in which the hole may lie; in the centre, what surrounds it is no output."""
        top, left, height, width = region.top, region.left, region.height, region.width
        if self.centre:
            inner = slice(self.side // 4, 3 * self.side // 4)
            raw, top, left = raw[..., inner, inner], top + height // 4, left + width // 4
            height, width = height // 2, width // 2
        output = _resized(raw, height, width)
        rows, columns = (
            slice(max(0, first), min(first + length, side))
            for first, length, side in ((top, height, image.shape[-2]), (left, width, image.shape[-1]))
        )
        whole = image.clone()
        whole[..., rows, columns] = output[
            ..., rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
        return whole

    def _regions(self, mask: AnyPlanes) -> list[Region]:
        return [self.region(extent) for extent in extents(mask)]

    def _all_fit(self, regions: list[Region], mask: AnyPlanes) -> bool:
        return mask.shape[-2:] == (self.side, self.side) and all(map(self._fits, regions))

    def _fits(self, region: Region) -> bool:
        return region == Region(0, 0, self.side, self.side)


def extents(mask: AnyPlanes | Bool[Tensor, "_ 1 _ _"]) -> list[Extent]:
    """The extent of each image's hole; waits once for the device.

    Args:
        mask: 1 or True = hole.
    """
    size = (mask.shape[-2], mask.shape[-1])
    spans = []
    for side, along in ((size[0], 3), (size[1], 2)):
        inside = (mask > 0.5).any(dim=along)[:, 0]
        first, last = inside.byte().argmax(1), side - inside.flip(1).byte().argmax(1)
        spans += [torch.where(inside.any(1), end, side // 2) for end in (first, last)]
    return [Extent(size, (top, below), (left, right)) for top, below, left, right in torch.stack(spans, 1).tolist()]


def _begin(hole: Span, side: int, length: int) -> int:
    """Where a square begins along one axis: the hole in its middle, else inside the image, but in the centre half.

    Args:
        hole: rows or columns.
        side: of the square, at least twice as long as the hole.
        length: of the image.
    """
    first, last = hole
    inside = sorted((0, length - side))
    middle = min(max((first + last - side) // 2, inside[0]), inside[1])
    return min(max(middle, last - 3 * side // 4), first - side // 4)


def _cut(planes: Pictures, region: Region) -> Pictures:
    """A region; beyond the image its border is repeated."""
    for axis, first, length in ((-2, region.top, region.height), (-1, region.left, region.width)):
        if (first, length) != (0, planes.shape[axis]):
            inside = torch.arange(first, first + length, device=planes.device).clamp(0, planes.shape[axis] - 1)
            planes = planes.index_select(axis, inside)
    return planes


def _resized(planes: Pictures, height: int, width: int) -> Pictures:
    """Bilinear, over all pixels that one of the new size covers."""
    if planes.shape[-2:] == (height, width):
        return planes
    return F.interpolate(planes, (height, width), mode="bilinear", antialias=True)


def pad_to_multiple(
    plane: Float[Tensor, "batch planes height width"], stride: int, smallest: int = 1
) -> Float[Tensor, "batch planes padded_height padded_width"]:
    """Pad at the bottom and right by reflection, or by the last pixel if the plane is too small for that.

    Args:
        plane: of any height and width.
        stride: the padded height and width are multiples of it.
        smallest: the least padded height and width, in pixels.
    """
    height, width = plane.shape[-2:]
    bottom, right = (padded_side(side, stride, smallest) - side for side in (height, width))
    if not bottom and not right:
        return plane
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(plane, (0, right, 0, bottom), mode=mode)


def padded_side(side: int, stride: int, smallest: int) -> int:
    """The least multiple of ``stride`` that is no less than ``side``; at least ``smallest``."""
    return max(smallest, side + -side % stride)
