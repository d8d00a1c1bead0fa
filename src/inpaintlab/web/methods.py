"""The methods that the page offers, and the work of a job: photographs in, pictures out."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from inpaintlab.completion import MEMORY, Windowing, edges_used
from inpaintlab.data import in_unit_range
from inpaintlab.inpainting import WHOLE, Inpainter, computing
from inpaintlab.shapes import Images, Planes
from inpaintlab.web.jobs import Job
from inpaintlab.web.pictures import completed_png, edges_png, grey_of, hole_of, original_of
from inpaintlab.web.visits import Finished, Made, RefusedError, Scene, Visit


@final
class Offered:
    """A method that visitors may choose.

    Args:
        label: its name on the page; no two methods share one.
        model: on its device, with its weights.
        precision: in which its networks compute.
        memory: see `Windowing`.
        window: see there.
    """

    def __init__(
        self,
        label: str,
        model: Inpainter,
        precision: str = WHOLE,
        memory: float = MEMORY,
        window: str | int = "auto",
    ) -> None:
        self.label, self.model, self.precision = label, model, precision
        self.windowing = Windowing(model, memory, window)

    @property
    def draws_edges(self) -> bool:
        """Whether it completes along edges, in whose place a visitor's can stand."""
        return self.model.reads_edges is False

    @property
    def remark(self) -> str:
        """What a visitor is to know of it."""
        if self.model.made_for is not None:
            return f"made for images of {self.model.made_for}; the hole with what surrounds it is resized"
        return "" if self.model.generators() else "no network: continues the known pixels"

    def require_servable(self) -> None:
        """Look whether it needs nothing but a photograph and its hole.

        Raises:
            ValueError: it sees the truth, or reads edges from files.
        """
        if self.model.oracle or self.model.reads_edges:
            what = "sees something of the hidden pixels" if self.model.oracle else "reads edges from files"
            raise ValueError(f"{self.label} {what}, which a page cannot give it; serve another checkpoint.")

    def complete(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        hole: Bool[np.ndarray, "height width"],
        edges: UInt8[np.ndarray, "height width"] | None,
        *,
        blended: bool,
        tell: Callable[[float], None],
    ) -> tuple[np.ndarray, list[str]]:
        """Complete a photograph.

        Args:
            image: RGB.
            hole: what is to be filled.
            edges: a visitor's, of which the hole's part is used; None, or of a method without edges: not used.
            blended: whether GLCIC's post-processing is added.
            tell: hears how much is done, 0 to 1; it may raise an error to end the work.

        Returns:
            (height, width, 3) RGB in [0, 1], and what the method tells of how it filled the hole.

        Raises:
            ValueError: nothing is known of the photograph, and the method is a classical one; or the memory does not
                suffice.
        """
        pixels, mask = self._planes(image, hole)
        drawing = None if edges is None or not self.draws_edges else in_unit_range(torch.from_numpy(edges)[None, None])
        with computing(self.precision, self.model.device):
            done = self.windowing.complete(pixels, mask, drawing, blended=blended, progress=tell)
        return done.image[0].permute(1, 2, 0).numpy(), list(done.notes)

    def edges(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        hole: Bool[np.ndarray, "height width"],
        tell: Callable[[float], None],
    ) -> UInt8[np.ndarray, "height width"]:
        """The edges that it completes along: its own in the hole, the known ones around it, none far from it.

        Args:
            image: RGB.
            hole: what is to be filled.
            tell: as in `complete`.

        Raises:
            ValueError: the memory does not suffice.
        """
        pixels, mask = self._planes(image, hole)
        with computing(self.precision, self.model.device):
            known, used = edges_used(self.windowing, pixels, mask, progress=tell)
        return ((known + used)[0, 0].clamp(0, 1) * 255).round().byte().numpy()

    @staticmethod
    def _planes(
        image: UInt8[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> tuple[Images, Planes]:
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        return in_unit_range(pixels), in_unit_range(torch.from_numpy(hole)[None, None])


def completing(
    methods: Sequence[Offered], visit: Visit, scene: Scene, *, blend: bool, done: Callable[[Finished], str]
) -> Callable[[Job], None]:
    """The work of a job that completes a photograph with several methods.

    Args:
        methods: in their order.
        visit: who gets the results.
        scene: what is completed.
        blend: whether results are blended.
        done: keeps the whole, and tells the name of its folder; see `Finished`.

    Raises:
        RefusedError: there is no hole yet.
    """
    mask = _given(scene)

    def work(job: Job) -> None:
        original, hole = original_of(scene.photo.content), hole_of(mask)
        edges = None if scene.edges is None else grey_of(scene.edges)
        image = np.asarray(original.rgb)
        made: list[Made] = []
        for at, one in enumerate(methods):
            job.method = one.label
            began = time.monotonic()

            def tell(share: float, at: int = at) -> None:
                job.tell((at + min(share, 1.0)) / len(methods))

            tell(0.0)
            fill, notes = one.complete(image, hole, edges, blended=blend, tell=tell)
            seconds = time.monotonic() - began
            told = {"method": one.label, "blend": blend, "edges": "the visitor's" if edges is not None else "its own"}
            png, small = completed_png(original, fill, hole, told)
            made.append(Made(secrets.token_urlsafe(12), one.label, seconds, tuple(notes), png, small))
            job.made = list(made)
            tell(1.0)
        finished = Finished(scene, blend, tuple(made))
        visit.take(scene, replace(finished, kept=done(finished)))

    return work


def finding_edges(method: Offered, visit: Visit, scene: Scene) -> Callable[[Job], None]:
    """The work of a job that shows the edges which a method sees and draws.

    Args:
        method: which.
        visit: who gets them.
        scene: what is to be completed.

    Raises:
        RefusedError: there is no hole yet, or the method knows no edges.
    """
    mask = _given(scene)
    if not method.draws_edges:
        raise RefusedError(409, f"{method.label} knows no edges.")

    def work(job: Job) -> None:
        job.method = method.label
        image, hole = np.asarray(original_of(scene.photo.content).rgb), hole_of(mask)
        began = time.monotonic()
        found = method.edges(image, hole, job.tell)
        seconds = time.monotonic() - began
        job.made = [Made(secrets.token_urlsafe(12), method.label, seconds, (), edges_png(found))]
        visit.take(scene, job.made[0])

    return work


def _given(scene: Scene) -> bytes:
    if scene.mask is None:
        raise RefusedError(409, "There is no hole yet; send a mask first.")
    return scene.mask
