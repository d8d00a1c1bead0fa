"""Reconstruction losses as pure functions."""

from collections.abc import Callable, Mapping

import torch.nn.functional as F

from inpaintlab.shapes import Images, Planes, Scalar

Reduction = Callable[[Images, Planes], Scalar]
"""One number of errors that are 0 outside the hole, and the mask."""


def mean_of_all(errors: Images, mask: Planes) -> Scalar:
    """The mean over all elements of the batch."""
    return errors.mean()


def mean_of_holes(errors: Images, mask: Planes) -> Scalar:
    """The mean over the elements of the batch's holes."""
    return errors.sum() / (errors.shape[1] * mask.sum())


def sum_of_an_image(errors: Images, mask: Planes) -> Scalar:
    """The sum over an image, as the mean over the batch."""
    return errors.sum() / len(errors)


REDUCTIONS: Mapping[str, Reduction] = {"all": mean_of_all, "hole": mean_of_holes, "sum": sum_of_an_image}


def hole_mse(output: Images, image: Images, mask: Planes, reduction: Reduction = mean_of_all) -> Scalar:
    """Squared error in the hole (GLCIC, weighted MSE).

    The paper writes a norm and leaves the reduction open. The mean over all elements of the batch is what its weight
    of the adversarial loss is known to work with (otenim/GLCIC-PyTorch); it scales with the hole's share of the image.
    """
    return reduction(((output - image) * mask).square(), mask)


def hole_l1(output: Images, image: Images, mask: Planes, reduction: Reduction = mean_of_holes) -> Scalar:
    """Absolute error in the hole (mmagic's GLCIC, as the mean over the batch's hole elements)."""
    return reduction(((output - image) * mask).abs(), mask)


def l1_per_hole(output: Images, image: Images, mask: Planes) -> Scalar:
    """Absolute error over the whole image, divided by the batch's share of hole pixels (EdgeConnect, l1 loss)."""
    return F.l1_loss(output, image) / mask.mean()
