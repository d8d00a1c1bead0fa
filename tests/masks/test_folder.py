"""Laws of the masks that are read from image files."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from inpaintlab.masks import MaskFolder
from inpaintlab.randomness import sample_generator


def save(file: Path, pixels: np.ndarray) -> None:
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five masks in two folders, each with another row as its hole."""
    (tmp_path / "masks" / "inner").mkdir(parents=True)
    for index in range(5):
        row = 255 * (np.arange(64)[:, None] == 10 * index).repeat(64, axis=1)
        save(tmp_path / "masks" / ("inner" if index % 2 else "") / f"{index}.png", row)
    return tmp_path / "masks"


def draw(root: Path, height: int, width: int, **options) -> np.ndarray:
    return MaskFolder(root, **options)(height, width, sample_generator(0))[0].numpy()


def test_polarity_and_threshold_by_hand(tmp_path):
    save(tmp_path / "m.png", [[0, 127, 128, 255]])
    assert draw(tmp_path, 1, 4).tolist() == [[0, 0, 1, 1]]
    assert draw(tmp_path, 1, 4, hole="black").tolist() == [[1, 1, 0, 0]]
    assert draw(tmp_path, 1, 4, threshold=0).tolist() == [[0, 1, 1, 1]]
    assert draw(tmp_path, 1, 4, threshold=0.9).tolist() == [[0, 0, 0, 1]]
    assert draw(tmp_path, 1, 4, threshold=0, hole="black").tolist() == [[1, 0, 0, 0]]


def test_dilation_grows_the_hole_in_all_directions(tmp_path):
    pixels = np.zeros((7, 7))
    pixels[0, 2] = pixels[5, 5] = 255
    save(tmp_path / "m.png", pixels)
    by_hand = np.zeros((7, 7))
    by_hand[0:2, 1:4] = by_hand[4:7, 4:7] = 1
    assert np.array_equal(draw(tmp_path, 7, 7, dilate=1), by_hand)
    expected = ndimage.binary_dilation(255 - pixels == 0, np.ones((5, 5)))
    assert np.array_equal(draw(tmp_path, 7, 7, dilate=2), expected)


def test_dilation_counts_pixels_of_the_resized_mask(tmp_path):
    pixels = np.zeros((64, 64))
    pixels[32:40, 32:40] = 255
    save(tmp_path / "m.png", pixels)
    assert draw(tmp_path, 8, 8, dilate=1).sum() == 9


def test_files_are_resized_by_nearest_neighbour(tmp_path):
    pixels = 255 * np.random.default_rng(0).integers(0, 2, (12, 12))
    save(tmp_path / "m.png", pixels)
    assert np.array_equal(draw(tmp_path, 36, 36), np.kron(pixels, np.ones((3, 3))) / 255)
    assert np.array_equal(draw(tmp_path, 4, 4), pixels[1::3, 1::3] / 255)


