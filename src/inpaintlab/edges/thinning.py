"""Thick, soft lines made one pixel wide."""

import math

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d, spatial_gradient
from torch import Tensor

from inpaintlab.shapes import Planes

_SIGMA = 1.0
"""Of the Gaussian that the map is smoothed by, in pixels."""

_EQUAL = 1e-6
"""Probabilities that differ by less count as equal; interpolation rounds as much."""


@torch.no_grad()
def thin(soft: Planes) -> Planes:
    """Keep the crests of a map of edges: non-maximum suppression across the lines of the smoothed map.

    Across a line is the direction in which the smoothed map bends down most, that of the Hessian's lower eigenvalue;
    the gradient alone says nothing on the crest itself, where it is 0. A pixel stays if it is no lower than what lies
    a pixel away on one side and higher than that on the other, between pixels interpolated; so one of two equal
    neighbours stays. As with Canny, no edge lies on the border of the image.

    Args:
        soft: in [0, 1].

    Returns:
        The map itself on its crests, 0 elsewhere.
    """
    smooth = gaussian_blur2d(soft, (5, 5), (_SIGMA, _SIGMA), border_type="replicate")
    xx, xy, yy = spatial_gradient(smooth, mode="sobel", order=2)[:, 0].unbind(dim=1)
    across = torch.atan2(2 * xy, xx - yy) / 2 + math.pi / 2  # from the upper eigenvalue's direction to the lower one's
    right, down = across.cos(), across.sin()
    ahead = torch.where(right + 1e-3 * down < 0, -1.0, 1.0)  # one of both ends, the same for neighbours on a line
    right, down = right * ahead, down * ahead
    here = smooth[:, 0]
    crest = (here >= _beside(smooth, right, down) - _EQUAL) & (here > _beside(smooth, -right, -down) + _EQUAL)
    inside = torch.zeros_like(crest)
    inside[:, 1:-1, 1:-1] = True
    return torch.where((crest & inside)[:, None], soft, 0.0)


def _beside(plane: Planes, right: Tensor, down: Tensor) -> Tensor:
    """The map at the place that lies so many pixels away from each pixel."""
    height, width = plane.shape[-2:]
    rows = torch.arange(height, device=plane.device, dtype=plane.dtype)[:, None]
    columns = torch.arange(width, device=plane.device, dtype=plane.dtype)
    x, y = ((columns + right) * 2 + 1) / width - 1, ((rows + down) * 2 + 1) / height - 1
    grid = torch.stack([x, y], dim=-1)
    return F.grid_sample(plane, grid, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]
