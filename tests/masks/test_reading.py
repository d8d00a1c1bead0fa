"""A mask file says the same in every depth, colour and way of being transparent."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inpaintlab.masks import CLEAN, read_mask

HOLE = np.zeros((20, 30), bool)
HOLE[4:10, 8:20] = True


def rgba(colour: np.ndarray | int, alpha: np.ndarray) -> Image.Image:
    plane = np.broadcast_to(np.uint8(colour), HOLE.shape)
    return Image.fromarray(np.dstack([plane, plane, plane, alpha.astype(np.uint8)]))


def hole_in(path: Path, colour: str = "white") -> np.ndarray:
    grey = np.asarray(read_mask(path, colour).grey)
    assert grey.dtype == np.uint8
    return grey > 127 if colour == "white" else grey <= 127


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("white", [1, 255, 65535])
def test_two_values_are_black_and_white_in_every_depth(tmp_path: Path, kind: type, white: int) -> None:
    if kind is np.uint8 and white > 255:
        return
    Image.fromarray((HOLE * white).astype(kind)).save(tmp_path / "m.tif")
    assert (hole_in(tmp_path / "m.tif") == HOLE).all()
    assert (hole_in(tmp_path / "m.tif", "black") == ~HOLE).all()


def test_greys_of_16_bits_and_of_floats_are_scaled_as_photographs_are(tmp_path: Path) -> None:
    wide = np.array([[0, 128, 129, 32767, 32896, 65535]], np.uint16)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert np.asarray(read_mask(tmp_path / "wide.png", "white").grey).tolist() == [[0, 0, 1, 127, 128, 255]]
    Image.fromarray(np.array([[0, 0.25, 0.5, 1]], np.float32)).save(tmp_path / "float.tif")
    assert np.asarray(read_mask(tmp_path / "float.tif", "white").grey).tolist() == [[0, 64, 128, 255]]


@pytest.mark.parametrize("values", [[0, 0.5, 200], [0, np.nan, 1], [-1, 0, 1]])
def test_numbers_without_a_range_are_refused_with_what_they_are(tmp_path: Path, values: list[float]) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "m.tif")
    with pytest.raises(ValueError, match=r"m\.tif holds numbers of 32 bits from .* to .*, whose range is not defined"):
        read_mask(tmp_path / "m.tif", "white")


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK"])
def test_every_mode_says_the_same(tmp_path: Path, mode: str) -> None:
    Image.fromarray((HOLE * 255).astype(np.uint8)).convert(mode).save(tmp_path / "m.tif")
    assert (hole_in(tmp_path / "m.tif") == HOLE).all()


@pytest.mark.parametrize("strokes", [255, 0, 76])  # 76: a pure red
@pytest.mark.parametrize("hidden", [255, 0])
def test_strokes_on_a_transparent_ground_are_the_hole_whatever_is_hidden(
    tmp_path: Path, strokes: int, hidden: int
) -> None:
    rgba(np.where(HOLE, strokes, hidden), HOLE * 255).save(tmp_path / "m.png")
    assert (hole_in(tmp_path / "m.png") == HOLE).all()
    assert bool(read_mask(tmp_path / "m.png", "white").remark) == (strokes < 128)
    if strokes < 128:
        assert (hole_in(tmp_path / "m.png", "black") == HOLE).all()
    else:  # the only hole that a white drawing leaves where the hole is black
        assert (hole_in(tmp_path / "m.png", "black") == ~HOLE).all()


def test_a_soft_brush_keeps_its_soft_rim(tmp_path: Path) -> None:
    alpha = np.broadcast_to(np.linspace(0, 255, 30).round(), HOLE.shape)
    for colour in (alpha, 255):  # mixed with the ground, and not
        rgba(np.broadcast_to(colour, HOLE.shape), alpha).save(tmp_path / "m.png")
        assert (np.asarray(read_mask(tmp_path / "m.png", "white").grey) == alpha).all()


def test_what_is_transparent_beside_black_and_white_is_known(tmp_path: Path) -> None:
    drawn = np.zeros(HOLE.shape, bool)
    drawn[:, 5:] = True
    rgba(np.where(HOLE | ~drawn, 255, 0), drawn * 255).save(tmp_path / "m.png")
    assert (hole_in(tmp_path / "m.png") == HOLE).all()
    rgba(np.where(HOLE | ~drawn, 0, 255), drawn * 255).save(tmp_path / "m.png")
    assert (hole_in(tmp_path / "m.png", "black") == HOLE).all()


@pytest.mark.parametrize("colour", ["white", "black"])
def test_what_is_erased_from_a_photograph_is_the_hole_and_is_told(tmp_path: Path, colour: str) -> None:
    photograph = np.random.default_rng(0).integers(0, 256, HOLE.shape)
    rgba(photograph, ~HOLE * 255).save(tmp_path / "m.png")
    assert (hole_in(tmp_path / "m.png", colour) == HOLE).all()
    assert "grey values where it is opaque" in read_mask(tmp_path / "m.png", colour).remark


def test_an_opaque_alpha_says_nothing(tmp_path: Path) -> None:
    rgba(HOLE * 255, HOLE * 0 + 255).save(tmp_path / "m.png")
    assert (hole_in(tmp_path / "m.png") == HOLE).all()


def test_a_file_that_is_transparent_all_over_has_no_hole(tmp_path: Path) -> None:
    for colour in ("white", "black"):
        rgba(255, HOLE * 0).save(tmp_path / "m.png")
        assert not hole_in(tmp_path / "m.png", colour).any()


def test_greys_are_counted_between_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", "white").greys == 254 > CLEAN
    Image.fromarray((HOLE * 255).astype(np.uint8)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", "white").greys == 0
