"""Regularity: the steps after which a plane of a picture repeats itself."""

from typing import NamedTuple, final

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from inpaintlab.imaging.planes import Planes

AROUND_HOLE = 8
"""Pixels from the hole within which no feature is taken: its descriptor would see the hole."""

ROUNDS = 30
"""Of a mean shift, which ends before if nothing moves any more."""

Steps = Float[np.ndarray, "_ 2"]


class Matches(NamedTuple):
    """Features that resemble each other.

    Args:
        places: x and y of every feature, in pixels.
        first: one feature of each pair.
        second: the other.
    """

    places: Float[np.ndarray, "features 2"]
    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]


@final
class RegularityFinder:
    """Finds the displacements of a plane at which many features resemble each other (Huang et al. 2014, section 4.2).

    Features are OpenCV's SIFT, without the affine shape that the authors estimate; of too many those of the strongest
    response are taken, where the authors draw.

    Args:
        most_features: that are compared.
        contrast: least contrast of a feature, of grey values in [0, 1].
        least_posterior: the least product of two features' posteriors for them to lie on a plane.
        shortest: displacement, in pixels of the rectified image.
        longest: its largest part along x or y, likewise.
        bandwidth: of the mean shift, likewise.
        least_members: displacements in a cluster.
    """

    def __init__(
        self,
        *,
        most_features: int,
        contrast: float,
        least_posterior: float,
        shortest: float,
        longest: float,
        bandwidth: float,
        least_members: int,
    ) -> None:
        if not bandwidth > 0:
            raise ValueError(f"model.regularity.bandwidth is {bandwidth} pixels; it must be above 0.")
        self.most_features = most_features
        self.contrast = contrast
        self.least_posterior = least_posterior
        self.shortest = shortest
        self.longest = longest
        self.bandwidth = bandwidth
        self.least_members = least_members

    def find(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"], planes: Planes
    ) -> list[Steps]:
        """The displacements x and y of each plane in its rectified image; none where it does not repeat itself.

        Args:
            image: RGB in [0, 1].
            hole: True in the hole.
            planes: of the image.
        """
        matches = self.matches(image, hole)
        if not len(matches.first):
            return [np.empty((0, 2)) for _ in planes.lines]
        posterior = planes.posterior_at(*hole.shape)
        columns, rows = np.rint(matches.places).astype(int).T
        of_features = posterior[:, rows.clip(0, hole.shape[0] - 1), columns.clip(0, hole.shape[1] - 1)]
        found = []
        for line, weights in zip(planes.lines, of_features, strict=True):
            depth = matches.places @ line + 1
            rectified = matches.places / depth[:, None]
            same_side = depth[matches.first] * depth[matches.second] > 0
            on_plane = weights[matches.first] * weights[matches.second] >= self.least_posterior
            chosen = same_side & on_plane
            found.append(self.repeating(rectified[matches.second[chosen]] - rectified[matches.first[chosen]]))
        return found

    def matches(self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]) -> Matches:
        """Pairs among each feature and its two nearest others."""
        grey = np.rint(image @ np.array([0.299, 0.587, 0.114]) * 255).clip(0, 255).astype(np.uint8)
        size = 2 * AROUND_HOLE + 1
        known = ~hole if not hole.any() else binary_erosion(~hole, np.ones((size, size)), border_value=1)
        none = np.empty(0, np.int64)
        if min(hole.shape) < size or not known.any():
            return Matches(np.empty((0, 2)), none, none)
        detector = cv2.SIFT.create(contrastThreshold=self.contrast)
        features, descriptors = detector.detectAndCompute(grey, known.astype(np.uint8))
        if len(features) < 3:
            return Matches(np.empty((0, 2)), none, none)
        order = np.argsort([-feature.response for feature in features], kind="stable")[: self.most_features]
        places = np.array([features[i].pt for i in order], np.float64)
        _, nearest = cKDTree(descriptors[order].astype(np.float64)).query(descriptors[order].astype(np.float64), k=3)
        first = np.concatenate([nearest[:, 0], nearest[:, 0], nearest[:, 1]])
        second = np.concatenate([nearest[:, 1], nearest[:, 2], nearest[:, 2]])
        return Matches(places, first, second)

    def repeating(self, steps: Steps) -> Steps:
        """The means of clusters of steps, of their opposites and doubles, by mean shift with a flat kernel."""
        steps = steps[(steps**2).sum(axis=1) > self.shortest**2]
        steps = np.concatenate([steps, -steps, 2 * steps, -2 * steps])
        steps = steps[(np.abs(steps) < self.longest).all(axis=1)]
        if len(steps) < self.least_members:
            return np.empty((0, 2))
        tree = cKDTree(steps)
        _, first = np.unique(np.floor(steps / self.bandwidth), axis=0, return_index=True)
        centres = steps[np.sort(first)]
        members = tree.query_ball_point(centres, self.bandwidth, return_length=True)
        centres = centres[members >= self.least_members]
        for _ in range(ROUNDS):
            near = tree.query_ball_point(centres, self.bandwidth, return_sorted=True)
            moved = np.array([steps[members].mean(axis=0) for members in near]).reshape(-1, 2)
            done = np.allclose(moved, centres, atol=1e-3)
            centres = moved
            if done:
                break
        members = tree.query_ball_point(centres, self.bandwidth, return_length=True) if len(centres) else np.empty(0)
        kept: list[np.ndarray] = []
        for i in np.argsort(-members, kind="stable"):
            far = all(np.hypot(*(centres[i] - other)) > self.bandwidth / 2 for other in kept)
            if far and members[i] >= self.least_members:
                kept.append(centres[i])
        return np.array(kept).reshape(-1, 2)
