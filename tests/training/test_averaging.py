"""The generators' moving average is what its formula says, completes the images, and disturbs nothing."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from inpaintlab.inpainting import Steps, load_checkpoint, load_weights
from inpaintlab.inpainting import fit as fit_networks
from inpaintlab.inpainting.checkpoints import rebuild
from inpaintlab.survival import Checkpoints
from inpaintlab.training.averaging import Averaging
from stand_ins.building import Builder, State, fit, state_of, toy_data, trainer_of
from stand_ins.commands import checkpoint, run_here, same_weights, tiny
from stand_ins.models import PHASES, only

MODELS = sorted(PHASES)
GENERATORS = {
    "glcic": ["completion"],
    "edgeconnect": ["edge_generator", "inpaint_generator"],
    "partial_convolution": ["network"],
    "contextual_attention": ["generator"],
    "context_encoder_random": ["generator"],
}
DECAY = 0.25  # which the first batch, with (1 + 1) / (10 + 1), has not reached, and the second one has


def short(name: str, batches: int) -> list[str]:
    return [f"model.schedule.phases.{phase}.batches={batches}" for phase in PHASES[name]]


def averaging(built: Builder, name: str, decay: float | None = DECAY) -> Any:
    """At least two batches in each phase and six in all."""
    return built(name, *short(name, max(2, 6 // len(PHASES[name]))), steps=Steps(average=decay))


class History(Callback):
    """The model's state at the start and after each batch."""

    def __init__(self) -> None:
        self.states: list[State] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.states.append(state_of(pl_module))

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *rest: Any) -> None:
        self.states.append(state_of(pl_module))


def examples() -> tuple[Tensor, Tensor]:
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(2, 1, 32, 32)
    mask[..., 8:24, 4:20] = 1
    return image, mask


class Kept(Checkpoints):
    """Also keeps the state after the third batch, within a phase or between two."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *rest: Any) -> None:
        super().on_train_batch_end(trainer, pl_module, *rest)
        if pl_module.schedule.iteration == 3:
            self.save_as(trainer, "kept.ckpt")


class Run(NamedTuple):
    name: str
    model: Any
    states: list[State]
    folder: Path


@pytest.fixture(scope="module", params=only("glcic", of=MODELS))
def run(request: pytest.FixtureRequest, built: Builder, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Each model after a run with averaging; its states after each batch, and the folder of its checkpoints."""
    folder, model, history = tmp_path_factory.mktemp("run"), averaging(built, request.param), History()
    fit(model, Averaging(), history, Kept(folder, 100, 100, "val/psnr_rgb", True))
    return Run(request.param, model, history.states, folder)


# -------------------------------------------------------------------------------------------------------- the formula


def test_the_average_is_the_recursion_written_out(run: Run) -> None:
    for key in (f"{g}.{key}" for g in GENERATORS[run.name] for key, _ in run.model.get_submodule(g).named_parameters()):
        expected = run.states[0][key].double()
        for batch, state in enumerate(run.states[1:], start=1):
            share = min(DECAY, (1 + batch) / (10 + batch))
            expected = share * expected + (1 - share) * state[key].double()
            torch.testing.assert_close(state[f"averages.{key}"].double(), expected, rtol=1e-5, atol=1e-6)


def test_generators_alone_are_averaged_and_their_buffers_are_copied(run: Run) -> None:
    state = run.states[-1]
    assert {key.split(".")[1] for key in state if key.startswith("averages.")} == set(GENERATORS[run.name])
    parts = [(g, run.model.get_submodule(g)) for g in GENERATORS[run.name]]
    for key in (
        f"{g}.{key}" for g, part in parts for key in part.state_dict() if key not in dict(part.named_parameters())
    ):
        assert torch.equal(state[f"averages.{key}"], state[key])
    parameters = [f"{g}.{key}" for g, part in parts for key, _ in part.named_parameters()]
    assert any(not torch.equal(state[f"averages.{key}"], state[key]) for key in parameters)


def test_averaging_changes_nothing_of_the_training(run: Run, built: Builder) -> None:
    alone = averaging(built, run.name, decay=None)
    fit(alone, Averaging())
    before = state_of(alone)
    assert not [key for key in before if key.startswith("averages.")]
    assert all(torch.equal(run.states[-1][key], value) for key, value in before.items())


# ---------------------------------------------------------------------------------------------------- what completes


def test_the_average_completes_the_images_and_steps_aside_again(run: Run, built: Builder) -> None:
    model, reference = run.model, averaging(built, run.name)
    before, networks, order = state_of(model), dict(model.named_children()), list(model.state_dict())
    for generator in GENERATORS[run.name]:
        reference.get_submodule(generator).load_state_dict(model.averages[generator].state_dict())
    if run.name == "glcic":
        reference.mean_pixel.copy_(model.mean_pixel)
    fit_networks(reference.networks(), "cpu", "32-true")  # as a training's are
    image, mask = examples()
    completed = model.complete(image, mask)
    assert torch.equal(completed, reference.complete(image, mask))
    for title, picture in model.seen_inside(image, mask).items():
        assert torch.equal(picture, reference.seen_inside(image, mask)[title])
    assert dict(model.named_children()) == networks
    assert list(model.state_dict()) == order
    assert all(torch.equal(value, before[key]) for key, value in state_of(model).items())
    averages, model.averages = model.averages, None
    learning, model.averages = model.complete(image, mask), averages
    assert not torch.equal(completed, learning)


