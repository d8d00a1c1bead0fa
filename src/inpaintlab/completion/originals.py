"""A photograph in its own mode and depth, with all that its file says beside pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from inpaintlab.data import as_rgb
from inpaintlab.imaging import SEVERAL, opened, read_picture

_MODES = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
"""The mode that a PNG has for a mode that it cannot have, or in which nothing can be painted, with the same colours."""

_STORED = {
    "1": "1 bit a pixel (it has 8)",
    "P": "its palette (the same colours stand in the pixels)",
    "PA": "its palette (the same colours stand in the pixels)",
}
"""What a mode tells of the storage alone, and its completion does not keep."""

_ICC_SPACES = {"L": b"GRAY", "LA": b"GRAY", "I;16": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB "}
"""The colour space in the header of a profile that fits a mode."""

_TAGS = (270, 271, 272, 305, 306, 315, 33432)
"""Of a TIFF's tags, which mostly say how it is stored, those that EXIF has: description, camera, software, date,
artist, copyright."""

PARTS, _INTEROPERABILITY = (34665, 34853), 40965
"""The tags of EXIF's parts on the exposure and the place, and what the first of them may point to."""

XMP = "XML:com.adobe.xmp"
"""The key of XMP data among a picture's texts."""

_PREVIEWS = (
    "http://ns.adobe.com/xap/1.0/g/img/",  # of xmp:Thumbnails
    "http://ns.google.com/photos/1.0/image/",  # the photograph before a phone's effects
    "/9j/",  # how a JPEG begins in base64, and a PNG
    "iVBORw0KGgo",
)
"""What XMP data hold that hold another picture of the photograph, which shows what was removed."""

_PACKETS = (700, 34377)
"""Tags of EXIF that hold XMP data and Photoshop's own, which have previews, too."""

_JPEG = b"\xff\xd8\xff"
"""How a JPEG begins, such as the preview in the data that a camera's maker adds to EXIF."""

MADE, MADE_TAG = "inpaintlab", 65_000
"""A hash of what a completion was made of is a text of this key in a PNG, and in other formats in this tag of the EXIF
data, one of those that TIFF leaves to everybody."""

_MOST_DPI = 10**7  # a PNG counts pixels a metre, in 32 bits


@final
@dataclass(frozen=True)
class Original:
    """A photograph as it is on the disk, turned upright.

    Args:
        picture: its pixels in the mode that its completion is saved in: L, LA, I;16, RGB or RGBA.
        rgb: the same in 8-bit RGB, transparent pixels on white, which is what a method sees.
        beside: what is saved beside the pixels, as arguments of Pillow's writers.
        texts: likewise, as texts of a PNG.
        lost: what the completion cannot keep in any format, in words.
        jpeg: how a JPEG was encoded, as arguments of Pillow's writer; nothing of another format.
    """

    picture: Image.Image
    rgb: Image.Image
    beside: Mapping[str, Any]
    texts: Mapping[str, str]
    lost: tuple[str, ...]
    jpeg: Mapping[str, Any]


def read_original(path: Path | str, content: bytes | None = None) -> Original:
    """Read a photograph.

    Args:
        path: its file.
        content: the file's bytes, if they were read already; ``path`` then only names them in errors.

    Raises:
        ValueError: the file is missing, damaged, too large, or of a kind without a defined range.
    """
    with opened(path, content=content) as header:
        deep = any(";16" in str(tile) for tile in getattr(header, "tile", ()))
    source = read_picture(path, content=content)
    rgb = as_rgb(source, path)
    lost = []
    if SEVERAL in source.info:
        lost.append("all but the first of its pictures")
    if source.mode.startswith("I;16"):
        # in the byte order of this machine
        picture = Image.fromarray(np.asarray(source).astype(np.uint16))
    else:
        if deep:
            lost.append("16 bits a colour (8 are left)")
        picture = paintable(source)
        if source.mode != picture.mode and source.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            lost.append(f"its {source.mode} colours (they are RGB)")
        elif source.mode in _STORED:
            lost.append(_STORED[source.mode])
    beside = _resolution(source)
    try:
        exif, previews = _exif(source)
        lost += ["parts of its EXIF data that hold a preview"] if previews else []
        beside |= {"exif": exif} if exif else {}
    except Exception:  # what a damaged block holds fails in as many ways as it has types
        lost.append("its EXIF data, which are damaged")
    profile = source.info.get("icc_profile")
    if profile and profile[16:20] != _ICC_SPACES[picture.mode]:
        lost.append("its colour profile, which is for other colours")
    elif profile:
        beside["icc_profile"] = profile
    if "photoshop" in source.info or "Raw profile type iptc" in source.info:
        lost.append("its IPTC data")
    picture.info = {}
    texts = _texts(source)
    if XMP in texts and any(sign in texts[XMP].replace("\0", "") for sign in _PREVIEWS):
        del texts[XMP]
        lost.append("its XMP data, which hold a preview")
    return Original(picture, rgb, beside, texts, tuple(lost), _encoding(source))


