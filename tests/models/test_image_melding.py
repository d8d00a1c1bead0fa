"""Laws of Image Melding's hole filling."""

from typing import Any

import numpy as np
import pytest
import torch
import yaml
from jaxtyping import Bool, Float
from skimage.color import rgb2lab

from inpaintlab.config import CONF
from inpaintlab.models import ImageMelding, image_melding

Picture = Float[np.ndarray, "height width 3"]
Hole = Bool[np.ndarray, "height width"]


QUICK = {"rounds": 8, "least_rounds": 4, "guesses": 16}
"""Enough for small pictures."""


PRESET = yaml.safe_load((CONF / "model/image_melding.yaml").read_text("utf-8"))


def melding(**settings: Any) -> ImageMelding:
    return ImageMelding(**{key: value for key, value in (PRESET | settings).items() if not key.startswith("_")})


def stripes(height: int, width: int) -> Picture:
    """Slanting stripes whose colours change from left to right."""
    y, x = np.mgrid[:height, :width]
    wave = 0.5 + 0.3 * np.sin((x + 0.5 * y) / 2)
    return np.stack([wave, 0.2 + 0.4 * wave, 0.8 - 0.5 * wave + 0.1 * x / width], axis=-1).astype(np.float32)


def block(height: int, width: int, side: int) -> Hole:
    hole = np.zeros((height, width), bool)
    top, left = (height - side) // 2, (width - side) // 2
    hole[top : top + side, left : left + side] = True
    return hole


def fill(model: ImageMelding, image: Picture, hole: Hole) -> Picture:
    return model.fill(np.where(hole[..., None], 0, image).astype(np.float32), hole)


def test_the_schedule_is_that_of_the_released_scripts() -> None:
    faithful = melding(speed=1)
    assert [faithful._rounds(level) for level in range(10)] == [27, 24, 21, 18, 15, 12, 9, 6, 5, 5]
    assert faithful.guesses == 30
    shapes = faithful._shapes(512, 640)
    assert len(shapes) == 10
    assert shapes[0] == (35, 44)
    assert shapes[-1] == (512, 640)
    ratios = np.array([height for height, _ in shapes[1:]]) / [height for height, _ in shapes[:-1]]
    np.testing.assert_allclose(ratios, (512 / 35) ** (1 / 9), rtol=0.02)
    twice = melding()
    assert [twice._rounds(level) for level in range(10)] == [13, 12, 10, 9, 7, 6, 4, 3, 2, 2]
    assert twice.guesses == 15


def test_a_small_photograph_has_few_levels_and_none_that_is_smaller_than_the_smallest() -> None:
    model = melding()
    assert model._shapes(32, 40) == [(32, 40)]
    assert model._shapes(70, 75) == [(35, 38), (42, 45), (49, 53), (59, 63), (70, 75)]
    assert model._shapes(3, 5000) == [(3, 5000)]


def test_votes_weigh_what_the_released_scripts_have() -> None:
    """205 outside the hole, 46 just inside, 5 in the end: 5 + 200 * 1.3^-d, and 5 pixels further in the hole."""
    hole = block(70, 70, 40)
    level = image_melding.Level(np.zeros((70, 70, 3), np.float32), (~hole).astype(np.float32), hole)
    found = image_melding.Melding(melding(), level, 10, level.known, 0, None)
    weight = dict(zip(zip(found.targets.rows, found.targets.columns, strict=True), found.weights, strict=True))
    assert weight[12, 35] == 205
    assert weight[15, 35] == pytest.approx(5 + 200 * 1.3**-6, rel=1e-5)
    assert weight[35, 35] == pytest.approx(5 + 200 * 1.3**-25, rel=1e-5)


def test_the_energy_falls_with_each_round_of_a_level() -> None:
    image, hole = stripes(40, 40), block(40, 40, 12)
    level = image_melding.scaled(np.where(hole[..., None], 0, image).astype(np.float32), hole, hole.shape)
    start = image_melding.harmonic(level.known, hole)
    found = image_melding.Melding(melding(), level, 10, start, 0, None)
    energies = np.array([found.turn(count, lambda share: None) for count in range(6)])
    assert (energies[1:] <= 1.01 * energies[:-1]).all()
    assert energies[-1] < energies[0] / 4


def test_slanting_stripes_continue() -> None:
    image, hole = stripes(48, 48), block(48, 48, 14)
    filled = fill(melding(**QUICK), image, hole)
    assert abs(filled - image)[hole].mean() < 0.03
    smooth = image_melding.from_lab(image_melding.harmonic(image_melding.to_lab(image), hole))
    assert abs(filled - image)[hole].mean() < abs(smooth - image)[hole].mean() / 3


