"""Reconstruction losses: errors of pixels."""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

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


def variation_everywhere(image: Images, mask: Planes) -> Scalar:
    """The mean absolute difference of neighbours in a row, plus that in a column.

    Args:
        image: any images, such as completed ones.
        mask: not used.
    """
    across, down = _neighbours(image)
    return across.abs().mean() + down.abs().mean()


def variation_near_hole(image: Images, mask: Planes) -> Scalar:
    """The same, of neighbours that both lie in the hole or touch it, still averaged over all pairs (Liu et al. 2018).

    Args:
        image: any images, such as completed ones.
        mask: 1 = hole.
    """
    region = F.max_pool2d(mask, 3, stride=1, padding=1)
    across, down = _neighbours(image)
    return (across.abs() * region[..., 1:] * region[..., :-1]).mean() + (
        down.abs() * region[..., 1:, :] * region[..., :-1, :]
    ).mean()


def variation_from_hole(image: Images, mask: Planes) -> Scalar:
    """The same, of neighbours whose left or upper one lies in the hole, averaged over these pairs (mmagic).

    Args:
        image: any images, such as completed ones.
        mask: 1 = hole, of which some pixels lie neither in the last row nor in the last column.
    """
    across, down = _neighbours(image)
    left, above = mask[..., :-1], mask[..., :-1, :]
    count = image.shape[1]  # colours
    return (across.abs() * left).sum() / (count * left.sum()) + (down.abs() * above).sum() / (count * above.sum())


VARIATIONS: Mapping[str, Callable[[Images, Planes], Scalar]] = {
    "everywhere": variation_everywhere,
    "near": variation_near_hole,
    "from": variation_from_hole,
}
"""Total variation losses by the region that they look at."""


def _neighbours(image: Images) -> tuple[Tensor, Tensor]:
    """Of each pixel, its right and its lower neighbour minus itself."""
    return image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :]
