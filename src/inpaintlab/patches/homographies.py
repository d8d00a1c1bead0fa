"""Homographies of one level to begin with, and those that a coarser level hands to a finer one."""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int

from inpaintlab.patches.field import Targets
from inpaintlab.patches.homography import COLUMN, NUMBERS, ROW, WX, WY, XX, XY, YX, YY, X, Y, is_valid
from inpaintlab.patches.kernels import kernel


def copies(targets: Targets, sources: Int[np.ndarray, "targets 2"]) -> Float[np.ndarray, "targets numbers"]:
    """Matches that copy upright patches parallel to the image.

    Args:
        targets: what is matched.
        sources: row and column of each one's source.
    """
    matches = np.zeros((len(sources), NUMBERS))
    matches[:, [Y, X]] = sources
    matches[:, [YY, XX]] = 1
    matches[:, ROW], matches[:, COLUMN] = targets.rows, targets.columns
    return matches


def rescaled(
    matches: Float[np.ndarray, "coarse_targets numbers"],
    nearest: Int[np.ndarray, " targets"],
    targets: Targets,
    coarse: tuple[float, float, float, float],
    fine: tuple[float, float, float, float],
) -> Float[np.ndarray, "targets numbers"]:
    """The matches of a finer level: each target gets that of the coarser one it lies in, moved by what remains.

    Args:
        matches: of the coarser level.
        nearest: of each finer target, the number of the coarser one.
        targets: of the finer level.
        coarse: the frame of the coarser level, see `Homography`.
        fine: of the finer one.
    """
    grown = matches[nearest]
    ratio_y, ratio_x = fine[0] / coarse[0], fine[2] / coarse[2]
    down = ratio_y * targets.rows + (fine[1] - coarse[1]) / coarse[0] - grown[:, ROW]
    right = ratio_x * targets.columns + (fine[3] - coarse[3]) / coarse[2] - grown[:, COLUMN]
    depth = 1 + grown[:, WY] * down + grown[:, WX] * right
    y = (grown[:, Y] + grown[:, YY] * down + grown[:, YX] * right) / depth
    x = (grown[:, X] + grown[:, XY] * down + grown[:, XX] * right) / depth
    grown[:, YY : WX + 1] /= depth[:, None]
    shift_y, shift_x = (coarse[1] - fine[1]) / fine[0], (coarse[3] - fine[3]) / fine[2]
    wy, wx = grown[:, WY] * ratio_y, grown[:, WX] * ratio_x
    grown[:, Y], grown[:, X] = y / ratio_y + shift_y, x / ratio_x + shift_x
    grown[:, YY] += shift_y * wy
    grown[:, YX] = grown[:, YX] * ratio_x / ratio_y + shift_y * wx
    grown[:, XY] = grown[:, XY] * ratio_y / ratio_x + shift_x * wy
    grown[:, XX] += shift_x * wx
    grown[:, WY], grown[:, WX] = wy, wx
    grown[:, ROW], grown[:, COLUMN] = targets.rows, targets.columns
    upright = (grown[:, YY : WX + 1] == np.array([1, 0, 0, 1, 0, 0])).all(axis=1)
    grown[upright, :2] = np.floor(grown[upright, :2] + 0.5)
    return grown


@kernel
@no_type_check
def _usable(valid, matches, size, usable):
    for k in range(len(matches)):
        usable[k] = is_valid(valid, matches[k], size)


def usable(
    valid: Bool[np.ndarray, "height width"], matches: Float[np.ndarray, "targets numbers"], size: int
) -> Bool[np.ndarray, " targets"]:
    """Which matches have a source that may be one."""
    found = np.empty(len(matches), np.bool_)
    _usable(valid, matches, size, found)
    return found
