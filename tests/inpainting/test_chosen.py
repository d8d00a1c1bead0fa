"""Which checkpoint a run's folder stands for: its best where there is one, unless another is asked for."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.inpainting import CHECKPOINT_FORMAT, build_method, chosen_file, load_checkpoint, save_checkpoint
from inpaintlab.machine import file_sha256
from inpaintlab.runs import Progress, lines_of_choice
from inpaintlab.training.identity import begin_from, trained_on
from stand_ins.building import Builder, state_of, toy_data

TELEA = {"_target_": "inpaintlab.models.OpenCVInpainting", "method": "telea", "radius": 3.0}


def saved(path: Path, iterations: int, state: Any = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    record = {"format": CHECKPOINT_FORMAT, "model": TELEA, "iterations": iterations, "images_seen": 0}
    save_checkpoint(path, {"state_dict": state or {}, "inpaintlab": record | {"training": {"seed": 1}}})
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 50 batches, validated after 30 and 40, the best after 30."""
    saved(tmp_path / "a/best.ckpt", 30)
    saved(tmp_path / "a/last.ckpt", 40)
    Progress(40, 50, "val/psnr_rgb", True, [(30, 23.4), (40, 21.0)], 1.0).save(tmp_path / "a")
    return tmp_path / "a"


def method(checkpoint: Path | None, which: Any = None) -> dict[str, Any]:
    """The identity of a method that is built of a checkpoint."""
    given = {"named": None, "overrides": [], "label": None, "seed": 1, "untrained": False, "which": which}
    return build_method(None, None if checkpoint is None else str(checkpoint), **given)[1]


@pytest.mark.parametrize(("which", "name", "done"), [(None, "best", 30), ("best", "best", 30), ("last", "last", 40)])
def test_the_name_the_hash_and_the_weights_are_of_one_file(run: Path, which: Any, name: str, done: int) -> None:
    file = run / f"{name}.ckpt"
    assert chosen_file(run, which) == file
    assert load_checkpoint(run, which)["inpaintlab"]["iterations"] == done
    identity = method(run, which)
    assert identity["label"] == "a"
    origin = identity["checkpoint"]
    assert (origin["path"], origin["sha256"], origin["iterations"]) == (str(file), file_sha256(file), done)
    cfg = {"init": str(run), "which": which, "model": {}, "metrics": {}}
    (entry,) = trained_on(cfg, toy_data())["init"].values()
    assert entry.content == file_sha256(file)[:16]


def test_without_a_best_one_the_last_is_taken(run: Path) -> None:
    (run / "best.ckpt").unlink()
    assert chosen_file(run) == run / "last.ckpt"
    with pytest.raises(ValueError, match=r"a has no best\.ckpt, .*; which=last takes its newest"):
        chosen_file(run, "best")


def test_a_file_is_taken_as_it_is(run: Path) -> None:
    assert method(run / "last.ckpt")["checkpoint"]["iterations"] == 40
    assert method(run / "best.ckpt")["checkpoint"]["iterations"] == 30
    for which in ("best", "last"):
        with pytest.raises(ValueError, match=rf"which={which} beside the file .*last\.ckpt would be ignored"):
            chosen_file(run / "last.ckpt", which)


@pytest.mark.parametrize("which", ["newest", "", True, 1, ["best"]])
def test_another_word_is_told(run: Path, which: Any) -> None:
    for place in (run, run / "last.ckpt", run / "none"):
        with pytest.raises(ValueError, match="it can be best or last"):
            chosen_file(place, which)


def test_which_without_a_checkpoint_is_told(tmp_path: Path, built: Builder) -> None:
    with pytest.raises(ValueError, match=r"which=last chooses among the checkpoints .* no checkpoint is given"):
        method(None, "last")
    with pytest.raises(ValueError, match=r"which=last chooses among the checkpoints .* init names none"):
        begin_from(None, "last", built("glcic"), Console())


@pytest.mark.parametrize("which", [None, "best"])
def test_a_damaged_best_one_says_how_to_take_the_last(run: Path, which: Any) -> None:
    (run / "best.ckpt").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"best\.ckpt cannot be read .* With which=last, .*last\.ckpt is taken\.$"):
        method(run, which)
    assert method(run, "last")["checkpoint"]["iterations"] == 40
    (run / "last.ckpt").unlink()
    with pytest.raises(ValueError, match=r"none at all\.$"):
        method(run, which)


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"There is no checkpoint at .*last\.ckpt; give a run's folder"):
        method(tmp_path)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("starter-edgeconect", "starter-edgeconnect"), ("runs/glcik", "runs/glcic"), ("runs/one.ckp", "runs/one.ckpt")],
)
def test_a_mistyped_name_is_answered_with_the_nearest_that_has_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, meant: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/glcic").mkdir(parents=True)
    (tmp_path / "runs/glcik2").mkdir()  # nearer, but without weights
    (tmp_path / "runs/glcic/last.ckpt").write_bytes(b"")
    (tmp_path / "runs/one.ckpt").write_bytes(b"")
    with pytest.raises(ValueError, match=rf"There is no checkpoint at .*{typed};.* Did you mean '{meant}'\?$"):
        method(Path(typed))


def test_weights_that_are_nowhere_near_any_others_get_no_question(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"or a file in it\.$"):
        method(tmp_path / "absent/folder")


# ------------------------------------------------------------------------------------------------------------ the line


@pytest.mark.parametrize(
    ("which", "told"),
    [
        (
            None,
            "best.ckpt: after 30 of 50 batches, val/psnr_rgb 23.4, the best of its run; which=last takes the newest",
        ),
        ("last", "last.ckpt: after 40 of 50 batches, val/psnr_rgb 21, the newest of its run"),
    ],
)
def test_a_line_says_which_file_was_taken_and_why(run: Path, which: Any, told: str) -> None:
    assert lines_of_choice(str(run), method(run, which)["checkpoint"]) == [f"{run}/{told}"]


def test_the_line_needs_no_other_file_than_the_checkpoint(run: Path) -> None:
    told = [f"{run}/best.ckpt: after 30 batches, the best of its run; which=last takes the newest"]
    (run / "progress.json").write_text("torn")
    assert lines_of_choice(str(run), method(run)["checkpoint"]) == told
    (run / "progress.json").unlink()
    assert lines_of_choice(str(run), method(run)["checkpoint"]) == told


def test_a_file_needs_no_line(run: Path) -> None:
    assert lines_of_choice(str(run / "last.ckpt"), method(run / "last.ckpt")["checkpoint"]) == []
    assert lines_of_choice(None, None) == []


def test_a_training_begins_with_the_chosen_weights_and_says_so(tmp_path: Path, built: Builder) -> None:
    best, last = built("glcic"), built("glcic")
    for model, done, name, value in ((best, 1, "best", 0.25), (last, 2, "last", 0.5)):
        next(model.completion.parameters()).data.fill_(value)
        saved(tmp_path / f"a/{name}.ckpt", done, state_of(model))
    for which, model in ((None, best), ("last", last)):
        begun = built("glcic")
        with (console := Console(width=200)).capture() as captured:
            begin_from(str(tmp_path / "a"), which, begun, console)
        assert next(begun.completion.parameters()).equal(next(model.completion.parameters()))
        assert captured.get().startswith(f"weights: {tmp_path}/a/{'last' if which else 'best'}.ckpt: after ")


def test_the_settings_of_a_verb_reach_it(run: Path) -> None:
    """As `evaluate` and `complete` hand them over."""
    assert method(run, DictConfig({"which": "last"}).which)["checkpoint"]["iterations"] == 40
