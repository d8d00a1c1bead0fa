"""LPIPS with random weights, against torchmetrics called directly."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from inpaintlab.metrics import LPIPS, MAE, require_fitting, score

MASK = torch.ones(3, 1, 40, 48)


def pictures(seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    target = torch.rand(3, 3, 40, 48)
    return (target + 0.2 * torch.randn_like(target)).clamp(0, 1), target


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_each_image_has_the_value_that_torchmetrics_gives_it(net: str, weights: Path) -> None:
    preds, target = pictures()
    theirs = LearnedPerceptualImagePatchSimilarity(net, normalize=True)
    expected = [theirs(preds[i : i + 1], target[i : i + 1]).item() for i in range(3)]
    assert len({round(value, 4) for value in expected}) == 3
    metric = LPIPS(net)
    values = metric.measure(preds, target, MASK)
    assert values.tolist() == pytest.approx(expected, rel=1e-5)
    # bit for bit what they are in other batches
    for i in range(3):
        assert torch.equal(metric.measure(preds[i : i + 1], target[i : i + 1], MASK[:1]), values[i : i + 1])


def test_the_two_networks_measure_different_things(weights: Path) -> None:
    values = [LPIPS(net).measure(*pictures(), MASK) for net in ("alex", "vgg")]
    assert not torch.allclose(*values, rtol=0.1)


def test_an_image_and_itself_have_no_distance(weights: Path) -> None:
    target = pictures()[1]
    assert LPIPS("alex").measure(target, target, MASK).tolist() == [0, 0, 0]


@pytest.mark.parametrize("off", [-0.01, 1.01])
def test_images_outside_their_range_are_refused(off: float, weights: Path) -> None:
    preds, target = pictures()
    preds[1, 0, 3, 4] = off
    for given in ((preds, target), (target, preds)):
        with pytest.raises(ValueError, match=r"lpips_alex needs images in \[0, 1\]"):
            LPIPS("alex").measure(*given, MASK)


def test_an_image_that_is_not_a_number_has_no_value_and_spoils_no_other(weights: Path) -> None:
    preds, target = pictures()
    metric = LPIPS("alex")
    sound = metric.measure(preds, target, MASK)
    preds[1] = torch.nan
    values = metric.measure(preds, target, MASK)
    assert values[1].isnan()
    torch.testing.assert_close(values[[0, 2]], sound[[0, 2]])


def test_it_scores_beside_other_metrics_inside_and_outside_inference_mode(weights: Path) -> None:
    preds, target = pictures()
    metrics = {"mae": MAE(), "lpips_alex": LPIPS("alex")}
    with torch.inference_mode():
        inside = score(metrics, preds, target, MASK)
    metrics["lpips_alex"].to("cpu").double().float()  # the network loaded above can still be moved
    outside = score(metrics, preds, target, MASK)
    assert inside.keys() == {"mae", "lpips_alex"}
    torch.testing.assert_close(inside["lpips_alex"], outside["lpips_alex"])
    assert not outside["lpips_alex"].requires_grad


def test_a_file_of_weights_can_be_named(weights: Path, no_weights: Path) -> None:
    copy = no_weights.parent / "mine.pth"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((weights / "alexnet-owt-7be5be79.pth").read_bytes())
    metric = LPIPS("alex", str(copy))
    metric.require()
    preds, target = pictures()
    values = metric.measure(preds, target, MASK)
    assert metric.definition == LPIPS("alex", str(weights / "alexnet-owt-7be5be79.pth")).definition
    torch.testing.assert_close(
        values, LPIPS("alex", str(weights / "alexnet-owt-7be5be79.pth")).measure(preds, target, MASK)
    )


def test_the_definition_says_the_network_and_its_weights(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    state = torch.load(weights / "alexnet-owt-7be5be79.pth", weights_only=True)
    state["features.0.bias"] += 1
    torch.save(state, other)
    definitions = {LPIPS("alex").definition, LPIPS("alex", str(other)).definition, LPIPS("vgg").definition}
    assert len(definitions) == 3
    assert "AlexNet" in LPIPS("alex").definition
    assert LPIPS("alex").meaning.backend == "torchmetrics"


def of_side(side: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.rand(1, 3, side, side), torch.rand(1, 3, side, side), torch.ones(1, 1, side, side)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_an_image_of_the_least_size_is_scored(net: str, weights: Path) -> None:
    assert LPIPS(net).measure(*of_side(LPIPS.smallest)).isfinite().all()


def test_alexnet_takes_nothing_smaller(weights: Path) -> None:
    with pytest.raises(RuntimeError, match="too small"):
        LPIPS("alex").measure(*of_side(LPIPS.smallest - 1))


def test_without_weights_it_says_what_to_put_where(no_weights: Path) -> None:
    metric = LPIPS("vgg")
    with pytest.raises(
        ValueError, match=r"lpips_vgg needs weights .*vgg16-397923af\.pth.*https://.*weights=PATH"
    ) as told:
        require_fitting({"lpips_vgg": metric}, 64)
    assert str(no_weights / "vgg16-397923af.pth") in str(told.value)
    with pytest.raises(ValueError, match=r"no file /nowhere/mine\.pth"):
        LPIPS("vgg", "/nowhere/mine.pth").require()


def test_weights_of_another_network_are_refused(weights: Path) -> None:
    metric = LPIPS("alex", str(weights / "vgg16-397923af.pth"))
    with pytest.raises(ValueError, match="holds the weights of another network"):
        metric.measure(*pictures(), MASK)
