"""Planes of a scene in a picture: their vanishing lines, and which pixel lies on which."""

from typing import NamedTuple, final

import cv2
import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt, gaussian_filter

from inpaintlab.imaging.poisson import ScreenedPoisson
from inpaintlab.imaging.vanishing_points import VanishingPoint

LEAST_OFFSET = 1e-6
"""A vanishing line, whose normal has length 1, is dropped where its distance from the top left pixel, as a share of the
longer side, is no more: (h7, h8, 1) would be infinite."""

FINEST = 15.0
"""Cells of the posterior's grid in the standard deviation of what blurs it, at most: nothing finer is left."""


class Planes(NamedTuple):
    """The planes of an image. Number 0 is parallel to the image, and there is always one.

    Args:
        lines: h7 and h8 of each: its points vanish where h7 x + h8 y + 1 = 0, with x and y in pixels.
        angles: of the two directions in each plane along which lines were found, in the rectified image, in radians.
        posterior: of each plane in each cell of a grid over the image, above 0, the sum over planes being 1.
        points: the vanishing points of which they are made.
    """

    lines: Float[np.ndarray, "planes 2"]
    angles: Float[np.ndarray, "planes 2"]
    posterior: Float[np.ndarray, "planes rows columns"]
    points: list[VanishingPoint]

    def posterior_at(self, height: int, width: int) -> Float[np.ndarray, "planes height width"]:
        """The posterior of each pixel of the image at this size."""
        grown = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in self.posterior]
        together = np.stack(grown)
        return together / together.sum(axis=0)


@final
class PlaneFinder:
    """Makes a plane of each pair of vanishing points (Huang et al. 2014, section 4.1).

    Args:
        blur: standard deviation of the Gaussian that spreads the lines over what they lie on, in pixels.
        parallel_density: of the plane parallel to the image, beside products of two densities of lines, each in lines a
            pixel.
        floor: what is added to each posterior before they are normalised again.

    Raises:
        ValueError: a number that is not above 0.
    """

    def __init__(self, *, blur: float, parallel_density: float, floor: float) -> None:
        for name, value in (("blur", blur), ("parallel_density", parallel_density), ("floor", floor)):
            if not value > 0:
                raise ValueError(f"model.planes.{name} is {value}; it must be above 0.")
        self.blur = blur
        self.parallel_density = parallel_density
        self.floor = floor

    def find(self, points: list[VanishingPoint], hole: Bool[np.ndarray, "height width"]) -> Planes:
        """The planes, and their posterior, which is continued into the hole.

        Args:
            points: see `VanishingPointDetector`.
            hole: True in the hole, where no line is known.
        """
        cell = max(1, int(self.blur / FINEST))
        densities = [self._density(point, hole.shape, cell) for point in points]
        lines, angles = [np.zeros(2)], [np.zeros(2)]
        found = [np.full(_grid(hole.shape, cell), self.parallel_density)]
        for i in range(len(points)):
            for j in range(i + 1, len(points)):
                line = vanishing_line(points[i].place, points[j].place, max(hole.shape))
                if line is not None:
                    lines.append(line)
                    # rectification leaves the x and y of a point at infinity as they are
                    angles.append(np.array([np.arctan2(p.place[1], p.place[0]) for p in (points[i], points[j])]))
                    found.append(densities[i] * densities[j])
        posterior = np.stack(found)
        posterior /= posterior.sum(axis=0)
        inside = _cells(hole.astype(np.float32), cell) > 0
        if inside.any() and not inside.all():
            posterior = _continued(posterior, inside)
        posterior = (posterior + self.floor) / (1 + self.floor * len(posterior))
        return Planes(np.stack(lines), np.stack(angles), posterior.astype(np.float32), points)

    def _density(self, point: VanishingPoint, shape: tuple[int, ...], cell: int) -> Float[np.ndarray, "rows columns"]:
        """How many of the lines that meet in a point are near each cell.

        The release blurs with a window of 100 pixels, which cuts a Gaussian of 50 off at one standard deviation, many
        times in turn; one Gaussian of the same variance is the same but for a percent.
        """
        drawn = np.zeros(shape, np.float32)
        for ends in np.rint(point.segments).astype(int).tolist():
            cv2.line(drawn, ends[:2], ends[2:], 1.0)
        return gaussian_filter(_cells(drawn, cell).astype(np.float64), self.blur / cell, mode="nearest")


def vanishing_line(
    first: Float[np.ndarray, " 3"], second: Float[np.ndarray, " 3"], side: int
) -> Float[np.ndarray, " 2"] | None:
    """h7 and h8 of the line h7 x + h8 y + 1 = 0 through two points; None if it passes through the top left pixel.

    Args:
        first: homogeneous coordinates in pixels.
        second: likewise.
        side: the longer side of the image in pixels, so that the line is found in numbers near 1.
    """
    scale = np.array([side, side, 1.0])
    line = np.cross(first / scale, second / scale)
    line /= np.linalg.norm(line)
    return None if abs(line[2]) <= LEAST_OFFSET else line[:2] / line[2] / side


def _grid(shape: tuple[int, ...], cell: int) -> tuple[int, int]:
    return -(-shape[0] // cell), -(-shape[1] // cell)


def _cells(plane: Float[np.ndarray, "height width"], cell: int) -> Float[np.ndarray, "rows columns"]:
    """The mean of a plane in each cell of a grid over it."""
    rows, columns = _grid(plane.shape, cell)
    return cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA)


def _continued(
    posterior: Float[np.ndarray, "planes rows columns"], inside: Bool[np.ndarray, "rows columns"]
) -> Float[np.ndarray, "planes rows columns"]:
    """The harmonic continuation of each plane's posterior into the hole, of sum 1 again."""
    nearest = distance_transform_edt(inside, return_distances=False, return_indices=True)
    known = np.ascontiguousarray(np.moveaxis(posterior[:, nearest[0], nearest[1]], 0, -1))
    none = np.zeros_like(known)
    filled = np.moveaxis(ScreenedPoisson(inside, 0.0).solve(known, none, none), -1, 0).clip(0, 1)
    return filled / filled.sum(axis=0)
