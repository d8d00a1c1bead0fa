"""GLCIC as mmagic (0a560bb) publishes it: global_local, one file with both networks, trained on BGR."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inpaintlab.importers.glcic import branch_names, branch_settings, completion_names, side_of
from inpaintlab.importers.layout import Found, Network, width_of
from inpaintlab.readers import read_torch, table, tensors


def read(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read one file whose 'state_dict' holds both networks. They were trained on BGR, which is undone here exactly.

    Args:
        paths: one file.
        mean_pixel: None, because this network fills the hole with mid-gray.

    Raises:
        ValueError: more than one file, another kind of file, or a mean pixel.
    """
    if len(paths) != 1:
        raise ValueError(f"mmagic's global_local is one file; got {len(paths)}.")
    if mean_pixel is not None:
        raise ValueError("mmagic's network fills the hole with mid-gray; leave the mean pixel out.")
    path = paths[0]
    content = table(read_torch(path))
    if content is None or "state_dict" not in content:
        raise ValueError(f"{path} is not a checkpoint of mmagic: it has no entry 'state_dict'.")
    theirs = tensors(content["state_dict"], path, "state_dict")
    discriminator = {key: tensor for key, tensor in theirs.items() if key.startswith("disc.")}
    completion = {key: tensor for key, tensor in theirs.items() if key not in discriminator}
    settings: dict[str, Any] = {"width": width_of(completion, "generator.encoder.enc1.conv.weight", path)}
    stems = [f"generator.encoder.enc{i}" for i in range(1, 7)]
    stems += [f"generator.dilation_neck.dilation_convs.{i}" for i in range(4)]
    stems += [f"generator.decoder.dec{i}" for i in range(1, 8)]
    convolutions, norms = [f"{stem}.conv" for stem in stems], [f"{stem}.bn" for stem in stems[:-1]]
    names = completion_names(convolutions, norms, norm_first=True, bias=False)
    networks = [Network("completion", path, completion, names, _completion_to_rgb)]
    size = 256
    if discriminator:
        network, size, branches = _discriminator(path, discriminator, settings["width"])
        networks.append(network)
        settings |= branches
    absent = [] if discriminator else ["discriminator"]
    return Found("glcic_mmagic", size, settings, networks, absent, {"mean_pixel": torch.full((3,), 0.5)})


def _discriminator(path: Path, theirs: dict[str, Tensor], width: float) -> tuple[Network, int, dict[str, Any]]:
    """The network, the size of the image that it was built for, and the settings of its branches."""
    names: dict[str, str] = {}
    counts, sides = {}, {}
    for ours, branch in (("window", "disc.local_disc"), ("whole", "disc.global_disc")):
        count = 6 if f"{branch}.conv6.conv.weight" in theirs else 5
        stems = [f"{branch}.conv{i}" for i in range(1, count + 1)]
        convolutions, norms = [f"{stem}.conv" for stem in stems], [f"{stem}.bn" for stem in stems]
        linear = f"{branch}.fc.linear"
        names |= branch_names(ours, convolutions, norms, linear, norm_first=True, bias=False)
        counts[ours], sides[ours] = count, side_of(theirs, linear, count, width, path)
    names |= {f"joint.{part}": f"disc.fc.{part}" for part in ("weight", "bias")}
    network = Network("discriminator", path, theirs, names, _discriminator_to_ours)
    return network, sides["whole"], branch_settings(counts, sides, path)


def _completion_to_rgb(weights: dict[str, Tensor]) -> None:
    """From BGR in and out to RGB: the colour planes change places, the mask stays the fourth plane."""
    weights["layers.0.0.weight"] = weights["layers.0.0.weight"][:, [2, 1, 0, 3]].contiguous()
    for part in ("weight", "bias"):
        weights[f"layers.16.{part}"] = weights[f"layers.16.{part}"].flip(0)


def _discriminator_to_ours(weights: dict[str, Tensor]) -> None:
    """From BGR to RGB, and the joint layer's columns from global, local to local, global."""
    for branch in ("window", "whole"):
        weights[f"{branch}.0.0.weight"] = weights[f"{branch}.0.0.weight"].flip(1)
    weights["joint.weight"] = weights["joint.weight"].roll(weights["joint.weight"].shape[1] // 2, dims=1)
