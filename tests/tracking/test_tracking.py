"""What a tracker holds is read back from its files: an offline run of W&B, TensorBoard's events, the CSV."""

import csv
import os
import re
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from stand_ins import wandb_reader
from stand_ins.commands import PHASES, SCRIPT, run, run_here, start, tiny
from stand_ins.models import only


def command_line(*settings: str) -> list[str]:
    """A training of EdgeConnect under W&B and TensorBoard."""
    told = ("notes=Do edges help?", "logger.wandb.tags=[edges,small]", "logger.wandb.group=first")
    told += ("logger.wandb.pictures=true",)
    return [SCRIPT, "train", *tiny("edgeconnect"), "logger=[wandb,tensorboard]", *told, "name=a", *settings]


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], list[str]]:
    """A run without a login, and its continuation: the folder, W&B's file of each start, what each printed."""
    folder = tmp_path_factory.mktemp("tracked")
    longer = "model.schedule.phases.joint.batches=4"
    files: list[Path] = []
    printed = []
    for settings, mode in (([], ""), ([longer], "offline")):
        done = run(*command_line(*settings), cwd=folder, home=folder / "home", WANDB_MODE=mode)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
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
    (line,) = [line for line in printed[0].splitlines() if "wandb sync" in line]
    assert line.startswith("W&B: not logged in or offline; kept here: settings with their paths, curves, 4 panels of ")
    assert line.endswith("; no files. Upload them later with: wandb sync runs/a/wandb/offline-run-*")
    assert len(files) == 2
    assert all(file.match("runs/a/wandb/offline-run-*/run-*.wandb") for file in files)
    assert {path.name for path in folder.iterdir()} == {"home", "runs"}


@pytest.mark.slow
def test_the_run_holds_the_settings_and_the_commit(starts: tuple[Path, list[Path], list[str]]) -> None:
    settings = wandb_reader.config(starts[1][0])
    assert settings["model"]["_target_"] == "inpaintlab.models.EdgeConnect"
    assert settings["model"]["width"] == 0.0625
    assert settings["model"]["weights"]["inpaint"]["style"] == 250.0
    assert settings["model"]["schedule"]["phases"]["edge_inpaint"]["batches"] == 2
    assert settings["seed"] == 1
    assert settings["versions"]["torch"]
    assert "commit" in settings


@pytest.mark.slow
def test_the_run_says_what_it_is_and_belongs_to(starts: tuple[Path, list[Path], list[str]]) -> None:
    for file in starts[1]:
        found = wandb_reader.run_of(file)
        assert (found.display_name, found.job_type, found.run_group) == ("a", "train", "first")
        assert list(found.tags) == ["edges", "small"]
        assert found.notes == "Do edges help?"
        assert wandb_reader.exit_codes(file) == [0]


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
    for name in ("speed/images_per_second", "speed/waiting_for_data"):
        assert [step for step, _ in first[name]] == list(range(8)), name
    for network in ("edge", "inpaint"):
        for part in ("generator", "discriminator"):
            gradient = [step for step, _ in first[f"grad/{network}_{part}"]]
            assert [step for step, _ in first[f"rate/{network}_{part}"]] == gradient
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


