"""Canny on tensors: the laws it keeps, with scikit-image's own detector as the reference."""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from PIL import Image
from scipy import ndimage
from skimage import color, data, feature
from torch import Tensor

from inpaintlab.edges import canny
from inpaintlab.edges.canny_detector import _canny_on_device
from inpaintlab.edges.canny_on_cpu import (
    DOUBT_PER_TAP,
    _gaussian_by_opencv,
    _gaussian_by_scipy,
    _whole_weight,
    _with_weight_near_unusable,
    gaussian_taps,
)
from inpaintlab.imaging import rgb_to_gray

PHOTOGRAPHS = ["astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry", "retina"]
SIGMAS = [1.0, 1.5, 2.0, 3.0, 4.0]


@lru_cache
def central_square(name: str) -> Image.Image:
    pixels = getattr(data, name)()
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return Image.fromarray(pixels[top : top + side, left : left + side, :3])


def photograph(name: str, height: int, width: int) -> Float[Tensor, "1 3 height width"]:
    """One of scikit-image's bundled colour photographs, its centre resized, in float32."""
    resized = np.asarray(central_square(name).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    return torch.from_numpy(resized / 255).permute(2, 0, 1)[None]


def gray_photographs(height: int, width: int) -> Float[Tensor, "batch 1 height width"]:
    return torch.cat([rgb_to_gray(photograph(name, height, width)) for name in PHOTOGRAPHS])


@pytest.fixture(scope="module")
def photographs() -> Float[Tensor, "batch 1 height width"]:
    return gray_photographs(256, 256)


@pytest.fixture(scope="module")
def pair(photographs) -> Float[Tensor, "2 1 height width"]:
    return photographs[:2]


def reference(gray: Tensor, sigma: float | list[float], known: Tensor | None = None) -> Tensor:
    """scikit-image's maps of the same values in float64, one image at a time."""
    sigmas = sigma if isinstance(sigma, list) else [sigma] * len(gray)
    maps = []
    for index, one_sigma in enumerate(sigmas):
        mask = None if known is None else known[index, 0].numpy() > 0
        maps.append(feature.canny(gray[index, 0].double().numpy(), sigma=one_sigma, mask=mask))
    return torch.from_numpy(np.stack(maps))[:, None].float()


def rectangles(batch: int, height: int, width: int) -> Tensor:
    """Known regions with one rectangular hole each; the first touches the border."""
    known = torch.ones(batch, 1, height, width)
    for index in range(batch):
        top, left = 7 * index, 11 * index
        known[index, :, top : top + height // 2, left : left + width // 3] = 0
    return known


def blobs(batch: int, height: int, width: int) -> Tensor:
    """Known regions with irregular holes of many sizes, single pixels among them."""
    noise = torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(5))
    smooth = torch.nn.functional.avg_pool2d(noise, 9, stride=1, padding=4)
    return ((smooth < 0.56) & (noise < 0.998)).float()


def bars(batch: int, height: int, width: int) -> Tensor:
    """Known regions without a strip from one side to the other, across and down in turns."""
    known = torch.ones(batch, 1, height, width)
    known[::2, :, height // 3 : height // 2] = 0
    known[1::2, :, :, width // 3 : width // 2] = 0
    return known


def islands(batch: int, height: int, width: int) -> Tensor:
    """A small known region each, almost everything hidden."""
    known = torch.zeros(batch, 1, height, width)
    for index in range(batch):
        known[index, :, 40 + index : 90, 100 : 150 + index] = 1
    return known


def on_device(gray: Tensor, sigma: float | list[float], known: Tensor | None = None) -> Tensor:
    """What `canny` computes of a batch that is not on the CPU, here on the CPU."""
    sigmas = sigma if isinstance(sigma, list) else [sigma] * len(gray)
    return _canny_on_device(gray[:, 0], None if known is None else known[:, 0] != 0, sigmas)[:, None]


def assert_equal(found: Tensor, expected: Tensor) -> None:
    differing = int((found != expected).sum())
    assert differing == 0, f"{differing} pixels differ from scikit-image's map"
    assert found.dtype == torch.float32


# --- equal to scikit-image ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", SIGMAS)
def test_maps_of_photographs_are_scikit_images(photographs, sigma):
    expected = reference(photographs, sigma)
    assert expected.sum() > 1000  # the comparison means something
    assert_equal(canny(photographs, sigma), expected)


@pytest.mark.parametrize(("height", "width"), [(256, 171), (97, 256), (131, 133), (33, 20), (9, 5), (3, 3)])
def test_every_size_gives_scikit_images_map(height, width):
    gray = gray_photographs(height, width)[:4]
    assert_equal(canny(gray, 2.0), reference(gray, 2.0))
    assert_equal(canny(gray, 1.0), reference(gray, 1.0))


@pytest.mark.parametrize("holes", [rectangles, blobs, bars, islands])
@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_maps_with_unknown_pixels_are_scikit_images(pair, sigma, holes):
    known = holes(*pair[:, 0].shape)
    expected = reference(pair, sigma, known)
    assert expected.sum() > 100
    assert_equal(canny(pair, sigma, known), expected)


def test_each_image_may_have_its_own_sigma(photographs):
    sigmas = [2.0, 1.0, 4.0, 2.0, 1.5, 3.0]
    known = rectangles(*photographs[:, 0].shape)
    assert_equal(canny(photographs, sigmas), reference(photographs, sigmas))
    assert_equal(canny(photographs, sigmas, known), reference(photographs, sigmas, known))


def test_whole_numbers_are_sigmas_too(pair):
    assert torch.equal(canny(pair, 2), canny(pair, 2.0))
    assert torch.equal(canny(pair, [1, 3]), canny(pair, (1.0, 3.0)))


def drawing(name: str) -> Tensor:
    """Synthetic images full of exact ties, where one differently rounded sum would move an edge."""
    rows, columns = np.mgrid[:96, :96]
    shapes = {
        "step": columns >= 48,
        "square": (abs(rows - 47.5) < 20) & (abs(columns - 47.5) < 20),
        "disc": (rows - 47) ** 2 + (columns - 48) ** 2 < 900,
        "diagonal": rows > columns,
        "checkerboard": (rows // 16 + columns // 16) % 2,
        "stripes": (rows + columns) // 12 % 2,
        "ramp": (rows + columns) / 190,
        "spiral": np.sin(np.hypot(rows - 48, columns - 48) / 3 + np.arctan2(rows - 48, columns - 48)) > 0,
    }
    return torch.from_numpy(np.asarray(shapes[name], dtype=np.float32))[None, None]


@pytest.mark.parametrize("name", ["step", "square", "disc", "diagonal", "checkerboard", "stripes", "ramp", "spiral"])
def test_drawings_with_exact_ties_are_decided_as_scikit_image_decides_them(name):
    gray = drawing(name)
    for sigma in SIGMAS:
        expected = reference(gray, sigma)
        assert_equal(canny(gray, sigma), expected)
        assert_equal(on_device(gray, sigma), expected)


@pytest.mark.parametrize("holes", [rectangles, blobs, bars, islands])
def test_drawings_around_holes_are_decided_as_scikit_image_decides_them(holes):
    drawings = torch.cat([torch.nn.functional.pad(drawing(name), (40, 40, 20, 20)) for name in ("square", "spiral")])
    known = holes(*drawings[:, 0].shape)
    expected = reference(drawings, 1.5, known)
    assert expected.sum() > 100
    assert_equal(canny(drawings, 1.5, known), expected)


@pytest.mark.parametrize("factor", [-1.0, 1e-2, 255.0, 1e6])
def test_images_beyond_the_usual_range_are_decided_as_scikit_image_decides_them(photographs, factor):
    wide = torch.cat([photographs[:2, :, 80:176, 80:176], drawing("spiral")]).double() * factor
    known = rectangles(*wide[:, 0].shape)
    assert_equal(canny(wide, 1.0), reference(wide, 1.0))
    assert_equal(canny(wide, 1.0, known), reference(wide, 1.0, known))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    levels=st.sampled_from([2, 4, 256, 2**20]),
    sigma=st.floats(0.3, 5.0),
    unknown=st.sampled_from([0.0, 0.01, 0.3]),
)
def test_noise_of_any_size_and_sigma_gives_scikit_images_map(seed, height, width, levels, sigma, unknown):
    random = torch.Generator().manual_seed(seed)
    gray = torch.randint(levels, (2, 1, height, width), generator=random) / (levels - 1)
    known = (torch.rand(2, 1, height, width, generator=random) >= unknown).float()
    expected = reference(gray, sigma, known)
    assert_equal(canny(gray, sigma, known), expected)
    assert_equal(on_device(gray, sigma, known), expected)


# --- OpenCV's sums where they decide alike, SciPy's elsewhere ---------------------------------------------------------


def forbid(monkeypatch, name: str) -> None:
    def fail(*_):
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(f"inpaintlab.edges.canny_on_cpu.{name}", fail)


@pytest.mark.parametrize("holes", [None, rectangles, blobs])
def test_photographs_are_smoothed_once(photographs, holes, monkeypatch):
    known = None if holes is None else holes(*photographs[:, 0].shape)
    expected = reference(photographs, 2.0, known)
    forbid(monkeypatch, "_gaussian_by_scipy")
    assert_equal(canny(photographs, 2.0, known), expected)


@pytest.mark.parametrize("name", ["step", "square", "disc", "checkerboard", "spiral"])
def test_ties_are_left_to_scipys_sums(name, monkeypatch):
    forbid(monkeypatch, "_gaussian_by_scipy")
    with pytest.raises(AssertionError, match="_gaussian_by_scipy was called"):
        canny(drawing(name), 1.0)


@pytest.mark.parametrize("value", [-2.1, 2.1, float("nan"), float("inf")])
def test_values_that_no_bound_is_known_for_are_left_to_scipys_sums(pair, value, monkeypatch):
    gray = pair.clone()
    gray[:, :, 3, 5] = value
    expected = canny(gray, 2.0)
    forbid(monkeypatch, "_gaussian_by_opencv")
    assert torch.equal(canny(gray, 2.0), expected)


@pytest.mark.parametrize("threshold", ["LOW_THRESHOLD", "HIGH_THRESHOLD"])
@pytest.mark.parametrize("shift", [-1e-10, 1e-10])
def test_thresholds_that_a_magnitude_nearly_meets_are_left_to_scipys_sums(pair, threshold, shift, monkeypatch):
    smooth = ndimage.gaussian_filter(pair[0, 0].double().numpy(), 1.0, mode="constant")
    steepest = float(np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1))[10:-10, 10:-10].max())
    forbid(monkeypatch, "_gaussian_by_scipy")
    monkeypatch.setattr(f"inpaintlab.edges.canny_on_cpu.{threshold}", steepest + 1e-6)
    canny(pair[:1], 1.0)
    monkeypatch.setattr(f"inpaintlab.edges.canny_on_cpu.{threshold}", steepest + shift)
    with pytest.raises(AssertionError, match="_gaussian_by_scipy was called"):
        canny(pair[:1], 1.0)


@pytest.mark.parametrize("sigma", [0.05, *SIGMAS, 12.0])
def test_both_smoothings_differ_by_less_than_what_is_taken_for_doubt(sigma):
    image = 4 * torch.rand(70, 90, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).numpy() - 2
    nearly, exact = (gaussian(image, 10, 60, sigma) for gaussian in (_gaussian_by_opencv, _gaussian_by_scipy))
    taps = len(gaussian_taps(sigma))
    assert np.array_equal(exact, ndimage.gaussian_filter(image, sigma, mode="constant")[10:60])
    assert abs(nearly - exact).max() < 1e-6 * DOUBT_PER_TAP * taps


# --- in strips on a CPU, all at once on a device -------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 5, 254, 255])
def test_strips_of_any_height_give_the_same_map(pair, rows, monkeypatch):
    known = rectangles(*pair[:, 0].shape)
    expected = reference(pair, 2.0), reference(pair, 2.0, known)
    monkeypatch.setattr("inpaintlab.edges.canny_on_cpu.PIXELS_PER_STRIP", rows * 256)
    assert_equal(canny(pair, 2.0), expected[0])
    assert_equal(canny(pair, 2.0, known), expected[1])


@pytest.mark.parametrize("holes", [rectangles, blobs])
def test_a_device_computes_the_same_map(photographs, holes):
    known = holes(*photographs[:, 0].shape)
    sigmas = [2.0, 1.0, 4.0, 2.0, 1.5, 3.0]
    assert_equal(on_device(photographs, 2.0), reference(photographs, 2.0))
    assert_equal(on_device(photographs, sigmas, known), reference(photographs, sigmas, known))


@pytest.mark.parametrize("hole", [(0, 5, 0, 5), (20, 30, 17, 19), (35, 40, 44, 50), (0, 40, 25, 26)])
def test_the_weight_of_the_smoothing_is_scipys_to_the_last_bit_all_round_a_hole(hole):
    usable = np.ones((40, 50), bool)
    usable[hole[0] : hole[1], hole[2] : hole[3]] = False
    expected = ndimage.gaussian_filter(usable.astype(float), 1.5, mode="constant") + np.finfo(float).eps
    whole = _whole_weight(40, 50, 1.5)
    exact, nearly = (
        _with_weight_near_unusable(whole[3:38], usable, 3, 1.5, gaussian)
        for gaussian in (_gaussian_by_scipy, _gaussian_by_opencv)
    )
    assert np.array_equal(exact, expected[3:38])
    np.testing.assert_allclose(nearly, expected[3:38], rtol=1e-14, atol=0)


def test_threads_do_not_disturb_each_other(photographs):
    expected = [canny(photographs, sigma) for sigma in SIGMAS]
    with ThreadPoolExecutor(len(SIGMAS)) as threads:
        found = list(threads.map(lambda sigma: canny(photographs, sigma), SIGMAS))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


# --- hysteresis --------------------------------------------------------------------------------------------------


def test_a_faint_line_is_kept_along_its_whole_length_only_where_a_strong_part_continues_it():
    gray = torch.zeros(2, 1, 64, 200)
    gray[0, :, 32:] = 0.05  # a step whose gradient lies between the two thresholds
    gray[1, :, 32:] = torch.linspace(0.05, 0.15, 200)  # the same, growing strong towards the right
    found = canny(gray, 1.0)
    assert_equal(found, reference(gray, 1.0))
    assert found[0].sum() == 0
    assert found[1, 0, :, 2].sum() > 0


@pytest.mark.parametrize("find", [canny, on_device])
def test_long_winding_lines_are_followed_to_their_end(find):
    snake = torch.zeros(200, 200)
    for turn, column in enumerate(range(10, 190, 20)):
        snake[10:190, column : column + 8] = 1
        top = 182 if turn % 2 == 0 else 10
        snake[top : top + 8, column : column + 28] = 1
    rows, columns = torch.meshgrid(torch.arange(200), torch.arange(200), indexing="ij")
    strong_head = torch.exp(-((rows - 10) ** 2 + (columns - 10) ** 2) / 800)
    gray = (0.4 + snake * (0.06 + 0.1 * strong_head))[None, None]

    found = find(gray, 1.0)
    assert_equal(found, reference(gray, 1.0))
    assert found[:, :, :, 165:].sum() > 100
    assert find(gray[:, :, :, 100:], 1.0).sum() == 0  # without its head it is too faint


def test_images_of_a_batch_do_not_touch_each_other(photographs):
    together = canny(photographs, 2.0)
    alone = torch.cat([canny(one, 2.0) for one in photographs.split(1)])
    assert torch.equal(together, alone)


# --- known and unknown pixels ------------------------------------------------------------------------------------


def test_a_mask_that_knows_everything_changes_nothing(pair):
    assert torch.equal(canny(pair, 2.0, torch.ones_like(pair)), canny(pair, 2.0))


def test_nothing_known_gives_no_edges(pair):
    known = torch.zeros_like(pair)
    assert canny(pair, 2.0, known).sum() == 0
    assert_equal(canny(pair, 2.0, known), reference(pair, 2.0, known))


def test_unknown_pixels_do_not_change_the_map(pair):
    known = rectangles(*pair[:, 0].shape)
    for fill in (0.0, 1.0, float("nan")):
        filled = torch.where(known > 0, pair, fill)
        assert torch.equal(canny(filled, 2.0, known), canny(pair, 2.0, known))


def test_no_edge_lies_on_an_unknown_pixel_or_next_to_one(pair):
    known = blobs(*pair[:, 0].shape)
    near = torch.nn.functional.max_pool2d(1 - known, 3, stride=1, padding=1)
    assert (canny(pair, 1.0, known) * near).sum() == 0


# --- degenerate images, precision, gradients -----------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_constant_image_has_no_edges(level):
    gray = torch.full((2, 1, 40, 50), level)
    assert canny(gray, 2.0).sum() == 0
    assert_equal(canny(gray, 2.0), reference(gray, 2.0))


def test_float64_images_are_read_in_full(pair):
    gray = pair.double() + 1e-9
    assert_equal(canny(gray, 2.0), reference(gray, 2.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_images_of_16_bits_are_read_as_they_are(pair, dtype):
    gray = pair.to(dtype)
    assert_equal(canny(gray, 2.0), reference(gray, 2.0))


@pytest.mark.parametrize("find", [canny, on_device])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_has_no_edge_near_it_and_is_decided_as_scikit_image_decides(pair, find, value):
    gray = pair.clone()
    gray[:, :, 100, 100] = value
    with np.errstate(all="ignore"):  # scikit-image warns
        expected = reference(gray, 1.0)
    found = find(gray, 1.0)
    assert_equal(found, expected)
    assert found[:, :, 96:105, 96:105].sum() == 0


@pytest.mark.parametrize("find", [canny, on_device])
def test_autocast_changes_nothing(pair, find):
    expected = canny(pair, 2.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(find(pair, 2.0), expected)


def test_layout_in_memory_changes_nothing(pair):
    mirrored = pair.flip(3).contiguous().flip(3).transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(canny(mirrored, 2.0), canny(pair, 2.0))


def test_maps_carry_no_gradient_and_inputs_stay_as_they_were(pair):
    gray = pair.clone().requires_grad_()
    assert not canny(gray, 2.0).requires_grad
    assert torch.equal(gray.detach(), pair)


def test_maps_hold_zeros_and_ones_only(pair):
    assert set(canny(pair, 2.0).unique().tolist()) == {0.0, 1.0}


# --- grey --------------------------------------------------------------------------------------------------------


def test_gray_is_scikit_images_luminance():
    image = photograph("astronaut", 64, 96)
    expected = color.rgb2gray(image[0].permute(1, 2, 0).double().numpy())
    np.testing.assert_allclose(rgb_to_gray(image)[0, 0].numpy(), expected, atol=2e-7, rtol=0)


def test_gray_of_the_primaries_are_the_weights():
    primaries = torch.eye(3).reshape(3, 3, 1, 1)
    assert rgb_to_gray(primaries).flatten().tolist() == pytest.approx([0.2125, 0.7154, 0.0721])


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf"), 0, [2.0, 0.0]])
def test_a_sigma_that_is_not_positive_and_finite_is_named(sigma):
    with pytest.raises(ValueError, match="sigma must be a positive finite number of pixels, got"):
        canny(torch.zeros(2, 1, 16, 16), sigma)


def test_a_wrong_number_of_sigmas_is_counted():
    with pytest.raises(ValueError, match="3 values of sigma for a batch of 2 images"):
        canny(torch.zeros(2, 1, 16, 16), [1.0, 2.0, 3.0])


def test_an_image_without_an_inside_is_refused():
    with pytest.raises(ValueError, match="at least 3 x 3 pixels, got 2 x 16"):
        canny(torch.zeros(1, 1, 2, 16), 2.0)
