"""An evaluation: one method on one manifest, the same numbers each time, nothing foreign run, all or nothing."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from inpaintlab.data import image_tensor, read_rgb
from inpaintlab.evaluation import Plan, Result
from inpaintlab.evaluation.scoring import Scores
from inpaintlab.imaging import blend
from inpaintlab.losses import VGG19
from inpaintlab.machine import file_sha256
from inpaintlab.models import MeanColour
from inpaintlab.testsets import Manifest, ManifestDataset, picture_name
from stand_ins.commands import SCRIPT, checkpoint, run, run_here, start, tiny
from stand_ins.kills import at_once, ended_at

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
    done = succeeded(evaluate(here, f"checkpoint=runs/{model}", "which=last"))
    assert f"results/{model}" in done.stdout
    assert done.stdout.startswith(f"runs/{model}/last.ckpt: after ")
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
    training = result.checkpoint["training"]
    assert (training["size"], training["seed"], training["init"]) == (32, 1, None)
    assert training["data"]["_target_"] == "inpaintlab.data.Toy"
    assert training["mask"]["_target_"] == "inpaintlab.masks.Rectangle"
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
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect/best.ckpt", "label=b", "seed=2"))
    first, second = (Result.load(here / "results" / name) for name in "ab")
    assert first.per_image.equals(second.per_image)
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
    first, second = (Result.load(here / "results" / name).per_image for name in "ab")
    assert first.equals(second)


def test_a_classical_method_needs_no_checkpoint(here: Path) -> None:
    succeeded(evaluate(here, "model=telea"))
    result = Result.load(here / "results/telea")
    assert result.trained
    assert result.checkpoint is None
    assert result.cost["parameters"] is None
    assert result.cost["rounds"] >= 3
    assert {"load_of_others", "cores"} <= result.cost.keys()


def test_a_model_that_learns_needs_a_checkpoint_or_the_word_untrained(here: Path) -> None:
    assert "untrained=true" in refused(evaluate(here, "model=glcic"))
    succeeded(evaluate(here, "model=glcic", "model.width=0.0625", "untrained=true", "label=floor"))
    result = Result.load(here / "results/floor")
    assert not result.trained
    assert result.checkpoint is None
    other_weights = ["model=glcic", "model.width=0.0625", "untrained=true", "label=floor", "seed=2"]
    assert "of another seed" in refused(evaluate(here, *other_weights))


def test_nothing_named_is_asked_for(here: Path) -> None:
    assert "checkpoint=runs/NAME" in refused(evaluate(here))


def test_evaluation_needs_no_vgg_and_notes_its_command(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(self: VGG19, weights: str) -> None:
        raise AssertionError("evaluation built the VGG-19 of a training loss")

    monkeypatch.setattr(VGG19, "__init__", unwanted)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "inpaintlab", "evaluate", "label=a b"])
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect"))
    (result,) = here.glob("results/*/result.json")
    assert json.loads(result.read_text())["command"] == "inpaintlab evaluate 'label=a b'"


def test_the_method_beside_a_checkpoint_has_to_be_the_checkpoints(here: Path) -> None:
    told = refused(evaluate(here, "checkpoint=runs/edgeconnect", "model=glcic"))
    assert "runs/edgeconnect holds a EdgeConnect" in told
    assert "model=glcic" in told


def test_a_source_of_files_needs_a_test_set_with_maps(here: Path) -> None:
    told = refused(evaluate(here, "checkpoint=runs/edgeconnect", "+model/edges=files"))
    assert "test.json has none of 'test_0000'; freeze the test set with data.source.edges=DIR" in told


def test_settings_and_a_source_of_edges_go_on_top_of_the_checkpoints(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect", "model=edgeconnect", "model.fill=zero", "label=zero"))
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect", "+model/edges=none", "label=none"))
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect", "label=two"))
    zero, blind, usual = (Result.load(here / "results" / name) for name in ("zero", "none", "two"))
    assert [result.config["fill"] for result in (zero, blind, usual)] == ["zero", "white", "white"]
    assert [result.config["edges"]["_target_"].split(".")[-1] for result in (zero, blind, usual)] == [
        "Canny",
        "NoEdges",
        "Canny",
    ]
    assert usual.switches["edges"] == "canny, sigma 2"
    assert blind.switches["edges"] == "none (trained on canny, sigma 2)"
    assert zero.config["width"] == 0.0625
    for other in (zero, blind):
        assert not other.per_image["mae_hole"].equals(usual.per_image["mae_hole"])
    density = usual.per_image["edge_density"].to_list()
    assert all(0 <= share < 1 for share in density)
    assert any(density)
    assert blind.per_image["edge_density"].to_list() == density  # of the test set
    assert {"drawn_edge_precision", "drawn_edge_recall", "drawn_edge_f1"} <= set(usual.metrics) & set(
        usual.means["all"]
    )
    assert np.isnan(blind.per_image["drawn_edge_recall"].to_numpy()).all()  # there is no true edge to be drawn


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
        ["checkpoint=runs/glcic", "which=last"],
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


def test_overwriting_puts_the_new_result_in_the_place_of_the_old_one(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/glcic", "label=a"))
    succeeded(evaluate(here, "model=mean_colour", "label=a", "overwrite=true"))
    assert Result.load(here / "results/a").checkpoint is None
    assert [path.name for path in (here / "results").iterdir()] == ["a"]


def test_a_result_without_a_metric_that_is_asked_for_is_not_taken_for_one_that_has_it(here: Path) -> None:
    succeeded(evaluate(here, "model=mean_colour"))
    band = "+metrics.mae_band4={_target_:inpaintlab.metrics.MAEBand,width:4}"
    assert "of another set of metrics" in refused(evaluate(here, "model=mean_colour", band))
    succeeded(evaluate(here, "model=mean_colour", band, "overwrite=true"))
    assert "there already" in succeeded(evaluate(here, "model=mean_colour")).stdout


def test_methods_that_one_code_scored_tell_the_same_versions_and_those_of_another_do_not(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in ("model=mean_colour", "checkpoint=runs/glcic"):
        succeeded(evaluate(here, method))
    monkeypatch.setattr("inpaintlab.evaluation.plan.code_sha256", lambda modules: "another hash")
    succeeded(evaluate(here, "model=telea"))
    one, two, other = (Result.load(here / "results" / name) for name in ("mean_colour", "glcic", "telea"))
    assert one.versions == two.versions
    assert one.code != two.code
    assert {key for key in one.versions if one.versions[key] != other.versions[key]} == {"scoring code"}


def test_a_result_of_other_code_is_not_taken_for_one_of_this_code(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    succeeded(evaluate(here, "model=mean_colour"))
    monkeypatch.setattr("inpaintlab.evaluation.plan.code_sha256", lambda modules: "other")
    assert "of another version of the code" in refused(evaluate(here, "model=mean_colour"))


@pytest.mark.parametrize("label", ["../x", "a/b", ".hidden", "x.partial", "''", "'x '", "l" * 201])
def test_a_label_that_cannot_name_a_result_folder_is_told_before_anything_is_written(here: Path, label: str) -> None:
    assert "cannot name a result" in refused(evaluate(here, "model=mean_colour", f"label={label}"))
    assert sorted(path.name for path in here.iterdir()) == ["runs", "test.json"]


def test_a_label_of_digits_is_text(here: Path) -> None:
    succeeded(evaluate(here, "model=mean_colour", "label=12"))
    assert Result.load(here / "results/12").label == "12"


def test_weights_are_known_by_their_hash_wherever_they_lie(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/glcic", "label=a"))
    shutil.copy(here / "runs/glcic/best.ckpt", here / "copy.ckpt")
    for same in (here / "runs/glcic", "copy.ckpt"):
        assert "there already" in succeeded(evaluate(here, f"checkpoint={same}", "label=a")).stdout


def test_numbers_of_another_precision_are_another_result(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/glcic", "label=a"))
    half = ["checkpoint=runs/glcic", "precision=bf16-mixed"]
    assert "of another switches" in refused(evaluate(here, *half, "label=a"))
    succeeded(evaluate(here, *half, "label=b"))
    assert Result.load(here / "results/b").switches["precision"] == "bf16-mixed"
    assert "precision" not in Result.load(here / "results/a").switches
    assert "there already" in succeeded(evaluate(here, *half[:1], "trainer.precision=bf16-mixed", "label=b")).stdout
    for other in ("precision=16-mixed", "trainer.precision=64-true"):
        assert "'32-true' or 'bf16-mixed'" in refused(evaluate(here, half[0], other, "label=c"))
    assert not (here / "results/c").exists()


def test_precision_and_compilation_are_nothing_to_a_classical_method(here: Path) -> None:
    succeeded(evaluate(here, "model=mean_colour", "label=a"))
    same = succeeded(evaluate(here, "model=mean_colour", "precision=bf16-mixed", "compile=true", "label=a"))
    assert "there already" in same.stdout


def lose_a_picture(folder: Path) -> None:
    next((folder / "completed").iterdir()).unlink()


def cut_short(folder: Path) -> None:
    path = folder / "per_image.parquet"
    path.write_bytes(path.read_bytes()[:300])


def scribble(folder: Path) -> None:
    (folder / "result.json").write_text("{")


def test_a_damaged_result_is_neither_reused_nor_in_the_way_forever(here: Path) -> None:
    succeeded(evaluate(here, "model=mean_colour"))
    whole = contents(here / "results/mean_colour/completed")
    for harm in (lose_a_picture, cut_short, scribble):
        harm(here / "results/mean_colour")
        assert "overwrite=true replaces it" in refused(evaluate(here, "model=mean_colour")), harm
        succeeded(evaluate(here, "model=mean_colour", "overwrite=true"))
        assert contents(here / "results/mean_colour/completed") == whole, harm
    assert "there already" in succeeded(evaluate(here, "model=mean_colour")).stdout


def test_a_folder_that_is_no_result_is_never_replaced(here: Path) -> None:
    (here / "results/photos").mkdir(parents=True)
    (here / "results/photos/mine.png").touch()
    (here / "results/notes").write_text("mine")
    for label in ("photos", "notes"):
        told = refused(evaluate(here, "model=mean_colour", f"label={label}", "overwrite=true"))
        assert "is no result" in told
    assert (here / "results/photos/mine.png").exists()
    assert (here / "results/notes").read_text() == "mine"


# --- stopping and going on, dividing the work -------------------------------------------------------------------------


class PowerCut(BaseException):
    """Ends a process without giving it time for anything."""


@pytest.fixture(scope="module")
def ten_items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ten")
    settings = ["data=toy", "data.size=32", "images=5", "~bins", f"+{BINS}", "out=ten.json"]
    succeeded(run_here("manifest", *settings, cwd=folder))
    return folder / "ten.json"


@pytest.fixture
def ten(here: Path, ten_items: Path) -> Path:
    """A manifest of ten items, ten.json, and the prepared runs."""
    shutil.copy(ten_items, here)
    return here


def cut_after(batches: int, patch: pytest.MonkeyPatch) -> list[int]:
    """Let the power fail while a batch is scored after so many, and note the positions of the items that are scored."""
    seen: list[int] = []
    add = Scores.add

    def watched(self: Scores, batch: dict[str, Any], *rest: Any) -> None:
        if batches and len(seen) >= 2 * batches:
            raise PowerCut
        seen.extend(batch["position"].tolist())
        add(self, batch, *rest)

    patch.setattr(Scores, "add", watched)
    return seen


def test_an_evaluation_that_breaks_off_goes_on_where_it_stopped(ten: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["manifest=ten.json", "checkpoint=runs/glcic", "batch_size=2"]
    succeeded(evaluate(ten, *command, "label=unbroken"))
    with monkeypatch.context() as patch:
        patch.setattr("inpaintlab.evaluation.scoring.ROWS_A_PART", 2)
        seen = cut_after(3, patch)
        with pytest.raises(PowerCut):
            evaluate(ten, *command)
    assert seen == [0, 1, 2, 3, 4, 5]
    assert not (ten / "results/glcic").exists()
    with pytest.raises(ValueError, match="unfinished"):
        Result.load(ten / "results/glcic")
    with monkeypatch.context() as patch:
        seen = cut_after(0, patch)
        assert "going on after 6 images" in succeeded(evaluate(ten, *command)).stdout
    assert seen == [6, 7, 8, 9]
    first, second = (Result.load(ten / "results" / name) for name in ("unbroken", "glcic"))
    assert first.per_image.equals(second.per_image)
    assert sorted(path.name for path in (ten / "results").iterdir()) == ["glcic", "unbroken"]
    names = {path.relative_to(first.folder) for path in first.folder.rglob("*")}
    assert names == {path.relative_to(second.folder) for path in second.folder.rglob("*")}


def test_what_was_begun_with_other_inputs_is_begun_anew(ten: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("inpaintlab.evaluation.scoring.ROWS_A_PART", 2)
        cut_after(3, patch)
        with pytest.raises(PowerCut):
            evaluate(ten, "manifest=ten.json", "checkpoint=runs/glcic", "batch_size=2", "label=a")
    seen = cut_after(0, monkeypatch)
    done = succeeded(evaluate(ten, "manifest=ten.json", "model=mean_colour", "label=a"))
    assert "begun anew, because a.partial was of other inputs" in done.stdout
    assert seen == list(range(10))


def test_an_overwriting_that_breaks_off_between_two_names_did_not_happen_and_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeded(evaluate(here, "checkpoint=runs/glcic", "label=a"))
    before = contents(here / "results/a")
    other = ["model=mean_colour", "label=a"]
    for _ in range(2):
        with monkeypatch.context() as patch:
            rename = Path.rename

            def fails(path: Path, target: Path) -> Path:
                if path.name == "a.partial":
                    raise PowerCut
                return rename(path, target)  # noqa: B023  (the same in each round)

            patch.setattr(Path, "rename", fails)
            with pytest.raises(PowerCut):
                evaluate(here, *other, "overwrite=true")
        assert "of another" in refused(evaluate(here, *other))
        assert contents(here / "results/a") == before
    assert "going on after 4 images" in succeeded(evaluate(here, *other, "overwrite=true")).stdout
    assert Result.load(here / "results/a").checkpoint is None
    assert [path.name for path in (here / "results").iterdir()] == ["a"]


def test_what_is_damaged_of_an_unfinished_evaluation_is_made_again(ten: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["manifest=ten.json", "model=mean_colour", "batch_size=2"]
    succeeded(evaluate(ten, *command, "label=unbroken"))
    unbroken = Result.load(ten / "results/unbroken").per_image
    for harmed, done in (("parts/00000002-2-*.parquet", "going on after 4 images"), ("inputs.json", "begun anew")):
        with monkeypatch.context() as patch:
            patch.setattr("inpaintlab.evaluation.scoring.ROWS_A_PART", 2)
            cut_after(3, patch)
            with pytest.raises(PowerCut):
                evaluate(ten, *command)
        (path,) = (ten / "results/mean_colour.partial").glob(harmed)
        harmful = bytearray(path.read_bytes())
        harmful[len(harmful) // 2] ^= 1
        path.write_bytes(harmful)
        assert done in succeeded(evaluate(ten, *command)).stdout
        result = Result.load(ten / "results/mean_colour")
        assert result.per_image.equals(unbroken)
        for name in result.per_image["name"]:
            assert result.picture_sha256(name) == file_sha256(result.picture(name))
        shutil.rmtree(ten / "results/mean_colour")


def test_a_full_disk_is_told_in_a_sentence_and_loses_nothing_that_is_on_it(
    ten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["manifest=ten.json", "model=mean_colour", "batch_size=2"]
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "00000004" in path.name:
            write(path, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr("inpaintlab.evaluation.scoring.ROWS_A_PART", 2)
        patch.setattr(Path, "write_bytes", full)
        assert "No space left on device" in refused(evaluate(ten, *command))
    assert len(list((ten / "results/mean_colour.partial/parts").iterdir())) == 2
    assert "going on after 4 images" in succeeded(evaluate(ten, *command)).stdout


def test_two_evaluations_do_not_write_one_result_at_a_time(ten: Path, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(
        "import time, inpaintlab.evaluation.scoring as s, inpaintlab.verbs.evaluate as e\n"
        "add = s.Scores.add\n"
        "s.Scores.add = lambda *a: (add(*a), time.sleep(60))\n"
        "e.main()\n"
    )
    command = ["manifest=ten.json", "model=mean_colour", "label=a", "trainer=cpu", "workers=0"]
    process = start(sys.executable, str(script), *command, cwd=ten, home=tmp_path / "home", output=tmp_path / "log")
    try:
        deadline = time.monotonic() + 60
        while not list(ten.glob("results/a.partial/completed/*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        before = contents(ten / "results/a.partial")
        for other in ("model=mean_colour", "model=telea"):
            assert "Another process is writing" in refused(evaluate(ten, "manifest=ten.json", other, "label=a"))
        assert before.items() <= contents(ten / "results/a.partial").items()
    finally:
        process.kill()
        process.wait()
    succeeded(evaluate(ten, "manifest=ten.json", "model=mean_colour", "label=a"))
    assert [path.name for path in (ten / "results").iterdir()] == ["a"]


TABLE = pl.DataFrame()


@pytest.fixture
def without_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polars waits for its threads for ever in a process that was forked after they began."""
    monkeypatch.setattr("inpaintlab.evaluation.scoring.means_by_bin", lambda *_: {})
    monkeypatch.setattr("inpaintlab.evaluation.scoring._parquet", lambda _: b"x")


