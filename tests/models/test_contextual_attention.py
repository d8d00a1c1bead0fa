"""Laws of Contextual Attention: its stages and critics, the cycle of steps, the penalty, and what it shows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from torch import Tensor

from inpaintlab.imaging import offset_colours
from inpaintlab.inpainting import Steps
from inpaintlab.losses import between, discounts, hole_windows, pixel_penalty, slope_penalty
from inpaintlab.masks import Block
from inpaintlab.randomness import sample_generator
from stand_ins.building import Builder, Watch
from stand_ins.building import fit as train
from stand_ins.commands import TINY, checkpoint, run_here, same_weights

NAME = "contextual_attention"


def scene(size: int = 32, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    image, mask = torch.rand(batch, 3, size, size, generator=generator), torch.zeros(batch, 1, size, size)
    for index, sample in enumerate(mask):
        sample[:, 8 : 18 + index, 10 + index : 20] = 1
    return image, mask


# -------------------------------------------------------------------------------------------------------- the networks


@torch.no_grad()
@pytest.mark.parametrize("planes", ["bgr", "rgb"])
def test_colours_are_turned_on_the_way_in_and_out_alone(built: Builder, planes: str) -> None:
    """The same network with its first and last kernels turned over gives the same pictures with the other order."""
    model = built(NAME, f"model.planes={planes}")
    other = built(NAME, f"model.planes={'rgb' if planes == 'bgr' else 'bgr'}")
    image, mask = scene()
    state = model.state_dict()
    for key in ("coarse.conv1", "refinement.hallucination.xconv1", "refinement.matching.pmconv1"):
        kernel = state[f"generator.{key}.convolution.weight"]
        kernel.copy_(torch.cat([kernel[:, :3].flip(1), kernel[:, 3:]], dim=1).clone())
    for key in ("coarse.conv17", "refinement.joint.allconv17"):
        for part in ("weight", "bias"):
            state[f"generator.{key}.convolution.{part}"].copy_(
                state[f"generator.{key}.convolution.{part}"].flip(0).clone()
            )
    plain = built(NAME, f"model.planes={planes}")
    model.load_state_dict(state, strict=False)
    other.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(model(image, mask), other(image, mask), rtol=0, atol=1e-6)
    assert not torch.equal(plain(image, mask), other(image, mask))


@torch.no_grad()
def test_the_critics_judge_a_window_and_the_whole_each_by_itself(built: Builder) -> None:
    model = built(NAME)
    image, mask = scene()
    window = model.window_of(mask)(image)
    verdicts = model.critics(image, window)
    assert torch.equal(model.critics(torch.rand_like(image), window)[:, 0], verdicts[:, 0])
    assert torch.equal(model.critics(image, torch.rand_like(window))[:, 1], verdicts[:, 1])
    assert verdicts.shape == (2, 2)


def test_the_window_is_the_block_that_the_hole_was_shrunk_from() -> None:
    mask = Block(0.5, shrink=0.0625)
    for seed in range(20):
        hole = mask(64, 64, sample_generator(seed))[None]
        block = Block(0.5)(64, 64, sample_generator(seed))  # the same place, before it shrinks
        rows, columns = block[0].any(dim=1), block[0].any(dim=0)
        assert hole_windows(hole, 32).tolist() == [[int(rows.int().argmax()), int(columns.int().argmax())]]


def test_a_hole_in_the_pictures_is_seen_by_neither_stage(built: Builder) -> None:
    model = built(NAME)
    image, mask = scene()
    one, other = (torch.where(mask > 0.5, content, image) for content in (torch.zeros(()), torch.ones(())))
    for first, second in zip(model.generator(one, mask), model.generator(other, mask), strict=True):
        assert torch.equal(first, second)


# ----------------------------------------------------------------------------------------------------------- the losses


def test_the_discount_falls_from_the_border_and_is_one_pixel_off_at_its_end() -> None:
    weights = discounts(5, 0.5)
    assert weights[0].tolist() == [1] * 5
    assert weights[2].tolist() == [1, 0.5, 0.25, 0.25, 0.5]
    assert weights[4].tolist() == [1, 0.5, 0.5, 0.5, 0.5]
    assert torch.equal(weights, weights.T)


def test_the_penalty_is_that_of_a_linear_critic_by_hand() -> None:
    kernel = torch.zeros(1, 3, 2, 2)
    kernel[0, 0], kernel[0, 1, 0, 0] = 2.0, 3.0  # norm (4 * 4 + 9) ** 0.5 = 5
    x = between(torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2), torch.tensor([0.25, 1.0]).view(2, 1, 1, 1))
    assert x.is_leaf
    assert x.detach()[:, 0, 0, 0].tolist() == [0.25, 1.0]
    (gradient,) = torch.autograd.grad((x * kernel).sum(), x, create_graph=True)
    mask = torch.zeros(2, 1, 2, 2)
    mask[..., 0, 0] = 1
    assert slope_penalty(gradient).item() == pytest.approx(16)
    assert slope_penalty(gradient, mask).item() == pytest.approx((13**0.5 - 1) ** 2)
    norms = [(13**0.5 - 1) ** 2, 1, 1, 1]
    assert pixel_penalty(gradient).item() == pytest.approx(sum(norms) / 4)
    assert pixel_penalty(gradient, mask).item() == pytest.approx((norms[0] + 3) / 4 / 0.25)


def test_the_penalty_of_a_critic_without_a_slope_has_a_finite_gradient(built: Builder) -> None:
    model = built(NAME)
    for parameter in model.critics.parameters():
        torch.nn.init.zeros_(parameter)
    penalty = model.gradient_penalty(*scene(), torch.rand(2, 3, 32, 32))
    penalty.backward()
    assert penalty.item() == pytest.approx(2)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.critics.parameters())


def test_the_penalty_moves_the_critics_and_its_gradient_is_that_of_differences(built: Builder) -> None:
    model = built(NAME).double()
    image, mask = (x.double() for x in scene())
    completed, weight = torch.rand_like(image), model.critics.global_critic.conv2.convolution.weight
    model.draw_shares = lambda x: torch.full((2, 2, 1, 1, 1), 0.3, dtype=x.dtype)
    (slope,) = torch.autograd.grad(model.gradient_penalty(image, mask, completed), weight)
    place = tuple(int(i) for i in torch.nonzero(slope.abs() == slope.abs().max())[0])
    found = []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            weight[place] += step
        found.append(model.gradient_penalty(image, mask, completed).item())
        with torch.no_grad():
            weight[place] -= step
    assert (found[0] - found[1]) / 2e-5 == pytest.approx(slope[place].item(), rel=1e-4)


# ------------------------------------------------------------------------------------------------------------ the cycle


@pytest.mark.parametrize(
    ("preset", "accumulate", "generator_steps"),
    [(NAME, 1, [6, 12]), (f"{NAME}_daa233", 1, [5, 10]), (NAME, 2, [6])],
)
def test_the_generator_learns_in_its_turn(
    built: Builder, preset: str, accumulate: int, generator_steps: list[int]
) -> None:
    batches = 12 * accumulate if accumulate == 1 else 14
    cycle = [f"model.schedule.phases.train.batches={batches}", "model.critic_steps=5"]
    model = built(preset, *cycle, steps=Steps(accumulate=accumulate))
    watch = Watch(["generator", "critics"])
    train(model, watch)
    shared = preset.endswith("daa233")
    for batch in watch.batches:
        step, last = -(-batch.iteration // accumulate), batch.iteration % accumulate == 0
        turn = step in generator_steps
        assert ("l1" in batch.losses) is turn
        assert ("critics_wgan" in batch.losses) is (shared or not turn)
        assert bool(batch.changed["generator"]) is (turn and last)
        assert bool(batch.changed["critics"]) is ((shared or not turn) and last)
        if last:
            assert batch.gradients_left == set()


def test_a_run_that_goes_on_is_where_it_was_in_the_cycle(tmp_path: Path) -> None:
    for folder, stops in (("whole", [9]), ("parts", [4, 9])):
        for batches in stops:
            settings = [f"model={NAME}", *TINY, f"model.schedule.phases.train.batches={batches}", f"name={folder}"]
            ended = run_here("train", *settings, "mask=shrunk_block", "panel_images=0", cwd=tmp_path)
            assert ended.returncode == 0, ended.stderr
    assert same_weights(checkpoint(tmp_path / "runs/whole"), checkpoint(tmp_path / "runs/parts"))


def test_a_training_on_pictures_too_small_for_reflection_is_refused(built: Builder) -> None:
    model = built(f"{NAME}_mmagic", "model.schedule.phases.train.batches=1")
    with pytest.raises(ValueError, match="needs 72 pixels"):
        train(model)
    assert model.complete(*scene()).shape == (2, 3, 32, 32)


def test_a_number_of_critic_steps_that_is_none_is_refused(built: Builder) -> None:
    with pytest.raises(Exception, match="critic_steps is 0") as caught:
        built(NAME, "model.critic_steps=0")
    assert "give a whole number of at least 1" in str(caught.value)


# ------------------------------------------------------------------------------------------------------------ precision


class Gradients(Callback):
    """Of the first step of each optimizer."""

    def __init__(self) -> None:
        self.of: dict[str, Tensor] = {}

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        network = "generator" if len(self.of) else "critics"
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.of.setdefault(network, torch.cat([p.grad.flatten() for p in parameters]).clone())


def test_gradients_in_bfloat16_point_where_those_of_float32_do(built: Builder) -> None:
    found = []
    for precision in ("32-true", "bf16-mixed"):
        model = built(NAME, "model.schedule.phases.train.batches=2", "model.width=0.25", "model.critic_steps=1")
        train(model, steps := Gradients(), settings=[f"trainer.precision={precision}"])
        found.append(steps.of)
    for name, least in (("critics", 0.99999), ("generator", 0.999)):  # the critics learn in float32
        assert torch.cosine_similarity(found[0][name].double(), found[1][name].double(), dim=0) > least, name


# -------------------------------------------------------------------------------------------------------------- to see


def test_a_direction_has_a_colour_and_no_source_is_grey() -> None:
    places = torch.arange(9).view(1, 3, 3)
    assert (offset_colours(places) == 1).all()  # each is its own source
    right = offset_colours(places.clamp(min=5))[0, :, 1, 0]  # from the place itself two to the right
    assert right[0] == 1
    assert right[1].item() == pytest.approx(right[2].item())
    assert right[1] < 1
    assert (offset_colours(torch.full((1, 3, 3), -1)) == 0.5).all()


def test_the_panels_show_the_first_stage_and_the_offsets(built: Builder) -> None:
    model = built(NAME)
    image, mask = scene()
    pictures = model.seen_inside(image, mask)
    assert list(pictures) == ["coarse", "attention"]
    with torch.no_grad():
        assert torch.equal(pictures["coarse"], model.generator(image * (1 - mask), mask)[0])
    assert pictures["attention"].shape == (2, 3, 32, 32)
    assert model.seen_inside(image, torch.ones_like(mask))["attention"].eq(0.5).all()
