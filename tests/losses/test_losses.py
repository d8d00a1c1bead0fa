"""Laws of the losses: hand-computed numbers, other libraries' definitions, and VGG-19's numbering."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.inpainting import weigh
from inpaintlab.losses import (
    REDUCTIONS,
    VGG19,
    AdversarialLoss,
    Hinge,
    LeastSquares,
    NonSaturating,
    feature_matching,
    hole_l1,
    hole_mse,
    l1_per_hole,
    perceptual_loss,
    style_loss,
)
from inpaintlab.losses.perceptual import PERCEPTUAL_LAYERS, STYLE_LAYERS, gram, mean_absolute_difference
from inpaintlab.published import File, Published

# relu1_1, relu2_1, relu2_2, relu3_1, relu3_4, relu4_1, relu4_4, relu5_1, relu5_2 in torchvision's vgg19().features
TORCHVISION_RELU = {1, 6, 8, 11, 17, 20, 26, 29, 31}
TORCHVISION_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30)
TORCHVISION_CHANNELS = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512)


@pytest.fixture
def toy() -> tuple[Tensor, Tensor, Tensor]:
    """Output, image, mask of 2 x 2 pixels: off by 0.5 in the hole's one pixel and by 0.25 in one known pixel."""
    image = torch.full((1, 3, 2, 2), 0.5)
    output = image.clone()
    output[:, :, 0, 0] = 1.0
    output[:, :, 1, 1] = 0.25
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    return output, image, mask


def test_hole_mse_is_the_holes_squared_error_over_all_elements(toy: tuple[Tensor, Tensor, Tensor]) -> None:
    assert hole_mse(*toy).item() == pytest.approx(0.25 / 4)  # one pixel of four is off by 0.5


@pytest.fixture
def two() -> tuple[Tensor, Tensor, Tensor]:
    """Two images of 2 x 2: off by 0.5 in a hole of one pixel, by -0.25 in a hole of two; known pixels are off by 1."""
    image = torch.full((2, 3, 2, 2), 0.25)
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[1.0, 1.0], [0.0, 0.0]]]])
    error = torch.tensor([0.5, -0.25]).view(2, 1, 1, 1)
    return torch.where(mask == 1, image + error, image + 1), image, mask


@pytest.mark.parametrize(
    ("loss", "reduction", "expected"),
    [
        # 3 colours in holes of 1 and 2 pixels; 2 images of 4 pixels
        (hole_mse, "all", 3 * (0.25 + 2 * 0.0625) / (3 * 8)),
        (hole_mse, "hole", 3 * (0.25 + 2 * 0.0625) / (3 * 3)),
        (hole_mse, "sum", 3 * (0.25 + 2 * 0.0625) / 2),
        (hole_l1, "all", 3 * (0.5 + 2 * 0.25) / (3 * 8)),
        (hole_l1, "hole", 3 * (0.5 + 2 * 0.25) / (3 * 3)),
        (hole_l1, "sum", 3 * (0.5 + 2 * 0.25) / 2),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_holes_error_is_reduced_by_hand(
    two: tuple[Tensor, Tensor, Tensor], loss: Callable[..., Tensor], reduction: str, expected: float
) -> None:
    assert loss(*two, REDUCTIONS[reduction]).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [hole_mse, hole_l1])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_known_pixels_get_no_gradient_from_the_holes_error(
    two: tuple[Tensor, Tensor, Tensor], loss: Callable[..., Tensor], reduction: str
) -> None:
    output, image, mask = two
    loss(output.requires_grad_(), image, mask, REDUCTIONS[reduction]).backward()
    assert output.grad is not None
    assert torch.equal(output.grad != 0, (mask == 1).expand_as(output))


def test_a_mean_over_the_hole_does_not_depend_on_the_holes_size_and_a_mean_over_all_does() -> None:
    image, small, large = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    small[..., :2, :2], large[..., :4, :4] = 1, 1
    output = image + 0.5
    for loss in (hole_mse, hole_l1):
        assert loss(output, image, large, REDUCTIONS["hole"]).item() == pytest.approx(
            loss(output, image, small, REDUCTIONS["hole"]).item()
        )
        assert loss(output, image, large, REDUCTIONS["all"]).item() == pytest.approx(
            4 * loss(output, image, small, REDUCTIONS["all"]).item()
        )


def test_l1_is_the_whole_images_error_over_the_holes_share(toy: tuple[Tensor, Tensor, Tensor]) -> None:
    assert l1_per_hole(*toy).item() == pytest.approx((0.5 + 0.25) / 4 / 0.25)


def test_the_weighted_sum_is_computed_by_name() -> None:
    losses = {"l1": torch.tensor(2.0), "style": torch.tensor(0.5)}
    assert weigh(losses, {"style": 250.0, "l1": 3.0}).item() == pytest.approx(131.0)


@pytest.mark.parametrize(
    "weights", [{"l1": 1.0}, {"l1": 1.0, "style": 1.0, "adversarial": 1.0}, {"l1": 1.0, "stile": 1.0}]
)
def test_weights_and_losses_of_different_names_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="do not match the losses"):
        weigh({"l1": torch.tensor(1.0), "style": torch.tensor(1.0)}, weights)


