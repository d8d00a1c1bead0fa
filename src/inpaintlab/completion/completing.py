"""Filling the holes of a user's photographs."""

import hashlib
import json
from typing import Any

import torch
from omegaconf import DictConfig

from inpaintlab.completion.originals import filled, save_png
from inpaintlab.completion.photographs import Photograph, read_photograph
from inpaintlab.data import image_tensor
from inpaintlab.inpainting import Inpainter, computing
from inpaintlab.machine import file_sha256, shown

_DECIDING = ("hole_colour", "threshold", "blend")
"""Settings beside the method that decide pixels."""


def hash_of(photograph: Photograph, identity: dict[str, Any], cfg: DictConfig) -> str:
    """A hash of all that a completed photograph follows from: its files, the method and the settings.

    Args:
        photograph: its files.
        identity: of the method, see `build_method`.
        cfg: the settings of ``inpaintlab complete``.
    """
    method = {key: identity[key] for key in ("config", "seed", "switches")}
    weights = identity["checkpoint"] and identity["checkpoint"]["sha256"]
    files = [photograph.image, photograph.mask, *([photograph.edges] if photograph.edges else [])]
    content = {
        **method,
        "weights": weights,
        "precision": cfg.trainer.precision,
        "files": [file_sha256(file) for file in files],
        **{key: cfg[key] for key in _DECIDING},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def complete_photograph(model: Inpainter, photograph: Photograph, cfg: DictConfig, made: str) -> str:
    """Complete one photograph, and write it whole or not at all.

    Args:
        model: on its device, with its weights.
        photograph: the files to read and to write.
        cfg: the settings of ``inpaintlab complete``.
        made: see `hash_of`; it is kept in the file.

    Returns:
        A line for the terminal: the files, the share of the image that was filled, and what could not be kept.

    Raises:
        ValueError: files that cannot be read, or sizes that differ.
        OSError: the file cannot be written.
    """
    contents = read_photograph(photograph, cfg)
    original, mask = contents.original, contents.mask
    share = mask.mean().item()
    if share == 0:
        picture = original.picture
        low, high = contents.greys
        note = f"the mask has no hole (no {cfg.hole_colour} pixel; its grey values run from {low} to {high} of 255): "
        note += "the image as it was"
    else:
        device = model.device
        image = image_tensor(original.rgb)[None].to(device)
        drawing = None if contents.edges is None else contents.edges.to(device)
        with computing(cfg.trainer.precision, device):
            completed = model.complete(image, mask.to(device), drawing, blended=cfg.blend)
        fill = completed[0].clamp(0, 1).permute(1, 2, 0).to("cpu", torch.float32).numpy()
        picture = filled(original, fill, mask[0, 0].bool().numpy())
        note = f"{share:.1%} filled" if share < 1 else "all hole: nothing of the image is left"
    photograph.out.parent.mkdir(parents=True, exist_ok=True)
    save_png(picture, original, made, photograph.out)
    lost = f"; not kept: {', '.join(original.lost)}" if original.lost else ""
    return f"{shown(photograph.image)} -> {shown(photograph.out)}: {note}{lost}"
