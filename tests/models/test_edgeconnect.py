"""Laws of EdgeConnect: the released networks, inputs and training steps."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from skimage import data
from skimage.feature import canny as skimage_canny
from torch import Tensor, nn

from inpaintlab.edges import canny
from inpaintlab.imaging import rgb_to_gray
from inpaintlab.inpainting import fitting
from inpaintlab.models import EdgeConnect
from inpaintlab.models.edgeconnect import EdgeGenerator, InpaintGenerator, PatchDiscriminator
from stand_ins.building import Builder, Watch, fit, state_of

NETWORKS = ["edge_generator", "edge_discriminator", "inpaint_generator", "inpaint_discriminator"]
EDGE, INPAINT = set(NETWORKS[:2]), set(NETWORKS[2:])
SHORT = [f"model.schedule.phases.{name}.batches=2" for name in EdgeConnect.PHASES]
RATE = "+model.schedule.phases.joint.learning_rate=1e-6"


def convolutions(network: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def normalised(layer: nn.Module) -> bool:
    return nn.utils.parametrize.is_parametrized(layer, "weight")


def trained(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def scene(size: int = 32, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Images with strong edges, and a hole in the middle."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    disc = ((x - size / 2) ** 2 + (y - size / 2) ** 2 < (0.4 * size) ** 2).float()
    image = torch.stack([0.2 + 0.6 * disc.roll(3 * i, 1).expand(3, -1, -1) for i in range(batch)])
    mask = torch.zeros(batch, 1, size, size)
    mask[..., size // 4 : size // 2, size // 4 : size // 2 + 2] = 1
    return image, mask


# ----------------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (EdgeGenerator, 10_761_089),
        (InpaintGenerator, 10_774_595),
        (lambda: PatchDiscriminator(2), 2_762_752),
        (lambda: PatchDiscriminator(3), 2_763_776),
    ],
    ids=["G1", "G2", "D1", "D2"],
)
def test_the_networks_have_the_released_parameters(network: Any, count: int) -> None:
    with torch.device("meta"):
        assert trained(network()) == count


def test_the_edge_generator_has_spectral_norm_but_on_its_last_layer() -> None:
    layers = convolutions(EdgeGenerator(0.0625))
    assert [normalised(layer) for layer in layers] == [True] * (len(layers) - 1) + [False]
    assert len(layers) == 3 + 16 + 3


def test_the_residual_convolutions_of_the_edge_generator_alone_have_no_bias() -> None:
    assert [layer.bias is None for layer in convolutions(EdgeGenerator(0.0625))] == [False] * 3 + [True] * 16 + [
        False
    ] * 3
    assert all(layer.bias is not None for layer in convolutions(InpaintGenerator(0.0625)))


def test_the_inpaint_generator_has_no_spectral_norm() -> None:
    assert not any(normalised(layer) for layer in convolutions(InpaintGenerator(0.0625)))


def test_the_discriminators_have_spectral_norm_everywhere_and_no_biases() -> None:
    layers = convolutions(PatchDiscriminator(3, 0.0625))
    assert all(normalised(layer) and layer.bias is None for layer in layers)
    assert [layer.stride[0] for layer in layers] == [2, 2, 2, 1, 1]


def test_the_first_convolution_of_each_residual_block_is_dilated_by_two() -> None:
    assert [layer.dilation[0] for layer in convolutions(EdgeGenerator(0.0625))] == [1] * 3 + [2, 1] * 8 + [1] * 3


def test_nothing_follows_the_sum_of_a_residual_block() -> None:
    block = InpaintGenerator(0.0625).body[10]
    x = -torch.ones(1, 16, 8, 8) + torch.rand(1, 16, 8, 8)
    torch.testing.assert_close(block(x), x + block.block(x))
    assert (block(x) < 0).any()


def test_the_discriminator_judges_30_by_30_patches_of_256_pixels() -> None:
    features = PatchDiscriminator(2, 0.0625)(torch.rand(1, 2, 256, 256))
    assert [tuple(f.shape[-2:]) for f in features] == [(128, 128), (64, 64), (32, 32), (31, 31), (30, 30)]
    assert features[-1].shape[1] == 1


def test_the_discriminators_features_are_activated_and_its_last_are_logits() -> None:
    discriminator = PatchDiscriminator(2, 0.25).eval()
    x = torch.rand(1, 2, 32, 32)
    features = discriminator(x)
    raw = discriminator.layers[0](x)
    torch.testing.assert_close(features[0], torch.where(raw > 0, raw, 0.2 * raw))
    torch.testing.assert_close(features[4], discriminator.layers[4](features[3]))


def test_logits_are_in_float32_in_mixed_precision() -> None:
    discriminator = PatchDiscriminator(2, 0.25)
    fitting.fit([discriminator], "cpu", "bf16-mixed")
    with torch.autocast("cpu", torch.bfloat16):
        features = discriminator(torch.rand(1, 2, 32, 32))
    assert [f.dtype for f in features] == [torch.bfloat16] * 4 + [torch.float32]


@pytest.mark.parametrize("network", [EdgeGenerator, InpaintGenerator, lambda width: PatchDiscriminator(3, width)])
def test_weights_start_from_a_normal_distribution_below_spectral_norm_too(network: Any) -> None:
    torch.manual_seed(0)
    for layer in convolutions(network(0.5)):
        weight = layer.parametrizations.weight.original if normalised(layer) else layer.weight
        if weight.numel() > 2000:
            assert weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert weight.abs().max() < 0.12
        if layer.bias is not None:
            assert (layer.bias == 0).all()


def test_a_channel_has_its_own_statistics_in_the_generators() -> None:
    norms = [m for m in InpaintGenerator(0.25).modules() if isinstance(m, nn.InstanceNorm2d)]
    assert len(norms) == 5 + 16
    assert not any(norm.affine or norm.track_running_stats for norm in norms)


# ------------------------------------------------------------------------------------------------------------- inputs


class Inputs:
    """What each generator's first layer sees."""

    def __init__(self, model: EdgeConnect) -> None:
        self.first: dict[str, list[Tensor]] = {"edge_generator": [], "inpaint_generator": []}
        for name, seen in self.first.items():
            getattr(model, name).body[0].register_forward_pre_hook(
                lambda _, inputs, seen=seen: seen.append(inputs[0].detach())
            )