def test_feature_matching_sums_the_layers_mean_differences() -> None:
    fake = [torch.zeros(2, 3), torch.ones(1, 4)]
    real = [torch.full((2, 3), 0.5), torch.full((1, 4), 3.0)]
    assert feature_matching(fake, real).item() == pytest.approx(0.5 + 2.0)


def test_feature_matching_gives_no_gradient_to_the_real_features() -> None:
    fake, real = torch.rand(2, 3, requires_grad=True), torch.rand(2, 3, requires_grad=True)
    feature_matching([fake], [real]).backward()
    assert real.grad is None
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0


def test_feature_matching_refuses_lists_of_different_length() -> None:
    with pytest.raises(ValueError, match="shorter"):
        feature_matching([torch.zeros(1)] * 2, [torch.zeros(1)])


# ---------------------------------------------------------------------------------------------------- adversarial loss

LOGITS = torch.tensor([[-2.0, 0.0], [0.5, 3.0]])


def test_the_non_saturating_loss_is_cross_entropy_on_probabilities() -> None:
    gan, probability = NonSaturating(), LOGITS.sigmoid()
    ones, zeros = torch.ones_like(LOGITS), torch.zeros_like(LOGITS)
    torch.testing.assert_close(gan.real(LOGITS), F.binary_cross_entropy(probability, ones))
    torch.testing.assert_close(gan.fake(LOGITS), F.binary_cross_entropy(probability, zeros))
    torch.testing.assert_close(gan.generator(LOGITS), F.binary_cross_entropy(probability, ones))


def test_least_squares_is_taken_on_probabilities() -> None:
    gan, p = LeastSquares(), [1 / (1 + math.exp(-y)) for y in (-2.0, 0.0, 0.5, 3.0)]
    assert gan.real(LOGITS).item() == pytest.approx(sum((1 - q) ** 2 for q in p) / 4)
    assert gan.fake(LOGITS).item() == pytest.approx(sum(q**2 for q in p) / 4)
    assert gan.generator(LOGITS).item() == pytest.approx(sum((1 - q) ** 2 for q in p) / 4)


def test_hinge_is_computed_by_hand() -> None:
    gan = Hinge()
    assert gan.real(LOGITS).item() == pytest.approx((3.0 + 1.0 + 0.5 + 0.0) / 4)
    assert gan.fake(LOGITS).item() == pytest.approx((0.0 + 1.0 + 1.5 + 4.0) / 4)
    assert gan.generator(LOGITS).item() == pytest.approx(-1.5 / 4)


