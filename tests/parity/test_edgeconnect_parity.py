"""The released EdgeConnect's numbers: outputs, losses and gradient norms recorded from knazeri/edge-connect 3142579.

Recorded on the CPU in float32 with torch 2.13 from weights that follow from a seed (``seeded_weights.py``), which go
through the importer here, as the published ones would. One training step without any update, with the weights of its
config.yml.example.
"""

from typing import Any

import pytest
import seeded_weights
import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import binary_precision, binary_recall

from inpaintlab.imaging import rgb_to_gray
from inpaintlab.importers.checkpoint import read_published
from inpaintlab.importers.edgeconnect import DISCRIMINATOR, GENERATOR
from inpaintlab.inpainting import weigh
from inpaintlab.losses import perceptual_loss, style_loss
from inpaintlab.models import EdgeConnect

RECORDINGS = seeded_weights.recordings("edgeconnect")
NETWORKS = {
    "edge_generator": "edge_gen",
    "edge_discriminator": "edge_dis",
    "inpaint_generator": "inpaint_gen",
    "inpaint_discriminator": "inpaint_dis",
}
FILES = {
    "edge_generator": "EdgeModel_gen.pth",
    "edge_discriminator": "EdgeModel_dis.pth",
    "inpaint_generator": "InpaintingModel_gen.pth",
    "inpaint_discriminator": "InpaintingModel_dis.pth",
}


def ours(key: str) -> str:
    """Our name of a released parameter."""
    their, _, kind = key.rpartition(".")
    place = {their: our for our, their in (GENERATOR | DISCRIMINATOR).items()}[their]
    return f"{place}.parametrizations.weight.original" if kind == "weight_orig" else f"{place}.{kind}"


@pytest.fixture(scope="module")
def model(seed: int, tmp_path_factory: pytest.TempPathFactory) -> EdgeConnect:
    """The released architecture at full width with the seeded weights from files, VGG-19 too."""
    folder = tmp_path_factory.mktemp(f"released{seed}")
    for name, file in FILES.items():
        kind = name.partition("_")[2]
        torch.save({"iteration": 1, kind: seeded_weights.state_dict(f"edgeconnect_{name}", seed)}, folder / file)
    torch.save(seeded_weights.state_dict("vgg19_features", seed), folder / "vgg19.pth")
    model, record, _ = read_published([folder / file for file in FILES.values()], "edgeconnect")
    assert isinstance(model, EdgeConnect)
    assert record["absent"] == []
    model.vgg_weights = str(folder / "vgg19.pth")
    model.setup("fit")
    return model


@pytest.fixture(scope="module")
def scene(model: EdgeConnect, seed: int) -> dict[str, Tensor]:
    """The recorded inputs: two waves of 64 pixels, two squares as holes, the whole image's edges."""
    image = seeded_weights.picture("image", (2, 3, 64, 64), seed)
    mask = torch.zeros(2, 1, 64, 64)
    mask[0, 0, 16:48, 20:52] = 1
    mask[1, 0, 8:40, 24:56] = 1
    gray = rgb_to_gray(image)
    return {"image": image, "mask": mask, "gray": gray, "edges": model.true_edges(image)}


