"""Reading pictures of all common formats as 8-bit RGB, and converting them to tensors."""

import io
import threading
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

MAX_PIXELS = 89_478_485
"""Pillow's limit, above which it warns of a decompression bomb: a quarter of a gigabyte of RGB."""


_pillow_limit = threading.Lock()


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
        shortest_edge: decode a JPEG at a half, a quarter or an eighth of its size, as long as its shortest edge keeps
            at least so many pixels. That is faster, but gives other pixels than a resizing filter. Other formats are
            decoded in full.

    Raises:
        ValueError: the file is missing, damaged, larger than ``max_pixels``, or of a kind without a defined range.
    """
    image = open_image(path, max_pixels, content)
    if image.mode in ("I", "F"):
        image.close()
        raise ValueError(
            f"{path} holds {'whole' if image.mode == 'I' else 'floating-point'} numbers of 32 bits, whose range is not "
            "defined; save it with 8 or 16 bits per channel."
        )
    try:
        with image:
            if shortest_edge is not None and image.format == "JPEG":
                image.draft(None, (shortest_edge, shortest_edge))  # at least so much each way
            return _to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # each of Pillow's decoders raises its own errors
        raise ValueError(f"{path} cannot be decoded ({error}); copy it again from its source or remove it.") from error


def open_image(path: Path | str, max_pixels: int = MAX_PIXELS, content: bytes | None = None) -> Image.Image:
    """Open a picture and read only its header: size and mode as they are stored. For the arguments see `read_rgb`.

    Raises:
        ValueError: the file is missing, no picture, or larger than ``max_pixels``.
    """
    # Pillow warns at one size and fails at another. Here there is one limit, checked before decoding.
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path if content is None else io.BytesIO(content))
        except FileNotFoundError as error:
            raise ValueError(f"{path} does not exist; restore it or take it off the list of images.") from error
        except Exception as error:  # a damaged header fails in as many ways as there are formats
            raise ValueError(f"{path} is not a readable image ({error}); replace it or remove it.") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    if image.width * image.height > max_pixels:
        image.close()
        raise ValueError(
            f"{path} is {image.width} x {image.height} pixels, more than max_pixels={max_pixels}; "
            "make it smaller, remove it, or raise max_pixels."
        )
    return image


def image_tensor(image: Image.Image) -> Float[Tensor, "3 height width"]:
    """An 8-bit RGB picture as a (3, height, width) float32 tensor in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.array(image).transpose(2, 0, 1))).float().div_(255)


def edge_tensor(image: Image.Image) -> Float[Tensor, "1 height width"]:
    """An 8-bit grey edge map as a (1, height, width) float32 tensor in [0, 1]; 1 = edge, soft edges stay soft."""
    return torch.from_numpy(np.array(image)[None]).float().div_(255)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion cuts off at 255.
        wide = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
