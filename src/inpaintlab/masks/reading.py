"""What a mask file says: its colours, its depth and its transparency as black and white."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, final

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from inpaintlab.imaging import read_picture
from inpaintlab.machine import shown

Colour = Literal["white", "black"]

CLEAN = 16
"""Grey values between black and white that a mask may have: a palette has a few; JPEG's artefacts and soft brushes give
dozens, a photograph hundreds."""

_PHOTOGRAPH = 64
"""Grey values from which on an opaque part is a photograph, and no mask drawn with a hard brush."""

_NEARLY, _MOST_BETWEEN = 25, 0.5
"""Grey values that JPEG adds to black, and takes from white; and the share of other pixels from which on a file with
many grey values is a picture like any other."""

_FULL = ({0, 1}, {0, 255}, {0, 65535})
"""Values that say black and white in any depth."""


@final
@dataclass(frozen=True)
class MaskPicture:
    """A mask file in black, white and what lies between.

    Args:
        grey: 8 bits, upright.
        remark: how its transparency was taken, where that is a guess that the user should know of; "" otherwise.
    """

    grey: Image.Image
    remark: str

    @cached_property
    def between(self) -> float:
        """The share of the pixels that are neither nearly black nor nearly white."""
        values = np.asarray(self.grey)
        return float(((values > _NEARLY) & (values < 255 - _NEARLY)).mean())

    @property
    def is_photograph(self) -> bool:
        """Whether this is no mask, but a picture like any other."""
        return self.greys > CLEAN and self.between > _MOST_BETWEEN

    @cached_property
    def greys(self) -> int:
        """How many values between black and white there are."""
        between = np.asarray(self.grey) - 1 < 254  # black wraps to 255
        # a histogram takes longer, and most masks need none
        return sum(count > 0 for count in self.grey.histogram()[1:255]) if between.any() else 0


def read_mask(file: Path, hole: Colour) -> MaskPicture:
    """Read a mask file of any common format.

    Colours become grey, and 16 bits 8, as in photographs. A file whose only values are 0 and 1, or 0 and 255, is black
    and white in any depth; numbers of 32 bits have no other range, but floating-point ones from 0 to 1.

    Transparency: what is transparent is not drawn, so it is known. A drawing in one colour on a transparent ground is
    the hole, whatever its colour is; but if it is white and the hole is to be black, the hole is the ground. Where the
    opaque part is a photograph, the hole was erased from it: it is what is transparent.

    Args:
        file: the mask.
        hole: the colour of the hole.

    Raises:
        ValueError: the file is missing, damaged, no picture, or of numbers without a range.
    """
    return mask_picture(read_picture(file), file, hole)


def mask_picture(picture: Image.Image, file: Path | str, hole: Colour) -> MaskPicture:
    """A decoded picture as a mask, as `read_mask` says.

    Args:
        picture: upright, in any mode.
        file: what errors and remarks call it.
        hole: the colour of the hole.

    Raises:
        ValueError: its numbers have no range.
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return MaskPicture(Image.fromarray(_in_8_bits(np.asarray(picture), file)), "")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        if alpha.getextrema() != (255, 255):
            return _of_transparency(_grey(picture.convert("RGB")), alpha, file, hole)
        picture = picture.convert("RGB")
    return MaskPicture(_grey(picture), "")


def _grey(picture: Image.Image) -> Image.Image:
    grey = picture if picture.mode == "L" else picture.convert("L")
    # 0 and 1, but not a picture that is all 1, which may be an almost black one
    return grey.point(lambda value: 255 * value) if grey.getextrema() == (0, 1) else grey


def _in_8_bits(values: np.ndarray, file: Path | str) -> UInt8[np.ndarray, "height width"]:
    """Numbers of 16 or 32 bits as 8 bits."""
    low, high = values.min(), values.max()  # NaN where one is in the file
    if {float(low), float(high)} in _FULL and np.isin(values, (low, high)).all():
        return np.where(values > low, np.uint8(255), np.uint8(0))
    if values.dtype.itemsize == 2:
        return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return (values * 255).round().astype(np.uint8)
    if low == high == 0:
        return np.zeros(values.shape, np.uint8)
    raise ValueError(
        f"The mask {shown(file)} holds numbers of 32 bits from {low:g} to {high:g}, whose range is not defined; save "
        "it with 8 or 16 bits, or as 0 and 1."
    )


def _of_transparency(grey: Image.Image, alpha: Image.Image, file: Path | str, hole: Colour) -> MaskPicture:
    values, opacity = np.asarray(grey), np.asarray(alpha)
    # in a soft brush's rim the colour may be mixed with the ground's
    drawn = np.unique(values[opacity == opacity.max()]) if opacity.any() else np.empty(0)
    erased = len(drawn) > _PHOTOGRAPH
    if not erased and len(drawn) and int(drawn[-1]) - int(drawn[0]) > CLEAN:  # drawn in black and white
        ground = 0.0 if hole == "white" else 255.0
        mixed = ground + (values - ground) * (opacity / 255)
        return MaskPicture(Image.fromarray(mixed.round().astype(np.uint8)), "")
    white = len(drawn) > 0 and drawn.mean() >= 128
    is_hole = 255 - opacity if erased or (hole == "black" and white) else opacity
    remark = ""
    if erased:
        remark = (
            f"{shown(file)} is a photograph with transparent parts ({len(drawn)} grey values where it is opaque): "
            "these parts are taken as the hole."
        )
    elif hole == "white" and len(drawn) and not white:
        remark = f"{shown(file)} has dark strokes on a transparent ground: the strokes are taken as the hole."
    return MaskPicture(Image.fromarray(is_hole if hole == "white" else 255 - is_hole), remark)
