"""A program's masks and drawings of edges: what each kind says, as planes of the image's size."""

import warnings
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inpaintlab.data import as_rgb, edge_bytes, in_unit_range
from inpaintlab.masks import CLEAN, mask_picture
from inpaintlab.programs.picture import Hole, Picture, tensor_of, upright
from inpaintlab.shapes import AnyPlanes

_THRESHOLD = 127.5
"""Grey values above it are white, in pictures of Pillow's, as `inpaintlab complete` reads files."""


_WIDER = {np.dtype(np.uint16): np.int32, np.dtype(np.uint32): np.int64, np.dtype(np.uint64): np.float64}
"""Types of NumPy in which torch compares nothing, and those that hold the same numbers."""


@final
class Plane:
    """A plane that belongs to a picture, where it was given.

    Args:
        values: of an array or a tensor, as given; or of a picture of Pillow's what was read in it.
        called: what sentences call it, such as "the mask".
    """

    def __init__(self, values: Tensor, called: str) -> None:
        self.values = values[None, None]
        self.called = called

    def facts(self) -> Tensor:
        """Four numbers to be asked of the device together: lowest, highest, whether all are 0 or 1, or 0 or 255."""
        values = self.values
        if values.dtype == torch.bool:
            return torch.tensor([0.0, 1.0, 1.0, 1.0])  # on the CPU: nothing is to be asked of a device
        zero = values == 0
        unit, full = ((zero | (values == one)).all() for one in (1, 255))
        return torch.stack([values.amin().float(), values.amax().float(), unit.float(), full.float()])

    @property
    def hole(self) -> Hole:
        """As a mask: True in the hole."""
        return self.values if self.values.dtype == torch.bool else self.values > 0.5

    def edges(self, highest: float) -> AnyPlanes:
        """As a drawing: in [0, 1].

        Args:
            highest: of its values; bytes up to 1 are 0 and 1, others up to 255.
        """
        if self.values.dtype == torch.uint8 and highest > 1:
            return in_unit_range(self.values)
        return self.values.float()


def masks_of(given: Any, pictures: Sequence[Picture], several: bool) -> list[Plane]:
    """The mask of each picture; the values of arrays and tensors are not looked at yet.

    Args:
        given: a mask, which serves all pictures, or one for each in a list or a batch.
        pictures: the pictures.
        several: whether these were given as several.

    Raises:
        ValueError: something else, another number of masks than of images, or another size.
    """
    return _planes_of(given, pictures, several, "mask", _read_mask)


def drawings_of(given: Any, pictures: Sequence[Picture], several: bool) -> list[Plane | None]:
    """The drawing of each picture's edges, or None of one without; arguments and errors as in `masks_of`."""
    if given is None:
        return [None] * len(pictures)
    if isinstance(given, (list, tuple)) and len(given) == len(pictures):
        return [
            None if one is None else _planes_of([one], [picture], True, "edges", _read_edges, at)[0]
            for at, (one, picture) in enumerate(zip(given, pictures, strict=True))
        ]
    return list(_planes_of(given, pictures, several, "edges", _read_edges))


def _planes_of(
    given: Any, pictures: Sequence[Picture], several: bool, word: str, read: Any, first: int = 0
) -> list[Plane]:
    one = {"mask": "the mask", "edges": "the drawing of edges"}[word]
    if isinstance(given, (list, tuple)) or _is_batch(given, pictures, several):
        if len(given) != len(pictures):
            raise ValueError(
                f"{word} holds {len(given)} and image {len(pictures)}; give one for each, or a single one for all."
            )
        each = [f"{word} {first + at}" if several else one for at in range(len(given))]
        planes = [Plane(read(plane, called), called) for plane, called in zip(given, each, strict=True)]
    else:
        planes = [Plane(read(given, one), one)] * len(pictures)
    for plane, picture in zip(planes, pictures, strict=True):
        (height, width), (rows, columns) = plane.values.shape[-2:], picture.size
        if (height, width) != (rows, columns):
            turned = (
                " (they look turned against each other: arrays are height x width, and a picture with an EXIF \
orientation is turned upright)"
                * ((height, width) == (columns, rows))
            )
            raise ValueError(
                f"{plane.called} is {width} x {height} pixels, {picture.called} {columns} x {rows}; make them the same "
                f"size{turned}."
            )
    return planes


