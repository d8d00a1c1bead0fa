"""Reading a program's argument ``image``: which kind of picture each is, and what is wrong with one that is none."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inpaintlab.programs.kinds import OfBytes, OfFloats, OfPillow, OfTensor
from inpaintlab.programs.picture import Picture, require_pixels

_ROUNDING = 1e-4
"""What a value may lie outside [0, 1]: the rounding of a program's arithmetic, no overshoot of a resizing filter."""

_COLOURS = (1, 3, 4)
"""Numbers of colours: grey, RGB, RGBA."""


def pictures_of(given: Any) -> tuple[list[Picture], bool]:
    """The pictures of an argument ``image``.

    Args:
        given: a picture, or a list of them, or a batch in one array (N, height, width, colours) or tensor (N, colours,
            height, width).

    Returns:
        The pictures, and whether they are several, also where one is in a list.

    Raises:
        ValueError: something else, in one sentence that says what it is and how to mend it.
    """
    if isinstance(given, (list, tuple)):
        if not given:
            raise ValueError("image is an empty list; give at least one image.")
        return [_picture(one, f"image {at}") for at, one in enumerate(given)], True
    if isinstance(given, (np.ndarray, Tensor)) and given.ndim == 4:
        if not len(given):
            raise ValueError("image is a batch of no images; give at least one.")
        return [_picture(one, f"image {at}") for at, one in enumerate(given)], True
    return [_picture(given, "the image")], False


def _picture(given: Any, called: str) -> Picture:
    if isinstance(given, Image.Image):
        return OfPillow(given, called)
    if isinstance(given, Tensor):
        return OfTensor(_checked_tensor(given, called), called)
    if isinstance(given, np.ndarray):
        array = _checked_array(given, called)
        return OfBytes(array, called) if array.dtype == np.uint8 else OfFloats(array, called)
    hint = " (which reads a file)" if isinstance(given, (str, bytes)) or hasattr(given, "__fspath__") else ""
    raise ValueError(f"{called} is a {type(given).__name__}; give an image of Pillow{hint}, a NumPy array or a tensor.")


def _checked_array(array: np.ndarray, called: str) -> np.ndarray:
    shape = " x ".join(map(str, array.shape))
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _COLOURS):
        first = array.ndim == 3 and array.shape[0] in _COLOURS
        raise ValueError(
            f"{called} is an array of {shape or 'no dimension'}; give (height, width) or (height, width, colours) with "
            f"1, 3 or 4 colours{': its colours come first, so give array.transpose(1, 2, 0)' if first else ''}."
        )
    require_pixels(array.shape[:2], called)
    if array.dtype != np.uint8 and (array.dtype.kind != "f" or array.dtype.itemsize > 8):
        raise ValueError(f"{called} is an array of {array.dtype}; give uint8 from 0 to 255, or floats from 0 to 1.")
    return array


def _checked_tensor(tensor: Tensor, called: str) -> Tensor:
    shape = " x ".join(map(str, tensor.shape))
    if tensor.ndim != 3 or tensor.shape[0] not in _COLOURS:
        last = tensor.ndim == 3 and tensor.shape[2] in _COLOURS
        raise ValueError(
            f"{called} is a tensor of {shape or 'no dimension'}; give (colours, height, width) with 1, 3 or 4 colours"
            f"{': its colours come last, so give tensor.permute(2, 0, 1)' if last else ''}."
        )
    require_pixels(tensor.shape[1:], called)
    if tensor.layout != torch.strided or not (tensor.dtype == torch.uint8 or tensor.is_floating_point()):
        raise ValueError(
            f"{called} is a tensor of {str(tensor.dtype).removeprefix('torch.')}; give floats from 0 to 1, or uint8 "
            "from 0 to 255."
        )
    return tensor


def require_range(picture: Picture, low: float, high: float) -> None:
    """Raise a ValueError if a picture's values outside its hole are not in [0, 1].

    Args:
        picture: of floats.
        low: see `Picture.extremes`.
        high: likewise.
    """
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return
    if low != low or high != high:
        raise ValueError(f"{picture.called} has a NaN outside its hole; only what lies in the hole may be anything.")
    if low > -0.5 and high < 1.5:
        hint = "clip it"
    else:
        hint = "divide by 255" if low >= 0 and high <= 255 else "give (image + 1) / 2" if low > -1.5 else "scale it"
    values = f"from {low + 0.0:g} to {high:g}"  # no "-0"
    raise ValueError(f"{picture.called} has values {values} outside its hole; give 0 to 1 ({hint}).")
