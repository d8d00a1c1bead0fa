"""otenim/GLCIC-PyTorch's numbers: outputs and losses recorded at 3f9de13, from weights that follow from a seed.

The seeded weights go through the importer, as the published ones would. Recorded on the CPU in float32 with torch 2.13.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import seeded_weights
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.importers.checkpoint import read_published
from inpaintlab.inpainting import hide, weigh
from inpaintlab.models import GLCIC

RECORDINGS = seeded_weights.recordings("glcic")


@pytest.fixture(scope="module")
def scene(seed: int) -> dict[str, Tensor]:
    """Two images of waves, with the same rectangle as their hole; D's window of 32 pixels is centred on it."""
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 20:40, 18:42] = 1
    return {"image": seeded_weights.picture("image", (2, 3, 64, 64), seed), "mask": mask}


@pytest.fixture(params=["celeba", "places2"])
def model(request: pytest.FixtureRequest, seed: int, recorded: dict[str, Any], tmp_path: Path) -> GLCIC:
    """Both layouts of the discriminator, from files like the published ones."""
    layouts = {"model_cn": "completion", "model_cd": f"discriminator_{request.param}_64_32"}
    for name, layout in layouts.items():
        torch.save(seeded_weights.state_dict(f"glcic_otenim_{layout}", seed), tmp_path / name)
    (tmp_path / "config.json").write_text(json.dumps({"mpv": recorded["mean_pixel"], "arc": request.param}))
    model, record, _ = read_published(
        [tmp_path / name for name in ("model_cn", "model_cd", "config.json")], "glcic-otenim"
    )
    assert isinstance(model, GLCIC)
    assert (model.image_size, model.patch_size) == (64, 32)
    assert record["model"]["global_convolutions"] == {"celeba": 5, "places2": 6}[request.param]
    model.arc = request.param  # type: ignore[assignment]  # which recorded probability is this one's
    return model


def completed(model: GLCIC, scene: dict[str, Tensor]) -> Tensor:
    return model(hide(scene["image"], scene["mask"]), scene["mask"])


@torch.no_grad()
def test_the_completion_network_paints_what_theirs_paints(
    model: GLCIC, scene: dict[str, Tensor], recorded: dict[str, Any]
) -> None:
    torch.testing.assert_close(completed(model.eval(), scene), recorded["completion_pred"], atol=1e-4, rtol=0)


@torch.no_grad()
def test_with_the_statistics_of_the_batch_it_does_so_too(
    model: GLCIC, scene: dict[str, Tensor], recorded: dict[str, Any]
) -> None:
    torch.testing.assert_close(completed(model.train(), scene), recorded["completion_pred_train"], atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_discriminators_judge_as_theirs(model: GLCIC, scene: dict[str, Tensor], recorded: dict[str, Any]) -> None:
    painted = completed(model.eval(), scene)
    x, y, width, height = recorded["local_box_xywh"]
    window = model.window(painted, scene["mask"])
    assert torch.equal(window, painted[..., y : y + height, x : x + width])
    probability = model.discriminator(painted, window).sigmoid()
    torch.testing.assert_close(probability, recorded[f"disc_prob_{model.arc}"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("model", ["celeba"], indirect=True)  # the layout that the losses were recorded with
@torch.no_grad()
def test_the_losses_of_a_joint_step_are_theirs(
    model: GLCIC, scene: dict[str, Tensor], recorded: dict[str, Any]
) -> None:
    model.train()
    image, mask = scene["image"], scene["mask"]
    painted = completed(model, scene)
    # In phase 2 the discriminator's loss is (fake + real) / 2; the generator meets the not yet updated discriminator.
    d_loss = weigh(model.discriminator_losses(image, painted, mask), model.weights["discriminator"])
    adversarial = F.softplus(-model.discriminator(painted, model.window(painted, mask))).mean()
    losses = {
        "reconstruction": model.reconstruction(painted, image, mask),
        "adversarial": adversarial,
    }
    assert losses["reconstruction"].item() == pytest.approx(recorded["mse_loss"], rel=1e-4)
    assert d_loss.item() == pytest.approx(recorded["disc_loss"], rel=1e-4)
    assert adversarial.item() == pytest.approx(recorded["gen_adv_loss"], rel=1e-4)
    assert weigh(losses, model.weights["joint"]).item() == pytest.approx(recorded["joint_gen_loss"], rel=1e-4)
    assert recorded["alpha"] == 4e-4
