"""GLCIC as otenim/GLCIC-PyTorch (3f9de13) publishes it: two state dicts, and the settings of their training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inpaintlab.importers.glcic import (
    LAYERS,
    TRANSPOSED,
    branch_names,
    branch_settings,
    completion_names,
    mean_of,
    side_of,
)
from inpaintlab.importers.layout import Found, Network, width_of
from inpaintlab.machine import read_json
from inpaintlab.readers import read_torch, tensors

LARGEST_CONFIG = 1_000_000  # bytes


def read(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read ``model_cn``, ``model_cd`` if it is given, and ``config.json``, which has the mean pixel.

    Args:
        paths: the files, in any order.
        mean_pixel: RGB in [0, 1], instead of the file's.

    Raises:
        ValueError: files of another kind, no completion network, or no mean pixel.
    """
    configs = [path for path in paths if path.suffix == ".json"]
    states = [(path, tensors(read_torch(path), path, "it")) for path in paths if path not in configs]
    completions = [(path, state) for path, state in states if "conv1.weight" in state]
    discriminators = [(path, state) for path, state in states if "model_ld.conv1.weight" in state]
    if (
        (len(completions), len(discriminators)) not in ((1, 0), (1, 1))
        or len(completions) + len(discriminators) != len(states)
        or len(configs) > 1
    ):
        raise ValueError(
            "Give one file with the completion network (model_cn, which has conv1.weight), at most one with the "
            "discriminators (model_cd, which has model_ld.conv1.weight) and config.json; got "
            f"{', '.join(map(str, paths))}."
        )
    config = _config(configs[0]) if configs else {}
    if mean_pixel is None and not configs:
        raise ValueError(
            "The mean pixel is missing, which is 'mpv' of config.json: give that file as well, or --mean-pixel R G B."
        )
    origin = f"'mpv' of {configs[0]}" if mean_pixel is None else "The mean pixel on the command line"
    mean = mean_of(config.get("mpv") if mean_pixel is None else mean_pixel, origin)
    path, theirs = completions[0]
    settings: dict[str, Any] = {"width": width_of(theirs, "conv1.weight", path), "mean_pixel": mean}
    stems = [("deconv" if i in TRANSPOSED else "conv") + str(i) for i in range(1, LAYERS + 1)]
    names = completion_names(stems, [f"bn{i}" for i in range(1, LAYERS)], norm_first=False)
    networks = [Network("completion", path, theirs, names)]
    size = 160
    for path, theirs in discriminators:
        network, size, branches = _discriminator(path, theirs, settings["width"])
        networks.append(network)
        settings |= branches
    absent = [] if discriminators else ["discriminator"]
    return Found("glcic_otenim", size, settings, networks, absent, {"mean_pixel": torch.tensor(mean)})


def _discriminator(path: Path, theirs: dict[str, Tensor], width: float) -> tuple[Network, int, dict[str, Any]]:
    """The network, the size of the image that it was built for, and the settings of its branches."""
    names: dict[str, str] = {}
    counts, sides = {}, {}
    for ours, branch in (("window", "model_ld"), ("whole", "model_gd")):
        count = 6 if f"{branch}.conv6.weight" in theirs else 5
        stems = [f"{branch}.conv{i}" for i in range(1, count + 1)]
        norms = [f"{branch}.bn{i}" for i in range(1, count + 1)]
        linear = f"{branch}.linear{count + 1}"
        names |= branch_names(ours, stems, norms, linear, norm_first=False)
        counts[ours], sides[ours] = count, side_of(theirs, linear, count, width, path)
    names |= {f"joint.{part}": f"linear1.{part}" for part in ("weight", "bias")}
    return Network("discriminator", path, theirs, names), sides["whole"], branch_settings(counts, sides, path)


def _config(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST_CONFIG:
        raise ValueError(f"{path} cannot be read as otenim's config.json (it is larger than {LARGEST_CONFIG} bytes).")
    return read_json(path, "otenim's config.json")
