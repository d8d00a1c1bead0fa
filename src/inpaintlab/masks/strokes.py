"""Free-form brush strokes in the manner of DeepFill v2."""

import math
from collections.abc import Sequence
from typing import final

import cv2
import numpy as np
import torch
from jaxtyping import Float, Integer

from inpaintlab.masks.mask import Hole, Mask, integer, integers, pixels
from inpaintlab.masks.settings import Number, checked_counts, checked_fractions, checked_share


@final
class Strokes(Mask):
    """Free-form brush strokes in the manner of DeepFill v2 (Yu et al. 2019, as its release draws them).

    A stroke is a zigzag with round joints and ends. All (low, high) ranges include both ends.

    Strokes that follow this recipe drift to the right, so the finished mask is mirrored in either direction with
    probability 1/2. The released DeepFill v2 means to do so too, but throws the mirrored picture away.

    Args:
        strokes: how many strokes, (low, high). A wide range spreads the hole ratios, so that ``WithHoleRatio`` meets
            narrow bins within a few tries.
        vertices: how many steps a stroke takes, (low, high).
        angle: in degrees; the middle of a stroke's directions.
        angle_spread: in degrees. Each stroke draws its own limits, ``angle`` minus and plus up to this; each step turns
            to an angle between them, every other step to its mirror image.
        length: mean of a step, as a fraction of the image's diagonal. A step is clipped to [0, 2 * length] and ends
            inside the image.
        length_spread: standard deviation of a step, as a fraction of the diagonal.
        width: thickness, (low, high) fractions of the shorter side, drawn in whole pixels.

    Raises:
        ValueError: a setting out of its range.
    """

    def __init__(
        self,
        strokes: Sequence[int],
        vertices: Sequence[int],
        angle: Number,
        angle_spread: Number,
        length: Number,
        length_spread: Number,
        width: Sequence[Number],
    ) -> None:
        self.strokes = checked_counts("Strokes", "strokes", strokes)
        self.vertices = checked_counts("Strokes", "vertices", vertices)
        self.angle = math.radians(angle)
        self.angle_spread = math.radians(angle_spread)
        self.length = checked_share("Strokes", "length", length)
        self.length_spread = float(length_spread)
        self.width = checked_fractions("Strokes", "width", width)
        for name, value in (("angle_spread", angle_spread), ("length_spread", length_spread)):
            if value < 0:
                raise ValueError(f"Strokes: {name} must not be negative, but is {value}.")

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """Some strokes, together mirrored at random."""
        count = integer(*self.strokes, generator)
        # All numbers of all strokes in two draws: a draw takes longer than the arithmetic on it.
        uniform = torch.rand(count, 6 + self.vertices[1], generator=generator, dtype=torch.float64).numpy()
        normal = torch.randn(count, self.vertices[1], generator=generator, dtype=torch.float64).numpy()
        corners = self._corners(height, width, normal, uniform[:, 2:])
        steps = integers(*self.vertices, uniform[:, 0])
        shorter = min(height, width)
        thickness = integers(pixels(self.width[0], shorter), pixels(self.width[1], shorter), uniform[:, 1])

        canvas = np.zeros((height, width), np.uint8)
        for stroke in range(count):
            # Whole coordinates and no anti-aliasing: the same pixels on every machine.
            polyline = corners[stroke, : 1 + steps[stroke]]
            cv2.polylines(canvas, [polyline], False, 1, int(thickness[stroke]), cv2.LINE_8)
        upside_down, back_to_front = torch.randint(0, 2, (2,), generator=generator).tolist()
        return canvas.view(bool)[:: -1 if upside_down else 1, :: -1 if back_to_front else 1]

    def _corners(
        self,
        height: int,
        width: int,
        normal: Float[np.ndarray, "strokes steps"],
        uniform: Float[np.ndarray, "strokes steps+4"],
    ) -> Integer[np.ndarray, "strokes steps+1 2"]:
        """The corners of every stroke as (column, row), each from a start anywhere in the image."""
        low = self.angle - self.angle_spread * uniform[:, :1]
        high = self.angle + self.angle_spread * uniform[:, 1:2]
        angle = low + (high - low) * uniform[:, 4:]
        angle[:, ::2] *= -1
        length = np.clip(self.length + self.length_spread * normal, 0, 2 * self.length) * math.hypot(height, width)
        step = np.stack([length * np.cos(angle), length * np.sin(angle)], axis=-1)

        last = np.array([width - 1, height - 1], np.float64)
        corners = [last * uniform[:, 2:4]]
        for index in range(normal.shape[1]):
            corners.append(np.minimum(np.maximum(corners[-1] + step[:, index], 0), last))
        return np.rint(np.stack(corners, axis=1)).astype(np.int32)