@pytest.mark.slow
def test_tensorboard_holds_the_same_points(starts: tuple[Path, list[Path], list[str]]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # takes a second

    folder, files, _ = starts
    events = EventAccumulator(str(folder / "runs/a/tensorboard"), {"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    tracked = curves(files)
    names = [name for name in tracked if name.startswith(("train/", "val/", "grad/", "rate/", "health/", "speed/"))]
    assert set(names) | {"epoch"} == set(events.Tags()["scalars"])
    for name in names:
        points = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in points] == [step for step, _ in tracked[name]], name
        assert [value for _, value in points] == pytest.approx([value for _, value in tracked[name]], nan_ok=True)
    assert [image.step for image in events.Images("panels")] == [1, 3, 5, 7, 9]
    text = {name: events.Tensors(f"{name}/text_summary") for name in ("settings", "notes")}
    assert all(len(found) == 1 for found in text.values())  # a resumed run does not tell them again
    assert text["notes"][0].tensor_proto.string_val[0] == b"Do edges help?"
    assert b"_target_: inpaintlab.models.EdgeConnect" in text["settings"][0].tensor_proto.string_val[0]


@pytest.mark.slow
def test_each_start_has_a_csv_of_its_own_with_the_same_numbers(starts: tuple[Path, list[Path], list[str]]) -> None:
    folder, files, _ = starts
    for version, file in enumerate(files):
        with (folder / f"runs/a/log/version_{version}/metrics.csv").open(newline="") as rows:
            read = [(int(row["step"]), float(row["val/mae"])) for row in csv.DictReader(rows) if row["val/mae"]]
        expected = curves([file])["val/mae"]
        assert [step for step, _ in read] == [step for step, _ in expected]
        assert [value for _, value in read] == pytest.approx([value for _, value in expected])


@pytest.mark.endurance
def test_the_jobs_of_a_sweep_are_one_group_and_each_is_finished_also_one_that_fails(tmp_path: Path) -> None:
    sweep = [*tiny("glcic", 1), "logger=[wandb]", "every.validation=1", "model.learning_rate=1.0,1e30"]
    done = run(SCRIPT, "train", "-m", *sweep, "name=s", cwd=tmp_path, home=tmp_path / "home", WANDB_MODE="offline")
    files = sorted(tmp_path.glob("runs/s/*/wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2, done.stdout + done.stderr
    assert {wandb_reader.run_of(file).run_group for file in files} == {"s"}
    assert len({wandb_reader.run_id(file) for file in files}) == 2
    ends = {file.parents[2].name: wandb_reader.exit_codes(file) for file in files}
    assert {name: codes for name, codes in ends.items() if "1e" in name}.popitem()[1] == [1]
    assert {name: codes for name, codes in ends.items() if "1e" not in name}.popitem()[1] == [0]


@pytest.mark.slow
def test_a_training_survives_a_server_that_is_not_there_and_the_death_of_the_tracker(tmp_path: Path) -> None:
    nowhere = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40, "WANDB_INIT_TIMEOUT": "2"}
    printed = tmp_path / "printed.txt"
    process = start(
        *(SCRIPT, "train", *tiny("glcic", 12), "logger=wandb", "name=a", "every.validation=36", "every.panel=36"),
        cwd=tmp_path,
        home=tmp_path / "home",
        output=printed,
        WANDB_MODE="online",
        **nowhere,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "runs/a/last.ckpt").is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    for service in services_of(process.pid):
        os.kill(service, signal.SIGKILL)
    assert process.wait(120) == 0, printed.read_text()
    told = [line for line in printed.read_text().splitlines() if line.startswith("W&B: ")]
    assert len(told) == 3, told
    assert told.pop(0).startswith("W&B: uploading to project inpaintlab of your default entity: ")
    assert "the server does not answer as it should (" in told[0]
    assert "connection refused" in told[0]
    assert "wandb sync runs/a/wandb/offline-run-*" in told[0]
    # who notices first that the service is gone, its reader or its writer, decides the words
    assert re.fullmatch(r"W&B: it failed \(.*onnection.*\) and gets nothing more of this run, which goes .*", told[1])
    with (tmp_path / "runs/a/log/version_0/metrics.csv").open(newline="") as rows:
        assert sum(bool(row["speed/images_per_second"]) for row in csv.DictReader(rows)) == 36


def services_of(parent: int) -> list[int]:
    """The processes of W&B's service that another process started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if b"wandb-core" in command and int(stat.rpartition(")")[2].split()[1]) == parent:
            found.append(int(folder.name))
    assert found
    return found


@pytest.mark.parametrize("choice", only("csv", "[]", of=["none", "csv", "[csv]", "[]"]))  # none: most tests' trainings
def test_a_csv_is_written_whatever_loggers_there_are(tmp_path: Path, choice: str) -> None:
    done = run_here("train", *tiny("glcic", 1), f"logger={choice}", "name=a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/a/log/version_0/metrics.csv").read_text().count("\n") > 3
    assert not (tmp_path / "runs/a/wandb").exists()
    assert not (tmp_path / "runs/a/tensorboard").exists()
