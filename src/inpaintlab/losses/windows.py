"""Windows around holes, which local discriminators see, and errors of pixels that are weighed in them."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inpaintlab.losses.pixels import hole_l1, mean_of_holes
from inpaintlab.shapes import Images, Planes, Scalar, Size, height_width, plain_size

Window = Callable[[Tensor], Tensor]
"""Cuts each image's window out."""


def hole_windows(mask: Planes, patch: int) -> Int[Tensor, "batch 2"]:
    """Top and left of the ``patch`` x ``patch`` window centred on each image's hole, moved into the image."""
    corners = []
    for along, size in ((3, mask.shape[2]), (2, mask.shape[3])):
        profile = mask.amax(dim=(1, along))
        first = profile.argmax(dim=1)
        last = size - 1 - profile.flip(1).argmax(dim=1)
        corners.append(((first + last + 1 - patch) // 2).clamp(0, size - patch))
    return torch.stack(corners, dim=1)


def crop(
    image: Float[Tensor, "batch planes height width"], corners: Int[Tensor, "batch 2"], patch: int
) -> Float[Tensor, "batch planes {patch} {patch}"]:
    """Each image's own window, cut without a loop and without waiting for the device."""
    side = torch.arange(patch, device=image.device)
    rows = (corners[:, 0, None] + side)[:, None, :, None]
    columns = (corners[:, 1, None] + side)[:, None, None, :]
    sample = torch.arange(len(image), device=image.device)[:, None, None, None]
    plane = torch.arange(image.shape[1], device=image.device)[None, :, None, None]
    return image[sample, plane, rows, columns]


def require_window(patch: int, image_size: Size) -> int:
    """The side of a window.

    Args:
        patch: the setting ``model.patch_size``, in pixels.
        image_size: the setting ``model.image_size``.

    Raises:
        ValueError: the window does not fit into the image.
    """
    if not 1 <= patch <= min(height_width(image_size)):
        raise ValueError(
            f"model.patch_size is {patch} and model.image_size {plain_size(image_size)}; the local window must fit "
            "into the image (the paper: half the image's side)."
        )
    return patch


def discounts(side: int, factor: float) -> Float[Tensor, "{side} {side}"]:
    """The weights of l1 over a window: ``factor`` to the power of the distance to the border in pixels.

    The authors' distances to the last row and column are 1 there, those to the first 0.
    """
    steps = torch.arange(side)
    distance = torch.minimum(steps, side - steps).double()
    return (factor ** torch.minimum(distance[:, None], distance[None, :])).float()


def l1_ae_released(
    image: Images, mask: Planes, output: Images, window: Window, discount: Tensor
) -> tuple[Scalar, Scalar]:
    """Errors of the window, discounted, and of the known region, divided by its share (Yu et al. 2018).

    Args:
        image: the originals.
        mask: 1 = hole.
        output: raw.
        window: cuts the windows out.
        discount: the weight of each pixel of a window.
    """
    known = ((output - image) * (1 - mask)).abs().mean() / (1 - mask).mean()
    return (window(output - image).abs() * discount).mean(), known


def l1_ae_daa233(
    image: Images, mask: Planes, output: Images, window: Window, discount: Tensor
) -> tuple[Scalar, Scalar]:
    """The same of the completed image in the window, and without the division; arguments as above."""
    return (window((output - image) * mask).abs() * discount).mean(), ((output - image) * (1 - mask)).abs().mean()


def l1_ae_mmagic(
    image: Images, mask: Planes, output: Images, window: Window, discount: Tensor
) -> tuple[Scalar, Scalar]:
    """Errors of the hole and of the known region, each averaged over its elements; arguments as above."""
    hole, known = (hole_l1(output, image, region, mean_of_holes) for region in (mask, 1 - mask))
    return hole, known


Errors = Callable[[Images, Planes, Images, Window, Tensor], tuple[Scalar, Scalar]]

RECONSTRUCTIONS: Mapping[str, Errors] = {"released": l1_ae_released, "daa233": l1_ae_daa233, "mmagic": l1_ae_mmagic}
"""Contextual Attention's losses ``l1`` and ``ae`` of one output, by who takes them so."""
