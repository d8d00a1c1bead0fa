"""Contextual Attention as its authors (JiahuiYu/generative_inpainting, v1.0.0, 06cd62c), daa233 (c6cdaea) and mmagic
(0a560bb) publish it. Colours stay in the order in which each was trained, which the presets know.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inpaintlab.importers.layout import Found, Network, width_of
from inpaintlab.layers import channels
from inpaintlab.readers import read_tensorflow1, read_torch, table, tensorflow1_files, tensors

SIZE = 256  # pixels; all were trained on squares of it

_ENCODER = ("conv1", "conv2_downsample", "conv3", "conv4_downsample", "conv5", "conv6")
_ATROUS = tuple(f"conv{number}_atrous" for number in range(7, 11))
_DECODER = ("conv11", "conv12", "conv13_upsample", "conv14", "conv15_upsample", "conv16", "conv17")

LAYERS: Mapping[str, tuple[str, ...]] = {
    "coarse": (*_ENCODER, *_ATROUS, *_DECODER),
    "refinement.hallucination": tuple(f"x{name}" for name in (*_ENCODER, *_ATROUS)),
    "refinement.matching": tuple(f"pm{name}" for name in _ENCODER),
    "refinement.matched": ("pmconv9", "pmconv10"),
    "refinement.joint": tuple(f"all{name}" for name in _DECODER),
}
"""Our names of the generator's convolutions, by its parts; the names are the authors'."""

BRANCHES = ("local", "global")
WIDEST = {"local": 512, "global": 256}
"""Channels of the critics' last convolution; daa233's local one has 256."""

_STATE = {"lr", "global_step", "beta1_power", "beta2_power"}
"""Of the optimizer, in snapshots of the authors' training; beside these, each variable's /Adam and /Adam_1."""


def read_official(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read a checkpoint of TensorFlow 1: the generator, and the critics if it holds them. That of Places2 does not.

    Args:
        paths: its folder, or its files.
        mean_pixel: None, because this network gets no colour in the hole.

    Raises:
        ValueError: no checkpoint of this network, or a mean pixel.
    """
    _require_no_mean_pixel(mean_pixel)
    arrays = read_tensorflow1(paths, lambda name: not name.endswith(("/Adam", "/Adam_1")))
    path = paths[0]
    steps = arrays.get("global_step")
    iterations = int(steps) if steps is not None and steps.shape == () and steps.dtype.kind == "i" else -1
    theirs = {name: _turned(array) for name, array in arrays.items() if name not in _STATE}
    critics = {name: tensor for name, tensor in theirs.items() if name.startswith("discriminator/")}
    generator = {name: tensor for name, tensor in theirs.items() if name not in critics}

    def stem(part: str, name: str) -> str:
        nested = f"/{name}_conv" if name.endswith("_upsample") else ""
        return f"inpaint_net/{name}{nested}"

    def critic(branch: str, number: int | None) -> str:
        return f"discriminator/{f'discriminator_{branch}/conv{number}' if number else f'dout_{branch}_fc'}"

    settings: dict[str, Any] = {"width": width_of(generator, "inpaint_net/conv1/kernel", path, 32)}
    networks = [Network("generator", path, generator, _generator_names(stem, "/kernel", "/bias"))]
    size = SIZE
    if critics:
        names = _critic_names(critic, "/kernel", "/bias", linear="")
        size, settings["patch_size"] = _sizes(critics, critic, "/kernel", settings["width"], WIDEST, path)
        networks.append(Network("critics", path, critics, names, _rows_last))
    return Found(
        "contextual_attention",
        size,
        settings,
        networks,
        [] if critics else ["critics"],
        iterations=iterations if iterations >= 0 else None,
        files=tensorflow1_files(paths),
    )


