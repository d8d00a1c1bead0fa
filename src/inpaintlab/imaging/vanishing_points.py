"""Vanishing points: where straight lines of a picture meet that are parallel in the scene."""

from typing import NamedTuple, final

import cv2
import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation
from scipy.stats import binom

LONGEST = 64
"""Segments of which each pair is a guess where lines meet. All pairs of the longest are tried instead of pairs at
random, so that nothing depends on chance; the inliers of a point are taken away before the next one is looked for."""

MOST_SEGMENTS = 1500
"""The longest segments that are kept."""

ROUNDS = 5
"""Of finding the segments that meet in a point, and the point where they meet best."""

FALSE_ALARMS = 0.01
"""Points expected among segments in random directions, above which a point is not believed (Desolneux et al. 2003): in
grass, 5 % of the segments always meet somewhere."""

LEAST_APART = 10.0
"""Degrees between the directions of two vanishing points, seen by a camera whose focal length is the longer side. The
line through two that are closer is that of no plane."""

MOST_TRIES = 6
"""Points that are looked at, of which some may be too close to others."""

Segments = Float[np.ndarray, "segments 4"]


class VanishingPoint(NamedTuple):
    """One vanishing point.

    Args:
        place: homogeneous coordinates (x, y, w), of length 1; the middle of the pixel at the top left is (0, 0, 1).
        segments: the ends x1, y1, x2, y2 of those that meet there, in pixels.
    """

    place: Float[np.ndarray, " 3"]
    segments: Segments


