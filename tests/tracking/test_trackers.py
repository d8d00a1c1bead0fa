"""What fails in a tracker is told once and ends nothing; what W&B is given, seen by a run that stands in for one."""

import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import wandb
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from rich.console import Console

from inpaintlab.tracking import CsvTracker, TensorboardTracker, Tracker, WandbTracker
from inpaintlab.tracking.tracker import Metrics
from stand_ins import wandb_reader
from stand_ins.building import Composer
from stand_ins.commands import run, run_here, tiny


def quiet() -> Console:
    return Console(file=io.StringIO(), width=400)


def printed(tracker: Tracker) -> list[str]:
    assert isinstance(tracker.console.file, io.StringIO)
    return tracker.console.file.getvalue().splitlines()


class Failing(Tracker):
    """A tracker that raises at the second line that it is given."""

    title = "Pigeon"

    def __init__(self, error: Exception) -> None:
        super().__init__(Path("runs/a"), quiet())
        self.error = error
        self.calls: list[str] = []

    def _start(self, iteration: int) -> None:
        self.calls.append("start")

    def _log(self, metrics: Metrics, step: int) -> None:
        self.calls.append(f"log {step}")
        if step == 1:
            raise self.error

    def _finish(self, succeeded: bool) -> None:
        self.calls.append("finish")


def use(tracker: Tracker) -> None:
    """Everything that a training asks of a tracker."""
    tracker.start()
    for step in range(4):
        tracker.log_metrics({"train/loss": 0.5}, step=step)
        tracker.save()
    tracker.picture("panels", Image.new("RGB", (4, 4)), 3, "after 4 batches")
    tracker.alert("discriminator wins", "It does.", 3)
    tracker.finalize("success")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ConnectionResetError("gone"), TimeoutError()]
)
def test_a_failure_outside_is_told_once_and_the_tracker_left_out(error: Exception) -> None:
    tracker = Failing(error)
    use(tracker)
    assert tracker.calls == ["start", "log 0", "log 1"]
    reason = str(error) or "TimeoutError"
    assert printed(tracker) == [
        f"Pigeon: it failed ({reason}) and gets nothing more of this run, which goes on without it."
    ]


def test_a_mistake_in_the_program_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        use(Failing(KeyError("train/loss")))


def test_a_tracker_that_was_not_started_takes_nothing() -> None:
    tracker = Failing(OSError())
    tracker.log_metrics({"train/loss": 0.5}, step=0)
    tracker.finalize("success")
    assert tracker.calls == []


def test_only_the_first_process_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Failing(OSError())
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    use(tracker)
    assert tracker.calls == []


def test_a_run_is_finished_once() -> None:
    tracker = Failing(OSError())
    tracker.start()
    tracker.finalize("finished")  # Lightning's word for a save before a job is queued again
    assert tracker.calls == ["start"]
    tracker.finalize("failed")
    tracker.finalize("success")
    assert tracker.calls == ["start", "finish"]


def test_a_csv_that_cannot_be_written_ends_no_training(tmp_path: Path) -> None:
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/log").write_text("a file where the folder of the logs would be")
    done = run_here("train", *tiny("glcic", 1), "name=a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/a/last.ckpt").is_file()
    assert [line for line in done.stdout.splitlines() if line.startswith("CSV: it failed (")]


def test_tensorboard_is_asked_for_by_name_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("inpaintlab.tracking.tensorboard.find_spec", lambda name: None)
    done = run_here("train", *tiny("glcic", 1), "logger=tensorboard", "name=a", cwd=tmp_path)
    assert done.returncode == 1
    assert 'run `pip install "inpaintlab[tensorboard]"`' in done.stderr
    assert not (tmp_path / "runs/a/last.ckpt").exists()


def test_an_earlier_start_of_tensorboard_is_not_shown_beyond_the_checkpoint(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for iteration, steps in ((0, range(5)), (3, range(3, 6))):  # killed after five batches, the checkpoint is of three
        tracker = TensorboardTracker(tmp_path, quiet(), {})
        tracker.start(iteration)
        for step in steps:
            tracker.log_metrics({"train/loss": float(iteration)}, step=step)
        tracker.finalize("failed")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    points = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert points == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 3.0), (4, 3.0), (5, 3.0)]


