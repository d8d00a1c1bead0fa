"""Edges in a result's table of images: how many the original has in the hole, and how well a network drew them."""

import torch
from jaxtyping import Float
from torch import Tensor

from inpaintlab.edges import canny
from inpaintlab.imaging import rgb_to_gray
from inpaintlab.metrics import EdgeF1, EdgePrecision, EdgeRecall, Meaning
from inpaintlab.shapes import Images, Planes

DENSITY = "edge_density"
"""The column of ``edge_density``: of the test set, not of a method, and so no metric."""

_SIGMA = 2.0  # pixels; that of the edge metrics and of EdgeConnect
_THRESHOLD = 0.5  # EDGE_THRESHOLD of EdgeConnect
_RATIOS = {"drawn_edge_precision": EdgePrecision, "drawn_edge_recall": EdgeRecall, "drawn_edge_f1": EdgeF1}
_SHARES = {
    "drawn_edge_precision": "share of the drawn edge pixels that are true ones, undefined where none is drawn",
    "drawn_edge_recall": "share of the true edge pixels that are drawn, undefined where there is none",
    "drawn_edge_f1": "harmonic mean of drawn_edge_precision and drawn_edge_recall, undefined without either",
}
DRAWN = {
    name: Meaning(
        f"{share}; drawn are those of the method's own map of edges in the hole, from {_THRESHOLD} on, before anything "
        "is painted; true are those that its source of edges (the switch edges) marks in the whole original",
        unit="",
        higher_is_better=True,
        undefined_allowed=True,
    )
    for name, share in _SHARES.items()
}
"""The metrics of ``drawn_edges``, by column."""


def edge_density(image: Images, mask: Planes) -> Float[Tensor, " batch"]:
    """The share of the hole's pixels that are Canny edges (sigma 2) of the original.

    Args:
        image: the originals.
        mask: 1 = hole.

    Returns:
        In [0, 1]; NaN where there is no hole, or an image has fewer than 3 rows or columns.
    """
    pixels = mask.sum(dim=(1, 2, 3))
    if min(image.shape[-2:]) < 3:
        return torch.full_like(pixels, torch.nan)
    return (canny(rgb_to_gray(image), _SIGMA) * mask).sum(dim=(1, 2, 3)) / pixels  # 0 / 0 is NaN


def drawn_edges(drawn: Planes, true: Planes, mask: Planes) -> dict[str, Float[Tensor, " batch"]]:
    """Precision, recall and F1 of a network's map of edges in the hole.

    Args:
        drawn: in [0, 1], before anything is painted.
        true: those of the whole originals, in [0, 1].
        mask: 1 = hole.

    Returns:
        The columns of ``DRAWN``; NaN where they are undefined.
    """
    found, there = ((edges * mask >= _THRESHOLD).float() for edges in (drawn, true))
    true_pixels, drawn_pixels, hits = (plane.sum(dim=(1, 2, 3)) for plane in (there, found, there * found))
    return {name: metric.ratio(true_pixels, drawn_pixels, hits, hits) for name, metric in _RATIOS.items()}
