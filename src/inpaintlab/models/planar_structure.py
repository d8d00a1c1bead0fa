"""Planar structure guidance: patches seen along the planes of the scene (Huang, Kang, Ahuja, Kopf, SIGGRAPH 2014).

A re-implementation. The authors' MATLAB code (jbhuang0604/StructCompletion) calls a program for vanishing points whose
source is not published, and what it has switched on changed over its history; `docs/fidelity.md` says what each preset
follows.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation, distance_transform_edt, generate_binary_structure

from inpaintlab.imaging import PlaneFinder, Planes, RegularityFinder, ScreenedPoisson, VanishingPointDetector
from inpaintlab.inpainting import Classical
from inpaintlab.published import require_packages

if TYPE_CHECKING:
    from inpaintlab.patches import Homography, Targets

Image = Float[np.ndarray, "height width 3"]
Hole = Bool[np.ndarray, "height width"]

MARGIN = np.ones((5, 5), bool)
"""By which the hole is dilated for analysis and synthesis, and then by a pixel in four directions, because the pixels
beside a hole are mixed with what was there (the authors' sc_extract_planar_structure.m)."""

LEAST_STEP = 2 ** (1 / 9)
"""Between the sides of two levels. As many levels as are asked for would be almost equal in a small image; this is
their ratio for an image of 64 pixels and the authors' ten levels."""

WAYS = (([1, 0], False), ([0, 1], False), ([1, 0], True), ([0, 1], True))
"""The four directions of propagation: from above, from the left, from below, from the right. A scan visits a neighbour
before its target, so one scan carries a match as far as the authors' wave of a direction does. The wave also tries what
a neighbour had before it changed itself, which the scan does not."""

AT_ONCE = 2048
"""Targets between two looks for a signal: up to a quarter of a second."""

NO_STEPS = np.empty((0, 2), np.int64)


class Level(NamedTuple):
    """One level of the pyramid.

    Args:
        known: its image; means of known pixels.
        hole: True in the hole.
        targets: the patches that touch it.
        valid: where a source patch may be centred.
        rounds: of improving and voting.
        nearness: by which a patch's vote shrinks with each pixel from the known region.
    """

    known: Image
    hole: Hole
    targets: "Targets"
    valid: Hole
    rounds: int
    nearness: float


@final
class PlanarStructure(Classical):
    """Completes an image by patches of its known region, which may lie elsewhere on a plane of the scene.

    Vanishing points give planes; each pixel has a posterior of lying on each, and each plane the displacements at which
    it repeats itself. A patch's match is a homography that moves it within a plane. Its cost is the difference of
    colours after a bias, and how improbable the plane is at both ends (planar term), how far it moves across both
    directions in which the plane has lines (directional term), and how far it moves at all (proximity term).

    An image in which no plane is found is completed by patches parallel to it, and ``notes`` says so.

    Args:
        detector: of vanishing points.
        planes: finds the planes.
        regularity: finds the displacements at which they repeat themselves; None guesses by none.
        patch_size: side of a patch in pixels, odd, 3 to 15.
        patch_sigma: of the Gaussian by which the pixels of a patch count, in pixels.
        smallest: the coarsest level's shorter side in pixels.
        iterations: at each level, the coarsest first; the coarsest does all of them twice, at first without a change of
            the image. A small image has fewer levels, and takes the first numbers.
        most_bias: what may be added to each colour of a source, in [0, 1].
        scales: the least and the greatest scale of a guess.
        plane_weight: of the planar term.
        direction_weight: of the directional term.
        direction_limit: its greatest value before it is weighted, as a share of the image's longer side; a match
            parallel to the image has that.
        proximity_weight: of the proximity term.
        proximity_slack: distance from which it counts, beyond the target's distance from the known region, as a share
            of the image's longer side.
        regularity_bonus: by which the cost of a match guessed by regularity is reduced.
        regularity_draws: guesses by regularity for each patch and iteration.
        propagated_plane: by which a neighbour's match is judged: 'neighbour', or 'own', that of the present match.
        nearness: by which a patch's vote shrinks with each pixel from the known region, at the coarsest and at the
            finest level; geometric between them.
        seed: of the guesses; the result depends on it, the image, the hole and these settings alone.

    Raises:
        ValueError: a setting out of its range; numba is not installed; or, when an image is completed, no known pixel.
    """

    PROPAGATED = ("neighbour", "own")

    def __init__(
        self,
        *,
        detector: VanishingPointDetector,
        planes: PlaneFinder,
        regularity: RegularityFinder | None,
        patch_size: int,
        patch_sigma: float,
        smallest: int,
        iterations: Sequence[int],
        most_bias: float,
        scales: Sequence[float],
        plane_weight: float,
        direction_weight: float,
        direction_limit: float,
        proximity_weight: float,
        proximity_slack: float,
        regularity_bonus: float,
        regularity_draws: int,
        propagated_plane: str,
        nearness: Sequence[float],
        seed: int,
    ) -> None:
        super().__init__()
        require_packages("model=planar_structure", ("numba",), "patches")
        if patch_size not in range(3, 16, 2):
            raise ValueError(f"model.patch_size is {patch_size} pixels; it is odd, 3 to 15.")
        if not patch_sigma > 0:
            raise ValueError(f"model.patch_sigma is {patch_sigma} pixels; it must be above 0.")
        if smallest < 8:
            raise ValueError(f"model.smallest is {smallest} pixels; the coarsest level has at least 8.")
        if not iterations or min(iterations) < 1:
            raise ValueError(f"model.iterations is {list(iterations)}; it has a number a level, each at least 1.")
        if len(scales) != 2 or not 0 < scales[0] < 1 < scales[1]:
            raise ValueError(f"model.scales is {list(scales)}; it is the least, below 1, and the greatest, above 1.")
        if len(nearness) != 2 or min(nearness) < 1 or max(nearness) > 16:
            raise ValueError(f"model.nearness is {list(nearness)}; it is of two levels, each 1 to 16.")
        if propagated_plane not in self.PROPAGATED:
            raise ValueError(f"model.propagated_plane is '{propagated_plane}'; it is {' or '.join(self.PROPAGATED)}.")
        if min(regularity_draws, seed) < 0:
            raise ValueError("model.regularity_draws and model.seed are 0 or more.")
        weights = (plane_weight, direction_weight, direction_limit, proximity_weight, proximity_slack, most_bias)
        if min(weights) < 0 or regularity_bonus < 0:
            raise ValueError("The weights and limits of model=planar_structure, most_bias and the bonus are 0 or more.")
        self.detector, self.planes, self.regularity = detector, planes, regularity
        self.patch_size, self.patch_sigma = patch_size, patch_sigma
        self.smallest_level, self.iterations = smallest, list(iterations)
        self.most_bias, self.scales = most_bias, (float(scales[0]), float(scales[1]))
        self.plane_weight = plane_weight
        self.direction = (float(direction_weight), float(direction_limit))
        self.proximity = (float(proximity_weight), float(proximity_slack))
        self.regularity_bonus, self.regularity_draws = regularity_bonus, regularity_draws
        self.propagated_plane, self.seed = propagated_plane, seed
        self.nearness = (float(nearness[0]), float(nearness[1]))

    def fill(self, image: Image, hole: Hole) -> Image:
        """The image with its hole filled along its planes, blended into the known pixels around it."""
        from inpaintlab import patches

        grown = binary_dilation(binary_dilation(hole, MARGIN), generate_binary_structure(2, 1))
        if patches.fitting_patch(grown, self.patch_size) != self.patch_size:
            grown = hole
        size = patches.fitting_patch(grown, self.patch_size)
        if size is None:
            return self.fill_smoothly(image, hole, "no patch of 3 x 3 pixels is known")
        self.notes += patches.shortfall(size, self.patch_size)
        planes = self.planes.find(self.detector.find(image, grown), grown)
        steps = [np.empty((0, 2)) for _ in planes.lines]
        if self.regularity is not None and self.regularity_draws:
            steps = self.regularity.find(image, grown, planes)
        self.notes.append(_told(planes, steps))
        synthesis, _, _ = self._synthesise(np.where(grown[..., None], 0, image), grown, size, planes, steps)
        return _blended(image, hole, synthesis)

    # --- synthesis -------------------------------------------------------------------------------------------------

    def _levels(self, image: Image, hole: Hole, size: int) -> list[Level]:
        """The levels that have a hole and a known patch, the coarsest first."""
        from inpaintlab import patches

        shorter = min(hole.shape)
        octaves = max(0.0, np.log2(shorter / self.smallest_level))
        number = min(len(self.iterations), 1 + int(octaves / np.log2(LEAST_STEP)))
        shrinking = 2 ** np.linspace(-octaves, 0, number) if number > 1 else np.ones(1)
        nearness = np.geomspace(self.nearness[1], self.nearness[0], number)[::-1]
        found = []
        for share, rounds, near in zip(shrinking, self.iterations, nearness, strict=False):
            known, hidden = patches.shrunk(image, hole, (round(hole.shape[0] * share), round(hole.shape[1] * share)))
            valid = patches.known_patches(hidden, size)
            if hidden.any() and valid.any():
                inside = patches.known_patches(np.zeros_like(hidden), size)
                targets = patches.targets_of(patches.touching(hidden, size) & inside)
                found.append(Level(known, hidden, targets, valid, rounds, float(near)))
        return found

    def _search(
        self, level: Level, whole: tuple[int, ...], size: int, planes: Planes, steps: list[np.ndarray]
    ) -> "Homography":
        """What a level is searched by; its image goes on harmonically in the hole."""
        from inpaintlab import patches

        height, width = level.hole.shape
        down, right = whole[0] / height, whole[1] / width
        posterior = planes.posterior_at(height, width)
        away = np.arange(size) - size // 2
        weights = np.exp(-(away[:, None] ** 2 + away**2) / (2 * self.patch_sigma**2))
        return patches.Homography(
            colours=_harmonic(patches.from_nearest(level.known, level.hole), level.hole),
            valid=level.valid,
            number=level.targets.number,
            size=size,
            weights=(weights / weights.sum()).ravel(),
            frame=(down, (down - 1) / 2, right, (right - 1) / 2),
            side=float(max(whole)),
            lines=planes.lines,
            turns=np.ascontiguousarray(np.stack([np.cos(planes.angles), np.sin(planes.angles)], axis=-1)),
            unlikely=(-self.plane_weight * np.log(posterior)).astype(np.float32),
            drawing=np.ascontiguousarray(np.moveaxis(posterior.cumsum(axis=0), 0, -1), np.float32),
            steps=np.concatenate(steps),
            first=np.cumsum([0, *(len(of_plane) for of_plane in steps)]),
            hole_distance=(distance_transform_edt(level.hole) / max(height, width)).astype(np.float32),
            most_bias=float(self.most_bias),
            scales=self.scales,
            direction=self.direction,
            proximity=self.proximity,
            bonus=float(self.regularity_bonus),
            regular_draws=self.regularity_draws,
            own_plane=self.propagated_plane == "own",
            patch=np.empty(3 * size * size, np.float32),
        )

    def _synthesise(
        self, image: Image, hole: Hole, size: int, planes: Planes, steps: list[np.ndarray]
    ) -> "tuple[Image, Targets, np.ndarray]":
        """The image with its grown hole filled, from coarse to fine, and the matches of the finest level's targets."""
        from inpaintlab import patches

        levels = self._levels(image, hole, size)
        works = [level.rounds * len(level.targets.rows) for level in levels]
        works[0] *= 2
        done = 0.0
        before: tuple[Level, Homography, np.ndarray] | None = None
        for index, level in enumerate(levels):
            search, targets = self._search(level, hole.shape, size, planes, steps), level.targets
            sources = np.argwhere(level.valid)
            chance = patches.generator(self.seed, index)
            matches = _at_random(targets, sources, self.seed, index)
            if before is not None:
                matches = _refined(before, level, search, matches)
            votes = _nearness(level)[targets.rows, targets.columns]
            pixels = patches.targets_of(level.hole)
            if before is not None:
                patches.measure(search, targets, matches, at_once=AT_ONCE)  # the biases
                _vote(search, targets, matches, votes, pixels)
            locked = level.rounds if before is None else 0
            rounds = level.rounds + locked
            for number in range(rounds):
                costs = patches.measure(search, targets, matches, at_once=AT_ONCE)
                for step, backward in WAYS:
                    patches.improve(
                        search,
                        targets,
                        matches,
                        costs,
                        chance,
                        steps=np.array([step]),
                        backward=backward,
                        exploring=False,
                        at_once=AT_ONCE,
                    )
                patches.improve(search, targets, matches, costs, chance, steps=NO_STEPS, at_once=AT_ONCE)
                if number >= locked:
                    _vote(search, targets, matches, votes, pixels)
                self.progress((done + works[index] * (number + 1) / rounds) / sum(works))
            done += works[index]
            before = level, search, matches
        assert before is not None
        return before[1].colours, before[0].targets, before[2]


def _nearness(level: Level) -> Float[np.ndarray, "height width"]:
    """How much each pixel counts: less, the farther it is from the known region."""
    farthest = 200  # 16^-200 is a number still
    return np.power(level.nearness, -np.minimum(distance_transform_edt(level.hole), farthest))


def _told(planes: Planes, steps: list[np.ndarray]) -> str:
    """What was found in an image, for its user."""
    points, number = len(planes.points), len(planes.lines) - 1
    if not number:
        some = f"{points} vanishing point{'s' * (points != 1)}" if points else "no vanishing point"
        return f"no plane found ({some}): filled with patches parallel to the image"
    repeating = sum(len(of_plane) > 0 for of_plane in steps[1:])
    told = f"{points} vanishing points, {number} plane{'s' * (number != 1)} beside the image's own"
    return f"{told}, {repeating} of which repeat{'s' * (repeating == 1)}" if repeating else told


def _at_random(targets: "Targets", sources: np.ndarray, *seeds: int) -> np.ndarray:
    """A random source for each target, parallel to the image."""
    from inpaintlab import patches

    drawn = np.random.default_rng(seeds).integers(len(sources), size=len(targets.rows))
    return patches.copies(targets, sources[drawn])


def _refined(
    before: "tuple[Level, Homography, np.ndarray]", level: Level, search: "Homography", others: np.ndarray
) -> np.ndarray:
    """The matches of the level before, at this one; others where they have no source here."""
    from inpaintlab import patches

    coarse, targets = before[0].targets, level.targets
    ratio = np.array(coarse.number.shape) / np.array(targets.number.shape)
    rows, columns = (
        np.clip(np.floor((place + 0.5) * share), 0, most - 1).astype(int)
        for place, share, most in zip((targets.rows, targets.columns), ratio, coarse.number.shape, strict=True)
    )
    nearest = distance_transform_edt(coarse.number < 0, return_distances=False, return_indices=True)
    numbers = coarse.number[tuple(nearest)][rows, columns]
    matches = patches.rescaled(before[2], numbers, targets, before[1].frame, search.frame)
    kept = patches.usable(level.valid, matches, search.size)
    return np.where(kept[:, None], matches, others)


def _vote(search: "Homography", targets: "Targets", matches: np.ndarray, votes: np.ndarray, pixels: "Targets") -> None:
    """The pixels of the hole become the weighted means of the patches over them."""
    from inpaintlab import patches

    found = search.colours[pixels.rows, pixels.columns].astype(np.float64)
    patches.vote(search, targets, matches, votes, pixels, search.size, found)
    search.colours[pixels.rows, pixels.columns] = found.clip(0, 1)


def _harmonic(image: Image, hole: Hole) -> Image:
    """The image with its hole filled as smoothly as possible, which a vote replaces at all levels but the coarsest."""
    flat = np.zeros_like(image)
    return np.ascontiguousarray(ScreenedPoisson(hole, 0.0).solve(image, flat, flat), np.float32)


def _blended(image: Image, hole: Hole, synthesis: Image) -> Image:
    """The synthesis in the hole, its gradients kept, its colours moved to meet the known pixels around it."""
    right, down = np.zeros_like(synthesis), np.zeros_like(synthesis)
    right[:, :-1] = synthesis[:, 1:] - synthesis[:, :-1]
    down[:-1] = synthesis[1:] - synthesis[:-1]
    together = np.where(hole[..., None], synthesis, image).astype(np.float32)
    return ScreenedPoisson(hole, 0.0).solve(together, right, down).clip(0, 1).astype(np.float32)
