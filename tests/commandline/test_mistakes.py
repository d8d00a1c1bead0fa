"""What Hydra cannot compose is one sentence of ours, with what is near; Hydra's variable stays the user's."""

import os
from pathlib import Path

import pytest

from inpaintlab.commandline.mistakes import of_command
from stand_ins.commands import run_here

FULL = "HYDRA_FULL_ERROR"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("train data.batchsize=3", "There is no setting 'data.batchsize'. Did you mean 'data.batch_size'?"),
        ("train batch_size=3", "There is no setting 'batch_size'. Did you mean 'data.batch_size'?"),
        ("train data.root=x", "There is no setting 'data.root' with this choice: data=folder and data=shards have it."),
        ("train ckpt_path=x", "There is no setting 'ckpt_path': the same command resumes by itself, and init=PATH"),
        ("train ~data.sze", "There is no setting 'data.sze'. Did you mean 'data.size'?"),
        ("train model.weights={a:1}", "There is no setting 'model.weights.a'."),
        ("train +seed=3", "The setting 'seed' is there already: give it without the +, as seed=VALUE."),
        ("train +model=glcic", "model/schedule is chosen twice: give one choice, and without a +, as model=CHOICE."),
        ("train model=gclic", "model is 'gclic'; it can be biharmonic, context_encoder, "),
        ("train precision=64-true", "precision is '64-true'; it can be 16-mixed, 32-true, auto, bf16-mixed."),
        ("train model/optimiser=adam", "There is no group 'model/optimiser'. Did you mean 'model/optimizer'?"),
        ("train metrics=null", "metrics=null chooses nothing; metrics can be all, default,"),
        ("train metrics={}", "metrics={} would change nothing, because a mapping is merged into what is there;"),
        ("train seed=1,2", "seed=1,2 has several values: -m makes a sweep of them;"),
        ("train --config-dir nowhere", "Additional config directory "),
        (
            "evaluate manifest=x model.fill=zero",
            "There is no setting 'model.fill' without a model: choose one by model=",
        ),
        ("train -m data=toy model=glcic,gclic", "model is 'gclic'; it can be"),
        ("train -m data=toy seed=1,x", "seed is 'x'; it must be a whole number,"),
        ("train -m data=toy data.size=64,66", "data.size is 66 x 66; GLCIC trains on sides that are multiples of 4"),
        ("train --cfg job data.sze=3", "There is no setting 'data.sze'. Did you mean 'data.size'?"),
    ],
)
def test_what_does_not_compose_is_one_sentence_and_leaves_nothing(command: str, sentence: str, tmp_path: Path) -> None:
    verb, *settings = command.split()
    done = run_here(verb, *settings, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"inpaintlab {verb}: {sentence}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert FULL not in os.environ


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("defaults:\n  - override /model: gclic\n", ["model is 'gclic'; it can be ", "Did you mean 'glcic'?"]),
        ("seed: [1\n", ["mine.yaml"]),
    ],
    ids=["with an unknown choice", "that cannot be read"],
)
def test_an_experiment_that_is_wrong_is_one_sentence(tmp_path: Path, text: str, told: list[str]) -> None:
    experiment = tmp_path / "own" / "experiment" / "mine.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text(f"# @package _global_\n{text}")
    done = run_here("train", "--config-dir", "own", "experiment=mine", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert all(part in done.stderr for part in told), done.stderr


def test_who_asks_for_hydras_whole_error_gets_it_and_keeps_the_variable(tmp_path: Path) -> None:
    from hydra.errors import ConfigCompositionException

    with pytest.raises(ConfigCompositionException, match="Could not override 'sed'"):
        run_here("train", "sed=3", cwd=tmp_path, **{FULL: "1"})


def test_a_command_does_not_see_hydras_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def load(path: Path) -> None:
        seen.append(os.environ.get(FULL))
        raise ValueError("enough")

    monkeypatch.setattr("inpaintlab.verbs.sweep.SweepFolder.load", load)
    monkeypatch.delenv(FULL, raising=False)
    assert run_here("sweep", "status", "sweep=x", cwd=tmp_path).returncode == 1
    assert seen == [None]


def test_own_bins_take_the_place_of_all(tmp_path: Path) -> None:
    bins = "bins={all:{_target_:inpaintlab.masks.Half}}"
    done = run_here("manifest", "create", "out=t.json", bins, "images=1", "data=toy", cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[1]) == (0, "  all: 1")


def test_an_error_without_a_place_is_told_as_it_is() -> None:
    assert of_command(ValueError("a sentence.")) == "a sentence."
