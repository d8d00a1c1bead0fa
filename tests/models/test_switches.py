"""Each switch of GLCIC and EdgeConnect does what it says, in numbers, and nothing where it stays at its default."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from skimage.feature import canny as skimage_canny
from torch import Tensor, nn

from inpaintlab.edges import canny
from inpaintlab.imaging import rgb_to_gray
from inpaintlab.inpainting import Steps
from inpaintlab.inpainting.checkpoints import PARTS, rebuild
from inpaintlab.inpainting.schedule import Phase
from inpaintlab.losses import style_loss
from inpaintlab.models import GLCIC
from inpaintlab.models.glcic import PIXELS, CompletionNetwork, ContextDiscriminator
from inpaintlab.recipes import built, plain, require_flag
from inpaintlab.survival import Checkpoints
from stand_ins.building import Builder, Composer, State, Watch, fit, state_of

EDGECONNECT = ["edge_generator", "edge_discriminator", "inpaint_generator", "inpaint_discriminator"]


@dataclass
class Step:
    """What one call of ``learn`` did: its losses, and of each descent the loss and the gradients by network."""

    losses: dict[str, Tensor]
    totals: list[float] = field(default_factory=list)
    gradients: list[dict[str, float]] = field(default_factory=list)


def step(model: Any, phase: str, batch: dict[str, Tensor]) -> Step:
    """Run one batch of ``phase`` with plain optimizers, as the trainer would."""
    done = Step({})
    optimizers = model.configure_optimizers()

    def descend(loss: Tensor, *stepping: torch.optim.Optimizer) -> None:
        loss.backward()
        done.totals.append(loss.item())
        done.gradients.append({name: steepest(part) for name, part in model.named_children()})
        for optimizer in stepping:
            optimizer.step()
            optimizer.zero_grad()

    model.optimizers, model.descend = lambda: optimizers, descend
    model.setup("fit")
    torch.manual_seed(0)
    done.losses = model.train().learn(batch, Phase(phase, 1))
    return done


def steepest(network: nn.Module) -> float:
    """The largest absolute gradient of a parameter; 0 where there is none."""
    return max((p.grad.abs().max().item() for p in network.parameters() if p.grad is not None), default=0.0)


def inputs_of(module: nn.Module) -> list[tuple[Tensor, ...]]:
    """The inputs of each later call of a module."""
    seen: list[tuple[Tensor, ...]] = []
    module.register_forward_pre_hook(lambda _, given: seen.append(tuple(g.detach().clone() for g in given)))
    return seen


def outputs_of(module: nn.Module) -> list[Tensor]:
    """The outputs of each later call of a module."""
    seen: list[Tensor] = []
    module.register_forward_hook(lambda _, __, output: seen.append(output.detach().clone()))
    return seen


def rectangles(*boxes: tuple[int, int, int, int], size: int = 32) -> Tensor:
    """A mask an image: top, bottom, left and right of its hole, the last row and column not part of it."""
    mask = torch.zeros(len(boxes), 1, size, size)
    for index, (top, bottom, left, right) in enumerate(boxes):
        mask[index, :, top:bottom, left:right] = 1
    return mask


def batch_of(seed: int = 0) -> dict[str, Tensor]:
    """Two images with edges, their holes of different size and at different places."""
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    discs = torch.stack([((x - 15 - shift) ** 2 + (y - 16) ** 2 < 100).float() for shift in (0, 4)])
    noise = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    return {"image": 0.15 + 0.6 * discs[:, None] + 0.1 * noise, "mask": rectangles((8, 16, 8, 18), (4, 16, 12, 22))}


def same(now: State, before: State) -> bool:
    return all(torch.equal(now[key], before[key]) for key in before)


# =============================================================================================================== GLCIC

GRAY = torch.full((1, 3, 8, 8), 0.75)
MEAN = torch.tensor([0.25, 0.5, 0.75])

# what R, G and B hold at a known pixel of 0.75 and in the hole
SEEN = {
    "centred": ((0.5, 0.25, 0.0), (0.0, 0.0, 0.0)),
    "filled": ((0.75, 0.75, 0.75), (0.25, 0.5, 0.75)),
    "signed": ((0.5, 0.5, 0.5), (0.0, 0.0, 0.0)),
}


@pytest.mark.parametrize("pixels", SEEN)
def test_the_first_convolution_sees_known_pixels_and_hole_as_set(pixels: str) -> None:
    network = CompletionNetwork(1 / 64, pixels=PIXELS[pixels])
    seen = inputs_of(network.layers[0])
    mask = rectangles((2, 5, 1, 7), size=8)
    network(GRAY * (1 - mask), mask, MEAN)
    planes = seen[0][0]
    assert torch.equal(planes[:, 3:], mask)
    known, hole = SEEN[pixels]
    for colour in range(3):
        assert planes[:, colour][mask[:, 0] == 0].unique().tolist() == [known[colour]]
        assert planes[:, colour][mask[:, 0] == 1].unique().tolist() == [hole[colour]]


@pytest.mark.parametrize(
    ("pixels", "biases", "outputs"),
    [
        ("centred", (-1.0986123, 0.0, 1.0986123), (0.25, 0.5, 0.75)),  # sigmoid of -ln 3, 0, ln 3
        ("filled", (-1.0986123, 0.0, 1.0986123), (0.25, 0.5, 0.75)),
        ("signed", (-3.0, 0.5, 2.0), (0.0, 0.75, 1.0)),  # held to [-1, 1], then brought to [0, 1]
    ],
)
def test_the_output_ends_in_a_sigmoid_or_for_signed_pixels_in_a_clamp(
    pixels: str, biases: tuple[float, ...], outputs: tuple[float, ...]
) -> None:
    network = CompletionNetwork(1 / 64, pixels=PIXELS[pixels])
    last: Any = network.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor(biases))
        output = network(GRAY, torch.zeros(1, 1, 8, 8), MEAN)
    torch.testing.assert_close(output, torch.tensor(outputs).view(1, 3, 1, 1).expand(1, 3, 8, 8))


@pytest.mark.parametrize(("pixels", "expected"), [("centred", 0.75), ("filled", 0.75), ("signed", 0.5)])
def test_the_discriminators_see_pixels_from_0_or_for_signed_ones_from_minus_1(pixels: str, expected: float) -> None:
    discriminator = ContextDiscriminator(8, 4, 2, 1, 1 / 64, pixels=PIXELS[pixels]).eval()
    whole, window = inputs_of(discriminator.whole), inputs_of(discriminator.window)
    discriminator(GRAY, GRAY[..., :4, :4])
    for (seen,) in (*whole, *window):
        assert seen.unique().tolist() == [expected]


def kinds(network: nn.Module) -> list[type[nn.Module]]:
    return [type(module) for module in network.modules() if not list(module.children())]


@pytest.mark.parametrize(
    ("norm_first", "order"), [(True, [nn.BatchNorm2d, nn.ReLU]), (False, [nn.ReLU, nn.BatchNorm2d])]
)
def test_norm_stands_before_or_behind_every_relu(norm_first: bool, order: list[type[nn.Module]]) -> None:
    networks = {
        16: CompletionNetwork(1 / 64, norm_first=norm_first),
        11: ContextDiscriminator(64, 32, 6, 5, 1 / 64, norm_first=norm_first),
    }
    for count, network in networks.items():
        found = kinds(network)
        behind = [i + 1 for i, kind in enumerate(found) if issubclass(kind, nn.Conv2d | nn.ConvTranspose2d)][:count]
        assert [found[i : i + 2] for i in behind] == [order] * count
        assert found.count(nn.BatchNorm2d) == count


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_layer_gives_what_its_last_step_leaves(norm_first: bool) -> None:
    network = CompletionNetwork(1 / 16, norm_first=norm_first).train()
    outputs = outputs_of(network.layers[0])
    network(torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16), MEAN)
    means = outputs[0].mean(dim=(0, 2, 3))
    if norm_first:
        assert (outputs[0] >= 0).all()
        assert (means > 0.1).all()
    else:
        torch.testing.assert_close(means, torch.zeros(4), atol=1e-5, rtol=0)  # batch norm starts without a shift
        assert (outputs[0] < 0).any()


@pytest.mark.parametrize("bias", [True, False])
def test_only_convolutions_in_front_of_a_norm_lose_their_bias(bias: bool) -> None:
    networks = CompletionNetwork(1 / 64, bias=bias), ContextDiscriminator(64, 32, 6, 5, 1 / 64, bias=bias)
    found = [
        [
            module.bias is not None
            for module in network.modules()
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
        ]
        for network in networks
    ]
    assert found == [
        [bias] * 16 + [True],
        [bias] * 6 + [True] + [bias] * 5 + [True] + [True],  # each branch ends in a linear layer, then the joint one
    ]


def test_the_networks_of_a_model_are_built_as_its_settings_say(built: Builder) -> None:
    model = built("glcic", "model.pixels=signed", "model.norm_first=false", "model.bias=false")
    assert model.completion.pixels is model.discriminator.pixels is PIXELS["signed"]
    for network in (model.completion.layers, model.discriminator.whole, model.discriminator.window):
        assert kinds(network)[:3] == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d]
        assert network[0][0].bias is None


@pytest.mark.parametrize("reduction", ["all", "hole", "sum"])
@pytest.mark.parametrize("reconstruction", ["mse", "l1"])
def test_the_reconstruction_loss_is_the_one_that_is_set(built: Builder, reconstruction: str, reduction: str) -> None:
    model, batch = built("glcic", f"model.reconstruction={reconstruction}", f"model.reduction={reduction}"), batch_of()
    outputs = outputs_of(model.completion)
    done = step(model, "completion", batch)
    errors = (outputs[0] - batch["image"])[batch["mask"].expand(-1, 3, -1, -1) == 1].double()
    summed = (errors**2).sum() if reconstruction == "mse" else errors.abs().sum()
    counted = {"all": 2 * 3 * 32 * 32, "hole": 3 * (8 * 10 + 12 * 10), "sum": 2}[reduction]  # a sum is an image's
    assert done.losses["reconstruction"].item() == pytest.approx(summed.item() / counted, rel=1e-5)
    assert done.totals == [done.losses["reconstruction"].item()]


@pytest.mark.parametrize("judged", ["completed", "raw"])
def test_the_discriminator_meets_the_completed_or_the_raw_image_in_both_of_its_roles(
    built: Builder, judged: str
) -> None:
    model, batch = built("glcic", f"model.judged={judged}"), batch_of()
    outputs, seen = outputs_of(model.completion), inputs_of(model.discriminator)
    step(model, "joint", batch)
    image, mask = batch["image"], batch["mask"]
    expected = outputs[0] if judged == "raw" else torch.where(mask == 1, outputs[0], image)
    real, fake, through = seen
    assert torch.equal(real[0], image)
    for met in (fake, through):
        assert torch.equal(met[0], expected)
        # holes of rows 8..15, columns 8..17 and of rows 4..15, columns 12..21; windows of 16
        assert torch.equal(met[1], torch.stack([expected[0, :, 4:20, 5:21], expected[1, :, 2:18, 9:25]]))


@pytest.mark.parametrize("real_patch", ["random", "same"])
def test_the_real_window_lies_on_the_next_samples_hole_or_on_the_samples_own(built: Builder, real_patch: str) -> None:
    model, batch = built("glcic", f"model.real_patch={real_patch}"), batch_of()
    seen = inputs_of(model.discriminator)
    step(model, "discriminator", batch)
    first, second = (slice(4, 20), slice(5, 21)), (slice(2, 18), slice(9, 25))
    corners = (second, first) if real_patch == "random" else (first, second)
    expected = torch.stack([batch["image"][i][:, rows, columns] for i, (rows, columns) in enumerate(corners)])
    assert torch.equal(seen[0][1], expected)


@pytest.mark.parametrize("frozen_norm", ["batch", "moving", "running"])
def test_batch_norm_of_the_fixed_completion_network_does_what_is_set(built: Builder, frozen_norm: str) -> None:
    model, batch = built("glcic", f"model.frozen_norm={frozen_norm}"), batch_of()
    convolution, norm = model.completion.layers[0][0], model.completion.layers[0][1]
    convolved, outputs = outputs_of(convolution), outputs_of(model.completion)
    before, visible = state_of(model.completion), batch["image"] * (1 - batch["mask"])
    step(model, "discriminator", batch)
    after = state_of(model.completion)

    assert all(torch.equal(after[key], before[key]) for key in before if "running" not in key and "tracked" not in key)
    assert same(after, before) == (frozen_norm != "moving")
    momentum = 0.1 if frozen_norm == "moving" else 0.0
    torch.testing.assert_close(norm.running_mean, momentum * convolved[0].mean(dim=(0, 2, 3)))  # it starts at 0

    assert all(module.training for module in model.completion.modules())
    model.completion.load_state_dict(before)
    modes = {mode: model.completion.train(mode)(visible, batch["mask"], model.mean_pixel) for mode in (False, True)}
    assert not torch.allclose(modes[True], modes[False], atol=1e-3)
    torch.testing.assert_close(outputs[0], modes[frozen_norm != "running"])


@pytest.mark.parametrize("frozen_norm", ["batch", "running"])
def test_in_the_other_phases_statistics_move_whatever_the_fixed_network_does(built: Builder, frozen_norm: str) -> None:
    model = built("glcic", f"model.frozen_norm={frozen_norm}")
    for phase in ("completion", "joint"):
        before = state_of(model.completion.layers[0][1])
        step(model, phase, batch_of())
        after = state_of(model.completion.layers[0][1])
        assert not torch.equal(after["running_mean"], before["running_mean"])


@pytest.mark.parametrize(("phase", "real", "fake"), [("discriminator", 2.0, 3.0), ("joint", 5.0, 7.0)])
def test_the_discriminators_weights_are_those_of_its_phase(
    built: Builder, phase: str, real: float, fake: float
) -> None:
    weights = [
        "model.weights.discriminator={real: 2.0, fake: 3.0}",
        "model.weights.joint_discriminator={real: 5.0, fake: 7.0}",
        "model.weights.joint={reconstruction: 11.0, adversarial: 13.0}",
    ]
    done = step(built("glcic", *weights), phase, batch_of())
    losses = {name: loss.item() for name, loss in done.losses.items()}
    totals = [real * losses["discriminator_real"] + fake * losses["discriminator_fake"]]
    if phase == "joint":
        totals.append(11.0 * losses["reconstruction"] + 13.0 * losses["adversarial"])
    assert done.totals == pytest.approx(totals, rel=1e-5)


# ---------------------------------------------------------------------------------------------------------- optimizers

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adadelta": (torch.optim.Adadelta, {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0}),
    "adam": (torch.optim.Adam, {"lr": 1.0, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}),
}
ONE_BATCH = [
    "model.schedule.phases.completion.batches=0",
    "model.schedule.phases.discriminator.batches=0",
    "model.schedule.phases.joint.batches=1",
]


# each switch of GLCIC as it is not by default
EVERY_OTHER = [
    "model.pixels=signed",
    "model.norm_first=false",
    "model.bias=false",
    "model.reconstruction=l1",
    "model.reduction=hole",
    "model.judged=raw",
    "model.real_patch=same",
    "model.frozen_norm=moving",
]


def assert_optimizers(model: Any, choice: str) -> None:
    kind, numbers = OPTIMIZERS[choice]
    networks = (model.completion, model.discriminator)
    for optimizer, network in zip(model.configure_optimizers(), networks, strict=True):
        assert type(optimizer) is kind
        (group,) = optimizer.param_groups
        assert {key: tuple(v) if isinstance(v := group[key], list) else v for key in numbers} == numbers
        assert [id(p) for p in group["params"]] == [id(p) for p in network.parameters()]


@pytest.mark.parametrize("choice", OPTIMIZERS)
def test_the_optimizer_is_chosen_with_its_numbers(built: Builder, choice: str) -> None:
    assert_optimizers(built("glcic", f"model/optimizer={choice}"), choice)


@pytest.mark.parametrize("choice", OPTIMIZERS)
def test_a_checkpoint_brings_its_optimizer_and_all_switches_back(
    built: Builder, composed: Composer, tmp_path: Path, choice: str
) -> None:
    overrides = [*ONE_BATCH, *EVERY_OTHER, f"model/optimizer={choice}", "model.width=0.0625", "model.patch_size=16"]
    model = built("glcic", *overrides)
    fit(model, Checkpoints(tmp_path, 100, 100, "val/psnr_rgb", True))
    other: Any = rebuild(tmp_path)[0]
    assert_optimizers(other, choice)
    assert other.switches() == model.switches() != built("glcic").switches()
    assert same(state_of(other), state_of(model))
    batch = batch_of()
    assert torch.equal(other.complete(**batch), model.complete(**batch))


FOREIGN = [
    "torch.load",
    "torch.hub.load",
    "torch.nn.ReLU",
    "torch.optim.adam.Adam",
    "torch.optim.Adam.step",
    "torch.optim.Adadelta.load_state_dict",
    "torch.optim.adadelta",
]


@pytest.mark.parametrize("target", FOREIGN)
@pytest.mark.parametrize("place", ["as the optimizer", "inside an optimizer"])
def test_a_recipe_may_name_no_other_part_of_torch(target: str, place: str) -> None:
    foreign = {"_target_": target, "_partial_": True}
    optimizer = {"_target_": "torch.optim.Adam", "betas": foreign} if place == "inside an optimizer" else foreign
    with pytest.raises(ValueError, match=r"^A file asks to run 'torch\."):
        built({"_target_": "inpaintlab.models.GLCIC", "optimizer": optimizer}, GLCIC, "A file", inside=PARTS)


@pytest.mark.parametrize("choice", OPTIMIZERS)
def test_a_recipe_may_name_the_optimizers_that_can_be_chosen(composed: Composer, choice: str) -> None:
    recipe = plain(composed("model=glcic", "model.width=0.0625", f"model/optimizer={choice}").model)
    assert isinstance(built(recipe, GLCIC, "A file", inside=PARTS, steps=Steps()), GLCIC)


# ========================================================================================================= EdgeConnect


def convolutions(network: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


@pytest.mark.parametrize("chosen", [[], *([name] for name in EDGECONNECT), EDGECONNECT], ids=lambda c: "+".join(c))
def test_spectral_norm_is_on_the_named_networks_alone(built: Builder, chosen: list[str]) -> None:
    model = built("edgeconnect", f"model.spectral_norm=[{','.join(chosen)}]")
    for name in EDGECONNECT:
        layers, spectral = convolutions(getattr(model, name)), name in chosen
        found = [nn.utils.parametrize.is_parametrized(layer, "weight") for layer in layers]
        biases = [layer.bias is not None for layer in layers]
        if name.endswith("generator"):  # all but the last layer; biases leave the residual blocks alone
            assert found == [spectral] * 21 + [False]
            assert biases == [True] * 3 + [not spectral] * 16 + [True] * 3
        else:
            assert found == [spectral] * 5
            assert biases == [not spectral] * 5


@pytest.mark.parametrize("name", EDGECONNECT)
def test_weights_with_spectral_norm_have_the_largest_singular_value_1(built: Builder, name: str) -> None:
    model = built("edgeconnect", f"model.spectral_norm=[{name}]")
    for other in EDGECONNECT:
        layer = convolutions(getattr(model, other))[1]
        for _ in range(200):  # in training mode each look is a power iteration
            weight = layer.weight
        largest = torch.linalg.matrix_norm(weight.flatten(1), 2).item()
        assert (largest == pytest.approx(1.0, abs=1e-3)) == (other == name)


@pytest.mark.parametrize(("fill", "value"), [("white", 1.0), ("zero", 0.0)])
@pytest.mark.parametrize("training", [True, False])
def test_both_generators_see_the_hole_filled_as_set(built: Builder, fill: str, value: float, training: bool) -> None:
    model, batch = built("edgeconnect", f"model.fill={fill}"), batch_of()
    image, mask = batch["image"], batch["mask"]
    g1, g2 = inputs_of(model.edge_generator.body), inputs_of(model.inpaint_generator.body)
    if training:
        step(model, "joint", batch)
    else:
        model.complete(image, mask)
    ((gray,), (painted,)) = g1[0], g2[0]
    weights = torch.tensor([0.2125, 0.7154, 0.0721]).view(1, 3, 1, 1)
    torch.testing.assert_close(gray[:, :1], torch.where(mask == 1, value, (image * weights).sum(1, keepdim=True)))
    torch.testing.assert_close(painted[:, :3], torch.where(mask == 1, value, image))


def test_offsets_begin_at_the_mean_of_the_known_colours_and_are_added_to_it(built: Builder) -> None:
    model, batch = built("edgeconnect", "model.output=offsets"), batch_of()
    image, mask = batch["image"], batch["mask"]
    known = torch.stack([photo[:, hole[0] == 0].mean(1) for photo, hole in zip(image, mask, strict=True)])[
        ..., None, None
    ]
    edges = torch.zeros_like(mask)
    torch.testing.assert_close(model.inpaint_generator(image, edges, mask), known.expand_as(image))
    step(model, "inpaint", batch)
    assert not torch.allclose(model.inpaint_generator(image, edges, mask), known)
    with torch.no_grad():
        model.inpaint_generator.body[-1].bias.fill_(0.25)
        model.inpaint_generator.body[-1].weight.zero_()
    shifted = model.inpaint_generator(image, edges, mask)
    torch.testing.assert_close(shifted, (known + torch.tensor(0.25).tanh()).expand_as(image))
    assert (model.inpaint_generator(image, edges, torch.ones_like(mask)) == 0.5 + torch.tensor(0.25).tanh()).all()


def test_without_an_adversarial_loss_of_g2_its_discriminator_does_not_move(built: Builder) -> None:
    model = built("edgeconnect", "model.weights.inpaint.adversarial=null")
    before = state_of(model.inpaint_discriminator)
    losses = step(model, "joint", batch_of()).losses
    assert not [name for name in losses if "inpaint_discriminator" in name or name == "inpaint_adversarial"]
    assert all(torch.equal(value, before[key]) for key, value in state_of(model.inpaint_discriminator).items())


PLAIN = ["model.weights.inpaint={l1: 0.0, adversarial: 1.0, perceptual: null, style: null}"]


@pytest.mark.parametrize("phase", ["inpaint", "edge_inpaint", "joint"])
def test_a_conditional_d2_sees_the_edges_that_g2_paints_over(built: Builder, phase: str) -> None:
    model, batch = built("edgeconnect", "model.conditional=true", *PLAIN), batch_of()
    seen, painted = inputs_of(model.inpaint_discriminator), inputs_of(model.inpaint_generator)
    outputs = outputs_of(model.inpaint_generator)
    step(model, phase, batch)
    edges = painted[0][1]
    real, fake, through = (given for (given,) in seen)
    assert torch.equal(real, torch.cat([batch["image"], edges], dim=1))
    assert torch.equal(fake, torch.cat([outputs[0], edges], dim=1))
    assert torch.equal(through, fake)


def test_an_unconditional_d2_sees_the_image_alone(built: Builder) -> None:
    model, batch = built("edgeconnect", *PLAIN), batch_of()
    seen, outputs = inputs_of(model.inpaint_discriminator), outputs_of(model.inpaint_generator)
    step(model, "inpaint", batch)
    assert torch.equal(seen[0][0], batch["image"])
    assert torch.equal(seen[1][0], outputs[0])


@pytest.mark.parametrize("looks", [True, False], ids=["G2 looks at the edges", "G2 is blind to the edges"])
def test_g1_learns_from_a_conditional_d2_through_g2_alone(built: Builder, looks: bool) -> None:
    model = built("edgeconnect", "model.conditional=true", "model.joint=paper", *PLAIN)
    if not looks:
        with torch.no_grad():
            convolutions(model.inpaint_generator)[0].weight[:, 3] = 0
    done = step(model, "joint", batch_of())
    assert done.gradients[-1]["inpaint_generator"] > 0
    assert (done.gradients[-1]["edge_generator"] > 0) == looks


@pytest.mark.parametrize("region", ["hole", "known"])
def test_style_is_compared_in_its_region_alone(built: Builder, region: str) -> None:
    model, batch = built("edgeconnect", f"model.style_region={region}"), batch_of()
    model.setup("fit")
    image, mask = batch["image"], batch["mask"]
    inside = mask if region == "hole" else 1 - mask
    output = image.flip(3)

    def loss(output: Tensor, image: Tensor) -> Tensor:
        return model.inpaint_losses(image, output, mask, output)["style"]

    other = torch.rand_like(image)
    first = loss(output, image)
    outside = loss(torch.where(inside == 1, output, other), torch.where(inside == 1, image, 1 - other))
    torch.testing.assert_close(outside, first)
    assert loss(torch.where(inside == 1, other, output), image) != first
    (vgg,) = model.vgg
    torch.testing.assert_close(first, style_loss(vgg(output * inside), vgg(image * inside)))


@pytest.fixture(scope="module")
def papers_joint(built: Builder) -> tuple[Any, Watch, Any, State]:
    """Two batches of phase joint without D1: the model, what it did, its trainer, and D1 as it was."""
    lengths = [
        f"model.schedule.phases.{n}.batches={2 * (n == 'joint')}" for n in ("edge", "inpaint", "edge_inpaint", "joint")
    ]
    model, watch = built("edgeconnect", "model.joint=paper", *lengths), Watch(EDGECONNECT)
    before = state_of(model.edge_discriminator)
    return model, watch, fit(model, watch), before


def test_the_papers_joint_phase_leaves_d1_and_its_optimizer_alone(
    papers_joint: tuple[Any, Watch, Any, State],
) -> None:
    model, watch, trainer, before = papers_joint
    assert same(state_of(model.edge_discriminator), before)
    assert trainer.optimizers[1].state == {}
    assert all(trainer.optimizers[i].state for i in (0, 2, 3))
    assert [s.stepped for s in watch.steps] == [
        {"inpaint_discriminator"},
        {"edge_generator", "inpaint_generator"},
    ] * 2


def test_the_papers_joint_phase_has_the_losses_of_g2_alone_and_g1_learns_from_them(
    papers_joint: tuple[Any, Watch, Any, State],
) -> None:
    watch = papers_joint[1]
    expected = {f"inpaint_{name}" for name in ("l1", "adversarial", "perceptual", "style")}
    expected |= {"inpaint_discriminator_real", "inpaint_discriminator_fake"}
    for batch in watch.batches:
        assert batch.losses.keys() == expected
        assert batch.changed["edge_generator"]
    assert all(s.with_gradients == s.stepped for s in watch.steps)


@pytest.mark.parametrize(("joint", "own"), [("code", True), ("paper", False)])
def test_g1s_own_losses_count_in_the_codes_joint_phase_alone(built: Builder, joint: str, own: bool) -> None:
    done = step(built("edgeconnect", f"model.joint={joint}"), "joint", batch_of())
    losses = {name: loss.item() for name, loss in done.losses.items()}
    weights = {"l1": 1.0, "adversarial": 0.1, "perceptual": 0.1, "style": 250.0}
    total = sum(weight * losses[f"inpaint_{name}"] for name, weight in weights.items())
    if own:
        total += losses["edge_adversarial"] + 10 * losses["edge_feature_matching"]
    assert done.totals[-1] == pytest.approx(total, rel=1e-5)
    assert len(done.totals) == (3 if own else 2)


@pytest.mark.parametrize("joint", ["code", "paper"])
def test_g1_learns_from_g2_in_joint_and_not_at_all_while_it_is_fixed(built: Builder, joint: str) -> None:
    silent = "model.weights.edge={adversarial: 0.0, feature_matching: 0.0}"
    done = step(built("edgeconnect", f"model.joint={joint}", silent), "joint", batch_of())
    assert done.gradients[-1]["edge_generator"] > 0
    model = built("edgeconnect", f"model.joint={joint}", silent)
    before = state_of(model.edge_generator)
    fixed = step(model, "edge_inpaint", batch_of())
    assert all(gradients["edge_generator"] == 0 for gradients in fixed.gradients)
    assert all(parameter.grad is None for parameter in model.edge_generator.parameters())
    assert same(state_of(model.edge_generator), before)


# --------------------------------------------------------------------------------------------------------------- edges


def generator_inputs(built: Builder, setting: str, phase: str, image: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    """What G1 and G2 see in one training step of a fresh model, and D1's first input where there is one."""
    model = built("edgeconnect", f"model.train_edges={setting}")
    parts = (model.edge_generator.body, model.inpaint_generator.body, model.edge_discriminator)
    seen = [inputs_of(part) for part in parts]
    step(model, phase, {"image": image, "mask": mask})
    return tuple(calls[0][0] if calls else torch.zeros(0) for calls in seen)