def test_other_proportions_take_the_largest_central_part(tmp_path):
    pixels = 255 * np.random.default_rng(0).integers(0, 2, (8, 20))
    save(tmp_path / "m.png", pixels)
    assert np.array_equal(draw(tmp_path, 8, 8), pixels[:, 6:14] / 255)
    assert np.array_equal(draw(tmp_path, 4, 20), pixels[2:6] / 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_file_is_read_as_grey(tmp_path, mode):
    pixels = np.array([[0, 255, 255], [0, 0, 255]], np.uint8)
    if mode == "I;16":
        Image.fromarray(pixels.astype(np.uint16) * 200).save(tmp_path / "m.png")
    else:
        Image.fromarray(pixels).convert(mode).save(tmp_path / "m.png")
    assert np.array_equal(draw(tmp_path, 2, 3), pixels / 255)


def test_a_jpeg_mask_warns_once_and_stays_binary(tmp_path):
    rows, columns = np.indices((64, 64))
    save(tmp_path / "m.jpg", 255 * ((rows - 30) ** 2 + (columns - 30) ** 2 < 300))
    masks = MaskFolder(tmp_path)
    with pytest.warns(UserWarning, match="m.jpg has many grey values"):
        drawn = masks(64, 64, sample_generator(0))
    assert drawn.unique().tolist() == [0.0, 1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masks(64, 64, sample_generator(1))


def test_sixteen_greys_are_a_clean_mask_and_one_more_is_not(tmp_path):
    few, many = [0, 255, 1, 254, *range(20, 34)], [0, 255, 1, 254, *range(20, 35)]
    for name, greys in (("few", few), ("many", many)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.array([greys], np.uint8)).save(tmp_path / name / "m.png")
    MaskFolder(tmp_path / "few")(1, len(few), sample_generator(0))
    with pytest.warns(UserWarning, match="m.png has many grey values"):
        MaskFolder(tmp_path / "many")(1, len(many), sample_generator(0))


def test_every_file_is_picked_and_the_order_is_by_name(folder):
    (folder / "notes.txt").write_text("not a mask")
    (folder / "._0.png").write_bytes(b"left by a file manager")
    masks = MaskFolder(str(folder))
    assert masks.names == ["0.png", "2.png", "4.png", "inner/1.png", "inner/3.png"]
    generator = sample_generator(0)
    assert len({masks(64, 64, generator).numpy().tobytes() for _ in range(100)}) == 5


def test_folders_behind_links_are_searched_once(folder, tmp_path):
    (tmp_path / "store").mkdir()
    save(tmp_path / "store" / "5.png", np.eye(64))
    for link, target in (("more", tmp_path / "store"), ("again", tmp_path / "store"), ("up", folder.parent)):
        (folder / link).symlink_to(target)
    (folder / "inner" / "back").symlink_to(folder)
    masks = ["0.png", "2.png", "4.png", "again/5.png", "inner/1.png", "inner/3.png"]
    assert MaskFolder(folder).names == masks
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "set").symlink_to(folder)
    assert MaskFolder(tmp_path / "all").names == [f"set/{name}" for name in masks]


def test_a_photograph_is_no_mask_and_a_soft_brush_is_one(tmp_path):
    rows, columns = np.indices((64, 64))
    distance = np.hypot(rows - 32, columns - 32)
    save(tmp_path / "m.png", (255 * (30 - distance) / 20).clip(0, 255))  # a rim of 20 pixels
    with pytest.warns(UserWarning, match="has many grey values"):
        draw(tmp_path, 64, 64)
    save(tmp_path / "m.png", 60 + 2 * rows)
    with pytest.raises(ValueError, match=r"m\.png is a photograph, not a mask: 100% of its pixels are neither"):
        draw(tmp_path, 64, 64)


def test_a_mask_of_one_grey_is_a_mask(tmp_path):
    save(tmp_path / "m.png", [[0, 128, 128, 128]])
    assert draw(tmp_path, 1, 4).tolist() == [[0, 1, 1, 1]]


def test_a_missing_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(ValueError, match=r"looks for mask images \(\.jpg.*\) in .*nowhere.* no such folder; set root"):
        MaskFolder(tmp_path / "nowhere")


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    (tmp_path / "readme.txt").write_text("no masks here")
    with pytest.raises(ValueError, match=r"looks for mask images \(\.jpg.*\) in .* but found none; put masks there"):
        MaskFolder(tmp_path)


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nthis is no picture")
    with pytest.raises(ValueError, match=r"broken\.png is not a readable image .*; replace it or remove it"):
        draw(tmp_path, 8, 8)


def test_a_truncated_file_is_named(tmp_path):
    save(tmp_path / "whole.png", 255 * np.random.default_rng(0).integers(0, 2, (64, 64)))
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "whole.png").unlink()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut\.png cannot be decoded .*; copy it again"):
        draw(tmp_path, 8, 8)


@pytest.mark.parametrize(("grey", "fault"), [(0, "no hole"), (1, "no hole"), (255, "all hole")])
def test_a_file_of_one_colour_is_named_with_the_polarity(tmp_path, grey, fault):
    save(tmp_path / "plain.png", np.full((8, 8), grey))
    sentence = rf"plain.png is {fault} at 8 x 8 px \(hole: white.* run from {grey} to {grey} .* set hole to black"
    with pytest.raises(ValueError, match=sentence):
        draw(tmp_path, 8, 8)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"threshold": 128}, r"threshold must lie in \[0, 1\), but is 128"),
        ({"dilate": -1}, "dilate must be 0 or more pixels, but is -1"),
    ],
)
def test_folder_options_are_checked(folder, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        MaskFolder(folder, **options)
