"""Laws of the classical methods."""

import cv2
import numpy as np
import pytest
import torch
from skimage.restoration import inpaint_biharmonic
from torch import Tensor

from inpaintlab.inpainting import Inpainter
from inpaintlab.models import Biharmonic, MeanColour, OpenCVInpainting

METHODS = {
    "telea": OpenCVInpainting(method="telea", radius=3.0),
    "navier_stokes": OpenCVInpainting(method="navier_stokes", radius=3.0),
    "biharmonic": Biharmonic(),
    "mean_colour": MeanColour(),
}
EACH = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
MARCHING = pytest.mark.parametrize("name", ["telea", "navier_stokes"])


def ramp(size: int = 24) -> Tensor:
    """A plane with another slope in each channel, in 8-bit steps."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.stack([20 + 4 * x, 220 - 3 * y, 40 + 2 * x + 3 * y]).float()[None] / 255


def block(size: int, rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, rows, columns] = 1
    return mask


MIDDLE = block(24, slice(8, 15), slice(9, 17))
BORDERS = {
    "top": block(24, slice(0, 4), slice(6, 12)),
    "bottom": block(24, slice(20, 24), slice(6, 12)),
    "left": block(24, slice(6, 12), slice(0, 4)),
    "right": block(24, slice(6, 12), slice(20, 24)),
    "corner": block(24, slice(0, 5), slice(0, 5)),
}


@EACH
def test_a_constant_image_stays_constant(method: Inpainter) -> None:
    image = torch.tensor([51, 128, 204]).view(1, 3, 1, 1).expand(1, 3, 24, 24) / 255
    # OpenCV's Telea adds a gradient term that rounding keeps from 0 on a constant: 2 of 255 levels for some colours
    tolerance = 2.1 / 255 if method is METHODS["telea"] else 1e-6
    torch.testing.assert_close(method.complete(image, MIDDLE), image, atol=tolerance, rtol=0)


def test_biharmonic_continues_a_plane() -> None:
    torch.testing.assert_close(METHODS["biharmonic"].complete(ramp(), MIDDLE), ramp(), atol=1e-5, rtol=0)


@EACH
@pytest.mark.parametrize("border", BORDERS)
def test_a_hole_at_the_border_is_filled(method: Inpainter, border: str) -> None:
    image, mask = ramp().clamp(0.2, 1), BORDERS[border]
    filled = method.complete(image, mask)[mask.expand_as(image) == 1]
    assert filled.isfinite().all()
    assert filled.min() > 0.1  # the hole holds 0 at first


@EACH
def test_a_mask_that_covers_the_whole_image_is_refused(method: Inpainter) -> None:
    image, mask = ramp().expand(2, -1, -1, -1), torch.cat([MIDDLE, torch.ones_like(MIDDLE)])
    with pytest.raises(ValueError, match="covers its whole image"):
        method.complete(image, mask)


@EACH
def test_an_image_without_a_hole_comes_back(method: Inpainter) -> None:
    assert torch.equal(method.complete(ramp(), torch.zeros_like(MIDDLE)), ramp())


@MARCHING
def test_marching_equals_opencv_on_the_8_bit_image(name: str) -> None:
    image = (torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
    hole = MIDDLE[0, 0].numpy().astype(np.uint8) * 255
    pixels = (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    pixels[hole > 0] = 0
    flag = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}[name]
    expected = torch.from_numpy(cv2.inpaint(pixels, hole, 3, flag)).permute(2, 0, 1).float() / 255
    completed = METHODS[name].complete(image, MIDDLE)[0]
    assert torch.equal((completed * 255).round()[:, MIDDLE[0, 0] == 1], (expected * 255).round()[:, MIDDLE[0, 0] == 1])


def test_biharmonic_equals_scikit_image() -> None:
    image = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    pixels, hole = image[0].permute(1, 2, 0).double().numpy(), MIDDLE[0, 0].numpy() > 0
    expected = torch.from_numpy(inpaint_biharmonic(pixels, hole, channel_axis=-1)).permute(2, 0, 1).float()
    torch.testing.assert_close(METHODS["biharmonic"].complete(image, MIDDLE)[0], expected, atol=1e-4, rtol=0)


def test_the_mean_colour_is_the_known_pixels_alone() -> None:
    image, mask = torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 2, 2)
    image[0, :, 0] = torch.tensor([[0.2, 0.4], [0.0, 1.0], [0.5, 0.5]])
    image[0, :, 1] = 0.9
    mask[..., 1, :] = 1
    completed = METHODS["mean_colour"].complete(image, mask)
    torch.testing.assert_close(completed[0, :, 1, 0], torch.tensor([0.3, 0.5, 0.5]))


@pytest.mark.parametrize("method", ["patchmatch", "Telea"])
def test_an_unknown_method_is_refused_with_those_there_are(method: str) -> None:
    with pytest.raises(ValueError, match=f"'{method}'; OpenCV has telea and navier_stokes"):
        OpenCVInpainting(method=method, radius=3.0)


@pytest.mark.parametrize("radius", [0.0, 101.0])
def test_a_radius_that_opencv_does_not_take_is_refused(radius: float) -> None:
    with pytest.raises(ValueError, match="OpenCV takes 1 to 100"):
        OpenCVInpainting(method="telea", radius=radius)
