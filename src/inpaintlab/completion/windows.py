"""Large photographs: completed in windows around their holes, within a bound of memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
import torch

from inpaintlab.completion.footprint import Footprint, footprint_of
from inpaintlab.completion.tiling import Hole, Tiling, Window, tiled
from inpaintlab.imaging import blend
from inpaintlab.inpainting import Classical, Inpainter, hide
from inpaintlab.layers import Context
from inpaintlab.shapes import AnyPlanes, Images, Planes

MEMORY = 2.0
"""Gigabytes that completing takes by default, beside weights and photographs."""

SMALL = 2**18
"""Pixels, 512 x 512, up to which a photograph is completed whole without asking for its cost."""

WORTH = 0.9
"""Windows that give the same pixels are taken if they cost less than this share of the whole image."""

GB = 10**9

Progress = Callable[[float], None]
"""Takes the share that is done, 0 to 1, and may raise an exception to end the work."""


@final
@dataclass(frozen=True)
class Plan:
    """How an image is completed.

    Args:
        windows: that are completed; none for the whole image.
        in_turn: whether each window sees what those before it have filled.
        same: whether the pixels are those of the whole image.
        notes: sentences without an end, on windows and why they are not the whole image.
    """

    windows: tuple[Window, ...] = ()
    in_turn: bool = False
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
    size. Otherwise the image is completed whole as long as it fits into the memory, and what is different is told.

    Args:
        method: on its device, with its weights.
        memory: gigabytes (10^9 bytes) that networks may take beside weights and photographs, by our estimate.
        window: 'auto' as above; 'whole' images, whatever they take; or how many pixels of the surroundings a window
            has around each hole, for every method and every size.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(self, method: Inpainter, memory: float = MEMORY, window: str | int = "auto") -> None:
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
        if self.method.made_for is not None or not hole.any() or self.window == "whole":
            return Plan()
        if isinstance(self.window, int):
            return self._around(hole, self.window)
        context = self.method.context
        height, width = self.method.padded_size(*hole.shape)
        if not self.method.generators() or height * width <= SMALL:
            return Plan()
        fits = self.footprint.of(height * width) <= GB * self.memory
        if context is None:
            takes = f"takes about {self.footprint.of(height * width) / GB:.1f} GB, more than memory={self.memory:g}"
            return Plan() if fits else Plan(notes=(f"completed whole, because the method tells no context; {takes}",))
        if not context.suffices and fits:
            return Plan()
        tiling = self._tiled(hole, context)
        if fits and tiling.cost > WORTH * height * width:
            return Plan()
        return self._told(tiling, context, "" if fits else f"memory={self.memory:g}")

    def _around(self, hole: Hole, pixels: int) -> Plan:
        """Windows with so much around each hole."""
        known = self.method.context
        if known is None:
            everywhere = "it may take its pixels from the whole image"
            return self._told(*self._with(hole, Context(pixels, self.method.stride, everywhere)), "")
        context = replace(known, pixels=pixels)
        if pixels < known.pixels:
            context = replace(context, everywhere=known.everywhere or f"it sees {known.pixels} pixels around each")
        return self._told(*self._with(hole, context), "")

    def _with(self, hole: Hole, context: Context) -> tuple[Tiling, Context]:
        return self._tiled(hole, context), context

    def _tiled(self, hole: Hole, context: Context) -> Tiling:
        most = self.footprint.most(GB * self.memory) if self.method.generators() else float("inf")
        try:
            return tiled(hole, context, most, cuts=context.suffices)
        except ValueError as fault:
            needed = self.footprint.of(int(str(fault))) / GB
            raise ValueError(
                f"memory={self.memory:g} gigabytes do not suffice: the smallest window with {context.pixels} pixels "
                f"around a hole takes about {needed:.1f}; give memory={np.ceil(10 * needed) / 10:g} or more."
            ) from None

    def _told(self, tiling: Tiling, context: Context, why: str) -> Plan:
        count = len(tiling.windows)
        words = f"{count} windows" if count > 1 else "a window"
        note = f"completed in {words} with {context.pixels} pixels around each hole"
        if why:
            note += f", because the whole image takes more than {why}"
        if context.suffices:
            return Plan(tiling.windows, notes=(f"{note}: the pixels of the whole image",))
        note += f"; other pixels than those of the whole image, for {context.everywhere}"
        if tiling.cut:
            note += "; holes too large for a window are filled part by part"
        return Plan(tiling.windows, tiling.cut, False, (note,))

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
            progress: is called before and between windows, and by methods that tell their progress.

        Raises:
            ValueError: as there, or the memory does not suffice for any window.
        """
        plan = self.plan((mask[0, 0] > 0.5).cpu().numpy())
        raw, notes = self.raw_output(plan, image, mask, edges, progress)
        completed = Inpainter.paste(image, mask, raw)
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
        tell = progress or _untold
        device = self.method.device
        if not plan.windows:
            planes = (None if one is None else one.to(device) for one in (image, mask, edges))
            return self._heard(planes, tell, 0.0, 1.0).to(image.device), self.method.remarks()
        seen, hole = hide(image, mask).clone(), (mask > 0.5).to(mask.dtype)
        output = seen.clone()
        todo, done, total = list(plan.windows), 0, sum(window.pixels for window in plan.windows)
        notes: list[str] = []
        while todo:
            window = max(todo, key=lambda one: _known(one, hole)) if plan.in_turn else todo[0]
            todo.remove(window)
            rows, columns = window.whole
            planes = (None if one is None else one[..., rows, columns].to(device) for one in (seen, hole, edges))
            raw = self._heard(planes, tell, done / total, window.pixels / total)
            self._take(window, raw.to(image.device), hole, output)
            if plan.in_turn:
                rows, columns = window.inner
                seen[..., rows, columns] = output[..., rows, columns]
                hole[..., rows, columns] = 0
            notes += self.method.remarks()
            done += window.pixels
        tell(1.0)
        return output, list(dict.fromkeys(notes))

    @staticmethod
    def _take(window: Window, raw: Images, hole: Planes, output: Images) -> None:
        (rows, columns), (inside_rows, inside_columns) = window.inner, window.inside
        part = output[..., rows, columns]
        part.copy_(torch.where(hole[..., rows, columns] > 0.5, raw[..., inside_rows, inside_columns], part))

    def _heard(self, planes: object, tell: Progress, before: float, share: float) -> Images:
        """The method's raw output, while its progress is told as a share of all."""
        tell(before)
        if isinstance(self.method, Classical):
            with self.method.watched(lambda done: tell(before + share * min(done, 1.0))):
                return self.method.raw_output(*planes)  # type: ignore[misc]
        return self.method.raw_output(*planes)  # type: ignore[misc]


def complete_windowed(
    method: Inpainter,
    image: Images,
    mask: Planes,
    edges: Planes | None = None,
    *,
    blended: bool = False,
    memory: float = MEMORY,
    window: str | int = "auto",
    progress: Progress | None = None,
) -> Completion:
    """Complete one image of any size within a bound of memory; for several by one method make one `Windowing`.

    Arguments and errors are those of `Windowing` and its ``complete``.
    """
    windowing = Windowing(method, memory, window)
    return windowing.complete(image, mask, edges, blended=blended, progress=progress)


def _known(window: Window, hole: AnyPlanes) -> float:
    """The share of a window's pixels that are known."""
    rows, columns = window.whole
    return 1 - float(hole[..., rows, columns].mean())


def _untold(share: float) -> None:
    """Nobody watches."""
