"""HED's edges as a source, alone and with Canny's."""

from collections.abc import Sequence
from typing import final

import torch

from inpaintlab.edges.canny_source import Canny
from inpaintlab.edges.filling import fill_unseen
from inpaintlab.edges.given import away_from
from inpaintlab.edges.hed_network import HEDNetwork
from inpaintlab.edges.source import EdgeSource
from inpaintlab.edges.thinning import thin
from inpaintlab.shapes import Images, Planes


@final
class HED(EdgeSource):
    """Edges as people draw them, by a network that has learned them (`HEDNetwork`).

    The known ones are those of the photograph with its hole filled from the known pixels so that it does not show; the
    network would outline a hole that is white or black. None of them is in the hole or next to it, as with Canny's.

    Args:
        thin: whether lines are made one pixel wide.
        threshold: the probability from which on a pixel is an edge; None leaves the probabilities as they are.

    Raises:
        ValueError: the threshold is not in (0, 1).
    """

    def __init__(self, thin: bool = True, threshold: float | None = 0.5) -> None:
        if threshold is not None and not 0 < threshold < 1:
            raise ValueError(f"model.edges.threshold is {threshold:g}; it must be above 0 and below 1, or null.")
        self.thin, self.threshold = thin, threshold
        self.network: tuple[HEDNetwork, ...] = ()
        """HED, once it is loaded: in a tuple, as what belongs to no checkpoint."""

    def in_words(self) -> str:
        """Such as 'hed, thinned, from 0.5 on' or 'hed, thick, soft'."""
        return f"hed, {self.done()}"

    def done(self) -> str:
        """What is done to the network's map, in words."""
        lines = "thinned" if self.thin else "thick"
        return f"{lines}, {'soft' if self.threshold is None else f'from {self.threshold:g} on'}"

    def require(self) -> None:
        """Load the network."""
        if not self.network:
            with torch.random.fork_rng(devices=[]):  # layers draw weights as they are made, which are replaced
                self.network = (HEDNetwork(),)

    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None, given: Planes | None) -> Planes:
        """The network's map, thinned and cut at the threshold as is set."""
        edges = self.probability(image if mask is None else fill_unseen(image, mask))
        edges = thin(edges) if self.thin else edges
        if self.threshold is not None:
            edges = (edges >= self.threshold).to(edges.dtype)
        return edges if mask is None else edges * away_from(mask)

    def probability(self, image: Images) -> Planes:
        """The network's map in float32; on the CPU of one image after another.

        There convolutions round otherwise in batches, and a map would depend on what is beside it.
        """
        self.require()
        network = self.network[0].to(image.device)
        parts = image.float().split(1 if image.device.type == "cpu" else len(image))
        return torch.cat([network(part) for part in parts])


@final
class HEDAndCanny(EdgeSource):
    """HED's map at Canny's edges: thin lines, as strong as HED finds them (EdgeConnect's EDGE 2 with NMS 1).

    Args:
        sigma: as `Canny` takes it.
        threshold: as `HED` takes it; the released code leaves the probabilities as they are.

    Raises:
        ValueError: as of `Canny` and `HED`.
    """

    def __init__(self, sigma: float | Sequence[int], threshold: float | None = None) -> None:
        self.canny = Canny(sigma)
        self.hed = HED(thin=False, threshold=threshold)

    def in_words(self) -> str:
        """Such as 'hed and canny, soft, sigma 2'."""
        return f"hed and canny, {self.hed.done().partition(', ')[2]}, {self.canny.in_words().partition(', ')[2]}"

    def require(self) -> None:
        """Load the network."""
        self.hed.require()

    def draw(self, count: int) -> list[float] | None:
        """Canny's."""
        return self.canny.draw(count)

    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None, given: Planes | None) -> Planes:
        """The product of both."""
        return self.hed.mark(image, mask, None, None) * self.canny.mark(image, mask, drawn, None)