def _encoding(source: Image.Image) -> dict[str, Any]:
    """The tables and the subsampling of a JPEG of colours or of grey; its further habits are not in its file."""
    tables = getattr(source, "quantization", None)
    if source.format not in ("JPEG", "MPO") or source.mode not in ("L", "RGB") or not tables:
        return {}
    progressive = bool(source.info.get("progressive"))
    return {"qtables": tables, "subsampling": get_sampling(source), "progressive": progressive}


def paintable(source: Image.Image) -> Image.Image:
    """A copy of a picture in a mode in which its hole can be painted and a PNG can keep it, with the same colours."""
    if source.has_transparency_data and source.mode not in ("LA", "La"):
        return source.convert("LA" if source.mode in ("1", "L") else "RGBA")
    if source.mode in ("L", "LA", "RGB", "RGBA"):
        return source.copy()
    return source.convert(_MODES.get(source.mode, "RGB"))


def _resolution(source: Image.Image) -> dict[str, Any]:
    """The resolution, if it is one: a damaged file says that an inch has no pixels, or more than a PNG can count."""
    try:
        across, down = map(float, source.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return {}
    return {"dpi": (across, down)} if 0 < across < _MOST_DPI and 0 < down < _MOST_DPI else {}


def _exif(source: Image.Image) -> tuple[bytes | None, bool]:
    """The EXIF data that are kept, and whether parts are not because they hold a preview."""
    found = source.getexif()
    kept, previews = Image.Exif(), False

    def shows(value: object) -> bool:
        nonlocal previews
        preview = isinstance(value, bytes) and _JPEG in value
        previews = previews or preview
        return preview

    for tag, value in found.items():
        if tag not in (*PARTS, *_PACKETS, MADE_TAG) and not shows(value) and (source.format != "TIFF" or tag in _TAGS):
            kept[tag] = value
    for tag in PARTS:
        # a part may point to a further one, whose place changes
        part = {key: value for key, value in found.get_ifd(tag).items() if key != _INTEROPERABILITY}
        if part := {key: value for key, value in part.items() if not shows(value)}:
            kept[tag] = part
    # written anew, because a file's own block holds a small copy of the photograph before its completion
    return kept.tobytes() if len(kept) else None, previews


def _texts(source: Image.Image) -> dict[str, str]:
    texts = {
        str(key): str(text)
        for key, text in getattr(source, "text", {}).items()
        # ImageMagick's copy of the EXIF block turns a picture as well as the block itself does
        if key not in (MADE, XMP) and not key.startswith("Raw profile type")
    }
    if isinstance(comment := source.info.get("comment"), bytes):
        texts["Comment"] = comment.decode("utf-8", "replace")
    xmp = source.info.get("xmp") or source.info.get(XMP)
    if xmp:
        texts[XMP] = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp)
    return texts


def filled(
    original: Original, fill: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
) -> Image.Image:
    """The photograph with its hole filled, every other pixel as it was; what is filled is opaque.

    Args:
        original: the photograph.
        fill: RGB in [0, 1]; only its pixels in the hole are used.
        hole: True where the hole is.
    """
    return painted(original.picture, fill, hole)


def painted(
    picture: Image.Image, fill: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
) -> Image.Image:
    """A picture of a mode that `paintable` gives, with its hole filled; see `filled`."""
    picture = picture.copy()
    eight = Image.fromarray((fill * 255).round().astype(np.uint8))
    if picture.mode == "I;16":
        grey = fill @ np.array([0.299, 0.587, 0.114], fill.dtype)  # ITU-R 601-2, as Pillow's own grey
        return Image.fromarray(np.where(hole, (grey * 65535).round().astype(np.uint16), np.asarray(picture)))
    picture.paste(eight.convert(picture.mode), mask=Image.fromarray(hole))
    return picture
