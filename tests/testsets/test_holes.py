"""The holes of a test set: bins that end where they say, files that stay the files they were."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inpaintlab.masks import Block, MaskFolder, Strokes, WithHoleRatio
from inpaintlab.randomness import sample_generator
from inpaintlab.testsets import ratio_ranges
from inpaintlab.testsets.holes import Holes, hole_generator, hole_ratio, mask_sha256, with_mask_root

SIDE = 40  # 1600 pixels: every whole percent is a whole number of pixels


def write_mask(path: Path, pixels: int, side: int = SIDE) -> None:
    """A mask file whose first so many pixels in reading order are white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = np.zeros(side * side, np.uint8)
    flat[:pixels] = 255
    Image.fromarray(flat.reshape(side, side)).save(path)


def holes(root: Path, low: float = 0, high: float = 1) -> Holes:
    return Holes(WithHoleRatio(MaskFolder(root), low, high), SIDE)


def test_ranges_are_called_by_percent() -> None:
    assert ratio_ranges([0.1, 0.2, 0.3]) == {"10-20": (0.1, 0.2), "20-30": (0.2, 0.3)}
    assert list(ratio_ranges([0, 0.01, 0.125, 1])) == ["0-1", "1-12.5", "12.5-100"]


@pytest.mark.parametrize("ends", [[], [0.1], [0.2, 0.1], [0.1, 0.1], [-0.1, 0.5], [0.5, 1.1]])
def test_ends_that_are_no_ranges_are_refused(ends: list[float]) -> None:
    with pytest.raises(ValueError, match="two or more rising hole ratios"):
        ratio_ranges(ends)


@pytest.mark.parametrize(("pixels", "fits"), [(160, False), (161, True), (320, True), (321, False)])
def test_a_range_leaves_out_its_lower_end_and_holds_its_upper_one(tmp_path: Path, pixels: int, fits: bool) -> None:
    write_mask(tmp_path / "m.png", pixels)
    if fits:
        assert holes(tmp_path, 0.1, 0.2).choose(sample_generator(0))[1] == "m.png"
    else:
        told = rf"None of the 1 masks .* in \(0\.1, 0\.2\] at 40 x 40 px: they run from {pixels / 1600:.4f}"
        with pytest.raises(ValueError, match=told):
            holes(tmp_path, 0.1, 0.2).choose(sample_generator(0))


def test_ratios_at_the_end_of_a_bin_are_exact(tmp_path: Path) -> None:
    for percent in range(1, 100):
        write_mask(tmp_path / f"{percent}.png", 16 * percent)
    files = holes(tmp_path)
    assert [hole_ratio(files.of_file(f"{percent}.png")) for percent in range(1, 100)] == [
        p / 100 for p in range(1, 100)
    ]


def test_every_file_that_fits_is_chosen_in_time_and_no_other(tmp_path: Path) -> None:
    for index in range(10):
        write_mask(tmp_path / f"{index}.png", 100 + 40 * index)  # 0.0625, 0.0875, 0.1125 ... 0.2875
    files = holes(tmp_path, 0.1, 0.2)
    chosen = {files.choose(hole_generator(0, "bin", str(image)))[1] for image in range(100)}
    assert chosen == {f"{index}.png" for index in range(2, 6)}


def test_a_choice_depends_on_nothing_but_the_generator(tmp_path: Path) -> None:
    for index in range(10):
        write_mask(tmp_path / f"{index}.png", 100 + 40 * index)
    files = holes(tmp_path)
    first = [files.choose(hole_generator(0, "bin", str(image)))[1] for image in range(20)]
    for image in reversed(range(20)):
        mask, file = holes(tmp_path).choose(hole_generator(0, "bin", str(image)))
        assert file == first[image]
        assert mask_sha256(mask) == mask_sha256(files.of_file(file))


@pytest.mark.parametrize("mask", [Block(), WithHoleRatio(Block(), 0.2, 0.3)])
def test_drawn_holes_have_no_file(mask: Block | WithHoleRatio) -> None:
    drawn = Holes(mask, SIDE)
    hole, file = drawn.choose(sample_generator(0))
    assert file is None
    assert mask_sha256(hole) == mask_sha256(mask(SIDE, SIDE, sample_generator(0)))
    with pytest.raises(ValueError, match="names a mask file in a bin whose holes are drawn"):
        _ = drawn.root


def test_hashes_tell_masks_apart_by_pixel_and_by_shape(tmp_path: Path) -> None:
    masks = [Block(0.5)(size, size, sample_generator(seed)) for size, seed in ((8, 0), (8, 1), (16, 0))]
    masks.append(1 - masks[0])
    assert len({mask_sha256(mask) for mask in masks}) == 4
    assert mask_sha256(masks[0].reshape(1, 4, 16)) != mask_sha256(masks[0])


def test_mask_folders_are_found_where_they_moved_to(tmp_path: Path) -> None:
    folder = {"_target_": "inpaintlab.masks.MaskFolder", "root": "photos/masks", "hole": "black"}
    nested = {"_target_": "inpaintlab.masks.Mixture", "masks": [{"mask": folder, "low": 0.1}], "weights": [1]}
    assert with_mask_root(nested, "new", "photos", "elsewhere")["masks"][0]["mask"] == folder | {"root": "new"}
    assert with_mask_root(folder, None, "photos", "elsewhere")["root"] == str(Path("elsewhere/masks"))
    assert with_mask_root(folder, None, "pictures", "elsewhere") == folder
    assert with_mask_root(folder, None, None, None) == folder
    assert folder["root"] == "photos/masks"


def test_strokes_keep_their_bin(tmp_path: Path) -> None:
    strokes = Strokes([1, 8], [4, 12], 72, 24, 0.1, 0.05, [0.05, 0.15])
    bin_ = Holes(WithHoleRatio(strokes, 0.2, 0.3), SIDE)
    for image in range(20):
        assert 0.2 < hole_ratio(bin_.choose(hole_generator(0, "20-30", str(image)))[0]) <= 0.3
