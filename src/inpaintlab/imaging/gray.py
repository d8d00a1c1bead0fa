"""Grey images, and the mean colour of a part of an image."""

import torch
from jaxtyping import Float
from kornia.color import rgb_to_grayscale
from torch import Tensor

from inpaintlab.shapes import Images, Planes

GRAY_WEIGHTS = (0.2125, 0.7154, 0.0721)
"""Of red, green and blue in a grey image, those of `skimage.color.rgb2gray`."""


def rgb_to_gray(image: Images) -> Planes:
    """Luminance 0.2125 R + 0.7154 G + 0.0721 B, in the range and the dtype of the image.

    These weights are not Pillow's and OpenCV's 0.299, 0.587, 0.114, which give visibly other edge maps.
    """
    return rgb_to_grayscale(image, rgb_weights=image.new_tensor(GRAY_WEIGHTS))


def mean_colour(image: Images, where: Planes) -> Float[Tensor, "batch 3 1 1"]:
    """The mean colour of each image where ``where`` is 1 and not 0; grey if it is 1 nowhere."""
    count = where.sum((2, 3), keepdim=True)
    return torch.where(count > 0, (image * where).sum((2, 3), keepdim=True) / count.clamp(min=1), 0.5)