def test_the_networks_come_back_after_an_exception(built: Builder) -> None:
    model = averaging(built, "glcic")
    Averaging().setup(Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"), model, "fit")
    learning, seen = model.completion, []

    def fail() -> None:
        with model.completing():
            seen.append((model.completion, model.completion.training))
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert seen == [(model.averages["completion"], False)]
    assert model.completion is learning
    assert model.completion.training


def test_the_edges_that_validation_scores_are_the_averages(built: Builder) -> None:
    model = averaging(built, "edgeconnect")
    Averaging().setup(trainer_of("trainer=cpu"), model, "fit")
    called: list[nn.Module] = []
    for network in (model.edge_generator, model.averages["edge_generator"]):
        network.register_forward_hook(lambda module, *_: called.append(module))
    model.log = lambda *_: None
    image, mask = examples()
    with torch.no_grad():
        model.validation_step({"image": image, "mask": mask}, 0)
    assert called == [model.averages["edge_generator"]] * 2


# -------------------------------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_holds_both_and_gives_the_average(run: Run) -> None:
    ours, theirs = state_of(run.model), rebuild(run.folder)[0]
    saved = checkpoint(run.folder)
    assert saved["inpaintlab"]["average"] == DECAY
    for key, value in saved["state_dict"].items():
        assert not isinstance(value, Tensor) or torch.equal(value, ours[key])
    for generator in GENERATORS[run.name]:
        for key, value in theirs.get_submodule(generator).state_dict().items():
            assert torch.equal(value, ours[f"averages.{generator}.{key}"])
    assert theirs.averages is None
    fit_networks(theirs.networks(), "cpu", "32-true")  # as a training's are
    assert torch.equal(theirs.complete(*examples()), run.model.complete(*examples()))


def test_the_result_says_what_completed(run: Run, built: Builder) -> None:
    told = rebuild(run.folder)[0].switches()
    assert told == run.model.switches()
    assert told["generators"] == "averaged over batches, decay 0.25"
    assert "generators" not in built(run.name).switches()


def test_another_run_starts_from_the_weights_that_learned(run: Run, built: Builder) -> None:
    fresh = built(run.name, *short(run.name, 1))
    load_weights(fresh, load_checkpoint(run.folder), "runs/first")
    assert all(torch.equal(value, run.states[-1][key]) for key, value in state_of(fresh).items())


@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable.*")
def test_a_resumed_run_has_the_average_of_the_unbroken_one(run: Run, built: Builder, tmp_path: Path) -> None:
    resumed, saving = averaging(built, run.name), Kept(tmp_path, 100, 100, "val/psnr_rgb", True)
    fit(resumed, Averaging(), saving, ckpt_path=run.folder / "kept.ckpt")
    now, before = state_of(resumed), run.states[-1]
    assert now.keys() == before.keys()
    assert all(torch.equal(now[key], value) for key, value in before.items())


# -------------------------------------------------------------------------------------------------- runs and processes


class Left(Callback):
    """Each process leaves its state behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        torch.save(state_of(pl_module), self.folder / f"{trainer.global_rank}.pt")


def test_processes_hold_the_same_average(built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    settings = ["trainer=cpu", "trainer.devices=2", "trainer.strategy=ddp_fork_find_unused_parameters_true"]
    trainer = trainer_of(*settings, callbacks=[Averaging(), Left(tmp_path)])
    trainer.fit(averaging(built, "edgeconnect"), datamodule=toy_data(), weights_only=True)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert [key for key in first if key.startswith("averages.")]
    assert all(torch.equal(second[key], value) for key, value in first.items())


def test_the_command_averages_and_resumes(tmp_path: Path) -> None:
    settings = [*tiny("glcic"), "average=0.9"]
    shorter = "model.schedule.phases.joint.batches=1"
    for folder, runs in (("whole", [settings]), ("broken", [[*settings, shorter], settings])):
        for run in runs:
            done = run_here("train", *run, f"name={folder}", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
    assert "averaged over batches, decay 0.9" in done.stdout
    whole, broken = (checkpoint(tmp_path / "runs" / folder) for folder in ("whole", "broken"))
    assert [key for key in whole["state_dict"] if key.startswith("averages.")]
    assert same_weights(whole, broken)


@pytest.mark.parametrize("decay", ["0", "1", "1.0", "-0.5", "1.5", "true", "much"])
def test_a_decay_that_is_none_is_refused(tmp_path: Path, decay: str) -> None:
    done = run_here("train", *tiny("glcic"), f"average={decay}", cwd=tmp_path)
    assert done.returncode == 1
    assert "it must be a number, above 0 and below 1, or null" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
