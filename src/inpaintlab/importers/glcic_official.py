"""GLCIC as its authors publish it (satoshiiizuka/siggraph2017_inpainting): the completion network, for Torch7."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from inpaintlab.importers import torch7
from inpaintlab.importers.glcic import COUNTER, LAYERS, TRANSPOSED, completion_names, mean_of
from inpaintlab.importers.layout import Found, Network, Torch7Layers, width_of, zero_counter

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
    root = torch7.read(path)
    model = root.get("model") if isinstance(root, dict) else None
    modules = model.fields.get("modules") if isinstance(model, torch7.Torch7Object) else None
    if not isinstance(modules, dict):
        raise ValueError(f"{path} holds no completion network: it should be a table with 'model', an nn.Sequential.")
    if len(modules) != MODULES:
        raise ValueError(f"{path} has {len(modules)} modules; the paper's completion network has {MODULES}.")
    mean = root.get("mean")
    mean = [mean.get(place) for place in range(1, len(mean) + 1)] if isinstance(mean, dict) else mean
    mean = mean_of(mean if mean_pixel is None else mean_pixel, f"'mean' in {path}")

    layers = Torch7Layers(modules, path, "the paper's completion network", LARGEST_TENSOR)
    theirs: dict[str, Tensor] = {}
    for number in range(1, LAYERS + 1):
        place = 3 * (number - 1) + 1  # tables of Lua count from 1
        theirs |= _convolution(layers, number, place)
        if number < LAYERS:
            theirs |= {f"{place + 1}.{part}": tensor for part, tensor in layers.norm(place + 1).items()}
            layers.fields(place + 2, "ReLU")
    layers.fields(MODULES, "Sigmoid")

    places = [str(3 * (number - 1) + 1) for number in range(1, LAYERS + 1)]
    norms = [str(3 * (number - 1) + 2) for number in range(1, LAYERS)]
    names = completion_names(places, norms, norm_first=True)
    added = {our: zero_counter() for our in names if our.endswith(COUNTER)}
    names = {our: their for our, their in names.items() if our not in added}
    settings = {"width": width_of(theirs, "1.weight", path), "mean_pixel": mean}
    network = Network("completion", path, theirs, names, added=added)
    return Found("glcic", 256, settings, [network], ["discriminator"], {"mean_pixel": torch.tensor(mean)})


def _convolution(layers: Torch7Layers, number: int, place: int) -> dict[str, Tensor]:
    """Weight and bias of a layer, whose stride, dilation and padding, if given, must be the paper's."""
    kinds = ("SpatialFullConvolution",) if number in TRANSPOSED else _CONVOLUTIONS
    dilation = _DILATIONS.get(number, 1)
    padding = 2 if number == 1 else dilation
    steps = {"d": _STRIDES.get(number, 1), "dilation": dilation, "pad": padding, "adj": 0}
    settings = {f"{step}{axis}": value for step, value in steps.items() for axis in "WH"}
    weight = layers.convolution(place, kinds, 5 if number == 1 else 3, settings)
    return {f"{place}.weight": weight, f"{place}.bias": layers.tensor(place, kinds, "bias")}