# ----------------------------------------------------------------------------------------------------------- W&B


@dataclass
class Run:
    """Stands in for a run of W&B: keeps what it is given."""

    offline: bool = False
    disabled: bool = False
    id: str = "0123"
    url: str = "https://wandb.example/me/inpaintlab/runs/0123"
    lines: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[tuple[str, str]] = field(default_factory=list)
    artifacts: list[tuple[Any, list[str]]] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    preempting: int = 0

    def define_metric(self, *_: Any, **__: Any) -> None: ...

    def mark_preempting(self) -> None:
        self.preempting += 1

    def log(self, line: dict[str, Any]) -> None:
        self.lines.append(line)

    def alert(self, title: str, text: str) -> None:
        self.alerts.append((title, text))

    def log_artifact(self, artifact: Any, aliases: list[str]) -> None:
        self.artifacts.append((artifact, aliases))

    def finish(self, exit_code: int) -> None:
        self.ended.append(exit_code)


@pytest.fixture
def inits(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What W&B was started with; each start gives a run of that mode."""
    given: list[dict[str, Any]] = []

    def init(**settings: Any) -> Run:
        given.append(settings)
        return Run(offline=settings["mode"] == "offline", disabled=settings["mode"] == "disabled")

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    return given


def tracker_of(folder: Path, **changes: Any) -> WandbTracker:
    settings = {"project": "p", "entity": None, "group": None, "tags": [], "upload_minutes": 1.5}
    settings |= {"pictures": True, "artifacts": True}
    return WandbTracker(folder, quiet(), {"seed": 1}, "notes", **(settings | changes))


def checkpoints(folder: Path) -> dict[str, Path]:
    files = {name: folder / f"{name}.ckpt" for name in ("best", "last")}
    for name, file in files.items():
        file.write_bytes(name.encode() * 500_000)
    return files


FACTS = {"best": {"iterations": 6, "score": 2.0}, "last": {"iterations": 9, "score": 1.0}}


@pytest.mark.parametrize(("mode", "wanted", "kept"), [("online", True, 2), ("online", False, 0), ("offline", True, 0)])
def test_checkpoints_go_up_where_there_is_something_to_go_up_to(
    tmp_path: Path, inits: list[Any], monkeypatch: pytest.MonkeyPatch, mode: str, wanted: bool, kept: int
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    tracker = tracker_of(tmp_path, artifacts=wanted)
    tracker.start()
    tracker.keep_checkpoints(checkpoints(tmp_path), FACTS)
    assert len(tracker.run.artifacts) == kept
    for (artifact, aliases), name in zip(tracker.run.artifacts, ("best", "last"), strict=False):
        assert aliases == [name]
        assert (artifact.name, artifact.type) == ("model-0123", "model")
        assert artifact.metadata == FACTS[name]
        assert list(artifact.manifest.entries) == [f"{name}.ckpt"]
    told = [line for line in printed(tracker) if "4 MB" in line]
    assert told == (["W&B: uploading best.ckpt and last.ckpt, 4 MB"] if kept else [])


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "curves, no pictures (logger.wandb.pictures=true), what"),
        ({"pictures": True}, "curves, 7 panels of validation images, what"),
        ({}, "; no files (logger.wandb.artifacts=true)."),
        ({"artifacts": True}, "; 2 files: best.ckpt, last.ckpt."),
        ({}, "uploading to project p of your default entity: settings with their paths, curves"),
        ({"entity": "team"}, "uploading to project p of team: "),
    ],
)
def test_what_will_leave_the_machine_is_told_before_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], told: str
) -> None:
    def init(**_: Any) -> Run:
        (line,) = printed(tracker)
        assert told in line
        assert line.startswith("W&B: uploading to project p of ")
        return Run()

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    tracker = tracker_of(tmp_path, **({"pictures": False, "artifacts": False} | asked))
    tracker.start(pictures_to_come=7)
    assert tracker.run is not None
    assert printed(tracker)[1:] == ["W&B: https://wandb.example/me/inpaintlab/runs/0123"]


@pytest.mark.parametrize(
    ("mode", "wanted", "shown"), [("online", False, 0), ("offline", False, 0), ("offline", True, 1)]
)
def test_pictures_are_logged_only_where_they_are_asked_for(
    tmp_path: Path, inits: list[Any], monkeypatch: pytest.MonkeyPatch, mode: str, wanted: bool, shown: int
) -> None:
    """Also offline: `wandb sync` would upload all that lies there."""
    monkeypatch.setenv("WANDB_MODE", mode)
    tracker = tracker_of(tmp_path, pictures=wanted)
    use(tracker)
    assert sum("panels" in line for line in tracker.run.lines) == shown


@pytest.mark.slow
def test_wandb_itself_takes_the_checkpoints(tmp_path: Path) -> None:
    """Into an offline run, which stages what an online one uploads; a server was never at hand."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, pathlib\n"
        "from rich.console import Console\n"
        "from inpaintlab.tracking.wandb import WandbTracker\n"
        "WandbTracker.online = property(lambda tracker: True)\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "more = dict(project='p', entity=None, group=None, tags=[], pictures=False, artifacts=True)\n"
        "more['upload_minutes'] = 1\n"
        "tracker = WandbTracker(folder, Console(), {'seed': 1}, **more)\n"
        "tracker.start()\n"
        "files = {name: folder / f'{name}.ckpt' for name in ('best', 'last')}\n"
        f"tracker.keep_checkpoints(files, {FACTS!r})\n"
        "tracker.finalize('success')\n"
    )
    checkpoints(tmp_path)
    command = (sys.executable, str(script), str(tmp_path))
    done = run(*command, cwd=tmp_path, home=tmp_path / "home", WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    assert "it failed" not in done.stdout
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    found = [
        record.artifact if record.HasField("artifact") else record.request.log_artifact.artifact
        for record in wandb_reader.records(file)
        if record.HasField("artifact") or record.request.HasField("log_artifact")
    ]
    assert {artifact.type for artifact in found} == {"model"}
    assert [set(artifact.aliases) for artifact in found] == [{"best", "latest"}, {"last", "latest"}]
    assert [json.loads(artifact.metadata) for artifact in found] == list(FACTS.values())
    assert [[entry.path for entry in a.manifest.contents] for a in found] == [["best.ckpt"], ["last.ckpt"]]
    assert {artifact.name for artifact in found} == {f"model-{wandb_reader.run_id(file)}"}


@pytest.mark.parametrize(("mode", "alerts"), [("online", 1), ("offline", 0), ("disabled", 0)])
def test_wandb_alerts_where_it_is_online(
    tmp_path: Path, inits: list[Any], monkeypatch: pytest.MonkeyPatch, mode: str, alerts: int
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    tracker = tracker_of(tmp_path)
    use(tracker)
    assert tracker.run.alerts == [("discriminator wins", "It does.")] * alerts
    assert [line["trainer/global_step"] for line in tracker.run.lines] == [0, 1, 2, 3, 3]
    assert tracker.run.ended == [0]


def test_a_training_that_fails_is_a_failed_run(tmp_path: Path, inits: list[Any]) -> None:
    tracker = tracker_of(tmp_path)
    tracker.start()
    tracker.finalize("failed")
    tracker.finalize("success")  # Lightning tears down after an error as well
    assert (tracker.run.ended, tracker.run.preempting) == ([1], 0)


@pytest.mark.parametrize("status", ["success", "failed"])
def test_a_paused_run_is_neither_finished_nor_failed_whatever_it_is_told_after(
    tmp_path: Path, inits: list[Any], status: str
) -> None:
    tracker = tracker_of(tmp_path)
    tracker.pause()  # before it runs there is nothing to pause
    tracker.start()
    tracker.pause()
    tracker.pause()
    tracker.finalize(status)
    tracker.pause()
    tracker.finalize("success")
    assert (tracker.run.ended, tracker.run.preempting) == ([75], 1)


def best(tracker: WandbTracker) -> dict[str, Any]:
    return {name: tracker.run.summary[name] for name in sorted(tracker.run.summary)}


def validate(tracker: WandbTracker, begin: int, *scores: tuple[float, float]) -> None:
    """A start of a run that has done ``begin`` batches, and its validations."""
    tracker.start(begin, {"val/psnr": True, "val/mae": False})
    for step, (psnr, mae) in enumerate(scores, begin):
        tracker.log_metrics({"val/psnr": psnr, "val/mae": mae, "epoch": 0.0}, step)
        tracker.log_metrics({"train/loss": 0.5}, step)


def test_the_summary_holds_the_best_scores_of_all_starts(tmp_path: Path, inits: list[Any]) -> None:
    nan, inf = float("nan"), float("inf")
    first = tracker_of(tmp_path)
    validate(first, 0, (nan, 0.3), (20.0, 0.2), (nan, nan), (18.0, 0.4))
    assert best(first) == {"val/mae": {"min": 0.2}, "val/psnr": {"max": 20.0}}
    again = tracker_of(tmp_path)
    validate(again, 4, (17.0, 0.1), (19.0, 0.3))
    assert best(again) == {"val/mae": {"min": 0.1}, "val/psnr": {"max": 20.0}}
    last = tracker_of(tmp_path)
    validate(last, 6, (inf, 0.5), (30.0, 0.5))
    assert best(last) == {"val/mae": {"min": 0.1}, "val/psnr": {"max": inf}}
    anew = tracker_of(tmp_path)
    validate(anew, 0, (5.0, 0.9))
    assert best(anew) == {"val/mae": {"min": 0.9}, "val/psnr": {"max": 5.0}}


@pytest.mark.parametrize("content", ["{", '{"values": {"val/psnr": "much"}}', "[]"])
def test_damaged_best_scores_are_told_and_end_no_training(tmp_path: Path, inits: list[Any], content: str) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb/best.json").write_text(content)
    tracker = tracker_of(tmp_path)
    validate(tracker, 4, (17.0, 0.1))
    assert best(tracker) == {"val/mae": {"min": 0.1}, "val/psnr": {"max": 17.0}}
    assert sum("W&B's summary holds the best values from here on" in line for line in printed(tracker)) == 1


def test_runs_that_differ_in_their_seed_alone_are_a_group_unless_another_is_chosen(
    tmp_path: Path, inits: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def group(**changes: Any) -> Any:
        settings = {"project": "p", "entity": None, "group": None, "tags": [], "upload_minutes": 1}
        settings |= {"pictures": False, "artifacts": False} | changes
        WandbTracker(tmp_path, quiet(), {"configuration": "glcic-1234"}, **settings).start()
        return inits[-1]["group"]

    monkeypatch.delenv("WANDB_RUN_GROUP", raising=False)
    assert group() == "glcic-1234"
    assert group(group="mine") == "mine"
    monkeypatch.setenv("WANDB_RUN_GROUP", "sweep")
    assert group() is None  # W&B itself reads the variable
    assert group(group="mine") == "mine"


def test_a_training_that_was_asked_to_end_is_a_preempted_run(tmp_path: Path) -> None:
    """And a file of W&B's own tells of it, and of the metrics whose best value its summary holds."""
    settings = [*tiny("glcic"), "logger=wandb", "name=a", "every.validation=1"]
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, sys\n"
        "from inpaintlab.verbs import train\n"
        "from inpaintlab.inpainting.learner import Learner\n"
        "step = Learner.training_step\n"
        "def ask(learner, *given):\n"
        "    if learner.schedule.iteration == 2:\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    return step(learner, *given)\n"
        "Learner.training_step = ask\n"
        "sys.argv[0] = 'inpaintlab train'\n"
        "train.main()\n"
    )
    command = (sys.executable, str(script), *settings)
    done = run(*command, cwd=tmp_path, home=tmp_path / "home", WANDB_MODE="offline")
    assert done.returncode == 75, done.stderr
    assert "asked to end: saved after 3 batches" in done.stdout
    (file,) = tmp_path.glob("runs/a/wandb/offline-run-*/run-*.wandb")
    kinds = [record.WhichOneof("record_type") for record in wandb_reader.records(file)]
    assert kinds.count("preempting") == 1
    assert kinds.index("preempting") < kinds.index("exit")
    assert wandb_reader.exit_codes(file) == [75]
    metrics = [record.metric for record in wandb_reader.records(file) if record.HasField("metric")]
    assert {metric.step_metric for metric in metrics if metric.name != "trainer/global_step"} == {"trainer/global_step"}
    directions = {m.name: (m.summary.max, m.summary.min) for m in metrics if m.name.startswith("val/")}
    assert directions == {
        "val/psnr_rgb": (True, False),
        "val/ssim_gauss11_rgb": (True, False),
        "val/mae": (False, True),
        "val/mae_hole": (False, True),
    }
    scores = [row for row in wandb_reader.history(file) if "val/mae" in row]
    assert len(scores) == 2
    summary = wandb_reader.summary(file)
    assert summary["val/psnr_rgb"] == {"max": max(row["val/psnr_rgb"] for row in scores)}
    assert summary["val/mae"] == {"min": min(row["val/mae"] for row in scores)}
    assert wandb_reader.run_of(file).run_group == wandb_reader.config(file)["configuration"]


def test_a_run_keeps_its_identity_in_its_folder(tmp_path: Path, inits: list[dict[str, Any]]) -> None:
    for name in ("a", "a", "b"):
        (tmp_path / name).mkdir(exist_ok=True)
        tracker_of(tmp_path / name).start()
    first, again, other = (settings["id"] for settings in inits)
    assert first == again != other
    (tmp_path / "a").rename(tmp_path / "moved")
    tracker_of(tmp_path / "moved").start()
    assert inits[-1]["id"] == first


def test_an_identity_from_outside_and_that_of_a_result_are_left_to_wandb(
    tmp_path: Path, inits: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker_of(tmp_path, job_type="compare").open([], [])
    monkeypatch.setenv("WANDB_RUN_ID", "from-an-agent")
    tracker_of(tmp_path).start()
    assert [settings["id"] for settings in inits] == [None, None]


def test_the_end_waits_for_uploads_only_so_long(tmp_path: Path, inits: list[dict[str, Any]]) -> None:
    for minutes in (1.5, 0):
        tracker_of(tmp_path, upload_minutes=minutes).start()
    waits = [(settings["settings"].finish_timeout, settings["settings"].finish_timeout_raises) for settings in inits]
    assert waits == [(90, True), (0, False)]


def test_a_server_that_cannot_be_reached_makes_the_run_an_offline_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    def init(**settings: Any) -> Run:
        modes.append(settings["mode"])
        if settings["mode"] == "online":
            raise wandb.errors.CommError("Timed out\nafter 90 seconds")
        return Run(offline=True)

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_MODE", "online")
    tracker = tracker_of(tmp_path)
    use(tracker)
    assert modes == ["online", "offline"]
    assert len(tracker.run.lines) == 5
    line = printed(tracker)[1]
    assert line.startswith("W&B: the server does not answer as it should (Timed out after 90 seconds); kept here: ")
    assert line.endswith(f"; no files. Upload them later with: wandb sync {tmp_path}/wandb/offline-run-*")


@pytest.mark.parametrize(
    ("setting", "named"),
    [("logger.wandb.project=a/b", "Invalid project name 'a/b'"), (f"logger.wandb.tags=[{'x' * 65}]", "1 and 64 char")],
)
def test_a_setting_that_wandb_refuses_is_told_before_the_first_batch(tmp_path: Path, setting: str, named: str) -> None:
    done = run_here("train", *tiny("glcic", 1), "logger=wandb", setting, "name=a", cwd=tmp_path, WANDB_MODE="offline")
    assert done.returncode == 1
    assert "inpaintlab train: W&B refuses a setting of logger.wandb (" in done.stderr
    assert named in done.stderr
    assert not (tmp_path / "runs/a/last.ckpt").exists()


def test_several_loggers_are_a_list_and_a_sweep_takes_lists_as_values(composed: Composer) -> None:
    both = composed("logger=[wandb,tensorboard]", "logger.wandb.project=mine").logger
    assert list(both) == ["wandb", "tensorboard"]
    assert both.wandb.project == "mine"
    assert list(composed("logger=tensorboard").logger) == ["tensorboard"]
    assert list(composed().logger) == ["wandb"]
    assert not composed("logger=none").logger


def test_the_csv_is_a_tracker_like_the_others(tmp_path: Path) -> None:
    for version in (0, 1):
        tracker = CsvTracker(tmp_path, quiet())
        use(tracker)
        assert (tmp_path / f"log/version_{version}/metrics.csv").read_text().splitlines()[1:] == [
            f"{step},0.5" for step in range(4)
        ]
        assert printed(tracker) == []
