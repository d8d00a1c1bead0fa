"""The networks of FID with random weights, against torchmetrics and torchvision called directly."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from inpaintlab.metrics import FID, KID, FeatureNetwork, FeaturePairs, InceptionTF2015
from inpaintlab.metrics.features import InceptionEdgeConnect

NETWORKS = [InceptionTF2015, InceptionEdgeConnect]


def in_8_bits(images: int, seed: int) -> Tensor:
    """Pictures as files hold them: float32 in [0, 1]."""
    torch.manual_seed(seed)
    return torch.randint(256, (images, 3, 40, 32)).float() / 255


@pytest.fixture(scope="module")
def batches() -> tuple[Tensor, Tensor]:
    real = in_8_bits(4, 1)
    return real, (in_8_bits(4, 2) + 3 * real) / 4


def features(network: FeatureNetwork, images: Tensor) -> np.ndarray:
    return network(images).double().numpy()


def test_fid_and_kid_are_those_of_torchmetrics_from_pixels_on(weights: Path, batches: tuple[Tensor, Tensor]) -> None:
    network = InceptionTF2015()
    real, completed = batches
    rounded = (completed * 255).round().byte()
    fid = FrechetInceptionDistance(network.build(network.file.load(None)), normalize=False)
    with pytest.warns(UserWarning, match="save all extracted features"):
        kid = KernelInceptionDistance(fid.inception, subsets=1, subset_size=4)
    for theirs in (fid, kid):
        theirs.update((real * 255).round().byte(), real=True)
        theirs.update(rounded, real=False)
    ours = [
        kind(network).value(FeaturePairs(features(network, real), features(network, completed))) for kind in (FID, KID)
    ]
    # torchmetrics' eigenvalues of a singular product of 2048 features lose digits
    assert ours[0] == pytest.approx(float(fid.compute()), rel=1e-3)
    assert ours[1] == pytest.approx(float(kid.compute()[0]), rel=1e-3)


def test_the_features_are_those_of_torchmetrics_own_network(weights: Path, batches: tuple[Tensor, Tensor]) -> None:
    theirs = FrechetInceptionDistance(feature=2048).inception  # finds the file by itself
    torch.testing.assert_close(InceptionTF2015()(batches[0]), theirs((batches[0] * 255).round().byte()))


def test_edgeconnects_network_sees_zero_to_one_as_if_it_were_normalised(
    weights: Path, batches: tuple[Tensor, Tensor]
) -> None:
    import torchvision

    network = torchvision.models.inception_v3(init_weights=False, transform_input=False)
    network.load_state_dict(torch.load(weights / "inception_v3_google-0cc3c7bd.pth", weights_only=True))
    pooled = []
    network.avgpool.register_forward_hook(lambda module, given, output: pooled.append(output.flatten(1)))
    resized = torch.nn.functional.interpolate(batches[0], (299, 299), mode="bilinear", align_corners=False)
    scale, offset = torch.tensor([0.229, 0.224, 0.225]) * 2, torch.tensor([0.485, 0.456, 0.406]) * 2 - 1
    shown = resized * scale[:, None, None] + offset[:, None, None]
    assert shown.min() > -0.2
    assert shown.max() < 0.5  # far from [-1, 1], which the network was trained on
    with torch.no_grad():
        network.eval()(shown)
    torch.testing.assert_close(InceptionEdgeConnect()(batches[0]), pooled[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
def test_features_are_of_the_image_in_8_bits(kind: type, weights: Path, batches: tuple[Tensor, Tensor]) -> None:
    network, image = kind(), batches[0][:1]
    assert torch.equal(network(image + 0.4 / 255), network(image))
    assert not torch.equal(network((image + 2 / 255).clamp(0, 1)), network(image))


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_has_its_width_no_gradient_and_stays_in_evaluation_mode(
    kind: type, weights: Path, batches: tuple[Tensor, Tensor]
) -> None:
    network = kind().train()
    with torch.inference_mode():
        first = network(batches[0])
    network.train().to("cpu")
    again = network(batches[0])
    assert first.shape == (4, network.width)
    assert torch.equal(again, first)
    assert not again.requires_grad
    assert torch.equal(network(batches[0][1:2]), first[1:2])  # whatever stands beside it
    assert float(again.std(dim=0).max()) > 0


@pytest.mark.parametrize("kind", NETWORKS)
def test_weights_change_definition_and_key(kind: type, weights: Path, tmp_path: Path) -> None:
    published = kind.file.path(None)
    state = torch.load(published, weights_only=True)
    next(value for value in state.values() if value.is_floating_point()).add_(1e-3)
    other = tmp_path / "other.pth"
    torch.save(state, other)
    one, two, same = kind(), kind(str(other)), kind(str(published))
    assert one.definition == same.definition != two.definition
    assert one.key == same.key != two.key
    assert json.loads(one.key)["packages"].keys() >= {"torch", "torchvision"}


@pytest.mark.parametrize("kind", NETWORKS)
def test_without_weights_nothing_is_downloaded_and_it_says_what_to_put_where(kind: type, no_weights: Path) -> None:
    network = kind()
    for asked in (network.require, lambda: network(torch.rand(1, 3, 8, 8))):
        with pytest.raises(
            ValueError, match=f"The network {network.name} needs weights .*https://.*weights=PATH"
        ) as told:
            asked()
        assert str(no_weights) in str(told.value)
    assert not no_weights.exists()


def test_weights_of_another_network_are_refused(weights: Path) -> None:
    for kind, other in zip(NETWORKS, reversed(NETWORKS), strict=True):
        network = kind(str(other.file.path(None)))
        with pytest.raises(ValueError, match="holds the weights of another network"):
            network(torch.rand(1, 3, 8, 8))


class Trap:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("sprung"),))


@pytest.mark.parametrize("kind", NETWORKS)
def test_code_in_a_file_of_weights_does_not_run(kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"trap": Trap()}, "trap.pth")
    Path("plain.pth").write_bytes(pickle.dumps(Trap(), protocol=2))
    Path("half.pth").write_bytes(Path("trap.pth").read_bytes()[:100])
    torch.save({"a": "text"}, "text.pth")
    for name in ("trap.pth", "plain.pth", "half.pth", "text.pth"):
        with pytest.raises(ValueError, match=f"{name} (cannot be read as|holds something other than) weights"):
            kind(name)(torch.rand(1, 3, 8, 8))
    assert not Path("sprung").exists()
