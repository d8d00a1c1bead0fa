"""GLCIC as its authors publish it (satoshiiizuka/siggraph2017_inpainting): the completion network, for Torch7."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inpaintlab.importers.glcic import COUNTER, LAYERS, NORM, TRANSPOSED, completion_names, mean_of
from inpaintlab.importers.layout import EPS, Found, Network, width_of, zero_counter
from inpaintlab.readers import Torch7Object, printable, read_torch7

MODULES = 3 * LAYERS - 1
"""Convolution, batch norm and ReLU sixteen times, then a convolution and a sigmoid."""

LARGEST_TENSOR = 256 * 256 * 3 * 3
"""The size of the largest tensor of the paper's network; a larger one is not copied from the file."""

_CONVOLUTIONS = ("SpatialConvolution", "SpatialConvolutionMM", "SpatialDilatedConvolution")
_STRIDES = {2: 2, 4: 2, 13: 2, 15: 2}
_DILATIONS = {7: 2, 8: 4, 9: 8, 10: 16}


def read(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read one ``.t7`` file: the table {model = the completion network, mean = its mean pixel}; D was not published.

    Args:
        paths: one file.
        mean_pixel: RGB in [0, 1], instead of the file's.

    Raises:
        ValueError: more than one file, another kind of file, or layers that are not the paper's.
    """
    if len(paths) != 1:
        raise ValueError(f"The authors' model is one .t7 file; got {len(paths)}.")
    path = paths[0]
    root = read_torch7(path)
    model = root.get("model") if isinstance(root, dict) else None
    modules = model.fields.get("modules") if isinstance(model, Torch7Object) else None
    if not isinstance(modules, dict):
        raise ValueError(f"{path} holds no completion network: it should be a table with 'model', an nn.Sequential.")
    if len(modules) != MODULES:
        raise ValueError(f"{path} has {len(modules)} modules; the paper's completion network has {MODULES}.")
    mean = root.get("mean")
    mean = [mean.get(place) for place in range(1, len(mean) + 1)] if isinstance(mean, dict) else mean
    mean = mean_of(mean if mean_pixel is None else mean_pixel, f"'mean' in {path}")

    theirs: dict[str, Tensor] = {}
    for number in range(1, LAYERS + 1):
        place = 3 * (number - 1) + 1  # tables of Lua count from 1
        theirs |= _convolution(modules.get(place), number, place, path)
        if number < LAYERS:
            theirs |= _norm(modules.get(place + 1), place + 1, path)
            _expect(modules.get(place + 2), ("ReLU",), place + 2, path)
    _expect(modules.get(MODULES), ("Sigmoid",), MODULES, path)

    places = [str(3 * (number - 1) + 1) for number in range(1, LAYERS + 1)]
    norms = [str(3 * (number - 1) + 2) for number in range(1, LAYERS)]
    names = completion_names(places, norms, norm_first=True)
    added = {our: zero_counter() for our in names if our.endswith(COUNTER)}
    names = {our: their for our, their in names.items() if our not in added}
    settings = {"width": width_of(theirs, "1.weight", path), "mean_pixel": mean}
    network = Network("completion", path, theirs, names, added=added)
    return Found("glcic", 256, settings, [network], ["discriminator"], {"mean_pixel": torch.tensor(mean)})


def _convolution(module: Any, number: int, place: int, path: Path) -> dict[str, Tensor]:
    """Weight and bias of a layer, whose stride, dilation and padding, if given, must be the paper's."""
    kinds = ("SpatialFullConvolution",) if number in TRANSPOSED else _CONVOLUTIONS
    fields = _expect(module, kinds, place, path)
    dilation = _DILATIONS.get(number, 1)
    padding = 2 if number == 1 else dilation
    steps = {"d": _STRIDES.get(number, 1), "dilation": dilation, "pad": padding, "adj": 0}
    for setting, value in ((f"{step}{axis}", value) for step, value in steps.items() for axis in "WH"):
        found = fields.get(setting, value)
        if not isinstance(found, int | float) or found != value:
            raise ValueError(f"{path}: module {place} has {setting} = {_in_an_error(found)}; the paper's has {value}.")
    weight = _tensor(fields, "weight", place, path)
    kernel = 5 if number == 1 else 3
    if weight.ndim == 2 and weight.shape[1] % kernel**2 == 0:  # the matrix form: a row an output channel
        weight = weight.reshape(len(weight), -1, kernel, kernel)
    return {f"{place}.weight": weight, f"{place}.bias": _tensor(fields, "bias", place, path)}


def _norm(module: Any, place: int, path: Path) -> dict[str, Tensor]:
    """Batch norm. An epsilon other than ours is added to the variance, which is exact in evaluation mode."""
    fields = _expect(module, ("SpatialBatchNormalization",), place, path)
    norm = {f"{place}.{part}": _tensor(fields, part, place, path) for part in NORM}
    eps = fields.get("eps", EPS)
    if not isinstance(eps, float) or not 0 <= eps <= 1:
        raise ValueError(f"{path}: module {place} has eps = {_in_an_error(eps)}; a small positive number was expected.")
    if not math.isclose(eps, EPS, rel_tol=1e-6):
        norm[f"{place}.running_var"] = norm[f"{place}.running_var"] + (eps - EPS)
    return norm


def _expect(module: Any, kinds: Sequence[str], place: int, path: Path) -> dict[Any, Any]:
    """The fields of a module if it is of one of these kinds, from nn or cudnn."""
    kind = module.kind if isinstance(module, Torch7Object) else "nothing"
    library, _, name = kind.rpartition(".")
    if library not in ("nn", "cudnn") or name not in kinds:
        raise ValueError(
            f"{path}: module {place} is '{printable(kind)}', not nn.{kinds[0]}; it is not the paper's completion "
            "network."
        )
    return module.fields


def _in_an_error(value: Any) -> str:
    """A field for an error; tables and tensors, which may be very large, only by their type."""
    if isinstance(value, str):
        return f"'{printable(value)}'"
    return str(value) if isinstance(value, float | bool) else f"a {type(value).__name__}"


def _tensor(fields: dict[Any, Any], part: str, place: int, path: Path) -> Tensor:
    array = fields.get(part)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: module {place} has no tensor '{part}'.")
    if array.size > LARGEST_TENSOR:
        raise ValueError(f"{path}: '{part}' of module {place} has {array.size} numbers, more than the paper's network.")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused with its name
        return torch.from_numpy(np.array(array, dtype=np.float32))
