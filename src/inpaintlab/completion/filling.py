"""An image while its windows are completed."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from inpaintlab.completion.tiling import Span, Window
from inpaintlab.inpainting import hide
from inpaintlab.shapes import AnyPlanes, Images, Planes

LEAST_KNOWN = 1 / 16
"""Of a window: one with a smaller share of known pixels sees what other windows have filled."""


@final
class Filling:
    """An image while its windows are completed.

    Each sees the hole as it is, as in the whole image, and not what others have filled: networks paint a rim around
    what is known. A window that has almost nothing known sees what others have filled. Where a hole lies in several
    windows, they pass into each other, so that there is no step.

    Args:
        overlap: pixels beyond their inner parts in which windows pass into each other; 0 where no hole lies in several.
        image: its pixels in the hole do not matter.
        mask: 1 = hole.
    """

    def __init__(self, overlap: int, image: Images, mask: Planes) -> None:
        self.overlap, self.mask = overlap, (mask > 0.5).to(mask.dtype)
        self.seen, self.left = image, self.mask.clone()
        self.output = hide(image, mask)
        self.weights = torch.zeros_like(self.mask)
        self.shares: dict[Window, float] = {}

    def next_of(self, todo: list[Window]) -> Window:
        """Take the next window off a list: where parts of a hole are filled, the one that sees most."""
        if not self.overlap:
            return todo.pop(0)
        for one in todo:
            if one not in self.shares:
                self.shares[one] = _share(one, self.left)
        best = max(todo, key=self.shares.__getitem__)
        todo.remove(best)
        return best

    def seen_by(self, window: Window) -> tuple[Images, Planes]:
        """The image and the hole for a window."""
        if self.overlap and _share(window, self.mask) < LEAST_KNOWN:
            return self.output, self.left
        return self.seen, self.mask

    def take(self, window: Window, raw: Images) -> None:
        """Put what was completed of a window into the hole."""
        rows, columns = window.whole
        weight = _ramp(window.rows, window.inner_rows, self.overlap)[:, None]
        weight = (weight * _ramp(window.columns, window.inner_columns, self.overlap)).to(raw)
        part, before = self.output[..., rows, columns], self.weights[..., rows, columns]
        share = weight * self.mask[..., rows, columns] / (before + weight).clamp(min=1e-6)
        # by `where`, so that neither known pixels nor those of one window alone are rounded
        mixed = torch.where(before > 0, part + share * (raw - part), raw)
        part.copy_(torch.where(share > 0, mixed, part))
        before += weight * self.mask[..., rows, columns]
        self.left[..., rows, columns] *= before == 0
        for one in [one for one in self.shares if _meet(one, window)]:  # only there it has changed
            del self.shares[one]


def _ramp(whole: Span, inner: Span, overlap: int) -> Float[Tensor, " side"]:
    """Weights along a side of a window: 1 in its inner part, falling to 0 in the overlap."""
    places = torch.arange(*whole)
    beyond = torch.maximum(inner[0] - places, places - inner[1] + 1).clamp(min=0)
    return (1 - beyond / (overlap + 1)).clamp(min=0)


def _meet(one: Window, other: Window) -> bool:
    """Whether two windows have pixels in common."""
    spans = ((one.rows, other.rows), (one.columns, other.columns))
    return all(first[0] < second[1] and second[0] < first[1] for first, second in spans)


def _share(window: Window, hole: AnyPlanes) -> float:
    """The share of a window's pixels that are known."""
    rows, columns = window.whole
    return 1 - float(hole[..., rows, columns].mean())
