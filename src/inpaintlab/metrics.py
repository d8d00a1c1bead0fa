"""Image metrics that score each image on its own, each with its definition beside it."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.utilities import dim_zero_cat

from inpaintlab.shapes import Images, Planes, Scalar


class PerImageMetric(Metric, ABC):
    """A metric with one value an image; ``compute`` gives them all, in the order of the updates.

    Updates take float32 RGB in [0, 1], (B, 3, H, W), and the mask (B, 1, H, W), 1 = hole. Processes are gathered by
    concatenation.
    """

    definition: ClassVar[str]
    unit: ClassVar[str]
    higher_is_better: bool
    full_state_update = False
    values: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("values", default=[], dist_reduce_fx="cat")

    @abstractmethod
    def score(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""

    def update(self, preds: Images, target: Images, mask: Planes) -> None:
        """Score a batch of completed images."""
        self.values.append(self.score(preds, target, mask))

    def _wrap_compute(self, compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Keep the row: torchmetrics would make a plain number of the values of one image."""
        wrapped = super()._wrap_compute(compute)
        return functools.wraps(compute)(lambda *args, **options: wrapped(*args, **options).reshape(-1))

    def compute(self) -> Float[Tensor, " images"]:
        """The value of each image."""
        return dim_zero_cat(self.values)


class MAE(PerImageMetric):
    """Mean absolute error over the whole image."""

    definition = "mean absolute difference over all pixels and RGB channels of the completed image, range [0, 1]"
    unit = ""
    higher_is_better = False

    def score(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        return (preds - target).abs().mean(dim=(1, 2, 3))


class MAEHole(PerImageMetric):
    """Mean absolute error in the hole; for a completed image, MAE divided by the hole ratio."""

    definition = "mean absolute difference over the pixels of the hole and RGB channels, range [0, 1]"
    unit = ""
    higher_is_better = False

    def score(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        return ((preds - target).abs() * mask).sum(dim=(1, 2, 3)) / (3 * mask.sum(dim=(1, 2, 3)))


class PSNR(PerImageMetric):
    """Peak signal-to-noise ratio of each image; infinite for identical images."""

    definition = "10 log10(1 / MSE) over all pixels and RGB channels of each completed image, then averaged over images"
    unit = "dB"
    higher_is_better = True

    def score(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        # Given 'dim', torchmetrics scores each image; without it, it would pool the squared error over the batch.
        return peak_signal_noise_ratio(preds, target, data_range=1.0, dim=(1, 2, 3), reduction="none")


class SSIM(PerImageMetric):
    """Structural similarity with the usual 11 x 11 Gaussian window (Wang et al. 2004)."""

    definition = (
        "SSIM of RGB with a Gaussian window of 11 pixels and sigma 1.5, population covariance, mean over the image "
        "without its 5-pixel border and over channels (scikit-image's gaussian_weights)"
    )
    unit = ""
    higher_is_better = True
    BORDER = 5

    def score(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """One value an image."""
        if min(preds.shape[-2:]) <= 2 * self.BORDER:
            raise ValueError(
                f"SSIM's window needs images of more than {2 * self.BORDER} pixels a side; these have "
                f"{tuple(preds.shape[-2:])}."
            )
        # torchmetrics averages a reflected border too; scikit-image and the papers leave it out.
        _, similarity = structural_similarity_index_measure(
            preds, target, data_range=1.0, sigma=1.5, return_full_image=True, reduction="none"
        )
        b = self.BORDER
        return similarity[:, :, b:-b, b:-b].mean(dim=(1, 2, 3))


def finite_mean(values: Float[Tensor, " images"]) -> Scalar:
    """Mean over images without the infinite PSNR of identical ones; NaN where nothing is left."""
    return values[values.isfinite()].mean() if bool(values.isfinite().any()) else torch.tensor(torch.nan)