def test_g1_sees_white_gray_no_edges_in_the_hole_and_the_mask(built: Builder) -> None:
    model, (image, mask) = built("edgeconnect"), scene()
    inputs = Inputs(model)
    model.complete(image, mask)
    (seen,) = inputs.first["edge_generator"]
    gray, edges, hole = seen.split(1, dim=1)
    torch.testing.assert_close(gray, torch.where(mask == 1, 1.0, rgb_to_gray(image)))
    assert (edges[mask == 1] == 0).all()
    assert edges.sum() > 0
    assert torch.equal(hole, mask)


def test_g2_sees_the_white_filled_image_and_the_edges_and_no_mask(built: Builder) -> None:
    model, (image, mask) = built("edgeconnect"), scene()
    inputs = Inputs(model)
    model.complete(image, mask)
    (seen,) = inputs.first["inpaint_generator"]
    assert seen.shape[1] == 4
    torch.testing.assert_close(seen[:, :3], torch.where(mask == 1, 1.0, image))
    known, drawn = seen[:, 3:][mask == 0], seen[:, 3:][mask == 1]
    assert set(known.unique().tolist()) == {0.0, 1.0}
    assert ((drawn > 0) & (drawn < 1)).all()  # G1's probabilities, not thresholded


def test_known_edges_outside_training_come_from_known_pixels_alone(built: Builder) -> None:
    model, (image, mask) = built("edgeconnect"), scene()
    inputs = Inputs(model)
    model.complete(image, mask)
    for index in range(len(image)):
        gray, known = rgb_to_gray(image)[index, 0].double().numpy(), mask[index, 0].numpy() == 0
        expected = torch.from_numpy(skimage_canny(gray, sigma=2, mask=known)).float()
        seen = inputs.first["inpaint_generator"][0][index, 3]
        assert torch.equal(seen[mask[index, 0] == 0], expected[mask[index, 0] == 0])


