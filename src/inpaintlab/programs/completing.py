"""A method in a program's hands: pictures of any kind and size in, completed pictures of the same kind out."""

from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from threading import RLock
from typing import Any, Literal, SupportsFloat, SupportsIndex, TypeVar, final, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inpaintlab.completion import MEMORY, Plan, Windowing, edges_used, in_halves
from inpaintlab.imaging import blend
from inpaintlab.inpainting import (
    WHOLE,
    Classical,
    Inpainter,
    computing,
    extents,
)
from inpaintlab.models import EdgeConnect
from inpaintlab.programs.cases import Case, cases_of
from inpaintlab.programs.devices import bring, chosen_device, precision_of

Progress = Callable[[float], None]
"""Takes the share that is done, 0 to 1."""

P = TypeVar("P", Image.Image, np.ndarray, Tensor)


@final
@dataclass(frozen=True, eq=False)
class Edges:
    """The edges of one image on the way to its completion, in the kind of the image, 1 (or 255) on an edge.

    Args:
        known: those around the hole, which the method sees; 0 in the hole.
        predicted: those in the hole, which the method draws, or a user drew; 0 around it. Soft edges lie between.
    """

    known: Any
    predicted: Any


@final
class Method:
    """A method that completes images: what `inpaintlab.load` and `inpaintlab.method` give.

    Several threads may use one method; they take turns.

    Attributes:
        label: its name in tables.
        inpainter: the model, on its device.
        identity: label, settings, checkpoint and choices, as a result records them.
        settings: what names it on a command line, such as ``{"checkpoint": "runs/faces"}``; None where nothing does.
        precision: in which its networks compute, "32-true" or "bf16-mixed".
        fit: "refuse" or "resize": what becomes of images that a model of one size and hole does not take.
        notes: what there is to tell of how the last call filled its images: by a classical method, or in windows.
    """

    def __init__(
        self,
        inpainter: Inpainter,
        label: str,
        *,
        identity: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        device: str = "auto",
        precision: str | None = WHOLE,
        fit: Literal["refuse", "resize"] = "refuse",
        memory: SupportsFloat = MEMORY,
        window: SupportsIndex | Literal["auto", "whole"] = "auto",
    ) -> None:
        """Bring a model to its device; `inpaintlab.load` and `inpaintlab.method` do this.

        Args:
            inpainter: with its weights.
            label: the method's name.
            identity: see `build_method`.
            settings: see `Method`.
            device: "auto" takes a GPU for networks where there is one; or "cpu", "cuda", "cuda:1".
            precision: "32-true", "bf16-mixed", or None for the faster one that the device has.
            fit: see `Method`.
            memory: gigabytes that its networks may take for an image, by an estimate; what takes more is completed in
                windows.
            window: "auto"; "whole" images always; or how many pixels around each hole a window holds.

        Raises:
            ValueError: no such device, precision, fit, memory or window.
        """
        if fit not in ("refuse", "resize"):
            raise ValueError(f"fit is {fit!r}; it can be 'refuse' or 'resize'.")
        chosen = chosen_device(device, networks=bool(inpainter.generators()))
        self.label, self.inpainter, self.fit = label, inpainter, fit
        self.identity, self.settings = dict(identity or {}), None if settings is None else dict(settings)
        self.precision = precision_of(precision, chosen, inpainter, label)
        bring(inpainter, chosen, self.precision)
        self.windowing = Windowing(inpainter, memory, window)
        self.notes: list[str] = []
        self._turn = RLock()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.inpainter.device

    @property
    def knows_edges(self) -> bool:
        """Whether it completes by edges, so that `edges` shows them and `complete` takes a drawing."""
        return self.inpainter.reads_edges is not None

    def __repr__(self) -> str:
        kind, precision = type(self.inpainter).__name__, "" if self.precision == WHOLE else f", {self.precision}"
        return f"<inpaintlab.Method {self.label!r}: {kind} on {self.device}{precision}>"

    # --- completing ------------------------------------------------------------------------------------------------

    @overload
    def complete(
        self, image: P, mask: Any, edges: Any = None, *, blended: bool = False, progress: Progress | None = None
    ) -> P: ...

    @overload
    def complete(
        self,
        image: Sequence[P],
        mask: Any,
        edges: Any = None,
        *,
        blended: bool = False,
        progress: Progress | None = None,
    ) -> list[P]: ...

    def complete(
        self, image: Any, mask: Any, edges: Any = None, *, blended: bool = False, progress: Progress | None = None
    ) -> Any:
        """Fill the holes of one image or of several; every known pixel comes back bit for bit.

        Images of one size are completed in batches on a GPU, and one by one on a CPU, where batches are no faster. The
        pixels in the hole are removed before the method sees an image.

        Args:
            image: an image of Pillow's; a NumPy array (height, width) or (height, width, colours), of uint8 or of
                floats in [0, 1]; or a tensor (colours, height, width), of floats in [0, 1] or of uint8, on any device.
                Several: a list, whose sizes and kinds may differ, or a batch with one axis more in front. Colours
                are 1 (grey), 3 (RGB) or 4 (RGB and alpha). Images of Pillow's are turned upright by their EXIF
                orientation.
            mask: the hole: bool, 0 and 1, or 0 and 255, of the image's height and width, as array or tensor; or an
                image of Pillow's, read as `inpaintlab complete` reads files: white is the hole, and strokes on a
                transparent ground are. One mask for each image, or a single one for all.
            edges: of a method that knows edges, a drawing for the hole, 1 (or 255) on an edge, as array, tensor or
                image of Pillow's; a list may hold None. Of one that reads edge maps, the images'.
            blended: whether to take the seam out of each hole by GLCIC's post-processing (fast marching, then Poisson
                blending).
            progress: is called with the share that is done, 0 to 1: between batches, and by methods that take seconds
                for an image. What it raises ends the work.

        Returns:
            The completed image in the kind and dtype of the image, or several as they were given. What is filled is
            opaque. A palette picture comes back as RGB, or RGBA if it has transparency, a 1-bit one as grey.

        Raises:
            ValueError: in one sentence, what is wrong with an argument.
        """
        cases, several = self._cases(image, mask, edges)
        answers: list[Any] = [one.picture.as_it_is() if not one.has_hole else None for one in cases]
        done, total, tell = 0, sum(case.has_hole for case in cases), progress or (lambda share: None)
        with self._turn, torch.no_grad():
            notes: list[str] = []
            plans = self._plans(cases)
            for places in [*self._batches(cases, plans), *([place] for place in plans)]:
                heard = partial(_tell_part, tell, done, total)
                if (plan := plans.get(places[0])) is not None:
                    answers[places[0]], told = self._in_windows(cases[places[0]], plan, blended, heard)
                else:
                    with self._watched(heard):
                        work = partial(self._completed, blended=blended)
                        completed = in_halves(work, [cases[place] for place in places])
                    for place, answer in zip(places, completed, strict=True):
                        answers[place] = answer
                    told = self.inpainter.remarks()
                notes += told
                done += len(places)
                tell(done / total)
            self.notes = list(dict.fromkeys(notes))
        return _as_given(answers, image) if several else answers[0]

    def edges(self, image: Any, mask: Any, edges: Any = None) -> Any:
        """The edges by which a method completes: those it sees around the hole, and those it draws in it.

        Args:
            image: as for `complete`.
            mask: as for `complete`.
            edges: as for `complete`.

        Returns:
            `Edges` of the image, or a list of them: images in mode L for those of Pillow's, else arrays (height, width)
            or tensors (1, height, width) in the image's dtype.

        Raises:
            ValueError: the method knows no edges, or an argument is wrong.
        """
        if not isinstance(self.inpainter, EdgeConnect):
            raise ValueError(f"{self.label} completes without edges, so there are none to show.")
        cases, several = self._cases(image, mask, edges)
        with self._turn, torch.no_grad(), computing(self.precision, self.device):
            found = [self._edges_of(one) for one in cases]
        return found if several else found[0]

    def _edges_of(self, case: Case) -> Edges:
        known, used = edges_used(self.windowing, *case.on(case.picture.home))
        return Edges(case.picture.plane(known), case.picture.plane(used))

    def _watched(self, update: Progress) -> AbstractContextManager[None]:
        """The state in which a method that takes seconds for an image tells how far it is."""
        return self.inpainter.watched(update) if isinstance(self.inpainter, Classical) else nullcontext()

    # --- on the way ------------------------------------------------------------------------------------------------

    def _cases(self, image: Any, mask: Any, edges: Any) -> tuple[list[Case], bool]:
        """The pictures with their masks and drawings, after everything was checked."""
        self._require_taking(edges)
        cases, several = cases_of(image, mask, edges)
        if self.inpainter.reads_edges and any(case.drawing is None for case in cases):
            source = self.identity.get("switches", {}).get("edges", "files")
            raise ValueError(f"{self.label} reads an edge map of each image ({source}): give it as edges.")
        if not self.inpainter.generators():
            for case in cases:
                if case.all_hole:
                    raise ValueError(
                        f"{case.mask.called} covers all of {case.picture.called}; {self.label} needs known pixels to "
                        "continue from."
                    )
        self._require_fitting(cases)
        return cases, several

    def _require_taking(self, edges: Any) -> None:
        if edges is None:
            return
        if not self.knows_edges:
            raise ValueError(f"{self.label} completes without edges, so a drawing would be ignored; leave edges out.")
        if getattr(self.inpainter, "sees_truth", False) and not self.inpainter.reads_edges:
            raise ValueError(f"{self.label} is set to see the true edges, so it takes no others; leave edges out.")

    def _require_fitting(self, cases: Sequence[Case]) -> None:
        made_for = self.inpainter.made_for
        if made_for is None or self.fit == "resize":
            return
        for case in cases:
            if fault := made_for.misfit(extents(case.mask.hole)[0]):
                raise ValueError(
                    f"{self.label} completes images of {made_for}; {case.picture.called} {fault}: load it with "
                    "fit='resize', which resizes the hole with what surrounds it."
                )

    def _plans(self, cases: Sequence[Case]) -> dict[int, Plan]:
        """The places of pictures that are completed in windows, or of which there is something to tell."""
        plans = {}
        for place, case in enumerate(cases):
            unasked = self.windowing.window in ("auto", "whole") and self.windowing.is_small(case.picture.size)
            if case.has_hole and not unasked:
                with computing(self.precision, self.device):  # in which the memory is measured
                    plan = self.windowing.plan(case.mask.hole[0, 0].cpu().numpy())
                if plan.windows or plan.notes:
                    plans[place] = plan
        return plans

    def _in_windows(self, case: Case, plan: Plan, blended: bool, heard: Progress) -> tuple[Any, list[str]]:
        """A large picture, completed where it lies, while only its windows are brought to the networks; and notes."""
        image, mask, edges = case.on(case.picture.home)
        with computing(self.precision, self.device):
            raw, notes = self.windowing.raw_output(plan, image, mask, edges, heard)
        if blended:
            raw = blend(Inpainter.paste(image, mask, raw), mask)
        return case.picture.filled(raw, case.mask.hole.to(case.picture.home)), [*plan.notes, *notes]

    def _batches(self, cases: Sequence[Case], apart: Container[int] = ()) -> list[list[int]]:
        """The places of pictures that are completed together: of one size, all with a drawing or all without.

        Args:
            cases: the pictures.
            apart: places of those that are completed otherwise.
        """
        alone = self.device.type != "cuda" or not self.inpainter.generators()
        batches: list[list[int]] = []
        alike: dict[Any, list[int]] = defaultdict(list)
        for place, case in enumerate(cases):
            if not case.has_hole or place in apart:
                continue
            size = self.inpainter.padded_size(*case.picture.size)
            key = size, case.drawing is None
            if not alike[key] or alone or len(alike[key]) >= self._together(size):
                alike[key] = []
                batches.append(alike[key])
            alike[key].append(place)
        return batches

    def _together(self, size: tuple[int, int]) -> int:
        """How many pictures of a size are completed in one batch."""
        with computing(self.precision, self.device):  # in which the memory is measured
            return self.windowing.together(size)

    def _completed(self, cases: list[Case], blended: bool) -> list[Any]:
        inputs = [case.on(self.device) for case in cases]
        with computing(self.precision, self.device):
            raw = self.inpainter.raw_outputs(inputs)
        if blended:
            raw = [
                blend(Inpainter.paste(image, mask, one), mask)
                for (image, mask, _), one in zip(inputs, raw, strict=True)
            ]
        raw = [one.to(case.picture.home, non_blocking=True) for one, case in zip(raw, cases, strict=True)]
        if self.device.type == "cuda" and any(case.picture.home != self.device for case in cases):
            torch.cuda.current_stream(self.device).synchronize()  # once a batch
        return [
            case.picture.filled(one, case.mask.hole.to(case.picture.home)) for one, case in zip(raw, cases, strict=True)
        ]


def _tell_part(tell: Progress, done: int, total: int, share: float) -> None:
    """Tell how much of several images is done, where so much of the present ones is."""
    tell(min((done + share) / total, 1.0))


def _as_given(answers: list[Any], image: Any) -> Any:
    """Several completions as the images were given: a list, or a batch."""
    if isinstance(image, Tensor):
        return torch.stack(answers)
    return np.stack(answers) if isinstance(image, np.ndarray) else answers
