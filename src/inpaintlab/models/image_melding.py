"""Image Melding, its hole filling: turned and scaled known patches, and a Poisson solve (Darabi et al. 2012).

A re-implementation: the search, the voting and the gradients of the authors' program are binaries that are not
published, so it cannot be run beside this one. Melding two sources is not in here.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Bool, Float
from kornia.color import lab_to_rgb, rgb_to_lab
from PIL import Image
from scipy.ndimage import distance_transform_edt

from inpaintlab.imaging import ScreenedPoisson
from inpaintlab.inpainting import Classical
from inpaintlab.published import require_packages

Lab = Float[np.ndarray, "height width 3"]
Plane = Float[np.ndarray, "height width"]
Hole = Bool[np.ndarray, "height width"]

SMALLEST_PATCH = 3
"""Pixels; a smaller patch shows no texture, and what it fills is no better than a smooth surface."""

CLOSEST = 2**0.25
"""Of the sides of two levels, at least: a small photograph has fewer levels than a large one."""

ALMOST_HIDDEN = 0.1
"""A pixel of a level belongs to the hole when at most this share of it is known (the authors' scripts)."""

CERTAIN = 0.01
"""Shares of a pixel that is known are taken for 0 or 1 when they are nearer (the authors' scripts)."""

AT_ONCE = 4096
"""Targets between two returns from the search to Python: about 0.2 s."""


class Level(NamedTuple):
    """One level: its known pixels in Lab, how much of each pixel is known, and which belong to the hole."""

    known: Lab
    share: Plane
    hole: Hole


@final
class ImageMelding(Classical):
    """The sum over all patches that touch the hole of the distance to the nearest known patch, which may be turned,
    scaled, mirrored, lighter or darker, in colours and in gradients of lightness; minimised from coarse to fine by
    turns: the search, a vote of the patches for each pixel's colour and gradient, and the surface that joins these two.

    Args:
        patch_size: side of a patch in pixels, 3 to 32.
        levels: at most, sizes of the photograph with a constant ratio, at least 1.
        smallest: the coarsest level's shorter side in pixels, at least 8.
        rounds: of search and vote at the coarsest level, at least 1.
        fewer_rounds: at each finer level than at the one before, at least 0.
        least_rounds: at any level, at least 1.
        speed: rounds and guesses are divided by it, at least 1: 1 is faithful.
        guesses: of the search at random, a patch and round, at least 1 before ``speed`` divides.
        rotation: of a known patch, at most, in degrees, 0 to 180.
        scale: of a known patch, least and most; 1 lies between.
        stretch: its horizontal scale, as a share of the vertical one, least and most; 1 lies between.
        reflection: whether known patches may be mirrored.
        adjust: whether known patches may become lighter or darker, within ``gain`` and ``bias``.
        gain: of L, a and b, least and most.
        bias: likewise, at most up or down, in units of Lab.
        gradients: weight of squared differences of gradients in a patch's distance, above 0.
        smoothness: weight of gradients in the Poisson solve; both its weights are squared.
        certainty: votes weigh ``far + certainty * falloff^-d`` at d pixels from the known region, ``5`` further inside.
        falloff: see ``certainty``, at least 1.
        far: likewise, above 0.
        coherence: whether a patch votes more, the more of its neighbours have matches beside its own.
        seed: of the search; the result depends on it, the image, the hole and these settings alone.

    Raises:
        ValueError: a setting out of its range; numba is not installed; or, when an image is completed, no known pixel.
    """

    def __init__(
        self,
        *,
        patch_size: int,
        levels: int,
        smallest: int,
        rounds: int,
        fewer_rounds: int,
        least_rounds: int,
        speed: int | float,
        guesses: int,
        rotation: int | float,
        scale: Sequence[int | float],
        stretch: Sequence[int | float],
        reflection: bool,
        adjust: bool,
        gain: Sequence[int | float],
        bias: int | float,
        gradients: int | float,
        smoothness: int | float,
        certainty: int | float,
        falloff: int | float,
        far: int | float,
        coherence: bool,
        seed: int,
    ) -> None:
        super().__init__()
        require_packages("model=image_melding", ("numba",), "patches")
        if not SMALLEST_PATCH <= patch_size <= 32:
            raise ValueError(f"model.patch_size is {patch_size} pixels; it is 3 to 32.")
        if smallest < 8:
            raise ValueError(f"model.smallest is {smallest} pixels; the coarsest level has at least 8.")
        for name, value in (("levels", levels), ("rounds", rounds), ("least_rounds", least_rounds)):
            if value < 1:
                raise ValueError(f"model.{name} is {value}; it is at least 1.")
        for name, number, least in (("guesses", guesses, 1), ("speed", speed, 1), ("fewer_rounds", fewer_rounds, 0)):
            if not least <= number < np.inf:
                raise ValueError(f"model.{name} is {number}; it is {least} or more.")
        if not 0 <= rotation <= 180:
            raise ValueError(f"model.rotation is {rotation} degrees; it is 0 to 180.")
        for name, bounds in (("scale", scale), ("stretch", stretch), ("gain", gain)):
            if len(bounds) != 2 or not 0.25 <= bounds[0] <= 1 <= bounds[1] <= 4:
                raise ValueError(
                    f"model.{name} is {list(bounds)}; it is the least and the most, from 0.25 to 1 and from 1 to 4."
                )
        for name, number in (("bias", bias), ("smoothness", smoothness), ("certainty", certainty), ("seed", seed)):
            if not 0 <= number < np.inf:
                raise ValueError(f"model.{name} is {number}; it is 0 or more.")
        for name, number in (("gradients", gradients), ("far", far)):
            if not 0 < number < np.inf:
                raise ValueError(f"model.{name} is {number}; it is above 0.")
        if not 1 <= falloff < np.inf:
            raise ValueError(f"model.falloff is {falloff}; it is at least 1.")
        self.patch_size, self.levels, self.smallest_level = patch_size, levels, smallest
        self.rounds, self.fewer_rounds, self.least_rounds, self.speed = rounds, fewer_rounds, least_rounds, speed
        self.guesses, self.rotation, self.reflection = int(np.ceil(guesses / speed)), float(rotation), reflection
        self.scale, self.stretch = (float(scale[0]), float(scale[1])), (float(stretch[0]), float(stretch[1]))
        self.adjust, self.gain, self.bias = adjust, (float(gain[0]), float(gain[1])), float(bias)
        self.gradients, self.smoothness = gradients, smoothness
        self.certainty, self.falloff, self.far, self.coherence = certainty, falloff, far, coherence
        self.seed = seed

    def fill(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "height width 3"]:
        """The image with its hole filled by known patches, melded by Poisson's equation."""
        from inpaintlab import patches

        size = self._fitting(hole)
        if size is None:
            return self.fill_smoothly(image, hole, f"no patch of {SMALLEST_PATCH} x {SMALLEST_PATCH} pixels is known")
        self.notes += patches.shortfall(size, self.patch_size)

        levels = [scaled(image, hole, shape) for shape in self._shapes(*hole.shape)]
        levels = [level for level in levels if level.hole.any() and self._fits(level.hole, size)]
        rounds = [self._rounds(number) for number in range(len(levels))]
        work = np.cumsum([0.0, *(count * level.hole.sum() for count, level in zip(rounds, levels, strict=True))])
        work /= max(1.0, work[-1])
        lab, melding = harmonic(levels[0].known, levels[0].hole), None
        for number, level in enumerate(levels):
            melding = Melding(self, level, size, resized(lab, level.hole.shape), number, melding)
            for count in range(rounds[number]):
                done = work[number] + (work[number + 1] - work[number]) * np.array([count, count + 1]) / rounds[number]
                melding.turn(count, self._told_between(float(done[0]), float(done[1])))
            lab = melding.lab
        return from_lab(lab)

    def _told_between(self, start: float, end: float) -> Callable[[float], None]:
        """What tells of shares of a round as shares of the image."""
        return lambda share: self.progress(start + share * (end - start))

    def _fits(self, hole: Hole, size: int) -> bool:
        from inpaintlab.patches import known_patches

        return min(hole.shape) >= size and bool(known_patches(~usable(hole), size).any())

    def _fitting(self, hole: Hole) -> int | None:
        """The largest patch that is known somewhere."""
        return next((size for size in range(self.patch_size, SMALLEST_PATCH - 1, -1) if self._fits(hole, size)), None)

    def _shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Heights and widths of the levels, the coarsest first: a constant ratio, down to the smallest."""
        ratio = max(1.0, min(height, width) / self.smallest_level)
        steps = min(self.levels - 1, int(np.floor(np.log(ratio) / np.log(CLOSEST) + 1e-6)))
        scales = [ratio ** (step / steps) for step in range(steps, 0, -1)]
        return [(round(height / scale), round(width / scale)) for scale in scales] + [(height, width)]

    def _rounds(self, number: int) -> int:
        """Rounds of a level, counted from the coarsest."""
        return max(1, int(max(self.rounds - self.fewer_rounds * number, self.least_rounds) / self.speed))


class Melding:
    """One level while it is filled.

    Args:
        method: whose settings count.
        level: what is known.
        size: of a patch in pixels.
        lab: what the coarser level has made of it.
        number: of the level, from the coarsest.
        coarser: the level before, whose matches are the first ones here.
    """

    def __init__(
        self, method: ImageMelding, level: Level, size: int, lab: Lab, number: int, coarser: "Melding | None"
    ) -> None:
        from inpaintlab import patches

        self.method, self.level, self.size, self.number = method, level, size, number
        self.lab = paste(lab, level)
        self.search = patches.similarity(
            usable(level.hole),
            size,
            guesses=method.guesses,
            rotation=method.rotation,
            scale=method.scale,
            stretch=method.stretch,
            reflection=method.reflection,
            gain=method.gain,
            bias=method.bias,
            adjusts=method.adjust,
        )
        self.targets = patches.targets_of(
            patches.touching(level.hole, size) & patches.inside_image(level.hole.shape, size)
        )
        # gradients are also voted for between the hole and the known pixels above it and at its left
        rim = level.hole.copy()
        rim[:-1] |= level.hole[1:]
        rim[:, :-1] |= level.hole[:, 1:]
        self.pixels = patches.targets_of(rim | (level.share < 1))
        depth = distance_transform_edt(level.hole) + 5 * level.hole
        weights = method.far + method.certainty * method.falloff**-depth
        self.weights = weights[self.targets.rows, self.targets.columns].astype(np.float32)
        self.surface = ScreenedPoisson(level.hole, 1.0, method.smoothness) if method.smoothness else None
        state = patches.generator(method.seed, number)
        if coarser is None:
            self.matches = patches.random_matches(self.search, self.targets, state)
        else:
            self.matches = patches.carried_over(coarser.targets, coarser.matches, self.search, self.targets, state)

    def turn(self, count: int, progress: Callable[[float], None]) -> float:
        """One round: search, vote, Poisson.

        Args:
            count: of rounds before it in this level.
            progress: called with the share of the round that is done.

        Returns:
            The energy, before the vote: the sum of all distances, each times its weight.
        """
        from inpaintlab import patches

        weight = np.float32(np.sqrt(self.method.gradients))
        right, down = differences(self.lab[..., 0])
        features = np.concatenate([self.lab, weight * np.stack([right, down], axis=-1)], axis=-1)
        search = patches.looking_at(self.search, features)
        state = patches.generator(self.method.seed, self.number, count + 1)
        costs = patches.measure(search, self.targets, self.matches, at_once=AT_ONCE)
        for backward in (False, True):
            patches.improve(
                search,
                self.targets,
                self.matches,
                costs,
                state,
                backward=backward,
                exploring=not backward,
                progress=progress,
                at_once=AT_ONCE,
            )
        weights = self.weights
        if self.method.coherence:
            weights = weights * (1 + patches.coherence(self.targets, self.matches))
        rows, columns = self.pixels.rows, self.pixels.columns
        votes = features[rows, columns]
        patches.vote(search, self.targets, self.matches, weights, self.pixels, self.size, votes)
        voted = self.lab.copy()
        voted[rows, columns] = votes[:, :3]
        voted = paste(voted, self.level)
        right[rows, columns], down[rows, columns] = (votes[:, 3:] / weight).T
        if self.surface:
            voted[..., :1] = self.surface.solve(voted[..., :1], right[..., None], down[..., None])
        self.lab = voted
        return float(np.sum(self.weights.astype(np.float64) * costs))


def usable(hole: Hole) -> Hole:
    """Pixels of which the gradient is known too: known, with known ones at the right and below, or the border there."""
    known = ~hole
    known[:-1] &= ~hole[1:]
    known[:, :-1] &= ~hole[:, 1:]
    return known


def differences(plane: Plane) -> tuple[Plane, Plane]:
    """To the right and downwards, 0 at the image's border."""
    right, down = np.zeros_like(plane), np.zeros_like(plane)
    right[:, :-1], down[:-1] = np.diff(plane, axis=1), np.diff(plane, axis=0)
    return right, down


def paste(lab: Lab, level: Level) -> Lab:
    """The known share of each pixel in the place of what is made of it."""
    share = level.share[..., None]
    return share * level.known + (1 - share) * lab


def harmonic(lab: Lab, hole: Hole) -> Lab:
    """The hole as the membrane between its borders: Laplace's equation."""
    slopes = np.zeros_like(lab)
    return ScreenedPoisson(hole, 0.0).solve(lab, slopes, slopes)


def scaled(image: Float[np.ndarray, "height width 3"], hole: Hole, shape: tuple[int, int]) -> Level:
    """A level: the known pixels resized by Lanczos' filter, divided by how much of each is known."""
    if shape == hole.shape:
        return Level(to_lab(image), (~hole).astype(np.float32), hole)
    share = resized((~hole).astype(np.float32)[..., None], shape)[..., 0]
    known = resized(image, shape) / np.maximum(share, ALMOST_HIDDEN)[..., None]
    hidden = share <= ALMOST_HIDDEN
    share = np.where(hidden | (share < CERTAIN), 0, np.where(share > 1 - CERTAIN, 1, share)).astype(np.float32)
    return Level(to_lab(np.where(hidden[..., None], 0, known).clip(0, 1).astype(np.float32)), share, hidden)


def resized(
    picture: Float[np.ndarray, "height width channels"], shape: tuple[int, int]
) -> Float[np.ndarray, "rows columns channels"]:
    """Another size of a picture, by Lanczos' filter of three lobes."""
    if picture.shape[:2] == shape:
        return picture
    planes = [
        Image.fromarray(np.ascontiguousarray(picture[..., channel])).resize(shape[::-1], Image.Resampling.LANCZOS)
        for channel in range(picture.shape[2])
    ]
    return np.stack([np.asarray(plane, np.float32) for plane in planes], axis=-1)


def to_lab(image: Float[np.ndarray, "height width 3"]) -> Lab:
    """CIELab of sRGB in [0, 1] under D65; in float64, whose last bits, which threads may change, are cut."""
    planes = torch.from_numpy(image.astype(np.float64)).permute(2, 0, 1)
    return np.ascontiguousarray(rgb_to_lab(planes).permute(1, 2, 0).numpy(), np.float32)


def from_lab(lab: Lab) -> Float[np.ndarray, "height width 3"]:
    """The inverse, clipped to [0, 1]."""
    planes = torch.from_numpy(lab.astype(np.float64)).permute(2, 0, 1)
    return np.ascontiguousarray(lab_to_rgb(planes).permute(1, 2, 0).numpy(), np.float32)