def test_edges_in_the_hole_never_come_from_ground_truth_when_completing(built: Builder) -> None:
    model, (image, mask) = built("edgeconnect"), scene()
    other = torch.where(mask == 1, 1 - image, image)
    inputs = Inputs(model)
    model.complete(image, mask)
    model.complete(other, mask)
    for first, second in inputs.first.values():
        assert torch.equal(first, second)


def test_a_users_edges_change_the_completion_only_through_the_hole(built: Builder) -> None:
    model, (image, mask) = built("edgeconnect"), scene()
    drawing = (torch.rand(mask.shape, generator=torch.Generator().manual_seed(3)) > 0.5).float()
    completed = model.complete(image, mask, drawing)
    assert not torch.equal(completed, model.complete(image, mask))
    assert not torch.equal(completed, model.complete(image, mask, 1 - drawing))
    elsewhere = torch.where(mask == 1, drawing, 1 - drawing)
    assert torch.equal(completed, model.complete(image, mask, elsewhere))


def test_a_users_edges_are_padded_with_the_image(built: Builder) -> None:
    model, (image, mask) = built("edgeconnect"), scene(33)
    assert model.complete(image, mask, torch.ones_like(mask)).shape == image.shape


def test_the_panels_show_the_edges_that_g2_paints_over(built: Builder) -> None:
    model, (image, mask) = built("edgeconnect"), scene()
    inputs = Inputs(model)
    model.complete(image, mask)
    assert torch.equal(model.seen_inside(image, mask)["edges"], inputs.first["inpaint_generator"][0][:, 3:])


# -------------------------------------------------------------------------------------------------------------- sigma


def test_without_a_source_there_are_no_edges(built: Builder) -> None:
    model, (image, _) = built("edgeconnect", "model/edges=none"), scene()
    assert (model.true_edges(image) == 0).all()


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_a_fixed_sigma_is_cannys_in_training_and_evaluation(built: Builder, sigma: float) -> None:
    model, (image, _) = built("edgeconnect", f"model.edges.sigma={sigma}"), scene()
    gray = rgb_to_gray(image)
    for training in (True, False):
        assert torch.equal(model.train(training).true_edges(image), canny(gray, sigma))


def test_a_range_draws_a_whole_sigma_for_each_training_sample(built: Builder) -> None:
    model, (image, _) = built("edgeconnect", "model.edges.sigma=[1,4]").train(), scene(batch=1)
    image = image + 0.1 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    gray = rgb_to_gray(image)
    choices = [canny(gray, float(sigma)) for sigma in (1, 2, 3, 4)]
    assert all(not torch.equal(choices[i], choices[i + 1]) for i in range(3))
    torch.manual_seed(0)
    images = image.expand(32, -1, -1, -1).contiguous()
    edges, known = model.training_edges({"image": images})
    assert torch.equal(edges, known)
    drawn = [[i for i, choice in enumerate(choices) if torch.equal(edge, choice[0])] for edge in edges]
    assert all(drawn)
    assert {found[0] for found in drawn} == {0, 1, 2, 3}


def test_a_range_is_evaluated_at_its_middle_rounded_down(built: Builder) -> None:
    model, (image, _) = built("edgeconnect", "model.edges.sigma=[1,4]").eval(), scene()
    gray = rgb_to_gray(image)
    assert torch.equal(model.true_edges(image), canny(gray, 2.0))


# ----------------------------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def run(built: Builder) -> tuple[EdgeConnect, Watch]:
    """Two batches of each phase."""
    model, watch = built("edgeconnect", *SHORT, RATE), Watch(NETWORKS)
    fit(model, watch)
    return model, watch


TRAINED = {"edge": EDGE, "inpaint": INPAINT, "edge_inpaint": INPAINT, "joint": EDGE | INPAINT}
STEPS = {
    "edge": [{"edge_discriminator"}, {"edge_generator"}],
    "inpaint": [{"inpaint_discriminator"}, {"inpaint_generator"}],
    "edge_inpaint": [{"inpaint_discriminator"}, {"inpaint_generator"}],
    "joint": [{"edge_discriminator"}, {"inpaint_discriminator"}, {"edge_generator", "inpaint_generator"}],
}
PHASES = pytest.mark.parametrize("phase", EdgeConnect.PHASES)


