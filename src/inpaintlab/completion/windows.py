"""Large photographs: completed in windows around their holes, within a bound of memory."""

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import SupportsFloat, SupportsIndex, final

import numpy as np
import torch
from torch import Tensor

from inpaintlab.completion.filling import Filling
from inpaintlab.completion.footprint import Footprint, footprint_of
from inpaintlab.completion.tiling import LEAST, Hole, Tiling, Window, aligned, tiled
from inpaintlab.imaging import blend
from inpaintlab.inpainting import Classical, Extent, Inpainter
from inpaintlab.layers import Context
from inpaintlab.shapes import Images, Planes

MEMORY = 2.0
"""Gigabytes that completing takes by default, beside weights and photographs."""

SMALL = 2**18
"""Pixels, 512 x 512, up to which a photograph is completed whole without asking for its cost."""

TOGETHER = 2**20
"""Pixels that a GPU completes in one batch: 16 photographs of 256 x 256."""

WORTH = 0.9
"""Windows that give the same pixels are taken if they cost less than this share of the whole image."""

LEAST_CONTEXT = 16
"""Pixels around a hole without which it is not completed, however little memory there is."""

GB = 10**9

Progress = Callable[[float], None]
"""Takes the share that is done, 0 to 1, and may raise an exception to end the work."""


@final
@dataclass(frozen=True)
class Plan:
    """How an image is completed.

    Args:
        windows: that are completed; none for the whole image.
        overlap: pixels beyond their inner parts in which windows pass into each other, where a hole lies in several.
        same: whether the pixels are those of the whole image.
        notes: sentences without an end, on windows and why they are not the whole image.
    """

    windows: tuple[Window, ...] = ()
    overlap: int = 0
    same: bool = True
    notes: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Completion:
    """A completed image.

    Args:
        image: the completed one; its known pixels are those given, bit for bit.
        plan: how it was completed.
        notes: what there is to tell of it: the plan's notes, and the method's.
    """

    image: Images
    plan: Plan
    notes: tuple[str, ...]


