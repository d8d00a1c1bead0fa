"""Context Encoder for the centre as its authors (Torch7) and BoyuanJiang (PyTorch) publish it: one file with G."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from inpaintlab.importers import torch7
from inpaintlab.importers.layout import Found, Network, Torch7Layers, width_of, zero_counter
from inpaintlab.importers.pickles import read as unpickled
from inpaintlab.importers.pickles import table, tensors

SIZE = 128  # pixels; both were trained on squares of it

MOST_FEATURES = 4000
"""In the bottleneck; the authors' network."""

ENCODER, MODULES = 15, 17
"""Modules of the authors' encoder, which is the first module of the whole."""

NORM = ("weight", "bias", "running_mean", "running_var")


def _layers() -> Iterator[tuple[str, int, bool]]:
    """Our name of each convolution's stage, its place among all modules from 0, and whether a batch norm follows."""
    for index in range(6):
        yield f"encoder.{index}", max(0, 3 * index - 1), index > 0
    for index in range(5):
        yield f"decoder.{index}", 17 + 3 * index, index < 4


def read_official(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read one ``.t7`` file, the generator. Biases that training left in it are applied.

    Args:
        paths: one file.
        mean_pixel: None, because what fills the hole is part of this network.

    Raises:
        ValueError: more than one file, another kind of file, or layers that are not the authors'.
    """
    path = _only(paths, mean_pixel)
    root = torch7.read(path)
    outer = _children(root)
    inner = _children(outer.get(1)) if outer is not None else None
    if outer is None or inner is None or (len(inner), len(outer)) != (ENCODER, MODULES):
        raise ValueError(
            f"{path} does not hold this network: it should be an nn.Sequential of {MODULES} modules, the first of them "
            f"one of {ENCODER}."
        )
    flat = {place - 1: inner.get(place) for place in range(1, ENCODER + 1)}
    flat |= {ENCODER + place - 2: outer.get(place) for place in range(2, MODULES + 1)}
    layers = Torch7Layers(flat, path, "the authors' network", MOST_FEATURES * 512 * 4 * 4)
    theirs: dict[str, Tensor] = {}
    biases: dict[str, Tensor] = {}
    for ours, place, normed in _layers():
        encodes, stride = ours.startswith("encoder"), 1 if place in (14, 17) else 2
        kinds = ("SpatialConvolution", "SpatialConvolutionMM") if encodes else ("SpatialFullConvolution",)
        steps = {"k": 4, "d": stride, "pad": stride // 2, "adj": 0}
        settings = {f"{step}{axis}": value for step, value in steps.items() for axis in "WH"}
        theirs[f"{place}.weight"] = weight = layers.convolution(place, kinds, 4, settings)
        if layers.fields(place, *kinds).get("bias") is None:
            biases[f"{place}.bias"] = torch.zeros(weight.shape[0 if encodes else 1] if weight.ndim == 4 else 0)
        else:
            biases[f"{place}.bias"] = layers.tensor(place, kinds, "bias")
        if normed:
            theirs |= {f"{place + 1}.{part}": tensor for part, tensor in layers.norm(place + 1).items()}
        if place == 29:
            layers.fields(30, "Tanh")
        elif encodes:
            layers.require(place + 1 + normed, ("LeakyReLU",), {"negval": 0.2})
        else:
            layers.fields(place + 2, "ReLU")
    biased = any((bias != 0).any() for bias in biases.values())
    return _found("context_encoder", path, theirs | (biases if biased else {}), biased=biased)


def read_boyuanjiang(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read one file whose 'state_dict' holds the generator.

    Args:
        paths: one file.
        mean_pixel: None, because what fills the hole is part of this network.

    Raises:
        ValueError: more than one file, another kind of file, or layers that are not this network's.
    """
    path = _only(paths, mean_pixel)
    content = table(unpickled(path))
    if content is None or "state_dict" not in content:
        raise ValueError(f"{path} is not a checkpoint of BoyuanJiang's: it has no entry 'state_dict'.")
    theirs = tensors(content["state_dict"], path, "state_dict")
    return _found("context_encoder_boyuanjiang", path, theirs, before="main.")


def _only(paths: Sequence[Path], mean_pixel: Sequence[float] | None) -> Path:
    if len(paths) != 1:
        raise ValueError(f"Context Encoder is one file; got {len(paths)}.")
    if mean_pixel is not None:
        raise ValueError("Context Encoder has its own colour in the hole; leave the mean pixel out.")
    return paths[0]


def _children(module: object) -> dict[int | str | bool, object] | None:
    """The modules of an nn.Sequential by their places from 1; None if it is none."""
    if not isinstance(module, torch7.Torch7Object) or module.kind != "nn.Sequential":
        return None
    modules = module.fields.get("modules")
    return modules if isinstance(modules, dict) else None


def _found(preset: str, path: Path, theirs: dict[str, Tensor], *, before: str = "", biased: bool = False) -> Found:
    """The network of these tensors, which are called by the place of their module.

    Args:
        preset: the model of ours.
        path: the file.
        theirs: the file's tensors.
        before: the beginning of their names.
        biased: whether convolutions have biases.
    """
    names = {}
    for ours, place, normed in _layers():
        names[f"{ours}.0.weight"] = f"{before}{place}.weight"
        if biased:
            names[f"{ours}.0.bias"] = f"{before}{place}.bias"
        if normed:
            names |= {f"{ours}.1.{part}": f"{before}{place + 1}.{part}" for part in NORM}
    counters = {
        f"{ours}.1.num_batches_tracked": f"{before}{place + 1}.num_batches_tracked"
        for ours, place, normed in _layers()
        if normed
    }
    counted = not theirs.keys().isdisjoint(counters.values())  # PyTorch counts since 0.4.1, Torch7 never did
    added = {} if counted else {our: zero_counter() for our in counters}
    names |= counters if counted else {}
    settings = {
        "width": width_of(theirs, f"{before}0.weight", path),
        "bottleneck": _features(theirs, f"{before}14.weight", path),
        "bias": biased,
    }
    network = Network("generator", path, theirs, names, added=added)
    return Found(preset, SIZE, settings, [network], ["discriminator"])


def _features(theirs: dict[str, Tensor], key: str, path: Path) -> int:
    """The number of features in the bottleneck.

    Raises:
        ValueError: the tensor is missing, no convolution, or has more features than what was published.
    """
    weight = theirs.get(key)
    if weight is None or weight.ndim != 4 or not 1 <= weight.shape[0] <= MOST_FEATURES:
        found = "is missing" if weight is None else f"has shape {tuple(weight.shape)}"
        raise ValueError(f"{path}: {key} {found}; it should be a convolution with up to {MOST_FEATURES} features.")
    return weight.shape[0]