@final
class VanishingPointDetector:
    """Finds vanishing points in segments of straight lines.

    Ours: the authors of planar structure guidance used a program that they published without its source. Nothing is
    assumed of the camera, or of angles in the scene.

    Args:
        most: points that are found at most.
        tolerance: between a segment and the direction from its middle to the point where it should meet others, in
            degrees.
        least_segments: that meet in a point.
        least_share: of the length of all segments.
        least_pixels: the length of a segment, in pixels.
        least_extent: the length of a segment, as a share of the image's diagonal.

    Raises:
        ValueError: a number that makes no sense.
    """

    def __init__(
        self,
        *,
        most: int,
        tolerance: float,
        least_segments: int,
        least_share: float,
        least_pixels: float,
        least_extent: float,
    ) -> None:
        if not 0 <= most <= 3:
            raise ValueError(f"model.detector.most is {most} vanishing points; it can be 0 to 3.")
        if not 0 < tolerance < 45:
            raise ValueError(f"model.detector.tolerance is {tolerance} degrees; it must be above 0 and below 45.")
        self.most = most
        self.tolerance = tolerance
        self.least_segments = least_segments
        self.least_share = least_share
        self.least_pixels = least_pixels
        self.least_extent = least_extent

    def find(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> list[VanishingPoint]:
        """The vanishing points of what is known of an image, those of the longest segments first.

        Args:
            image: RGB in [0, 1].
            hole: True in the hole; segments that touch it, or a pixel beside it, are not used.
        """
        segments = self.segments(image, hole)
        height, width = hole.shape
        middle, side = np.array([(width - 1) / 2, (height - 1) / 2]), max(height, width)
        rest = (segments - np.tile(middle, 2)) / side
        total = _lengths(rest).sum()
        found: list[VanishingPoint] = []
        places: list[np.ndarray] = []
        for _ in range(MOST_TRIES):
            if len(found) == self.most or len(rest) < max(2, self.least_segments):
                break
            place = self._best(rest)
            meeting = self._meet(rest, place[None])[0]
            if not self._believed(rest, meeting, total):
                break
            if all(abs(place @ other) < np.cos(np.radians(LEAST_APART)) for other in places):
                there = np.array(
                    [place[0] * side + middle[0] * place[2], place[1] * side + middle[1] * place[2], place[2]]
                )
                found.append(VanishingPoint(there / np.linalg.norm(there), rest[meeting] * side + np.tile(middle, 2)))
                places.append(place)
            rest = rest[~meeting]
        return found

    def segments(self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]) -> Segments:
        """The straight segments of what is known of an image, the longest first; x1, y1, x2, y2 in pixels."""
        if min(hole.shape) < 3:
            return np.empty((0, 4))
        grey = np.rint(image @ np.array([0.299, 0.587, 0.114]) * 255).clip(0, 255).astype(np.uint8)
        detected = cv2.createLineSegmentDetector().detect(grey)[0]
        segments = np.empty((0, 4)) if detected is None else detected.reshape(-1, 4).astype(np.float64)
        least = max(self.least_pixels, self.least_extent * float(np.hypot(*hole.shape)))
        segments = segments[_lengths(segments) >= least]
        near = binary_dilation(hole, np.ones((3, 3)))
        along = np.linspace(0, 1, 33)[:, None]
        touches = [bool(_at(near, ends[:2] + along * (ends[2:] - ends[:2])).any()) for ends in segments]
        segments = segments[~np.array(touches, bool)]
        return segments[np.argsort(-_lengths(segments), kind="stable")[:MOST_SEGMENTS]]

    def _best(self, segments: Segments) -> Float[np.ndarray, " 3"]:
        """Where the greatest length of segments meets."""
        lengths = _lengths(segments)
        lines = _lines(segments[:LONGEST])
        first, second = np.triu_indices(len(lines), 1)
        guesses = np.cross(lines[first], lines[second])
        norms = np.linalg.norm(guesses, axis=1)
        guesses = guesses[norms > 1e-12] / norms[norms > 1e-12, None]
        if not len(guesses):
            return np.array([0.0, 0.0, 1.0])
        place = guesses[int(np.argmax(self._meet(segments, guesses) @ lengths))]
        for _ in range(ROUNDS):
            meeting = self._meet(segments, place[None])[0]
            if meeting.sum() < 2:
                break
            chosen = segments[meeting]
            apart = np.linalg.norm(_towards(chosen, place[None])[0], axis=-1)
            # the line's distance from the point, over the distance to it, is the sine of the angle between
            weights = np.sqrt(lengths[meeting]) / np.maximum(apart, 1e-6)
            place = np.linalg.svd(_lines(chosen) * weights[:, None])[2][-1]
        return place

    def _meet(self, segments: Segments, places: Float[np.ndarray, "places 3"]) -> Bool[np.ndarray, "places segments"]:
        """Which segments point to each place."""
        ways = segments[:, 2:] - segments[:, :2]
        ways = ways / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-12)
        towards = _towards(segments, places)
        across = np.abs(ways[:, 0] * towards[..., 1] - ways[:, 1] * towards[..., 0])
        return np.asarray(across < np.sin(np.radians(self.tolerance)) * np.linalg.norm(towards, axis=-1))

    def _believed(self, segments: Segments, meeting: Bool[np.ndarray, " segments"], total: float) -> bool:
        """Whether as many segments meet as is asked for, and more than meet by chance."""
        count = int(meeting.sum())
        if count < self.least_segments or _lengths(segments[meeting]).sum() < self.least_share * total:
            return False
        pairs = len(segments) * (len(segments) - 1) / 2
        return bool(pairs * binom.sf(count - 3, len(segments) - 2, 2 * self.tolerance / 180) < FALSE_ALARMS)


def _lengths(segments: Segments) -> Float[np.ndarray, " segments"]:
    return np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])


def _lines(segments: Segments) -> Float[np.ndarray, "segments 3"]:
    """The lines through segments, with normals of length 1."""
    x1, y1, x2, y2 = segments.T
    lines = np.stack([y1 - y2, x2 - x1, x1 * y2 - x2 * y1], axis=1)
    return lines / np.maximum(np.hypot(lines[:, 0], lines[:, 1]), 1e-12)[:, None]


def _towards(segments: Segments, places: Float[np.ndarray, "places 3"]) -> Float[np.ndarray, "places segments 2"]:
    """From the middle of each segment to each place, up to a factor."""
    middles = (segments[:, :2] + segments[:, 2:]) / 2
    return places[:, None, :2] - middles[None] * places[:, None, 2:]


def _at(plane: Bool[np.ndarray, "height width"], places: Float[np.ndarray, "places 2"]) -> Bool[np.ndarray, " places"]:
    """The plane's values at the pixels nearest to these x and y."""
    x, y = np.rint(places).astype(int).T
    return plane[y.clip(0, plane.shape[0] - 1), x.clip(0, plane.shape[1] - 1)]
