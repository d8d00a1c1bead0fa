"""EdgeSource: where the edges of photographs come from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import torch

from inpaintlab.shapes import Images, Planes


class EdgeSource(ABC):
    """What marks the edges of photographs, for a network that learns from them.

    A source is no network of a model: no checkpoint, no optimizer and no gradient reaches into it.
    """

    @abstractmethod
    def in_words(self) -> str:
        """The source and what it is set to, in a few words, for results and tables."""

    def draw(self, count: int) -> list[float] | None:
        """What differs among ``count`` training samples, drawn from torch's random numbers; None if nothing does."""
        return None

    @torch.no_grad()
    def whole(self, image: Images, drawn: Sequence[float] | None = None) -> Planes:
        """The edges of whole images.

        Args:
            image: RGB in [0, 1].
            drawn: what ``draw`` gave for these images; None for what the source is evaluated at.

        Returns:
            1 on an edge and 0 elsewhere, or between for soft edges; without a gradient.
        """
        return self.mark(image, None, drawn)

    @torch.no_grad()
    def known(self, image: Images, mask: Planes, drawn: Sequence[float] | None = None) -> Planes:
        """The edges that follow from the pixels outside the hole alone; no edge lies in the hole or next to it.

        Args:
            image: RGB in [0, 1]; its pixels in the hole do not matter.
            mask: 1 = hole.
            drawn: as for ``whole``.

        Returns:
            As ``whole``.
        """
        return self.mark(torch.where(mask > 0.5, 0.0, image), mask, drawn)

    @abstractmethod
    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None) -> Planes:
        """The edges of images whose hole is 0; see ``known``, and without a mask ``whole``."""


@final
class NoEdges(EdgeSource):
    """No edge anywhere: what a network is worth without them (EdgeConnect's SIGMA -1)."""

    def in_words(self) -> str:
        """'none'."""
        return "none"

    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None) -> Planes:
        """Zeros."""
        return torch.zeros_like(image[:, :1])