@PHASES
def test_a_phase_changes_only_the_networks_that_it_trains(run: tuple[EdgeConnect, Watch], phase: str) -> None:
    batches = [batch for batch in run[1].batches if batch.phase == phase]
    assert len(batches) == 2
    for batch in batches:
        assert {name for name, keys in batch.changed.items() if keys} == TRAINED[phase]


@PHASES
def test_discriminators_step_before_the_generators(run: tuple[EdgeConnect, Watch], phase: str) -> None:
    assert [step.stepped for step in run[1].steps if step.phase == phase] == STEPS[phase] * 2


@PHASES
def test_a_descent_gives_gradients_to_its_own_networks_and_leaves_none(
    run: tuple[EdgeConnect, Watch], phase: str
) -> None:
    for step in (step for step in run[1].steps if step.phase == phase):
        assert step.with_gradients == step.stepped
        assert step.gradients_left == set()


@PHASES
def test_the_generators_step_leaves_the_discriminators_bit_equal(run: tuple[EdgeConnect, Watch], phase: str) -> None:
    steps = [step for step in run[1].steps if step.phase == phase and "generator" in min(step.stepped)]
    assert len(steps) == 2
    for step in steps:
        assert not step.changed & {"edge_discriminator", "inpaint_discriminator"}


@PHASES
def test_a_phase_moves_all_weights_and_spectral_vectors_that_it_trains(
    run: tuple[EdgeConnect, Watch], phase: str
) -> None:
    model, watch = run
    for name in TRAINED[phase]:
        moved = set().union(*(batch.changed[name] for batch in watch.batches if batch.phase == phase))
        keys = {key for key in getattr(model, name).state_dict() if not key.endswith("bias")}
        single = {key for key, value in getattr(model, name).state_dict().items() if value.numel() == 1}
        assert keys - single <= moved


def test_batches_are_counted_not_optimizer_steps(run: tuple[EdgeConnect, Watch]) -> None:
    assert [batch.iteration for batch in run[1].batches] == list(range(1, 9))
    assert len(run[1].steps) == 2 * (2 + 2 + 2 + 3)


def test_learning_rates_reach_the_optimizers_with_the_discriminators_at_a_tenth(run: tuple[EdgeConnect, Watch]) -> None:
    rates = [batch.rates for batch in run[1].batches]
    for seen in rates[:6]:
        assert seen == pytest.approx([1e-4, 1e-5, 1e-4, 1e-5])
    for seen in rates[6:]:
        assert seen == pytest.approx([1e-6, 1e-7, 1e-6, 1e-7])


def test_each_phase_logs_its_losses(run: tuple[EdgeConnect, Watch]) -> None:
    edge = {"edge_adversarial", "edge_feature_matching", "edge_discriminator_real", "edge_discriminator_fake"}
    inpaint = {f"inpaint_{name}" for name in ("l1", "adversarial", "perceptual", "style")}
    inpaint |= {"inpaint_discriminator_real", "inpaint_discriminator_fake"}
    names = {batch.phase: set(batch.losses) for batch in run[1].batches}
    assert names == {"edge": edge, "inpaint": inpaint, "edge_inpaint": inpaint, "joint": edge | inpaint}


def test_the_same_seed_gives_the_same_losses(run: tuple[EdgeConnect, Watch], built: Builder) -> None:
    again = Watch(NETWORKS)
    fit(built("edgeconnect", *SHORT, RATE), again)
    assert [batch.losses for batch in again.batches] == [batch.losses for batch in run[1].batches]


def test_vgg_never_changes(run: tuple[EdgeConnect, Watch], built: Builder) -> None:
    (network,) = run[0].vgg
    fresh = built("edgeconnect")
    fresh.setup("fit")
    before, after = state_of(fresh.vgg[0]), state_of(network)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())