@pytest.mark.parametrize("phase", ["edge", "edge_inpaint", "joint"])
@pytest.mark.parametrize("setting", ["whole", "known"])
def test_hidden_pixels_reach_the_generators_in_training_only_by_edges_of_the_whole_image(
    built: Builder, setting: str, phase: str
) -> None:
    image, mask = batch_of().values()
    changed = torch.where(mask == 1, 1 - image, image)
    first, second = (generator_inputs(built, setting, phase, content, mask) for content in (image, changed))
    names = [name for name, given in zip(("G1", "G2"), first[:2], strict=True) if given.numel()]
    assert names == (["G1"] if phase == "edge" else ["G1", "G2"])
    for ours, theirs in zip(first[:2], second[:2], strict=True):
        if setting == "known":
            assert torch.equal(ours, theirs)
    if setting == "whole":
        edges, others = first[0][:, 1:2], second[0][:, 1:2]
        assert torch.equal(first[0][:, :1], second[0][:, :1])  # nothing else of the hidden pixels
        assert (edges != others)[mask == 0].any()
    if phase != "edge_inpaint":  # D1 is shown the true edges in any case
        gray = rgb_to_gray(image)
        assert torch.equal(first[2], torch.cat([gray, canny(gray, 2.0)], dim=1))


@pytest.mark.parametrize("setting", ["whole", "known"])
def test_g2_learns_on_true_edges_in_the_hole_and_on_known_edges_elsewhere(built: Builder, setting: str) -> None:
    image, mask = batch_of().values()
    painted = generator_inputs(built, setting, "inpaint", image, mask)[1][:, 3:]
    gray = rgb_to_gray(image)[:, 0].double().numpy()
    for index in range(2):
        hole = mask[index, 0] == 1
        true = torch.from_numpy(skimage_canny(gray[index], sigma=2)).float()
        known = torch.from_numpy(skimage_canny(gray[index], sigma=2, mask=~hole.numpy())).float()
        assert not torch.equal(true[~hole], known[~hole])
        assert true[hole].any()
        assert torch.equal(painted[index, 0], torch.where(hole, true, true if setting == "whole" else known))


