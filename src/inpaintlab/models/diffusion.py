"""Classical methods, which diffuse the known pixels into the hole, and the mean colour, the least of all baselines."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from inpaintlab.imaging import biharmonic, mean_colour
from inpaintlab.inpainting import Classical, Inpainter, require_known_pixels
from inpaintlab.shapes import Images, Planes


class OpenCVInpainting(Classical):
    """``cv2.inpaint``: 'telea' is fast marching (Telea 2004); 'navier_stokes' is OpenCV's method of that name.

    'navier_stokes' is fast marching too, with other weights, and not the partial differential equation of Bertalmio,
    Bertozzi and Sapiro 2001. Both work on 8-bit pixels: Telea's correction term is not scale invariant, so floats in
    [0, 1] give wrong colours.

    Args:
        method: 'telea' or 'navier_stokes'.
        radius: of the neighbourhood from which a pixel is filled, in pixels, 1 to 100.

    Raises:
        ValueError: another method, or a radius out of its range; or, when an image is completed, no known pixel.
    """

    METHODS = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}  # noqa: RUF012

    def __init__(self, *, method: str, radius: int | float) -> None:
        super().__init__()
        if method not in self.METHODS:
            raise ValueError(f"model.method is '{method}'; OpenCV has {' and '.join(self.METHODS)}.")
        if not 1 <= radius <= 100:
            raise ValueError(f"model.radius is {radius} pixels; OpenCV takes 1 to 100.")
        self.flag = self.METHODS[method]
        self.radius = radius

    def fill(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "height width 3"]:
        """The image with its hole filled by fast marching, rounded to 8 bits."""
        pixels = np.round(image * 255).astype(np.uint8)
        return cv2.inpaint(pixels, hole.astype(np.uint8), self.radius, self.flag).astype(np.float32) / 255


class Biharmonic(Classical):
    """scikit-image's biharmonic inpainting: the bi-Laplacian vanishes in the hole (Damelin and Hoang 2018)."""

    def fill(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "height width 3"]:
        """The biharmonic continuation, clipped to the range of the known pixels."""
        return biharmonic(image, hole)


class MeanColour(Inpainter):
    """Fills the hole with the mean colour of the image's known pixels; every method should beat that."""

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """The mean colour of each image, over its whole area; edges are not used."""
        require_known_pixels(mask)
        return mean_colour(visible, 1 - mask).expand_as(visible).contiguous()