def test_vgg_is_in_neither_checkpoint_nor_optimizer(run: tuple[EdgeConnect, Watch]) -> None:
    model = run[0]
    theirs = {id(p) for p in model.vgg[0].parameters()}
    assert not theirs & {id(p) for p in model.parameters()}
    stepped = {id(p) for o in model.configure_optimizers() for group in o.param_groups for p in group["params"]}
    assert stepped == {id(p) for p in model.parameters()}
    assert not any("vgg" in key for key in model.state_dict())


def test_vgg_is_fetched_only_for_training_that_paints(built: Builder) -> None:
    edges_alone = built("edgeconnect", "model/schedule=edge_only", "model.vgg=/nowhere.pth")
    edges_alone.setup("fit")
    assert edges_alone.vgg == ()
    painting = built("edgeconnect", "model.vgg=/nowhere.pth")
    painting.setup("test")
    assert painting.vgg == ()
    with pytest.raises(ValueError, match=r"model\.vgg"):
        painting.setup("fit")


def test_training_draws_edges_from_the_whole_image(built: Builder) -> None:
    model, (image, mask) = built("edgeconnect"), scene()
    seen: list[tuple[Tensor, ...]] = []
    model.edge_discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    gray = rgb_to_gray(image)
    real = torch.cat([gray, model.true_edges(image)], dim=1)
    with torch.no_grad():
        drawn = model.edge_generator(gray, real[:, 1:], mask)
    model.discriminator_losses(model.edge_discriminator, real, torch.cat([gray, drawn], dim=1))
    expected = torch.stack([torch.from_numpy(skimage_canny(g[0].double().numpy(), sigma=2)) for g in gray]).float()
    assert torch.equal(seen[0][0], torch.cat([gray, expected[:, None]], dim=1))
    assert torch.equal(seen[1][0], torch.cat([gray, drawn], dim=1))  # raw over the whole image, gray not masked


def test_edges_from_files_take_the_place_of_canny(built: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = built("edgeconnect", "model/schedule=edge_only", "model/edges=files")
    image, mask = scene()
    edges = (torch.rand(mask.shape, generator=torch.Generator().manual_seed(4)) > 0.5).float()
    seen: list[Tensor] = []
    model.edge_discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    monkeypatch.setattr(model, "optimizers", lambda: [None] * 4)
    monkeypatch.setattr(model, "descend", lambda *_: None)
    model.learn({"image": image, "mask": mask, "edges": edges}, model.schedule.phase)
    assert torch.equal(seen[0][:, 1:], edges)


def test_each_adversarial_loss_trains(built: Builder) -> None:
    for gan in ("hinge", "lsgan"):
        watch = Watch(NETWORKS)
        lengths = [f"model.schedule.phases.{n}.batches={int(n == 'joint')}" for n in EdgeConnect.PHASES]
        fit(built("edgeconnect", f"model/gan={gan}", *lengths), watch)
        assert {name for name, keys in watch.batches[0].changed.items() if keys} == set(NETWORKS)


@pytest.mark.parametrize("off", ["perceptual", "style"])
def test_a_loss_that_is_switched_off_is_not_computed(built: Builder, off: str) -> None:
    model = built("edgeconnect", f"model.weights.inpaint.{off}=null")
    model.setup("fit")
    image, mask = torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    output = torch.rand_like(image)
    losses = model.inpaint_losses(image, output, mask, output)
    assert losses.keys() == {"l1", "adversarial", "perceptual", "style"} - {off} == model.weights["inpaint"].keys()


def test_without_perceptual_and_style_loss_no_vgg_is_loaded(built: Builder) -> None:
    off = ["model.weights.inpaint.perceptual=null", "model.weights.inpaint.style=null"]
    model = built("edgeconnect", *off, "model.vgg=/no/such/file.pth")
    model.setup("fit")
    assert model.vgg == ()


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_everyday_photographs_have_edges_on_5_to_9_percent_of_their_pixels(built: Builder, name: str) -> None:
    pixels = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float() / 255
    side = min(pixels.shape[-2:])
    top, left = ((length - side) // 2 for length in pixels.shape[-2:])
    square = pixels[..., top : top + side, left : left + side]
    image = F.interpolate(square, (256, 256), mode="bilinear", antialias=True).clamp(0, 1)
    assert 0.05 < built("edgeconnect").true_edges(image).mean() < 0.09
