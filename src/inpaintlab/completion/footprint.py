"""How much memory a method takes for each pixel, found by completing small images."""

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inpaintlab.inpainting import Inpainter, uncompiled
from inpaintlab.layers import ContextualAttention

SIDE = 128
"""Of the smaller image, in pixels, at least."""

FULL_TILE = 496
"""The side of an image in which contextual attention has its largest tile, in pixels: its scores grow with the square
of an image's pixels up to there, and no more beyond."""

WORKSPACE = 2.0
"""What convolutions and the allocator take beside tensors, as a factor. A process on a CPU grew by 1.4 to 2.0 times the
tensors of 768 x 768 pixels: docs/performance.md."""


@final
@dataclass(frozen=True)
class Footprint:
    """The memory that a method takes beside its weights.

    Args:
        fixed: bytes for any image.
        each: bytes for each pixel.
    """

    fixed: float
    each: float

    def of(self, pixels: int) -> float:
        """Bytes for an image of so many pixels."""
        return self.fixed + self.each * pixels

    def most(self, memory: int | float) -> float:
        """How many pixels so many bytes suffice for."""
        return (memory - self.fixed) / self.each


@torch.no_grad()
def footprint_of(method: Inpainter) -> Footprint:
    """The most bytes of tensors that live together while a method completes an image, by the line through two.

    The line is raised where contextual attention takes more.

    Args:
        method: on its device; one with networks.
    """
    context = method.context
    align = math.lcm(method.stride, 4 if context is None else context.align)
    small = max(SIDE, method.smallest)
    small += -small % align
    sides = [small, 2 * small]
    less, more = bytes_of = [_bytes_of(method, side) for side in sides]
    each = max((more - less) / (3 * small**2), 1.0)
    if any(isinstance(one, ContextualAttention) for one in method.modules()):
        sides.append(FULL_TILE + -FULL_TILE % align)
        bytes_of.append(_bytes_of(method, sides[-1]))
    fixed = max(taken - each * side**2 for taken, side in zip(bytes_of, sides, strict=True))
    return Footprint(WORKSPACE * max(fixed, 0), WORKSPACE * each)


def _bytes_of(method: Inpainter, side: int) -> int:
    image = torch.full((1, 3, side, side), 0.5, device=method.device)
    mask = torch.zeros(1, 1, side, side, device=method.device)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    edges = torch.zeros_like(mask) if method.reads_edges else None
    with uncompiled(method), _Living() as living:
        method.raw_output(image, mask, edges)
    return living.most


@final
class _Living(TorchDispatchMode):
    """Counts the bytes of the tensors that are made while the context lasts.

    Attributes:
        now: of those that live.
        most: the most so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.counted: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call torch, and count what it made."""
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, Tensor):
                self._count(one.untyped_storage())
        self.most = max(self.most, self.now)
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self.counted:
            return
        self.counted.add(key)
        self.now += storage.nbytes()
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self.counted.discard(key)
        self.now -= size
