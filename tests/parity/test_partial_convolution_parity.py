"""Partial convolutions' numbers: NVIDIA's layer and losses (610d373), naoto0804's U-Net (8d64e7e), mmagic's (0a560bb).

Recorded on the CPU in float64 with torch 2.13 from weights that follow from a seed (``seeded_weights.py``), which go
through the importers here, as the published ones would. One training step without any update, in both phases. Arrays
hold every n-th pixel; n follows from their size. A second seed, mmagic's network and steps at 256 pixels take minutes,
so they wait for ``make test-slow``, or for further recordings.
"""

import copy
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_weights
import torch
from seeded_weights import Tolerance
from torch import Tensor, nn

from inpaintlab.importers.checkpoint import read_published
from inpaintlab.inpainting import weigh
from inpaintlab.losses import VGG16, perceptual_loss, style_loss
from inpaintlab.models import PartialConvolution
from inpaintlab.models.partial_convolution import PartialConv2d

RECORDINGS = seeded_weights.recordings("partial_conv")
OF_MMAGIC = seeded_weights.recordings("partial_conv_mmagic")


TOLERANCES = {
    "float64": Tolerance(torch.float64, 1e-6, 1e-6, 2e-4, 1e-7),
    "float32": Tolerance(torch.float32, 1e-5, 1e-4, 1e-3, 1e-6),
}


@pytest.fixture(params=TOLERANCES)
def within(request: pytest.FixtureRequest) -> Tolerance:
    return TOLERANCES[request.param]


takes_long = [] if "INPAINTLAB_PARITY" in os.environ else [pytest.mark.endurance]
long = pytest.mark.parametrize((), [pytest.param(marks=takes_long)], ids=["long"])


@pytest.fixture(scope="module")
def recorded_of_mmagic(seed: int) -> dict[str, Any]:
    if seed not in OF_MMAGIC:
        pytest.skip(f"mmagic's network was not recorded with seed {seed}")
    return seeded_weights.recorded(OF_MMAGIC[seed])


# -------------------------------------------------------------------------------------------------- what was recorded


def state_dict(layout: str, seed: int, levels: int = 7) -> dict[str, Tensor]:
    """As the implementations hold it: ones that count valid entries, and naoto0804's weights of sums, not of means."""
    state = {}
    for key, shape in seeded_weights.layout(layout).items():
        if level_of(key) > levels:
            continue
        if key.endswith((".mask_conv.weight", ".weight_mask_updater")):
            state[key] = torch.ones(shape)
        else:
            value = seeded_weights.value_of(key, shape, seed)
            state[key] = value * value[0].numel() if key.endswith(".input_conv.weight") else value
    return state


def level_of(key: str) -> int:
    """Of one of their names, such as enc_3.bn.weight or generator.decoder.dec3.bn.weight; 0 of VGG-16's."""
    found = re.search(r"\b(enc|dec)_?(\d)", key)
    return int(found[2]) if found else 0


def picture(key: str, shape: tuple[int, int, int, int], seed: int, like: Tolerance) -> Tensor:
    return seeded_weights.picture(key, shape, seed).to(like.dtype)


