"""The smooth continuation of an image into its hole."""

import numpy as np
from jaxtyping import Bool, Float


def biharmonic(
    image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width 3"]:
    """scikit-image's: the bi-Laplacian vanishes in the hole (Damelin and Hoang 2018).

    Args:
        image: what it is in the hole does not matter.
        hole: True in the hole, which leaves at least one pixel known.

    Returns:
        float32, clipped to the range of the known pixels.
    """
    from skimage.restoration import inpaint_biharmonic  # not for all who open pictures

    return inpaint_biharmonic(image, hole, channel_axis=-1).astype(np.float32)
