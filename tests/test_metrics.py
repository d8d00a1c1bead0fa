"""Laws of the metrics: scikit-image's values for each image, whatever the batches."""

import math

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torchmetrics import MetricCollection

from conftest import Composer
from inpaintlab.metrics import MAE, PSNR, SSIM, MAEHole, PerImageMetric, finite_mean


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
    assert score(SSIM(), images) == pytest.approx(expected, abs=2e-5)


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


@pytest.mark.parametrize("metric", [MAE, MAEHole, PSNR, SSIM])
def test_how_images_are_batched_does_not_matter(metric: type[PerImageMetric]) -> None:
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


@pytest.mark.parametrize("metric", [MAE, MAEHole, PSNR, SSIM])
def test_one_image_gives_one_value_and_still_a_row(metric: type[PerImageMetric]) -> None:
    preds, target, mask = photographs()
    single = metric()
    single.update(preds[:1], target[:1], mask[:1])
    assert single.compute().shape == (1,)


def test_ssim_refuses_images_that_its_window_does_not_fit() -> None:
    small = torch.rand(1, 3, 10, 40)
    with pytest.raises(ValueError, match="more than 10 pixels a side"):
        SSIM().update(small, small, torch.ones(1, 1, 10, 40))


def test_a_collection_gives_the_mask_to_each_metric_of_the_yaml(composed: Composer) -> None:
    metrics = MetricCollection(instantiate(composed().metrics, _convert_="all"))
    images = photographs()
    metrics.update(preds=images[0], target=images[1], mask=images[2])
    values = metrics.compute()
    assert set(values) == {"mae", "mae_hole", "psnr_rgb", "ssim_gauss11_rgb"}
    for name, metric in {"mae": MAE(), "mae_hole": MAEHole(), "psnr_rgb": PSNR(), "ssim_gauss11_rgb": SSIM()}.items():
        assert values[name].tolist() == score(metric, images)


@pytest.mark.parametrize(("metric", "higher"), [(MAE, False), (MAEHole, False), (PSNR, True), (SSIM, True)])
def test_every_metric_says_what_it_is(metric: type[PerImageMetric], higher: bool) -> None:
    assert metric.higher_is_better is higher
    assert len(metric.definition) > 20


def test_the_mean_leaves_out_infinite_values() -> None:
    assert finite_mean(torch.tensor([20.0, math.inf, 40.0])).item() == 30
    assert math.isnan(finite_mean(torch.tensor([math.inf])).item())
    assert math.isnan(finite_mean(torch.tensor([])).item())