def holes(key: str, height: int, width: int, seed: int, like: Tolerance) -> Tensor:
    """Waves above a threshold, for two pictures, and a rectangle in the first one."""
    mask = (seeded_weights.picture(key, (2, 1, height, width), seed) >= np.float32(0.66)).to(like.dtype)
    mask[0, :, height // 4 : height // 2, width // 4 : 3 * width // 4] = 1
    return mask


def assert_near(ours: Tensor, theirs: Tensor, within: Tolerance) -> None:
    """The same numbers, of which theirs are every n-th."""
    step = (ours.shape[-1] - 1) // (theirs.shape[-1] - 1)
    every = max(1, ours.shape[1] // theirs.shape[1])
    off = (ours[:, ::every, ::step, ::step] - theirs).abs().max() / theirs.abs().max()
    assert off.item() < within.arrays


def assert_norms(ours: dict[str, float], theirs: dict[str, float], within: Tolerance) -> None:
    assert ours.keys() == theirs.keys()
    for key, norm in theirs.items():
        assert abs(ours[key] - norm) < within.norms * max(norm, within.floor), key


# ----------------------------------------------------------------------------------------------------------- the layer

LAYERS = ("k3s1_single", "k3s1_multi", "k5s2_multi_nobias", "k7s2_single_nobias", "k3d2_single", "k3p0_single")


@pytest.mark.parametrize("case", LAYERS)
def test_the_layer_is_nvidias(recorded: dict[str, Any], seed: int, within: Tolerance, case: str) -> None:
    theirs = recorded["layer"][case]
    cin, planes = theirs["cin"], theirs["cin"] if theirs["multi"] else 1
    settings = (theirs[key] for key in ("cout", "k", "s", "p", "d", "bias"))
    layer = PartialConv2d([cin // planes] * planes, *settings).to(within.dtype)
    values = {
        key: seeded_weights.value_of(f"{case}.{key}", tuple(parameter.shape), seed)
        for key, parameter in (("weight", layer.convolution.weight), ("bias", layer.bias))
        if parameter is not None
    }
    layer.convolution.weight.data = values["weight"].to(within.dtype)
    if layer.bias is not None:
        layer.bias.data = values["bias"].to(within.dtype)
    valid = (seeded_weights.picture(f"{case}.mask", (2, planes, 13, 18), seed) > np.float32(0.45)).to(within.dtype)
    valid[:, :, 3:10, 4:12] = 0
    assert torch.equal(valid, recorded[f"layer_{case}_mask"].to(within.dtype))
    x = torch.from_numpy(seeded_weights.normal(f"{case}.x", (2, cin, 13, 18), seed)).to(within.dtype).requires_grad_()

    output, updated = layer(*zip(x.chunk(planes, 1), valid.chunk(planes, 1), strict=True))
    (output.square().sum() / 2).backward()

    assert_near(output, recorded[f"layer_{case}_out"], within)
    shape = recorded[f"layer_{case}_updated_mask"]
    assert torch.equal(updated.expand_as(shape), shape.to(within.dtype))  # theirs repeats it for each channel
    assert (output == 0).sum() == theirs["zero_outputs"]
    gradients = {"x": x.grad, "weight": layer.convolution.weight.grad} | (
        {"bias": layer.bias.grad} if layer.bias is not None else {}
    )
    for key, gradient in gradients.items():
        assert gradient is not None
        assert gradient.norm().item() == pytest.approx(theirs[f"grad_norm_{key}"], rel=within.losses), key


# --------------------------------------------------------------------------------------------------------- the network

Importer = Callable[..., PartialConvolution]


@pytest.fixture(scope="module")
def imported(seed: int, tmp_path_factory: pytest.TempPathFactory) -> Importer:
    """The published network of a publisher, with fewer levels if asked for; VGG-16 comes from a file too."""
    folder = tmp_path_factory.mktemp("published")
    torch.save(state_dict("vgg16_features", seed), folder / "vgg16.pth")
    known: dict[tuple[str, int], PartialConvolution] = {}

    def of(publisher: str, within: Tolerance, levels: int = 7) -> PartialConvolution:
        if (publisher, levels) not in known:
            layout, part = {"naoto0804": ("naoto0804_7", "model"), "mmagic": ("mmagic", "state_dict")}[publisher]
            torch.save({part: state_dict(f"partial_conv_{layout}", seed, levels)}, folder / "network.pth")
            model, record, _ = read_published([folder / "network.pth"], f"pconv-{publisher}")
            assert isinstance(model, PartialConvolution)
            assert record["model"]["levels"] == levels
            model.vgg_weights = str(folder / "vgg16.pth")
            model.setup("fit")
            known[publisher, levels] = model
        model = copy.deepcopy(known[publisher, levels])
        model.vgg[0].to(within.dtype)
        return model.to(within.dtype)

    return of


def layers_of(model: PartialConvolution) -> Iterator[tuple[str, nn.Module]]:
    """The layers by naoto0804's names: enc_1 is the first, dec_1 the last."""
    levels = len(model.network.encoder)
    for index in range(levels):
        yield f"enc_{index + 1}", model.network.encoder[index]
        yield f"dec_{levels - index}", model.network.decoder[index]


def gradient_norms(model: PartialConvolution, publisher: str) -> dict[str, float]:
    """By their names; naoto0804's kernels are larger by the number of a window's entries."""
    norms = {}
    for stem, layer in layers_of(model):
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, name
            norm = parameter.grad.norm().item()
            if publisher == "naoto0804":
                part = {"partial.convolution.weight": "conv.input_conv.weight", "partial.bias": "conv.input_conv.bias"}
                key = f"{stem}.{part.get(name, name.replace('norm', 'bn'))}"
                norm /= parameter[0].numel() if name.endswith("convolution.weight") else 1
            else:
                part = {"partial.convolution.weight": "conv.weight", "partial.bias": "conv.bias"}
                network = "encoder" if stem.startswith("enc") else "decoder"
                key = f"generator.{network}.{stem.replace('_', '')}.{part.get(name, name.replace('norm', 'bn'))}"
            norms[key] = norm
    return norms


def step(model: PartialConvolution, phase: str, image: Tensor, mask: Tensor) -> tuple[dict[str, float], float]:
    """The losses and the total of a training step whose optimizer stands still; gradients stay."""
    totals: list[Tensor] = []

    def descend(loss: Tensor, *optimizers: Any) -> None:
        loss.backward()
        totals.append(loss)

    model.train()
    model.optimizers = lambda: None  # type: ignore[method-assign,assignment,return-value]
    model.descend = descend  # type: ignore[method-assign]
    losses = model.PHASES[phase](model, {"image": image, "mask": mask})
    return {name: loss.item() for name, loss in losses.items()}, totals[0].item()


@torch.no_grad()
def test_naoto0804s_network_paints_and_updates_masks_alike(
    imported: Importer, recorded: dict[str, Any], seed: int, within: Tolerance
) -> None:
    model = imported("naoto0804", within).eval()
    image, mask = picture("image", (2, 3, 128, 128), seed, within), holes("mask", 128, 128, seed, within)
    assert torch.equal(1 - mask[:, 0], recorded["eval_mask"].to(within.dtype))
    assert sum(p.numel() for p in model.network.parameters()) == recorded["parameters_7"]
    seen = {}
    for name, layer in layers_of(model):
        layer.register_forward_hook(lambda _, __, output, name=name: seen.__setitem__(name, output))
    output = model.network(model.in_range(image), 1 - mask)
    assert_near(output, recorded["eval_out"], within)
    assert (seen["dec_1"][1] == 1).all().item() is recorded["eval_out_mask_all_one"]
    for name, (features, valid) in seen.items():
        assert features.abs().mean().item() == pytest.approx(recorded["eval_absmean"][name], rel=within.losses), name
        assert valid.mean().item() == pytest.approx(recorded["eval_mask_mean"][name], rel=1e-6), name
        if f"eval_mask_{name}" in recorded:
            assert torch.equal(valid[:, 0], recorded[f"eval_mask_{name}"].to(within.dtype)), name
        if f"eval_feat_{name}" in recorded:
            assert_near(features, recorded[f"eval_feat_{name}"], within)
    assert torch.equal(model(image, mask), model.in_colours(output).clamp(0, 1))


@long
@torch.no_grad()
def test_mmagics_network_paints_alike_in_rgb(
    imported: Importer, recorded_of_mmagic: dict[str, Any], seed: int, within: Tolerance
) -> None:
    model = imported("mmagic", within).eval()
    image, mask = picture("image", (2, 3, 128, 128), seed, within), holes("mask", 128, 128, seed, within)
    assert sum(p.numel() for p in model.network.parameters()) == recorded_of_mmagic["parameters"]
    output = model.network(model.in_range(image.flip(1)), 1 - mask)
    assert_near(output.flip(1), recorded_of_mmagic["eval_out"], within)


# ------------------------------------------------------------------------------------------------------------ the step

THEIR_LOSSES = {"valid": "valid", "hole": "hole", "perceptual": "prc", "style": "style", "total_variation": "tv"}


def check_naoto0804s_step(
    model: PartialConvolution, phase: str, theirs: dict[str, Any], scene: tuple[Tensor, Tensor], within: Tolerance
) -> None:
    losses, total = step(model, phase, *scene)
    assert losses == {
        ours: pytest.approx(theirs["losses"][their], rel=within.losses) for ours, their in THEIR_LOSSES.items()
    }
    assert total == pytest.approx(theirs["total"], rel=within.losses)
    assert_norms(gradient_norms(model, "naoto0804"), theirs["grad_norms"], within)


@pytest.mark.parametrize(("phase", "number"), [("train", 1), ("finetune", 2)])
def test_a_step_of_each_phase_has_naoto0804s_losses_gradients_and_statistics(
    imported: Importer, recorded: dict[str, Any], seed: int, within: Tolerance, phase: str, number: int
) -> None:
    model, theirs = imported("naoto0804", within, 5), recorded[f"small_phase{number}"]
    scene = picture("image_small", (2, 3, 64, 96), seed, within), holes("mask_small", 64, 96, seed, within)
    assert torch.equal(1 - scene[1][:, 0], recorded["small_mask"].to(within.dtype))
    outputs: list[Tensor] = []
    model.network.register_forward_hook(lambda _, __, output: outputs.append(output.detach().clone()))
    check_naoto0804s_step(model, phase, theirs, scene, within)
    assert_near(outputs[0], recorded[f"small_phase{number}_out"], within)
    layers = dict(layers_of(model))
    for key in ("running_mean_enc_2", "running_var_enc_2", "running_var_dec_3"):
        _, statistic, name = key.split("_", 2)
        found = getattr(layers[name].norm, f"running_{statistic}")
        assert found.norm().item() == pytest.approx(theirs[key], rel=within.losses), key


@long
def test_a_step_at_256_pixels_has_naoto0804s_losses_and_gradients(
    imported: Importer, recorded: dict[str, Any], seed: int, within: Tolerance
) -> None:
    scene = picture("image_full", (2, 3, 256, 256), seed, within), holes("mask_full", 256, 256, seed, within)
    check_naoto0804s_step(imported("naoto0804", within), "train", recorded["full_phase1"], scene, within)


@long
def test_a_step_at_256_pixels_has_mmagics_losses_and_gradients(
    imported: Importer, recorded_of_mmagic: dict[str, Any], seed: int, within: Tolerance
) -> None:
    model, theirs = imported("mmagic", within), recorded_of_mmagic
    scene = picture("image_full", (2, 3, 256, 256), seed, within).flip(1), holes("mask_full", 256, 256, seed, within)
    losses, total = step(model, "train", *scene)
    assert {name: loss * model.weights["network"][name] for name, loss in losses.items()} == {
        ours: pytest.approx(sum(theirs["step_losses_weighted"][key] for key in keys), rel=within.losses)
        for ours, keys in {
            "valid": ["loss_l1_valid"],
            "hole": ["loss_l1_hole"],
            "perceptual": ["loss_out_percep", "loss_composed_percep"],
            "style": ["loss_out_style", "loss_composed_style"],
            "total_variation": ["loss_tv"],
        }.items()
    }
    assert total == pytest.approx(theirs["step_total"], rel=within.losses)
    assert_norms(gradient_norms(model, "mmagic"), theirs["step_grad_norms"], within)


def test_the_losses_of_an_output_are_those_of_nvidias_file(
    recorded: dict[str, Any], seed: int, within: Tolerance, tmp_path: Path
) -> None:
    """It weighs l1 by 5, and compares the output alone."""
    torch.save(state_dict("vgg16_features", seed), tmp_path / "vgg16.pth")
    vgg = VGG16(str(tmp_path / "vgg16.pth"), normalised=True).to(within.dtype)
    output, target = (picture(f"loss_{key}", (2, 3, 48, 64), seed, within) for key in ("output", "target"))
    output.requires_grad_()
    seen, of_target = vgg(output), vgg(target)
    deviation = torch.tensor([0.229, 0.224, 0.225], dtype=within.dtype).view(3, 1, 1)
    losses = {
        "l1": ((output - target) / deviation).abs().mean(),
        "perceptual": perceptual_loss(seen, of_target, PartialConvolution.LAYERS),
        "style": style_loss(seen, of_target, PartialConvolution.LAYERS),
    }
    weights = {"l1": 5.0, "perceptual": 0.05, "style": 120.0}
    total = weigh(losses, weights)
    (gradient,) = torch.autograd.grad(total, output)
    theirs = recorded["nvidia_loss"]
    for name, loss in losses.items():
        assert weights[name] * loss.item() == pytest.approx(theirs[f"{name}_weighted"], rel=within.losses), name
    assert total.item() == pytest.approx(theirs["total"], rel=within.losses)
    assert gradient.norm().item() == pytest.approx(theirs["grad_norm_output"], rel=within.norms)