@final
class Windowing:
    """Completes images of any size by a method.

    Of a method that tells what it sees (`Inpainter.context`), the hole is completed in windows that hold so much around
    each of its pixels. If nothing else of the image reaches a pixel, they are taken wherever they are cheaper, and give
    the whole image's pixels but for the rounding of their last bits: convolutions add in another order for another
    size. Otherwise the image is completed whole as long as it fits into the memory. Windows that do not fit either hold
    less. What is different is told.

    Args:
        method: on its device, with its weights.
        memory: gigabytes (10^9 bytes) that networks may take beside weights and photographs, by our estimate.
        window: 'auto' as above; 'whole' images, whatever they take; or how many pixels of the surroundings a window
            has around each hole, for every method and every size.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(self, method: Inpainter, memory: SupportsFloat = MEMORY, window: SupportsIndex | str = "auto") -> None:
        number = isinstance(memory, SupportsFloat) and not isinstance(memory, bool)
        if not number or not 0 < float(memory) < float("inf"):
            raise ValueError(f"memory={memory!r} is no number of gigabytes above 0.")
        whole = isinstance(window, SupportsIndex) and not isinstance(window, bool) and operator.index(window) > 0
        if not whole and window not in ("auto", "whole"):
            raise ValueError(f"window={window} is neither auto nor whole nor a number of pixels above 0.")
        self.method, self.memory = method, float(memory)
        self.window = operator.index(window) if isinstance(window, SupportsIndex) else window

    @cached_property
    def footprint(self) -> Footprint:
        """The memory that the method takes; found at the first image that is not small."""
        return footprint_of(self.method)

    def plan(self, hole: Hole) -> Plan:
        """How an image is completed.

        Args:
            hole: True in the hole.

        Raises:
            ValueError: the memory does not suffice for any window.
        """
        if not hole.any():
            return Plan()
        context, fits = self._chosen(hole.shape)
        if context is None:
            told = f"completed whole, in more than memory={self.memory:g}, for the method does not say what it sees"
            return Plan(notes=() if fits else (told,))
        tiling, context = self._affordable(hole, context)
        if self.window == "auto" and fits and tiling.cost > WORTH * self._pixels(hole.shape):
            return Plan()
        return self._told(tiling, hole.shape, context, "" if fits else f"memory={self.memory:g}")

    def require(self, extent: Extent) -> None:
        """Raise a ValueError if no windows of an image fit into the memory, as far as the extent of its hole tells.

        Of a hole in a small rectangle this is certain; for a larger one it is certain when it is planned.
        """
        context, _ = self._chosen(extent.size)
        if context is not None and extent.has_hole:
            sides = (extent.rows[1] - extent.rows[0], extent.columns[1] - extent.columns[0])
            if max(sides) > max(LEAST, context.pixels):
                sides = (1, 1)
            hole = np.zeros(extent.size, bool)
            hole[extent.rows[0] :, extent.columns[0] :][: sides[0], : sides[1]] = True
            self._affordable(hole, context)

    def is_small(self, size: tuple[int, int]) -> bool:
        """Whether an image of a height and width is completed whole without asking for its cost."""
        return self._pixels(size) <= SMALL

    def together(self, size: tuple[int, int], most: int | None = None) -> int:
        """How many images of a height and width are completed in one batch: at least one.

        Args:
            size: of the images, which are completed whole.
            most: pixels, padding included, that a batch has if they fit into the memory; None for `TOGETHER`.
        """
        count = max((TOGETHER if most is None else most) // math.prod(self.method.padded_size(*size)), 1)
        if count == 1 or self.window == "whole" or not self.method.generators():
            return count
        return max(1, min(count, int(GB * self.memory / self.footprint.of(self._pixels(size)))))

    def _pixels(self, size: tuple[int, int]) -> int:
        """How many pixels the method computes for an image of a height and width."""
        context = None if self.method.made_for else self.method.context
        return aligned(*self.method.padded_size(*size), 1 if context is None else context.align)

    def _chosen(self, size: tuple[int, int]) -> tuple[Context | None, bool]:
        """What windows of an image hold, None for the whole image; and whether the whole image fits into the memory."""
        if self.method.made_for is not None or self.window == "whole":
            return None, True
        if isinstance(self.window, int):
            return self._given_context(self.window), True
        if not self.method.generators() or self.is_small(size):
            return None, True
        context, fits = self.method.context, self.footprint.of(self._pixels(size)) <= GB * self.memory
        return (context if context and (context.suffices or not fits) else None), fits

    def _given_context(self, pixels: int) -> Context:
        """What a window holds that has so many pixels around each hole."""
        known = self.method.context
        if known is None:
            return Context(pixels, self.method.stride, "the method may take them from anywhere")
        short = f"the method sees {known.pixels} around each pixel" if pixels < known.pixels else ""
        return replace(known, pixels=pixels, everywhere=known.everywhere or short)

    def _affordable(self, hole: Hole, context: Context) -> tuple[Tiling, Context]:
        """Windows around a hole that fit into the memory, and what they hold: the context, or as much of it as fits.

        Raises:
            ValueError: next to none of it fits, or not what was asked for by a number.
        """
        most = self.footprint.most(GB * self.memory) if self.method.generators() else math.inf
        tiling = tiled(hole, context, most, cuts=context.suffices)
        if tiling.largest <= most:
            return tiling, context
        needed = self._needed(hole, context)
        seen = f"the method sees {context.pixels} around each pixel, for which memory={needed:g} suffices"
        less = replace(context, everywhere=" and ".join(filter(None, (seen, context.everywhere))))
        least, beyond = min(LEAST_CONTEXT, context.pixels), context.pixels
        if self.window == "auto":
            context = replace(less, pixels=least)
            tiling, needed = tiled(hole, context, most, cuts=False), self._needed(hole, context)
        if tiling.largest > most:
            raise ValueError(
                f"memory={self.memory:g} gigabytes do not suffice for windows around the holes of a photograph of "
                f"{hole.shape[1]} x {hole.shape[0]}; give memory={needed:g} or more."
            )
        while beyond - least > 1:
            middle = (least + beyond) // 2
            wider = replace(less, pixels=middle)
            if (found := tiled(hole, wider, most, cuts=False)).largest <= most:
                least, tiling, context = middle, found, wider
            else:
                beyond = middle
        return tiling, context

    def _needed(self, hole: Hole, context: Context) -> float:
        """Gigabytes for the smallest windows around a hole."""
        return math.ceil(self.footprint.of(tiled(hole, context, 0, cuts=context.suffices).largest) / GB * 100) / 100

    @staticmethod
    def _told(tiling: Tiling, size: tuple[int, int], context: Context, why: str) -> Plan:
        """The windows of an image with the sentence on them."""
        number, first = len(tiling.windows), tiling.windows[0]
        if number == 1 and (first.rows, first.columns) == ((0, size[0]), (0, size[1])):
            return Plan()
        words = f"{number} windows" if number > 1 else "a window"
        note = f"completed in {words} with {context.pixels} pixel{'s' * (context.pixels > 1)} around each hole"
        if why:
            note += f", because the whole image takes more than {why}"
        if context.suffices:
            return Plan(tiling.windows, notes=(f"{note}: the pixels of the whole image",))
        note += f"; other pixels than those of the whole image, for {context.everywhere}"
        if tiling.cut:
            note += "; holes too large for a window are filled part by part"
        return Plan(tiling.windows, context.pixels // 2 if tiling.cut else 0, False, (note,))

    def complete(
        self,
        image: Images,
        mask: Planes,
        edges: Planes | None = None,
        *,
        blended: bool = False,
        progress: Progress | None = None,
    ) -> Completion:
        """Complete one image, see `Inpainter.complete`, whose arguments and errors it has.

        Args:
            image: of a batch of one, on any device, where the completed one will be.
            mask: 1 = hole.
            edges: see there.
            blended: see there.
            progress: is called before each layer of a network, and by classical methods that take seconds.

        Raises:
            ValueError: as there, or the memory does not suffice for any window; or there are several images.
        """
        if len(image) != 1:
            raise ValueError(f"There are {len(image)} images in the batch; windows are made for one after another.")
        hole = (mask[0, 0] > 0.5).cpu().numpy()
        if not hole.any():
            return Completion(image.clone(), Plan(), ())
        plan = self.plan(hole)
        raw, notes = self.raw_output(plan, image, mask, edges, progress)
        completed = Inpainter.paste(image, mask, raw)
        if progress is not None:
            progress(1.0)
        return Completion(blend(completed, mask) if blended else completed, plan, (*plan.notes, *notes))

    @torch.no_grad()
    def raw_output(
        self,
        plan: Plan,
        image: Images,
        mask: Planes,
        edges: Planes | None = None,
        progress: Progress | None = None,
    ) -> tuple[Images, list[str]]:
        """The method's output in the hole, and the image elsewhere or whatever the method has there.

        Arguments as in `complete`, and the image's `plan`.

        Returns:
            The output, and what the method has to tell.
        """
        device = self.method.device
        if not plan.windows:
            planes = (None if one is None else one.to(device) for one in (image, mask, edges))
            return self._heard(planes, progress, 0.0, 1.0).to(image.device), self.method.remarks()
        filling = Filling(plan.overlap, image, mask)
        todo, done, total = list(plan.windows), 0, sum(window.pixels for window in plan.windows)
        notes: list[str] = []
        while todo:
            window = filling.next_of(todo)
            rows, columns = window.whole
            planes = (None if one is None else one[..., rows, columns] for one in (*filling.seen_by(window), edges))
            on_device = (None if one is None else one.to(device) for one in planes)
            filling.take(window, self._heard(on_device, progress, done / total, window.pixels / total).to(image.device))
            notes += self.method.remarks()
            done += window.pixels
        return filling.output, list(dict.fromkeys(notes))

    def _heard(self, planes: Iterable[Tensor | None], progress: Progress | None, before: float, share: float) -> Images:
        """The method's raw output, while its progress is told as a share of all."""
        if progress is None:
            return self.method.raw_output(*planes)  # type: ignore[arg-type]
        progress(before)
        with _watched(self.method, lambda done: progress(before + share * min(done, 1.0))):
            return self.method.raw_output(*planes)  # type: ignore[arg-type]


@contextmanager
def _watched(method: Inpainter, tell: Progress) -> Iterator[None]:
    """Hear the share of an image that is done: from a classical method, or of a network the share of its layers."""
    if isinstance(method, Classical):
        with method.watched(tell):
            yield
        return
    compiled = method.completes_compiled  # its layers are not called one by one
    layers = [one for net in method.generators() for one in net.modules() if not compiled and not list(one.children())]
    calls = count(1)
    hooks = [one.register_forward_pre_hook(lambda *_: tell(next(calls) / (len(layers) + 1))) for one in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def complete_windowed(
    method: Inpainter,
    image: Images,
    mask: Planes,
    edges: Planes | None = None,
    *,
    blended: bool = False,
    memory: SupportsFloat = MEMORY,
    window: SupportsIndex | str = "auto",
    progress: Progress | None = None,
) -> Completion:
    """Complete one image of any size within a bound of memory; for several by one method make one `Windowing`.

    Arguments and errors are those of `Windowing` and its ``complete``.
    """
    windowing = Windowing(method, memory, window)
    return windowing.complete(image, mask, edges, blended=blended, progress=progress)
