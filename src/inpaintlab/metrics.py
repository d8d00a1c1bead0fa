"""Image metrics that score each image on its own, each with its definition beside it.

Here stand what every such metric shares and the metrics of colours; `gray_metrics` holds those of EdgeConnect's tables,
`edge_metrics` those of Canny edges.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.utilities import dim_zero_cat

from inpaintlab.results import Metric as Meaning
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


class MAE(PerImageMetric):
    """Mean absolute error over the whole image."""

    name = "mae"
    definition = "mean absolute difference over all pixels and RGB channels of the completed image, range [0, 1]"
    higher_is_better = False

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        return (preds - target).abs().mean(dim=(1, 2, 3))


class MAEHole(PerImageMetric):
    """Mean absolute error in the hole; for a completed image, MAE divided by the hole ratio."""

    name = "mae_hole"
    definition = "mean absolute difference over the pixels of the hole and RGB channels, range [0, 1]"
    higher_is_better = False

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        return ((preds - target).abs() * mask).sum(dim=(1, 2, 3)) / (3 * mask.sum(dim=(1, 2, 3)))


class MAEBand(PerImageMetric):
    """Mean absolute error beside the seam: in the hole, within some pixels of its rim.

    Args:
        width: of the band, in pixels.

    Raises:
        ValueError: the width is less than 1.
    """

    higher_is_better = False
    undefined_allowed = True

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError(f"The band of mae_band is {width} pixels wide; give a width of 1 or more.")
        self.width = width
        self.name = f"mae_band{width}"
        self.definition = (
            f"mean absolute difference over RGB channels and the hole's pixels within {width} px of its rim, on the "
            "hole's side: those whose centre is at most that far (Euclidean) from the centre of a known pixel; range "
            "[0, 1]; undefined where nothing is known or there is no hole"
        )
        # now, because the name is part of the state
        super().__init__()

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        band = band_inside(mask, self.width)
        pixels = band.sum(dim=(1, 2, 3))
        # a selection, so that a NaN beyond the band does not count
        error = torch.where(band > 0.5, (preds - target).abs(), 0.0).sum(dim=(1, 2, 3))
        return where_defined(pixels > 0, error / (3 * pixels))


class PSNR(PerImageMetric):
    """Peak signal-to-noise ratio of each image; infinite for identical images."""

    name = "psnr_rgb"
    definition = "10 log10(1 / MSE) over all pixels and RGB channels of each completed image, then averaged over images"
    unit = "dB"
    higher_is_better = True
    backend = "torchmetrics"

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        # Given 'dim', torchmetrics scores each image; without it, it would pool the squared error over the batch.
        return peak_signal_noise_ratio(preds, target, data_range=1.0, dim=(1, 2, 3), reduction="none")


class SSIM(PerImageMetric):
    """Structural similarity with the usual 11 x 11 Gaussian window (Wang et al. 2004, equation 13)."""

    name = "ssim_gauss11_rgb"
    definition = (
        "SSIM of RGB with a Gaussian window of 11 pixels and sigma 1.5, population covariance, mean over the image "
        "without its 5-pixel border and over channels (scikit-image's gaussian_weights)"
    )
    higher_is_better = True
    smallest = 11

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        return ssim(preds, target, _gaussian_mean)


def ssim(
    x: Float[Tensor, "batch channels height width"],
    y: Float[Tensor, "batch channels height width"],
    window_mean: Callable[[Tensor], Tensor],
) -> Float[Tensor, " batch"]:
    """SSIM of images in [0, 1], the mean over channels and the windows inside them (Wang et al. 2004, equation 13)."""
    x, y = x.double(), y.double()  # because a variance is the small difference of two large means
    mu_x, mu_y, squares, product = window_mean(torch.cat([x, y, x * x + y * y, x * y], dim=1)).chunk(4, dim=1)
    C1, C2 = 0.01**2, 0.03**2
    mu_product, mu_squares = mu_x * mu_y, mu_x**2 + mu_y**2
    similarity = (2 * mu_product + C1) * (2 * (product - mu_product) + C2)
    similarity /= (mu_squares + C1) * (squares - mu_squares + C2)
    return similarity.mean(dim=(1, 2, 3)).float()


def _gaussian_mean(planes: Float[Tensor, "batch planes height width"]) -> Tensor:
    """Mean of each 11 x 11 window, weighted by a Gaussian of sigma 1.5; rows first.

    Shifted sums: torch's convolution of single planes takes ten times as long on the CPU.
    """
    weights = torch.exp(-(torch.arange(-5, 6, dtype=torch.float64) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    for axis in (-2, -1):
        shifted = [planes.narrow(axis, start, planes.shape[axis] - 10) for start in range(11)]
        planes = shifted[0] * float(weights[0])
        for plane, weight in zip(shifted[1:], weights[1:], strict=True):
            planes.add_(plane, alpha=float(weight))
    return planes


def band_inside(mask: Planes, width: int) -> Planes:
    """1 on the hole's pixels whose centre is at most ``width`` pixels from the centre of a known pixel, else 0.

    Beyond the image nothing is known, so its border is no rim.
    """
    reach = torch.arange(-width, width + 1, device=mask.device)
    disc = (reach[:, None] ** 2 + reach**2 <= width**2).to(mask.dtype)
    known_nearby = F.conv2d(1 - mask, disc[None, None], padding=width)  # a count of pixels
    return mask * (known_nearby > 0.5)


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
