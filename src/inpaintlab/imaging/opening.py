"""Opening picture files: the one place that decides which file is a picture and how much memory it may take."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from inpaintlab.machine import open_regular, shown

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""What may be in a picture file, whatever its ending says.

Every build of Pillow decodes these by itself, so a folder holds the same pictures on every machine. Of all others that
Pillow knows, EPS starts Ghostscript, HEIC needs a plug-in, and JPEG 2000 and AVIF are missing from some builds.
"""


ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""The endings of picture files, in lower case."""


MAX_PIXELS = 89_478_485
"""Pillow's limit, above which it warns of a decompression bomb: a quarter of a gigabyte of RGB."""


_WEBP_PIXELS = 2
"""A pixel of a WebP counts so often: its decoder keeps two canvases and a copy beside Pillow's picture, 16 bytes a
pixel where others take 4 to 10. A file of 34 bytes may be a WebP of 88 megapixels."""


_BYTES_PER_PIXEL, _LARGEST_FILE = 12, 2**30
"""A file is refused if it is larger than both the limit's pixels with 12 bytes each, and a gigabyte. No picture within
the limit needs that, and some decoders read a file, or a part whose length it states, into memory at once."""


SEVERAL = "several frames"
"""The key of a picture's ``info`` that says that there are more frames or pages than the one that was read."""


_OF_FRAMES = ("PNG", "WEBP", "TIFF", "GIF")  # a JPEG's further pictures are the camera's previews and depth maps


_LARGE = MAX_PIXELS // 2
"""A picture of more pixels is decoded while no other such picture is, so that threads do not multiply its memory."""


_File = io.BufferedReader | io.BytesIO


_pillow_limit, _large_picture = threading.Lock(), threading.Lock()


@contextmanager
def opened(path: Path | str, max_pixels: int = MAX_PIXELS, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open a picture, and read only its header: format, size and mode as they are stored.

    A FIFO, a device or a socket is refused without waiting for it.

    Args:
        path: the file.
        max_pixels: a picture with more pixels is refused; a WebP with more than half of them is, too, because its
            decoder takes more memory.
        content: the file's bytes, if they were read already; ``path`` then only names them in errors.

    Yields:
        The picture, whose pixels can be loaded until the end of the block.

    Raises:
        ValueError: the file is missing, no regular file, no picture of `FORMATS`, or too large.
    """
    with _bytes(path, max_pixels, content) as file:
        image = _header(path, file)
        if _counted(image) > max_pixels:
            twice = " (a WebP's count twice, because decoding it takes more memory)" * (image.format == "WEBP")
            tiles = " in larger tiles" * (image.format == "TIFF" and _counted(image) > image.width * image.height)
            raise ValueError(
                f"{shown(path)} is {image.width} x {image.height} pixels{twice}{tiles}, more than "
                f"max_pixels={max_pixels}; make it smaller, remove it, or give a data set +data.source.max_pixels=N."
            )
        yield image


def read_picture(
    path: Path | str, max_pixels: int = MAX_PIXELS, content: bytes | None = None, shortest_edge: int | None = None
) -> Image.Image:
    """Decode a picture in its own mode and depth, turned upright by its EXIF orientation.

    ``info`` holds what else was in the file: colour profile, EXIF without the orientation, transparency, resolution. Of
    several pages or frames the first is read, and ``info`` has the key `SEVERAL`.

    Args:
        path: see `opened`, likewise ``max_pixels`` and ``content``.
        max_pixels: see ``path``.
        content: see ``path``.
        shortest_edge: decode a JPEG at a half, a quarter or an eighth of its size, as long as its shortest edge keeps
            at least so many pixels. That is faster, but gives other pixels than a resizing filter. Other formats are
            decoded in full.

    Raises:
        ValueError: see `opened`; or the file is damaged, or there is not enough memory.
    """
    with (
        opened(path, max_pixels, content) as image,
        _large_picture if image.width * image.height > _LARGE else nullcontext(),
    ):
        try:
            if shortest_edge is not None and image.format in ("JPEG", "MPO"):
                image.draft(None, (shortest_edge, shortest_edge))  # at least so much each way
            if image.format in _OF_FRAMES and getattr(image, "is_animated", False):
                image.info[SEVERAL] = True
            ImageOps.exif_transpose(image, in_place=True)
            # a copy lets go of the decoder and its canvases, which this picture would keep as long as it lives
            return _copied(image) if image.format == "WEBP" else image
        except MemoryError as error:
            raise ValueError(
                f"There is not enough memory to decode {shown(path)} with its {image.width} x {image.height} pixels; "
                "make it smaller or remove it."
            ) from error
        except Exception as error:  # each of Pillow's decoders raises its own errors
            raise ValueError(
                f"{shown(path)} cannot be decoded ({error}); copy it again from its source or remove it."
            ) from error


def _copied(image: Image.Image) -> Image.Image:
    copy = image.copy()
    copy.format = image.format
    return copy


def picture_bytes(path: Path, max_pixels: int = MAX_PIXELS) -> bytes:
    """The bytes of a picture's file.

    Raises:
        ValueError: it is missing, no regular file, or larger than any picture of ``max_pixels``.
    """
    with _bytes(path, max_pixels, None) as file:
        return file.read()


def _header(path: Path | str, file: _File) -> Image.Image:
    file.read(1)  # which fetches the header, so that threads wait for their disks at the same time
    file.seek(0)
    # Pillow warns at one size and fails at another. Here there is one limit, checked before decoding.
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=FORMATS)
        except MemoryError as error:
            raise ValueError(f"There is not enough memory to open {shown(path)}; make it smaller.") from error
        except Exception as error:  # a damaged header fails in as many ways as there are formats
            raise ValueError(
                f"{shown(path)} is not a readable image ({_reason(error)}); replace it or remove it."
            ) from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _counted(image: Image.Image) -> int:
    """The pixels that decoding takes memory for: more than the picture has in a WebP or a TIFF with a huge tile."""
    pixels = image.width * image.height
    if image.format == "WEBP":
        return _WEBP_PIXELS * pixels
    if isinstance(image, TiffImageFile):
        width, height = (image.tag_v2.get(tag) for tag in (TILEWIDTH, TILELENGTH))
        if isinstance(width, int) and isinstance(height, int):
            return width * height if width * height > MAX_PIXELS else pixels
    return pixels


def _reason(error: Exception) -> str:
    # Pillow names the file object, which says nothing
    return f"no {', '.join(FORMATS)}" if "cannot identify image file" in str(error) else str(error)


@contextmanager
def _bytes(path: Path | str, max_pixels: int, content: bytes | None) -> Iterator[_File]:
    if content is not None:
        yield io.BytesIO(content)
        return
    try:
        file = open_regular(Path(path))
    except FileNotFoundError as error:
        raise ValueError(f"{shown(path)} does not exist; restore it, or remove its name where it is given.") from error
    except OSError as error:
        raise ValueError(f"{shown(path)} cannot be read ({error.strerror}); mend it or remove it.") from error
    with file:
        size = file.seek(0, io.SEEK_END)
        if size > max(_LARGEST_FILE, _BYTES_PER_PIXEL * max_pixels):
            raise ValueError(
                f"{shown(path)} is a file of {size:,} bytes, more than a picture of max_pixels={max_pixels} needs; "
                "remove it, or give a data set +data.source.max_pixels=N."
            )
        file.seek(0)
        yield file
