"""The files that completions are written to: PNG, TIFF and WebP, which keep every pixel, and JPEG."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, final

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inpaintlab.completion.originals import MADE, MADE_TAG, PARTS, XMP, Original
from inpaintlab.imaging import opened
from inpaintlab.machine import shown, whole

_XMP_TAG = 700  # of a TIFF

_DEFAULT_JPEG: Mapping[str, Any] = {"quality": 95, "subsampling": 0}
"""Of a JPEG that is made of another format."""

_MOST_IN_MARKER = 65_533  # bytes of a part of a JPEG
_XMP_HEADER = 29


@final
@dataclass(frozen=True)
class Format:
    """A format that completions are written in.

    Args:
        name: Pillow's.
        most: the longest side, in pixels.
        cannot: modes of pictures that it cannot hold, with what is missing.
        save: writes a picture of a photograph to a path, with the hash of what it was made of.
    """

    name: str
    most: int
    cannot: Mapping[str, str]
    save: Callable[[Image.Image, Original, str, Path], None]


def write_png(picture: Image.Image, original: Original, made: str, file: Path | BytesIO) -> None:
    """Write a PNG with all that stands beside a photograph's pixels.

    Args:
        picture: what is written.
        original: the photograph that it was made of.
        made: what it was made of, see `made_of`.
        file: an unfinished file, or memory.
    """
    info = PngInfo()
    for key, text in {**original.texts, MADE: made}.items():
        info.add_itxt(key, text)
    # the lowest compression: files are 7 % larger than by Pillow's own choice, in a third of the time
    picture.save(file, format="PNG", pnginfo=info, compress_level=1, **original.beside)


def _save_jpeg(picture: Image.Image, original: Original, made: str, path: Path) -> None:
    beside = _with_tag(original, made)
    if len(beside["exif"]) > _MOST_IN_MARKER:
        beside["exif"] = _exif_of({}, made).tobytes()
    if _fits_marker(original, XMP, _XMP_HEADER):
        beside["xmp"] = original.texts[XMP].encode()
    if _fits_marker(original, "Comment", 0):
        beside["comment"] = original.texts["Comment"].encode()
    picture.save(path, format="JPEG", **(original.jpeg or _DEFAULT_JPEG), **beside)


def _save_webp(picture: Image.Image, original: Original, made: str, path: Path) -> None:
    beside = _with_tag(original, made)
    beside.pop("dpi", None)
    if picture.mode in ("L", "LA"):
        beside.pop("icc_profile", None)  # for grey, which a WebP does not have
        picture = picture.convert("RGB" if picture.mode == "L" else "RGBA")
    if XMP in original.texts:
        beside["xmp"] = original.texts[XMP].encode()
    # method 0: a third of the time of Pillow's own, for files a few percent larger
    picture.save(path, format="WEBP", lossless=True, exact=True, method=0, quality=50, **beside)


def _save_tiff(picture: Image.Image, original: Original, made: str, path: Path) -> None:
    exif = _exif_of(original.beside, made)
    if XMP in original.texts:
        exif[_XMP_TAG] = original.texts[XMP].encode()
    # libtiff, which compresses, cannot write these parts of EXIF data
    compression = None if any(tag in exif for tag in PARTS) else "tiff_adobe_deflate"
    picture.save(path, format="TIFF", compression=compression, **{**original.beside, "exif": exif})


def _with_tag(original: Original, made: str) -> dict[str, Any]:
    return {**original.beside, "exif": _exif_of(original.beside, made).tobytes()}


def _exif_of(beside: Mapping[str, Any], made: str) -> Image.Exif:
    exif = Image.Exif()
    if "exif" in beside:
        exif.load(beside["exif"])
    exif[MADE_TAG] = made
    return exif


def _fits_marker(original: Original, key: str, header: int) -> bool:
    return key in original.texts and len(original.texts[key].encode()) <= _MOST_IN_MARKER - header


_ALPHA = {"LA": "its transparency", "RGBA": "its transparency"}
_DEEP = {"I;16": "16 bits of grey"}
_JPEG = Format("JPEG", 65_535, _ALPHA | _DEEP, _save_jpeg)
_TIFF = Format("TIFF", 2**31 - 1, {}, _save_tiff)
_FORMATS: Mapping[str, Format] = {
    ".png": Format("PNG", 2**31 - 1, {}, write_png),
    ".webp": Format("WebP", 16_383, _DEEP, _save_webp),
    **dict.fromkeys((".tif", ".tiff"), _TIFF),
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), _JPEG),
}
"""By the ending of the file's name."""

