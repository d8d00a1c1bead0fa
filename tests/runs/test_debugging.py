"""A debug run goes the whole way of a training in little, and leaves nothing behind."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from inpaintlab.data.order import Part, Positions, SameBatch
from inpaintlab.models import GLCIC
from inpaintlab.runs import Progress, debug_folder, debug_line, debug_settings
from stand_ins.building import compose_train, toy_data
from stand_ins.commands import run_here, tiny

LENGTHS = {"completion": 300, "discriminator": 100, "joint": 5000}
PHASES = [f"model.schedule.phases.{phase}.batches={batches}" for phase, batches in LENGTHS.items()]


@pytest.mark.parametrize(
    ("settings", "batches", "validations"),
    [
        (["debug=default"], [4, 4, 4], 12),
        (["debug=fdr"], [1, 1, 1], 3),
        (["debug=fdr", "accumulate=3"], [3, 3, 3], 9),
        (["debug=fdr", "model.schedule.phases.joint.batches=0"], [1, 1, 0], 2),
        (["debug=limit"], [3, 1, 50], 54),
        (["debug=limit", "every.validation=20"], [3, 1, 50], 20),
        (["debug=limit", "accumulate=4"], [4, 4, 52], 60),
        (["debug=overfit"], [200, 100, 200], 500),
        (["debug=profiler", "debug.batches=2"], [2, 2, 2], 6),
    ],
    ids=str,
)
def test_a_phase_is_a_whole_number_of_steps_and_no_rhythm_is_longer_than_the_run(
    settings: list[str], batches: list[int], validations: int
) -> None:
    cfg = compose_train(*PHASES, *settings)
    short = debug_settings(cfg)
    assert [phase.batches for phase in short.model.schedule.phases.values()] == batches
    assert short.every.validation == validations
    assert max(short.every.values()) <= sum(batches)
    assert not short.logger
    assert cfg.model.schedule.phases.completion.batches == 300
    assert cfg.logger


def test_a_debug_run_has_batches() -> None:
    cfg = compose_train("debug=fdr")
    for wanted in (0, -1, "few", None, True):
        cfg.debug.batches = wanted
        with pytest.raises(ValueError, match=r"debug\.batches is "):
            debug_settings(cfg)


def test_a_line_tells_what_was_done(tmp_path: Path) -> None:
    cfg = compose_train(*PHASES, "debug=fdr")
    short = debug_settings(cfg)
    assert debug_line(tmp_path, cfg, short) == "debug run: 0 of 5,400 batches in 0 of 3 phases, nothing kept"
    for done, phases in [(2, "2 of 3"), (3, "all 3")]:
        Progress(done, 3, "val/psnr_rgb", True, [], 1.0).save(tmp_path)
        told = f"debug run: {done} of 5,400 batches in {phases} phases, nothing kept"
        assert debug_line(tmp_path, cfg, short) == told


def test_processes_of_one_run_share_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    with debug_folder() as first:
        monkeypatch.setenv("LOCAL_RANK", "1")
        with debug_folder() as second:
            assert second == first
        assert first.is_dir()
        monkeypatch.delenv("LOCAL_RANK")
        with debug_folder() as other:  # of another run, whose first process this is
            assert other != first
    assert not first.exists()
    monkeypatch.setenv("LOCAL_RANK", "1")
    with debug_folder() as alone:  # started by torchrun, which hands nothing on
        assert alone != first
    assert not alone.exists()


def test_the_same_batch_comes_again_and_each_process_has_its_own() -> None:
    of_first, of_second = (list(SameBatch(6, Part(4, seed=1, total=3, rank=rank, world_size=2))) for rank in range(2))
    assert of_first == [[(0, 0), (0, 1), (0, 2), (0, 3)]] * 3
    assert of_second == [[(0, 4), (0, 5), (0, 0), (0, 1)]] * 3
    samples = toy_data().training_set()
    assert torch.equal(samples[0, 1]["mask"], samples[0, 1]["mask"])
    assert next(iter(Positions(6, Part(4, seed=1, total=3)))) != of_first[0]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for what is temporary."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def debug(folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    here = folder / "here"
    here.mkdir()
    done = run_here("train", *tiny("glcic", 4), "name=real", *settings, cwd=here)
    assert not list(here.iterdir())
    assert not list((folder / "temporary").iterdir())
    return done


def test_a_debug_run_leaves_nothing_and_says_what_it_did(temporary: Path) -> None:
    done = debug(temporary.parent, "debug=profiler", "debug.batches=1", "logger=csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "debug run: 3 of 12 batches in all 3 phases, nothing kept"
    assert "done:" not in done.stdout
    assert "FIT Profiler Report" in done.stdout
    assert "run_training_batch" in done.stdout


def test_a_debug_run_that_is_ended_or_fails_leaves_nothing(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: GLCIC, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return untouched(self, *arguments)

    def failing(self: GLCIC, *arguments: Any) -> Any:
        raise ValueError("The disk is on fire.")

    untouched = GLCIC.learn
    monkeypatch.setattr(GLCIC, "learn", interrupted)
    ended = debug(temporary.parent, "debug=default")
    assert ended.returncode == 130
    assert "asked to end: saved after 1 batches; a debug run keeps nothing" in ended.stdout
    (temporary.parent / "here").rmdir()
    monkeypatch.setattr(GLCIC, "learn", failing)
    failed = debug(temporary.parent, "debug=default")
    assert failed.returncode == 1
    assert failed.stderr.strip() == "inpaintlab train: The disk is on fire."


def test_a_sweep_takes_no_debug_runs(tmp_path: Path) -> None:
    for chosen in ("debug=fdr", "debug=fdr,limit"):
        done = run_here("train", "-m", "seed=1,2", chosen, cwd=tmp_path)
        assert done.returncode == 1
        assert "a debug run leaves nothing to compare; give it without -m" in done.stderr
    assert not list(tmp_path.iterdir())
