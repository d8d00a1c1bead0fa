"""An evaluation: one method on one manifest, the same numbers each time, nothing foreign run, all or nothing."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from commands import checkpoint, run_here, tiny
from inpaintlab.blending import blend
from inpaintlab.losses import VGG19
from inpaintlab.metrics import MAE
from inpaintlab.pictures import image_tensor, read_rgb
from inpaintlab.results import Result
from inpaintlab.testset import Manifest, ManifestDataset

Done = subprocess.CompletedProcess[str]
BINS = "bins={wide:{_target_:inpaintlab.masks.Half},fixed:{_target_:inpaintlab.masks.Block,fraction:0.5}}"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest of two bins with two images each, and the runs 'glcic' and 'edgeconnect'."""
    folder = tmp_path_factory.mktemp("prepared")
    frozen = run_here(
        "manifest", "data=toy", "data.size=32", "images=2", "out=test.json", "~bins", f"+{BINS}", cwd=folder
    )
    assert frozen.returncode == 0, frozen.stderr
    for model in ("glcic", "edgeconnect"):
        done = run_here("train", *tiny(model, 1), f"name={model}", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path) -> Path:
    """The prepared folder, without results."""
    for name in ("test.json", "runs"):
        (tmp_path / name).symlink_to(prepared / name)
    return tmp_path


def evaluate(folder: Path, *settings: str) -> Done:
    return run_here("evaluate", "manifest=test.json", "trainer=cpu", "workers=0", *settings, cwd=folder)


def succeeded(done: Done) -> Done:
    assert done.returncode == 0, done.stderr
    return done


def refused(done: Done) -> str:
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("model", ["glcic", "edgeconnect"])
def test_a_run_becomes_a_result_folder(here: Path, model: str) -> None:
    done = succeeded(evaluate(here, f"checkpoint=runs/{model}"))
    assert f"results/{model}" in done.stdout
    result = Result.load(here / "results" / model)
    manifest = Manifest.load(here / "test.json")
    assert result.label == model
    assert result.trained
    assert not result.oracle
    assert result.manifest["sha256"] == manifest.sha256
    assert result.checkpoint is not None
    assert result.checkpoint["iterations"] == {"glcic": 3, "edgeconnect": 4}[model]
    assert result.checkpoint["images_seen"] == 2 * result.checkpoint["iterations"]
    assert result.config["width"] == 0.0625
    assert set(result.means) == {"all", "wide", "fixed"}
    assert result.per_image["name"].to_list() == [item.name for item in manifest.items]
    assert (here / "results" / model / "manifest.json").read_bytes() == (here / "test.json").read_bytes()
    assert not list((here / "results").glob("*.partial"))
    for item in manifest.items:
        with Image.open(result.picture(item.name)) as picture:
            assert picture.size == (32, 32)
            assert picture.mode == "RGB"


