"""Contextual Attention's numbers: the authors' (v1.0.0, 06cd62c), daa233's (c6cdaea) and mmagic's (0a560bb).

Recorded on the CPU in float64, the authors' with TensorFlow 2.15 in the mode of version 1, from weights that follow
from a seed (``seeded_weights.py``). Losses and gradients are of a step of the critics and one of the generator, without
any update. Arrays hold every n-th pixel and channel; n follows from their size. A second seed, the ports in float64
and daa233's step at 256 pixels wait for ``make test-slow``, or for further recordings.
"""

import os
from collections.abc import Callable
from typing import Any, final

import numpy as np
import pytest
import seeded_weights
import torch
from seeded_weights import Tolerance
from torch import Tensor

from inpaintlab.inpainting import hide
from inpaintlab.layers import ContextualAttention as Attention
from inpaintlab.layers import at_corners
from inpaintlab.losses import hole_windows
from inpaintlab.models import ContextualAttention
from inpaintlab.models.contextual_attention import FLAVOURS
from stand_ins.building import build_model

RECORDINGS = seeded_weights.recordings("deepfill_v1")
PORTS = {port: seeded_weights.recordings(f"deepfill_v1_{port}") for port in ("daa233", "mmagic")}
PRESETS = {
    "released": "contextual_attention",
    "daa233": "contextual_attention_daa233",
    "mmagic": "contextual_attention_mmagic",
}


TOLERANCES = {
    "float64": Tolerance(torch.float64, 1e-6, 1e-6, 1e-6),
    "float32": Tolerance(torch.float32, 1e-4, 1e-4, 1e-3),
}


takes_long = [] if "INPAINTLAB_PARITY" in os.environ else [pytest.mark.endurance]
long = pytest.mark.parametrize((), [pytest.param(marks=takes_long)], ids=["long"])


@pytest.fixture(params=TOLERANCES)
def within(request: pytest.FixtureRequest) -> Tolerance:
    return TOLERANCES[request.param]


roughly_first = pytest.mark.parametrize(
    "within", ["float32", pytest.param("float64", marks=takes_long)], indirect=True, ids=["float32", "float64"]
)


def recorded_of(port: str, seed: int) -> dict[str, Any]:
    if seed not in PORTS[port]:
        pytest.skip(f"{port}'s networks were not recorded with seed {seed}")
    return seeded_weights.recorded(PORTS[port][seed])


# -------------------------------------------------------------------------------------------------- what was recorded


def their_name(flavour: str, key: str) -> str:
    """What an implementation calls one of our parameters."""
    *stem, kind = key.split(".")
    critic = stem[1].removesuffix("_critic") if stem[0] == "critics" else ""
    layer = stem[2] if critic else stem[-2]
    dense = layer == "dense"
    if flavour == "released":
        kind = {"weight": "kernel", "bias": "bias"}[kind]
        if critic:
            stem = [f"dout_{critic}_fc"] if dense else [f"discriminator_{critic}", layer]
            return "/".join(["discriminator", *stem, kind])
        stem = [layer, f"{layer}_conv"] if layer.endswith("_upsample") else [layer]
        return "/".join(["inpaint_net", *stem, kind])
    if flavour == "daa233":
        if critic:
            return f"{critic}D.linear.{kind}" if dense else f"{critic}D.dis_conv_module.{layer}.conv.{kind}"
        stage = "coarse_generator" if stem[1] == "coarse" else "fine_generator"
        return f"{stage}.{layer.removeprefix('x').removesuffix('_upsample')}.conv.{kind}"
    if critic:
        return f"disc.{critic}_disc.fc.linear.{kind}" if dense else f"disc.{critic}_disc.{layer}.conv.{kind}"
    branch, number = layer.split("conv")[0], int("".join(c for c in layer.split("conv")[1] if c.isdigit()))
    stage = "stage1" if stem[1] == "coarse" else "stage2"
    encoder = {"": "encoder", "x": "encoder_conv", "pm": "encoder_attention"}
    if branch == "pm" and number > 6:
        part = f"contextual_attention_neck.conv{number - 8}"
    elif number > 10:
        part = f"decoder.dec{number - 10}"
    elif number > 6:
        part = f"dilation_neck.dilation_convs.{number - 7}"
    else:
        part = f"{encoder[branch]}.enc{number}"
    return f"generator.{stage}.{part}.conv.{kind}"


