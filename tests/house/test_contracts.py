"""Laws of every model in conf/model, and of the YAML files themselves."""

import pytest
import torch
from hydra.errors import ConfigCompositionException, InstantiationException
from hydra.utils import instantiate
from torch import Tensor

from inpaintlab.config import CONF
from inpaintlab.inpainting import Inpainter, Learner, computing, learner_of
from stand_ins.building import Builder, Composer
from stand_ins.models import CLASSICAL, LEARNING, MODELS

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


@pytest.mark.parametrize("model", LEARNING, indirect=True, scope="module")
def test_bfloat16_rounds_the_hole_and_nothing_else(model: Inpainter) -> None:
    image, mask = sample()
    exact = model.complete(image, mask)
    with computing("bf16-mixed", torch.device("cpu")):
        rounded = model.complete(image, mask)
    known = (mask == 0).expand_as(image)
    assert torch.equal(rounded[known], image[known])
    assert rounded.dtype == torch.float32
    assert (rounded >= 0).all()
    assert (rounded <= 1).all()
    off = (rounded - exact).abs()[~known]
    assert 0 < off.mean() < 3e-3
    assert off.max() < 2e-2


@each_model
def test_what_lies_inside_the_hole_has_no_influence(model: Inpainter) -> None:
    image, mask = sample()
    expected = model.complete(image, mask)
    others = {"noise": torch.rand_like(image)}
    others |= {str(value): torch.full_like(image, value) for value in (torch.nan, torch.inf)}
    for content, other in others.items():
        changed = torch.where(mask > 0.5, other, image)
        assert torch.equal(model.complete(changed, mask), expected), content


@each_model
def test_what_lies_inside_the_hole_has_no_influence_on_blending_either(model: Inpainter) -> None:
    image, mask = sample()
    changed = torch.where(mask > 0.5, torch.rand_like(image), image)
    assert torch.equal(model.complete(changed, mask, blended=True), model.complete(image, mask, blended=True))


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


HOLES = {
    "a pixel": [(slice(7, 8), slice(9, 10))],
    "a corner": [(slice(0, 1), slice(0, 1))],
    "every border": [(slice(0, 3), slice(None)), (slice(None), slice(0, 2)), (slice(30, 33), slice(None))],
    "all but a pixel": [(slice(0, 32), slice(None)), (slice(32, 33), slice(0, 45))],
}


@pytest.mark.parametrize("boxes", HOLES.values(), ids=HOLES)
@each_model
def test_holes_of_any_extent_are_filled(model: Inpainter, boxes: list[tuple[slice, slice]]) -> None:
    image, mask = torch.rand(1, 3, 33, 46, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 1, 33, 46)
    for rows, columns in boxes:
        mask[..., rows, columns] = 1
    for completed in (model.complete(image, mask), model.complete(image, mask, blended=True)):
        known = (mask == 0).expand_as(image)
        assert torch.equal(completed[known], image[known])
        assert completed.isfinite().all()


@pytest.mark.parametrize("blended", [False, True])
@each_model
def test_an_image_without_a_hole_comes_back_as_it_is(model: Inpainter, blended: bool) -> None:
    image, _ = sample()
    assert torch.equal(model.complete(image, torch.zeros(2, 1, 32, 32), blended=blended), image)


@each_model
def test_of_an_image_that_is_all_hole_a_network_gives_its_output_and_a_classical_method_an_error(
    model: Inpainter,
) -> None:
    image, mask = torch.rand(1, 3, 33, 46), torch.ones(1, 1, 33, 46)
    if not isinstance(model, Learner):
        with pytest.raises(ValueError, match="known pixels"):
            model.complete(image, mask)
    else:
        assert torch.equal(model.complete(image, mask), model.raw_output(image, mask))


@each_model
def test_images_of_a_batch_may_have_any_number_of_holes(model: Inpainter) -> None:
    image, mask = sample(batch=3)
    mask[0] = 0
    mask[1, :, 2:5, 2:5], mask[1, :, 20:30, 25:32] = 1, 1
    completed = model.complete(image, mask)
    assert torch.equal(completed[0], image[0])
    alone = [model.complete(image[i : i + 1], mask[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(completed, torch.cat(alone), atol=1e-5, rtol=0)


@each_model
def test_a_single_pixel_is_an_image(model: Inpainter) -> None:
    image = torch.rand(1, 3, 1, 1)
    assert torch.equal(model.complete(image, torch.zeros(1, 1, 1, 1)), image)
    if isinstance(model, Learner):
        assert model.complete(image, torch.ones(1, 1, 1, 1)).isfinite().all()


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
    assert not isinstance(model, Learner)
    with pytest.raises(AssertionError, match="does not learn"):
        learner_of(model)


# ---------------------------------------------------------------------------------------------------------- the YAML


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def override_for(group: str, choice: str) -> list[str]:
    model = {"model/schedule": "glcic" if "glcic" in choice or choice == "completion_only" else "edgeconnect"}
    model |= {"model/gan": "edgeconnect", "model/edges": "edgeconnect", "model/optimizer": "glcic"}
    prefix = [f"model={model[group]}"] if group in model else []
    name = {"experiment": "+experiment"}.get(group, group)
    roots = {"data": "data.root=/pictures", "mask": "mask.root=/masks"}
    return [*prefix, f"{name.lstrip('+')}={choice}", *([roots[group]] if choice == "folder" else [])]


GROUPS = (
    "model",
    "model/schedule",
    "model/gan",
    "model/edges",
    "model/optimizer",
    "mask",
    "data",
    "data/crop",
    "trainer",
    "logger",
    "callbacks",
    "metrics",
)
ALONE = {group: choices(group) for group in (*GROUPS, "experiment") if group.startswith(("model/", "experiment"))}
TOGETHER = {group: choices(group) for group in GROUPS if group not in ALONE}
ROUNDS = [{group: choice} for group, found in ALONE.items() for choice in found]
ROUNDS += [
    {group: found[min(number, len(found) - 1)] for group, found in TOGETHER.items()}
    for number in range(max(map(len, TOGETHER.values())))
]
"""Every choice of every group; of those that do not hang on another choice, one of each at a time."""


@pytest.mark.parametrize("chosen", ROUNDS, ids=lambda chosen: "-".join(chosen.values()))
def test_every_file_composes(composed: Composer, chosen: dict[str, str]) -> None:
    cfg = composed(*(override for group, choice in chosen.items() for override in override_for(group, choice)))
    for group, choice in chosen.items():
        selected = cfg
        for key in group.split("/"):
            selected = selected.get(key) if selected is not None else None
        if group != "experiment" and choice not in ("none", "csv"):
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