def written(folder: Path, manifest: Manifest, word: str) -> None:
    """Write a result as an evaluation does, without its work; ``word`` stands in it."""
    scores = Scores(folder, {}, {"word": word}, {}, {})
    scores.reserve()
    scores.prepare()
    scores.finish(manifest, TABLE, {}, {}, {"word": word})


@pytest.mark.usefixtures("without_polars")
def test_whatever_kills_the_end_of_an_evaluation_the_next_one_finds_one_whole_result(here: Path) -> None:
    manifest, folder = Manifest.load(here / "test.json"), here / "results/a"
    words, calls = set(), 0
    written(folder, manifest, "old")
    whole = {path.name for path in folder.iterdir()}
    while ended_at(calls, lambda: written(folder, manifest, "new")):
        calls += 3  # each of them would take three times as long
        scores = Scores(folder, {}, {}, {}, {})
        scores.reserve()
        scores.release()
        words.add(json.loads((folder / "result.json").read_text())["word"])
        assert {path.name for path in folder.iterdir()} == whole
        assert {path.name for path in folder.parent.iterdir()} <= {"a", "a.partial"}
        shutil.rmtree(folder.parent)
        written(folder, manifest, "old")
    assert words == {"old", "new"}
    assert {path.name for path in folder.parent.iterdir()} == {"a"}


