"""Fields of similarities: random ones, those of a coarser level, and how coherent they are."""

from typing import Any, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.ndimage import distance_transform_edt

from inpaintlab.patches.field import Targets, known_patches
from inpaintlab.patches.kernels import below, kernel
from inpaintlab.patches.similarity import Similarity, guess, lies_well, turn
from inpaintlab.patches.similarity_costs import ANGLE, DOWN, NUMBERS, RIGHT, XX, XY, YX, YY, X, Y


@kernel
@no_type_check
def _settle(search, matches, state):
    upright, candidate = np.empty(NUMBERS, np.float32), np.empty(NUMBERS, np.float32)
    for k in range(len(matches)):
        match = matches[k]
        if match[DOWN] != 0 and lies_well(search, match):
            continue
        number = below(state, len(search.centres))
        upright[Y], upright[X] = search.centres[number, 0], search.centres[number, 1]
        upright[ANGLE] = 0
        upright[DOWN] = min(max(np.float32(1), search.scales[0]), search.scales[1])
        upright[RIGHT] = upright[DOWN]
        guess(search, upright, np.float32(1), state, candidate)
        candidate[Y], candidate[X] = upright[Y], upright[X]
        if not lies_well(search, candidate):
            candidate[DOWN] = candidate[RIGHT] = upright[DOWN]
            candidate[ANGLE] = 0
            turn(search, candidate)
        for i in range(NUMBERS):
            match[i] = candidate[i]


def random_matches(
    search: Similarity, targets: Targets, state: Shaped[np.ndarray, " 1"]
) -> Float[np.ndarray, "targets numbers"]:
    """A match for each target, drawn from all that the search allows."""
    matches = np.zeros((len(targets.rows), NUMBERS), np.float32)
    _settle(search, matches, state)
    return matches


def carried_over(
    coarse: Targets,
    matches: Float[np.ndarray, "coarse numbers"],
    search: Similarity,
    fine: Targets,
    state: Shaped[np.ndarray, " 1"],
) -> Float[np.ndarray, "fine numbers"]:
    """The matches of a level for the next finer one: each target takes that of the nearest target of the coarser level.

    A match that does not lie well in the finer level is drawn anew.
    """
    ratios = np.divide(fine.number.shape, coarse.number.shape)
    places = np.stack([fine.rows, fine.columns]).astype(np.float64)
    before = np.rint((places + 0.5) / ratios[:, None] - 0.5).astype(np.int64)
    before = np.clip(before, 0, np.array(coarse.number.shape)[:, None] - 1)
    nearest: Any = distance_transform_edt(coarse.number < 0, return_distances=False, return_indices=True)
    rows, columns = nearest[:, before[0], before[1]]
    found = matches[coarse.number[rows, columns]].astype(np.float64)
    down, right = places - ((np.stack([rows, columns]) + 0.5) * ratios[:, None] - 0.5)
    y = (found[:, Y] + 0.5) * ratios[0] - 0.5 + found[:, YY] * down + found[:, YX] * right
    x = (found[:, X] + 0.5) * ratios[1] - 0.5 + found[:, XY] * down + found[:, XX] * right
    whole = np.all(found[:, [YY, XX]] == 1) and not np.any(found[:, [YX, XY]])
    found[:, Y], found[:, X] = (np.rint(y), np.rint(x)) if whole else (y, x)
    carried = found.astype(np.float32)
    _settle(search, carried, state)
    return carried


def inside_image(shape: tuple[int, int], size: int) -> Bool[np.ndarray, "height width"]:
    """The centres of the patches that lie in the image."""
    return known_patches(np.zeros(shape, bool), size)


def coherence(targets: Targets, matches: Float[np.ndarray, "targets numbers"]) -> Float[np.ndarray, " targets"]:
    """The share of a target's four neighbours whose match lies, within a pixel, where the target's own suggests."""
    height, width = targets.number.shape
    agree, neighbours = np.zeros(len(matches), np.float32), np.zeros(len(matches), np.float32)
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        rows, columns = targets.rows + down, targets.columns + right
        within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        other = np.where(within, targets.number[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)], -1)
        there = matches[other]
        off_y = matches[:, Y] + matches[:, YY] * down + matches[:, YX] * right - there[:, Y]
        off_x = matches[:, X] + matches[:, XY] * down + matches[:, XX] * right - there[:, X]
        neighbours += other >= 0
        agree += (other >= 0) & (np.maximum(abs(off_y), abs(off_x)) <= 1)
    return agree / np.maximum(neighbours, 1)
