"""Reading pictures of all common formats as 8-bit RGB, and converting them to tensors of bytes and of floats."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from inpaintlab.imaging import MAX_PIXELS, read_picture
from inpaintlab.machine import shown

_ROWS = 512
"""Rows that are converted at a time, so that no second or third whole picture is in memory."""


def read_rgb(
    path: Path | str, max_pixels: int = MAX_PIXELS, content: bytes | None = None, shortest_edge: int | None = None
) -> Image.Image:
    """Read a picture of any common format as 8-bit RGB.

    The EXIF orientation is applied. Grey, palette, 1-bit and CMYK pictures are converted. 16 bits are scaled to 8, so
    that 65535 becomes 255. Transparent pixels are composited on white. Of several pages or frames the first is read.

    Args:
        path: the file.
        max_pixels: a picture with more pixels is refused before it is decoded.
        content: the file's bytes, if they were read already; ``path`` then only names them in errors.
        shortest_edge: see `inpaintlab.imaging.read_picture`.

    Raises:
        ValueError: the file is missing, damaged, larger than ``max_pixels``, or of a kind without a defined range.
    """
    return as_rgb(read_picture(path, max_pixels, content, shortest_edge), path)


def as_rgb(image: Image.Image, path: Path | str) -> Image.Image:
    """A decoded picture as 8-bit RGB, converted as `read_rgb` says.

    Args:
        image: in any mode.
        path: its file, which errors name.

    Raises:
        ValueError: its numbers have no defined range.
    """
    if image.mode in ("I", "F"):
        raise ValueError(
            f"{shown(path)} holds {'whole' if image.mode == 'I' else 'floating-point'} numbers of 32 bits, whose range "
            "is not defined; save it with 8 or 16 bits per channel."
        )
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    whole = Image.new("RGB", image.size)
    for top in range(0, image.height, _ROWS):
        whole.paste(_to_rgb(image.crop((0, top, image.width, min(top + _ROWS, image.height)))), (0, top))
    return whole


def require_same_size(edges: Image.Image, picture: Image.Image, name: Path | str) -> None:
    """Check that an edge map belongs to a picture.

    Raises:
        ValueError: they differ in size; the message holds the picture's ``name``.
    """
    if edges.size != picture.size:
        raise ValueError(
            f"The edge map of {shown(name)} is {edges.width} x {edges.height} pixels, its picture {picture.width} x "
            f"{picture.height}; make the edge map from the picture in its present size."
        )


def image_bytes(image: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """An 8-bit RGB picture as a (3, height, width) tensor of bytes."""
    return torch.from_numpy(np.ascontiguousarray(np.array(image).transpose(2, 0, 1)))


def edge_bytes(image: Image.Image) -> UInt8[Tensor, "1 height width"]:
    """An 8-bit grey edge map as a (1, height, width) tensor of bytes; 255 = edge, soft edges stay soft."""
    return torch.from_numpy(np.array(image)[None])


def image_tensor(image: Image.Image) -> Float[Tensor, "3 height width"]:
    """An 8-bit RGB picture as a (3, height, width) float32 tensor in [0, 1]."""
    return in_unit_range(image_bytes(image))


def in_unit_range(pixels: Tensor) -> Tensor:
    """Pixels as float32 in [0, 1] on their device, with the same bits on every device.

    Args:
        pixels: bytes, of which 255 becomes 1, or bools; of any shape. Tensors of other types come back as they are.
    """
    if pixels.dtype == torch.bool:
        return pixels.float()
    if pixels.dtype != torch.uint8:
        return pixels
    # by a tensor on the device: CUDA divides by a number of Python's as it multiplies by the number's reciprocal, which
    # rounds 126 of the 256 values to another float
    return pixels.float().div_(torch.full((), 255.0, device=pixels.device))


def batch_as_floats(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch of training samples as models see it: each tensor of bytes or bools as `in_unit_range` makes it.

    Loaders hand over bytes, a quarter of what floats take in the workers, in shared and pinned memory and on the way to
    a GPU. Nothing waits for the device.

    Args:
        batch: tensors by name, and whatever else a sample has.
    """
    return {key: in_unit_range(value) if isinstance(value, Tensor) else value for key, value in batch.items()}


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion cuts off at 255.
        wide = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
