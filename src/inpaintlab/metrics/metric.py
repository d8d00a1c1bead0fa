"""Metrics with one value for each image, and how a batch is scored by several of them."""

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
    """A metric with one value for each image; ``compute`` returns them all, in the order of the updates.

    Updates take float32 RGB in [0, 1], (B, 3, H, W), and the mask (B, 1, H, W), 1 = hole. The values of several
    processes are concatenated.

    A value is NaN where the metric is undefined; only metrics with ``undefined_allowed`` have such images. A ``pooled``
    metric has no value for an image: it is a ratio of sums over images (see ``Meaning``), which ``compute`` returns.
    """

    name: str
    """Its name in settings, columns and tables; no two definitions share one."""
    definition: str
    unit: ClassVar[str] = ""
    higher_is_better: bool
    undefined_allowed: bool = False
    """Whether an image can lack a value, for a reason that the definition gives."""
    infinite_allowed: ClassVar[bool] = False
    """Whether an image that is reproduced exactly has the value +inf."""
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
        # MetricCollection treats metrics whose states agree after the first batch as one and updates only one of them:
        # mae_hole would become mae if the first image is all hole. A state with the family's own name prevents that.
        self.add_state(f"{self.family}_only", default=[], dist_reduce_fx=None)

    @property
    def family(self) -> str:
        """Metrics of one family have the same ``measure``, which a MetricCollection then runs once for all of them."""
        return self.name

    @abstractmethod
    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, "batch ..."]:
        """What ``values`` needs of each image; by default its value.

        Args:
            preds: the completed images.
            target: the originals.
            mask: 1 = hole.

        Returns:
            A row for each image.
        """

    def values(self, measured: Float[Tensor, "images ..."]) -> Float[Tensor, " images"]:
        """The value of each image, from its row of ``measure``."""
        return measured

    def columns(self, measured: Float[Tensor, "images ..."]) -> dict[str, Float[Tensor, " images"]]:
        """The columns of a table of images: the value, or the summands of a pooled metric."""
        return {self.name: self.values(measured)}

    def require(self) -> None:
        """Check, before any work, that everything the metric needs is installed; by default it needs nothing.

        Raises:
            ValueError: a package or a weight file is missing.
        """

    @property
    def meaning(self) -> Meaning:
        """The meaning of its numbers, for results and tables."""
        return Meaning(
            self.definition,
            self.unit,
            self.higher_is_better,
            self.undefined_allowed,
            self.infinite_allowed,
            self.pooled,
            backend=self.backend,
        )

    def update(self, preds: Images, target: Images, mask: Planes) -> None:
        """Score a batch of completed images.

        Raises:
            ValueError: the images are smaller than the metric needs.
        """
        height, width = preds.shape[-2:]
        if min(height, width) < self.smallest:
            raise ValueError(too_small(self, f"{height} x {width}"))
        self.measured.append(self.measure(preds, target, mask))

    def _wrap_compute(self, compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return a row even for one image, whose value torchmetrics would squeeze to a scalar."""
        wrapped = super()._wrap_compute(compute)
        return functools.wraps(compute)(lambda *args, **options: wrapped(*args, **options).reshape(-1))

    def compute(self) -> Float[Tensor, " images"]:
        """The value of each image."""
        return self.values(dim_zero_cat(self.measured))


def where_defined(defined: Bool[Tensor, " images"], values: Float[Tensor, " images"]) -> Float[Tensor, " images"]:
    """Values with NaN where a metric is undefined.

    A value that is NaN although the metric is defined, such as that of a completed image with NaN in it, becomes
    infinite: means leave out undefined values, and must not leave out a failure.

    Args:
        defined: whether the metric is defined for each image.
        values: arbitrary where it is not.
    """
    failed = values.isnan() & defined
    return torch.where(defined, values, torch.nan).masked_fill(failed, torch.inf)


def score(
    metrics: Mapping[str, PerImageMetric], preds: Images, target: Images, mask: Planes
) -> dict[str, Float[Tensor, " batch"]]:
    """The columns of all metrics for a batch; metrics of one family measure it once.

    On the CPU the images are scored one by one: so their planes stay in its cache, and a number does not depend on the
    batch, to the last bit.

    Args:
        metrics: by name.
        preds: the completed images.
        target: the originals.
        mask: 1 = hole.

    Returns:
        One value for each image, by column.
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


def too_small(metric: PerImageMetric, size: str) -> str:
    """The sentence for images that are smaller than a metric needs."""
    return (
        f"{metric.name} needs images of at least {metric.smallest} pixels a side and these have {size}: leave it out "
        f"(~metrics.{metric.name}) or take larger images."
    )


def finite_mean(values: Float[Tensor, " images"], infinite_allowed: bool = False) -> Scalar:
    """Mean of the finite values, for a curve; NaN if there is none.

    One image that is reproduced exactly would make the mean infinite for good, so infinite values count only where
    there are no others: then, with ``infinite_allowed``, the mean is infinite.

    Args:
        values: of each image; NaN where it is undefined.
        infinite_allowed: whether an infinite value is an image without an error (see ``Meaning``).
    """
    finite = values[values.isfinite()]
    if len(finite):
        return finite.mean()
    exact = infinite_allowed and bool((values == torch.inf).any())
    return torch.tensor(torch.inf if exact else torch.nan)
