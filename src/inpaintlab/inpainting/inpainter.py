"""Inpainter: what every method shares, from a hole to finished pixels. Those that learn are ``Learner``s."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from lightning import LightningModule
from torch import Tensor, nn

from inpaintlab.imaging import blend
from inpaintlab.inpainting.fitting import fit
from inpaintlab.shapes import Images, Planes


class Inpainter(LightningModule, ABC):
    """A method that fills holes.

    A method defines ``forward``. Everything that turns its output into finished pixels stands here once: ``complete``.

    Args:
        stride: height and width that ``forward`` accepts are multiples of it; ``complete`` pads and crops.
        smallest: the least height and width that ``forward`` accepts, in pixels.
    """

    oracle = False
    """Whether the method is shown ground truth inside the hole; tables mark it and never call it best."""

    def __init__(self, stride: int = 1, smallest: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.smallest = smallest
        self.completes_compiled = False
        """Whether the generators of a model that learns no more are compiled."""
        self.recipe: dict[str, Any] = {}
        """The resolved configuration that built this model (``checkpoints.build``); the checkpoint carries it."""

    # --- what a method defines -------------------------------------------------------------------------------------

    @abstractmethod
    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """Raw output in [0, 1] over the whole image, from the visible pixels (0 in the hole) and the mask (1 = hole).

        ``edges``, where a method uses them, say what lies in the hole: a user's drawing, or None.
        """

    def inner_pictures(
        self, visible: Images, mask: Planes, edges: Planes | None = None
    ) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """What the method sees or draws on its way, for the panels: name to pictures in [0, 1]. None by default."""
        return {}

    def true_edges(self, image: Images) -> Planes | None:
        """What an oracle is given as ``edges``, taken from the hidden pixels as well; nothing by default."""
        return None

    def generators(self) -> list[nn.Module]:
        """The networks that complete images; none of a classical method."""
        return []

    def networks(self) -> list[nn.Module]:
        """The networks that complete images or that a training step runs, each once; none of a classical method."""
        return self.generators()

    def switches(self) -> dict[str, Any]:
        """Where implementations of the same paper differ: what this model does, for plans, results and reports."""
        return {}

    # --- finished pixels -------------------------------------------------------------------------------------------

    @torch.no_grad()
    def complete(self, image: Images, mask: Planes, edges: Planes | None = None, *, blended: bool = False) -> Images:
        """Fill the hole; the known pixels are the input's, bit for bit.

        The one path from a model to finished pixels, for every size. What ``image`` holds inside the hole is
        removed before the method sees it, and no state changes: running statistics stay, the mode comes back.
        An image without a hole comes back as it is; of one that is all hole a network's output comes back, and a
        classical method, which has nothing to continue from, raises a ValueError. ``blended`` adds GLCIC's
        post-processing (``blending.blend``).
        """
        _, completed = self.outputs(image, mask, edges)
        return blend(completed, mask) if blended else completed

    @torch.no_grad()
    def outputs(self, image: Images, mask: Planes, edges: Planes | None = None) -> tuple[Images, Images]:
        """The raw output of ``complete`` and the completed image that it becomes."""
        raw = self.raw_output(image, mask, edges)
        return raw, self.paste(image, mask, raw)

    @torch.no_grad()
    def raw_output(self, image: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """The method's output over the whole image in evaluation mode, before the known pixels are put back."""
        height, width = image.shape[-2:]
        with self.completing():
            return self(*self._shown(image, mask, edges))[..., :height, :width].clamp(0, 1).float()

    @contextmanager
    def completing(self) -> Iterator[None]:
        """Evaluation mode for a while."""
        with evaluating(self):
            yield

    @torch.no_grad()
    def seen_inside(self, image: Images, mask: Planes) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """``inner_pictures`` of these images, at their own size."""
        height, width = image.shape[-2:]
        with self.completing():
            pictures = self.inner_pictures(*self._shown(image, mask, None))
        return {name: picture[..., :height, :width] for name, picture in pictures.items()}

    def _shown(self, image: Images, mask: Planes, edges: Planes | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """What ``forward`` gets of an image: the hole hidden, everything padded to the stride."""
        if self.oracle:
            if edges is not None:
                raise ValueError(f"{type(self).__name__} is set to see the true edges; it takes no others beside them.")
            edges = self.true_edges(image)

        def padded(plane: Tensor) -> Tensor:
            return pad_to_multiple(plane, self.stride, self.smallest)

        return padded(hide(image, mask)), padded(mask), None if edges is None else padded(edges)

    @staticmethod
    def paste(image: Images, mask: Planes, raw: Images) -> Images:
        """The raw output inside the hole, the image elsewhere; a selection, so that nothing rounds or leaks."""
        return torch.where(mask > 0.5, raw, image)

    # --- Lightning -------------------------------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Fit the networks to the trainer's device and precision; Lightning calls this before it moves them."""
        fit(self.networks(), self.trainer.strategy.root_device.type, str(self.trainer.precision))

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Complete a batch of validation images."""
        return {"completed": self.complete(batch["image"], batch["mask"])}

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Raw outputs and completed images of a batch of a frozen test set.

        On the CPU image by image: convolutions of other batch sizes round otherwise in the last bit, and a test set
        gives the same numbers however it is divided among batches, workers and processes.
        """
        image, mask = batch["image"], batch["mask"]
        together = 1 if image.device.type == "cpu" else len(image)
        pairs = zip(image.split(together), mask.split(together), strict=True)
        raw, completed = zip(*(self.outputs(*pair) for pair in pairs), strict=True)
        return {"raw": torch.cat(raw), "completed": torch.cat(completed)}


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each module gets its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def hide(
    image: Float[Tensor, "batch colours height width"], mask: Planes
) -> Float[Tensor, "batch colours height width"]:
    """The visible part: 0 in the hole, whatever stood there (a NaN too), the image elsewhere."""
    return torch.where(mask > 0.5, 0.0, image)


def pad_to_multiple(
    plane: Float[Tensor, "batch planes height width"], stride: int, smallest: int = 1
) -> Float[Tensor, "batch planes padded_height padded_width"]:
    """Pad at the bottom and right to a multiple of ``stride``: by reflection, or by the last pixel if too small."""
    height, width = plane.shape[-2:]
    bottom, right = (max(smallest, side + -side % stride) - side for side in (height, width))
    if not bottom and not right:
        return plane
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(plane, (0, right, 0, bottom), mode=mode)
