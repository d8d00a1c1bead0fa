"""Photographs, masks and edges as they come from a browser, and what goes back: always bytes, never a path."""

import io
import json
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from inpaintlab.completion import Original, filled, read_original, write_png
from inpaintlab.data import as_rgb, read_rgb
from inpaintlab.imaging import opened, read_picture
from inpaintlab.masks import CLEAN, MaskPicture, mask_picture

SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "GIF": ".gif"}
"""The endings of the formats that a photograph may have."""

_NAMES = {"photograph": "The photograph", "mask": "The mask", "edges": "The edge map"}

SMALL = 2048
"""Pixels of the longer side of what the page shows of a large result."""

_SHOWN_AS_JPEG = 2**23
"""Pixels from which what is shown is sent as a JPEG; results are always PNG."""


@final
@dataclass(frozen=True)
class Photo:
    """A photograph as it was sent.

    Args:
        content: the file's bytes.
        suffix: the ending that its format has.
        width: in pixels, once it is turned upright.
        height: likewise.
        lost: what a result does not keep of the file.
        pixel_bytes: of a pixel of a result, before it is compressed.
    """

    content: bytes
    suffix: str
    width: int
    height: int
    lost: tuple[str, ...]
    pixel_bytes: int = 4

    @property
    def most_of_a_result(self) -> int:
        """Bytes that a result has at most: random pixels, what is beside them, a small copy."""
        pixels = self.width * self.height
        small = 3 * min(pixels, SMALL * SMALL)
        return (self.pixel_bytes * pixels + small) * 101 // 100 + len(self.content) + 2**16


def _header(content: bytes, what: str, most_pixels: int) -> str:
    """The format of a picture whose header says that it is within the limit.

    Raises:
        ValueError: it is no picture, or too large; nothing of it was decoded.
    """
    try:
        with opened(what, 2**62, content) as header:
            width, height, form = header.width, header.height, str(header.format)
    except ValueError as error:
        kinds = "a JPEG, PNG, WebP, TIFF, BMP or GIF"
        raise ValueError(f"{_NAMES[what]} is no picture that can be read: send {kinds}.") from error
    if width * height > most_pixels:
        raise ValueError(
            f"{_NAMES[what]} has {width:,} x {height:,} pixels; {most_pixels:,} are the most here, so make it smaller."
        )
    return form


def read_photo(content: bytes, most_pixels: int) -> tuple[Photo, Original]:
    """Take in a photograph.

    Args:
        content: the file's bytes.
        most_pixels: that it may have.

    Raises:
        ValueError: it is no picture, damaged, or too large.
    """
    form = _header(content, "photograph", most_pixels)
    original = original_of(content)
    width, height = original.rgb.size
    bands = len(original.picture.getbands()) * (2 if original.picture.mode.startswith("I;16") else 1)
    return Photo(content, SUFFIXES[form], width, height, original.lost, bands), original


def original_of(content: bytes) -> Original:
    """Decode a photograph.

    Raises:
        ValueError: it is damaged, or of a kind without a defined range.
    """
    try:
        return read_original("the photograph", content)
    except ValueError as error:
        raise ValueError(f"The photograph cannot be used: {_last(error)}.") from error


def _last(error: ValueError) -> str:
    return str(error).split("; ")[0].rstrip(".")


def read_hole(content: bytes, photo: Photo, hole: Literal["white", "black"]) -> tuple[bytes, float, list[str]]:
    """Take in a mask.

    Args:
        content: the file's bytes, of any common format.
        photo: whose size it must have.
        hole: the colour of the hole.

    Returns:
        A PNG, white = hole; the share of the photograph that is hole; and sentences on a mask that may be none.

    Raises:
        ValueError: it is no picture, of another size, or a photograph.
    """
    _header(content, "mask", photo.width * photo.height)
    picture = mask_picture(read_picture("mask", content=content), "mask", hole)
    _require_size("mask", picture.grey.size, photo)
    if picture.is_photograph:
        raise ValueError(f"The mask has {picture.greys} grey values: it is a photograph; send one in black and white.")
    plane = np.asarray(picture.grey) > 127
    plane = plane if hole == "white" else ~plane
    return _png(Image.fromarray(plane)), float(plane.mean()), _remarks(picture)


