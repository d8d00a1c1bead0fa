"""PatchMatch completion as the library PyPatchMatch has it: a second witness beside our own search."""

import numpy as np
from jaxtyping import Bool, Float

from inpaintlab.imaging import PyPatchMatch, reaches_everywhere
from inpaintlab.inpainting import Classical
from inpaintlab.published import require_packages


class PatchMatchLibrary(Classical):
    """PyPatchMatch (MIT; 2.2 or newer), after Barnes et al. 2009 and Wexler et al. 2007 in Philippeau's variant.

    It looks for similar patches in both directions, also from each known patch into the hole (bidirectional
    similarity, Simakov et al. 2008), by colours and gradients, on a pyramid of halves. It is none of Adobe's programs.
    It takes 8 bits, so results are such. Where it would leave black, as in a long strip of which one end alone is
    known, its patches are made smaller; where that does not help, the hole is filled as by ``model=biharmonic``.

    Args:
        radius: of a patch without its centre, in pixels: 3 is 7 x 7.
        seed: of the random search; results follow from image, hole, radius and seed.

    Raises:
        ValueError: PyPatchMatch is not installed, or a setting is out of its range; or, when an image is completed, the
            library fails.
    """

    def __init__(self, *, radius: int, seed: int) -> None:
        super().__init__()
        require_packages("model=patchmatch_library", ("PyPatchMatch",), "patches")
        if not 1 <= radius <= 50:
            raise ValueError(f"model.radius is {radius} pixels; patches of 1 to 50 can be searched in reasonable time.")
        if not 0 <= seed < 2**32:
            raise ValueError(f"model.seed is {seed}; PyPatchMatch takes 0 to {2**32 - 1}.")
        self.radius = radius
        self.seed = seed
        self.library = PyPatchMatch()

    def fill(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "height width 3"]:
        """The image with its hole filled, rounded to 8 bits."""
        radius = next((radius for radius in range(self.radius, 0, -1) if reaches_everywhere(hole, radius)), None)
        if radius is None:
            return self.fill_smoothly(image, hole, "PyPatchMatch does not reach all of the hole")
        if radius < self.radius:
            wide, narrow = 2 * self.radius + 1, 2 * radius + 1
            self.notes.append(
                f"PyPatchMatch does not reach all of the hole with patches of {wide} pixels: searched with {narrow}"
            )
        pixels = np.round(image * 255).astype(np.uint8)
        return self.library.fill(pixels, hole, radius, self.seed, self.progress).astype(np.float32) / 255