def _is_batch(given: Any, pictures: Sequence[Picture], several: bool) -> bool:
    """Whether an array or a tensor holds a plane for each picture."""
    if not isinstance(given, (np.ndarray, Tensor)):
        return False
    return given.ndim == 4 or (
        several and given.ndim == 3 and len(given) == len(pictures) and tuple(given.shape[1:]) == pictures[0].size
    )


def _read_mask(given: Any, called: str) -> Tensor:
    """A mask as it came, as (height, width): of a picture of Pillow's, and of colours, what `complete` reads in it."""
    if isinstance(given, np.ndarray) and given.dtype == np.uint8 and given.ndim == 3 and given.shape[2] in (2, 3, 4):
        given = Image.fromarray(np.ascontiguousarray(given))
    if not isinstance(given, Image.Image):
        return _flat(given, called)
    found = mask_picture(upright(given, called), called, "white")
    between = f"{called} has {found.greys} grey values between black and white, and a mask has none"
    if found.is_photograph:
        raise ValueError(
            f"{between}: it is a photograph, {found.between:.0%} of its pixels are neither; are image and mask swapped?"
        )
    if found.remark:
        warnings.warn(found.remark, stacklevel=6)
    if found.greys > CLEAN:
        warnings.warn(f"{between}: what is above half is taken as the hole.", stacklevel=6)
    return torch.from_numpy(np.asarray(found.grey) > _THRESHOLD)


def _read_edges(given: Any, called: str) -> Tensor:
    """A drawing as it came, as (height, width); white on black, of a picture of Pillow's."""
    if not isinstance(given, Image.Image):
        return _flat(given, called)
    return edge_bytes(as_rgb(upright(given, called), called).convert("L"))[0]


def _flat(given: Any, called: str) -> Tensor:
    """An array or a tensor without its axes of length one, as (height, width) of a dtype that can be compared."""
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "buif" or given.dtype.itemsize > 8:
            raise ValueError(f"{called} is an array of {given.dtype}; give bool, 0 and 1, or 0 and 255.")
        wider = _WIDER.get(given.dtype.newbyteorder("="), given.dtype)
        tensor = tensor_of(given.astype(wider, copy=False))
        plane = tensor[..., 0] if tensor.ndim == 3 and tensor.shape[2] == 1 else tensor
    elif isinstance(given, Tensor):
        tensor = plane = given.detach()
    else:
        raise ValueError(
            f"{called} is a {type(given).__name__}; give an image of Pillow, a NumPy array or a tensor of the image's "
            "height and width."
        )
    plane = plane[0] if plane.ndim == 3 and plane.shape[0] == 1 else plane
    if plane.ndim != 2 or plane.is_complex() or plane.layout != torch.strided:
        raise ValueError(
            f"{called} is {' x '.join(map(str, given.shape)) or 'a single number'}; give one plane of the image's "
            "height and width."
        )
    return plane


def require_two_values(mask: Plane, facts: Sequence[float]) -> None:
    """Raise a ValueError if a mask has other values than 0 and 1, or 0 and 255.

    Args:
        mask: the mask.
        facts: see `Plane.facts`, as numbers.
    """
    low, high, unit, full = facts
    if not unit and not full:
        half = "127" if high > 1 else "0.5"
        raise ValueError(
            f"{mask.called} has values {_range(low, high)}, and a mask has two: 0, and 1 or 255 in the hole; give "
            f"mask > {half}, if that is what you mean."
        )


def require_drawing(drawing: Plane, facts: Sequence[float]) -> None:
    """Raise a ValueError if a drawing of edges is no plane of bytes, bools or numbers in [0, 1]."""
    low, high, *_ = facts
    if not (low >= 0 and (high <= 1 or drawing.values.dtype == torch.uint8)):
        raise ValueError(
            f"{drawing.called} has values {_range(low, high)}; give uint8, 255 on an edge, or bool, or 0 to 1."
        )


def _range(low: float, high: float) -> str:
    return f"from {low + 0.0:g} to {high + 0.0:g}"  # no "-0"
