"""The metrics of EdgeConnect's Table 1, on gray images (Nazeri et al. 2019, as their released script computes them).

Gray is 0.2125 R + 0.7154 G + 0.0721 B. These numbers do not compare with those on RGB: the error is relative to the
brightness, and a window of 51 pixels gives a much higher similarity than the usual one of 11. The released script reads
8-bit pictures; here the completed image is not rounded.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from inpaintlab.imaging import rgb_to_gray
from inpaintlab.metrics.metric import PerImageMetric, where_defined
from inpaintlab.metrics.rgb import ssim
from inpaintlab.shapes import Images, Planes


class MAERelativeGray(PerImageMetric):
    """EdgeConnect's "l1", which tables give in per cent: the error relative to the brightness of both images."""

    name = "mae_relative_gray"
    definition = (
        "sum of |a - b| over sum of (a + b) over all pixels in gray (0.2125 R + 0.7154 G + 0.0721 B), for each image, "
        "range [0, 1]; undefined where both images are black"
    )
    higher_is_better = False
    undefined_allowed = True

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """The sum of |a - b| over the sum of a + b, for each image; NaN where both are black."""
        a, b = rgb_to_gray(preds), rgb_to_gray(target)
        brightness = (a + b).sum(dim=(1, 2, 3))
        return where_defined(brightness != 0, (a - b).abs().sum(dim=(1, 2, 3)) / brightness)


class PSNRGray(PerImageMetric):
    """Peak signal-to-noise ratio of each image in gray; infinite for identical images."""

    name = "psnr_gray"
    definition = (
        "10 log10(1 / MSE) over all pixels in gray (0.2125 R + 0.7154 G + 0.0721 B) of each completed image, then "
        "averaged over images"
    )
    unit = "dB"
    higher_is_better = True
    infinite_allowed = True
    backend = "torchmetrics"

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """The PSNR of each image in gray, in dB."""
        return peak_signal_noise_ratio(
            rgb_to_gray(preds), rgb_to_gray(target), data_range=1.0, dim=(1, 2, 3), reduction="none"
        )


class SSIMUniform51Gray(PerImageMetric):
    """Structural similarity with a uniform window of 51 x 51 pixels (Wang et al. 2004, equation 13)."""

    name = "ssim_uniform51_gray"
    definition = (
        "SSIM in gray (0.2125 R + 0.7154 G + 0.0721 B) with a uniform window of 51 x 51 pixels, K1 = 0.01, K2 = 0.03, "
        "population covariance, mean over the image without its 25-pixel border (scikit-image's win_size=51)"
    )
    higher_is_better = True
    smallest = 51

    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """The SSIM of each image in gray."""
        return ssim(rgb_to_gray(preds), rgb_to_gray(target), _window_mean)


def _window_mean(
    plane: Float[Tensor, "batch planes height width"],
) -> Float[Tensor, "batch planes height-50 width-50"]:
    """Mean of each 51 x 51 window that lies inside the image, from differences of cumulative sums.

    The planes are float64, so the rounding of a whole row's sum is a billionth of the metric's precision. Rows are
    summed first, then columns as rows of the transposed plane: along columns torch takes ten times as long on a CPU.
    """
    for _ in range(2):
        before = F.pad(plane, (1, 0)).cumsum_(-1)
        plane = (before[..., 51:] - before[..., :-51]).div_(51).mT
    return plane
