"""Context Encoder's numbers: BoyuanJiang's networks (01cbf96), both losses, the authors' random regions (68abd11).

Recorded on the CPU in float64 with torch 2.13 from weights that follow from a seed (``seeded_weights.py``). The rule of
the authors' gradient and their networks for random regions were transcribed from Lua. D learns nothing before G's loss.
Arrays hold every n-th pixel of the first samples. The network with 4000 features takes half a gigabyte in float64, so
it and a second seed wait for ``make test-slow``, or for further recordings.
"""

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import seeded_weights
import torch
from seeded_weights import Tolerance
from torch import Tensor, nn

from inpaintlab.models import ContextEncoder
from inpaintlab.models.context_encoder import Discriminator, Generator
from stand_ins.building import Builder

RECORDINGS = seeded_weights.recordings("context_encoder")
takes_long = [] if "INPAINTLAB_PARITY" in os.environ else [pytest.mark.endurance]


TOLERANCES = {
    "float64": Tolerance(torch.float64, 1e-6, 1e-6, 1e-6),
    "float32": Tolerance(torch.float32, 1e-4, 1e-4, 1e-3),
}


@pytest.fixture(params=TOLERANCES)
def within(request: pytest.FixtureRequest) -> Tolerance:
    return TOLERANCES[request.param]


# -------------------------------------------------------------------------------------------------- what was recorded


def layers_of(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d)]


def places(keys: Iterable[str]) -> list[str]:
    """The names of the layers that hold something, in their order, such as main.0."""
    return list(dict.fromkeys(key.rpartition(".")[0] for key in keys))


def state(layout: str, prefix: str, seed: int) -> dict[str, Tensor]:
    return {key: seeded_weights.value_of(prefix + key, s, seed) for key, s in seeded_weights.layout(layout).items()}


kept = functools.lru_cache(4)(state)


def load(network: nn.Module, values: dict[str, Tensor]) -> None:
    """Fill a network, whose layers come in the order of the recorded ones."""
    for place, layer in zip(places(values), layers_of(network), strict=True):
        own = {key.rpartition(".")[2]: value for key, value in values.items() if key.rpartition(".")[0] == place}
        layer.load_state_dict({name: value.clone() for name, value in own.items()}, assign=True)


Built = Callable[..., ContextEncoder]


def assert_near(ours: Tensor, theirs: Tensor, within: Tolerance) -> None:
    """The same numbers, of which theirs are those of the first samples and every n-th pixel."""
    step = ours.shape[-1] // theirs.shape[-1]
    off = (ours[: len(theirs), :, ::step, ::step] - theirs).abs().max() / theirs.abs().max()
    assert off.item() < within.arrays


def picture(key: str, shape: tuple[int, int, int, int], seed: int, like: Tolerance) -> Tensor:
    """In [0, 1], so that the numbers in [-1, 1] that the networks see are the recorded ones to the last digits."""
    return seeded_weights.picture(key, shape, seed).to(like.dtype)


def the_56_pixels(batch: int, like: Tolerance) -> Tensor:
    mask = torch.zeros(batch, 1, 128, 128, dtype=like.dtype)
    mask[..., 36:92, 36:92] = 1
    return mask


def relative(tolerance: float) -> Callable[[Any], Any]:
    return lambda value: pytest.approx(value, rel=tolerance)


# ---------------------------------------------------------------------------------------------------------- the centre


@pytest.mark.parametrize((), [pytest.param(marks=takes_long)], ids=["long"])
@torch.no_grad()
def test_the_network_with_4000_features_predicts_alike(recorded: dict[str, Any], seed: int, within: Tolerance) -> None:
    small, discriminator = Generator(128, 64, 56, 1), Discriminator(64)
    with torch.device("meta"):  # its first weights would take as long to draw as the recorded ones
        generator = Generator(128, 64, 56, 4000)
    generator.centre, generator.fill = small.centre, small.fill
    load(generator, state("context_encoder_generator_4000", "G.", seed))
    load(discriminator, kept("context_encoder_discriminator", "D.", seed))
    for network, name in ((generator, "generator_4000"), (discriminator, "discriminator")):
        network.to(within.dtype).eval()
        assert sum(p.numel() for p in network.parameters()) == recorded[f"parameters_{name}"]
    image, mask = picture("image", (4, 3, 128, 128), seed, within), the_56_pixels(4, within)
    near = relative(within.losses)
    seen: list[Tensor] = []
    for stage in (*generator.encoder, *generator.decoder):
        stage.register_forward_hook(lambda _, __, output: seen.append(output.abs().mean()))
    predicted = generator(image * (1 - mask), mask)
    assert_near(2 * predicted - 1, recorded["eval4000_pred"], within)
    assert [mean.item() for mean in seen] == [near(mean) for mean in recorded["eval4000_absmean"].values()]
    for name, patch in (("eval_d_real", image[..., 32:96, 32:96]), ("eval4000_d_fake", predicted)):
        assert discriminator(patch).sigmoid()[:, 0].tolist() == near(recorded[name])
    composite = image.clone()
    composite[..., 36:92, 36:92] = predicted[..., 4:60, 4:60]
    means = (2 * composite - 1).mean(dim=(1, 2, 3)).tolist()
    assert means == pytest.approx(recorded["eval4000_composite_mean"], abs=within.losses)


