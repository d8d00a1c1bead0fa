"""A tiled floor as a camera sees it, whose vanishing points and pixels are known."""

from typing import Any, NamedTuple

import numpy as np


class Floor(NamedTuple):
    """RGB in [0, 1], and the two vanishing points of its tiles in homogeneous pixel coordinates."""

    image: Any
    points: tuple[Any, Any]


def tiled_floor(side: int, seed: int = 0, samples: int = 4) -> Floor:
    """A floor of tiles in four colours that repeat themselves, with grout between; the horizon is above the image."""
    size = side / 128
    points = (np.array([190 * size, -60 * size, 1]), np.array([-130 * size, -60 * size, 1]))
    to_image = np.stack([0.1 * points[0], 0.1 * points[1], np.array([64 * size, 120 * size, 1])], axis=1)
    centres = (np.arange(side * samples) + 0.5) / samples - 0.5
    x, y = np.meshgrid(centres, centres)
    seen = np.linalg.inv(to_image) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    across, along = seen[:2] / seen[2]
    colours = np.random.default_rng(seed).uniform(0.15, 0.9, (2, 2, 3))
    picture = colours[np.floor(across).astype(int) % 2, np.floor(along).astype(int) % 2]
    from_edge = np.minimum(np.minimum(across % 1, 1 - across % 1), np.minimum(along % 1, 1 - along % 1))
    spot = (across % 1 - 0.5) ** 2 + (along % 1 - 0.35) ** 2 < 0.03
    picture = np.where(spot[:, None], 1 - picture, picture)
    picture = np.where((from_edge < 0.06)[:, None], 0.05, picture)
    return Floor(picture.reshape(side, samples, side, samples, 3).mean(axis=(1, 3)).astype(np.float32), points)


def angle_between(first: Any, second: Any, side: int) -> float:
    """Degrees between two vanishing points for a camera whose focal length is the image's side."""
    middle = (side - 1) / 2
    rays = [np.array([p[0] - middle * p[2], p[1] - middle * p[2], p[2] * side]) for p in (first, second)]
    cosine = abs(rays[0] @ rays[1]) / np.linalg.norm(rays[0]) / np.linalg.norm(rays[1])
    return float(np.degrees(np.arccos(min(1.0, cosine))))