def test_known_and_true_edges_of_a_sample_have_the_same_sigma(built: Builder) -> None:
    model = built("edgeconnect", "model.train_edges=known", "model.edges.sigma=[1,4]")
    image, mask = (plane[:1].expand(16, -1, -1, -1).contiguous() for plane in batch_of().values())
    gray = rgb_to_gray(image)
    torch.manual_seed(0)
    true, known = model.training_edges({"image": image, "mask": mask})
    choices = [canny(gray[:1], float(sigma))[0] for sigma in (1, 2, 3, 4)]
    choices_known = [canny(gray[:1], float(sigma), 1 - mask[:1])[0] for sigma in (1, 2, 3, 4)]
    drawn = [[i for i, choice in enumerate(choices) if torch.equal(choice, plane)] for plane in true]
    drawn_known = [[i for i, choice in enumerate(choices_known) if torch.equal(choice, plane)] for plane in known]
    assert drawn == drawn_known
    assert {found[0] for found in drawn if len(found) == 1} == {0, 1, 2, 3}


def test_edges_of_the_whole_image_at_completion_make_an_oracle(built: Builder) -> None:
    image, mask = batch_of().values()
    blind, oracle = built("edgeconnect"), built("edgeconnect", "model.test_edges=whole")
    assert (blind.oracle, oracle.oracle) == (False, True)
    assert same(state_of(oracle), state_of(blind))
    completed = oracle.complete(image, mask)
    assert not torch.equal(completed, blind.complete(image, mask))

    oracle.eval()
    visible, gray = image * (1 - mask), rgb_to_gray(image)
    edges = torch.stack([torch.from_numpy(skimage_canny(g[0].double().numpy(), sigma=2)) for g in gray])[
        :, None
    ].float()
    with torch.no_grad():
        drawn = oracle.edge_generator(gray * (1 - mask), edges, mask)
        raw = oracle.inpaint_generator(visible, torch.where(mask == 1, drawn, edges), mask)
    torch.testing.assert_close(completed, torch.where(mask == 1, raw, image))
    assert torch.equal(oracle.seen_inside(image, mask)["edges"], torch.where(mask == 1, drawn, edges))