def _remarks(picture: MaskPicture) -> list[str]:
    remarks = ["It has transparent parts, which were taken as known or as hole: look at it."] if picture.remark else []
    if picture.greys > CLEAN:
        remarks.append(f"It has {picture.greys} grey values, and a mask has none: those above the middle are the hole.")
    return remarks


def read_edges(content: bytes, photo: Photo) -> bytes:
    """Take in a map of edges.

    Args:
        content: the file's bytes: white edges on black, grey ones between.
        photo: whose size it must have.

    Returns:
        A grey PNG.

    Raises:
        ValueError: it is no picture, or of another size.
    """
    _header(content, "edges", photo.width * photo.height)
    grey = grey_of(content)
    _require_size("edges", (grey.shape[1], grey.shape[0]), photo)
    return _png(Image.fromarray(grey))


def grey_of(content: bytes) -> UInt8[np.ndarray, "height width"]:
    """A grey picture's values.

    Raises:
        ValueError: it cannot be decoded.
    """
    try:
        return np.array(read_rgb("edges", content=content).convert("L"))  # a copy, which torch may take as it is
    except ValueError as error:
        raise ValueError(f"The edge map cannot be read: {_last(error)}.") from error


def _require_size(what: str, size: tuple[int, int], photo: Photo) -> None:
    if size != (photo.width, photo.height):
        raise ValueError(
            f"{_NAMES[what]} has {size[0]} x {size[1]} pixels, the photograph {photo.width} x {photo.height}; make "
            "them the same size."
        )


def hole_of(mask: bytes) -> Bool[np.ndarray, "height width"]:
    """The hole of a mask that was taken in."""
    return np.asarray(read_picture("mask", content=mask).convert("L")) > 127


def completed_png(
    original: Original, fill: np.ndarray, hole: Bool[np.ndarray, "height width"], made_by: dict[str, Any]
) -> tuple[bytes, bytes | None]:
    """A completed photograph as a PNG: its known pixels are the file's, in its own mode and depth.

    Args:
        original: the photograph.
        fill: (height, width, 3) RGB in [0, 1], of which the hole's pixels are used.
        hole: where it is.
        made_by: what the file tells of how it was made.

    Returns:
        The file; and of a large one a smaller copy in RGB, whose longer side has `SMALL` pixels.
    """
    picture, buffer = filled(original, fill, hole), io.BytesIO()
    write_png(picture, original, json.dumps(made_by, sort_keys=True), buffer)
    small = _smaller(as_rgb(picture, "result"), SMALL) if max(picture.size) > SMALL else None
    return buffer.getvalue(), None if small is None else _png(small)


def _smaller(picture: Image.Image, longest: int) -> Image.Image:
    share = longest / max(picture.size)
    width, height = (max(1, round(side * share)) for side in picture.size)
    return picture.resize((width, height), reducing_gap=3)


def edges_png(edges: UInt8[np.ndarray, "height width"]) -> bytes:
    """A map of edges as a grey PNG."""
    return _png(Image.fromarray(edges))


def shown(
    content: bytes, longest: int | None, *, transparent: bool = False, photograph: bool = False
) -> tuple[bytes, str]:
    """A picture as a page shows it.

    Args:
        content: of a picture that was taken in, or that we have made.
        longest: pixels of its longer side, if it is to be made smaller; None leaves it as it is.
        transparent: whether black becomes transparent and all else white, as a layer over the photograph.
        photograph: whether a JPEG does, where it is large.

    Returns:
        The file's bytes, and its media type.
    """
    if longest is None and not transparent and not photograph:
        return content, "image/png"
    picture = read_rgb("picture", content=content)
    if longest is not None and max(picture.size) > longest:
        picture = _smaller(picture, longest)
    if transparent:
        grey = picture.convert("L")
        layer = Image.new("LA", grey.size, (255, 0))
        layer.putalpha(grey)
        picture = layer
    if photograph and picture.width * picture.height > _SHOWN_AS_JPEG:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=92, subsampling=0)
        return buffer.getvalue(), "image/jpeg"
    return _png(picture), "image/png"


def bare_png(content: bytes) -> bytes:
    """A picture without anything beside its pixels, which could tell where it comes from."""
    return _png(read_rgb("picture", content=content))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
