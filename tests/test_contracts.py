"""Laws of every model in conf/model, and of the YAML files themselves."""

from typing import Any

import pytest
import torch
from hydra.errors import ConfigCompositionException, InstantiationException
from hydra.utils import instantiate
from torch import Tensor

from conftest import Builder, Composer
from inpaintlab.config import CONF
from inpaintlab.inpainter import Inpainter
from inpaintlab.schedule import Phase

MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
CLASSICAL = ("biharmonic", "mean_colour", "navier_stokes", "telea")
LEARNING = tuple(name for name in MODELS if name not in CLASSICAL)
SIZES = [(32, 32), (33, 46), (29, 31), (12, 40), (5, 7), (3, 4)]


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, built: Builder) -> Inpainter:
    """The model that the test is parametrised with, built once for the tests that do not change it."""
    return built(request.param)


each_model = pytest.mark.parametrize("model", MODELS, indirect=True, scope="module")


def sample(height: int = 32, width: int = 32, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random images, and a hole that lies elsewhere in each."""
    image = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))
    mask = torch.zeros(batch, 1, height, width)
    for index in range(batch):
        top, left = (height // 4 + index) % (height // 2 + 1), (width // 3 + index) % (width // 2 + 1)
        mask[index, :, top : top + max(1, height // 3), left : left + max(1, width // 3)] = 1
    return image, mask


# ----------------------------------------------------------------------------------------------------------- complete


@each_model
def test_known_pixels_come_back_untouched(model: Inpainter) -> None:
    image, mask = sample()
    completed = model.complete(image, mask)
    known = (mask == 0).expand_as(image)
    assert torch.equal(completed[known], image[known])
    assert not torch.equal(completed[~known], image[~known])


@each_model
@pytest.mark.parametrize("content", ["noise", "nan", "infinity"])
def test_what_lies_inside_the_hole_has_no_influence(model: Inpainter, content: str) -> None:
    image, mask = sample()
    others = {"noise": torch.rand_like(image), "nan": torch.full_like(image, torch.nan)}
    other = others.get(content, torch.full_like(image, torch.inf))
    changed = torch.where(mask > 0.5, other, image)
    assert torch.equal(model.complete(changed, mask), model.complete(image, mask))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@each_model
def test_every_size_is_completed_at_its_own_size(model: Inpainter, size: tuple[int, int]) -> None:
    image, mask = sample(*size)
    completed = model.complete(image, mask)
    assert completed.shape == image.shape
    assert completed.dtype == torch.float32
    assert completed.is_contiguous()
    assert completed.isfinite().all()
    assert completed.min() >= 0
    assert completed.max() <= 1


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_completion_changes_no_state(built: Builder, name: str, mode: str) -> None:
    model = built(name).train(mode == "training")
    parts = list(model.modules())
    parts[-1].train(mode != "training")  # a module in another mode than its parent keeps that mode
    before = {key: value.clone() for key, value in model.state_dict().items() if isinstance(value, Tensor)}
    modes = [module.training for module in parts]

    completed = model.complete(*sample())

    after = model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert [module.training for module in parts] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not completed.requires_grad


@pytest.mark.parametrize("name", MODELS)
def test_completion_is_the_same_in_training_mode_and_each_time(built: Builder, name: str) -> None:
    model = built(name)
    image, mask = sample()
    first = model.train().complete(image, mask)
    assert torch.equal(first, model.complete(image, mask))
    assert torch.equal(first, model.eval().complete(image, mask))


@each_model
def test_completion_leaves_its_input_as_it_was(model: Inpainter) -> None:
    image, mask = sample()
    kept = image.clone(), mask.clone()
    model.complete(image, mask)
    assert torch.equal(image, kept[0])
    assert torch.equal(mask, kept[1])


@each_model
def test_a_batch_equals_its_single_images(model: Inpainter) -> None:
    image, mask = sample(batch=3)
    together = model.complete(image, mask)
    alone = [model.complete(image[i : i + 1], mask[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)


@each_model
def test_pictures_for_the_panels_have_the_images_size(model: Inpainter) -> None:
    image, mask = sample(33, 46)
    for picture in model.seen_inside(image, mask).values():
        assert picture.shape[-2:] == image.shape[-2:]
        assert picture.min() >= 0
        assert picture.max() <= 1


@pytest.mark.parametrize("model", CLASSICAL, indirect=True, scope="module")
def test_a_method_that_does_not_learn_says_so(model: Inpainter) -> None:
    with pytest.raises(ValueError, match="does not learn"):
        model.learn({}, Phase("completion", 1))


# ---------------------------------------------------------------------------------------------------------- the YAML


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def override_for(group: str, choice: str) -> list[str]:
    model = {"model/schedule": "glcic" if "glcic" in choice or choice == "completion_only" else "edgeconnect"}
    model |= {"model/gan": "edgeconnect"}
    prefix = [f"model={model[group]}"] if group in model else []
    name = {"experiment": "+experiment"}.get(group, group)
    roots = {"data": "data.root=/pictures", "mask": "mask.root=/masks"}
    return [*prefix, f"{name.lstrip('+')}={choice}", *([roots[group]] if choice == "folder" else [])]


GROUPS = ("model", "model/schedule", "model/gan", "mask", "data", "data/crop", "trainer", "logger", "metrics")
FILES = [(group, choice) for group in (*GROUPS, "experiment") for choice in choices(group)]


@pytest.mark.parametrize(("group", "choice"), FILES, ids=lambda value: value.replace("/", "."))
def test_every_file_composes(composed: Composer, group: str, choice: str) -> None:
    cfg = composed(*override_for(group, choice))
    selected = cfg
    for key in group.split("/"):
        selected = selected.get(key) if selected is not None else None
    if group != "experiment" and (group, choice) != ("logger", "none"):
        assert selected


@pytest.mark.parametrize("choice", [c for c in choices("mask") if c != "folder"])
def test_every_mask_draws_a_hole(composed: Composer, choice: str) -> None:
    mask = instantiate(composed(f"mask={choice}").mask)
    hole = mask(48, 64, torch.Generator().manual_seed(3))
    assert hole.shape == (1, 48, 64)
    assert 0 < hole.mean() < 1
    assert set(hole.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("model", ["glcic", "edgeconnect"])
def test_the_demo_runs_its_own_schedule(composed: Composer, model: str) -> None:
    cfg = composed(f"experiment=demo_{model}")
    schedule = instantiate(cfg.model.schedule, _convert_="all")
    assert schedule.total < 3000  # minutes, not days
    assert cfg.data.size == 64


@pytest.mark.parametrize(
    ("override", "key"),
    [("model.widht=0.5", "widht"), ("data.sice=64", "sice"), ("sede=3", "sede"), ("every.chekpoint=2", "chekpoint")],
)
def test_a_typo_in_an_override_fails_with_its_key(composed: Composer, override: str, key: str) -> None:
    with pytest.raises(ConfigCompositionException, match=key):
        composed(override)


@pytest.mark.parametrize("model", MODELS)
def test_an_added_setting_that_a_model_lacks_fails_with_its_key(built: Builder, model: str) -> None:
    with pytest.raises((InstantiationException, TypeError), match="widht"):
        built(model, "+model.widht=0.5")


def test_a_choice_that_does_not_exist_fails_with_its_name(composed: Composer) -> None:
    with pytest.raises(Exception, match="glcik"):
        composed("model=glcik")


# ------------------------------------------------------------------------------------------------ the papers' numbers


def test_glcic_has_the_papers_numbers(composed: Composer) -> None:
    model = composed("model=glcic", "data=toy", "data.size=256").model
    assert model.weights == {
        "completion": {"reconstruction": 1.0},
        "joint": {"reconstruction": 1.0, "adversarial": 4e-4},
        "discriminator": {"real": 1.0, "fake": 1.0},
        "joint_discriminator": {"real": 1.0, "fake": 1.0},
    }
    assert lengths(model) == {"completion": 90_000, "discriminator": 10_000, "joint": 400_000}
    assert (model.image_size, model.patch_size) == (256, 128)
    assert (model.global_convolutions, model.local_convolutions) == (6, 5)
    assert (model.learning_rate, model.optimizer.rho, model.optimizer.eps) == (1.0, 0.9, 1e-6)
    assert model.width == 1.0
    assert model.mean_pixel is None


def test_glcic_for_celeba_has_its_windows(composed: Composer) -> None:
    model = composed("model=glcic_celeba", "data=toy", "data.size=160").model
    assert (model.image_size, model.patch_size) == (160, 96)
    assert (model.global_convolutions, model.local_convolutions) == (5, 5)
    assert lengths(model) == {"completion": 90_000, "discriminator": 10_000, "joint": 400_000}


def test_edgeconnect_has_the_released_examples_numbers(composed: Composer) -> None:
    model = composed("model=edgeconnect").model
    assert model.weights == {
        "edge": {"adversarial": 1.0, "feature_matching": 10.0},
        "inpaint": {"l1": 1.0, "adversarial": 0.1, "perceptual": 0.1, "style": 250.0},
        "discriminator": {"real": 0.5, "fake": 0.5},
    }
    assert (model.learning_rate, model.discriminator_ratio) == (1e-4, 0.1)
    assert list(model.betas) == [0.0, 0.9]
    assert (model.sigma, model.width, model.vgg) == (2.0, 1.0, "imagenet")
    assert model.gan._target_ == "inpaintlab.losses.NonSaturating"
    assert lengths(model)["edge"] == lengths(model)["inpaint"] == 2_000_000


@pytest.mark.parametrize("phase", ["edge", "inpaint", "edge_inpaint", "joint"])
def test_a_schedule_of_one_phase_runs_that_phase_alone(composed: Composer, phase: str) -> None:
    model = composed("model=edgeconnect", f"model/schedule={phase}_only").model
    assert [name for name, batches in lengths(model).items() if batches] == [phase]


def test_the_rectangles_are_glcics(composed: Composer) -> None:
    mask = composed("mask=rectangle").mask
    assert list(mask.height) == list(mask.width) == [96 / 256, 128 / 256]


def lengths(model: Any) -> dict[str, int]:
    return {name: phase.batches for name, phase in model.schedule.phases.items()}