def test_the_originals_edges_in_the_hole_make_an_oracle_that_g1_has_no_part_in(built: Builder) -> None:
    image, mask = batch_of().values()
    oracle = built("edgeconnect", "model.hole_edges=original")
    assert oracle.oracle
    drawn = outputs_of(oracle.edge_generator)
    completed = oracle.complete(image, mask)
    assert not drawn
    grays = [one.double().numpy() for one in rgb_to_gray(image)[:, 0]]
    edges = torch.stack([torch.from_numpy(skimage_canny(gray, sigma=2)) for gray in grays])[:, None].float()
    assert torch.equal(oracle.seen_inside(image, mask)["edges"], edges)
    oracle.eval()
    with torch.no_grad():
        raw = oracle.inpaint_generator(image * (1 - mask), edges, mask)
    torch.testing.assert_close(completed, torch.where(mask == 1, raw, image))


@pytest.mark.parametrize("setting", ["model.hole_edges=none", "model.hole_edges=original", "model.test_edges=whole"])
def test_drawings_leave_no_place_for_other_edges_in_the_hole(built: Builder, setting: str) -> None:
    with pytest.raises(InstantiationException) as caught:
        built("edgeconnect", "model/edges=drawn", setting)
    assert "model/edges=drawn wants model.hole_edges=drawn" in str(caught.value.__cause__)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 40), (40, 1)])
