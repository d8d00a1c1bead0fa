"""Pictures of Pillow's, of NumPy and of torch: which of them an argument is, and its completion in its own kind."""

from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image
from torch import Tensor

from inpaintlab.completion import paintable, painted
from inpaintlab.data import as_rgb, image_bytes, in_unit_range
from inpaintlab.programs.picture import Hole, Picture, require_pixels, tensor_of, upright
from inpaintlab.shapes import AnyImages, AnyPlanes

_GREY = (0.299, 0.587, 0.114)
"""ITU-R 601-2, as Pillow's own grey."""

_ROUNDING = 1e-4
"""What a value may lie outside [0, 1]: the rounding of a program's arithmetic, no overshoot of a resizing filter."""

_COLOURS = (1, 3, 4)
"""Numbers of colours: grey, RGB, RGBA."""


@final
class OfPillow(Picture):
    """A picture of Pillow's, turned upright by its EXIF orientation.

    Args:
        image: of any mode but the 32-bit ones.
        called: see `Picture`.

    Raises:
        ValueError: its numbers have no range, it has no pixel, or its file cannot be decoded.
    """

    def __init__(self, image: Image.Image, called: str) -> None:
        super().__init__(called)
        image = upright(image, called)
        self.rgb = as_rgb(image, called)
        self.picture = _own(image) if image.mode.startswith("I;16") else paintable(image)

    @property
    def size(self) -> tuple[int, int]:
        """See `Picture`."""
        return self.picture.height, self.picture.width

    @property
    def seen(self) -> UInt8[Tensor, "1 3 height width"]:
        """See `Picture`."""
        return image_bytes(self.rgb)[None]

    def filled(self, raw: AnyImages, hole: Hole) -> Image.Image:
        """See `Picture`."""
        return painted(self.picture, raw[0].permute(1, 2, 0).numpy(), hole[0, 0].cpu().numpy())

    def as_it_is(self) -> Image.Image:
        """See `Picture`."""
        return self.picture.copy()

    def plane(self, values: AnyPlanes) -> Image.Image:
        """In mode L."""
        return Image.fromarray(_eight_bits(values)[0, 0].cpu().numpy())


@final
class OfBytes(Picture):
    """A NumPy array of bytes, (height, width) or (height, width, 1, 3 or 4 colours).

    Args:
        array: of dtype uint8.
        called: see `Picture`.
    """

    def __init__(self, array: UInt8[np.ndarray, "..."], called: str) -> None:
        super().__init__(called)
        self.shape = array.shape
        flat = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        self.inner = OfPillow(Image.fromarray(np.ascontiguousarray(flat)), called)

    @property
    def size(self) -> tuple[int, int]:
        """See `Picture`."""
        return self.inner.size

    @property
    def seen(self) -> UInt8[Tensor, "1 3 height width"]:
        """See `Picture`."""
        return self.inner.seen

    def filled(self, raw: AnyImages, hole: Hole) -> UInt8[np.ndarray, "..."]:
        """See `Picture`."""
        return np.array(self.inner.filled(raw, hole)).reshape(self.shape)

    def as_it_is(self) -> UInt8[np.ndarray, "..."]:
        """See `Picture`."""
        return np.array(self.inner.picture).reshape(self.shape)

    def plane(self, values: AnyPlanes) -> UInt8[np.ndarray, "height width"]:
        """Of shape (height, width), 255 for 1."""
        return _eight_bits(values)[0, 0].cpu().numpy()


