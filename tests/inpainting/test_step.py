"""The steps against plain ones, written without any of what makes ours fast: losses and gradients.

The plain networks are torch's layers with our parameters; each loss is the paper's formula, on a forward pass of its
own, with the cross entropy of a sigmoid and VGG-19 once for each of the four things that it looks at.
"""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.inpainting import fit, weigh
from inpaintlab.losses import VGG19
from inpaintlab.models import GLCIC, EdgeConnect
from stand_ins.building import Builder
from stand_ins.models import only

Step = tuple[dict[str, Tensor], Tensor]


def made_plain(network: nn.Module) -> nn.Module:
    """A copy that rectifies out of place."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.ReLU | nn.LeakyReLU):
            module.inplace = False
    return network


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy(logits.sigmoid(), torch.full_like(logits, label))


def seen_by_vgg(vgg: VGG19, image: Tensor) -> dict[str, Tensor]:
    features = {}
    for name, layer in vgg.layers.items():
        image = F.relu(image) if isinstance(layer, nn.ReLU) else layer(image)
        features[name] = image
    return features


def gram(features: Tensor) -> Tensor:
    return torch.einsum("bchw,bdhw->bcd", features, features) / features[0].numel()


def scene(size: int = 32, batch: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    image = F.interpolate(torch.rand(batch, 3, 8, 8, generator=generator), size=size, mode="bilinear")
    mask = torch.zeros(batch, 1, size, size)
    mask[0, :, 8:20, 6:22] = 1
    mask[1:, :, 4:18, 10:24] = 1
    return {"image": image, "mask": mask, "edges": (torch.rand(mask.shape, generator=generator) > 0.9).float()}


def gradient_of(network: nn.Module, loss: Tensor) -> Tensor:
    return torch.cat([g.flatten().double() for g in torch.autograd.grad(loss, list(network.parameters()))])


def cosine(one: Tensor, other: Tensor) -> float:
    return float(F.cosine_similarity(one, other.double(), dim=0))


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


# -------------------------------------------------------------------------------------------------------- EdgeConnect


def plain_edge(model: EdgeConnect, batch: dict[str, Tensor]) -> Step:
    g1, d1 = made_plain(model.edge_generator), made_plain(model.edge_discriminator).eval()
    gray = (batch["image"] * torch.tensor([0.2125, 0.7154, 0.0721]).view(1, 3, 1, 1).to(batch["image"])).sum(1, True)
    drawn = g1(gray, batch["edges"], batch["mask"])
    real, fake = (d1(torch.cat([gray, edges], dim=1)) for edges in (batch["edges"], drawn))
    losses = {
        "adversarial": cross_entropy(fake[-1], 1.0),
        "feature_matching": torch.stack([(f - r.detach()).abs().mean() for f, r in zip(fake, real, strict=True)]).sum(),
    }
    return losses, gradient_of(g1, losses["adversarial"] + 10 * losses["feature_matching"])


def plain_inpaint(model: EdgeConnect, batch: dict[str, Tensor]) -> Step:
    g2, d2, vgg = made_plain(model.inpaint_generator), made_plain(model.inpaint_discriminator).eval(), model.vgg[0]
    image, mask = batch["image"], batch["mask"]
    output = g2(image, batch["edges"], mask)
    seen, target, hole, target_hole = (seen_by_vgg(vgg, x) for x in (output, image, output * mask, image * mask))
    perceptual = [(seen[f"relu{i}_1"] - target[f"relu{i}_1"]).abs().mean() for i in range(1, 6)]
    style = [(gram(hole[n]) - gram(target_hole[n])).abs().mean() for n in ("relu2_2", "relu3_4", "relu4_4", "relu5_2")]
    losses = {
        "l1": (output - image).abs().mean() / mask.mean(),
        "adversarial": cross_entropy(d2(output)[-1], 1.0),
        "perceptual": torch.stack(perceptual).sum(),
        "style": torch.stack(style).sum(),
    }
    total = losses["l1"] + 0.1 * losses["adversarial"] + 0.1 * losses["perceptual"] + 250 * losses["style"]
    return losses, gradient_of(g2, total)


def our_edge(model: EdgeConnect, batch: dict[str, Tensor]) -> Step:
    gray = (batch["image"] * torch.tensor([0.2125, 0.7154, 0.0721]).view(1, 3, 1, 1).to(batch["image"])).sum(1, True)
    drawn = model.edge_generator(gray, batch["edges"], batch["mask"])
    losses = model.edge_losses(torch.cat([gray, batch["edges"]], dim=1), torch.cat([gray, drawn], dim=1))
    return losses, gradient_of(model.edge_generator, weigh(losses, model.weights["edge"]))


def our_inpaint(model: EdgeConnect, batch: dict[str, Tensor]) -> Step:
    output = model.inpaint_generator(batch["image"], batch["edges"], batch["mask"])
    losses = model.inpaint_losses(batch["image"], output, batch["mask"], output)
    return losses, gradient_of(model.inpaint_generator, weigh(losses, model.weights["inpaint"]))


LIGHTNINGS = {torch.float64: "64-true", torch.float32: "32-true", torch.bfloat16: "bf16-mixed"}
EDGECONNECT = {"edge": (plain_edge, our_edge), "inpaint": (plain_inpaint, our_inpaint)}


@pytest.fixture
def edgeconnect(built: Builder) -> EdgeConnect:
    model = built("edgeconnect", "model.width=0.25").eval()  # spectral norms that stand still
    model.vgg = (VGG19("random", 0.25),)
    return model


def of_edgeconnect(model: EdgeConnect, stage: str, precision: torch.dtype) -> tuple[Step, Step]:
    """The plain step in float64 and ours."""
    plain, ours = EDGECONNECT[stage]
    exact, batch = copy.deepcopy(model).double(), scene()
    exact.vgg = (copy.deepcopy(model.vgg[0]).double(),)
    expected = plain(exact, {name: value.double() for name, value in batch.items()})
    if precision == torch.float64:
        model, batch = exact, {name: value.double() for name, value in batch.items()}
    fit(model.networks(), "cpu", LIGHTNINGS[precision], model.constants())
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16, cache_enabled=False):
        return expected, ours(model, batch)


@pytest.mark.parametrize(
    ("precision", "of_losses", "of_gradients"),
    [(torch.float64, 1e-9, 1e-7), (torch.float32, 1e-5, 2e-3), (torch.bfloat16, 1e-2, 0.35)],
    ids=["float64", "float32", "bfloat16"],
)
@pytest.mark.parametrize("stage", EDGECONNECT)
def test_edgeconnects_generators_descend_as_in_a_plain_step(
    edgeconnect: EdgeConnect, stage: str, precision: torch.dtype, of_losses: float, of_gradients: float
) -> None:
    """In bfloat16 gradients are the further off the narrower the networks: 0.05 at full width and 256 pixels."""
    (expected, gradient), (losses, ours) = of_edgeconnect(edgeconnect, stage, precision)
    assert losses.keys() == expected.keys()
    for name, loss in expected.items():
        assert losses[name].item() == pytest.approx(loss.item(), rel=of_losses), name
    assert distance(ours, gradient) < of_gradients


# -------------------------------------------------------------------------------------------------------------- GLCIC


def glcic_losses(model: GLCIC, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradients of C's two losses and of D's, by ours or by the networks that stand in their place."""
    image, mask = batch["image"], batch["mask"]
    output = model(torch.where(mask > 0.5, 0.0, image), mask)
    completed = torch.where(mask > 0.5, output, image)
    judged = model.discriminator_losses(image, completed.detach(), mask)
    adversarial = F.softplus(-model.discriminator(completed, model.window(completed, mask))).mean()
    reconstruction = (output - image)[mask.expand_as(image) > 0.5].square().sum() / image.numel()
    keep = list(model.completion.parameters())
    return {
        "reconstruction": torch.cat(
            [g.flatten().double() for g in torch.autograd.grad(reconstruction, keep, retain_graph=True)]
        ),
        "adversarial": gradient_of(model.completion, adversarial),
        "discriminator": gradient_of(model.discriminator, judged["real"] + judged["fake"]),
    }


