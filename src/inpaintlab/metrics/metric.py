"""What every metric of single images shares: one value an image, with its definition beside it."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from inpaintlab.metrics.meaning import Meaning
from inpaintlab.shapes import Images, Planes, Scalar


class PerImageMetric(Metric, ABC):
    """A metric with one value an image; ``compute`` gives them all, in the order of the updates.

    Updates take float32 RGB in [0, 1], (B, 3, H, W), and the mask (B, 1, H, W), 1 = hole. Processes are gathered by
    concatenation.

    A value is NaN where the metric is undefined, which only metrics with ``undefined_allowed`` are for some images.
    A metric that is ``pooled`` has no value of an image: it is made of sums over images (see ``results.Metric``), and
    ``compute`` gives this one number.
    """

    name: str
    """What settings, columns and tables call the metric; no two definitions share one."""
    definition: str
    unit: ClassVar[str] = ""
    higher_is_better: bool
    undefined_allowed: bool = False
    """Whether an image can lack a value for a reason that the definition tells."""
    pooled: tuple[tuple[str, str], ...] = ()
    smallest: ClassVar[int] = 1
    """The least height and width, in pixels."""
    backend: ClassVar[str] = "inpaintlab"
    """The package whose code computes the value."""
    full_state_update = False
    measured: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("measured", default=[], dist_reduce_fx="cat")
        # MetricCollection takes metrics whose states agree after the first batch for one and from then on updates only
        # one of them: mae_hole would become mae where the first image is all hole. It compares the states' names first.
        self.add_state(f"{self.family}_only", default=[], dist_reduce_fx=None)

    @property
    def family(self) -> str:
        """Metrics of one family measure the same of an image, which a MetricCollection then does once for all."""
        return self.name

    @abstractmethod
    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, "batch ..."]:
        """What is kept of each image: its value, unless ``values`` makes it of something else."""

    def values(self, measured: Float[Tensor, "images ..."]) -> Float[Tensor, " images"]:
        """The value of each image from what was measured of it."""
        return measured

    def columns(self, measured: Float[Tensor, "images ..."]) -> dict[str, Float[Tensor, " images"]]:
        """What a table keeps of each image, by column: the value, or what a pooled metric's sums are made of."""
        return {self.name: self.values(measured)}

    def require(self) -> None:
        """Raise a ValueError, before any work, if something that the metric needs is missing; nothing by default."""

    @property
    def meaning(self) -> Meaning:
        """What its numbers mean, for results and tables."""
        return Meaning(
            self.definition, self.unit, self.higher_is_better, self.undefined_allowed, self.pooled, backend=self.backend
        )

    def update(self, preds: Images, target: Images, mask: Planes) -> None:
        """Score a batch of completed images.

        Raises:
            ValueError: the images are smaller than the metric needs.
        """
        height, width = preds.shape[-2:]
        if min(height, width) < self.smallest:
            raise ValueError(_too_small(self, f"{height} x {width}"))
        self.measured.append(self.measure(preds, target, mask))

    def _wrap_compute(self, compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Keep the row: torchmetrics would make a plain number of the values of one image."""
        wrapped = super()._wrap_compute(compute)
        return functools.wraps(compute)(lambda *args, **options: wrapped(*args, **options).reshape(-1))

    def compute(self) -> Float[Tensor, " images"]:
        """The value of each image."""
        return self.values(dim_zero_cat(self.measured))


def where_defined(defined: Bool[Tensor, " images"], values: Float[Tensor, " images"]) -> Float[Tensor, " images"]:
    """NaN where a metric is undefined.

    A value that is NaN although it is defined, as that of a completed image with NaN in it, becomes infinite: means
    leave out what is undefined, and must not leave out what is broken.
    """
    broken = values.isnan() & defined
    return torch.where(defined, values, torch.nan).masked_fill(broken, torch.inf)


def score(
    metrics: Mapping[str, PerImageMetric], preds: Images, target: Images, mask: Planes
) -> dict[str, Float[Tensor, " batch"]]:
    """The columns of all metrics for a batch; what metrics of one family share is measured once.

    On the CPU image by image: their planes stay in its cache, and a number is the same in every batch to the last bit.
    """
    if preds.device.type == "cpu" and len(preds) > 1:
        triples = zip(preds.split(1), target.split(1), mask.split(1), strict=True)
        parts = [score(metrics, *triple) for triple in triples]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    measured: dict[str, Tensor] = {}
    columns: dict[str, Tensor] = {}
    for metric in metrics.values():
        if metric.family not in measured:
            measured[metric.family] = metric.measure(preds, target, mask)
        columns |= metric.columns(measured[metric.family])
    return columns


def require_fitting(metrics: Mapping[str, object], size: int) -> None:
    """Check before any work that settings and metrics agree and that images of ``size`` pixels a side are large enough.

    Raises:
        ValueError: a metric is called by another's name, needs larger images, lacks what it computes with, or is none
            of single images.
    """
    for name, metric in metrics.items():
        if not isinstance(metric, PerImageMetric):
            raise ValueError(
                f"metrics.{name} is a number of a whole test set, which only `evaluate` takes: ~metrics.{name}"
            )
        require_called_by_its_name(name, metric.name)
        if size < metric.smallest:
            raise ValueError(_too_small(metric, f"{size} x {size}"))
        metric.require()


def require_called_by_its_name(setting: str, name: str) -> None:
    """Raise a ValueError if settings call a metric by another name than its own."""
    if setting != name:
        raise ValueError(
            f"metrics.{setting} measures {name}: call it metrics.{name}, because a metric's name says its definition."
        )


def _too_small(metric: PerImageMetric, size: str) -> str:
    return (
        f"{metric.name} needs images of at least {metric.smallest} pixels a side and these have {size}: leave it out "
        f"(~metrics.{metric.name}) or take larger images."
    )


def finite_mean(values: Float[Tensor, " images"]) -> Scalar:
    """Mean over images without infinite PSNR (identical images) and undefined values; NaN where nothing is left."""
    return values[values.isfinite()].mean() if bool(values.isfinite().any()) else torch.tensor(torch.nan)