def read_daa233(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read the file of the generator and, if it is given, that of both critics; or the one of converted weights.

    The converted weights, under 'netG.', are the authors', so they want the authors' padding and order of colours.

    Args:
        paths: one or two files, in any order.
        mean_pixel: None, because this network gets no colour in the hole.

    Raises:
        ValueError: other files, one kind twice, no generator, or a mean pixel.
    """
    _require_no_mean_pixel(mean_pixel)
    found: dict[str, tuple[Path, dict[str, Tensor]]] = {}
    for path in paths:
        kind, theirs = _daa233_state(path)
        if kind in found:
            raise ValueError(f"{path} and {found[kind][0]} both hold the {kind}.")
        found[kind] = path, theirs
    if "generator" not in found:
        raise ValueError("No file holds the generator (gen_*.pt or torch_model.p); give it as well.")
    path, generator = found["generator"]
    converted = any(key.startswith("netG.") for key in generator)
    if converted and "critics" in found:
        raise ValueError(f"{path} holds the authors' weights, which no critics of daa233's belong to.")
    prefix = "netG." if converted else ""

    def stem(part: str, name: str) -> str:
        own = name.removesuffix("_upsample")
        return f"{prefix}coarse_generator.{own}" if part == "coarse" else f"{prefix}fine_generator.{own.lstrip('x')}"

    def critic(branch: str, number: int | None) -> str:
        return f"{branch}D.{f'dis_conv_module.conv{number}' if number else 'linear'}"

    settings: dict[str, Any] = {"width": width_of(generator, f"{stem('coarse', 'conv1')}.conv.weight", path, 32)}
    networks = [Network("generator", path, generator, _generator_names(stem, ".conv.weight", ".conv.bias"))]
    size = SIZE
    if "critics" in found:
        path, critics = found["critics"]
        names = _critic_names(critic, ".conv.weight", ".conv.bias", linear=".")
        widest = {"local": 256, "global": 256}
        size, settings["patch_size"] = _sizes(critics, critic, ".weight", settings["width"], widest, path)
        networks.append(Network("critics", path, critics, names))
    preset = "contextual_attention" if converted else "contextual_attention_daa233"
    return Found(preset, size, settings, networks, [] if "critics" in found else ["critics"])


def read_mmagic(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read one file whose 'state_dict' holds the generator and, unless they were left out, both critics.

    Args:
        paths: one file.
        mean_pixel: None, because this network gets no colour in the hole.

    Raises:
        ValueError: more than one file, another kind of file, or a mean pixel.
    """
    _require_no_mean_pixel(mean_pixel)
    if len(paths) != 1:
        raise ValueError(f"mmagic's deepfillv1 is one file; got {len(paths)}.")
    path = paths[0]
    content = table(read_torch(path))
    if content is None or "state_dict" not in content:
        raise ValueError(f"{path} is not a checkpoint of mmagic's: it has no entry 'state_dict'.")
    theirs = tensors(content["state_dict"], path, "state_dict")
    fuse = "generator.stage2.contextual_attention_neck.contextual_attention.fuse_kernel"
    if fuse in theirs and torch.equal(theirs[fuse].float(), torch.eye(3).view(1, 1, 3, 3)):
        del theirs[fuse]  # of the attention's second step, a constant
    critics = {key: tensor for key, tensor in theirs.items() if key.startswith("disc.")}
    generator = {key: tensor for key, tensor in theirs.items() if key not in critics}

    def critic(branch: str, number: int | None) -> str:
        return f"disc.{branch}_disc.{f'conv{number}' if number else 'fc'}"

    first = "generator.stage1.encoder.enc1.conv.weight"
    settings: dict[str, Any] = {"width": width_of(generator, first, path, 32)}
    names = _generator_names(_mmagic_stem, ".conv.weight", ".conv.bias")
    networks = [Network("generator", path, generator, names)]
    size = SIZE
    if critics:
        names = _critic_names(critic, ".conv.weight", ".conv.bias", linear=".linear.")
        size, settings["patch_size"] = _sizes(critics, critic, ".linear.weight", settings["width"], WIDEST, path)
        networks.append(Network("critics", path, critics, names))
    return Found("contextual_attention_mmagic", size, settings, networks, [] if critics else ["critics"])


def _require_no_mean_pixel(mean_pixel: Sequence[float] | None) -> None:
    if mean_pixel is not None:
        raise ValueError("Contextual Attention gets no colour in the hole; leave the mean pixel out.")


def _turned(array: Any) -> Tensor:
    """A tensor of TensorFlow's in torch's order: outputs, inputs, rows, columns; or outputs, inputs."""
    tensor = torch.from_numpy(array.copy())
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1)
    return tensor.T if tensor.ndim == 2 else tensor


