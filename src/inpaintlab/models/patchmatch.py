"""PatchMatch completion: the hole as a mosaic of known patches (Wexler et al. 2007; Barnes et al. 2009)."""

from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt

from inpaintlab.inpainting import Classical
from inpaintlab.published import require_packages


@final
class PatchMatch(Classical):
    """Wexler's energy, the sum over all patches that touch the hole of the distance to the nearest known one, minimised
    from coarse to fine by turns: Barnes' search for the nearest patches, and a vote of theirs for each pixel.

    Photoshop's Content-Aware Fill began with these two papers; what it does today is not published, and this is not it.

    Args:
        patch_size: side of a patch in pixels, odd, 3 to 31.
        smallest: the coarsest level's shorter side in pixels, at least 8.
        ratio: of a level's side to that of the next finer one, 0.25 to 0.95.
        rounds: of matching and voting at the coarsest level, at least 1.
        fewer_rounds: at each finer level than at the one before.
        least_rounds: at any level, at least 1.
        scans: of the search in a round, at least 1; forward and backward by turns.
        falloff: by which a patch's vote shrinks with each pixel from the known region, at least 1.
        percentile: of the distances, which is the variance of the votes' Gaussian; above 0, at most 100.
        tolerance: a level ends once its pixels change by less on average, 0 to 1.
        last: what the finest level ends with: 'copy', each pixel from its best patch, or 'mean', a vote.
        seed: of the search; the result depends on it, the image, the hole and these settings alone.

    Raises:
        ValueError: a setting out of its range; numba is not installed; or, when an image is completed, no known pixel.
    """

    LASTS = ("copy", "mean")

    def __init__(
        self,
        *,
        patch_size: int,
        smallest: int,
        ratio: float,
        rounds: int,
        fewer_rounds: int,
        least_rounds: int,
        scans: int,
        falloff: float,
        percentile: float,
        tolerance: float,
        last: str,
        seed: int,
    ) -> None:
        super().__init__()
        require_packages("model=patchmatch", ("numba",), "patches")
        if patch_size not in range(3, 32, 2):
            raise ValueError(f"model.patch_size is {patch_size} pixels; it is odd, 3 to 31.")
        if not 0.25 <= ratio <= 0.95:
            raise ValueError(f"model.ratio is {ratio}; the sides of two levels have one of 0.25 to 0.95.")
        if smallest < 8:
            raise ValueError(f"model.smallest is {smallest} pixels; the coarsest level has at least 8.")
        if min(rounds, least_rounds, scans) < 1 or fewer_rounds < 0:
            raise ValueError("model.rounds, model.least_rounds and model.scans are at least 1, model.fewer_rounds 0.")
        if not falloff >= 1 or not 0 < percentile <= 100 or not 0 <= tolerance <= 1:
            raise ValueError(
                f"model.falloff={falloff}, model.percentile={percentile} or model.tolerance={tolerance} is out of its "
                "range: at least 1; above 0 and at most 100; 0 to 1."
            )
        if last not in self.LASTS:
            raise ValueError(f"model.last is '{last}'; the finest level ends with {' or '.join(self.LASTS)}.")
        if seed < 0:
            raise ValueError(f"model.seed is {seed}; it is 0 or more.")
        self.patch_size = patch_size
        self.smallest_level, self.ratio = smallest, ratio
        self.rounds, self.fewer_rounds, self.least_rounds = rounds, fewer_rounds, least_rounds
        self.scans, self.falloff, self.percentile = scans, falloff, percentile
        self.tolerance, self.last, self.seed = tolerance, last, seed

    def fill(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "height width 3"]:
        """The image with its hole filled by known patches."""
        from inpaintlab import patches

        size = patches.fitting_patch(hole, self.patch_size)
        if size is None:
            return self.fill_smoothly(image, hole, "no patch of 3 x 3 pixels is known")
        self.notes += patches.shortfall(size, self.patch_size)

        levels = []
        for height_width in patches.geometric_sizes(hole.shape, self.smallest_level, self.ratio):
            known, hidden = patches.shrunk(image, hole, height_width)
            if hidden.any() and patches.known_patches(hidden, size).any():
                levels.append((known, hidden, patches.targets_of(patches.touching(hidden, size))))
        rounds = [max(self.rounds - self.fewer_rounds * level, self.least_rounds) for level in range(len(levels))]
        work = np.cumsum([0, *(count * len(level[2].rows) for count, level in zip(rounds, levels, strict=True))])

        for number, (known, hidden, targets) in enumerate(levels):
            state = patches.generator(self.seed, number)
            painted = patches.Painted(patches.from_nearest(known, hidden), hidden, size)
            closeness = self.falloff ** -distance_transform_edt(hidden)[targets.rows, targets.columns]
            if number == 0:
                matches = patches.at_random(painted.valid, len(targets.rows), state)
            else:  # the coarser level's matches show this one's pixels, so that nothing is blurred
                matches = patches.carried(matches, levels[number - 1][2], targets)
                lost = ~patches.inside(matches, painted.valid)
                matches[lost] = patches.at_random(painted.valid, int(lost.sum()), state)
                painted.vote(targets, matches, closeness)
            for count in range(rounds[number]):
                costs = patches.measure(painted.search, targets, matches)
                for scan in range(self.scans):
                    patches.improve(painted.search, targets, matches, costs, state, backward=scan % 2 == 1)
                change = painted.vote(targets, matches, self._weights(costs, size) * closeness)
                self.progress(float(work[number] + (count + 1) * len(targets.rows)) / float(work[-1]))
                if change < self.tolerance:
                    break
        if self.last == "copy":
            painted.copy_best(targets, matches, costs)
        return painted.colours

    def _weights(self, costs: Float[np.ndarray, " targets"], size: int) -> Float[np.ndarray, " targets"]:
        """The likelihoods of matches (Wexler et al. 2007, equation 3), above 0; computed in float64, whose last bits
        differ between processors, and do not reach the float32 that is voted with."""
        grey_level = 3 * size**2  # of a patch that is one of 255 levels off everywhere
        variance = max(float(np.percentile(costs, self.percentile)), grey_level)
        return np.maximum(np.exp(-costs.astype(np.float64) / (2 * variance)), 1e-6)
