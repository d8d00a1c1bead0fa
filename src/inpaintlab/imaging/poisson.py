"""Screened Poisson equation: the image that has given differences between pixels, and stays near given colours."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csr_array
from scipy.sparse.linalg import splu

MOST_FACTORED = 1 << 14
"""Unknowns of a matrix that is factored: 0.1 s and 8 MB at most. A larger one is solved by conjugate gradients, with a
coarser grid's solution as preconditioner."""

EASY = 100.0
"""Condition number up to which conjugate gradients need no more than the diagonal as preconditioner."""

ACCURACY = 1e-7
"""Of the residual, as a share of the right-hand side, at which conjugate gradients stop."""

SMOOTHED = 0.6
"""Damping of Jacobi's step before and after a coarser grid's; below 2/3 it smooths every short wave."""

Vector = Float[np.ndarray, " unknowns"]
Picture = Float[np.ndarray, "height width channels"]


def _correction(matrix: csr_array, place: tuple[np.ndarray, ...]) -> Callable[[Vector], Vector]:
    """What approximates the inverse of a matrix: its factors, or a V-cycle over blocks of two by two pixels.

    Args:
        matrix: symmetric, positive definite.
        place: rows and columns of its unknowns.
    """
    if matrix.shape[0] <= MOST_FACTORED:
        return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve
    width = int(place[1].max()) // 2 + 1
    blocks, block = np.unique(place[0] // 2 * width + place[1] // 2, return_inverse=True)
    whole = np.arange(matrix.shape[0], dtype=np.int32)
    spread = csr_array((np.ones(len(whole)), (whole, block.astype(np.int32))), shape=(len(whole), len(blocks)))
    gather = spread.T.tocsr()
    # Constant blocks are twice too stiff for smooth corrections: their whole difference lies in one pair of pixels.
    coarse = _correction((gather @ matrix @ spread / 2).tocsr(), (blocks // width, blocks % width))
    damping = SMOOTHED / matrix.diagonal()

    def cycle(residual: Vector) -> Vector:
        found = damping * residual
        found += spread @ coarse(gather @ (residual - matrix @ found))
        return found + damping * (residual - matrix @ found)

    return cycle


class ScreenedPoisson:
    """Fills the unknown pixels x of an image with the least sum of squares

        sum of (colour_weight (x - colour))^2  +  sum of (gradient_weight (difference of neighbours - gradient))^2

    over unknown pixels, and over pairs of neighbours of which at least one is unknown (Bhat et al. 2008; Darabi et al.
    2012, section 3.3). Known pixels keep their values. Without a colour weight this is Poisson blending (Perez et al.
    2003). What depends on the hole and the weights alone is made once, here, for any number of images.

    The same bits come out whatever the number of threads.

    Args:
        unknown: the pixels to be found, not all of the image.
        colour_weight: a number, 0 or more.
        gradient_weight: a number above 0.

    Raises:
        ValueError: no pixel is known, and colours have no weight: any constant could be added then.
    """

    def __init__(
        self, unknown: Bool[np.ndarray, "height width"], colour_weight: float, gradient_weight: float = 1.0
    ) -> None:
        if not colour_weight and unknown.all():
            raise ValueError("A Poisson equation without known pixels and without a weight of colours has no solution.")
        self.unknown = unknown
        self.count = int(unknown.sum())
        self.screen, self.stiffness = colour_weight**2, gradient_weight**2
        number = np.full(unknown.shape, -1, np.int32)
        number[unknown] = np.arange(self.count, dtype=np.int32)
        neighbours, degree = [], np.zeros(unknown.shape)
        for here, there in self._pairs():
            degree[here] += 1
            degree[there] += 1
            both = unknown[here] & unknown[there]
            neighbours.append(np.stack([number[here][both], number[there][both]]))
        first, second = np.concatenate(neighbours, axis=1)
        own = np.arange(self.count, dtype=np.int32)
        self.diagonal = self.screen + self.stiffness * degree[unknown]
        self.matrix = csr_array(
            (
                np.concatenate([np.full(2 * len(first), -self.stiffness), self.diagonal]),
                (np.concatenate([first, second, own]), np.concatenate([second, first, own])),
            ),
            shape=(self.count, self.count),
        )
        condition = 1 + 2 * self.stiffness * degree.max(initial=0) / self.screen if self.screen else np.inf
        self.correct = self._by_diagonal if condition <= EASY else _correction(self.matrix, np.nonzero(unknown))

    @staticmethod
    def _pairs() -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
        """The pixels with a neighbour at their right, and these; with a neighbour below, and these."""
        every, start, end = slice(None), slice(None, -1), slice(1, None)
        return [((every, start), (every, end)), ((start, every), (end, every))]

    def solve(self, colours: Picture, right: Picture, down: Picture, start: Picture | None = None) -> Picture:
        """The image of least sum of squares, each channel for itself.

        Args:
            colours: what known pixels have and unknown ones should stay near; without a colour weight, the latter are
                not used.
            right: the differences wanted between a pixel and the one at its right, of ``colours``'s shape; where the
                other is outside, or both are known, it is not used.
            down: likewise, the one below minus the pixel.
            start: where conjugate gradients begin, ``colours`` by default.

        Returns:
            A copy of ``colours`` with its unknown pixels replaced, of the same dtype; it may leave [0, 1].
        """
        solved = colours.copy()
        if not self.count:
            return solved
        fixed = np.where(self.unknown[..., None], 0, colours).astype(np.float64)
        wanted = self.screen * np.where(self.unknown[..., None], colours, 0).astype(np.float64)
        for (here, there), gradient in zip(self._pairs(), (right, down), strict=True):
            step = gradient[here].astype(np.float64)
            wanted[there] += self.stiffness * (fixed[here] + step)
            wanted[here] += self.stiffness * (fixed[there] - step)
        first = (colours if start is None else start)[self.unknown].astype(np.float64)
        for channel in range(colours.shape[2]):
            target = np.ascontiguousarray(wanted[self.unknown, channel])
            solved[self.unknown, channel] = self._descend(target, first[:, channel].copy())
        return solved

    def _by_diagonal(self, residual: Vector) -> Vector:
        return residual / self.diagonal

    def _descend(self, target: Vector, found: Vector) -> Vector:
        """Preconditioned conjugate gradients; their sums have one order, whatever the number of threads."""
        residual = target - self.matrix @ found
        enough = ACCURACY**2 * np.sum(target * self.correct(target))
        scaled = self.correct(residual)
        direction, square = scaled.copy(), np.sum(residual * scaled)
        for _ in range(4 * self.count):
            if square <= enough:
                break
            image = self.matrix @ direction
            length = square / np.sum(direction * image)
            found += length * direction
            residual -= length * image
            scaled = self.correct(residual)
            before, square = square, np.sum(residual * scaled)
            direction = scaled + (square / before) * direction
        return found
