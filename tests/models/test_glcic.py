"""Laws of GLCIC: the paper's networks, windows, inputs and training steps."""

from typing import Any

import pytest
import torch
from lightning import Callback
from torch import Tensor, nn

from inpaintlab.losses import crop, hole_windows
from inpaintlab.models import GLCIC
from inpaintlab.models.glcic import CompletionNetwork, ContextDiscriminator
from stand_ins.building import Builder, Watch, fit, state_of, toy_data

SHORT = [f"model.schedule.phases.{name}.batches=2" for name in GLCIC.PHASES]


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def hole(rows: tuple[int, int], columns: tuple[int, int], height: int = 16, width: int = 16) -> Tensor:
    """A mask with the given first and last rows and columns."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = 1
    return mask


# ----------------------------------------------------------------------------------------------------------- networks


def test_the_completion_network_has_the_papers_parameters() -> None:
    assert parameters(CompletionNetwork()) == 6_072_131


@pytest.mark.parametrize(
    ("image", "patch", "convolutions", "count"), [(256, 128, 6, 45_063_681), (160, 96, 5, 39_557_121)]
)
def test_the_discriminators_have_the_papers_parameters(image: int, patch: int, convolutions: int, count: int) -> None:
    with torch.device("meta"):
        assert parameters(ContextDiscriminator(image, patch, convolutions, 5)) == count


def test_the_completion_network_has_the_papers_layers() -> None:
    layers = [m for m in CompletionNetwork().modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [m.kernel_size[0] for m in layers] == [5, *[3] * 11, 4, 3, 4, 3, 3]
    assert [m.dilation[0] for m in layers] == [1, 1, 1, 1, 1, 1, 2, 4, 8, 16, 1, 1, 1, 1, 1, 1, 1]
    assert [m.stride[0] for m in layers] == [1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 2, 1, 1]
    assert [m.out_channels for m in layers] == [64, 128, 128, *[256] * 9, 128, 128, 64, 32, 3]
    assert all(m.bias is not None for m in layers)


def test_convolutions_are_followed_by_norm_and_then_by_relu() -> None:
    kinds = [type(m) for m in CompletionNetwork(0.0625).modules() if not list(m.children())]
    convolutions = [i for i, kind in enumerate(kinds) if issubclass(kind, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == 17
    assert all(kinds[i + 1 : i + 3] == [nn.BatchNorm2d, nn.ReLU] for i in convolutions[:-1])
    assert kinds[convolutions[-1] + 1 :] == []


def test_an_output_pixel_sees_303_pixels_at_most() -> None:
    network = CompletionNetwork(1 / 256).double().eval()
    with torch.no_grad():  # positive weights: no influence cancels and no ReLU closes
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.weight.fill_(1 / layer.weight[0].numel())
                layer.bias.zero_()  # type: ignore[union-attr]
    side, seen = 352, []
    for offset in range(4):  # the sight of a pixel depends on its place in the stride of 4
        visible = torch.ones(1, 3, side, side, dtype=torch.float64, requires_grad=True)
        mask = torch.zeros(1, 1, side, side, dtype=torch.float64)
        output = network(visible, mask, torch.zeros(3, dtype=torch.float64))
        output[0, 0, side // 2 + offset, side // 2 + offset].backward()
        assert visible.grad is not None
        rows, columns = visible.grad[0, 0].nonzero().T
        assert rows.min() > 0
        assert rows.max() < side - 1
        assert (rows.max() - rows.min()) == (columns.max() - columns.min())
        seen.append(int(rows.max() - rows.min()) + 1)
    assert max(seen) == 303


def test_the_discriminator_gives_one_logit_an_image() -> None:
    discriminator = ContextDiscriminator(32, 16, 6, 5, width=0.0625)
    logits = discriminator(torch.rand(3, 3, 32, 32), torch.rand(3, 3, 16, 16))
    assert logits.shape == (3, 1)
    assert isinstance(discriminator.joint, nn.Linear)


# ------------------------------------------------------------------------------------------------------------- inputs


def seen_by_first_layer(model: Any, image: Tensor, mask: Tensor) -> Tensor:
    seen: list[Tensor] = []
    hook = model.completion.layers[0][0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.complete(image, mask)
    hook.remove()
    return seen[0]


def test_the_input_is_centred_and_zero_in_the_hole_with_the_mask_as_fourth_plane(built: Builder) -> None:
    model = built("glcic", "model.mean_pixel=[0.25,0.5,0.75]")
    image, mask = torch.rand(1, 3, 16, 16), hole((4, 9), (2, 11))
    seen = seen_by_first_layer(model, image, mask)
    assert seen.shape == (1, 4, 16, 16)
    expected = (image - torch.tensor([0.25, 0.5, 0.75]).view(1, 3, 1, 1)) * (1 - mask)
    torch.testing.assert_close(seen[:, :3], expected)
    assert (seen[:, :3][mask.expand(1, 3, -1, -1) == 1] == 0).all()
    assert torch.equal(seen[:, 3:], mask)


def test_the_discriminator_meets_the_completed_image_not_the_raw_output(built: Builder) -> None:
    model = built("glcic")
    image, mask = torch.rand(2, 3, 32, 32), torch.cat([hole((8, 17), (8, 17), 32, 32)] * 2)
    calls: list[tuple[Tensor, ...]] = []
    model.discriminator.register_forward_pre_hook(lambda _, inputs: calls.append(inputs))

    completed = model.paste(image, mask, model(image * (1 - mask), mask)).detach()
    model.discriminator_losses(image, completed, mask)

    (real, _), (fake, window) = calls
    assert torch.equal(real, image)
    assert torch.equal(fake, completed)
    assert torch.equal(window, completed[:, :, 5:21, 5:21])


def test_the_real_window_is_centred_on_the_next_samples_hole(built: Builder) -> None:
    model = built("glcic")
    image, mask = torch.rand(2, 3, 32, 32), torch.cat([hole((8, 15), (8, 15), 32, 32), hole((20, 23), (2, 9), 32, 32)])
    windows: list[Tensor] = []
    model.discriminator.register_forward_pre_hook(lambda _, inputs: windows.append(inputs[1]))
    model.discriminator_losses(image, image, mask)
    assert torch.equal(windows[0], torch.stack([image[0, :, 14:30, 0:16], image[1, :, 4:20, 4:20]]))
    assert torch.equal(windows[1], torch.stack([image[0, :, 4:20, 4:20], image[1, :, 14:30, 0:16]]))


# ------------------------------------------------------------------------------------------------------------ windows


@pytest.mark.parametrize(
    ("rows", "columns", "corner"),
    [
        ((6, 9), (6, 9), (4, 4)),  # centre 7.5: rows 4 to 11
        ((4, 9), (8, 9), (3, 5)),  # each side on its own
        ((5, 7), (9, 9), (2, 5)),  # an odd hole cannot be centred in an even window: rounded towards 0
        ((0, 1), (14, 15), (0, 8)),  # kept inside the image
        ((0, 15), (0, 15), (4, 4)),  # larger than the window
    ],
)
def test_a_window_is_centred_on_the_hole(
    rows: tuple[int, int], columns: tuple[int, int], corner: tuple[int, int]
) -> None:
    assert tuple(hole_windows(hole(rows, columns), 8)[0].tolist()) == corner


def test_each_sample_has_its_own_window() -> None:
    masks = torch.cat([hole((0, 3), (0, 3)), hole((6, 9), (8, 11)), hole((12, 15), (4, 7))])
    assert hole_windows(masks, 8).tolist() == [[0, 0], [4, 6], [8, 2]]


def test_windows_know_rows_from_columns() -> None:
    assert hole_windows(hole((1, 2), (20, 23), height=10, width=30), 8).tolist() == [[0, 18]]


def test_a_window_contains_every_hole_that_fits() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        height, width = torch.randint(1, 9, (2,), generator=generator).tolist()
        top = int(torch.randint(0, 17 - height, (), generator=generator))
        left = int(torch.randint(0, 17 - width, (), generator=generator))
        mask = hole((top, top + height - 1), (left, left + width - 1))
        row, column = hole_windows(mask, 8)[0].tolist()
        assert 0 <= row <= 8
        assert 0 <= column <= 8
        assert mask[..., row : row + 8, column : column + 8].sum() == mask.sum()


def test_a_hole_of_several_parts_is_centred_as_a_whole() -> None:
    mask = torch.maximum(hole((2, 3), (10, 10)), hole((8, 9), (5, 5)))
    assert hole_windows(mask, 8).tolist() == [[2, 4]]


def test_cropping_equals_slicing() -> None:
    image, corners = torch.rand(3, 3, 12, 20), torch.tensor([[0, 0], [3, 11], [6, 14]])
    sliced = [image[i, :, top : top + 6, left : left + 6] for i, (top, left) in enumerate(corners.tolist())]
    assert torch.equal(crop(image, corners, 6), torch.stack(sliced))


def test_gradients_flow_through_the_crop_into_its_window_alone() -> None:
    image = torch.rand(1, 3, 12, 12, requires_grad=True)
    crop(image, torch.tensor([[2, 5]]), 4).sum().backward()
    expected = torch.zeros(1, 3, 12, 12)
    expected[:, :, 2:6, 5:9] = 1
    assert image.grad is not None
    assert torch.equal(image.grad, expected)


@pytest.mark.parametrize("patch", [0, 33])
def test_a_window_that_does_not_fit_the_image_is_refused(built: Builder, patch: int) -> None:
    with pytest.raises(Exception, match="the local window must fit") as caught:
        built("glcic", f"model.patch_size={patch}")
    assert isinstance(caught.value.__cause__, ValueError)


# ----------------------------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def watched(built: Builder) -> Watch:
    """Two batches of each phase."""
    watch = Watch(["completion", "discriminator"])
    fit(built("glcic", *SHORT, "+model.schedule.phases.joint.learning_rate=0.25"), watch)
    return watch


TRAINED = {
    "completion": {"completion"},
    "discriminator": {"discriminator"},
    "joint": {"completion", "discriminator"},
}


@pytest.mark.parametrize("phase", GLCIC.PHASES)
def test_a_phase_changes_only_the_networks_that_it_trains(watched: Watch, phase: str) -> None:
    batches = [batch for batch in watched.batches if batch.phase == phase]
    assert len(batches) == 2
    for batch in batches:
        assert {name for name, keys in batch.changed.items() if keys} == TRAINED[phase]


@pytest.mark.parametrize("phase", GLCIC.PHASES)
def test_each_descent_changes_its_own_network_and_leaves_no_gradient(watched: Watch, phase: str) -> None:
    steps = [step for step in watched.steps if step.phase == phase]
    assert len(steps) == 2 * len(TRAINED[phase])
    for step in steps:
        assert len(step.stepped) == 1
        assert step.with_gradients == step.stepped
        assert step.gradients_left == set()
        # the completion network's statistics move with its forward pass, which comes before the discriminator's step
        assert step.changed == step.stepped | ({"completion"} if phase == "joint" else set())


def test_the_generators_step_leaves_the_discriminator_bit_equal(watched: Watch) -> None:
    steps = [step for step in watched.steps if step.phase == "joint" and step.stepped == {"completion"}]
    assert len(steps) == 2
    assert all("discriminator" not in step.changed for step in steps)


def test_in_joint_the_discriminator_steps_first(watched: Watch) -> None:
    order = [step.stepped for step in watched.steps if step.phase == "joint"]
    assert order == [{"discriminator"}, {"completion"}] * 2


def test_a_training_moves_every_weight_and_every_running_statistic(watched: Watch, built: Builder) -> None:
    model = built("glcic")
    for name in ("completion", "discriminator"):
        moved = set().union(*(batch.changed[name] for batch in watched.batches))
        keys = {key for key, value in getattr(model, name).state_dict().items() if value.ndim != 1 or "running" in key}
        assert keys <= moved


def test_batches_are_counted_not_optimizer_steps(watched: Watch) -> None:
    assert [batch.iteration for batch in watched.batches] == [1, 2, 3, 4, 5, 6]
    assert len(watched.steps) == 2 + 2 + 4


def test_a_phases_learning_rate_reaches_the_optimizers(watched: Watch) -> None:
    assert [batch.rates for batch in watched.batches] == [[1.0, 1.0]] * 4 + [[0.25, 0.25]] * 2


def test_each_phase_logs_its_losses(watched: Watch) -> None:
    names = {batch.phase: set(batch.losses) for batch in watched.batches}
    adversary = {"discriminator_real", "discriminator_fake"}
    assert names == {
        "completion": {"reconstruction"},
        "discriminator": adversary,
        "joint": adversary | {"reconstruction", "adversarial"},
    }


def test_the_same_seed_gives_the_same_losses(watched: Watch, built: Builder) -> None:
    again = Watch(["completion", "discriminator"])
    fit(built("glcic", *SHORT, "+model.schedule.phases.joint.learning_rate=0.25"), again)
    assert [batch.losses for batch in again.batches] == [batch.losses for batch in watched.batches]


def test_in_the_discriminators_phase_completions_are_normalised_by_their_batch(built: Builder) -> None:
    model = built("glcic", "model.schedule.phases.completion.batches=0", "model.schedule.phases.joint.batches=0",
                  "model.schedule.phases.discriminator.batches=1")  # fmt: skip
    outputs: list[Tensor] = []
    model.completion.register_forward_hook(lambda *call: outputs.append(call[2]))
    batches: list[Any] = []

    class Keep(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            batches.append(batch)

    before = state_of(model.completion)
    fit(model, Keep())
    after = state_of(model.completion)
    assert all(torch.equal(after[key], before[key]) for key in before)
    image, mask = batches[0]["image"], batches[0]["mask"]
    expected = model.train().completion(image * (1 - mask), mask, model.mean_pixel)
    torch.testing.assert_close(outputs[0], expected.detach())


# --------------------------------------------------------------------------------------------------------- mean pixel


def test_a_fresh_run_measures_the_mean_pixel_of_the_training_set(built: Builder) -> None:
    model, data = built("glcic", *SHORT), toy_data()
    fit(model, data=data)
    assert torch.equal(model.mean_pixel, data.mean_pixel())
    assert not torch.equal(model.mean_pixel, torch.full((3,), 0.5))


def test_a_given_mean_pixel_is_kept(built: Builder) -> None:
    model = built("glcic", *SHORT, "model.mean_pixel=[0.25,0.5,0.75]")
    fit(model)
    assert torch.equal(model.mean_pixel, torch.tensor([0.25, 0.5, 0.75]))


def test_a_resumed_run_takes_the_mean_pixel_from_its_checkpoint(built: Builder) -> None:
    model, data = built("glcic", *SHORT), toy_data()
    model.schedule.iteration = 3  # what a checkpoint sets before the run begins, with the mean pixel
    model.mean_pixel.copy_(torch.tensor([0.25, 0.5, 0.75]))
    fit(model, data=data)
    assert model.schedule.iteration == 6
    assert torch.equal(model.mean_pixel, torch.tensor([0.25, 0.5, 0.75]))


def test_data_of_another_size_than_the_discriminators_are_refused(built: Builder) -> None:
    with pytest.raises(ValueError, match=r"built for 64 pixels .* the data come at 32"):
        fit(built("glcic", *SHORT, "model.image_size=64"))


def test_an_unknown_phase_is_refused(built: Builder) -> None:
    with pytest.raises(Exception, match="unknown phase 'warmup'"):
        built("glcic", "+model.schedule.phases.warmup.batches=3")


def test_a_loss_without_a_weight_stops_the_first_batch(built: Builder) -> None:
    with pytest.raises(ValueError, match="do not match the losses"):
        fit(built("glcic", *SHORT, "+model.weights.completion.style=1.0"))