def test_a_large_hole_in_a_flat_image_becomes_flat() -> None:
    image = np.full((60, 66, 3), [0.2, 0.5, 0.7], np.float32)
    np.testing.assert_allclose(fill(melding(**QUICK), image, block(60, 66, 40)), image, atol=1 / 255)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    image, hole = stripes(34, 33), block(34, 33, 9)
    first = fill(melding(**QUICK), image, hole)
    np.random.default_rng(5).random()
    torch.manual_seed(5)
    np.testing.assert_array_equal(first, fill(melding(**QUICK), image, hole))
    assert not np.array_equal(first, fill(melding(**QUICK, seed=1), image, hole))


@pytest.mark.parametrize(
    "changed", [{"reflection": True}, {"stretch": [0.9, 1.1]}, {"coherence": True}, {"adjust": True}]
)
def test_each_switch_is_one(changed: dict[str, Any]) -> None:
    image, hole = stripes(34, 33), block(34, 33, 9)
    filled = fill(melding(**QUICK), image, hole)
    other = fill(melding(**QUICK, **changed), image, hole)
    assert not np.array_equal(filled, other)
    assert abs(other - image)[hole].mean() < 0.08


def test_brightness_is_adjusted_where_it_may_be() -> None:
    """A texture that is dark at the left, light at the right, and between the two in the hole alone."""
    y, x = np.mgrid[:36, :64]
    texture = 0.1 * np.sin(x * 0.9) * np.sin(y * 1.1)
    image = np.repeat((0.3 + 0.4 * np.clip((x - 22) / 20, 0, 1) + texture)[..., None], 3, axis=2).astype(np.float32)
    hole = np.zeros((36, 64), bool)
    hole[:, 22:42] = True
    errors = {}
    for adjust in (False, True):
        filled = fill(melding(**QUICK, adjust=adjust, rotation=0, scale=[1, 1], gain=[0.8, 1.25], bias=20), image, hole)
        errors[adjust] = abs(filled.mean(axis=0) - image.mean(axis=0)).mean()
    assert errors[True] < 0.75 * errors[False]


def test_progress_rises_to_one_several_times_a_round() -> None:
    model = melding(**QUICK)
    shares: list[float] = []
    model.progress = shares.append
    fill(model, stripes(44, 44), block(44, 44, 12))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert len(shares) > 10


@pytest.mark.parametrize(
    ("hole", "note"),
    [
        (~np.pad(np.zeros((20, 24), bool), 6, constant_values=True), "searched with patches of"),
        (np.arange(40)[:, None] % 3 * np.ones((1, 40)) > 0, "filled by biharmonic interpolation"),
    ],
)
def test_it_says_how_it_fills_where_no_whole_patch_is_known(hole: Hole, note: str) -> None:
    model = melding(**QUICK)
    image = stripes(*hole.shape)
    filled = fill(model, image, hole)
    assert np.isfinite(filled).all()
    assert len(model.notes) == 1
    assert note in model.notes[0]


def test_a_level_knows_means_of_known_pixels_alone() -> None:
    image = np.full((64, 64, 3), 0.6, np.float32)
    hole = block(64, 64, 21)
    level = image_melding.scaled(np.where(hole[..., None], 0, image).astype(np.float32), hole, (40, 40))
    grey = image_melding.to_lab(image[:1, :1])[0, 0]
    np.testing.assert_allclose(level.known[~level.hole], np.tile(grey, ((~level.hole).sum(), 1)), atol=0.5)
    assert (level.share[level.hole] == 0).all()
    assert (level.share[~level.hole] > 0.1).all()
    assert level.share.max() == 1
    assert ((level.share > 0) & (level.share < 1)).any()


def test_colours_are_those_of_scikit_images_lab_and_come_back() -> None:
    image = np.random.default_rng(0).random((9, 7, 3)).astype(np.float32)
    lab = image_melding.to_lab(image)
    np.testing.assert_allclose(lab, rgb2lab(image), atol=1e-2)
    np.testing.assert_allclose(image_melding.from_lab(lab), image, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"patch_size": 2}, "patch_size"),
        ({"rotation": 200}, "rotation"),
        ({"scale": [1.1, 1.2]}, "scale"),
        ({"stretch": [0.9]}, "stretch"),
        ({"gain": [0.9, 1.1, 1.2]}, "gain"),
        ({"speed": 0.5}, "speed"),
        ({"guesses": 0}, "guesses"),
        ({"levels": 0}, "levels"),
        ({"gradients": 0}, "gradients"),
        ({"falloff": 0.9}, "falloff"),
        ({"bias": -1}, "bias"),
        ({"smallest": 4}, "smallest"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_with_its_key(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=rf"model\.{told} is"):
        melding(**settings)
