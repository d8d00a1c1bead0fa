"""Inpainter: what every method shares, from a hole to finished pixels. Methods that learn are ``Learner``s."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from lightning import LightningModule
from torch import Tensor, nn

from inpaintlab.imaging import biharmonic, blend
from inpaintlab.inpainting.fitting import fit
from inpaintlab.inpainting.made_for import MadeFor, pad_to_multiple, padded_side
from inpaintlab.inpainting.steps import evaluating
from inpaintlab.layers import Context
from inpaintlab.shapes import AnyImages, AnyPlanes, Images, Planes


class Inpainter(LightningModule, ABC):
    """A method that fills holes.

    A method defines ``forward``; ``complete`` turns its output into finished pixels, the same way for all methods.
    """

    stride: int = 1
    """Height and width that ``forward`` accepts are multiples of it; ``complete`` pads and crops."""
    smallest: int = 1
    """The least height and width that ``forward`` accepts, in pixels."""

    made_for: MadeFor | None = None
    """The size and hole that ``forward`` accepts, where that is a single one; ``complete`` resizes all others to it.

    The verbs refuse the others unless the user asks for that (``fit=resize``).
    """

    oracle = False
    """Whether the method gets ground truth inside the hole; tables mark it and never call it best."""

    reads_edges: bool | None = None
    """Whether the method needs an edge map from a file for each image; None where it knows no edges at all."""

    sources: tuple[object, ...] = ()
    """Objects whose code decides what is completed, beside that of the method's own file."""

    def __init__(self) -> None:
        super().__init__()
        self.completes_compiled = False
        """Whether the generators of a model that learns no more are compiled."""
        self.recipe: dict[str, Any] = {}
        """The resolved configuration that built this model (``checkpoints.build``); the checkpoint carries it."""

    @classmethod
    def takes(cls, settings: Mapping[str, Any]) -> MadeFor | None:
        """What ``made_for`` is in a model of these settings; None for any size and hole.

        Raises:
            ValueError: there is no such model.
        """
        return None

    @property
    def context(self) -> Context | None:
        """What a window has to show around a hole, for photographs too large to be seen whole; None: all of it."""
        return None

    # --- what a method defines -------------------------------------------------------------------------------------

    @abstractmethod
    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """Raw output over the whole image.

        Args:
            visible: the image, 0 in the hole.
            mask: 1 = hole.
            edges: see ``complete``; not every method uses them.

        Returns:
            In [0, 1].
        """

    def inner_pictures(
        self, visible: Images, mask: Planes, edges: Planes | None = None
    ) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """Intermediate results in [0, 1] by name, for the panels; none by default."""
        return {}

    def edges_at_completion(self, image: Images, edges: Planes | None) -> Planes | None:
        """The ``edges`` that ``forward`` gets for whole images: those given, but of an oracle the true ones."""
        return edges

    def edge_files(self, batch: Mapping[str, Any]) -> Planes | None:
        """The edge maps of a batch that come from files, if the method reads them and the data have them."""
        return batch.get("edges") if self.reads_edges else None

    def require(self) -> None:  # most methods need nothing
        """Load, before any work, what the method cannot do without beside its weights.

        Raises:
            ValueError: it cannot be had.
        """

    def generators(self) -> list[nn.Module]:
        """The networks that complete images; none of a classical method."""
        return []

    def networks(self) -> list[nn.Module]:
        """The networks that complete images or that a training step runs, each once; none of a classical method."""
        return self.generators()

    def drawing_and_truth(self, image: Images, mask: Planes, edges: Planes | None) -> tuple[Planes, Planes] | None:
        """The edges that a network drew when it completed these images last, in [0, 1], and the true ones.

        Arguments are those of ``complete``. None of a method that drew no edges.
        """
        return None

    def switches(self) -> dict[str, Any]:
        """The choices of this model where implementations of its paper differ, for plans, results and reports."""
        return {}

    def remarks(self) -> list[str]:
        """What there is to tell of how the last images were completed; nothing by default."""
        return []

    # --- finished pixels -------------------------------------------------------------------------------------------

    @torch.no_grad()
    def complete(self, image: Images, mask: Planes, edges: Planes | None = None, *, blended: bool = False) -> Images:
        """Fill the hole; the known pixels are the input's, bit for bit.

        This is the one path from a model to finished pixels, for every size. The pixels inside the hole are removed
        before the method sees the image, and no state changes, neither running statistics nor the mode. An image
        without a hole comes back as it is; for one that is all hole a network returns its raw output.

        Args:
            image: its pixels in the hole do not matter.
            mask: 1 = hole.
            edges: a user's drawing for the hole, or None; of a method that reads edge maps from files, the images'.
            blended: whether to add GLCIC's post-processing (``imaging.blend``).

        Raises:
            ValueError: an image is all hole and the method is a classical one, which needs known pixels; or an oracle
                gets ``edges``.
        """
        _, completed = self.outputs(image, mask, edges)
        return blend(completed, mask) if blended else completed

    @torch.no_grad()
    def outputs(self, image: Images, mask: Planes, edges: Planes | None = None) -> tuple[Images, Images]:
        """The raw output and the completed image, without blending; arguments and errors as in ``complete``."""
        raw = self.raw_output(image, mask, edges)
        return raw, self.paste(image, mask, raw)

    @torch.no_grad()
    def raw_output(self, image: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """The method's output in evaluation mode, before the known pixels are put back; float32 in [0, 1]."""
        return self.raw_outputs([(image, mask, edges)])[0]

    @torch.no_grad()
    def raw_outputs(self, several: Sequence[tuple[AnyImages, AnyPlanes, AnyPlanes | None]]) -> list[AnyImages]:
        """The ``raw_output`` of each of several images, which may differ in size, computed in one batch.

        Args:
            several: image, mask and edges of each; of one ``padded_size``, and all with edges or all without.
        """
        with self.completing():
            inputs = [self._inputs(*one) for one in several]
            raw = self(*(_together(planes) for planes in zip(*inputs, strict=True)))
        parts = raw.split([len(image) for image, _, _ in several])
        outputs = (self._at_own_size(part, image, mask) for part, (image, mask, _) in zip(parts, several, strict=True))
        return [output.clamp(0, 1).float() for output in outputs]

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the image that ``forward`` sees of one of this size, in pixels."""
        if self.made_for is not None:
            return self.made_for.side, self.made_for.side
        return padded_side(height, self.stride, self.smallest), padded_side(width, self.stride, self.smallest)

    @contextmanager
    def completing(self) -> Iterator[None]:
        """The state in which the model completes images: evaluation mode, while the context lasts."""
        with evaluating(self):
            yield

    @torch.no_grad()
    def seen_inside(
        self, image: Images, mask: Planes, edges: Planes | None = None
    ) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """``inner_pictures`` of these images, at their own size; arguments as in ``complete``."""
        with self.completing():
            pictures = self.inner_pictures(*self._inputs(image, mask, edges))
        return {
            name: self._at_own_size(picture, torch.zeros_like(mask).expand(-1, picture.shape[1], -1, -1), mask)
            for name, picture in pictures.items()
        }

    def _inputs(self, image: Images, mask: Planes, edges: Planes | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """The arguments of ``forward``: the hole hidden, everything padded to the stride, or resized."""
        edges = self.edges_at_completion(image, edges)
        if (made_for := self.made_for) is not None:
            visible, hole = made_for.resized(hide(image, mask), mask), made_for.resized(mask, mask, hole=True)
            return hide(visible, hole), hole, None if edges is None else made_for.resized(edges, mask)

        def padded(plane: Tensor) -> Tensor:
            return pad_to_multiple(plane, self.stride, self.smallest)

        return padded(hide(image, mask)), padded(mask), None if edges is None else padded(edges)

    def _at_own_size(self, output: Tensor, image: Tensor, mask: Planes) -> Tensor:
        """Undo what ``_inputs`` did to the size; the visible part of ``image`` surrounds what is put back."""
        if self.made_for is not None:
            return self.made_for.put_back(output, hide(image, mask), mask)
        return output[..., : mask.shape[-2], : mask.shape[-1]]

    @staticmethod
    def paste(image: Images, mask: Planes, raw: Images) -> Images:
        """The raw output inside the hole, the image elsewhere; selected, not blended, so that nothing is rounded."""
        return torch.where(mask > 0.5, raw, image)

    # --- Lightning -------------------------------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Fit the networks to the trainer's device and precision; Lightning calls this before it moves them."""
        fit(self.networks(), self.trainer.strategy.root_device.type, str(self.trainer.precision))

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Complete a batch of validation images."""
        return {"completed": self.complete(batch["image"], batch["mask"], self.edge_files(batch))}

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Raw outputs and completed images of a batch of a frozen test set, and the notes of each.

        On the CPU the images are completed one by one, because convolutions round the last bit differently for
        different batch sizes: so a test set gives the same numbers however it is divided among batches and processes.
        """
        image, mask = batch["image"], batch["mask"]
        at_once = 1 if image.device.type == "cpu" or not self.generators() else len(image)
        edges = self.edge_files(batch)
        maps = [None] * len(image) if edges is None else edges.split(at_once)
        parts, drawings = [], []
        for triple in zip(image.split(at_once), mask.split(at_once), maps, strict=False):
            parts.append((*self.outputs(*triple), "; ".join(self.remarks())))
            drawings.append(self.drawing_and_truth(*triple))
        raw, completed, notes = zip(*parts, strict=True)
        each = [note for note, part in zip(notes, completed, strict=True) for _ in part]
        found = {"raw": torch.cat(raw), "completed": torch.cat(completed), "notes": each}
        drawn, true = zip(*(pair or (None, None) for pair in drawings), strict=True)
        return found if None in drawn else found | {"drawn_edges": torch.cat(drawn), "true_edges": torch.cat(true)}


class Classical(Inpainter, ABC):
    """A method without networks, which continues the known pixels of one image after another, on the processor."""

    def __init__(self) -> None:
        super().__init__()
        self.progress: Callable[[float], None] = _untold
        """Called from time to time with the share of the present image that is done, 0 to 1, by methods that take
        seconds."""
        self.notes: list[str] = []
        """What the last ``forward`` has to tell of how it filled its images; ``fill`` adds to it."""

    def remarks(self) -> list[str]:
        """The notes of the last ``forward``."""
        return list(self.notes)

    @contextmanager
    def watched(self, update: Callable[[float], None]) -> Iterator[None]:
        """Hear how far a series of images is, while the context lasts.

        Args:
            update: gets the number of images that are done, with the share of the present one.
        """
        done, last = 0, 0.0

        def count(share: float) -> None:
            nonlocal done, last
            done, last = done + (share < last), share  # a share that falls is that of the next image
            update(done + share)

        before, self.progress = self.progress, count
        try:
            yield
        finally:
            self.progress = before

    @abstractmethod
    def fill(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "height width 3"]:
        """Continue the known pixels of one image into its hole.

        Args:
            image: float32 RGB in [0, 1], 0 in the hole.
            hole: True in the hole, which has a pixel and leaves at least one known.

        Returns:
            float32; what it has outside the hole does not matter.
        """

    def fill_smoothly(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"], why: str
    ) -> Float[np.ndarray, "height width 3"]:
        """What a search leaves to biharmonic interpolation, with a note that tells why."""
        self.notes.append(f"{why}: filled by biharmonic interpolation")
        return biharmonic(image, hole)

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """Each image with its hole filled; edges are not used.

        Raises:
            ValueError: a hole leaves no known pixel.
        """
        require_known_pixels(mask)
        self.notes = []
        images = np.ascontiguousarray(visible.permute(0, 2, 3, 1).cpu().numpy())
        holes = (mask[:, 0] > 0.5).cpu().numpy()
        filled = [self.fill(*pair) if pair[1].any() else pair[0] for pair in zip(images, holes, strict=True)]
        return torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2).contiguous().to(visible.device)


def require_known_pixels(mask: Planes) -> None:
    """Raise a ValueError if a mask is all hole: a classical method has nothing to continue then."""
    if bool((mask > 0.5).flatten(1).all(dim=1).any()):
        raise ValueError("A mask covers its whole image; a classical method needs known pixels to continue from.")


def _untold(share: float) -> None:
    """Nobody watches."""


def hide(
    image: Float[Tensor, "batch colours height width"], mask: Planes
) -> Float[Tensor, "batch colours height width"]:
    """The visible part of an image: 0 in the hole, even where a NaN was, the image elsewhere."""
    return torch.where(mask > 0.5, 0.0, image)


def _together(planes: tuple[Tensor | None, ...]) -> Tensor | None:
    """One batch of several; one that is alone is not copied."""
    given = [plane for plane in planes if plane is not None]
    return torch.cat(given) if len(given) > 1 else planes[0]
