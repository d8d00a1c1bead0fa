"""Laws of EdgeConnect's metrics on gray: scikit-image's values for each image."""

import math

import numpy as np
import pytest
import torch
from skimage import data
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from inpaintlab.metrics import MAERelativeGray, PerImageMetric, PSNRGray, SSIMUniform51Gray

Case = tuple[Tensor, Tensor, Tensor]
METRICS = [MAERelativeGray, PSNRGray, SSIMUniform51Gray]
EACH = pytest.mark.parametrize("metric", METRICS)


def photographs() -> Case:
    """Photographs with a square hole: gray in the first, noisy in the second, nearly right in the third."""
    sources = [data.astronaut(), data.chelsea(), data.coffee()]
    target = torch.stack([torch.from_numpy(p[30:158, 90:230].copy()).permute(2, 0, 1).float() / 255 for p in sources])
    change = torch.rand(3, 128, 140, generator=torch.Generator().manual_seed(1))
    filling = torch.stack([torch.full((3, 128, 140), 0.5), change, target[2] + 0.002 * (change - 0.5)]).clamp(0, 1)
    mask = torch.zeros(3, 1, 128, 140)
    mask[..., 30:94, 20:84] = 1
    return torch.where(mask == 1, filling, target), target, mask


def flat_and_extreme() -> Case:
    """Images in which a variance, a mean or a difference vanishes."""
    shape = (5, 3, 60, 52)
    preds, target = torch.zeros(shape), torch.zeros(shape)
    preds[0], target[0] = 0.9, 0.9 - 1e-4
    preds[1], target[1] = 1.0, 0.0
    target[2] = (torch.arange(52) % 2).float()
    preds[2] = 1 - target[2]
    target[3] = torch.rand(3, 60, 52, generator=torch.Generator().manual_seed(3))
    preds[3] = target[3]
    faint = torch.rand(2, 3, 60, 52, generator=torch.Generator().manual_seed(4))
    preds[4], target[4] = 1 - 0.01 * faint  # float32 would lose a variance of 1e-5 beside a mean of 1
    return preds, target, torch.ones(5, 1, 60, 52)


CASES = pytest.mark.parametrize("case", [photographs(), flat_and_extreme()], ids=["photographs", "extreme"])


def score(metric: PerImageMetric, case: Case) -> list[float]:
    metric.update(*case)
    return metric.compute().tolist()


def gray(images: Tensor) -> list[np.ndarray]:
    return [rgb2gray(image.permute(1, 2, 0).double().numpy()) for image in images]


def ssim(case: Case, **options: bool) -> list[float]:
    pairs = zip(gray(case[0]), gray(case[1]), strict=True)
    return [structural_similarity(p, t, win_size=51, data_range=1.0, **options) for p, t in pairs]


@CASES
def test_ssim_equals_scikit_images_with_its_border_left_out(case: Case) -> None:
    assert score(SSIMUniform51Gray(), case) == pytest.approx(ssim(case, use_sample_covariance=False), abs=1e-6)


def test_the_scripts_sample_covariance_makes_no_difference_at_51_pixels() -> None:
    case = photographs()
    assert score(SSIMUniform51Gray(), case) == pytest.approx(ssim(case), abs=1e-5)


def test_psnr_equals_scikit_images() -> None:
    case = photographs()
    expected = [peak_signal_noise_ratio(t, p, data_range=1) for p, t in zip(gray(case[0]), gray(case[1]), strict=True)]
    assert score(PSNRGray(), case) == pytest.approx(expected, rel=1e-5)


def test_the_relative_error_equals_numpys() -> None:
    case = photographs()
    expected = [abs(p - t).sum() / (p + t).sum() for p, t in zip(gray(case[0]), gray(case[1]), strict=True)]
    assert score(MAERelativeGray(), case) == pytest.approx(expected, rel=1e-4)


def test_a_red_pixel_is_weighed_by_hand() -> None:
    target, mask = torch.full((1, 3, 2, 2), 0.5), torch.ones(1, 1, 2, 2)
    preds = target.clone()
    preds[0, 0, 0, 0] = 1.0
    difference = 0.2125 * 0.5
    assert score(MAERelativeGray(), (preds, target, mask)) == pytest.approx([difference / (4 + difference)], rel=1e-5)
    assert score(PSNRGray(), (preds, target, mask)) == pytest.approx([-10 * math.log10(difference**2 / 4)], rel=1e-5)


def test_two_black_images_have_no_relative_error_and_a_broken_one_is_infinite() -> None:
    black, mask = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    assert math.isnan(score(MAERelativeGray(), (black, black, mask))[0])
    broken = torch.full_like(black, torch.nan)
    assert score(MAERelativeGray(), (broken, black, mask)) == [math.inf]
    assert score(MAERelativeGray(), (torch.ones_like(black), black, mask)) == pytest.approx([1.0])


def test_identical_images_are_perfect() -> None:
    _, target, mask = photographs()
    same = (target, target, mask)
    assert score(MAERelativeGray(), same) == [0.0] * 3
    assert score(PSNRGray(), same) == [math.inf] * 3
    assert score(SSIMUniform51Gray(), same) == pytest.approx([1.0] * 3)


@EACH
def test_how_images_are_batched_does_not_matter(metric: type[PerImageMetric]) -> None:
    case = photographs()
    parts = metric()
    for i in range(3):
        parts.update(*(plane[i : i + 1] for plane in case))
    assert parts.compute().tolist() == pytest.approx(score(metric(), case), rel=1e-5)


@EACH
def test_values_are_float32_whatever_they_are_computed_in(metric: type[PerImageMetric]) -> None:
    scored = metric()
    scored.update(*photographs())
    assert scored.compute().dtype == torch.float32


def test_ssim_refuses_images_that_its_window_does_not_fit() -> None:
    small = torch.rand(1, 3, 64, 50)
    with pytest.raises(ValueError, match=r"ssim_uniform51_gray needs images of at least 51 pixels .* have 64 x 50"):
        SSIMUniform51Gray().update(small, small, torch.ones(1, 1, 64, 50))
    fitting = torch.rand(1, 3, 51, 51)
    assert score(SSIMUniform51Gray(), (fitting, fitting, torch.ones(1, 1, 51, 51))) == pytest.approx([1.0])
