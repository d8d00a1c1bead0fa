"""Reconstruction losses as pure functions."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.shapes import Images, Planes, Scalar


def weigh(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of a step's losses.

    Raises:
        ValueError: a loss without a weight or a weight without a loss.
    """
    if losses.keys() != weights.keys():
        raise ValueError(
            f"The weights {sorted(weights)} do not match the losses {sorted(losses)}; each loss needs a weight of its "
            "name and each weight a loss."
        )
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


REDUCTIONS = ("all", "hole", "sum")


def hole_mse(output: Images, image: Images, mask: Planes, reduction: str = "all") -> Scalar:
    """Squared error in the hole (GLCIC, weighted MSE).

    The paper writes a norm and leaves the reduction open. The mean over 'all' elements of the batch is what its weight
    of the adversarial loss is known to work with (otenim/GLCIC-PyTorch); it scales with the hole's share of the image.
    """
    return _reduce(((output - image) * mask).square(), mask, reduction)


def hole_l1(output: Images, image: Images, mask: Planes, reduction: str = "hole") -> Scalar:
    """Absolute error in the hole (mmagic's GLCIC, as the mean over the batch's hole elements)."""
    return _reduce(((output - image) * mask).abs(), mask, reduction)


def _reduce(errors: Images, mask: Planes, reduction: str) -> Scalar:
    """Errors that are 0 outside the hole: averaged over all elements or the hole's, or added up image by image."""
    if reduction == "all":
        return errors.mean()
    if reduction == "hole":
        return errors.sum() / (errors.shape[1] * mask.sum())
    return errors.sum() / len(errors)


def l1_per_hole(output: Images, image: Images, mask: Planes) -> Scalar:
    """Absolute error over the whole image, divided by the batch's share of hole pixels (EdgeConnect, l1 loss)."""
    return F.l1_loss(output, image) / mask.mean()