@pytest.mark.parametrize("gan", [NonSaturating(), LeastSquares(), Hinge()], ids=lambda gan: type(gan).__name__)
def test_discriminator_and_generator_pull_the_logits_apart(gan: AdversarialLoss) -> None:
    def slope(loss: str) -> float:
        logits = torch.zeros(4, requires_grad=True)
        getattr(gan, loss)(logits).backward()
        assert logits.grad is not None
        return logits.grad.sum().item()

    assert slope("real") < 0  # descending raises D's answer to real images
    assert slope("fake") > 0
    assert slope("generator") < 0


@pytest.mark.parametrize("gan", [NonSaturating(), LeastSquares(), Hinge()], ids=lambda gan: type(gan).__name__)
def test_large_logits_give_finite_losses(gan: AdversarialLoss) -> None:
    extreme = torch.tensor([-1e4, 1e4])
    assert torch.stack([gan.real(extreme), gan.fake(extreme), gan.generator(extreme)]).isfinite().all()


# -------------------------------------------------------------------------------------------------------------- VGG-19


@pytest.fixture(scope="module")
def vgg() -> VGG19:
    return VGG19("random")


def torchvision_state(seed: int) -> dict[str, Tensor]:
    """Random weights under the keys of torchvision's file, as far as the losses look."""
    generator = torch.Generator().manual_seed(seed)
    state, incoming = {}, 3
    for number, width in zip(TORCHVISION_CONVOLUTIONS, TORCHVISION_CHANNELS, strict=True):
        state[f"features.{number}.weight"] = torch.randn(width, incoming, 3, 3, generator=generator) * 0.02
        state[f"features.{number}.bias"] = torch.randn(width, generator=generator) * 0.02
        incoming = width
    return state


def torchvision_features(state: dict[str, Tensor], image: Tensor) -> dict[int, Tensor]:
    """The rectified maps of vgg19().features by index, computed from the keys alone."""
    features, x, pools = {}, image, (4, 9, 18, 27)
    for number in range(32):
        if number in TORCHVISION_CONVOLUTIONS:
            x = F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1)
        elif number in pools:
            x = F.max_pool2d(x, 2)
        else:
            x = features[number] = x.relu()
    return features


def test_weights_from_a_file_give_torchvisions_features_at_torchvisions_indices(tmp_path: Path) -> None:
    state = torchvision_state(0)
    torch.save(state | {"classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg19.pth")
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    ours = VGG19(str(tmp_path / "vgg19.pth"))(image)

    numbers = dict(zip(sorted(PERCEPTUAL_LAYERS + STYLE_LAYERS), sorted(TORCHVISION_RELU), strict=True))
    theirs = torchvision_features(state, image)
    for name, number in numbers.items():
        torch.testing.assert_close(ours[name], theirs[number])


def test_a_normalised_vgg_sees_imagenets_mean_and_deviation_taken_out(vgg: VGG19) -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    ours, theirs = VGG19("random", normalised=True)(image), vgg((image - mean) / deviation)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name])
    assert not torch.allclose(ours["relu1_1"], vgg(image)["relu1_1"], atol=0.1)


def test_vgg_ends_with_the_last_layer_that_a_loss_uses(vgg: VGG19) -> None:
    features = vgg(torch.rand(1, 3, 32, 32))
    assert list(features)[-1] == "relu5_2"
    assert all(bool((feature >= 0).all()) for feature in features.values())


def test_vgg_is_frozen_but_lets_gradients_through(vgg: VGG19) -> None:
    assert not vgg.training
    assert not any(parameter.requires_grad for parameter in vgg.parameters())
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    vgg(image)["relu5_2"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_random_weights_are_the_same_each_time_and_leave_the_global_generator_alone(vgg: VGG19) -> None:
    torch.manual_seed(5)
    VGG19("random")
    drawn = torch.rand(3)
    torch.manual_seed(5)
    other = VGG19("random").state_dict()
    assert all(torch.equal(value, other[key]) for key, value in vgg.state_dict().items())
    assert torch.equal(drawn, torch.rand(3))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"vgg is '.*nowhere\.pth', which is neither 'imagenet', 'hed', 'random' nor"):
        VGG19(str(tmp_path / "nowhere.pth"))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vgg19.pth").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"vgg19\.pth cannot be read as VGG-19 weights"):
        VGG19(str(tmp_path / "vgg19.pth"))


