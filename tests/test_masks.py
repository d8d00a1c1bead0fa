"""Laws of the mask generators."""

import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from scipy import ndimage

from inpaintlab.masks import (
    Block,
    Center,
    Half,
    Mask,
    MaskFolder,
    Mixture,
    Rectangle,
    Strokes,
    WithHoleRatio,
    sample_generator,
)

CONF = Path(__file__).parents[1] / "conf" / "mask"
FILES = sorted(CONF.glob("*.yaml"))
SIZES = [(64, 64), (256, 256), (33, 47), (50, 21), (8, 8), (2, 3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five clean masks, white = hole, in two folders."""
    rng = np.random.default_rng(0)
    (tmp_path / "masks" / "inner").mkdir(parents=True)
    for index in range(5):
        # a checkerboard of 8 px squares, cut at random: every size and centre keeps both colours
        row, column = rng.integers(0, 16, 2)
        board = (np.indices((80, 80)) // 8).sum(0)[row:, column:][:64, :64] % 2
        save(tmp_path / "masks" / ("inner" if index % 2 else "") / f"{index}.png", 255 * board)
    return tmp_path / "masks"


def save(file: Path, pixels: np.ndarray) -> None:
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(file)


def build(file: Path, folder: Path) -> Mask:
    config = OmegaConf.load(file)
    if OmegaConf.is_missing(config, "root"):
        config.root = str(folder)
    return instantiate(config)


def strokes() -> Mask:
    return instantiate(OmegaConf.load(CONF / "strokes.yaml"))


def corners(mask: torch.Tensor) -> tuple[int, int, int, int]:
    """Top, left, rows and columns of the only rectangle of a mask."""
    ((rows, columns),) = ndimage.find_objects(mask[0].numpy().astype(int))
    assert mask.sum() == (rows.stop - rows.start) * (columns.stop - columns.start)
    return rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start


# ---- every configuration


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_mask_is_binary_with_a_hole_and_a_known_pixel(file, height, width, folder):
    mask = build(file, folder)
    generator = sample_generator(file.stem, height, width)
    for _ in range(20):
        drawn = mask(height, width, generator)
        assert drawn.shape == (1, height, width)
        assert drawn.dtype == torch.float32
        assert drawn.is_contiguous()
        assert drawn.unique().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_generator_alone_decides_the_mask(file, folder):
    mask = build(file, folder)
    first = [mask(48, 64, sample_generator(index)) for index in range(10)]
    torch.manual_seed(1)
    np.random.seed(1)
    again = [build(file, folder)(48, 64, sample_generator(index)) for index in range(10)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))

    if file.stem == "center":
        assert all(torch.equal(first[0], other) for other in first)
    else:
        assert any(not torch.equal(first[0], other) for other in first)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_global_generators_are_left_alone(file, folder):
    mask = build(file, folder)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    mask(64, 64, sample_generator(0))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_pickled_mask_draws_the_same(file, folder):
    mask = build(file, folder)
    copy = pickle.loads(pickle.dumps(mask))
    assert torch.equal(mask(40, 40, sample_generator(3)), copy(40, 40, sample_generator(3)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_any_mask_takes_a_hole_ratio(file, folder):
    mask = WithHoleRatio(build(file, folder), 0.05, 0.7)
    for index in range(5):
        assert 0.05 < mask(64, 64, sample_generator(index)).mean() <= 0.7


@pytest.mark.parametrize("mask", [Center(), Block(), Half(), Rectangle([0.375, 0.5], [0.375, 0.5])])
def test_one_pixel_cannot_be_both_hole_and_known(mask):
    with pytest.raises(ValueError, match=rf"{type(mask).__name__} .* at 1 x 1 px in 100 draws; use a larger image"):
        mask(1, 1, sample_generator(0))


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match="at least 1 px, but got 0 x 5 px"):
        Half()(0, 5, sample_generator(0))


def test_a_rectangle_that_always_covers_everything_is_refused():
    with pytest.raises(ValueError, match="Rectangle left no known pixel at 8 x 8 px"):
        Rectangle([1, 1], [1, 1])(8, 8, sample_generator(0))


# ---- rectangles


@pytest.mark.parametrize(
    ("size", "fractions", "low", "high"),
    [(256, [0.375, 0.5], 96, 128), (160, [0.3, 0.6], 48, 96), (32, [0.2, 0.4], 6, 13)],
)
def test_rectangle_sides_run_over_their_range_both_ends_included(size, fractions, low, high):
    mask, generator = Rectangle(height=fractions, width=fractions), sample_generator(0)
    drawn = [corners(mask(size, size, generator)) for _ in range(1500)]
    for sides in ([rows for _, _, rows, _ in drawn], [columns for _, _, _, columns in drawn]):
        assert min(sides) == low
        assert max(sides) == high
    # independent sides: uncorrelated within five standard errors
    assert abs(np.corrcoef([d[2:] for d in drawn], rowvar=False)[0, 1]) < 5 / np.sqrt(1500)


def test_rectangle_sides_follow_their_own_side_of_the_image():
    mask = Rectangle(height=[0.5, 0.5], width=[0.25, 0.25])
    assert corners(mask(40, 80, sample_generator(0)))[2:] == (20, 20)


def test_rectangles_reach_every_border():
    mask, generator = Rectangle([0.5, 0.5], [0.5, 0.5]), sample_generator(0)
    drawn = [corners(mask(8, 8, generator)) for _ in range(300)]
    assert {top for top, *_ in drawn} == {0, 1, 2, 3, 4}
    assert {left for _, left, *_ in drawn} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("bad", [[96, 128], [0.5, 0.3], [0, 0.5], [0.5]])
def test_rectangle_ranges_must_be_fractions(bad):
    with pytest.raises(ValueError, match=rf"Rectangle: width must be two fractions.* but is {re.escape(str(bad))}"):
        Rectangle(height=[0.1, 0.2], width=bad)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (10, 30), (256, 256)])
def test_a_block_covers_exactly_a_quarter_anywhere(height, width):
    mask, generator = Block(), sample_generator(0)
    places = set()
    for _ in range(200):
        drawn = mask(height, width, generator)
        assert drawn.sum() == height * width / 4
        places.add(corners(drawn))
    assert len(places) > 10


def test_half_an_odd_side_rounds_down():
    assert corners(Block()(33, 47, sample_generator(0)))[2:] == (16, 23)


def test_the_centre_block_is_in_the_centre():
    assert corners(Center()(128, 128, sample_generator(0))) == (32, 32, 64, 64)
    assert corners(Center(fraction=0.25)(16, 32, sample_generator(0))) == (6, 12, 4, 8)


@pytest.mark.parametrize("family", [Block, Center])
@pytest.mark.parametrize("bad", [0, 1, -0.5, 2])
def test_a_block_leaves_something_over(family, bad):
    with pytest.raises(ValueError, match=rf"{family.__name__}: fraction must lie strictly between 0 and 1.* {bad}\."):
        family(fraction=bad)


@pytest.mark.parametrize("width", [10, 11])
def test_half_is_exactly_the_left_or_the_right_half(width):
    generator = sample_generator(0)
    drawn = [corners(Half()(6, width, generator)) for _ in range(400)]
    assert set(drawn) == {(0, 0, 6, 5), (0, width - 5, 6, 5)}
    # binomial(400, 1/2): five standard deviations
    assert abs(sum(left == 0 for _, left, *_ in drawn) - 200) < 50


# ---- strokes


@pytest.mark.parametrize("size", [64, 256])
@pytest.mark.parametrize("low", [0.1, 0.2, 0.3, 0.4])
def test_strokes_meet_every_ten_percent_bin_within_200_tries(size, low):
    mask, generator = strokes(), sample_generator("bins", size, int(10 * low))
    bounded = WithHoleRatio(mask, low, low + 0.1)
    bounded.tries = 200
    for _ in range(10):
        assert low < bounded(size, size, generator).mean() <= low + 0.1


def test_one_stroke_is_one_piece_as_thin_as_its_width():
    mask = Strokes([1, 1], [4, 11], 72, 24, 0.125, 0.0625, width=[0.05, 0.05])
    for index in range(30):
        hole = mask(100, 100, sample_generator(index))[0].numpy()
        assert ndimage.label(hole, structure=np.ones((3, 3)))[1] == 1
        # nowhere a disc much wider than 5 px fits, except where the zigzag overlaps itself
        assert np.median(ndimage.distance_transform_edt(hole)[hole > 0]) <= 4


def test_a_stroke_without_length_is_a_disc_of_its_width():
    mask = Strokes([1, 1], [1, 1], 72, 24, length=1e-6, length_spread=0, width=[0.2, 0.2])
    for index in range(10):
        rows, columns = np.nonzero(mask(100, 100, sample_generator(index))[0].numpy())
        assert np.ptp(rows) + 1 <= 22
        assert np.ptp(columns) + 1 <= 22
        assert rows.size <= np.pi * 11**2


def test_more_strokes_cover_more():
    def mean_ratio(count: int) -> float:
        mask = Strokes([count, count], [4, 11], 72, 24, 0.125, 0.0625, [0.05, 0.15])
        generator = sample_generator(0)
        return float(np.mean([mask(64, 64, generator).mean() for _ in range(60)]))

    assert mean_ratio(1) < mean_ratio(3) < mean_ratio(8)


def test_strokes_prefer_no_side():
    mask, generator = strokes(), sample_generator(0)
    mean = torch.stack([mask(32, 32, generator)[0] for _ in range(1500)]).mean(0)
    assert abs(mean[:, :16].mean() - mean[:, 16:].mean()) < 0.02
    assert abs(mean[:16].mean() - mean[16:].mean()) < 0.02


def test_strokes_scale_with_the_image():
    def mean_ratio(size: int) -> float:
        mask, generator = strokes(), sample_generator("scale")
        return float(np.mean([mask(size, size, generator).mean() for _ in range(200)]))

    assert mean_ratio(128) == pytest.approx(mean_ratio(256), rel=0.1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"strokes": [0, 3]}, r"Strokes: strokes must be two whole numbers with 1 <= low <= high, but is \[0, 3\]"),
        ({"vertices": [5, 4]}, r"Strokes: vertices must be two whole numbers"),
        ({"width": [12, 39]}, r"Strokes: width must be two fractions of a side"),
        ({"length": 30}, r"Strokes: length must lie strictly between 0 and 1"),
        ({"angle_spread": -1}, r"Strokes: angle_spread must not be negative, but is -1"),
    ],
)
def test_strokes_say_which_parameter_is_wrong(change, sentence):
    good = OmegaConf.to_container(OmegaConf.load(CONF / "strokes.yaml"))
    arguments = {name: value for name, value in good.items() if not name.startswith("_")} | change
    with pytest.raises(ValueError, match=sentence):
        Strokes(**arguments)


# ---- folders of files


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


def test_every_file_is_picked_and_the_order_is_by_name(folder):
    (folder / "notes.txt").write_text("not a mask")
    (folder / "._0.png").write_bytes(b"left by a file manager")
    masks = MaskFolder(str(folder))
    assert masks.names == ["0.png", "2.png", "4.png", "inner/1.png", "inner/3.png"]
    generator = sample_generator(0)
    assert len({masks(64, 64, generator).numpy().tobytes() for _ in range(100)}) == 5


def test_a_missing_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(ValueError, match=r"looks for mask images \(.png.*\) in .*nowhere.* no such folder; set root"):
        MaskFolder(tmp_path / "nowhere")


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    (tmp_path / "readme.txt").write_text("no masks here")
    with pytest.raises(ValueError, match=r"looks for mask images \(.png.*\) in .* but found none; put masks there"):
        MaskFolder(tmp_path)


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nthis is no picture")
    with pytest.raises(ValueError, match=r"broken.png cannot be read as an image .*; repair or remove the file"):
        draw(tmp_path, 8, 8)


def test_a_truncated_file_is_named(tmp_path):
    save(tmp_path / "whole.png", 255 * np.random.default_rng(0).integers(0, 2, (64, 64)))
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "whole.png").unlink()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut.png cannot be read as an image"):
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


# ---- mixtures and ratios


def test_a_mixture_follows_its_weights():
    mask = Mixture(masks=[Center(0.25), Center(0.5), Center(0.75)], weights=[1, 0, 3])
    generator = sample_generator(0)
    areas = [int(mask(8, 8, generator).sum()) for _ in range(1000)]
    assert set(areas) == {4, 36}
    # binomial(1000, 1/4): five standard deviations
    assert abs(areas.count(4) - 250) < 5 * np.sqrt(1000 * 0.25 * 0.75)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")]])
def test_a_mixture_refuses_weights_that_mean_nothing(weights):
    with pytest.raises(ValueError, match=r"^Mixture"):
        Mixture(masks=[Center(), Half()], weights=weights)


def test_a_mixture_refuses_to_be_empty():
    with pytest.raises(ValueError, match="got 0 masks and 0 weights"):
        Mixture(masks=[], weights=[])


def test_the_low_end_of_a_ratio_is_outside_and_the_high_end_inside():
    assert WithHoleRatio(Center(), 0.2, 0.25)(8, 8, sample_generator(0)).mean() == 0.25
    with pytest.raises(ValueError, match=r"Center met no hole ratio in \(0.25, 0.3\] at 8 x 8 px: 1000 tries"):
        WithHoleRatio(Center(), 0.25, 0.3)(8, 8, sample_generator(0))


def test_an_impossible_ratio_says_what_the_generator_gave():
    mask = WithHoleRatio(Mixture([Center(0.25), Center(0.75)], [1, 1]), 0.9, 0.95)
    with pytest.raises(ValueError, match=r"1000 tries gave 0\.0625 to 0\.5625; widen the range"):
        mask(8, 8, sample_generator(0))


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.2), (0.2, 0.2), (-0.1, 0.2), (10, 20)])
def test_a_ratio_range_must_be_a_range(low, high):
    with pytest.raises(ValueError, match=r"\(low, high\] must satisfy 0 <= low < high <= 1"):
        WithHoleRatio(Half(), low, high)


# ---- seeds


def first_draws(*key: int | str) -> list[int]:
    return torch.randint(0, 1000, (4,), generator=sample_generator(*key)).tolist()


def test_a_key_gives_the_same_draws_for_ever():
    assert first_draws(0, 1, 2) == [147, 256, 858, 877]
    assert first_draws("evaluation", 7, "photo é.png") == [235, 135, 774, 886]


def test_another_process_draws_the_same():
    code = (
        "import torch; from inpaintlab.masks import sample_generator as s;"
        "print(torch.randint(0, 1000, (4,), generator=s('evaluation', 7, 'a')).tolist())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(first_draws("evaluation", 7, "a"))


def test_every_part_of_a_key_counts():
    keys = [(0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 3), (0, 2, 1), (0, 1, "2"), (0, 12), ("0,1", 2), (0, 1), ("a", "b")]
    assert len({tuple(first_draws(*key)) for key in keys}) == len(keys)


def test_the_strokes_of_a_key_never_change():
    mask = strokes()(64, 64, sample_generator("strokes", 0))
    assert int(mask.sum()) == 1002
