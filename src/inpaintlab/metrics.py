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
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.utilities import dim_zero_cat

from inpaintlab.shapes import Images, Planes, Scalar


class PerImageMetric(Metric, ABC):
    """A metric with one value an image; ``compute`` gives them all, in the order of the updates.

    Updates take float32 RGB in [0, 1], (B, 3, H, W), and the mask (B, 1, H, W), 1 = hole. Processes are gathered by
    concatenation.

    A value is NaN where the metric is undefined, which only metrics with ``undefined_allowed`` are for some images.
    """

    name: str
    """What settings, columns and tables call the metric; no two definitions share one."""
    definition: str
    unit: ClassVar[str] = ""
    higher_is_better: bool
    undefined_allowed: ClassVar[bool] = False
    """Whether an image can lack a value for a reason that the definition tells."""
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
    """Structural similarity with the usual 11 x 11 Gaussian window (Wang et al. 2004)."""

    name = "ssim_gauss11_rgb"
    definition = (
        "SSIM of RGB with a Gaussian window of 11 pixels and sigma 1.5, population covariance, mean over the image "
        "without its 5-pixel border and over channels (scikit-image's gaussian_weights)"
    )
    higher_is_better = True
    smallest = 11
    backend = "torchmetrics"
    BORDER = 5

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        # torchmetrics averages a reflected border too; scikit-image and the papers leave it out.
        _, similarity = structural_similarity_index_measure(
            preds, target, data_range=1.0, sigma=1.5, return_full_image=True, reduction="none"
        )
        b = self.BORDER
        return similarity[:, :, b:-b, b:-b].mean(dim=(1, 2, 3))


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


def require_fitting(metrics: Mapping[str, PerImageMetric], size: int) -> None:
    """Check before any work that settings and metrics agree and that images of ``size`` pixels a side are large enough.

    Raises:
        ValueError: a metric is called by another's name, or needs larger images.
    """
    for name, metric in metrics.items():
        if name != metric.name:
            raise ValueError(
                f"metrics.{name} measures {metric.name}: call it metrics.{metric.name}, because a metric's name says "
                "its definition."
            )
        if size < metric.smallest:
            raise ValueError(_too_small(metric, f"{size} x {size}"))


def _too_small(metric: PerImageMetric, size: str) -> str:
    return (
        f"{metric.name} needs images of at least {metric.smallest} pixels a side and these have {size}: leave it out "
        f"(~metrics.{metric.name}) or take larger images."
    )


def finite_mean(values: Float[Tensor, " images"]) -> Scalar:
    """Mean over images without infinite PSNR (identical images) and undefined values; NaN where nothing is left."""
    return values[values.isfinite()].mean() if bool(values.isfinite().any()) else torch.tensor(torch.nan)
