"""Laws of the mask generators."""

import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from scipy import ndimage

from inpaintlab.masks import Block, Center, Half, Mask, Mixture, RandomRegion, Rectangle, Strokes, WithHoleRatio
from inpaintlab.masks.regions import catmull_rom
from inpaintlab.randomness import sample_generator
from inpaintlab.testsets import Manifest, ManifestDataset
from stand_ins.commands import run

CONF = Path(__file__).parents[2] / "conf" / "mask"
FILES = sorted(CONF.glob("*.yaml"))
SIZES = [(64, 64), (256, 256), (33, 47), (50, 21), (8, 8), (2, 3)]
# 20 to 30 % of 6 pixels is no whole number of pixels.
CASES = [(file, *size) for file in FILES for size in SIZES if (file.stem, size) != ("random_region", (2, 3))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five clean masks, white = hole, in two folders."""
    rng = np.random.default_rng(0)
    (tmp_path / "masks" / "inner").mkdir(parents=True)
    for index in range(5):
        # a checkerboard of 8 px squares, cut at random: every size and centre keeps both colours
        row, column = rng.integers(0, 16, 2)
        board = (np.indices((80, 80)) // 8).sum(0)[row:, column:][:64, :64] % 2
        picture = Image.fromarray((255 * board).astype(np.uint8))
        picture.save(tmp_path / "masks" / ("inner" if index % 2 else "") / f"{index}.png")
    return tmp_path / "masks"


def configuration(file: Path, folder: Path) -> DictConfig:
    config = OmegaConf.load(file)
    if OmegaConf.is_missing(config, "root"):
        config.root = str(folder)
    return config


def build(file: Path, folder: Path) -> Mask:
    return instantiate(configuration(file, folder))


def strokes() -> Mask:
    return instantiate(OmegaConf.load(CONF / "strokes.yaml"))


def corners(mask: torch.Tensor) -> tuple[int, int, int, int]:
    """Top, left, rows and columns of the only rectangle of a mask."""
    ((rows, columns),) = ndimage.find_objects(mask[0].numpy().astype(int))
    assert mask.sum() == (rows.stop - rows.start) * (columns.stop - columns.start)
    return rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start


# ---- every configuration


@pytest.mark.parametrize(("file", "height", "width"), CASES, ids=lambda part: getattr(part, "stem", None))
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


def test_a_manifest_finds_every_mask_again(folder):
    manifest = Manifest.create(
        source={"_target_": "inpaintlab.data.Toy", "count": 2, "size": 40},
        crop={"_target_": "inpaintlab.data.CentreSquare", "size": 32},
        bins={file.stem: OmegaConf.to_container(configuration(file, folder)) for file in FILES},
        split="test",
        size=32,
        seed=0,
    )
    again = ManifestDataset(manifest)
    assert [again[index]["name"] for index in range(len(again))] == [item.name for item in manifest.items]
    assert [float(again[index]["mask"].mean()) for index in range(len(again))] == pytest.approx(
        [item.hole_ratio for item in manifest.items]
    )


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


# ---- random regions


def regions(**changes) -> Mask:
    return instantiate(OmegaConf.load(CONF / "random_region.yaml"), **changes)


def cut_from_a_large_pattern(side: int, cell: float, count: int) -> np.ndarray:
    """Windows at random places of one pattern that Pillow interpolates: what the release does, at a smaller size."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.random((500, 500), np.float32))
    large = round(500 * cell)
    pattern = np.asarray(noise.resize((large, large), Image.Resampling.BICUBIC)) < 0.25
    corners_of_windows = rng.integers(0, large - side + 1, (count, 2))
    return np.stack([pattern[row : row + side, column : column + side] for row, column in corners_of_windows])


def drawn(mask: Mask, side: int, count: int) -> np.ndarray:
    generator = sample_generator("drawn")
    return np.stack([mask(side, side, generator)[0].numpy() > 0 for _ in range(count)])


def statistics(holes: np.ndarray) -> dict[str, np.ndarray]:
    """What windows are compared by: a number for each window."""
    pieces = [ndimage.label(hole)[1] for hole in holes]
    gaps = [ndimage.label(~hole)[1] for hole in holes]
    ends_across = np.count_nonzero(holes[:, :, 1:] != holes[:, :, :-1], axis=(1, 2))
    ends_down = np.count_nonzero(holes[:, 1:] != holes[:, :-1], axis=(1, 2))
    rims = np.concatenate([holes[:, 0], holes[:, -1], holes[:, :, 0], holes[:, :, -1]], axis=1).mean(1)
    middles = holes[:, holes.shape[1] // 2].mean(1)
    compared = {"coverage": holes.mean((1, 2)), "pieces": pieces, "gaps": gaps, "ends of runs across": ends_across}
    compared |= {"ends of runs down": ends_down, "rim": rims, "middle": middles}
    return {name: np.asarray(values, float) for name, values in compared.items()}


def assert_same_distribution(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Mean and standard deviation of every statistic agree within four standard errors."""
    for name, values in statistics(ours).items():
        others = statistics(theirs)[name]
        for moment, first, second in (
            ("mean", values, others),
            ("variance", (values - values.mean()) ** 2, (others - others.mean()) ** 2),
        ):
            error = np.hypot(first.std() / np.sqrt(first.size), second.std() / np.sqrt(second.size))
            assert abs(first.mean() - second.mean()) < 4 * error, (name, moment, first.mean(), second.mean(), error)


def test_windows_are_distributed_as_if_cut_from_one_large_pattern():
    ours = drawn(regions(coverage=[0, 1], cell=5.3 / 48), 48, 1500)
    assert_same_distribution(ours, cut_from_a_large_pattern(48, 5.3, 1500))


def test_redrawn_windows_are_distributed_as_if_cut_from_one_large_pattern():
    theirs = cut_from_a_large_pattern(48, 5.3, 8000)
    coverage = theirs.mean((1, 2))
    met = theirs[(coverage > 0.2) & (coverage <= 0.3)]
    assert len(met) > 800
    assert_same_distribution(drawn(regions(cell=5.3 / 48), 48, 800), met)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 90), (200, 40)])
def test_the_noise_is_interpolated_as_pillow_does(height, width):
    cell = 0.11 * min(height, width)
    cells = [int((side - 1) / cell) + 5 for side in (height, width)]
    mask = regions(coverage=[0, 1], cell=0.11)
    hole = mask(height, width, sample_generator(5))[0].numpy() > 0

    generator = sample_generator(5)
    top, left = torch.rand(mask.windows, 2, generator=generator, dtype=torch.float64)[0].tolist()
    noise = torch.rand(mask.windows, *cells, generator=generator)[0].numpy()
    # Pillow counts from the edge of the first cell to the edge of the first pixel, we from centre to centre.
    left, top = left + 1.5 - 0.5 / cell, top + 1.5 - 0.5 / cell
    box = (left, top, left + width / cell, top + height / cell)
    theirs = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC, box=box))
    clear = np.abs(theirs - 0.25) > 0.005
    assert clear.mean() > 0.95
    assert np.array_equal(hole[clear], theirs[clear] < 0.25)


def test_a_sparse_look_passes_over_no_window_that_is_covered_as_asked():
    thorough = regions()
    thorough.margin = 1
    for side in (100, 256):
        for index in range(25):
            quick = regions()(side, side, sample_generator(index))
            assert torch.equal(quick, thorough(side, side, sample_generator(index)))


def test_the_pattern_is_computed_without_rounding():
    generator = sample_generator(0)
    noise = torch.rand(20, 20, generator=generator).double()
    for offset in torch.rand(20, generator=generator, dtype=torch.float64):
        weights = catmull_rom(offset[None].numpy(), 256, 16.6656, 1, 20)[0]
        whole = [(2**12 * weights).long(), (2**24 * noise).long()]
        assert torch.equal(whole[0] / 2**12, weights)
        assert torch.equal(whole[1] / 2**24, noise)
        exact = whole[0] @ whole[1] @ whole[0].T
        assert exact.abs().max() < 2**53
        assert torch.equal(2**48 * (weights @ noise @ weights.T), exact.double())


@pytest.mark.parametrize(("height", "width"), [(16, 16), (31, 31), (100, 100), (512, 512), (16, 200), (300, 64)])
def test_regions_cover_20_to_30_percent_at_every_size(height, width):
    for index in range(3):
        assert 0.2 < regions()(height, width, sample_generator(index)).mean() <= 0.3


def test_regions_scale_with_the_image():
    pieces = [statistics(drawn(regions(), side, 60))["pieces"] for side in (64, 192)]
    error = np.hypot(*(counts.std() / np.sqrt(60) for counts in pieces))
    # Twelve and more: a rectangle or a stroke is one.
    assert pieces[0].mean() > 12
    assert abs(pieces[0].mean() - pieces[1].mean()) < 4 * error


def test_a_cell_is_never_smaller_than_a_pixel():
    assert torch.equal(
        regions(cell=1e-6)(32, 48, sample_generator(0)), regions(cell=1 / 32)(32, 48, sample_generator(0))
    )


def test_a_higher_level_covers_more():
    coverage = [drawn(regions(coverage=[0, 1], level=level), 64, 60).mean() for level in (0.2, 0.25, 0.4, 0.5)]
    assert coverage == sorted(coverage)
    # The noise is symmetric about 1/2, and so is what is interpolated from it: four standard errors.
    assert abs(coverage[-1] - 0.5) < 0.02


@pytest.mark.parametrize(("level", "height", "width"), [(0.9, 32, 32), (0.25, 2, 3)])
def test_a_coverage_that_is_never_met_says_what_was(level, height, width):
    sentence = rf"RandomRegion met no hole ratio in \(0.2, 0.3\] at {height} x {width} px: 1000 tries gave .* widen"
    with pytest.raises(ValueError, match=sentence):
        regions(level=level)(height, width, sample_generator(0))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cell": 16.67}, "RandomRegion: cell must lie strictly between 0 and 1, .* but is 16.67"),
        ({"level": 64}, "RandomRegion: level must lie strictly between 0 and 1, .* but is 64"),
        ({"coverage": [20, 30]}, r"RandomRegion: the range \(low, high\] must satisfy .* but its ends are \[20, 30\]"),
        ({"coverage": [0.2]}, r"RandomRegion: the range .* but its ends are \[0.2\]"),
    ],
)
def test_regions_say_which_parameter_is_wrong(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        RandomRegion(**({"cell": 0.0651, "level": 0.25, "coverage": [0.2, 0.3]} | change))


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


def test_another_process_draws_the_same(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import torch; from inpaintlab.randomness import sample_generator as s;"
        "print(torch.randint(0, 1000, (4,), generator=s('evaluation', 7, 'a')).tolist())"
    )
    said = run(sys.executable, str(script), cwd=tmp_path, home=tmp_path / "home").stdout
    assert said.strip() == str(first_draws("evaluation", 7, "a"))


def test_every_part_of_a_key_counts():
    keys = [(0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 3), (0, 2, 1), (0, 1, "2"), (0, 12), ("0,1", 2), (0, 1), ("a", "b")]
    assert len({tuple(first_draws(*key)) for key in keys}) == len(keys)


def test_the_strokes_of_a_key_never_change():
    mask = strokes()(64, 64, sample_generator("strokes", 0))
    assert int(mask.sum()) == 1002


def test_the_regions_of_a_key_never_change():
    mask = regions()(64, 64, sample_generator("regions", 0))
    assert int(mask.sum()) == 860


def test_a_shrunk_block_lies_in_the_middle_of_the_block_and_its_sides_lose_up_to_twice_the_most() -> None:
    mask, generator = Block(0.5, shrink=0.0625), sample_generator(0)
    drawn = [corners(mask(64, 128, generator)) for _ in range(300)]
    assert {rows for _, _, rows, _ in drawn} == {32, 30, 28, 26, 24}
    assert {columns for _, _, _, columns in drawn} == set(range(64, 47, -2))
    blocks = [(top - (32 - rows) // 2, left - (64 - columns) // 2) for top, left, rows, columns in drawn]
    assert min(top for top, _ in blocks) >= 0
    assert max(top for top, _ in blocks) <= 32
    assert {0, 32} <= {top for top, _ in blocks}


def test_a_margin_keeps_a_block_from_the_border() -> None:
    mask, generator = Block(0.5, margin=0.125), sample_generator(0)
    assert {corners(mask(32, 32, generator))[0] for _ in range(100)} == set(range(4, 13))


@pytest.mark.parametrize(
    ("settings", "sentence"), [({"shrink": 0.25}, "shrink must be at least 0"), ({"margin": 0.3}, "margin must be")]
)
def test_a_block_that_would_vanish_or_lie_outside_is_refused(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Block(0.5, **settings)