def value_of(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """One of their tensors as they hold it; the last layers' kernels are a quarter as large."""
    if "/" in name and name.endswith("/kernel"):
        value = seeded_weights.normal(name, shape, seed).astype(np.float64) * np.sqrt(2 / np.prod(shape[:-1]))
        found = torch.from_numpy(value.astype(np.float32))
    else:
        found = (
            seeded_weights.value_of(name.replace("/", "."), shape, seed)
            if "/" not in name
            else _bias(name, shape, seed)
        )
    last = ("conv17/kernel", "conv17.conv.weight", "decoder.dec7.conv.weight")
    return found * 0.25 if name.endswith(last) else found


def _bias(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.from_numpy((0.1 * seeded_weights.normal(name, shape, seed)).astype(np.float32))


def as_ours(value: Tensor, shape: torch.Size, name: str) -> Tensor:
    """A tensor of TensorFlow's layout in torch's."""
    if name.endswith("/kernel") and value.dim() == 4:
        return value.permute(3, 2, 0, 1)
    if name.endswith("_fc/kernel"):
        channels = 512 if "local" in name else 256
        side = int((len(value) // channels) ** 0.5)
        return value.view(side, side, channels).permute(2, 0, 1).reshape(shape)
    return value


def their_shape(shape: torch.Size, name: str) -> tuple[int, ...]:
    if name.endswith("/kernel"):
        return (*shape[2:], shape[1], shape[0]) if len(shape) == 4 else (shape[1], shape[0])
    return tuple(shape)


@pytest.fixture(scope="module")
def loaded(seed: int) -> Callable[..., ContextualAttention]:
    """A flavour's model with the recorded weights, for a size of pictures and of windows."""
    known: dict[tuple[str, int], dict[str, Tensor]] = {}

    def of(flavour: str, within: Tolerance, size: int = 128) -> ContextualAttention:
        settings = [f"data.size={size}", f"model.patch_size={size // 2}", "model.width=1.0"]
        model = build_model(PRESETS[flavour], *settings).to(within.dtype)
        assert isinstance(model, ContextualAttention)
        if (flavour, size) not in known:
            state = {}
            for key, parameter in model.named_parameters():
                name = their_name(flavour, key)
                value = value_of(name, their_shape(parameter.shape, name), seed)
                state[key] = as_ours(value, parameter.shape, name)
            known[flavour, size] = state
        missing = model.load_state_dict(known[flavour, size], strict=False)
        assert not missing.unexpected_keys
        return model

    return of


def picture(key: str, shape: tuple[int, int, int, int], seed: int, within: Tolerance) -> Tensor:
    """As the authors read it: 8 bits wide, in float32; here in [0, 1], the planes reversed to RGB."""
    scaled = seeded_weights.picture(key, shape, seed) * 255
    return (scaled.to(within.dtype) / 255).flip(1)


def boxes(shape: tuple[int, int, int, int], *places: tuple[int, int, int, int]) -> Tensor:
    """One hole for each sample: top, left, height, width."""
    mask = torch.zeros(shape, dtype=torch.float64)
    for sample, (top, left, height, width) in zip(mask, places, strict=True):
        sample[:, top : top + height, left : left + width] = 1
    return mask


HOLE, OTHER = (29, 49, 54, 46), (60, 20, 40, 64)


def assert_near(ours: Tensor, theirs: Tensor, within: Tolerance, name: str = "") -> None:
    """The same numbers, of which theirs are every n-th."""
    step = (ours.shape[-1] - 1) // (theirs.shape[-1] - 1)
    every = max(1, ours.shape[1] // theirs.shape[1])
    off = (ours[:, ::every, ::step, ::step] - theirs).abs().max() / theirs.abs().max()
    assert off.item() < within.arrays, name


def assert_norms(
    model: ContextualAttention, flavour: str, network: str, theirs: dict[str, float], within: Tolerance
) -> None:
    ours = {
        their_name(flavour, key): 0.0 if parameter.grad is None else parameter.grad.norm().item()
        for key, parameter in model.named_parameters()
        if key.startswith(network)
    }
    assert ours.keys() == theirs.keys()
    for name, norm in theirs.items():
        assert abs(ours[name] - norm) < within.norms * max(norm, 1e-2), name


def signed(image: Tensor) -> Tensor:
    """As the authors have it: BGR in [-1, 1]."""
    return 2 * image.flip(1) - 1


# --------------------------------------------------------------------------------------------------------- the networks

TAPS = (
    *("coarse.conv1", "coarse.conv4_downsample", "coarse.conv6", "coarse.conv10_atrous", "coarse.conv12"),
    *("coarse.conv13_upsample", "coarse.conv16", "refinement.hallucination.xconv2_downsample"),
    *("refinement.hallucination.xconv4_downsample", "refinement.hallucination.xconv10_atrous"),
    *("refinement.matching.pmconv6", "refinement.matched.pmconv10", "refinement.joint.allconv11"),
    *("refinement.joint.allconv12", "refinement.joint.allconv15_upsample", "refinement.joint.allconv16"),
    "refinement.attention",
)


@torch.no_grad()
def test_another_size_and_a_free_form_are_completed_alike(
    loaded: Callable[..., ContextualAttention], recorded: dict[str, Any], seed: int, within: Tolerance
) -> None:
    model = loaded("released", within)
    image = picture("image_test", (1, 3, 64, 96), seed, within)
    mask = (seeded_weights.picture("freeform", (1, 1, 64, 96), seed) > 0.6).to(within.dtype)
    assert torch.equal(mask[0, 0], recorded["test_mask"].to(within.dtype))
    for output, name in zip(model.generator(image, mask), ("test_x1", "test_x2"), strict=True):
        assert_near(signed(output), recorded[name], within, name)
    quarter = model.generator.refinement.small(mask)
    assert torch.equal(quarter[0, 0], recorded["test_mask_4"].to(within.dtype))
    assert torch.equal(at_corners(quarter, 8, 12)[0, 0], recorded["test_mask_8"].to(within.dtype))


@roughly_first
@torch.no_grad()
def test_daa233s_networks_have_their_outputs(
    loaded: Callable[..., ContextualAttention], seed: int, within: Tolerance
) -> None:
    theirs, model = recorded_of("daa233", seed), loaded("daa233", within)
    image = seeded_weights.picture("image", (2, 3, 128, 128), seed).to(within.dtype)
    mask = boxes((2, 1, 128, 128), HOLE, HOLE).to(within.dtype)
    for number, output in enumerate(model.generator(image, mask), start=1):
        assert_near(2 * output - 1, theirs[f"x{number}"], within)


# -------------------------------------------------------------------------------------------------------- the attention


def attention_inputs(seed: int, within: Tolerance) -> tuple[Tensor, Tensor, Tensor]:
    f, b = (torch.from_numpy(seeded_weights.normal(f"attention_{x}", (2, 6, 16, 24), seed)) for x in "fb")
    mask = torch.zeros(2, 1, 16, 24, dtype=within.dtype)
    mask[:, :, 5:12, 8:17] = 1
    return (np.float32(0.2) * f).to(within.dtype), b.to(within.dtype), mask


@pytest.mark.parametrize("tile", [2**23, 2000])
@pytest.mark.parametrize("case", ["open", "hole", "hole_nofuse", "other"])
def test_the_attention_is_the_authors(
    recorded: dict[str, Any], seed: int, within: Tolerance, case: str, tile: int
) -> None:
    """Output, weights and gradients; in one case with patches that are 0, of which the root has no slope."""
    f, b, mask = attention_inputs(seed, within)
    if case == "other":
        b[:, :, :6, :8] = 0
    leaves = [x.clone().requires_grad_() for x in ((b, b) if case.startswith("hole") else (f, b))]
    attention = Attention(fuse=case != "hole_nofuse", tile=tile)
    hole = None if case == "open" else mask
    output = attention(*leaves, hole)
    (output.square().sum() / 2).backward()
    assert_near(output, recorded[f"ca_{case}"], within)
    assert output.abs().mean().item() == pytest.approx(recorded[f"ca_{case}_absmean"], rel=within.losses)
    for leaf, norm in zip(leaves, recorded[f"ca_{case}_grad_norms"], strict=True):
        assert leaf.grad is not None
        assert leaf.grad.norm().item() == pytest.approx(norm, rel=within.norms)
    with torch.no_grad():
        compared = attention.compared(*leaves, hole)
        weights = torch.cat([attention.weights(*compared, *rows) for rows in attention.tiles(8, 12)], dim=1)
    assert (weights.sum(dim=2) - recorded[f"ca_{case}_rowsum"]).abs().max() < within.arrays
    assert torch.equal(attention.nearest(*leaves, hole).flatten(1), recorded[f"ca_{case}_argmax"].long())
    if case == "hole":
        assert (weights[0] - recorded["ca_hole_map"]).abs().max() < within.arrays


@pytest.mark.parametrize(("port", "case"), [("daa233", "hole"), ("mmagic", "hole"), ("mmagic", "other")])
def test_the_attention_is_the_ports(seed: int, within: Tolerance, port: str, case: str) -> None:
    f, b, mask = attention_inputs(seed, within)
    output = Attention(*FLAVOURS[port].attention)(b if case == "hole" else f, b, mask)
    assert_near(output, recorded_of(port, seed)[f"ca_{case}"], within)


# ------------------------------------------------------------------------------------------------------------- the step


@final
class Step:
    """A step of the critics and one of the generator on one batch, whose optimizers stand still; gradients stay."""

    def __init__(self, model: ContextualAttention, image: Tensor, mask: Tensor, shares: list[float]) -> None:
        self.totals: dict[str, float] = {}
        self.verdicts: dict[str, list[Tensor]] = {"local": [], "global": []}
        self.slopes: list[Tensor] = []
        model.optimizers = lambda: ("generator", "critics")  # type: ignore[method-assign,assignment,return-value]
        model.descend = self.descend  # type: ignore[method-assign,assignment]
        drawn = torch.tensor([shares, shares], dtype=image.dtype).view(2, -1, 1, 1, 1)
        model.draw_shares = lambda _: drawn  # type: ignore[method-assign]
        penalty = model.penalty

        def watched(*arguments: Tensor) -> Tensor:
            self.slopes += [gradient.detach() for gradient in arguments[:2]]
            return penalty(*arguments)

        model.penalty = watched
        for name, seen in self.verdicts.items():
            critic = getattr(model.critics, f"{name}_critic")
            critic.register_forward_hook(lambda _, __, y, seen=seen: seen.append(y.detach()[:, 0]))
        self.coarse, self.refined = model.generator(hide(image, mask), mask)
        self.completed = model.paste(image, mask, self.refined).detach()
        losses = model.learn_to_judge(image, mask, self.completed)
        losses |= model.learn_to_complete(image, mask, self.coarse, self.refined)
        self.losses = {name: loss.item() for name, loss in losses.items()}

    def descend(self, loss: Tensor, *optimizers: Any) -> None:
        if loss.requires_grad:
            loss.backward()
        self.totals[optimizers[0]] = loss.item()


def test_the_authors_networks_and_steps_have_their_features_losses_and_gradients(
    loaded: Callable[..., ContextualAttention], recorded: dict[str, Any], seed: int, within: Tolerance
) -> None:
    model, theirs = loaded("released", within), recorded["losses"]
    seen: dict[str, Tensor] = {}
    for tap in TAPS:
        layer = model.generator.get_submodule(tap)
        name = tap.rpartition(".")[2]
        layer.register_forward_hook(lambda _, __, y, name=name: seen.__setitem__(name, y.detach()))
    image, mask = picture("image", (2, 3, 128, 128), seed, within), boxes((2, 1, 128, 128), HOLE, HOLE).to(within.dtype)
    done = Step(model, image, mask, [0.3, 0.8])

    for name, output, clipped in zip(("x1", "x2"), (done.coarse, done.refined), recorded["clip_fraction"], strict=True):
        assert_near(signed(output), recorded[name], within, name)
        assert (signed(output).abs() >= 1).double().mean().item() == pytest.approx(clipped, abs=1e-4)
    assert {f"feat_{name}" for name in seen} == {name for name in recorded if name.startswith("feat_")}
    for name, features in seen.items():
        assert_near(features, recorded[f"feat_{name}"], within, name)
        assert features.abs().mean().item() == pytest.approx(recorded["absmean"][name], rel=within.losses), name
    assert (model.discount.double() - recorded["discount"]).abs().max() < 1e-7

    assert done.losses == {
        "critics_wgan": pytest.approx(theirs["wgan_d_local"] + theirs["wgan_d_global"], rel=within.losses),
        "critics_penalty": pytest.approx(theirs["penalty_local"] + theirs["penalty_global"], rel=within.losses),
        "l1": pytest.approx(theirs["l1_loss"], rel=within.losses),
        "ae": pytest.approx(theirs["ae_loss"], rel=within.losses),
        "adversarial": pytest.approx(theirs["wgan_g_local"] + theirs["wgan_g_global"], rel=within.losses),
    }
    assert done.totals == {
        "critics": pytest.approx(theirs["d_loss"], rel=within.losses),
        "generator": pytest.approx(theirs["g_loss"], rel=within.losses),
    }
    assert_norms(model, "released", "generator", recorded["g_grad_norms"], within)
    assert_norms(model, "released", "critics", recorded["d_grad_norms"], within)

    for critic, (both, mixed, _) in done.verdicts.items():
        for name, verdicts in (("real", both[:2]), ("fake", both[2:]), ("mixed", mixed)):
            assert verdicts.tolist() == pytest.approx(theirs[f"d_{name}_{critic}"], rel=10 * within.losses)
    window = model.window_of(mask)
    for critic, slope, region in zip(("global", "local"), done.slopes, (mask, window(mask)), strict=True):
        for kind, counted in (("gp_norm_unmasked", slope), ("gp_norm", slope * region)):
            norms = counted.flatten(1).norm(dim=1).tolist()
            assert norms == pytest.approx(theirs[f"{kind}_{critic}"], rel=10 * within.losses)
    refined = done.refined.detach().requires_grad_()
    completed = model.paste(image, mask, refined)
    (gradient,) = torch.autograd.grad(-model.critics(completed, window(completed)).mean(dim=0).sum(), refined)
    assert gradient.norm().item() / 2 == pytest.approx(recorded["grad_norm_adv_wrt_x2"], rel=within.norms)


@long
def test_a_step_has_daa233s_losses_and_gradients(
    loaded: Callable[..., ContextualAttention], seed: int, within: Tolerance
) -> None:
    theirs, model = recorded_of("daa233", seed), loaded("daa233", within, 256)
    image = seeded_weights.picture("image_step", (2, 3, 256, 256), seed).to(within.dtype)
    mask = boxes((2, 1, 256, 256), (46, 81, 116, 106), (46, 81, 116, 106)).to(within.dtype)
    done = Step(model, image, mask, [0.7, 0.2])  # theirs are the real image's
    assert done.losses == {
        "critics_wgan": pytest.approx(theirs["losses"]["wgan_d"], rel=within.losses),
        "critics_penalty": pytest.approx(theirs["losses"]["wgan_gp"], rel=within.losses),
        "l1": pytest.approx(theirs["losses"]["l1"], rel=within.losses),
        "ae": pytest.approx(theirs["losses"]["ae"], rel=within.losses),
        "adversarial": pytest.approx(theirs["losses"]["wgan_g"], rel=within.losses),
    }
    assert done.totals == {
        "critics": pytest.approx(theirs["d_total"], rel=within.losses),
        "generator": pytest.approx(theirs["g_total"], rel=within.losses),
    }
    assert_norms(model, "daa233", "generator", theirs["g_grad_norms"], within)
    assert_norms(model, "daa233", "critics", theirs["d_grad_norms"], within)


@roughly_first
def test_mmagics_networks_and_steps_have_their_outputs_and_losses(
    loaded: Callable[..., ContextualAttention], seed: int, within: Tolerance
) -> None:
    theirs, model = recorded_of("mmagic", seed), loaded("mmagic", within)
    image = seeded_weights.picture("image", (2, 3, 128, 128), seed).to(within.dtype).flip(1)
    mask = boxes((2, 1, 128, 128), HOLE, OTHER).to(within.dtype)
    model.generator.requires_grad_(False)  # its gradients were not recorded
    weights, window = model.weights, model.window_of(mask)
    assert hole_windows(mask, 64).tolist() == theirs["local_windows_tl"]
    done = Step(model, image, mask, [0.7, 0.2])  # theirs are the real image's
    for number, output in enumerate((done.coarse, done.refined), start=1):
        assert_near(signed(output), theirs[f"x{number}"], within)
        for name, error in zip(
            ("hole", "valid"), model.reconstruction(image, mask, output, window, model.discount), strict=True
        ):
            assert 2 * error.item() == pytest.approx(theirs[f"stage{number}_l1_{name}"], rel=within.losses)
    for critic, (both, *_) in done.verdicts.items():
        for name, verdicts in (("real", both[:2]), ("fake", both[2:])):
            assert verdicts.tolist() == pytest.approx(theirs[f"d_{name}_{critic}"], rel=10 * within.losses, abs=1e-5)
        drift = weights["critics"]["drift"] * both[2:].mean().square().item()
        assert drift == pytest.approx(theirs[f"disc_shift_{critic}"], rel=10 * within.losses)
    penalty = weights["critics"]["penalty"] * done.losses["critics_penalty"]
    assert penalty == pytest.approx(theirs["gp_global"] + theirs["gp_local"], rel=within.losses)
    adversarial = weights["generator"]["adversarial"] * done.losses["adversarial"]
    assert adversarial == pytest.approx(theirs["g_adv_weighted"], rel=10 * within.losses)
    for name, their in (("l1", "hole"), ("ae", "valid")):
        assert done.losses[name] == pytest.approx(
            sum(theirs[f"stage{n}_l1_{their}"] for n in (1, 2)), rel=within.losses
        )
