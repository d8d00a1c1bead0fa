"""From coarse to fine: how large the levels are, what is known in them, and what one hands to the next."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt

from inpaintlab.patches.field import Targets, known_patches


def geometric_sizes(full: tuple[int, ...], smallest: int, ratio: float) -> list[tuple[int, int]]:
    """Heights and widths of the levels, the coarsest first; the last is the image's own.

    Args:
        full: height and width of the image, in pixels.
        smallest: the coarsest level's shorter side, unless the image's own is shorter.
        ratio: of a level to the next finer one, below 1.
    """
    height, width = full
    shorter = min(full)
    fewer = int(np.floor(np.log(smallest / shorter) / np.log(ratio) + 1e-6)) if shorter > smallest else 0
    scales = [ratio**step for step in range(fewer, 0, -1)]
    return [(max(1, round(height * scale)), max(1, round(width * scale))) for scale in scales] + [(height, width)]


def fitting_patch(hole: Bool[np.ndarray, "height width"], size: int) -> int | None:
    """The largest odd patch of 3 to ``size`` pixels that is known somewhere; None if there is none."""
    return next((odd for odd in range(size - (size + 1) % 2, 2, -2) if known_patches(hole, odd).any()), None)


def shortfall(size: int, wanted: int) -> list[str]:
    """What there is to tell of a search with patches of this size: nothing if it is the wanted one."""
    return [f"no patch of {wanted} pixels is known: searched with patches of {size}"] if size < wanted else []


def shrunk(
    image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"], size: tuple[int, int]
) -> tuple[Float[np.ndarray, "rows columns 3"], Bool[np.ndarray, "rows columns"]]:
    """Means of the known pixels over areas, and the hole: areas of which less than half is known.

    Args:
        image: 0 in the hole.
        hole: True in the hole.
        size: wanted height and width.
    """
    if size == hole.shape:
        return image, hole
    target = size[::-1]
    share = cv2.resize((~hole).astype(np.float32), target, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(image, target, interpolation=cv2.INTER_AREA)
    return sums / np.maximum(share, 1e-6)[..., None], share < 0.5


def from_nearest(
    image: Float[np.ndarray, "height width channels"], hole: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width channels"]:
    """The image with the nearest known pixel at each pixel of the hole, which leaves at least one known."""
    rows, columns = distance_transform_edt(hole, return_distances=False, return_indices=True)
    return image[rows, columns]


def carried(matches: Int[np.ndarray, "coarse 2"], coarse: Targets, fine: Targets) -> Int[np.ndarray, "fine 2"]:
    """The matches of a finer level's targets: the displacements of the nearest coarser ones, scaled.

    They may lie anywhere, also outside the image.

    Args:
        matches: rows and columns of the coarser level's sources.
        coarse: its targets.
        fine: those of the finer level.
    """
    scale = np.array(fine.number.shape) / coarse.number.shape
    centres = np.stack([fine.rows, fine.columns], axis=1)
    below = np.floor((centres + 0.5) / scale).astype(np.int64).clip(0, np.array(coarse.number.shape) - 1)
    nearest = distance_transform_edt(coarse.number < 0, return_distances=False, return_indices=True)
    number = coarse.number[tuple(nearest[:, below[:, 0], below[:, 1]])]
    displacements = matches[number] - np.stack([coarse.rows, coarse.columns], axis=1)[number]
    return (centres + np.rint(displacements * scale)).astype(np.int32)


def inside(
    matches: Int[np.ndarray, "targets 2"], valid: Bool[np.ndarray, "height width"]
) -> Bool[np.ndarray, " targets"]:
    """Which matches have a valid source; they may lie outside the image."""
    limits = np.array(valid.shape) - 1
    within = ((matches >= 0) & (matches <= limits)).all(axis=1)
    rows, columns = matches.clip(0, limits).T
    return within & valid[rows, columns]
