"""A run that is killed goes on where its last checkpoint stands, and ends as if nothing had happened."""

import csv
import math
from pathlib import Path

import pytest

from stand_ins.commands import PHASES, SCRIPT, checkpoint, run, run_here, same_weights, start, tiny
from stand_ins.kills import kill_in_phase

BATCHES = 8  # in each phase: long enough to be hit


def each_model(*default: str) -> pytest.MarkDecorator:
    """Every model; those that are not named only where tests of minutes are asked for."""
    return pytest.mark.parametrize(
        "model", [name if name in default else pytest.param(name, marks=pytest.mark.endurance) for name in PHASES]
    )


def rows_of(run_dir: Path, version: int) -> list[dict[str, str]]:
    with (run_dir / f"log/version_{version}/metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def values(rows: list[dict[str, str]]) -> dict[tuple[int, str], float]:
    """What was logged, by batch and name, but for the time that it took."""
    return {
        (int(row["step"]), name): float(value)
        for row in rows
        for name, value in row.items()
        if value and name not in ("step", "epoch") and not name.startswith("speed/")
    }


@pytest.mark.slow
@each_model("glcic")
def test_a_run_killed_in_each_phase_ends_like_an_unbroken_one(tmp_path: Path, model: str) -> None:
    settings = [*tiny(model, BATCHES), "every.validation=4", "every.panel=16", "data.batch_size=3"]
    # a random sigma per sample, so that a resumed run has to draw what the unbroken one drew
    settings += ["model.edges.sigma=[1,4]"] if model == "edgeconnect" else []
    command = [SCRIPT, "train", *settings, "name=broken"]
    broken, output = tmp_path / "runs/broken", tmp_path / "output.txt"

    kills = []
    for phase in range(len(PHASES[model])):
        process = start(*command, cwd=tmp_path, home=tmp_path / "home", output=output)
        try:
            kills.append(kill_in_phase(process, broken, phase * BATCHES, (phase + 1) * BATCHES))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{output.read_text()}") from None
        finally:
            process.kill()
            process.wait()
    ended = run_here("train", *settings, "name=broken", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    unbroken = run_here("train", *settings, "name=unbroken", cwd=tmp_path)
    assert unbroken.returncode == 0, unbroken.stderr

    total = BATCHES * len(PHASES[model])
    first, second = checkpoint(broken), checkpoint(tmp_path / "runs/unbroken")
    assert first["inpaintlab"]["iterations"] == second["inpaintlab"]["iterations"] == total
    assert same_weights(first, second)
    assert first["optimizer_states"][0].keys() == second["optimizer_states"][0].keys()

    # Each start logs from the batch where the checkpoint stands, and what it logs is what the unbroken run logged.
    whole = values(rows_of(tmp_path / "runs/unbroken", 0))
    for version, begin in enumerate([0, *kills]):
        path = broken / f"log/version_{version}/metrics.csv"
        if path.is_file() and path.stat().st_size:  # a killed start may not have written yet
            logged = values(rows_of(broken, version))
            assert min(step for step, _ in logged) == begin
            for key, value in logged.items():
                assert math.isclose(value, whole[key], rel_tol=1e-6) or (math.isnan(value) and math.isnan(whole[key]))
    last = values(rows_of(broken, len(kills)))
    assert {key for key in last if key[1].startswith("train/")} == {
        key for key in whole if key[1].startswith("train/") and key[0] >= kills[-1]
    }
    assert max(step for step, _ in last) == total - 1
    assert not [path for path in broken.rglob("*.partial*") if not path.name.startswith(".last.ckpt.")]


@pytest.mark.slow
@each_model("edgeconnect")
def test_two_processes_share_a_run(tmp_path: Path, model: str) -> None:
    parallel = ["trainer.devices=2", "trainer.strategy=ddp_find_unused_parameters_true"]
    done = run(SCRIPT, "train", *tiny(model), *parallel, "every.validation=4", cwd=tmp_path, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    batches = 2 * len(PHASES[model])
    saved = checkpoint(folder)
    assert saved["inpaintlab"]["iterations"] == batches
    assert saved["inpaintlab"]["images_seen"] == 2 * 2 * batches  # two processes with two images each
    assert "CPUAccelerator x 2" in done.stdout
    assert [path.name for path in (folder / "log").iterdir()] == ["version_0"]
    rows = rows_of(folder, 0)
    logged = [(row["step"], name) for row in rows for name, value in row.items() if value and "/" in name]
    assert len(set(logged)) == len(logged)
    assert {int(step) for step, _ in logged} == set(range(batches))
    for line in ("Phases", "run:", "done:"):
        assert done.stdout.count(line) == 1, done.stdout
