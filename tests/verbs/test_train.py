"""A training run: what it says before it starts, what it leaves behind, and which folder is its own."""

import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from PIL import Image

from inpaintlab.models import GLCIC
from stand_ins.commands import PHASES, checkpoint, run_here, same_weights, tiny

Done = subprocess.CompletedProcess[str]


def train(folder: Path, *settings: str, **variables: str) -> Done:
    return run_here("train", *settings, cwd=folder, **variables)


def succeeded(done: Done) -> Done:
    assert done.returncode == 0, done.stderr
    return done


def refused(done: Done) -> str:
    """The one sentence of a command that refused."""
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


@pytest.fixture(scope="module", params=sorted(PHASES))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, str]:
    """Each model with two batches in each phase: its name, its run's folder, what the command printed."""
    folder = tmp_path_factory.mktemp(request.param)
    done = succeeded(train(folder, *tiny(request.param)))
    return request.param, only_run(folder), done.stdout


@pytest.fixture(scope="module")
def glcic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of GLCIC called 'a'; never written to, copy it."""
    folder = tmp_path_factory.mktemp("finished")
    succeeded(train(folder, *tiny("glcic"), "name=a"))
    return folder / "runs" / "a"


@pytest.fixture
def copied(glcic: Path, tmp_path: Path) -> Path:
    """A copy of the finished run 'a'."""
    return Path(shutil.copytree(glcic, tmp_path / "runs" / "a"))


# --- what it says ----------------------------------------------------------------------------------------------------


def test_the_plan_stands_before_the_first_batch(trained: tuple[str, Path, str]) -> None:
    model, _, printed = trained
    plan, _, rest = printed.partition("run:")
    assert plan.index("Phases") < plan.index("Losses")
    assert "val/" not in plan
    assert "done:" in rest
    for phase in PHASES[model]:
        row = next(line for line in plan.splitlines() if line.split()[1:2] == [phase])
        assert row.split()[3] == "2"  # batches
        assert row.split()[5] == "4"  # images: two in a batch
    total = next(line for line in plan.splitlines() if line.split()[1:2] == ["total"])
    assert total.split()[3::2][:2] == [str(2 * len(PHASES[model])), str(4 * len(PHASES[model]))]


def test_the_plan_tells_each_loss_with_its_weight(trained: tuple[str, Path, str]) -> None:
    model, _, printed = trained
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line.startswith("│")]
    expected = {
        "glcic": [["joint", "adversarial", "0.0004"], ["completion", "reconstruction", "1"]],
        "edgeconnect": [["edge", "feature_matching", "10"], ["inpaint", "style", "250"], ["inpaint", "l1", "1"]],
        "partial_convolution": [["network", "hole", "6"], ["network", "style", "120"]],
        "contextual_attention": [["generator", "ae", "1.2"], ["critics", "penalty", "10"]],
        "context_encoder_random": [["generator", "reconstruction", "0.999"], ["discriminator", "fake", "1"]],
    }
    for row in expected[model]:
        assert row in rows


# --- what it leaves --------------------------------------------------------------------------------------------------


def test_the_folder_holds_what_a_run_is(trained: tuple[str, Path, str]) -> None:
    _, run, _ = trained
    names = set(contents(run))
    assert names >= {"config.json", "validation.json", "last.ckpt", "best.ckpt", "log/version_0/metrics.csv"}
    assert not [name for name in names if "partial" in name]


def test_the_checkpoint_counts_batches_not_optimizer_steps(trained: tuple[str, Path, str]) -> None:
    model, run, _ = trained
    saved = checkpoint(run)
    batches = 2 * len(PHASES[model])
    assert saved["inpaintlab"]["iterations"] == batches
    assert saved["inpaintlab"]["images_seen"] == 2 * batches
    assert saved["state_dict"]["schedule._extra_state"] == {"iteration": batches, "plateaus": {}}
    # several optimizers step in a batch of adversaries: this is why we do not count steps
    assert saved["global_step"] > batches or model in ("partial_convolution", "contextual_attention")


def test_the_checkpoint_holds_no_vgg(trained: tuple[str, Path, str]) -> None:
    _, run, _ = trained
    assert not [key for key in checkpoint(run)["state_dict"] if "vgg" in key]


def test_the_log_has_a_row_for_each_batch(trained: tuple[str, Path, str]) -> None:
    model, run, _ = trained
    header, *rows = (run / "log/version_0/metrics.csv").read_text().splitlines()
    step = header.split(",").index("step")
    assert {int(row.split(",")[step]) for row in rows} == set(range(2 * len(PHASES[model])))
    assert "val/psnr_rgb" in header
    assert "train/" in header


def test_panels_are_pictures_of_the_same_images(trained: tuple[str, Path, str]) -> None:
    model, run, _ = trained
    # input, (what the method draws on its way,) raw output, completed, original
    columns = {"edgeconnect": 5, "partial_convolution": 5, "contextual_attention": 6}.get(model, 4)
    panels = sorted((run / "panels").iterdir())
    assert [panel.name for panel in panels] == [f"{n:07d}.png" for n in range(2, 2 * len(PHASES[model]) + 1, 2)]
    inputs = set()
    for panel in panels:
        with Image.open(panel) as picture:
            assert picture.format == "PNG"
            assert picture.size == (columns * (32 + 4) + 4, 16 + 2 * (32 + 4) + 4)
            inputs.add(picture.crop((4, 16, 36, 92)).tobytes())
            original = picture.crop((picture.width - 36, 16, picture.width - 4, 92))
            assert original.getextrema() != ((255, 255),) * 3
    assert len(inputs) == 1


def test_the_same_command_elsewhere_gives_the_same_weights(glcic: Path, tmp_path: Path) -> None:
    succeeded(train(tmp_path, *tiny("glcic"), "name=a"))
    assert same_weights(checkpoint(glcic), checkpoint(tmp_path / "runs/a"))


def test_another_seed_gives_other_weights(glcic: Path, tmp_path: Path) -> None:
    succeeded(train(tmp_path, *tiny("glcic"), "name=a", "seed=2"))
    assert not same_weights(checkpoint(glcic), checkpoint(tmp_path / "runs/a"))


def test_the_last_checkpoint_exists_after_two_batches(tmp_path: Path) -> None:
    lengths = ["model/schedule=completion_only", "model.schedule.phases.completion.batches=2"]
    succeeded(train(tmp_path, *tiny("glcic")[:-3], *lengths, "every.checkpoint=500", "every.validation=2"))
    assert checkpoint(only_run(tmp_path))["inpaintlab"]["iterations"] == 2


# --- which folder ----------------------------------------------------------------------------------------------------


def test_the_same_command_after_the_end_changes_nothing(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(copied)
    monkeypatch.setattr("inpaintlab.training.fit.commit", lambda: "a later commit, which trained nothing here")
    done = succeeded(train(copied.parents[1], *tiny("glcic"), "name=a"))
    assert "is finished" in done.stdout
    assert contents(copied) == before


def test_a_run_without_a_name_finds_its_own_folder_again(trained: tuple[str, Path, str]) -> None:
    model, run, _ = trained
    done = succeeded(train(run.parents[1], *reversed(tiny(model)), "every.log=7"))
    assert "is finished" in done.stdout
    assert only_run(run.parents[1]) == run


@pytest.mark.parametrize(
    "setting", ["seed=2", "data.flip=0.0", "mask=block", "model.learning_rate=0.5", "data.batch_size=3", "init=runs/x"]
)
def test_another_setting_is_another_folder(glcic: Path, tmp_path: Path, setting: str) -> None:
    shutil.copytree(glcic, tmp_path / "runs" / "x")
    lengths = ["model.schedule.phases.discriminator.batches=0", "model.schedule.phases.joint.batches=0"]
    first = succeeded(train(tmp_path, *tiny("glcic", 1), *lengths))
    second = succeeded(train(tmp_path, *tiny("glcic", 1), *lengths, setting))
    assert "is finished" not in second.stdout
    assert first.stdout.split("done: ")[1] != second.stdout.split("done: ")[1]
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_a_name_is_not_shared_by_other_settings(copied: Path) -> None:
    before = contents(copied)
    told = refused(train(copied.parents[1], *tiny("glcic"), "name=a", "seed=2", "data.flip=0.25"))
    assert "seed: 1 -> 2" in told
    assert "data.flip: 0.5 -> 0.25" in told
    assert "name=" in told
    assert contents(copied) == before


def test_a_start_that_failed_does_not_keep_its_name(tmp_path: Path) -> None:
    folder = ["data=folder", f"data.root={tmp_path / 'nothing'}", "data.size=32", "data.workers=0"]
    told = refused(train(tmp_path, *tiny("glcic", 1), *folder, "name=a"))
    assert str(tmp_path / "nothing") in told
    succeeded(train(tmp_path, *tiny("glcic", 1), "name=a"))


def test_a_longer_schedule_continues_the_run(copied: Path) -> None:
    longer = [*tiny("glcic"), "model.schedule.phases.joint.batches=4", "name=a"]
    done = succeeded(train(copied.parents[1], *longer))
    assert "resuming after 6 of 8 batches" in done.stdout
    assert checkpoint(copied)["inpaintlab"]["iterations"] == 8
    header, *rows = (copied / "log/version_1/metrics.csv").read_text().splitlines()
    assert {int(row.split(",")[header.split(",").index("step")]) for row in rows} == {6, 7}


def test_a_longer_schedule_ends_like_one_that_was_long_from_the_start(copied: Path, tmp_path: Path) -> None:
    longer = [*tiny("glcic"), "model.schedule.phases.joint.batches=4"]
    succeeded(train(copied.parents[1], *longer, "name=a"))
    succeeded(train(copied.parents[1], *longer, "name=b"))
    assert same_weights(checkpoint(copied), checkpoint(copied.parent / "b"))


# --- from another run's weights ---------------------------------------------------------------------------------------


def test_init_takes_the_weights_and_starts_the_schedule_at_zero(copied: Path) -> None:
    still = "model.learning_rate=1e-12"  # so small that a batch moves no weight
    lengths = ["model/schedule=completion_only", "model.schedule.phases.completion.batches=1", still]
    done = succeeded(train(copied.parents[1], *tiny("glcic")[:-3], *lengths, "init=runs/a", "which=last", "name=b"))
    assert "resuming" not in done.stdout
    assert "weights: runs/a/last.ckpt: after 6 of 6 batches, val/psnr_rgb" in done.stdout
    first, second = checkpoint(copied), checkpoint(copied.parent / "b")
    assert second["inpaintlab"]["iterations"] == 1
    for key in ("completion.layers.0.0.weight", "discriminator.joint.weight"):
        torch.testing.assert_close(second["state_dict"][key], first["state_dict"][key], rtol=0, atol=1e-9)


def test_init_of_another_width_is_refused(copied: Path) -> None:
    told = refused(train(copied.parents[1], *tiny("glcic"), "model.width=0.125", "init=runs/a", "name=b"))
    assert "runs/a does not fit GLCIC" in told
    assert "shape" in told


def test_init_of_another_method_is_refused(copied: Path) -> None:
    told = refused(train(copied.parents[1], *tiny("edgeconnect"), "init=runs/a", "name=b"))
    assert "runs/a does not fit EdgeConnect" in told


def test_init_of_nothing_is_refused(tmp_path: Path) -> None:
    assert "no checkpoint" in refused(train(tmp_path, *tiny("glcic"), "init=runs/none"))


def test_edge_maps_are_there_where_the_model_reads_them_and_only_there(tmp_path: Path) -> None:
    told = refused(train(tmp_path, *tiny("edgeconnect", 1), "model/edges=files"))
    assert "model.edges reads an edge map for each picture; give data.source.edges=DIR" in told
    for folder, size in (("photos/train", (40, 40)), ("photos/val", (40, 40)), ("maps/train", (40, 40))):
        (tmp_path / folder).mkdir(parents=True)
        for name in "ab":
            Image.new("RGB", size, {"a": "red", "b": "blue"}[name]).save(tmp_path / folder / f"{name}.png")
    own = ["data=folder", f"data.root={tmp_path}/photos", f"data.source.edges={tmp_path}/maps"]
    settings = [setting for setting in tiny("edgeconnect", 1) if setting != "data=toy"]
    told = refused(train(tmp_path, *settings, *own))
    assert "which model.edges would ignore; give model/edges=files" in told


def test_edgeconnect_trains_stage_by_stage(tmp_path: Path) -> None:
    common = [setting for setting in tiny("edgeconnect") if "schedule" not in setting]
    for stage, before in (("edge", None), ("inpaint", "edge"), ("edge_inpaint", "inpaint")):
        schedule = [f"model/schedule={stage}_only", f"model.schedule.phases.{stage}.batches=2"]
        start = [f"init=runs/{before}", "which=last"] if before else []
        succeeded(train(tmp_path, *common, *schedule, *start, f"name={stage}"))
    edge, inpaint, last = (checkpoint(tmp_path / "runs" / name) for name in ("edge", "inpaint", "edge_inpaint"))
    assert [saved["inpaintlab"]["iterations"] for saved in (edge, inpaint, last)] == [2, 2, 2]
    # the edge networks rest while the others learn, power iterations included
    for key, value in edge["state_dict"].items():
        if key.startswith(("edge_generator", "edge_discriminator")):
            assert torch.equal(value, inpaint["state_dict"][key]), key
            assert torch.equal(value, last["state_dict"][key]), key
    moved = "inpaint_generator.body.1.weight"
    assert not torch.equal(edge["state_dict"][moved], inpaint["state_dict"][moved])


# --- what stops it ---------------------------------------------------------------------------------------------------


def no_network(*args: Any, **kwargs: Any) -> None:
    raise URLError("no network")


def test_without_vgg_weights_training_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    told = refused(train(tmp_path, *tiny("edgeconnect"), "model.vgg=imagenet"))
    assert "VGG-19" in told
    assert "model.vgg=random" in told
    assert not (only_run(tmp_path) / "last.ckpt").exists()


def test_a_vgg_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.pth" in refused(train(tmp_path, *tiny("edgeconnect"), "model.vgg=nowhere.pth"))


def test_the_edge_phase_alone_needs_no_vgg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    settings = [setting for setting in tiny("edgeconnect") if "schedule" not in setting and "vgg" not in setting]
    lengths = ["model/schedule=edge_only", "model.schedule.phases.edge.batches=1"]
    succeeded(train(tmp_path, *settings, *lengths))
    assert list(tmp_path.glob("runs/*/last.ckpt"))


def test_a_loss_that_is_not_finite_stops_and_the_last_sound_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = GLCIC.learn

    def broken(self: GLCIC, batch: Any, phase: Any) -> dict[str, torch.Tensor]:
        losses = learn(self, batch, phase)
        return {name: loss * float("nan") for name, loss in losses.items()} if self.schedule.iteration == 3 else losses

    monkeypatch.setattr(GLCIC, "learn", broken)
    told = refused(train(tmp_path, *tiny("glcic"), "name=a"))
    assert "Batch 4 (phase 'discriminator')" in told
    assert "has losses that are not finite" in told
    assert "last.ckpt" in told
    assert checkpoint(tmp_path / "runs/a")["inpaintlab"]["iterations"] == 3


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = GLCIC.learn

    def broken(self: GLCIC, batch: Any, phase: Any) -> dict[str, torch.Tensor]:
        losses = learn(self, batch, phase)  # finite, as a loss is that was computed before the step that broke
        if self.schedule.iteration == 3:
            with torch.no_grad():
                next(self.completion.parameters()).fill_(float("nan"))
        return losses

    monkeypatch.setattr(GLCIC, "learn", broken)
    refused(train(tmp_path, *tiny("glcic"), "name=a"))
    for name in ("last.ckpt", "best.ckpt"):
        saved = checkpoint(tmp_path / "runs/a", name)
        assert saved["inpaintlab"]["iterations"] <= 3
        assert all(bool(torch.isfinite(v).all()) for v in saved["state_dict"].values() if isinstance(v, torch.Tensor))


def test_a_monitor_that_validation_does_not_give_is_answered_with_what_it_gives(tmp_path: Path) -> None:
    told = refused(train(tmp_path, *tiny("glcic", 1), "monitor.name=val/fid"))
    assert "'val/fid'" in told
    assert "val/mae, val/mae_hole, val/psnr_rgb, val/ssim_gauss11_rgb" in told


def test_a_phase_that_a_model_does_not_know_is_refused(tmp_path: Path) -> None:
    told = refused(train(tmp_path, *tiny("glcic"), "+model.schedule.phases.warmup.batches=3"))
    assert "'warmup'" in told
    assert "completion, discriminator, joint" in told


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["model=glcic", "model.image_size=64", "data.size=32"],
            "built for 64 pixels (model.image_size), the data come",
        ),
        (
            ["model=contextual_attention_mmagic", "data.size=64"],
            "data.size is 64; with these settings the model needs 72",
        ),
    ],
)
def test_a_size_that_the_built_model_cannot_learn_from_is_told_before_anything_is_written(
    tmp_path: Path, settings: list[str], said: str
) -> None:
    small = ("data=toy", "model.width=0.0625", "model.patch_size=16", "trainer=cpu", "logger=none")
    ended = run_here("train", *settings, *small, cwd=tmp_path)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