def test_what_is_too_thin_for_canny_is_completed_and_no_edge_counted(built: Builder, height: int, width: int) -> None:
    image = torch.rand(1, 3, height, width)
    mask = (torch.arange(width).expand(1, 1, height, width) % 2).float()
    found = built("edgeconnect").test_step({"image": image, "mask": mask}, 0)
    assert "drawn_edges" not in found
    assert torch.equal(found["completed"][(mask == 0).expand_as(image)], image[(mask == 0).expand_as(image)])


def test_without_edges_in_the_hole_g2_gets_those_around_it_alone(built: Builder) -> None:
    image, mask = batch_of().values()
    drawing, bare = built("edgeconnect"), built("edgeconnect", "model.hole_edges=none")
    assert not bare.oracle
    expected = drawing.seen_inside(image, mask)["edges"] * (1 - mask)
    assert expected.any()
    assert torch.equal(bare.seen_inside(image, mask)["edges"], expected)


def test_an_oracle_takes_no_drawing_beside_the_true_edges(built: Builder) -> None:
    image, mask = batch_of().values()
    with pytest.raises(
        ValueError, match=r"^EdgeConnect is set to see the true edges; it takes no others beside them\.$"
    ):
        built("edgeconnect", "model.test_edges=whole").complete(image, mask, torch.zeros_like(mask))


