"""Precision, recall and F1 of a completed image's Canny edges in the hole, against the original's.

The maps are those of the whole completed image and of the whole original, cut to the hole before they are compared; so
a known edge beside the hole matches nothing inside it. EdgeConnect's paper reports precision and recall of its edge
generator's own map; these metrics look at the finished pixels, so that they apply to every method.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from inpaintlab.edges import canny
from inpaintlab.imaging import rgb_to_gray
from inpaintlab.metrics.metric import PerImageMetric, where_defined
from inpaintlab.shapes import Images, Planes

SIGMA = 2.0  # EdgeConnect's

Counts = Float[Tensor, "images 5"]
"""Pixels in the hole: true edges, drawn edges, both at once, true edges on or next to a drawn one, and the reverse."""

COLUMNS = ("edges_true", "edges_drawn", "edges_hit", "edges_true_near", "edges_drawn_near")
"""The columns of the counts in a table of images, for micro averages."""

PerImage = Float[Tensor, " images"]


class EdgeMetric(PerImageMetric, ABC):
    """A ratio of the numbers of true and drawn edge pixels, which are counted once for all such metrics.

    Args:
        tolerance: 0: a match is on the same pixel. 1: it may be on one of its 8 neighbours, and several pixels may
            match the same one.
        micro: whether pixels are counted over all images before the division, instead of averaging the images' values.

    Raises:
        ValueError: the tolerance is neither.
    """

    higher_is_better = True
    smallest = 3
    quantity: ClassVar[str]
    summary: ClassVar[str]
    undefined_where: ClassVar[str]
    exact: ClassVar[tuple[tuple[str, str], ...]]
    """The ratios of column sums whose harmonic mean is the micro average; ``near`` are those with the tolerance."""
    near: ClassVar[tuple[tuple[str, str], ...]]

    def __init__(self, tolerance: int, micro: bool = False) -> None:
        if tolerance not in (0, 1):
            raise ValueError(f"The tolerance of edge_{self.quantity} is {tolerance} px; it can be 0 or 1.")
        self.tolerance = tolerance
        self.micro = micro
        self.pooled = (self.near if tolerance else self.exact) if micro else ()
        self.undefined_allowed = not micro
        name = f"edge_{self.quantity}_tol1" if tolerance else f"edge_{self.quantity}_exact"
        self.name = f"{name}_micro" if micro else name
        match = "the same pixel or one of its 8 neighbours" if tolerance else "the same pixel"
        over = "pixels are counted over all images before the division (micro average)"
        self.definition = (
            f"{self.summary}, {over if micro else f'undefined where {self.undefined_where}'}; edges are Canny's (sigma "
            "2, scikit-image's thresholds) of the whole completed image and of the whole original in gray, both cut to "
            f"the hole, and match on {match}"
        )
        super().__init__()

    @property
    def family(self) -> str:
        """One for all edge metrics, because all count the same."""
        return "canny_edges_in_hole"

    def measure(self, preds: Images, target: Images, mask: Planes) -> Counts:
        """The counts of each image; NaN where the completed image is not finite."""
        true, drawn = (canny(rgb_to_gray(image), SIGMA) * mask for image in (target, preds))
        near_true, near_drawn = (F.max_pool2d(edges, 3, stride=1, padding=1) for edges in (true, drawn))
        planes = torch.cat([true, drawn, true * drawn, true * near_drawn, drawn * near_true], dim=1)
        finite = preds.isfinite().flatten(1).all(dim=1, keepdim=True)
        return torch.where(finite, planes.sum(dim=(2, 3)), torch.nan)

    def values(self, measured: Counts) -> PerImage:
        """The ratio of each image from its counts."""
        true, drawn, hits, true_near, drawn_near = measured.unbind(dim=1)
        return self.ratio(true, drawn, true_near, drawn_near) if self.tolerance else self.ratio(true, drawn, hits, hits)

    def compute(self) -> PerImage:
        """The value of each image, or the single value of a micro average."""
        counts = dim_zero_cat(self.measured)
        return self.values(counts.sum(dim=0, keepdim=True) if self.micro else counts)

    def columns(self, measured: Counts) -> dict[str, PerImage]:
        """The value of each image, or its counts for a micro average."""
        return dict(zip(COLUMNS, measured.unbind(dim=1), strict=True)) if self.micro else super().columns(measured)

    @staticmethod
    @abstractmethod
    def ratio(true: PerImage, drawn: PerImage, true_matched: PerImage, drawn_matched: PerImage) -> PerImage:
        """The value from numbers of edge pixels; NaN where it is undefined.

        Args:
            true: edge pixels of the original.
            drawn: edge pixels of the completed image.
            true_matched: those of ``true`` that match a drawn one.
            drawn_matched: those of ``drawn`` that match a true one.
        """


class EdgePrecision(EdgeMetric):
    """Share of the drawn edge pixels that match a true one."""

    quantity = "precision"
    exact = (("edges_hit", "edges_drawn"),)
    near = (("edges_drawn_near", "edges_drawn"),)
    summary = "share of the completed image's edge pixels in the hole that match one of the original's"
    undefined_where = "the completed image has none there"

    @staticmethod
    def ratio(true: PerImage, drawn: PerImage, true_matched: PerImage, drawn_matched: PerImage) -> PerImage:
        """Matched drawn pixels over all drawn ones."""
        return where_defined(drawn != 0, drawn_matched / drawn)


class EdgeRecall(EdgeMetric):
    """Share of the true edge pixels that match a drawn one."""

    quantity = "recall"
    exact = (("edges_hit", "edges_true"),)
    near = (("edges_true_near", "edges_true"),)
    summary = "share of the original's edge pixels in the hole that match one of the completed image's"
    undefined_where = "the original has none there"

    @staticmethod
    def ratio(true: PerImage, drawn: PerImage, true_matched: PerImage, drawn_matched: PerImage) -> PerImage:
        """Matched true pixels over all true ones."""
        return where_defined(true != 0, true_matched / true)


class EdgeF1(EdgeMetric):
    """Harmonic mean of precision and recall; 0 where edges are on one side only."""

    quantity = "f1"
    exact = (*EdgePrecision.exact, *EdgeRecall.exact)
    near = (*EdgePrecision.near, *EdgeRecall.near)
    summary = "harmonic mean of the precision and the recall of the completed image's edge pixels in the hole"
    undefined_where = "neither image has any there, 0 where one has"

    @staticmethod
    def ratio(true: PerImage, drawn: PerImage, true_matched: PerImage, drawn_matched: PerImage) -> PerImage:
        """2 P R / (P + R), rearranged so that no count of 0 is divided by."""
        both = true_matched * drawn + drawn_matched * true
        return where_defined(true + drawn != 0, 2 * true_matched * drawn_matched / both.clamp(min=1))