def plain_glcic(model: GLCIC) -> GLCIC:
    exact: Any = copy.deepcopy(model).double()
    exact.completion, exact.discriminator = made_plain(exact.completion), made_plain(exact.discriminator)
    return exact


@pytest.mark.parametrize("norm_first", only(True, of=[True, False]))
@pytest.mark.parametrize("batches", [0, 24], ids=["at initialisation", "after 24 batches"])
def test_glcics_gradients_keep_their_direction_in_mixed_precision(
    built: Builder, batches: int, norm_first: bool
) -> None:
    model: GLCIC = built("glcic", f"model.norm_first={str(norm_first).lower()}", "model.width=0.125").train()
    optimizers, batch = model.configure_optimizers(), scene(batch=4)
    for _ in range(batches):
        for optimizer, loss in zip(optimizers, joint_losses(model, batch), strict=True):
            optimizer.zero_grad()
            loss.backward(inputs=[p for group in optimizer.param_groups for p in group["params"]])
            optimizer.step()
    expected = glcic_losses(plain_glcic(model), {name: value.double() for name, value in batch.items()})
    fit(model.networks(), "cpu", "bf16-mixed")
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        rounded = glcic_losses(model, batch)
    for name, gradient in expected.items():
        assert 0.999 < cosine(rounded[name], gradient) < 0.9999999, name


def joint_losses(model: GLCIC, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    image, mask = batch["image"], batch["mask"]
    output = model(torch.where(mask > 0.5, 0.0, image), mask)
    judged = model.discriminator_losses(image, output.detach(), mask)
    return ((output - image) * mask).square().mean(), judged["real"] + judged["fake"]


def test_glcics_outputs_and_losses_stay_in_float32_in_mixed_precision(built: Builder) -> None:
    model: GLCIC = built("glcic").train()
    batch = scene()
    exact = joint_losses(model, batch)
    fit(model.networks(), "cpu", "bf16-mixed")
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        mixed = joint_losses(model, batch)
    assert [loss.dtype for loss in mixed] == [torch.float32] * 2
    assert [loss.item() for loss in mixed] == [loss.item() for loss in exact]


# --------------------------------------------------------------------------------------------------------------- Adam


def test_the_fused_adam_steps_like_torchs_own_and_takes_its_state_over(built: Builder) -> None:
    ours, theirs = (built("edgeconnect").edge_generator for _ in range(2))
    (group,) = built("edgeconnect").configure_optimizers()[0].param_groups
    assert group["fused"]
    settings: dict[str, Any] = {"lr": 1e-2, "betas": group["betas"]}
    unfused = torch.optim.Adam(theirs.parameters(), **settings)
    fused = torch.optim.Adam(ours.parameters(), **settings, fused=True)
    generator = torch.Generator().manual_seed(0)
    for step in range(6):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        unfused.step()
        fused.step()
        if step == 2:  # as in a checkpoint written before Adam was fused
            fused.load_state_dict(copy.deepcopy(unfused.state_dict()))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