@pytest.mark.parametrize("composite", [True, False])
def test_g2_gets_a_composite_at_completion_or_g1s_drawing_everywhere(built: Builder, composite: bool) -> None:
    model, (image, mask) = built("edgeconnect", f"model.test_composite={composite}"), batch_of().values()
    drawn, painted = outputs_of(model.edge_generator), inputs_of(model.inpaint_generator)
    model.complete(image, mask)
    known = canny(rgb_to_gray(image), 2.0, 1 - mask)
    expected = torch.where(mask == 1, drawn[0], known) if composite else drawn[0]
    assert torch.equal(painted[0][1], expected)
    assert torch.equal(model.seen_inside(image, mask)["edges"], expected)


def test_training_paints_over_a_composite_whatever_completion_does(built: Builder) -> None:
    model, batch = built("edgeconnect", "model.test_composite=false"), batch_of()
    drawn, painted = outputs_of(model.edge_generator), inputs_of(model.inpaint_generator)
    step(model, "edge_inpaint", batch)
    true = canny(rgb_to_gray(batch["image"]), 2.0)
    assert torch.equal(painted[0][1], torch.where(batch["mask"] == 1, drawn[0], true))


@pytest.mark.parametrize("normalised", [False, True])
def test_vgg_sees_pixels_as_they_are_unless_they_are_to_be_normalised(built: Builder, normalised: bool) -> None:
    model, batch = built("edgeconnect", f"model.vgg_normalised={normalised}"), batch_of()
    model.setup("fit")
    seen = inputs_of(model.vgg[0].layers["conv1_1"])
    model.features(batch["image"])
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    expected = (batch["image"] - mean) / deviation if normalised else batch["image"]
    torch.testing.assert_close(seen[0][0], expected)