WRITTEN = "png, tif, webp or jpg"
"""The endings, in words."""


def ending_of(path: Path, kept: bool) -> str:
    """The ending of a photograph's completion: its own, if that is kept and can be written, else that of a PNG."""
    return path.suffix if kept and path.suffix.lower() in _FORMATS else ".png"


def can_be_written(path: Path) -> bool:
    """Whether a name has the ending of a format that completions are written in."""
    return path.suffix.lower() in _FORMATS


def not_held(original: Original, path: Path) -> str:
    """Why the format of a file cannot hold a photograph as it is, in words; '' if it can."""
    form = _FORMATS[path.suffix.lower()]
    if missing := form.cannot.get(original.picture.mode):
        return f"a {form.name} has no place for {missing}"
    if max(original.picture.size) > form.most:
        return f"a {form.name} has at most {form.most} pixels a side, and the photograph {max(original.picture.size)}"
    return ""


def require_held(original: Original, path: Path) -> None:
    """Raise a ValueError if the format of a file cannot hold a photograph as it is."""
    if why := not_held(original, path):
        raise ValueError(f"{shown(path)} cannot be written: {why}; give a name that ends in .png.")


def told_of(original: Original, path: Path) -> tuple[list[str], list[str]]:
    """What there is to tell of a file beside its hole: of its pixels, and what it does not keep of the photograph."""
    lost, form = list(original.lost), _FORMATS[path.suffix.lower()]
    if form.name == "PNG":
        return [], lost
    held = {XMP, "Comment"} if form is _JPEG else {XMP}
    if any(key not in held for key in original.texts):
        lost.append("its texts" if form is _JPEG else "its texts and comments")
    if form is not _JPEG:
        grey = original.picture.mode in ("L", "LA")
        lost += ["its colour profile, which is for grey"] if form.name == "WebP" and grey and _profile(original) else []
        return [], lost
    long = {"its XMP data": (XMP, _XMP_HEADER), "its comment": ("Comment", 0)}
    lost += [
        f"{words}, longer than a JPEG holds"
        for words, (key, header) in long.items()
        if key in original.texts and not _fits_marker(original, key, header)
    ]
    if len(original.beside.get("exif", b"")) > _MOST_IN_MARKER - 200:
        lost.append("its EXIF data, longer than a JPEG holds")
    tables = "with the photograph's own tables" if original.jpeg else f"at quality {_DEFAULT_JPEG['quality']}"
    return [f"known pixels are encoded again, as JPEG {tables}"], lost


def _profile(original: Original) -> bool:
    return "icc_profile" in original.beside


def save_picture(picture: Image.Image, original: Original, made: str, path: Path) -> None:
    """Write a picture with all that stands beside the original's pixels, whole or not at all.

    Args:
        picture: what is written.
        original: the photograph that it was made of.
        made: a hash of what it was made of, see `made_of`.
        path: the file, whose ending names the format; its folder exists.

    Raises:
        OSError: it cannot be written.
    """
    with whole(path) as partial:
        _FORMATS[path.suffix.lower()].save(picture, original, made, partial)


def made_of(path: Path) -> str | None:
    """The hash of what a completion was made of; None where a file is not one of ours."""
    try:
        with opened(path) as picture:
            if MADE in picture.info:
                return str(picture.info[MADE])
            made = picture.getexif().get(MADE_TAG) if picture.format != "PNG" else None
            return None if made is None else str(made)
    except Exception:  # what is damaged fails in as many ways as there are formats, and is none of ours
        return None