def test_the_known_pixels_of_the_pictures_are_the_images(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/glcic", "label=a"))
    per_image = Result.load(here / "results/a").per_image
    whole, hole, ratio = (per_image[name].to_numpy() for name in ("mae", "mae_hole", "hole_ratio"))
    # nothing outside the hole differs, so the error over the image is that in the hole times the hole's share
    assert abs(whole - hole * ratio).max() < 1e-6


def test_two_evaluations_agree_to_the_last_bit(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect", "label=a"))
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect/last.ckpt", "label=b", "seed=2"))
    first, second = (Result.load(here / "results" / name) for name in "ab")
    assert first.per_image.drop("seconds").equals(second.per_image.drop("seconds"))
    pictures = sorted((here / "results/a/completed").iterdir())
    assert len(pictures) == 4
    for picture in pictures:
        assert picture.read_bytes() == (here / "results/b/completed" / picture.name).read_bytes()


def test_every_metric_survives_the_way_into_a_result_and_a_table(here: Path) -> None:
    frozen = run_here(
        "manifest", "data=toy", "data.size=64", "images=2", "out=large.json", "~bins", f"+{BINS}", cwd=here
    )
    succeeded(frozen)
    succeeded(evaluate(here, "manifest=large.json", "model=mean_colour", "metrics=all"))
    result = Result.load(here / "results/mean_colour")
    assert result.metrics["edge_precision_exact"].undefined_allowed
    drawn = result.per_image["edge_precision_exact"].to_list()
    assert result.means["all"].get("edge_precision_exact_undefined", 0) == sum(value != value for value in drawn)
    succeeded(run_here("compare", "results=[results/mean_colour]", cwd=here))


def test_images_too_small_for_a_metric_are_told_before_anything_is_written(here: Path) -> None:
    assert "ssim_uniform51_gray needs images of at least 51" in refused(evaluate(here, "model=telea", "metrics=all"))
    assert not (here / "results").exists()


def test_the_batch_size_changes_no_score(here: Path) -> None:
    succeeded(evaluate(here, "model=mean_colour", "label=a", "batch_size=1"))
    succeeded(evaluate(here, "model=mean_colour", "label=b", "batch_size=3"))
    first, second = (Result.load(here / "results" / name).per_image.drop("seconds") for name in "ab")
    assert first.equals(second)


def test_a_classical_method_needs_no_checkpoint(here: Path) -> None:
    succeeded(evaluate(here, "model=telea"))
    result = Result.load(here / "results/telea")
    assert result.trained
    assert result.checkpoint is None
    assert result.parameters == 0


def test_a_model_that_learns_needs_a_checkpoint_or_the_word_untrained(here: Path) -> None:
    assert "untrained=true" in refused(evaluate(here, "model=glcic"))
    succeeded(evaluate(here, "model=glcic", "model.width=0.0625", "untrained=true", "label=floor"))
    result = Result.load(here / "results/floor")
    assert not result.trained
    assert result.checkpoint is None


def test_nothing_named_is_asked_for(here: Path) -> None:
    assert "checkpoint=runs/NAME" in refused(evaluate(here))


def test_evaluation_needs_no_vgg(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(self: VGG19, weights: str) -> None:
        raise AssertionError("evaluation built the VGG-19 of a training loss")

    monkeypatch.setattr(VGG19, "__init__", unwanted)
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect"))
    assert list(here.glob("results/*/result.json"))


def test_the_method_beside_a_checkpoint_has_to_be_the_checkpoints(here: Path) -> None:
    told = refused(evaluate(here, "checkpoint=runs/edgeconnect", "model=glcic"))
    assert "runs/edgeconnect holds a EdgeConnect" in told
    assert "model=glcic" in told


def test_a_setting_goes_on_top_of_the_checkpoints(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect", "model=edgeconnect", "model.sigma=null", "label=none"))
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect", "label=two"))
    blind, seeing = (Result.load(here / "results" / name) for name in ("none", "two"))
    assert (blind.config["sigma"], seeing.config["sigma"]) == (None, 2.0)
    assert blind.config["width"] == 0.0625
    assert not blind.per_image["mae_hole"].equals(seeing.per_image["mae_hole"])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_evaluation_again_changes_nothing(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/glcic"))
    before = contents(here / "results")
    done = succeeded(evaluate(here, "checkpoint=runs/glcic"))
    assert "there already" in done.stdout
    assert contents(here / "results") == before


@pytest.mark.parametrize(
    "other",
    [
        ["model=mean_colour"],
        ["checkpoint=runs/glcic/best.ckpt"],
        ["checkpoint=runs/glcic", "manifest=other.json"],
    ],
)
def test_the_result_of_another_evaluation_is_not_overwritten(here: Path, other: list[str]) -> None:
    settings = ["data=toy", "data.size=32", "images=1", "seed=2", "~bins", f"+{BINS}"]
    succeeded(run_here("manifest", *settings, "out=other.json", cwd=here))
    succeeded(evaluate(here, "checkpoint=runs/glcic", "label=a"))
    before = contents(here / "results")
    told = refused(evaluate(here, *other, "label=a"))
    assert "results/a holds a result of another" in told
    assert contents(here / "results") == before


def test_an_evaluation_that_breaks_off_leaves_no_result(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PowerCut(BaseException):
        pass

    def break_off(self: MAE, *args: Any, **kwargs: Any) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(MAE, "update", break_off)
        with pytest.raises(PowerCut):
            evaluate(here, "model=telea")
    assert not (here / "results/telea").exists()
    with pytest.raises(ValueError, match="unfinished"):
        Result.load(here / "results/telea")
    succeeded(evaluate(here, "model=telea"))
    assert [path.name for path in (here / "results").iterdir()] == ["telea"]


# --- checkpoints that are not what they should be ---------------------------------------------------------------------


class Marker:
    """Leaves a file behind where its pickle is loaded as code."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, ("executed", "w")


def truncated(path: Path, sound: Path) -> None:
    path.write_bytes(sound.read_bytes()[:5000])


def code(path: Path, sound: Path) -> None:
    torch.save({"state_dict": {}, "inpaintlab": Marker()}, path)


def tensors(path: Path, sound: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def text(path: Path, sound: Path) -> None:
    path.write_text("<html>404</html>")


@pytest.mark.parametrize("make", [truncated, code, tensors, text])
def test_a_file_that_is_no_checkpoint_of_ours_is_refused_and_not_run(
    here: Path, make: Callable[[Path, Path], None]
) -> None:
    make(here / "bad.ckpt", here / "runs/glcic/last.ckpt")
    assert "bad.ckpt" in refused(evaluate(here, "checkpoint=bad.ckpt"))
    assert not (here / "executed").exists()
    assert not (here / "results/bad").exists()


def test_a_checkpoint_that_is_not_there_is_named_with_its_place(here: Path) -> None:
    assert str(here / "runs/none") in refused(evaluate(here, "checkpoint=runs/none"))


@pytest.mark.parametrize("target", ["os.system", "inpaintlab.config.os.system"])
@pytest.mark.parametrize("key", ["_target_", "schedule"])
def test_a_checkpoint_does_not_say_what_to_run(here: Path, target: str, key: str) -> None:
    saved = checkpoint(here / "runs/glcic")
    evil = {"_target_": target, "command": "touch executed"}
    saved["inpaintlab"]["model"] = evil if key == "_target_" else saved["inpaintlab"]["model"] | {"schedule": evil}
    torch.save(saved, here / "evil.ckpt")
    told = refused(evaluate(here, "checkpoint=evil.ckpt"))
    assert not (here / "executed").exists()
    assert f"asks to run '{target}'" in told


def test_a_checkpoint_whose_weights_do_not_fit_its_recipe_is_refused(here: Path) -> None:
    saved = checkpoint(here / "runs/glcic")
    del saved["state_dict"]["mean_pixel"]
    torch.save(saved, here / "short.ckpt")
    assert "mean_pixel is missing" in refused(evaluate(here, "checkpoint=short.ckpt"))


# --- manifests -------------------------------------------------------------------------------------------------------


def test_a_manifest_that_is_not_there_is_named(here: Path) -> None:
    told = refused(run_here("evaluate", "model=telea", "manifest=no.json", cwd=here))
    assert str(here / "no.json") in told
    assert "inpaintlab manifest" in told


def test_photographs_that_moved_are_found_at_root(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / "before" / split).mkdir(parents=True)
        for index in range(2):
            noise = torch.randint(0, 256, (48, 48, 3), generator=torch.Generator().manual_seed(index))
            Image.fromarray(noise.byte().numpy()).save(tmp_path / "before" / split / f"{index}.png")
    folder = ["data=folder", "data.root=before", "data.size=32"]
    succeeded(run_here("manifest", *folder, "~bins", f"+{BINS}", "out=test.json", cwd=tmp_path))
    succeeded(evaluate(tmp_path, "model=mean_colour", "label=a"))
    shutil.move(tmp_path / "before", tmp_path / "after")
    assert "before" in refused(evaluate(tmp_path, "model=mean_colour", "label=b"))
    succeeded(evaluate(tmp_path, "model=mean_colour", "label=b", "root=after"))
    first, second = (Result.load(tmp_path / "results" / name).per_image.drop("seconds") for name in "ab")
    assert first.equals(second)


# --- post-processing -------------------------------------------------------------------------------------------------


def test_blending_reports_both_numbers_from_one_run_of_the_method(here: Path) -> None:
    done = succeeded(evaluate(here, "checkpoint=runs/glcic", "blend=true"))
    assert "results/glcic_blended" in done.stdout
    plain, blended = (Result.load(here / "results" / label) for label in ("glcic", "glcic_blended"))
    assert (plain.post_processing, blended.post_processing) == (None, "fast marching + Poisson blending")
    assert plain.checkpoint == blended.checkpoint
    assert plain.means["all"]["mae_hole"] != blended.means["all"]["mae_hole"]
    succeeded(evaluate(here, "checkpoint=runs/glcic", "label=alone"))
    assert plain.means == Result.load(here / "results" / "alone").means


def test_the_blended_pictures_are_those_of_blending_the_completed_ones(here: Path) -> None:
    succeeded(evaluate(here, "model=mean_colour", "blend=true"))
    dataset = ManifestDataset(Manifest.load(here / "test.json"))
    plain, blended = (Result.load(here / "results" / label) for label in ("mean_colour", "mean_colour_blended"))
    for sample in dataset:
        completed = image_tensor(read_rgb(plain.picture(sample["name"])))[None]
        found = image_tensor(read_rgb(blended.picture(sample["name"])))[None]
        assert torch.equal(found, blend(completed, sample["mask"][None]))


def test_a_blended_result_is_added_to_a_plain_one_that_is_there(here: Path) -> None:
    succeeded(evaluate(here, "model=mean_colour"))
    before = (here / "results" / "mean_colour" / "result.json").read_bytes()
    done = succeeded(evaluate(here, "model=mean_colour", "blend=true"))
    assert "is there already" in done.stdout
    assert (here / "results" / "mean_colour" / "result.json").read_bytes() == before
    assert Result.load(here / "results" / "mean_colour_blended").label == "mean_colour_blended"


def test_what_implementations_do_differently_is_in_the_result(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect"))
    assert Result.load(here / "results" / "edgeconnect").switches["fill"] == "white"


def test_true_edges_at_test_time_make_an_oracle_of_edgeconnect(here: Path) -> None:
    for label, setting in {
        "named": ["model=edgeconnect", "model.test_edges=whole"],
        "added": ["+model.test_edges=whole"],
    }.items():
        succeeded(evaluate(here, "checkpoint=runs/edgeconnect", *setting, f"label={label}"))
        result = Result.load(here / "results" / label)
        assert result.oracle
        assert result.switches["test_edges"] == "whole"


def test_a_group_beside_a_checkpoint_is_refused_rather_than_ignored(here: Path) -> None:
    told = refused(evaluate(here, "checkpoint=runs/edgeconnect", "model=edgeconnect", "model/gan=hinge"))
    assert "model/gan=hinge" in told