# ======================================================================================================== wrong values

CHOICES = [
    ("glcic", "pixels", "'centred' or 'filled' or 'signed'"),
    ("glcic", "reconstruction", "'mse' or 'l1'"),
    ("glcic", "reduction", "'all' or 'hole' or 'sum'"),
    ("glcic", "judged", "'completed' or 'raw'"),
    ("glcic", "real_patch", "'random' or 'same'"),
    ("glcic", "frozen_norm", "'batch' or 'moving' or 'running'"),
    ("edgeconnect", "fill", "'white' or 'zero'"),
    ("edgeconnect", "output", "'colours' or 'offsets'"),
    ("edgeconnect", "style_region", "'hole' or 'known'"),
    ("edgeconnect", "joint", "'code' or 'paper'"),
    ("edgeconnect", "train_edges", "'whole' or 'known'"),
    ("edgeconnect", "test_edges", "'known' or 'whole'"),
    ("edgeconnect", "hole_edges", "'drawn' or 'original' or 'none'"),
]


@pytest.mark.parametrize(("model", "setting", "choices"), CHOICES, ids=[setting for _, setting, _ in CHOICES])
def test_a_wrong_value_is_answered_with_the_setting_and_its_choices(
    built: Builder, model: str, setting: str, choices: str
) -> None:
    with pytest.raises(InstantiationException) as caught:
        built(model, f"model.{setting}=gray")
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value.__cause__) == f"model.{setting} is 'gray'; it can be {choices}."


