"""EdgeSource: where the edges of photographs come from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, final

import torch

from inpaintlab.shapes import Images, Planes


class EdgeSource(ABC):
    """What marks the edges of photographs, for a network that learns from them.

    A source is no network of a model: no checkpoint, no optimizer and no gradient reaches into it.
    """

    reads: ClassVar[bool] = False
    """Whether each photograph needs a map from a file."""
    draws: ClassVar[bool] = False
    """Whether these maps say what lies in the hole, instead of what lies around it."""

    @abstractmethod
    def in_words(self) -> str:
        """The source and what it is set to, in a few words, for results and tables."""

    def require(self) -> None:  # noqa: B027  # most sources need nothing
        """Load, before any work, what the source cannot do without; by default nothing.

        Raises:
            ValueError: it cannot be had.
        """

    def draw(self, count: int) -> list[float] | None:
        """What differs among ``count`` training samples, drawn from torch's random numbers; None if nothing does."""
        return None

    @torch.no_grad()
    def whole(self, image: Images, drawn: Sequence[float] | None = None, given: Planes | None = None) -> Planes:
        """The edges of whole images.

        Args:
            image: RGB in [0, 1].
            drawn: what ``draw`` gave for these images; None for what the source is evaluated at.
            given: the images' maps from files, in [0, 1], for a source that reads them.

        Returns:
            1 on an edge and 0 elsewhere, or between for soft edges; without a gradient.

        Raises:
            ValueError: maps from files are needed, and there are none.
        """
        if self.reads and given is not None:
            return given
        with _as_it_is(image):
            return self.mark(image, None, drawn, given)

    @torch.no_grad()
    def around(self, image: Images, drawn: Sequence[float] | None, whole: Planes) -> Planes:
        """The edges of whole images that a hole is surrounded by: those that are ``whole``, but where these are drawn.

        Args:
            image: see ``whole``.
            drawn: see ``whole``.
            whole: what ``whole`` returned for them.
        """
        if not self.draws:
            return whole
        with _as_it_is(image):
            return self.mark(image, None, drawn, None)

    @torch.no_grad()
    def known(
        self, image: Images, mask: Planes, drawn: Sequence[float] | None = None, given: Planes | None = None
    ) -> Planes:
        """The edges that follow from what lies outside the hole alone; no edge lies in the hole or next to it.

        Args:
            image: RGB in [0, 1]; its pixels in the hole do not matter.
            mask: 1 = hole.
            drawn: as for ``whole``.
            given: as for ``whole``; their pixels in the hole do not matter.

        Returns:
            As ``whole``.

        Raises:
            ValueError: as ``whole``.
        """
        hole = mask > 0.5
        outside = None if given is None else torch.where(hole, 0.0, given)
        with _as_it_is(image):
            return self.mark(torch.where(hole, 0.0, image), mask, drawn, outside)

    def in_hole(self, given: Planes | None) -> Planes | None:
        """What takes the place of a network's edges in the hole: drawings from files; by default nothing.

        Raises:
            ValueError: they are needed, and there are none.
        """
        return None

    @abstractmethod
    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None, given: Planes | None) -> Planes:
        """The edges of images, and of maps, whose hole is 0; see ``known``, and without a mask ``whole``."""


@final
class NoEdges(EdgeSource):
    """No edge anywhere: what a network is worth without them (EdgeConnect's SIGMA -1)."""

    def in_words(self) -> str:
        """'none'."""
        return "none"

    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None, given: Planes | None) -> Planes:
        """Zeros."""
        return torch.zeros_like(image[:, :1])


def _as_it_is(image: Images) -> torch.autocast:
    """Without autocast: what is an edge does not depend on the precision that a network is trained in."""
    return torch.autocast(image.device.type, enabled=False)
