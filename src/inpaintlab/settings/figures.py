"""The settings of ``inpaintlab figures`` and what each can be, a table a figure; see `schema`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from inpaintlab.machine import Said
from inpaintlab.settings import kinds as k

_Metric = Annotated[str, Said("the name of a metric")]
_MetricOrNull = Annotated[str | None, Said("the name of a metric, or null")]


@dataclass(frozen=True)
class Figure:
    """Every figure."""

    trust: k.Texts
    out: k.Path


@dataclass(frozen=True)
class OfCheckpoint(Figure):
    """A figure of one checkpoint."""

    checkpoint: k.Path
    which: k.Which


@dataclass(frozen=True)
class Moved:
    """A figure that reads photographs of a manifest."""

    root: k.PathOrNull
    mask_root: k.PathOrNull


@dataclass(frozen=True)
class Overview(OfCheckpoint, Moved):
    """``fig2_overview``."""

    manifest: k.PathOrNull
    images: k.Texts
    count: k.Positive
    image: k.PathOrNull
    holes: k.PathOrNull
    hole_colour: Literal["white", "black"]
    threshold: k.Grey


@dataclass(frozen=True)
class Qualitative(Figure, Moved):
    """``fig3_qualitative``."""

    results: k.Paths
    images: k.Texts
    count: k.Positive
    metric: _MetricOrNull


@dataclass(frozen=True)
class SigmaCurves(Figure, Moved):
    """``fig6_sigma``."""

    results: k.Paths
    metric: _Metric
    set_metric: _MetricOrNull
    bin: Annotated[str, Said("the name of a mask bin, or all")]
    axis: Literal["sigma", "density"]


@dataclass(frozen=True)
class SigmaPictures(Figure, Moved):
    """``fig7_sigma``."""

    results: k.Paths
    images: k.Texts
    count: k.Positive
    metric: _Metric


@dataclass(frozen=True)
class Failures(Figure, Moved):
    """``fig9_failures``."""

    results: k.Paths
    count: k.Positive


@dataclass(frozen=True)
class Transfer(OfCheckpoint, Moved):
    """``fig10_transfer``."""

    left: k.Paths
    right: k.Paths
    manifest: k.PathOrNull


@dataclass(frozen=True)
class Removal(OfCheckpoint):
    """``fig11_removal``."""

    image: k.Path
    holes: k.Path
    drawing: k.Path
    hole_colour: Literal["white", "black"]
    threshold: k.Grey


@dataclass(frozen=True)
class Heatmap(Figure):
    """``heatmap``."""

    results: k.Paths
    metric: _Metric
    diagonal: Annotated[dict[str, str], Said("a mapping of columns to labels")]


FIGURES: Mapping[str, Any] = {
    "figures fig2_overview": Overview,
    "figures fig3_qualitative": Qualitative,
    "figures fig6_sigma": SigmaCurves,
    "figures fig7_sigma": SigmaPictures,
    "figures fig9_failures": Failures,
    "figures fig10_transfer": Transfer,
    "figures fig11_removal": Removal,
    "figures heatmap": Heatmap,
}
"""The table of each figure, by the words of its command."""
