"""Large photographs: completed in windows around their holes, within a bound of memory."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import final

import torch
from torch import Tensor

from inpaintlab.completion.filling import Filling
from inpaintlab.completion.footprint import Footprint, footprint_of
from inpaintlab.completion.tiling import Hole, Tiling, Window, least_window, tiled
from inpaintlab.imaging import blend
from inpaintlab.inpainting import Classical, Inpainter
from inpaintlab.layers import Context
from inpaintlab.shapes import Images, Planes

MEMORY = 2.0
"""Gigabytes that completing takes by default, beside weights and photographs."""

SMALL = 2**18
"""Pixels, 512 x 512, up to which a photograph is completed whole without asking for its cost."""

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

    def __init__(self, method: Inpainter, memory: int | float = MEMORY, window: str | int = "auto") -> None:
        if not 0 < memory < float("inf"):
            raise ValueError(f"memory={memory} is no number of gigabytes above 0.")
        if isinstance(window, bool) or not (window in ("auto", "whole") or (isinstance(window, int) and window > 0)):
            raise ValueError(f"window={window} is neither auto nor whole nor a number of pixels above 0.")
        self.method, self.memory, self.window = method, memory, window

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
        context, most = self._affordable(hole.shape, context)
        tiling = tiled(hole, context, most, cuts=context.suffices)
        pixels = math.prod(self.method.padded_size(*hole.shape))
        if self.window == "auto" and fits and tiling.cost > WORTH * pixels:
            return Plan()
        return self._told(tiling, hole.shape, context, "" if fits else f"memory={self.memory:g}")

    def require(self, size: tuple[int, int]) -> None:
        """Raise a ValueError if an image of a height and width may need windows that do not fit into the memory."""
        context, _ = self._chosen(size)
        if context is not None:
            self._affordable(size, context)

    def _chosen(self, size: tuple[int, int]) -> tuple[Context | None, bool]:
        """What windows of an image hold, None for the whole image; and whether the whole image fits into the memory."""
        if self.method.made_for is not None or self.window == "whole":
            return None, True
        if isinstance(self.window, int):
            return self._given_context(self.window), True
        pixels = math.prod(self.method.padded_size(*size))
        if not self.method.generators() or pixels <= SMALL:
            return None, True
        context, fits = self.method.context, self.footprint.of(pixels) <= GB * self.memory
        return (context if context and (context.suffices or not fits) else None), fits

    def _given_context(self, pixels: int) -> Context:
        """What a window holds that has so many pixels around each hole."""
        known = self.method.context
        if known is None:
            return Context(pixels, self.method.stride, "the method may take them from anywhere")
        short = f"the method sees {known.pixels} around each pixel" if pixels < known.pixels else ""
        return replace(known, pixels=pixels, everywhere=known.everywhere or short)

    def _affordable(self, size: tuple[int, int], context: Context) -> tuple[Context, int | float]:
        """The context of windows, or as much of it as the memory suffices for; and how many pixels a window may have.

        Raises:
            ValueError: the memory suffices for next to none of it, or not for what was asked for by a number.
        """
        if not self.method.generators():
            return context, math.inf
        most = self.footprint.most(GB * self.memory)
        if least_window(size, context) <= most:
            return context, most

        def of(pixels: int) -> Context:
            return replace(context, pixels=pixels)

        def needed(context: Context) -> float:
            return math.ceil(self.footprint.of(least_window(size, context)) / GB * 100) / 100

        least = min(LEAST_CONTEXT, context.pixels)
        possible = [pixels for pixels in range(least, context.pixels) if least_window(size, of(pixels)) <= most]
        if self.window != "auto" or not possible:
            raise ValueError(
                f"memory={self.memory:g} gigabytes do not suffice for windows around the holes of a photograph of "
                f"{size[1]} x {size[0]}; give memory={needed(of(least) if self.window == 'auto' else context):g} or "
                "more."
            )
        seen = f"the method sees {context.pixels} around each pixel, for which memory={needed(context):g} suffices"
        words = " and ".join(filter(None, (seen, context.everywhere)))
        return replace(context, pixels=possible[-1], everywhere=words), most

    @staticmethod
    def _told(tiling: Tiling, size: tuple[int, int], context: Context, why: str) -> Plan:
        """The windows of an image with the sentence on them."""
        number = len(tiling.windows)
        if number == 1 and tiling.windows[0].pixels == math.prod(size):
            return Plan()
        words = f"{number} windows" if number > 1 else "a window"
        note = f"completed in {words} with {context.pixels} pixels around each hole"
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
        plan = self.plan((mask[0, 0] > 0.5).cpu().numpy())
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
        tell = progress or _untold
        tell(before)
        with _watched(self.method, lambda done: tell(before + share * min(done, 1.0))) if progress else nullcontext():
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
    memory: int | float = MEMORY,
    window: str | int = "auto",
    progress: Progress | None = None,
) -> Completion:
    """Complete one image of any size within a bound of memory; for several by one method make one `Windowing`.

    Arguments and errors are those of `Windowing` and its ``complete``.
    """
    windowing = Windowing(method, memory, window)
    return windowing.complete(image, mask, edges, blended=blended, progress=progress)


def _untold(share: float) -> None:
    """Nobody watches."""
