"""Laws of the metrics: the values of scikit-image and SciPy for each image, whatever the batches."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from scipy import ndimage
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torchmetrics import MetricCollection

from inpaintlab.config import CONF
from inpaintlab.metrics import MAE, PSNR, SSIM, MAEBand, MAEHole, PerImageMetric, finite_mean, require_fitting
from inpaintlab.metrics.metric import where_defined
from inpaintlab.metrics.rgb import band_inside
from stand_ins.building import Composer

METRICS = [MAE, MAEHole, lambda: MAEBand(4), PSNR, SSIM]
EACH = pytest.mark.parametrize("metric", METRICS, ids=["mae", "mae_hole", "mae_band4", "psnr_rgb", "ssim_gauss11_rgb"])
# without the metrics of networks, which have tests of their own
GROUPS = sorted({path.stem for path in (CONF / "metrics").glob("*.yaml")} - {"perceptual", "fd_hed"})


def noise() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 3, 24, 40, generator=generator)
    return torch.rand(3, 3, 24, 40, generator=generator), target, square(3, 24, 40)


def photographs() -> tuple[Tensor, Tensor, Tensor]:
    """Crops of a photograph whose hole is grey in the first, noisy in the second and nearly right in the third."""
    photograph = torch.from_numpy(np.ascontiguousarray(data.astronaut())).permute(2, 0, 1).float() / 255
    target = torch.stack([photograph[:, 100:164, 160 + 30 * i : 224 + 30 * i] for i in range(3)])
    mask = square(3, 64, 64)
    change = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    filling = torch.stack([torch.full((3, 64, 64), 0.5), change, target[2] + 0.02 * (change - 0.5)])
    return torch.where(mask == 1, filling.clamp(0, 1), target), target, mask


def square(batch: int, height: int, width: int) -> Tensor:
    mask = torch.zeros(batch, 1, height, width)
    for i in range(batch):
        mask[i, :, height // 4 : height // 2 + i, width // 4 : width // 2] = 1
    return mask


CASES = pytest.mark.parametrize("case", [noise, photographs], ids=["noise", "photographs"])


def score(metric: PerImageMetric, case: tuple[Tensor, Tensor, Tensor]) -> list[float]:
    metric.update(*case)
    return metric.compute().reshape(-1).tolist()


def arrays(case: tuple[Tensor, Tensor, Tensor]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(p.double().numpy(), t.double().numpy()) for p, t in zip(case[0], case[1], strict=True)]


@CASES
def test_psnr_equals_scikit_images_for_each_image(case: object) -> None:
    images = case()  # type: ignore[operator]
    expected = [peak_signal_noise_ratio(t, p, data_range=1) for p, t in arrays(images)]
    assert score(PSNR(), images) == pytest.approx(expected, rel=1e-5)


@CASES
def test_ssim_equals_scikit_images_gaussian_for_each_image(case: object) -> None:
    images = case()  # type: ignore[operator]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = [structural_similarity(t, p, channel_axis=0, **options) for p, t in arrays(images)]
    assert score(SSIM(), images) == pytest.approx(expected, abs=1e-5)


@CASES
def test_mae_equals_numpys_for_each_image(case: object) -> None:
    images = case()  # type: ignore[operator]
    assert score(MAE(), images) == pytest.approx([abs(p - t).mean() for p, t in arrays(images)], rel=1e-5)


def test_mae_is_computed_by_hand_over_the_image_and_over_the_hole() -> None:
    target = torch.zeros(1, 3, 2, 2)
    preds, mask = target.clone(), torch.zeros(1, 1, 2, 2)
    preds[0, :, 0, 0] = torch.tensor([0.3, 0.6, 0.9])
    preds[0, 0, 1, 1] = 0.6
    mask[0, 0, 0, :] = 1
    assert score(MAE(), (preds, target, mask)) == pytest.approx([2.4 / 12], rel=1e-5)
    assert score(MAEHole(), (preds, target, mask)) == pytest.approx([1.8 / 6], rel=1e-5)


def test_of_a_completed_image_the_holes_error_times_its_ratio_is_the_whole_error() -> None:
    images = photographs()
    ratio = images[2].mean(dim=(1, 2, 3))
    assert score(MAE(), images) == pytest.approx((torch.tensor(score(MAEHole(), images)) * ratio).tolist(), rel=1e-5)


def test_identical_images_have_infinite_psnr_and_otherwise_perfect_scores() -> None:
    _, target, mask = noise()
    same = (target, target, mask)
    assert score(PSNR(), same) == [math.inf] * 3
    assert score(SSIM(), same) == pytest.approx([1.0] * 3)
    assert score(MAE(), same) == score(MAEHole(), same) == [0.0] * 3


def test_psnr_is_averaged_over_images_not_pooled() -> None:
    target, mask = torch.zeros(2, 3, 4, 4), torch.ones(2, 1, 4, 4)
    preds = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)])
    assert score(PSNR(), (preds, target, mask)) == pytest.approx([20.0, 40.0], rel=1e-5)


@EACH
def test_how_images_are_batched_does_not_matter(metric: Callable[[], PerImageMetric]) -> None:
    preds, target, mask = photographs()
    whole, parts = metric(), metric()
    whole.update(preds, target, mask)
    parts.update(preds[:1], target[:1], mask[:1])
    parts.update(preds[1:], target[1:], mask[1:])
    torch.testing.assert_close(parts.compute(), whole.compute(), rtol=1e-5, atol=1e-6)


def test_a_metric_starts_anew_after_a_reset() -> None:
    metric, (preds, target, mask) = MAE(), photographs()
    metric.update(preds, target, mask)
    metric.reset()
    metric.update(preds[1:], target[1:], mask[1:])
    assert metric.compute().shape == (2,)


@EACH
def test_one_image_gives_one_value_and_still_a_row(metric: Callable[[], PerImageMetric]) -> None:
    preds, target, mask = photographs()
    single = metric()
    single.update(preds[:1], target[:1], mask[:1])
    assert single.compute().shape == (1,)


# --- the band beside the seam -----------------------------------------------------------------------------------------


def holes() -> Tensor:
    """Holes of many shapes: one at the border, strokes with islands, one known pixel, everything, nothing."""
    generator = torch.Generator().manual_seed(2)
    mask = torch.zeros(5, 1, 40, 56)
    mask[0, :, :20, 10:41] = 1
    smooth = ndimage.gaussian_filter(torch.rand(40, 56, generator=generator).numpy(), 2)
    mask[1, 0] = torch.from_numpy(smooth > np.median(smooth))
    mask[2:4] = 1
    mask[2, 0, 17, 31] = 0
    return mask


@pytest.mark.parametrize("width", [1, 2, 4, 5, 12])
def test_the_band_is_the_holes_part_at_scipys_exact_distance_from_the_known_pixels(width: int) -> None:
    mask = holes()
    for found, hole in zip(band_inside(mask, width), mask, strict=True):
        # SciPy's distance needs something known to be far from
        distance = ndimage.distance_transform_edt(hole[0].numpy()) if bool((hole == 0).any()) else np.full((40, 56), 99)
        assert np.array_equal(found[0].numpy() == 1, (distance <= width) & (hole[0].numpy() == 1))


def test_the_error_in_the_band_is_that_of_its_pixels_alone() -> None:
    mask = holes()[:3]
    target = torch.zeros(3, 3, 40, 56)
    band = band_inside(mask, 3)
    preds = torch.where(band == 1, 0.25, torch.where(mask == 1, 0.9, 0.6)).expand(3, 3, 40, 56)
    assert score(MAEBand(3), (preds, target, mask)) == pytest.approx([0.25] * 3, rel=1e-6)


def test_the_band_of_one_pixel_is_computed_by_hand() -> None:
    target, mask = torch.zeros(1, 3, 3, 5), torch.zeros(1, 1, 3, 5)
    mask[..., 2:] = 1  # three columns at the image's border, which is no rim: the first of them is the band
    preds = torch.zeros(1, 3, 3, 5)
    preds[0, 0, 1, 2] = 0.9
    preds[0, :, :, 3:] = 0.7
    assert score(MAEBand(1), (preds, target, mask)) == pytest.approx([0.9 / (3 * 3)], rel=1e-6)


def test_a_band_as_wide_as_the_hole_has_the_holes_error() -> None:
    images = photographs()
    assert score(MAEBand(64), images) == pytest.approx(score(MAEHole(), images), rel=1e-5)


@pytest.mark.parametrize("filled", [0.0, 1.0])
def test_without_a_rim_the_bands_error_is_undefined(filled: float) -> None:
    _, target, mask = noise()
    assert all(math.isnan(value) for value in score(MAEBand(4), (target, target, torch.full_like(mask, filled))))


def test_a_band_of_no_width_is_refused() -> None:
    with pytest.raises(ValueError, match="0 pixels wide; give a width of 1 or more"):
        MAEBand(0)


# --- what all metrics share -------------------------------------------------------------------------------------------


def test_what_is_undefined_is_nan_and_what_is_broken_is_infinite() -> None:
    values = where_defined(torch.tensor([True, True, False, False]), torch.tensor([0.5, torch.nan, 0.5, torch.nan]))
    assert values.tolist() == pytest.approx([0.5, math.inf, math.nan, math.nan], nan_ok=True)


def test_a_broken_image_is_not_taken_for_one_without_a_value() -> None:
    _, target, mask = noise()
    broken = torch.where(mask == 1, torch.nan, target)
    assert score(MAEBand(2), (broken, target, mask)) == [math.inf] * 3


def test_metrics_that_agree_on_the_first_batch_stay_apart_in_a_collection() -> None:
    preds, target, mask = photographs()
    whole = torch.ones_like(mask[:1])  # of a hole that is the whole image mae and mae_hole are one number
    collection = MetricCollection({"mae": MAE(), "mae_hole": MAEHole()})
    collection.update(preds[:1], target[:1], mask=whole)
    collection.update(preds[1:], target[1:], mask=mask[1:])
    values = collection.compute()
    assert values["mae"][0] == pytest.approx(values["mae_hole"][0].item())
    assert values["mae"][1:].tolist() == score(MAE(), (preds[1:], target[1:], mask[1:]))
    assert values["mae_hole"][1:].tolist() == score(MAEHole(), (preds[1:], target[1:], mask[1:]))


@EACH
def test_the_values_of_two_processes_are_concatenated(metric: Callable[[], PerImageMetric]) -> None:
    images = photographs()
    alone, gathered = score(metric(), images), metric()
    # as if a second process held the same images
    gathered.distributed_available_fn = lambda: True
    gathered.dist_sync_fn = lambda value, group: [value, value]
    assert score(gathered, images) == alone + alone


def test_ssim_refuses_images_that_its_window_does_not_fit() -> None:
    small = torch.rand(1, 3, 10, 40)
    with pytest.raises(ValueError, match=r"needs images of at least 11 pixels a side and these have 10 x 40"):
        SSIM().update(small, small, torch.ones(1, 1, 10, 40))
    fitting = torch.rand(1, 3, 11, 11)
    assert score(SSIM(), (fitting, fitting, torch.ones(1, 1, 11, 11))) == pytest.approx([1.0])


# --- the YAML ---------------------------------------------------------------------------------------------------------


def of_yaml(composed: Composer, group: str) -> dict[str, PerImageMetric]:
    return instantiate(composed(f"metrics={group}").metrics, _convert_="all")


@pytest.mark.parametrize("group", GROUPS)
def test_every_metric_of_the_yaml_is_called_by_its_name_and_says_what_it_is(composed: Composer, group: str) -> None:
    for name, metric in of_yaml(composed, group).items():
        assert name == metric.name
        assert len(metric.definition) > 20
        assert metric.unit in ("", "dB")
        assert metric.higher_is_better is name.startswith(("psnr", "ssim", "edge"))
        assert metric.backend in ("inpaintlab", "torchmetrics")
        assert metric.undefined_allowed is ("undefined" in metric.definition)


def test_no_two_metrics_share_a_definition(composed: Composer) -> None:
    metrics = of_yaml(composed, "all")
    assert set(metrics) >= set(of_yaml(composed, "default")) | set(of_yaml(composed, "edgeconnect_table1"))
    assert len({metric.definition for metric in metrics.values()}) == len(metrics)
    assert MAEBand(4).definition != MAEBand(8).definition


@pytest.mark.parametrize("group", GROUPS)
def test_a_collection_gives_each_metric_of_the_yaml_its_own_value(composed: Composer, group: str) -> None:
    collection, images = MetricCollection(of_yaml(composed, group)), photographs()
    for i in (0, 1):  # the second time as the collection has grouped its metrics
        part = [plane[:1] if i == 0 else plane[1:] for plane in images]
        collection.update(preds=part[0], target=part[1], mask=part[2])
    values = collection.compute()
    for name, metric in of_yaml(composed, group).items():
        assert values[name].tolist() == pytest.approx(score(metric, images), rel=1e-5, nan_ok=True)


@pytest.mark.parametrize(("group", "size"), [("default", 11), ("edgeconnect_table1", 51), ("all", 51)])
def test_what_size_of_images_the_yaml_needs_is_told_before_work(composed: Composer, group: str, size: int) -> None:
    metrics = of_yaml(composed, group)
    require_fitting(metrics, size)
    with pytest.raises(ValueError, match=rf"at least {size} pixels a side and these have {size - 1} x {size - 1}"):
        require_fitting(metrics, size - 1)


def test_a_metric_under_another_ones_name_is_refused_before_work() -> None:
    with pytest.raises(ValueError, match=r"metrics\.mae_band4 measures mae_band8: call it metrics\.mae_band8"):
        require_fitting({"mae_band4": MAEBand(8)}, 256)


def test_the_mean_leaves_out_infinite_and_undefined_values_unless_all_images_are_exact() -> None:
    assert finite_mean(torch.tensor([20.0, math.inf, math.nan, 40.0]), infinite_allowed=True).item() == 30
    assert finite_mean(torch.tensor([math.inf, math.inf]), infinite_allowed=True).item() == math.inf
    assert math.isnan(finite_mean(torch.tensor([math.inf])).item())  # a failure of another metric
    assert math.isnan(finite_mean(torch.tensor([math.nan]), infinite_allowed=True).item())
    assert math.isnan(finite_mean(torch.tensor([])).item())