@final
class OfTensor(Picture):
    """A tensor (1, 3 or 4 colours, height, width), of floats in [0, 1] or of bytes, on any device.

    Args:
        tensor: the picture.
        called: see `Picture`.
    """

    def __init__(self, tensor: Shaped[Tensor, "colours height width"], called: str) -> None:
        super().__init__(called)
        self.tensor = tensor.detach()

    @property
    def size(self) -> tuple[int, int]:
        """See `Picture`."""
        return self.tensor.shape[-2], self.tensor.shape[-1]

    @property
    def home(self) -> torch.device:
        """The tensor's own device."""
        return self.tensor.device

    @property
    def seen(self) -> AnyImages:
        """See `Picture`."""
        pixels = (in_unit_range(self.tensor) if self.tensor.dtype == torch.uint8 else self.tensor.float())[None]
        pixels = pixels.clamp(0, 1)  # within the tolerance of `extremes`
        if len(self.tensor) == 1:
            return pixels.expand(-1, 3, -1, -1)
        if len(self.tensor) == 4:
            colours, alpha = pixels[:, :3], pixels[:, 3:]
            return colours * alpha + (1 - alpha)
        return pixels

    def filled(self, raw: AnyImages, hole: Hole) -> Shaped[Tensor, "colours height width"]:
        """See `Picture`."""
        fill = raw[0]
        if len(self.tensor) == 1:
            red, green, blue = fill.split(1)
            fill = _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue
        elif len(self.tensor) == 4:
            fill = torch.cat([fill, torch.ones_like(fill[:1])])
        if self.tensor.dtype == torch.uint8:
            fill = (fill * 255).round()
        return torch.where(hole[0], fill.to(self.tensor.dtype), self.tensor)

    def as_it_is(self) -> Shaped[Tensor, "colours height width"]:
        """See `Picture`."""
        return self.tensor.clone()

    def plane(self, values: AnyPlanes) -> Shaped[Tensor, "1 height width"]:
        """Of shape (1, height, width), in the tensor's dtype."""
        values = _eight_bits(values) if self.tensor.dtype == torch.uint8 else values
        return values[0].to(self.tensor.dtype)

    def extremes(self, hole: Hole) -> Float[Tensor, "2"] | None:
        """See `Picture`; NaN where one is outside the hole."""
        if self.tensor.dtype == torch.uint8:
            return None
        ends = (torch.where(hole[0], beyond, self.tensor) for beyond in (torch.inf, -torch.inf))
        low, high = ends
        return torch.stack([low.amin(), high.amax()]).float()


@final
class OfFloats(Picture):
    """A NumPy array of floats in [0, 1], (height, width) or (height, width, 1, 3 or 4 colours).

    Args:
        array: of a floating-point dtype.
        called: see `Picture`.
    """

    def __init__(self, array: Float[np.ndarray, "..."], called: str) -> None:
        super().__init__(called)
        self.shape, self.dtype = array.shape, array.dtype
        planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        self.inner = OfTensor(tensor_of(planes), called)

    @property
    def size(self) -> tuple[int, int]:
        """See `Picture`."""
        return self.inner.size

    @property
    def seen(self) -> AnyImages:
        """See `Picture`."""
        return self.inner.seen

    def filled(self, raw: AnyImages, hole: Hole) -> Float[np.ndarray, "..."]:
        """See `Picture`."""
        return self._own_shape(self.inner.filled(raw, hole.cpu()))

    def as_it_is(self) -> Float[np.ndarray, "..."]:
        """See `Picture`."""
        return self._own_shape(self.inner.as_it_is())

    def plane(self, values: AnyPlanes) -> Float[np.ndarray, "height width"]:
        """Of shape (height, width)."""
        return values[0, 0].cpu().numpy().astype(self.dtype)

    def extremes(self, hole: Hole) -> Float[Tensor, "2"] | None:
        """See `Picture`."""
        return self.inner.extremes(hole.cpu())

    def _own_shape(self, planes: Tensor) -> np.ndarray:
        array = np.ascontiguousarray(planes.permute(1, 2, 0).numpy()).reshape(self.shape)
        return array.astype(self.dtype, copy=False)


def _own(image: Image.Image) -> Image.Image:
    """16 bits of grey in the byte order of this machine."""
    return Image.fromarray(np.asarray(image).astype(np.uint16))


def _eight_bits(values: AnyPlanes) -> UInt8[Tensor, "_ 1 _ _"]:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8)


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
