"""Reconstruction losses: errors of pixels."""

from collections.abc import Callable, Mapping

import torch.nn.functional as F

from inpaintlab.shapes import Images, Planes, Scalar

Reduction = Callable[[Images, Planes], Scalar]
"""From errors, which are 0 outside the hole, and the mask to one number."""


def mean_of_all(errors: Images, mask: Planes) -> Scalar:
    """The mean over all elements of the batch."""
    return errors.mean()


def mean_of_holes(errors: Images, mask: Planes) -> Scalar:
    """The mean over the elements of the batch's holes."""
    return errors.sum() / (errors.shape[1] * mask.sum())


def sum_of_an_image(errors: Images, mask: Planes) -> Scalar:
    """The sum over each image, averaged over the batch."""
    return errors.sum() / len(errors)


REDUCTIONS: Mapping[str, Reduction] = {"all": mean_of_all, "hole": mean_of_holes, "sum": sum_of_an_image}


def hole_mse(output: Images, image: Images, mask: Planes, reduction: Reduction = mean_of_all) -> Scalar:
    """Squared error in the hole (GLCIC, weighted MSE).

    The paper writes a norm and leaves the reduction open. Its weight of the adversarial loss is known to work with the
    mean over all elements of the batch (otenim/GLCIC-PyTorch), which scales with the hole ratio.

    Args:
        output: raw output of the completion network.
        image: the originals.
        mask: 1 = hole.
        reduction: of the squared errors.
    """
    return reduction(((output - image) * mask).square(), mask)


def hole_l1(output: Images, image: Images, mask: Planes, reduction: Reduction = mean_of_holes) -> Scalar:
    """Absolute error in the hole (mmagic's GLCIC, with the mean over the elements of the batch's holes).

    Args:
        output: raw output of the completion network.
        image: the originals.
        mask: 1 = hole.
        reduction: of the absolute errors.
    """
    return reduction(((output - image) * mask).abs(), mask)


def l1_per_hole(output: Images, image: Images, mask: Planes) -> Scalar:
    """Mean absolute error over the whole image, divided by the batch's hole ratio (EdgeConnect, l1 loss).

    Args:
        output: raw output of the inpainting generator.
        image: the originals.
        mask: 1 = hole.
    """
    return F.l1_loss(output, image) / mask.mean()
