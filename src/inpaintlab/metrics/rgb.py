"""Metrics on RGB."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from inpaintlab.metrics.metric import PerImageMetric, where_defined
from inpaintlab.shapes import Images, Planes


class MAE(PerImageMetric):
    """Mean absolute error over the whole image."""

    name = "mae"
    definition = "mean absolute difference over all pixels and RGB channels of the completed image, range [0, 1]"
    higher_is_better = False

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """The mean of |a - b| over the pixels and channels of each image."""
        return (preds - target).abs().mean(dim=(1, 2, 3))


class MAEHole(PerImageMetric):
    """Mean absolute error in the hole; for a completed image, MAE divided by the hole ratio."""

    name = "mae_hole"
    definition = "mean absolute difference over the pixels of the hole and RGB channels, range [0, 1]"
    higher_is_better = False

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """The mean of |a - b| over the hole's pixels and the channels of each image; NaN without a hole."""
        return ((preds - target).abs() * mask).sum(dim=(1, 2, 3)) / (3 * mask.sum(dim=(1, 2, 3)))


class MAEBand(PerImageMetric):
    """Mean absolute error along the seam: in the hole, within some pixels of its rim.

    Args:
        width: of this band, in pixels.

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
        # last, because the name is part of a state's
        super().__init__()

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """The mean of |a - b| over the band of each image; NaN without a band."""
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
    infinite_allowed = True
    backend = "torchmetrics"

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """The PSNR of each image, in dB."""
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
        """The SSIM of each image."""
        return ssim(preds, target, _gaussian_mean)


def ssim(
    x: Float[Tensor, "batch channels height width"],
    y: Float[Tensor, "batch channels height width"],
    window_mean: Callable[[Tensor], Tensor],
) -> Float[Tensor, " batch"]:
    """SSIM, the mean over channels and over the windows inside the image (Wang et al. 2004, equation 13).

    Args:
        x: images in [0, 1].
        y: images in [0, 1].
        window_mean: from planes in float64 to the weighted mean of each window inside them.
    """
    x, y = x.double(), y.double()  # because a variance is the small difference of two large means
    mu_x, mu_y, squares, product = window_mean(torch.cat([x, y, x * x + y * y, x * y], dim=1)).chunk(4, dim=1)
    C1, C2 = 0.01**2, 0.03**2
    mu_product, mu_squares = mu_x * mu_y, mu_x**2 + mu_y**2
    similarity = (2 * mu_product + C1) * (2 * (product - mu_product) + C2)
    similarity /= (mu_squares + C1) * (squares - mu_squares + C2)
    return similarity.mean(dim=(1, 2, 3)).float()


def _gaussian_mean(planes: Float[Tensor, "batch planes height width"]) -> Tensor:
    """Mean of each 11 x 11 window, weighted by a Gaussian of sigma 1.5; along columns first, then along rows.

    Sums of shifted planes: torch's convolution of single planes takes ten times as long on the CPU.
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

    No pixel beyond the image counts as known, so the image's border is no rim.

    Args:
        mask: 1 = hole.
        width: in pixels.
    """
    reach = torch.arange(-width, width + 1, device=mask.device)
    disc = (reach[:, None] ** 2 + reach**2 <= width**2).to(mask.dtype)
    known_nearby = F.conv2d(1 - mask, disc[None, None], padding=width)  # a count of pixels
    return mask * (known_nearby > 0.5)
