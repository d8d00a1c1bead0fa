"""Laws of what every method shares: hiding, padding, freezing, descending, checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from inpaintlab.inpainting import (
    CHECKPOINT_FORMAT,
    Inpainter,
    Learner,
    Losses,
    Schedule,
    evaluating,
    frozen,
    hide,
    load_checkpoint,
    load_weights,
)
from inpaintlab.inpainting.checkpoints import rebuild
from inpaintlab.inpainting.made_for import pad_to_multiple
from inpaintlab.survival import Checkpoints
from stand_ins.building import Builder, State, fit, state_of


class Echo(Inpainter):
    """Returns a constant that is out of range, and keeps what it was given."""

    def __init__(self, value: float = 0.5, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.value = value
        self.given: list[Tensor | None] = []

    def forward(
        self,
        visible: Float[Tensor, "batch 3 height width"],
        mask: Float[Tensor, "batch 1 height width"],
        edges: Float[Tensor, "batch 1 height width"] | None = None,
    ) -> Float[Tensor, "batch 3 height width"]:
        self.given = [visible, mask, edges]
        return torch.full_like(visible, self.value)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        spectral_norm(nn.Conv2d(3, 4, 3, padding=1)), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Conv2d(4, 1, 1)
    )


def fail_if(expected: bool) -> None:
    if expected:
        raise RuntimeError("on purpose")


def same(now: State, before: State) -> bool:
    return all(torch.equal(now[key], before[key]) for key in before)


# ----------------------------------------------------------------------------------------------------------- complete


@pytest.mark.parametrize(("value", "clamped"), [(-1.0, 0.0), (0.25, 0.25), (7.0, 1.0)])
def test_the_hole_is_filled_with_the_output_held_to_the_range(value: float, clamped: float) -> None:
    image, mask = torch.rand(1, 3, 4, 6), torch.zeros(1, 1, 4, 6)
    mask[..., 1:3, 2:4] = 1
    completed = Echo(value).complete(image, mask)
    assert (completed[..., 1:3, 2:4] == clamped).all()
    assert torch.equal(completed.where(mask == 0, torch.zeros(())), image.where(mask == 0, torch.zeros(())))


def test_a_method_sees_all_planes_padded_to_its_stride() -> None:
    model = Echo(stride=8)
    image, mask = torch.rand(2, 3, 9, 15), torch.ones(2, 1, 9, 15)
    assert model.complete(image, mask, mask).shape == image.shape
    assert [plane.shape[-2:] for plane in model.given if plane is not None] == [(16, 16)] * 3


def test_hidden_pixels_are_zero_whatever_stood_there() -> None:
    image = torch.tensor([[[[0.5, torch.nan, torch.inf, 0.25]]]]).expand(1, 3, 1, 4)
    mask = torch.tensor([[[[0.0, 1.0, 1.0, 1.0]]]])
    assert torch.equal(hide(image, mask)[0, 0, 0], torch.tensor([0.5, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize(("size", "padded"), [((8, 8), (8, 8)), ((5, 7), (8, 8)), ((9, 4), (12, 4)), ((1, 2), (4, 4))])
def test_padding_reaches_the_next_multiple_and_keeps_the_pixels(size: tuple[int, int], padded: tuple[int, int]) -> None:
    plane = torch.rand(1, 2, *size)
    result = pad_to_multiple(plane, 4)
    assert result.shape[-2:] == padded
    assert torch.equal(result[..., : size[0], : size[1]], plane)


def test_padding_reflects_where_there_is_enough_to_reflect() -> None:
    row = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 1, 8, 6)
    assert pad_to_multiple(row, 4)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 4, 3]
    assert pad_to_multiple(row[..., :1], 4)[0, 0, 0].tolist() == [0, 0, 0, 0]


def test_evaluating_gives_each_module_its_own_mode_back_also_after_an_exception() -> None:
    net = network().train()
    net[1].eval()
    with pytest.raises(RuntimeError, match="on purpose"), evaluating(net):
        fail_if(not any(module.training for module in net.modules()))
    assert net.training
    assert not net[1].training
    assert net[0].training


# ------------------------------------------------------------------------------------------------------------- frozen


def test_a_frozen_network_lets_gradients_through_and_keeps_its_own_state() -> None:
    net, image = network().train(), torch.rand(2, 3, 8, 8, requires_grad=True)
    before = state_of(net)
    with frozen(net):
        net(image).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None for p in net.parameters())
    assert same(state_of(net), before)


def test_a_frozen_network_normalises_by_the_batch() -> None:
    net, image = network().train(), 5 + torch.rand(4, 3, 8, 8)
    normalised: list[Tensor] = []
    net[1].register_forward_hook(lambda *call: normalised.append(call[2].detach()))
    with frozen(net):
        net(image)
    assert normalised[0].mean(dim=(0, 2, 3)).abs().max() < 1e-5


def test_freezing_is_undone_also_after_an_exception() -> None:
    net = network().train()
    net[4].bias.requires_grad_(False)
    requires = [p.requires_grad for p in net.parameters()]
    modes = [module.training for module in net.modules()]
    with pytest.raises(RuntimeError, match="on purpose"), frozen(net):
        fail_if(not any(p.requires_grad for p in net.parameters()))
    assert [p.requires_grad for p in net.parameters()] == requires
    assert [module.training for module in net.modules()] == modes
    assert net[1].track_running_stats

    before = state_of(net)
    net(torch.rand(2, 3, 8, 8))
    moved = {key for key, value in state_of(net).items() if not torch.equal(value, before[key])}
    assert {"1.running_mean", "1.running_var", "1.num_batches_tracked"} <= moved
    assert any(key.endswith("_u") for key in moved)


def test_several_networks_are_frozen_at_once() -> None:
    first, second = network(), network()
    with frozen(first, second):
        assert not any(p.requires_grad for net in (first, second) for p in net.parameters())
    assert all(p.requires_grad for net in (first, second) for p in net.parameters())


def test_freezing_a_network_in_evaluation_mode_leaves_it_there() -> None:
    net, image = network().eval(), torch.rand(2, 3, 8, 8)
    expected = net(image)
    with frozen(net):
        assert torch.equal(net(image), expected)
    assert not any(module.training for module in net.modules())


# ------------------------------------------------------------------------------------------------------------ descend


class Line(Learner):
    """Two numbers, one for each optimizer, that a single batch moves down a known slope."""

    def __init__(self) -> None:
        super().__init__(Schedule({"only": {"batches": 1}}), learning_rate=0.5)
        self.a, self.b = (nn.Parameter(torch.tensor(value)) for value in (2.0, -1.0))

    def forward(
        self,
        visible: Float[Tensor, "batch 3 height width"],
        mask: Float[Tensor, "batch 1 height width"],
        edges: Float[Tensor, "batch 1 height width"] | None = None,
    ) -> Float[Tensor, "batch 3 height width"]:
        return visible

    def learn_only(self, batch: dict[str, Any]) -> Losses:
        first, second = self.optimizers()  # type: ignore[attr-defined]
        loss = 3 * self.a + self.b**2
        self.descend(loss, first, second)
        return {"loss": loss}

    PHASES: Mapping[str, Any] = {"only": learn_only}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD([{"params": [p], "lr_ratio": r}], lr=0.0) for p, r in ((self.a, 1.0), (self.b, 0.25))]


def test_a_descent_is_a_step_of_each_optimizer_and_drops_the_gradients() -> None:
    model = Line()
    fit(model)
    assert model.a.item() == 2.0 - 0.5 * 3
    assert model.b.item() == -1.0 - 0.125 * 2 * -1.0
    assert model.a.grad is None
    assert model.b.grad is None


# -------------------------------------------------------------------------------------------------------- checkpoints

ONE_BATCH = [f"model.schedule.phases.{name}.batches={int(name == 'joint')}" for name in ("completion", "joint")]
ONE_BATCH = [*ONE_BATCH, "model.schedule.phases.discriminator.batches=0"]


@pytest.fixture(scope="module")
def trained(built: Builder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Inpainter, Path]:
    folder = tmp_path_factory.mktemp("run")
    overrides = [*ONE_BATCH, "model.width=0.0625", "model.patch_size=16"]
    model = built("glcic", *overrides)
    fit(model, Checkpoints(folder, 100, 100, "val/psnr_rgb", True))
    return model, folder


def test_a_checkpoint_alone_rebuilds_its_model(trained: tuple[Inpainter, Path]) -> None:
    model, folder = trained
    for path in (folder, folder / "last.ckpt"):
        other, record = rebuild(path)
        ours, theirs = state_of(model), state_of(other)
        assert all(torch.equal(theirs[key], ours[key]) for key in ours)
        assert record["iterations"] == 1
        assert record["images_seen"] == 2
        assert other.schedule.iteration == 0


def test_rebuilding_takes_overrides(trained: tuple[Inpainter, Path]) -> None:
    model: Any = rebuild(trained[1], {"learning_rate": 0.5})[0]
    assert model.learning_rate == 0.5


def test_weights_that_do_not_fit_are_refused_with_the_first_difference(
    trained: tuple[Inpainter, Path], built: Builder
) -> None:
    wider = built("glcic", "model.width=0.125", "model.patch_size=16")
    with pytest.raises(ValueError, match=r"does not fit GLCIC as configured: .* has shape"):
        load_weights(wider, load_checkpoint(trained[1]), "runs/first")
    with pytest.raises(ValueError, match=r"runs/first does not fit EdgeConnect .* is unknown"):
        load_weights(built("edgeconnect"), load_checkpoint(trained[1]), "runs/first")


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no checkpoint at .*last\.ckpt"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.ckpt cannot be read as a checkpoint"):
        load_checkpoint(tmp_path)


def test_a_file_that_is_no_checkpoint_of_ours_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="is not a checkpoint of inpaintlab"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("record", ["GLCIC", None, [1], {"format": "one"}])
def test_a_checkpoint_whose_record_is_none_is_refused(tmp_path: Path, record: Any) -> None:
    torch.save({"inpaintlab": record, "state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"is not a checkpoint of inpaintlab|has no format number"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("imported", "mend"), [(None, "train again"), ({"layout": "edgeconnect"}, "import the published files again")]
)
def test_a_checkpoint_of_version_01_is_refused_with_what_to_do(tmp_path: Path, imported: Any, mend: str) -> None:
    record = {"model": {"_target_": "inpaintlab.models.glcic.GLCIC"}, "iterations": 5, "images_seen": 10}
    torch.save({"inpaintlab": record | {"imported": imported}, "state_dict": {}}, tmp_path / "last.ckpt")
    sentence = rf"last\.ckpt was written by an earlier inpaintlab and cannot be read any more: {mend}\.$"
    with pytest.raises(ValueError, match=sentence):
        load_checkpoint(tmp_path)


def test_a_checkpoint_of_a_later_version_is_refused(tmp_path: Path) -> None:
    torch.save({"inpaintlab": {"format": CHECKPOINT_FORMAT + 1}, "state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt has format 2, but this inpaintlab reads format 1: update"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_that_holds_code_is_refused(tmp_path: Path) -> None:
    torch.save({"inpaintlab": {}, "state_dict": Echo}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_checkpoint(tmp_path)


def test_a_recipe_that_names_foreign_code_is_refused(trained: tuple[Inpainter, Path], tmp_path: Path) -> None:
    checkpoint = load_checkpoint(trained[1])
    checkpoint["inpaintlab"]["model"]["schedule"]["_target_"] = "os.system"
    torch.save(checkpoint, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"asks to run 'os\.system'"):
        rebuild(tmp_path)


# Lightning cannot know that our sampler starts where the run stopped.
resuming = pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable.*")


@resuming
def test_a_run_killed_between_two_batches_continues_as_the_unbroken_one(built: Builder, tmp_path: Path) -> None:
    """The checkpoint of batch 2 of 4, as a killed run leaves it."""

    class Killed(Checkpoints):
        def on_train_batch_end(self, *hook: Any, **named: Any) -> None:
            super().on_train_batch_end(*hook, **named)
            if (self.folder / "last.ckpt").is_file() and not (self.folder / "kept.ckpt").is_file():
                (self.folder / "last.ckpt").rename(self.folder / "kept.ckpt")

    lengths = [f"model.schedule.phases.{name}.batches={n}" for name, n in
               (("completion", 1), ("discriminator", 1), ("joint", 2))]  # fmt: skip
    unbroken, saving = built("glcic", *lengths), Killed(tmp_path, 2, 100, "val/psnr_rgb", True)
    fit(unbroken, saving)
    resumed = built("glcic", *lengths)
    fit(resumed, saving, ckpt_path=tmp_path / "kept.ckpt")
    assert resumed.schedule.iteration == 4
    assert same(state_of(resumed), state_of(unbroken))


@resuming
def test_a_finished_run_continues_when_its_schedule_grows(built: Builder, tmp_path: Path) -> None:
    saving = Checkpoints(tmp_path, 100, 100, "val/psnr_rgb", True)
    short = [f"model.schedule.phases.{name}.batches=1" for name in ("completion", "discriminator", "joint")]
    longer = [*short[:2], "model.schedule.phases.joint.batches=3"]
    unbroken = built("glcic", *longer)
    fit(unbroken)

    fit(built("glcic", *short), saving)
    continued = built("glcic", *longer)
    fit(continued, saving, ckpt_path=tmp_path / "last.ckpt")

    assert continued.schedule.iteration == 5
    assert same(state_of(continued), state_of(unbroken))
