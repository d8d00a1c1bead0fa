"""A comparison under W&B, read back from what an offline run wrote."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import wandb

from stand_ins import wandb_reader
from stand_ins.commands import SCRIPT, run, run_here
from stand_ins.results import write_result

PSNR = [10.0, 12.0, 14.0, 19.0, 20.0, 21.0]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The folder of a comparison that was logged without a login, W&B's file, and what was printed."""
    folder = tmp_path_factory.mktemp("logged")
    write_result(folder / "weak", PSNR)
    write_result(folder / "strong one", [value + 1 for value in PSNR], checkpoint=None)
    settings = ("logger=wandb", "log_per_image=true", "pictures=0", "reference=weak")
    done = run(SCRIPT, "compare", "weak", "strong one", *settings, cwd=folder, home=folder / "home", WANDB_MODE="")
    assert done.returncode == 0, done.stderr
    (file,) = folder.rglob("run-*.wandb")
    return folder, file, done.stdout


def table(file: Path, key: str) -> pl.DataFrame:
    """A table that was logged."""
    (path,) = [row[f"{key}/path"] for row in wandb_reader.history(file) if f"{key}/path" in row]
    content = json.loads((file.parent / "files" / path).read_text())
    return pl.DataFrame(content["data"], schema=content["columns"], orient="row", infer_schema_length=None)


@pytest.mark.slow
def test_the_run_is_kept_without_a_login_and_is_finished(logged: tuple[Path, Path, str]) -> None:
    _, file, printed = logged
    assert file.match("comparison/wandb/offline-run-*/run-*.wandb")
    assert "wandb sync comparison/wandb/offline-run-*" in printed
    records = list(wandb_reader.records(file))
    assert any(record.HasField("exit") and record.exit.exit_code == 0 for record in records)
    assert next(record.run.job_type for record in records if record.HasField("run")) == "compare"
    assert not any(record.artifact.type in ("comparison", "report") for record in records)


@pytest.mark.slow
def test_the_table_of_the_run_is_that_of_the_file(logged: tuple[Path, Path, str]) -> None:
    folder, file, _ = logged
    written = pl.read_csv(folder / "comparison/table.csv")
    found = table(file, "comparison")
    assert found.columns == written.columns
    assert found.rows() == written.rows()
    assert set(found["label"]) == {"weak", "strong one"}
    assert found["p"].drop_nulls().len() > 0


@pytest.mark.slow
def test_the_summary_holds_every_mean_by_method_metric_and_bin(logged: tuple[Path, Path, str]) -> None:
    found = wandb_reader.summary(logged[1])
    assert found["weak/psnr_rgb/all"] == pytest.approx(16.0)
    assert found["strong one/psnr_rgb/10-20"] == pytest.approx(21.0)
    means = {name for name in found if name.count("/") == 2}
    assert means == {
        f"{label}/{metric}/{bin_name}"
        for label in ("weak", "strong one")
        for metric in ("psnr_rgb", "mae")
        for bin_name in ("10-20", "20-30", "fixed", "all")
    }


@pytest.mark.slow
def test_the_values_of_each_image_are_there_on_request(logged: tuple[Path, Path, str]) -> None:
    found = table(logged[1], "per_image")
    assert found.filter(pl.col("method") == "weak")["psnr_rgb"].to_list() == PSNR
    assert found.height == 2 * len(PSNR)


@pytest.mark.slow
def test_the_configuration_names_the_test_set_and_the_methods(logged: tuple[Path, Path, str]) -> None:
    found = wandb_reader.config(logged[1])
    assert found["manifest"]["sha256"].startswith("c0ffee")
    assert found["methods"]["weak"]["checkpoint"]["iterations"] == 1200
    assert found["methods"]["strong one"]["checkpoint"] is None
    assert found["reference"] == "weak"


def test_no_tracker_is_the_default_and_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        pytest.fail("nobody asked for a tracker")

    write_result(tmp_path / "weak", PSNR)
    monkeypatch.setattr("inpaintlab.verbs.compare.track_comparison", asked)  # which has it from its door
    done = run_here("compare", "results=[weak]", "pictures=0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "comparison/wandb").exists()


def test_a_tracker_that_cannot_be_reached_is_told_in_one_sentence_after_the_files_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(**_: Any) -> None:
        raise wandb.errors.CommError("Timed out\nafter 90 seconds")

    write_result(tmp_path / "weak", PSNR)
    monkeypatch.setattr(wandb, "init", unreachable)
    done = run_here("compare", "results=[weak]", "pictures=0", "logger=wandb", cwd=tmp_path, WANDB_MODE="online")
    assert done.returncode == 1
    assert (
        "W&B did not take what is in comparison (Timed out after 90 seconds); the files in it are whole." in done.stderr
    )
    assert len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "comparison/report.html").is_file()


