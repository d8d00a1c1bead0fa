"""What the layouts of GLCIC's publishers share: our names, and settings that follow from shapes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from inpaintlab.layers import channels

LAYERS = 17
"""Convolutions of the completion network."""

TRANSPOSED = (13, 15)
"""The transposed ones among them, counted from 1, which double the side."""

NORM = ("weight", "bias", "running_mean", "running_var")
"""The tensors of batch norm."""

COUNTER = "num_batches_tracked"
"""One more tensor of torch's batch norm."""


def completion_names(
    convolutions: Sequence[str], norms: Sequence[str], *, norm_first: bool, bias: bool = True
) -> dict[str, str]:
    """Our names inside the completion network to theirs.

    Args:
        convolutions: their names of the 17 convolutions.
        norms: their names of the 16 batch norms.
        norm_first: whether batch norm comes before the ReLU.
        bias: whether convolutions before batch norm have one.
    """
    names = _layer_names("layers", convolutions[:-1], norms, norm_first=norm_first, bias=bias)
    return names | {f"layers.{LAYERS - 1}.{part}": f"{convolutions[-1]}.{part}" for part in ("weight", "bias")}


def branch_names(
    ours: str, convolutions: Sequence[str], norms: Sequence[str], linear: str, *, norm_first: bool, bias: bool = True
) -> dict[str, str]:
    """The same for a branch of the discriminator: its layers, a flattening, and a linear layer.

    Args:
        ours: our name of the branch.
        convolutions: their names of the convolutions.
        norms: their names of the batch norms.
        linear: their name of the linear layer.
        norm_first: whether batch norm comes before the ReLU.
        bias: whether convolutions have one.
    """
    names = _layer_names(ours, convolutions, norms, norm_first=norm_first, bias=bias)
    return names | {f"{ours}.{len(convolutions) + 1}.{part}": f"{linear}.{part}" for part in ("weight", "bias")}


def _layer_names(
    ours: str, convolutions: Sequence[str], norms: Sequence[str], *, norm_first: bool, bias: bool
) -> dict[str, str]:
    names = {}
    for index, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True)):
        for part in ("weight", "bias") if bias else ("weight",):
            names[f"{ours}.{index}.0.{part}"] = f"{convolution}.{part}"
        place = 1 if norm_first else 2
        names |= {f"{ours}.{index}.{place}.{part}": f"{norm}.{part}" for part in (*NORM, COUNTER)}
    return names


def side_of(theirs: Mapping[str, Tensor], linear: str, convolutions: int, width: float, path: Path) -> int:
    """The side of the image that a branch was built for, in pixels, from the inputs of its linear layer.

    Each convolution halves the side and rounds up, so several sides fit; the result is the one without rounding.

    Args:
        theirs: the file's tensors.
        linear: the name of the linear layer.
        convolutions: their number.
        width: multiplier of the channel counts.
        path: the file, for the error.

    Raises:
        ValueError: the layer is missing or of a shape that no side gives.
    """
    weight = theirs.get(f"{linear}.weight")
    if weight is None or weight.ndim != 2 or weight.shape[0] != channels(1024, width):
        raise ValueError(f"{path}: {linear}.weight is missing or has not {channels(1024, width)} outputs.")
    cells, remainder = divmod(weight.shape[1], channels(512, width))
    side = math.isqrt(cells)
    if remainder or side * side != cells or not side:
        raise ValueError(f"{path}: {linear}.weight has {weight.shape[1]} inputs, which is no square of features.")
    return side * 2**convolutions


def branch_settings(counts: Mapping[str, int], sides: Mapping[str, int], path: Path) -> dict[str, Any]:
    """Our settings for the two branches, 'window' and 'whole'.

    Args:
        counts: the number of convolutions of each.
        sides: the side of the image that each was built for, in pixels.
        path: the file, for the error.

    Raises:
        ValueError: a window larger than the image.
    """
    if sides["window"] > sides["whole"]:
        raise ValueError(
            f"{path}: its local branch is built for {sides['window']} pixels, its global one for {sides['whole']}; a "
            "window lies inside its image."
        )
    return {
        "patch_size": sides["window"],
        "local_convolutions": counts["window"],
        "global_convolutions": counts["whole"],
    }


def mean_of(value: Any, origin: str) -> list[float]:
    """A mean pixel, RGB in [0, 1].

    Args:
        value: from a file or the command line, of any kind.
        origin: where it is from, for the error.

    Raises:
        ValueError: it is not three numbers in [0, 1].
    """
    numbers = list(value) if hasattr(value, "__len__") and len(value) == 3 else []
    if not numbers or not all(isinstance(part, int | float | np.floating) and 0 <= part <= 1 for part in numbers):
        raise ValueError(f"{origin} gives no mean pixel; give three numbers in [0, 1], as --mean-pixel R G B.")
    return [float(part) for part in numbers]