def _rows_last(weights: dict[str, Tensor]) -> None:
    """From inputs of the dense layers by rows, columns and channels to channels, rows and columns."""
    for branch in BRANCHES:
        name, count = f"{branch}_critic.dense.weight", len(weights[f"{branch}_critic.conv4.convolution.bias"])
        side = math.isqrt(weights[name].shape[1] // count)
        weights[name] = weights[name].reshape(1, side, side, count).permute(0, 3, 1, 2).reshape(1, -1).contiguous()


def _daa233_state(path: Path) -> tuple[str, dict[str, Tensor]]:
    """'generator' or 'critics', and the tensors; those of critics by both names, such as 'localD.linear.bias'."""
    content = table(read_torch(path))
    if content is None:
        raise ValueError(f"{path} is none of daa233's files: it holds no table.")
    if not {"localD", "globalD"} & content.keys():
        return "generator", tensors(content, path, "it")
    if extra := [str(key) for key in content.keys() - {"localD", "globalD"}]:
        raise ValueError(f"{path} holds more than the critics 'localD' and 'globalD': {len(extra)} other entries.")
    found: dict[str, Tensor] = {}
    for part in ("localD", "globalD"):
        found |= {f"{part}.{key}": tensor for key, tensor in tensors(content.get(part), path, part).items()}
    return "critics", found


def _mmagic_stem(part: str, name: str) -> str:
    """mmagic's name of a convolution, by its place in its part."""
    place = LAYERS[part].index(name)
    if part == "refinement.matched":
        return f"generator.stage2.contextual_attention_neck.conv{place + 1}"
    stage = "generator.stage1" if part == "coarse" else "generator.stage2"
    if part == "refinement.joint":
        return f"{stage}.decoder.dec{place + 1}"
    if place < len(_ENCODER):
        own = {"coarse": "", "refinement.hallucination": "_conv", "refinement.matching": "_attention"}[part]
        return f"{stage}.encoder{own}.enc{place + 1}"
    place -= len(_ENCODER)
    if place < len(_ATROUS):
        return f"{stage}.dilation_neck.dilation_convs.{place}"
    return f"{stage}.decoder.dec{place - len(_ATROUS) + 1}"


def _generator_names(stem: Callable[[str, str], str], weight: str, bias: str) -> dict[str, str]:
    """Our name of each tensor to theirs, from their name of a convolution and the endings of its tensors."""
    return {
        f"{part}.{name}.convolution.{kind}": f"{stem(part, name)}{ending}"
        for part, names in LAYERS.items()
        for name in names
        for kind, ending in (("weight", weight), ("bias", bias))
    }


def _critic_names(critic: Callable[[str, int | None], str], weight: str, bias: str, *, linear: str) -> dict[str, str]:
    """The same for the critics.

    Args:
        critic: their name of a branch's convolution, or of its dense layer for None.
        weight: the ending of a convolution's weight.
        bias: the ending of its bias.
        linear: what stands between the dense layer and 'weight' or 'bias'; "" where it ends as a convolution.
    """
    names: dict[str, str] = {}
    for branch in BRANCHES:
        ours = f"{branch}_critic"
        for number in range(1, 5):
            names[f"{ours}.conv{number}.convolution.weight"] = f"{critic(branch, number)}{weight}"
            names[f"{ours}.conv{number}.convolution.bias"] = f"{critic(branch, number)}{bias}"
        for kind, ending in (("weight", weight), ("bias", bias)):
            names[f"{ours}.dense.{kind}"] = f"{critic(branch, None)}{f'{linear}{kind}' if linear else ending}"
    return names


def _sizes(
    theirs: Mapping[str, Tensor],
    critic: Callable[[str, int | None], str],
    weight: str,
    width: float,
    widest: Mapping[str, int],
    path: Path,
) -> tuple[int, int]:
    """The sides in pixels that the global and the local critic were built for, from the inputs of their dense layers.

    Each of four convolutions halves the side and rounds up, so several sides fit; these are the ones without rounding.
    """
    sides = {}
    for branch in BRANCHES:
        name = f"{critic(branch, None)}{weight}"
        dense = theirs.get(name)
        if dense is None or dense.ndim != 2 or dense.shape[0] != 1:
            raise ValueError(f"{path}: {name} is missing or no dense layer with one output.")
        cells, remainder = divmod(dense.shape[1], channels(widest[branch], width))
        sides[branch] = 16 * math.isqrt(cells)
        if remainder or not cells or math.isqrt(cells) ** 2 != cells:
            raise ValueError(f"{path}: {name} has {dense.shape[1]} inputs, which is no square of features.")
    if sides["local"] > sides["global"]:
        raise ValueError(
            f"{path}: its local critic is built for {sides['local']} pixels, its global one for {sides['global']}; a "
            "window lies inside its image."
        )
    return sides["global"], sides["local"]
