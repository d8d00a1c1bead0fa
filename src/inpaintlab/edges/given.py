"""Edges from files: a map for each photograph, or a drawing of what lies in its hole."""

from collections.abc import Sequence
from typing import final

import torch.nn.functional as F

from inpaintlab.edges.canny_source import Canny
from inpaintlab.edges.source import EdgeSource
from inpaintlab.shapes import Images, Planes


@final
class EdgeFiles(EdgeSource):
    """Edges that others have found, from a file for each photograph (EdgeConnect's EDGE 2).

    Of a map, what lies in the hole or next to it is left out at completion, as with Canny's. How the rest was made,
    and whether with the hole in view, nobody can see in a file.
    """

    reads = True

    def in_words(self) -> str:
        """'files'."""
        return "files"

    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None, given: Planes | None) -> Planes:
        """The maps, away from the hole."""
        given = _there(given, "files")
        return given if mask is None else given * away_from(mask)


@final
class Drawn(EdgeSource):
    """Canny's edges around the hole, and in it a drawing from a file, which takes the place of a network's.

    At evaluation it is an oracle: nobody can know whether a drawing was made with the truth in view.

    Args:
        sigma: as `Canny` takes it.
    """

    reads = True
    draws = True

    def __init__(self, sigma: float | Sequence[int]) -> None:
        self.canny = Canny(sigma)

    def in_words(self) -> str:
        """Such as 'drawn, around it canny, sigma 2'."""
        return f"drawn, around it {self.canny.in_words()}"

    def draw(self, count: int) -> list[float] | None:
        """Canny's."""
        return self.canny.draw(count)

    def in_hole(self, given: Planes | None) -> Planes | None:
        """The drawings."""
        return _there(given, "drawn")

    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None, given: Planes | None) -> Planes:
        """Canny's edges; a drawing is used in the hole alone."""
        return self.canny.mark(image, mask, drawn, None)


def _there(given: Planes | None, source: str) -> Planes:
    if given is None:
        raise ValueError(
            f"model/edges={source} needs an edge map for each photograph, and there is none: give "
            "data.source.edges=DIR where pictures are chosen (train, manifest create), or drawing=FILE to complete."
        )
    return given


def away_from(mask: Planes) -> Planes:
    """0 in the hole and at its eight neighbours, 1 elsewhere: where edges are known, as Canny knows them.

    torch's max_pool2d is the dilation that kornia has too, in one call (docs/architecture.md).
    """
    return 1 - F.max_pool2d((mask > 0.5).float(), 3, stride=1, padding=1)
