"""What the tracker holds is read back from an offline run of W&B; a CSV is written in any case."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import wandb_reader
from commands import PHASES, SCRIPT, run, tiny
from inpaintlab.tracking import csv_logger


def tracked(folder: Path, *settings: str, **variables: str) -> str:
    """Train EdgeConnect under W&B in a process of its own; what it printed."""
    command = [*tiny("edgeconnect"), "logger=wandb", "name=a", *settings]
    done = run(SCRIPT, "train", *command, cwd=folder, home=folder / "home", **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], list[str]]:
    """A run without a login, and its continuation: the folder, W&B's file of each start, what each printed."""
    folder = tmp_path_factory.mktemp("tracked")
    longer = "model.schedule.phases.joint.batches=4"
    files: list[Path] = []
    printed = []
    for settings, variables in (((), {"WANDB_MODE": ""}), ((longer,), {"WANDB_MODE": "offline"})):
        printed.append(tracked(folder, *settings, **variables))
        files += [file for file in folder.rglob("run-*.wandb") if file not in files]
    return folder, files, printed


def curves(files: list[Path]) -> dict[str, list[tuple[int, Any]]]:
    """The points of each curve: batch and value, in the order in which they were logged."""
    found: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for file in files:
        for row in wandb_reader.history(file):
            for name, value in row.items():
                found[name].append((row["trainer/global_step"], value))
    return found


@pytest.mark.slow
def test_without_a_login_the_run_is_kept_and_one_line_says_how_to_upload_it(
    starts: tuple[Path, list[Path], list[str]],
) -> None:
    folder, files, printed = starts
    assert [line for line in printed[0].splitlines() if "wandb sync" in line] == [
        "W&B: not logged in or offline; upload the run later with: wandb sync runs/a/wandb/offline-run-*"
    ]
    assert len(files) == 2
    assert all(file.match("runs/a/wandb/offline-run-*/run-*.wandb") for file in files)
    assert {path.name for path in folder.iterdir()} == {"home", "runs"}


@pytest.mark.slow
def test_the_run_holds_the_settings_and_the_commit(starts: tuple[Path, list[Path], list[str]]) -> None:
    settings = wandb_reader.config(starts[1][0])
    assert settings["model"]["_target_"] == "inpaintlab.models.edgeconnect.EdgeConnect"
    assert settings["model"]["width"] == 0.0625
    assert settings["model"]["weights"]["inpaint"]["style"] == 250.0
    assert settings["model"]["schedule"]["phases"]["edge_inpaint"] == {"batches": 2}
    assert settings["seed"] == 1
    assert "commit" in settings


@pytest.mark.slow
def test_the_losses_stand_over_the_batch_counter(starts: tuple[Path, list[Path], list[str]]) -> None:
    first = curves(starts[1][:1])
    for position, phase in enumerate(PHASES["edgeconnect"]):
        name = "train/edge_adversarial" if phase == "edge" else "train/inpaint_style"
        assert {2 * position, 2 * position + 1} <= {step for step, _ in first[name]}
    for name, points in first.items():
        if name.startswith(("train/", "val/")):
            steps = [step for step, _ in points]
            assert steps == sorted(set(steps)), name
            assert 0 <= steps[0] <= steps[-1] < 8, name  # eight batches; optimizer steps would be more
    assert first["train/edge_adversarial"][0][0] == 0


@pytest.mark.slow
def test_validation_and_panels_stand_on_the_same_axis(starts: tuple[Path, list[Path], list[str]]) -> None:
    first = curves(starts[1][:1])
    for name in ("val/psnr_rgb", "val/mae_hole", "val/edge_precision", "panels/filenames"):
        assert [step for step, _ in first[name]] == [1, 3, 5, 7], name
    steps = [step for step, _ in first["trainer/global_step"]]
    assert steps == sorted(steps)
    media = starts[1][0].parent / "files"
    for _, panels in first["panels/filenames"]:
        assert all((media / panel).stat().st_size > 0 for panel in panels)


@pytest.mark.slow
def test_a_resumed_run_continues_its_curves(starts: tuple[Path, list[Path], list[str]]) -> None:
    _, files, printed = starts
    assert "resuming after 8 of 10 batches" in printed[1]
    assert wandb_reader.run_id(files[0]) == wandb_reader.run_id(files[1])
    steps = [step for step, _ in curves(files)["train/inpaint_style"]]
    assert steps == sorted(set(steps))
    assert steps[-1] == 9
    assert min(step for step, _ in curves(files[1:])["train/inpaint_style"]) == 8


def test_each_start_has_a_csv_of_its_own(tmp_path: Path) -> None:
    for version in (0, 1):
        logger = csv_logger(tmp_path)
        logger.log_metrics({"train/loss": float(version)}, step=version)
        logger.save()
        assert (tmp_path / f"log/version_{version}/metrics.csv").is_file()
    assert "0.0" in (tmp_path / "log/version_0/metrics.csv").read_text()