@pytest.mark.usefixtures("without_polars")
def test_of_evaluations_of_one_label_at_the_same_instant_one_writes_and_all_end(prepared: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(prepared / "test.json")

    def evaluation(folder: Path) -> int:
        scores = Scores(folder, {}, {}, {}, {})
        there = folder / "result.json"
        plan = Plan(MeanColour(), manifest, {}, "32-true", False, [], [scores], lambda one: there.exists())
        try:
            with plan.reserved():
                if not plan.missing:
                    return 2 if plan.finished == [folder] else 9
                scores.prepare()
                scores.join()
                scores.finish(manifest, TABLE, {}, {}, {"word": str(os.getpid())})
                return 0
        except ValueError as error:
            return 1 if "Another process is writing" in str(error) else 9

    for number in range(8):
        folder = tmp_path / str(number) / "a"
        codes = at_once([lambda folder=folder: evaluation(folder)] * 3)
        assert codes.count(0) == 1
        assert set(codes) <= {0, 1, 2}
        assert [path.name for path in folder.parent.iterdir()] == ["a"]


def test_a_killed_process_leaves_parts_that_the_next_one_takes_up(ten: Path, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(
        "import time, inpaintlab.evaluation.scoring as s, inpaintlab.verbs.evaluate as e\n"
        "s.ROWS_A_PART = 1\n"
        "add = s.Scores.add\n"
        "s.Scores.add = lambda *a: (add(*a), time.sleep(0.5))\n"
        "e.main()\n"
    )
    command = ["manifest=ten.json", "model=mean_colour", "batch_size=1", "trainer=cpu", "workers=0"]
    log = tmp_path / "log"
    process = start(sys.executable, str(script), *command, cwd=ten, home=tmp_path / "home", output=log)
    parts = ten / "results/mean_colour.partial/parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("0*.parquet"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    done = len(list(parts.glob("0*.parquet")))
    assert 3 <= done < 10, log.read_text()
    again = succeeded(evaluate(ten, *command))
    assert f"going on after {done} images" in again.stdout
    succeeded(evaluate(ten, *command, "label=unbroken"))
    first, second = (Result.load(ten / "results" / name) for name in ("unbroken", "mean_colour"))
    assert first.per_image.equals(second.per_image)


def test_an_evaluation_that_breaks_off_at_its_very_end_is_finished(ten: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*args: Any) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(Scores, "finish", cut)
        with pytest.raises(PowerCut):
            evaluate(ten, "manifest=ten.json", "model=mean_colour")
    assert "going on after 10 images" in succeeded(evaluate(ten, "manifest=ten.json", "model=mean_colour")).stdout
    assert Result.load(ten / "results/mean_colour").per_image.height == 10


@pytest.mark.parametrize("method", ["checkpoint=runs/edgeconnect", "model=telea"])
def test_how_the_work_is_divided_changes_no_bit(ten: Path, method: str) -> None:
    edges = "+metrics.edge_f1_tol1={_target_:inpaintlab.metrics.EdgeF1,tolerance:1}"
    command = ["manifest=ten.json", method, edges]
    divisions = {"one": ["batch_size=1"], "three": ["batch_size=3", "workers=2"]}
    for label, division in divisions.items():
        succeeded(evaluate(ten, *command, *division, f"label={label}"))
    first, other = [Result.load(ten / "results" / label).per_image for label in divisions]
    assert first.equals(other)


@pytest.mark.slow
def test_two_processes_give_the_files_of_one(ten: Path, tmp_path: Path) -> None:
    command = ["manifest=ten.json", "checkpoint=runs/edgeconnect", "trainer=cpu", "batch_size=3"]
    succeeded(evaluate(ten, *command, "label=one"))
    two = ["trainer.devices=2", "trainer.strategy=ddp", "label=two", "results=results"]
    succeeded(run(SCRIPT, "evaluate", *command, *two, cwd=ten, home=tmp_path / "home"))
    first, second = (Result.load(ten / "results" / name) for name in ("one", "two"))
    assert first.per_image.equals(second.per_image)
    # more processes than items
    alone = ["manifest=one.json", "model=mean_colour", "label=alone", *two[:2], "trainer=cpu"]
    settings = ["data=toy", "data.size=32", "images=1", "ratios=[0.1,0.5]", "out=one.json"]
    succeeded(run_here("manifest", *settings, cwd=ten))
    succeeded(run(SCRIPT, "evaluate", *alone, cwd=ten, home=tmp_path / "home"))
    assert Result.load(ten / "results/alone").per_image.height == 1
    pictures = sorted(path.name for path in (first.folder / "completed").iterdir())
    assert len(pictures) == 10
    for name in pictures:
        assert (first.folder / "completed" / name).read_bytes() == (second.folder / "completed" / name).read_bytes()
    assert not list((ten / "results").glob("*.partial"))


# --- the raw output and what lies inside ------------------------------------------------------------------------------


def test_the_raw_output_is_scored_and_kept_beside_the_completed_image(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/edgeconnect", "raw=true"))
    result = Result.load(here / "results/edgeconnect")
    assert result.metrics["mae_raw"].definition.startswith("of the raw output")
    for sample in ManifestDataset(Manifest.load(here / "test.json")):
        name, image, mask = sample["name"], sample["image"], sample["mask"]
        raw, completed = (
            image_tensor(read_rgb(result.folder / kind / picture_name(name))) for kind in ("raw", "completed")
        )
        assert torch.equal(completed, torch.where(mask > 0.5, raw, image))
        row = result.per_image.row(by_predicate=pl.col("name") == name, named=True)
        assert row["mae_raw"] == pytest.approx(float((raw - image).abs().mean()), abs=1e-6)
        assert row["mae_raw"] > row["mae"]
        with Image.open(result.folder / "inside/edges" / picture_name(name)) as edges:
            assert (edges.size, edges.mode) == ((32, 32), "L")


def test_only_a_raw_result_has_raw_pictures_and_it_is_not_taken_for_another(here: Path) -> None:
    succeeded(evaluate(here, "model=mean_colour"))
    assert not (here / "results/mean_colour/raw").exists()
    assert "without raw=true" in refused(evaluate(here, "model=mean_colour", "raw=true"))
    succeeded(evaluate(here, "model=mean_colour", "raw=true", "overwrite=true"))
    assert "there already" in succeeded(evaluate(here, "model=mean_colour", "raw=true")).stdout


def test_the_scores_are_those_of_the_pictures_on_the_disk(here: Path) -> None:
    succeeded(evaluate(here, "checkpoint=runs/glcic"))
    result = Result.load(here / "results/glcic")
    for sample in ManifestDataset(Manifest.load(here / "test.json")):
        stored = np.asarray(Image.open(result.picture(sample["name"]))) / 255
        original = sample["image"].permute(1, 2, 0).double().numpy()
        row = result.per_image.row(by_predicate=pl.col("name") == sample["name"], named=True)
        assert row["mae"] == pytest.approx(np.abs(stored - original).mean(), abs=1e-7)
        assert row["psnr_rgb"] == pytest.approx(peak_signal_noise_ratio(original, stored, data_range=1), abs=1e-4)
        similar = structural_similarity(
            original, stored, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False, data_range=1
        )
        assert row["ssim_gauss11_rgb"] == pytest.approx(similar, abs=1e-5)


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
    first, second = (Result.load(tmp_path / "results" / name).per_image for name in "ab")
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