class Run:
    """Stands in for a run of W&B: keeps what it is given."""

    def __init__(self, offline: bool) -> None:
        self.offline, self.disabled, self.id = offline, False, "0123"
        self.summary: dict[str, Any] = {}
        self.artifacts: list[tuple[str, set[str]]] = []
        self.ended: list[int] = []

    def define_metric(self, *_: Any, **__: Any) -> None: ...

    def log(self, _: dict[str, Any]) -> None: ...

    def log_artifact(self, artifact: Any, aliases: list[str]) -> None:
        assert aliases == ["latest"]
        self.artifacts.append((artifact.type, set(artifact.manifest.entries)))

    def finish(self, exit_code: int) -> None:
        self.ended.append(exit_code)


TABLES = ("table.csv", "table.md", "costs.csv", "seeds.csv")
ASKED = ("logger.wandb.artifacts=true", "logger.wandb.pictures=true")


@pytest.mark.parametrize(
    ("offline", "asked", "files"),
    [
        (True, ASKED, ()),
        (False, (), ()),
        (False, ASKED[1:], ()),
        (False, ASKED[:1], TABLES),
        (False, ASKED, (*TABLES, "report.html")),
    ],
)
def test_tables_and_report_go_up_where_they_are_asked_for_and_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: bool, asked: tuple[str, ...], files: tuple[str, ...]
) -> None:
    write_result(tmp_path / "weak", PSNR)
    started = Run(offline)
    monkeypatch.setattr(wandb, "init", lambda **_: started)
    told = ("results=[weak]", "pictures=0", "logger=wandb", *asked)
    done = run_here("compare", *told, cwd=tmp_path, WANDB_MODE="online")
    assert done.returncode == 0, done.stderr
    assert started.artifacts == ([("comparison", set(files))] if files else [])
    lines = [line for line in done.stdout.splitlines() if line.startswith("W&B: uploading to project inpaintlab of ")]
    assert len(lines) == 1
    if not offline:
        kept = f"{len(files)} files: {', '.join(files)}" if files else "no files (logger.wandb.artifacts=true)"
        assert f"; {kept}. WANDB_MODE=offline keeps all here." in lines[0]
    assert started.summary["weak/psnr_rgb/all"] == pytest.approx(16.0)
    assert started.ended == [0]


def test_a_run_whose_table_is_refused_is_finished_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_result(tmp_path / "weak", PSNR)
    started = Run(offline=True)

    def refusing(_: dict[str, Any]) -> None:
        raise ValueError("no")

    started.log = refusing  # type: ignore[method-assign]
    monkeypatch.setattr(wandb, "init", lambda **_: started)
    done = run_here("compare", "results=[weak]", "pictures=0", "logger=wandb", cwd=tmp_path, WANDB_MODE="offline")
    assert done.returncode == 1
    assert started.ended == [1]


@pytest.mark.parametrize("offline", [True, False])
def test_an_evaluation_is_a_run_with_its_means_and_the_result_as_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    small = ("data=toy", "data.size=48", "split=test", "images=3")
    assert run_here("manifest", "create", *small, "out=test.json", cwd=tmp_path).returncode == 0
    started, given = Run(offline), {}
    monkeypatch.setattr(wandb, "init", lambda **settings: given.update(settings) or started)
    told = ("manifest=test.json", "model=mean_colour", "trainer=cpu", "workers=0", "logger=wandb", ASKED[0])
    done = run_here("evaluate", *told, cwd=tmp_path, WANDB_MODE="online")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "results/mean_colour/result.json").read_text())
    for name in ("mae", "psnr_rgb"):
        assert started.summary[f"{name}/all"] == pytest.approx(written["means"]["all"][name])
    files = {"result.json", "per_image.parquet", "manifest.json"}
    assert started.artifacts == ([] if offline else [("result", files)])
    assert (given["job_type"], given["name"], started.ended) == ("evaluate", "mean_colour", [0])
    assert given["config"]["label"] == "mean_colour"
    assert run_here("evaluate", *told, cwd=tmp_path, WANDB_MODE="online").returncode == 0
    assert started.ended == [0]  # a result that was there already is told once


@pytest.mark.parametrize(
    ("verb", "settings"), [("compare", ["results=[weak]"]), ("evaluate", ["manifest=no.json", "model=telea"])]
)
def test_a_logger_of_curves_is_refused_before_the_work(tmp_path: Path, verb: str, settings: list[str]) -> None:
    done = run_here(verb, *settings, "logger=[wandb,tensorboard]", cwd=tmp_path)
    assert done.returncode == 1
    assert "logger=tensorboard shows curves of a training" in done.stderr