@pytest.fixture
def model(built: Builder, seed: int, within: Tolerance) -> Built:
    """A preset at full width with 100 features and the recorded weights."""

    def of(preset: str, *settings: str, size: int = 128) -> ContextEncoder:
        random = preset.endswith("random")
        full = [f"data.size={size}", "model.width=1.0", "model.bottleneck=100"]
        found: ContextEncoder = built(preset, *full, *settings)
        layout, prefix = (f"random_{size}_", f"R{size}.") if random else ("", "")
        load(found.generator, kept(f"context_encoder_{layout}generator_100", f"{prefix}G.", seed))
        load(found.discriminator, kept(f"context_encoder_{layout}discriminator", f"{prefix}D.", seed))
        return found.to(within.dtype)

    return of


def norms_of(network: nn.Module, layout: str) -> dict[str, float]:
    """The gradients' norms by the recorded names."""
    return {
        f"{place}.{name}": parameter.grad.norm().item()
        for place, layer in zip(places(seeded_weights.layout(layout)), layers_of(network), strict=True)
        for name, parameter in layer.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("preset", ["context_encoder", "context_encoder_boyuanjiang"])
def test_a_step_has_their_losses_gradients_and_statistics(
    model: Built, recorded: dict[str, Any], seed: int, within: Tolerance, preset: str
) -> None:
    ours, flavour = model(preset), recorded["train_g_lua" if preset == "context_encoder" else "train_g_boyuan"]
    networks = {"discriminator": ours.discriminator, "generator": ours.generator}
    layouts = {"discriminator": "context_encoder_discriminator", "generator": "context_encoder_generator_100"}
    totals: dict[str, float] = {}
    norms: dict[str, dict[str, float]] = {}

    def descend(loss: Tensor, optimizer: str) -> None:
        loss.backward()
        totals[optimizer] = loss.item()
        norms[optimizer] = norms_of(networks[optimizer], layouts[optimizer])
        for network in networks.values():
            network.zero_grad()

    ours.optimizers = lambda: ("generator", "discriminator")  # type: ignore[method-assign,assignment,return-value]
    ours.descend = descend  # type: ignore[method-assign,assignment]
    verdicts: list[Tensor] = []
    ours.discriminator.register_forward_hook(lambda _, __, output: verdicts.append(output.sigmoid()[:, 0]))
    predicted: list[Tensor] = []
    ours.generator.register_forward_hook(lambda _, __, output: predicted.append(2 * output.detach() - 1))
    contexts: list[Tensor] = []
    ours.generator.encoder.register_forward_pre_hook(lambda _, inputs: contexts.append(inputs[0]))

    image, mask = picture("image", (4, 3, 128, 128), seed, within), the_56_pixels(4, within)
    losses = {name: loss.item() for name, loss in ours.learn_train({"image": image, "mask": mask}).items()}

    near, theirs_d = relative(within.losses), recorded["train_d"]
    assert contexts[0].mean().item() == pytest.approx(recorded["ctx_mean"], abs=within.losses)
    assert_near(predicted[0], recorded["train_pred"], within)
    assert losses["discriminator_real"] == near(theirs_d["loss_real"])
    assert losses["discriminator_fake"] == near(theirs_d["loss_fake"])
    assert totals["discriminator"] == near(theirs_d["total"])
    assert verdicts[0].tolist() == near(theirs_d["p_real"])
    assert verdicts[1].tolist() == near(theirs_d["p_fake"])
    assert norms["discriminator"] == pytest.approx(theirs_d["grad_norms"], rel=within.norms)

    weights = ours.weights["generator"]
    assert losses["adversarial"] == near(flavour["adversarial"])
    assert losses["squared_error"] == near(flavour["mse_plain"])
    assert weights["reconstruction"] * losses["reconstruction"] == near(flavour["mse_weighted_term"])
    assert totals["generator"] == near(flavour["total_that_the_gradient_belongs_to"])
    if preset == "context_encoder":  # the authors print the squared error without the weight of the overlap
        printed = weights["adversarial"] * losses["adversarial"] + weights["reconstruction"] * losses["squared_error"]
        assert printed == near(flavour["total_printed"])
    assert norms["generator"] == pytest.approx(flavour["grad_norms"], rel=within.norms)

    named = dict(zip(places(seeded_weights.layout(layouts["generator"])), layers_of(ours.generator), strict=True))
    for key, norm in recorded["train_running_var_norms"].items():
        statistic: Any = named[key.rpartition(".")[0]].running_var
        assert statistic.norm().item() == near(norm), key


# ------------------------------------------------------------------------------------------------------ random regions


@pytest.mark.parametrize("size", [64, 128])
@torch.no_grad()
def test_random_regions_are_predicted_alike(
    model: Built, recorded: dict[str, Any], seed: int, within: Tolerance, size: int
) -> None:
    image = picture(f"image_random_{size}", (2, 3, size, size), seed, within)
    mask = (seeded_weights.picture(f"mask_random_{size}", (1, 1, size, size), seed) > np.float32(0.62)).to(within.dtype)
    stored = recorded[f"random_{size}_mask"].numpy()
    assert np.array_equal(mask[0, 0].numpy(), np.unpackbits(stored, axis=-1) if stored.shape[1] < size else stored)
    mask, near = mask.expand(2, -1, -1, -1), relative(within.losses)
    ours, errors = model("context_encoder_random", size=size).eval(), recorded[f"random_{size}_mse"]
    predicted = ours(image * (1 - mask), mask)
    assert ours.reconstruction(predicted, image, mask).item() == near(errors["plain"])
    ours.seen_weight = 10.0
    weighted = ours.weights["generator"]["reconstruction"] * ours.reconstruction(predicted, image, mask)
    assert weighted.item() == near(errors["weighted_useOverlapPred"])
    assert_near(2 * predicted - 1, recorded[f"random_{size}_pred"], within)
    for name, judged in (("real", image), ("fake", predicted)):
        assert ours.discriminator(judged).sigmoid()[:, 0].tolist() == near(recorded[f"random_{size}_d_{name}"])
