"""Partial convolutions as naoto0804 (8d64e7e) and mmagic (0a560bb) publish them: one file with the U-Net."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inpaintlab.importers.layout import Found, Network, width_of
from inpaintlab.readers import read_torch, table, tensors

SIZE = 256  # pixels; both were trained on squares of it
MOST_LEVELS = 10

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def read_naoto0804(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read one file whose 'model' holds the U-Net.

    There a window's output is divided by the number of valid entries, here by their share of all entries; so its
    weights are divided by the number of entries. The numbers behind each convolution stay the same.

    Args:
        paths: one file.
        mean_pixel: None, because this network gets no colour in the hole.

    Raises:
        ValueError: more than one file, another kind of file, or a mean pixel.
    """
    path, content = _content(paths, mean_pixel, "model", "a checkpoint of naoto0804's")
    theirs = tensors(content["model"], path, "model")
    levels = _levels(theirs, "enc_{}.conv.input_conv.weight", path)
    theirs = _without_ones(theirs, ".mask_conv.weight", ".input_conv.weight")

    def stem(network: str, level: int) -> str:
        return f"{'enc' if network == 'encoder' else 'dec'}_{level}"

    names = _names(levels, stem, "conv.input_conv.weight", "conv.input_conv.bias", first_bias=False)
    settings = {"levels": levels, "width": width_of(theirs, "enc_1.conv.input_conv.weight", path)}
    network = Network("network", path, theirs, names, _to_shares)
    iterations = content.get("n_iter")
    known = type(iterations) is int and 0 <= iterations < 2**53
    return Found(
        "partial_convolution_naoto0804", SIZE, settings, [network], [], iterations=iterations if known else None
    )


def read_mmagic(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read one file whose 'state_dict' holds the U-Net. It was trained on BGR, which is undone here exactly.

    Args:
        paths: one file.
        mean_pixel: None, because this network gets no colour in the hole.

    Raises:
        ValueError: more than one file, another kind of file, or a mean pixel.
    """
    path, content = _content(paths, mean_pixel, "state_dict", "a checkpoint of mmagic's")
    theirs = tensors(content["state_dict"], path, "state_dict")
    levels = _levels(theirs, "generator.encoder.enc{}.conv.weight", path)
    theirs = _without_ones(theirs, ".weight_mask_updater", ".weight")
    theirs = {key: tensor for key, tensor in theirs.items() if not key.startswith("loss_percep.")}  # VGG-16

    def stem(network: str, level: int) -> str:
        return f"generator.{network}.{network[:3]}{level}"

    names = _names(levels, stem, "conv.weight", "conv.bias", first_bias=True)
    settings = {"levels": levels, "width": width_of(theirs, "generator.encoder.enc1.conv.weight", path)}
    network = Network("network", path, theirs, names, _to_rgb)
    return Found("partial_convolution_mmagic", SIZE, settings, [network], [])


def _content(
    paths: Sequence[Path], mean_pixel: Sequence[float] | None, part: str, kind: str
) -> tuple[Path, dict[Any, Any]]:
    if len(paths) != 1:
        raise ValueError(f"Partial convolutions are one file; got {len(paths)}.")
    if mean_pixel is not None:
        raise ValueError("Partial convolutions get no colour in the hole; leave the mean pixel out.")
    content = table(read_torch(paths[0]))
    if content is None or part not in content:
        raise ValueError(f"{paths[0]} is not {kind}: it has no entry '{part}'.")
    return paths[0], content


def _levels(theirs: dict[str, Tensor], encoder: str, path: Path) -> int:
    """The number of the encoder's layers, whose weights are called ``encoder``."""
    levels = next(level for level in range(MOST_LEVELS + 1) if encoder.format(level + 1) not in theirs)
    if levels < 2:
        raise ValueError(f"{path} does not hold this network: {encoder.format(levels + 1)} is missing.")
    return levels


def _without_ones(theirs: dict[str, Tensor], ending: str, weight: str) -> dict[str, Tensor]:
    """Leave out the constants by which these implementations count valid entries: all ones, shaped like a weight.

    Args:
        theirs: the file's tensors.
        ending: of a constant's name.
        weight: the ending of its weight's name.
    """
    ones = {
        key
        for key, tensor in theirs.items()
        if key.endswith(ending) and (kernel := theirs.get(key.removesuffix(ending) + weight)) is not None
        if tensor.shape == kernel.shape and (tensor == 1).all()
    }
    return {key: tensor for key, tensor in theirs.items() if key not in ones}


def _names(levels: int, stem: Callable[[str, int], str], weight: str, bias: str, *, first_bias: bool) -> dict[str, str]:
    """Our name of each tensor to theirs, from their names of a layer and of its parts; our decoder begins below."""
    names: dict[str, str] = {}
    for level in range(1, levels + 1):
        for network, index in (("encoder", level - 1), ("decoder", levels - level)):
            ours, their = f"{network}.{index}", stem(network, level)
            names[f"{ours}.partial.convolution.weight"] = f"{their}.{weight}"
            if level > 1:
                names |= {f"{ours}.norm.{part}": f"{their}.bn.{part}" for part in NORM}
            elif network == "decoder" or first_bias:
                names[f"{ours}.partial.bias"] = f"{their}.{bias}"
    return names


def _to_shares(weights: dict[str, Tensor]) -> None:
    """From a sum over a window that is divided by the number of its valid entries to one divided by their share."""
    for name, weight in weights.items():
        if name.endswith("partial.convolution.weight"):
            weights[name] = (weight.double() / weight[0].numel()).to(weight.dtype)


def _to_rgb(weights: dict[str, Tensor]) -> None:
    """From BGR in and out to RGB, also in the last layer's input, which ends in the image."""
    first = "encoder.0.partial.convolution.weight"
    weights[first] = weights[first].flip(1)
    (bias,) = (name for name in weights if name.startswith("decoder.") and name.endswith(".partial.bias"))
    last = bias.replace(".bias", ".convolution.weight")
    weight = weights[last].flip(0)
    weights[last] = torch.cat([weight[:, :-3], weight[:, -3:].flip(1)], dim=1)
    weights[bias] = weights[bias].flip(0)
