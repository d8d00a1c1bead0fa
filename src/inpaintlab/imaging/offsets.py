"""Displacements as colours."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def offset_colours(sources: Int[Tensor, "batch rows columns"]) -> Float[Tensor, "batch 3 rows columns"]:
    """Where each place's nearest source lies, as a colour: its direction is the hue, its distance the saturation.

    Right is red, down yellow-green, left cyan and up violet; white is the place itself, grey has no source (-1).
    """
    rows, columns = sources.shape[-2:]
    down = sources // columns - torch.arange(rows, device=sources.device)[:, None]
    right = sources % columns - torch.arange(columns, device=sources.device)
    hue = torch.atan2(down.float(), right.float())[:, None]
    angles = hue - torch.tensor([0.0, 2 / 3, 4 / 3], device=sources.device).view(3, 1, 1) * torch.pi
    far = (down.float().square() + right.float().square()).sqrt()[:, None] / max((rows**2 + columns**2) ** 0.5, 1)
    colours = 1 - far.sqrt() * (1 - (0.5 + angles.cos()).clamp(0, 1))
    return torch.where(sources[:, None] < 0, 0.5, colours)
