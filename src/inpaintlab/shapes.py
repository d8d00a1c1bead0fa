"""Shapes that most signatures share; the ranges are the project's conventions (docs/conventions.md)."""

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "batch 3 height width"]
"""RGB in [0, 1]."""

Planes = Float[Tensor, "batch 1 height width"]
"""One plane an image: a mask (1 = hole), an edge map (1 = edge), or gray in [0, 1]."""

Scalar = Float[Tensor, ""]