def test_a_file_of_other_shapes_or_keys_is_refused_with_the_key(tmp_path: Path) -> None:
    first = {"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}
    torch.save(first | {"features.2.weight": torch.zeros(64, 64, 5, 5)}, tmp_path / "shape.pth")
    with pytest.raises(ValueError, match=r"lack a fitting 'features\.2\.weight'"):
        VGG19(str(tmp_path / "shape.pth"))
    torch.save({"0.weight": torch.zeros(1)}, tmp_path / "keys.pth")
    with pytest.raises(ValueError, match=r"lack a fitting 'features\.0\.weight'"):
        VGG19(str(tmp_path / "keys.pth"))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file at its publisher's, known by its hash; the folders of published weights and of torch's hub are empty."""
    torch.save(torchvision_state(3), tmp_path / "vgg19-published.pth")
    digest = hashlib.sha256((tmp_path / "vgg19-published.pth").read_bytes()).hexdigest()
    file = File("vgg19-published.pth", (tmp_path / "vgg19-published.pth").as_uri(), sha256=digest[:8])
    monkeypatch.setattr("inpaintlab.losses.vgg.VGG19.PUBLISHED", Published("vgg19", "", None, "", "", (file,)))
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "vgg19-published.pth"


def test_imagenet_weights_are_fetched_once_into_the_folder_of_published_weights(published: Path) -> None:
    expected = torchvision_state(3)["features.28.bias"]
    assert torch.equal(VGG19("imagenet").layers["conv5_1"].bias, expected)
    assert (published.parent / "weights/vgg19/vgg19-published.pth").read_bytes() == published.read_bytes()
    published.unlink()
    assert torch.equal(VGG19("imagenet").layers["conv5_1"].bias, expected)


def test_a_right_file_in_torchs_hub_folder_saves_the_download(published: Path) -> None:
    hub = published.parent / "torch/hub/checkpoints"
    hub.mkdir(parents=True)
    published.rename(hub / published.name)
    VGG19("imagenet")
    assert not (published.parent / "weights").exists()


def test_a_damaged_file_in_torchs_hub_folder_is_passed_over(published: Path) -> None:
    hub = published.parent / "torch/hub/checkpoints"
    hub.mkdir(parents=True)
    (hub / published.name).write_bytes(published.read_bytes()[:-1])
    VGG19("imagenet")
    assert (published.parent / "weights/vgg19/vgg19-published.pth").is_file()


def test_without_a_network_the_user_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(ValueError, match="no route to host") as caught:
        VGG19("imagenet")
    told = str(caught.value)
    for way_out in (
        "model.vgg=PATH",
        "model.vgg=hed",
        "model.vgg=random",
        "download.pytorch.org",
        f"into {tmp_path}/weights/vgg19 as",
    ):
        assert way_out in told


def test_a_download_with_a_wrong_hash_is_told(published: Path) -> None:
    published.write_bytes(published.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"is not the published file \(its sha256 is"):
        VGG19("imagenet")
    assert not list(published.parent.glob("weights/vgg19/vgg19*"))


# ------------------------------------------------------------------------------------------------ perceptual and style


def test_gram_is_normalised_by_channels_and_pixels() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # 2 channels of 1 x 2 pixels
    expected = torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 4
    torch.testing.assert_close(gram(features), expected)


def test_gram_does_not_mix_the_samples_of_a_batch() -> None:
    features = torch.rand(3, 4, 5, 6)
    torch.testing.assert_close(gram(features), torch.cat([gram(features[i : i + 1]) for i in range(3)]))


def test_perceptual_sums_the_mean_differences_of_its_five_layers() -> None:
    image = {name: torch.zeros(1, 2, 2, 2) for name in (*PERCEPTUAL_LAYERS, *STYLE_LAYERS)}
    output = {name: torch.full((1, 2, 2, 2), 2.0**i) for i, name in enumerate(PERCEPTUAL_LAYERS)}
    output |= {name: torch.full((1, 2, 2, 2), 1e3) for name in STYLE_LAYERS}
    assert perceptual_loss(output, image).item() == pytest.approx(1 + 2 + 4 + 8 + 16)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_grams_gradient_is_the_one_that_autograd_finds(layout: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(2, 4, 3, 5, generator=generator).double()
    upstream = torch.randn(2, 4, 4, generator=generator).double()  # not symmetric
    ours, plain = features.clone(memory_format=layout).requires_grad_(), features.clone().requires_grad_()
    (gram(ours) * upstream).sum().backward()
    (torch.einsum("bchw,bdhw->bcd", plain, plain) / 60 * upstream).sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad, atol=1e-14, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_mean_absolute_differences_and_their_gradients_are_torchs(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    features, target = (torch.randn(2, 8, 16, 16, generator=generator).to(dtype) for _ in range(2))
    target[0, 0] = features[0, 0]  # where nothing differs, no gradient flows
    wide = torch.promote_types(dtype, torch.float32)
    ours, plain = features.clone().requires_grad_(), features.to(wide).requires_grad_()
    loss, expected = mean_absolute_difference(ours, target), F.l1_loss(plain, target.to(wide))
    assert loss.dtype == wide
    rounding = 2e-4 if dtype == torch.bfloat16 else 1e-6  # of each difference by 2^-9 at most, and these cancel
    torch.testing.assert_close(loss, expected, atol=0, rtol=rounding)
    (3 * loss).backward()
    (3 * expected).backward()
    assert torch.equal(ours.grad, plain.grad.to(dtype))
    assert torch.equal(ours.grad == 0, features == target)
    assert int((ours.grad == 0).sum()) >= 256


def test_style_sums_the_mean_gram_differences_of_its_four_layers() -> None:
    image = {name: torch.zeros(1, 2, 2, 2) for name in (*PERCEPTUAL_LAYERS, *STYLE_LAYERS)}
    output = {name: torch.full((1, 2, 2, 2), float(i + 1)) for i, name in enumerate(STYLE_LAYERS)}
    output |= {name: torch.full((1, 2, 2, 2), 1e3) for name in PERCEPTUAL_LAYERS}
    # an entry of the Gram matrix of a constant c is 4 c^2 over 2 channels times 4 pixels
    assert style_loss(output, image).item() == pytest.approx((1 + 4 + 9 + 16) / 2)


def test_losses_vanish_for_equal_images_and_only_then(vgg: VGG19) -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    features, others = vgg(image), vgg(1 - image)
    assert perceptual_loss(features, features).item() == style_loss(features, features).item() == 0
    assert perceptual_loss(others, features).item() > 0
    assert style_loss(others, features).item() > 0


def test_vgg_layers_are_convolutions_of_three_by_three(vgg: VGG19) -> None:
    convolutions = [layer for layer in vgg.modules() if isinstance(layer, nn.Conv2d)]
    assert tuple(layer.out_channels for layer in convolutions) == TORCHVISION_CHANNELS
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}


def test_random_weights_may_be_narrow_and_published_ones_are_as_they_are(tmp_path: Path) -> None:
    narrow = VGG19("random", 0.0625)(torch.rand(1, 3, 32, 32))
    assert [narrow[name].shape[1] for name in PERCEPTUAL_LAYERS] == [4, 8, 16, 32, 32]
    torch.save(torchvision_state(0), tmp_path / "vgg19.pth")
    assert VGG19(str(tmp_path / "vgg19.pth"), 0.0625).layers["conv5_1"].out_channels == 512


def test_gram_matrices_are_not_rounded_in_mixed_precision() -> None:
    features = torch.rand(2, 5, 7, 7, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        matrix = gram(features)
    assert matrix.dtype == torch.float32
    torch.testing.assert_close(matrix, gram(features.float()), atol=0, rtol=1e-6)
    assert gram(features.double()).dtype == torch.float64