def test_a_wrong_network_for_spectral_norm_is_answered_with_the_four(built: Builder) -> None:
    with pytest.raises(InstantiationException) as caught:
        built("edgeconnect", "model.spectral_norm=[edge_generator,critic]")
    assert str(caught.value.__cause__) == (
        "model.spectral_norm is 'critic'; it can be 'edge_generator' or 'edge_discriminator' or 'inpaint_generator' or "
        "'inpaint_discriminator'."
    )


# --- values from a command line --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["no", "off", 0, None])
def test_a_flag_is_true_or_false_and_nothing_that_only_looks_like_it(value: object) -> None:
    with pytest.raises(ValueError, match=r"model\.conditional is '.*'; it can be true or false"):
        require_flag("model.conditional", value)
    assert require_flag("model.conditional", True) is True


def test_every_flag_is_checked(built: Builder) -> None:
    flags = {"glcic": ("norm_first", "bias"), "edgeconnect": ("conditional", "test_composite", "vgg_normalised")}
    for model, names in flags.items():
        for name in names:
            with pytest.raises(InstantiationException, match=name):
                built(model, f"model.{name}=no")


def test_switches_tell_everything_that_separates_the_presets(built: Builder) -> None:
    told = [built(name).switches() for name in ("glcic", "glcic_otenim", "glcic_mmagic")]
    assert told[0].keys() == told[1].keys() == told[2].keys()
    differ = {key for key in told[0] if len({str(switches[key]) for switches in told}) > 1}
    assert {"pixels", "norm_first", "bias", "optimizer", "reconstruction", "judged", "real_patch"} <= differ
    assert built("edgeconnect", "model/gan=hinge").switches()["gan"] == "Hinge"