@pytest.fixture(scope="module")
def evaluated(model: EdgeConnect, scene: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every network's output in evaluation mode."""
    model.eval()
    with torch.no_grad():
        drawn = model.edge_generator(scene["gray"], scene["edges"], scene["mask"])
        composed = drawn * scene["mask"] + scene["edges"] * (1 - scene["mask"])
        painted = model.inpaint_generator(scene["image"], composed, scene["mask"])
        vgg, mask = model.vgg[0], scene["mask"]
        return {
            "edge_pred": drawn,
            "edge_comp": composed,
            "inpaint_pred": painted,
            "inpaint_pred_canny": model.inpaint_generator(scene["image"], scene["edges"], scene["mask"]),
            "edge": model.edge_discriminator(torch.cat([scene["gray"], scene["edges"]], dim=1)),
            "inpaint": model.inpaint_discriminator(scene["image"]),
            "perceptual": perceptual_loss(vgg(painted), vgg(scene["image"])),
            "style": style_loss(vgg(painted * mask), vgg(scene["image"] * mask)),
        }


@pytest.mark.parametrize("output", ["edge_pred", "inpaint_pred", "inpaint_pred_canny"])
def test_the_generators_draw_what_the_released_ones_draw(
    recorded: dict[str, Any], evaluated: dict[str, Any], output: str
) -> None:
    step = 64 // recorded[output].shape[-1]  # the last one is kept at every fourth pixel
    torch.testing.assert_close(evaluated[output][..., ::step, ::step], recorded[output], atol=1e-4, rtol=0)


@pytest.mark.parametrize("stage", ["edge", "inpaint"])
def test_the_discriminators_judge_as_the_released_ones(
    recorded: dict[str, Any], evaluated: dict[str, Any], stage: str
) -> None:
    features = evaluated[stage]
    torch.testing.assert_close(features[-1].sigmoid(), recorded[f"{stage}_disc"], atol=1e-4, rtol=0)
    means = torch.stack([feature.abs().mean() for feature in features])
    torch.testing.assert_close(means, recorded[f"{stage}_disc_feat_absmean"], atol=1e-4, rtol=0)


def test_precision_and_recall_of_the_drawn_edges_are_the_released_ones(
    recorded: dict[str, Any], evaluated: dict[str, Tensor], scene: dict[str, Tensor]
) -> None:
    drawn, true = evaluated["edge_pred"] * scene["mask"], (scene["edges"] * scene["mask"]).int()
    assert binary_precision(drawn, true).item() == pytest.approx(recorded["edge_precision"], rel=1e-4)
    assert binary_recall(drawn, true).item() == pytest.approx(recorded["edge_recall"], rel=1e-4)


@pytest.mark.parametrize("loss", ["perceptual", "style"])
def test_the_vgg_losses_are_the_released_ones(recorded: dict[str, Any], evaluated: dict[str, Any], loss: str) -> None:
    torch.testing.assert_close(evaluated[loss], recorded[loss], atol=0, rtol=1e-4)


def gradient_norms(network: nn.Module) -> dict[str, float]:
    norms = {name: p.grad.norm().item() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad(set_to_none=True)
    return norms


@pytest.fixture(scope="module")
def step(model: EdgeConnect, scene: dict[str, Tensor], evaluated: dict[str, Tensor]) -> dict[str, Any]:
    """Losses as logged, totals and gradient norms of one training step in which nothing is updated."""
    model.train()
    image, mask, gray, edges = scene["image"], scene["mask"], scene["gray"], scene["edges"]
    result: dict[str, Any] = {}

    drawn = model.edge_generator(gray, edges, mask)
    real, fake = torch.cat([gray, edges], dim=1), torch.cat([gray, drawn], dim=1)
    painted = model.inpaint_generator(image, evaluated["edge_comp"], mask)
    stages = {
        "edge": (
            weigh(model.discriminator_losses(model.edge_discriminator, real, fake), model.weights["discriminator"]),
            model.edge_losses(real, fake),
        ),
        "inpaint": (
            weigh(
                model.discriminator_losses(model.inpaint_discriminator, image, painted), model.weights["discriminator"]
            ),
            model.inpaint_losses(image, painted, mask, painted),
        ),
    }
    for stage, (d_loss, g_losses) in stages.items():
        weights = model.weights[stage]
        g_loss = weigh(g_losses, weights)
        d_loss.backward()
        g_loss.backward()
        result |= {f"{stage}_dis_loss": d_loss.item(), f"{stage}_gen_loss": g_loss.item()}
        result[f"{stage}_losses"] = {name: weights[name] * loss.item() for name, loss in g_losses.items()}
    for name, short in NETWORKS.items():
        result[f"{short}_grad_norms"] = gradient_norms(getattr(model, name))
    return result


@pytest.mark.parametrize(
    ("stage", "loss", "released"),
    [
        ("edge", "adversarial", "l_g1"),
        ("edge", "feature_matching", "l_fm"),
        ("inpaint", "adversarial", "l_g2"),
        ("inpaint", "l1", "l_l1"),
        ("inpaint", "perceptual", "l_per"),
        ("inpaint", "style", "l_sty"),
    ],
)
def test_each_weighted_loss_is_the_released_one(
    recorded: dict[str, Any], step: dict[str, Any], stage: str, loss: str, released: str
) -> None:
    assert step[f"{stage}_losses"][loss] == pytest.approx(recorded[f"{stage}_losses"][released], rel=1e-4)


@pytest.mark.parametrize("total", ["edge_dis_loss", "edge_gen_loss", "inpaint_dis_loss", "inpaint_gen_loss"])
def test_each_total_is_the_released_one(recorded: dict[str, Any], step: dict[str, Any], total: str) -> None:
    assert step[total] == pytest.approx(recorded[total], rel=1e-4)


@pytest.mark.parametrize("network", NETWORKS.values())
def test_each_gradient_has_the_released_norm(recorded: dict[str, Any], step: dict[str, Any], network: str) -> None:
    theirs = {ours(key): norm for key, norm in recorded[f"{network}_grad_norms"].items()}
    norms = step[f"{network}_grad_norms"]
    assert norms.keys() == theirs.keys()
    # a bias in front of instance norm has no gradient but rounding's
    assert norms == pytest.approx(theirs, rel=1e-3, abs=2e-6)
