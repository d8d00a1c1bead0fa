"""A sweep: one folder a job, what fails is recorded, what is done is not done again, whatever launches the jobs."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import optuna
import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from inpaintlab.commandline.arguments import settings_of
from inpaintlab.config import CONF
from inpaintlab.runs import Progress, give_up, is_locked, locked, reason_of, state_of
from inpaintlab.sweeps import Job, OnThisMachine, SweepFolder, Training, best_job, planned_batches, run_job, sweep_name
from inpaintlab.sweeps.folder import job_name
from inpaintlab.sweeps.search import Listed, combinations
from stand_ins.commands import SCRIPT, checkpoint, environment, run, run_here, same_weights, start

# a training of a second: four batches of 32 px pictures, all of one phase
SHORT = [
    *("data=toy", "data.size=32", "data.batch_size=2", "model.width=0.0625", "trainer=cpu", "logger=none"),
    *("panel_images=0", "validation_images=2", "every.validation=2", "every.checkpoint=1", "every.log=1"),
    *("model/schedule=completion_only", "model.schedule.phases.completion.batches=4"),
]


def finish(cfg: DictConfig, folder: Path, *scores: float | None) -> None:
    """Leave what a training to the end leaves for those who look on."""
    total = planned_batches(cfg)
    assert total is not None
    progress(total, *scores, total=total).save(folder)


def progress(done: int, *scores: float | None, total: int = 4, higher_is_better: bool = True) -> Progress:
    pairs = [(2 * number, score) for number, score in enumerate(scores, 1)]
    return Progress(done, total, "val/psnr_rgb", higher_is_better, pairs, 1.5)


class Finishes:
    """An end with these scores, whatever the settings: composing them takes longer than all else that a sweep does."""

    def __init__(self, *scores: float) -> None:
        self.scores = scores

    def of(self, training: Training) -> None:
        assert training.batches is not None
        progress(training.batches, *self.scores, total=training.batches).save(training.folder)


class Trainings:
    """Stands in for the processes of the jobs: notes which were started, and leaves what ``ending`` makes of each."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ending: Finishes | Callable[[DictConfig, Path], None] = Finishes()

    def __call__(self, training: Training, ending: threading.Event, variables: dict[str, str]) -> None:
        if isinstance(self.ending, Finishes):
            training.folder.mkdir(parents=True, exist_ok=True)
            self.started.append(training.folder.name)
            self.ending.of(training)
            return
        loader = GlobalHydra.instance().config_loader()
        cfg = loader.load_configuration("train", settings_of(training.arguments), RunMode.RUN)
        training.folder.mkdir(parents=True, exist_ok=True)
        self.started.append(training.folder.name)
        self.ending(cfg, training.folder)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    stand_in = Trainings()
    monkeypatch.setattr("inpaintlab.sweeps.launching.run_job", stand_in)
    return stand_in


def sweep(folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    return run_here("train", "-m", *settings, cwd=folder)


def only_sweep(folder: Path) -> Path:
    (found,) = (folder / "runs").iterdir()
    return found


# --- which jobs ------------------------------------------------------------------------------------------------------


def test_each_combination_is_a_job_in_a_folder_that_tells_it(tmp_path: Path, trainings: Trainings) -> None:
    done = sweep(tmp_path, "model=glcic,edgeconnect", "seed=1,2", "mask=block", "data=toy")
    assert done.returncode == 0, done.stderr
    expected = [f"model-{model}_seed-{seed}" for model in ("glcic", "edgeconnect") for seed in (1, 2)]
    assert trainings.started == expected
    assert sorted(path.name for path in only_sweep(tmp_path).iterdir() if path.is_dir()) == sorted(expected)
    assert only_sweep(tmp_path).name.startswith("sweep-model-seed-")


def test_a_job_has_the_settings_that_its_name_tells(tmp_path: Path, trainings: Trainings) -> None:
    seen = {}

    def look(cfg: DictConfig, folder: Path) -> None:
        seen[folder.name] = (cfg.seed, cfg.data.flip, cfg.data.size, cfg.name)
        finish(cfg, folder)

    trainings.ending = look
    sweep(tmp_path, "seed=1,2", "data.flip=0.25", "data.size=32", "name=mine")
    assert seen == {"seed-1": (1, 0.25, 32, "mine/seed-1"), "seed-2": (2, 0.25, 32, "mine/seed-2")}


def test_the_same_sweep_again_does_only_what_is_missing_or_failed(tmp_path: Path, trainings: Trainings) -> None:
    def ending(cfg: DictConfig, folder: Path) -> None:
        if cfg.seed == 1:
            finish(cfg, folder)
        elif cfg.seed == 2:
            progress(3, 20.0).save(folder)
        else:
            (folder / "failed.txt").write_text("It broke.")

    trainings.ending = ending
    first = sweep(tmp_path, "seed=1,2,3")
    assert first.returncode == 1
    assert "3 jobs: 1 done, 1 unfinished, 1 failed" in first.stdout
    assert "It broke." in first.stdout
    assert len(trainings.started) == 3
    trainings.started.clear()
    trainings.ending = Finishes()
    second = sweep(tmp_path, "seed=1,2,3")
    assert second.returncode == 0, second.stderr
    assert trainings.started == ["seed-2", "seed-3"]
    assert "3 jobs: 3 done" in second.stdout


def test_a_larger_sweep_adds_to_the_smaller_one(tmp_path: Path, trainings: Trainings) -> None:
    sweep(tmp_path, "seed=1,2")
    sweep(tmp_path, "every.log=7", "seed=1,2,3")
    assert trainings.started == ["seed-1", "seed-2", "seed-3"]
    assert set(SweepFolder.load(only_sweep(tmp_path)).jobs) == {"seed-1", "seed-2", "seed-3"}


def test_a_longer_schedule_makes_finished_jobs_unfinished(tmp_path: Path, trainings: Trainings) -> None:
    lengths = "model.schedule.phases.completion.batches"
    settings = ["name=a", "seed=1,2", "model/schedule=completion_only"]
    sweep(tmp_path, *settings, f"{lengths}=4")
    assert sweep(tmp_path, *settings, f"{lengths}=4").returncode == 0
    assert trainings.started == ["seed-1", "seed-2"]
    sweep(tmp_path, *settings, f"{lengths}=5")
    assert trainings.started == ["seed-1", "seed-2"] * 2
    assert Progress.load(only_sweep(tmp_path) / "seed-1") == progress(5, total=5)


def test_a_name_is_not_shared_by_sweeps_of_other_settings(tmp_path: Path, trainings: Trainings) -> None:
    sweep(tmp_path, "name=a", "seed=1,2", "data.size=32")
    told = sweep(tmp_path, "name=a", "seed=1,2", "data.size=64")
    assert told.returncode == 1
    assert len(told.stderr.strip().splitlines()) == 1
    assert "data.size=32" in told.stderr
    assert "name=" in told.stderr
    assert len(trainings.started) == 2


def test_a_mistyped_job_is_named_before_any_starts(tmp_path: Path, trainings: Trainings) -> None:
    told = sweep(tmp_path, "model=glcic,glcci")
    assert told.returncode == 1
    assert "glcci" in told.stderr
    assert trainings.started == []


@pytest.mark.parametrize("setting", ["name=a,b", "runs=a,b"])
def test_a_sweep_has_one_folder(tmp_path: Path, trainings: Trainings, setting: str) -> None:
    told = sweep(tmp_path, setting)
    assert told.returncode == 1
    assert setting in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interval_is_no_grid(tmp_path: Path, trainings: Trainings) -> None:
    told = sweep(tmp_path, "model.learning_rate=interval(0.1,1)")
    assert told.returncode == 1
    assert "hydra/sweeper=optuna" in told.stderr


def test_a_sweep_may_stand_in_a_file(tmp_path: Path, trainings: Trainings) -> None:
    (tmp_path / "own/experiment").mkdir(parents=True)
    params = {"seed": "1,2,3", "data.flip": 0.5}
    content = "# @package _global_\n" + yaml.safe_dump({"hydra": {"sweeper": {"params": params}}})
    (tmp_path / "own/experiment/mine.yaml").write_text(content)
    done = sweep(tmp_path, "--config-dir", "own", "experiment=mine", "seed=1,2", "name=a")
    assert done.returncode == 0, done.stderr
    assert trainings.started == ["seed-1", "seed-2"]  # the command line has the last word
    assert "data.flip=0.5" in SweepFolder.load(tmp_path / "runs/a").fixed


@pytest.mark.parametrize("word", ["hydra/sweeper=basic", "hydra/launcher=basic"])
def test_hydras_own_words_for_a_grid_on_this_machine_mean_ours(tmp_path: Path, trainings: Trainings, word: str) -> None:
    done = sweep(tmp_path, "seed=1,2", "name=a", word)
    assert done.returncode == 0, done.stderr
    assert trainings.started == ["seed-1", "seed-2"]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"a"}  # and no multirun.yaml of Hydra's


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["train", "-m", "hydra/sweeper=ax"], "There is no hydra/sweeper=ax. It can be grid, list, optuna."),
        (["train", "-m", "hydra/launcher=jolib"], "There is no hydra/launcher=jolib. Did you mean 'joblib'?"),
        (["train", "hydra/sweeper=optuna"], "hydra/sweeper=optuna is for a sweep, which begins with -m"),
        (["train", "hydra.launcher.n_jobs=2"], "hydra.launcher.n_jobs=2 is for a sweep, which begins with -m"),
        (["evaluate", "-m", "hydra/launcher=joblib", "manifest=a,b"], "hydra/launcher=joblib is for trainings"),
        (["train", "-m", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs is 0"),
        (["train", "-m", "hydra.launcher.n_jobs=two"], "hydra.launcher.n_jobs is two"),
        (["train", "-m", "hydra.launcher._target_=datetime.timedelta"], "starts no trainings of inpaintlab"),
        (["train", "-m", "hydra.launcher._target_=hydra_plugins.absent.Launcher"], "starts no trainings of inpaintlab"),
        (["train", "-m", "hydra/launcher=submitit"], "There is no SLURM here"),
    ],
)
def test_a_sweep_that_cannot_start_is_one_sentence_before_anything_is_written(
    tmp_path: Path, trainings: Trainings, monkeypatch: pytest.MonkeyPatch, command: list[str], told: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run_here(*command, *(["seed=1,2"] if "-m" in command else []), cwd=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_without_its_extra_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.sweeps.launching.find_spec", lambda name: None)
    told = sweep(tmp_path, "seed=1,2", "hydra/launcher=submitit")
    assert told.returncode == 1
    assert 'pip install "inpaintlab[sweeps]"' in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_verb_tries_one_combination_after_the_other_and_leaves_nothing(tmp_path: Path) -> None:
    done = run_here("evaluate", "-m", "manifest=a.json,b.json", "model=telea", cwd=tmp_path)
    assert done.returncode == 1
    sentences = done.stderr.splitlines()
    assert [line.split()[7] for line in sentences[:2]] == [f"{tmp_path}/a.json;", f"{tmp_path}/b.json;"]
    assert sentences[2:] == ["2 of 2 failed: manifest=a.json; manifest=b.json"]
    assert list(tmp_path.iterdir()) == []


# --- several at a time -----------------------------------------------------------------------------------------------


def waiting(folder: Path, *names: str) -> list[Training]:
    return [Training(folder / name, (), 4) for name in names]


def test_trainings_run_as_many_at_a_time_as_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, running, most, seen = threading.Lock(), set[str](), list[int](), list[dict[str, str]]()
    pairs = threading.Barrier(2, timeout=30)  # no training of four ends before another one has started

    def job(training: Training, ending: threading.Event, variables: dict[str, str]) -> None:
        with lock:
            running.add(training.folder.name)
            most.append(len(running))
            seen.append(variables)
        pairs.wait()
        with lock:
            running.remove(training.folder.name)

    monkeypatch.setattr("inpaintlab.sweeps.launching.run_job", job)
    monkeypatch.setattr("inpaintlab.sweeps.launching.cores", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert OnThisMachine(2).launch(waiting(tmp_path, "a", "b", "c", "d")) == []
    assert max(most) == 2
    assert seen == [{"OMP_NUM_THREADS": "3"}] * 4
    told = capsys.readouterr().out
    assert "2 trainings at a time" in told
    assert "OMP_NUM_THREADS=3, of 7 cores" in told


@pytest.mark.parametrize(("asked", "at_once"), [(1, 1), (3, 3), (-1, 4), (-2, 3), (-9, 1)])
def test_a_negative_number_of_jobs_counts_from_the_cores(
    monkeypatch: pytest.MonkeyPatch, asked: int, at_once: int
) -> None:
    monkeypatch.setattr("inpaintlab.sweeps.launching.cores", lambda: 4)
    assert OnThisMachine(asked).n_jobs == at_once


def test_what_keeps_one_training_from_its_start_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def job(training: Training, ending: threading.Event, variables: dict[str, str]) -> None:
        if training.folder.name == "b":
            raise OSError("no room")
        training.folder.mkdir()

    monkeypatch.setattr("inpaintlab.sweeps.launching.run_job", job)
    (failure,) = OnThisMachine(1).launch(waiting(tmp_path, "a", "b", "c"))
    assert (failure[0].folder.name, failure[1]) == ("b", "no room")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c"}


def test_ctrl_c_ends_what_runs_and_starts_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, waits, wait = [], threading.Event(), Future.exception

    def job(training: Training, ending: threading.Event, variables: dict[str, str]) -> None:
        assert waits.wait(30)
        time.sleep(0.3)  # until it does: a signal on the way there would be seen only after this job has ended
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        ended.append((training.folder.name, ending.wait(30)))

    def exception(future: Future[None]) -> BaseException | None:
        waits.set()
        return wait(future)

    monkeypatch.setattr(Future, "exception", exception)
    monkeypatch.setattr("inpaintlab.sweeps.launching.run_job", job)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            OnThisMachine(1).launch(waiting(tmp_path, "a", "b"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended == [("a", True)]


def test_a_job_that_is_to_end_gets_the_signal_that_lets_it_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\ntrap 'echo saved; exit 75' TERM\necho up\nwhile :; do sleep 0.1; done\n")
    python.chmod(0o755)
    monkeypatch.setattr("inpaintlab.sweeps.job.sys.executable", str(python))
    ending, log = threading.Event(), tmp_path / "a/output.log"
    thread = threading.Thread(target=run_job, args=(Training(tmp_path / "a", (), 4), ending))
    thread.start()
    wait_until(lambda: log.is_file() and log.read_text() == "up\n", log)
    ending.set()
    thread.join()
    assert log.read_text() == "up\nsaved\n"
    assert state_of(tmp_path / "a") == "unfinished"


# --- a list ----------------------------------------------------------------------------------------------------------


def test_a_list_of_override_sets_is_run_for_each_seed(tmp_path: Path, trainings: Trainings) -> None:
    seen = {}

    def look(cfg: DictConfig, folder: Path) -> None:
        seen[folder.name] = (cfg.hydra.runtime.choices.model, cfg.seed, cfg.model.width)
        finish(cfg, folder)

    trainings.ending = look
    (tmp_path / "jobs.yaml").write_text("small: [model=glcic, model.width=0.25]\nedges: [model=edgeconnect]\n")
    listed = ["hydra/sweeper=list", "hydra.sweeper.search.file=jobs.yaml"]
    assert sweep(tmp_path, *listed, "seed=1,2", "name=a").returncode == 0
    assert seen == {
        "small_seed-1": ("glcic", 1, 0.25),
        "small_seed-2": ("glcic", 2, 0.25),
        "edges_seed-1": ("edgeconnect", 1, 1.0),
        "edges_seed-2": ("edgeconnect", 2, 1.0),
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[1, 2]", "not a list of jobs"),
        ("{}", "no list of jobs"),
        ("a: seed=2", "list of overrides"),
        ("a: [2]", "list of overrides"),
        ("../a: [seed=2]", "'../a'"),
        ("a: [", "cannot be read as YAML"),
        (None, "jobs.yaml"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, trainings: Trainings, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "jobs.yaml").write_text(content)
    done = sweep(tmp_path, "hydra/sweeper=list", "hydra.sweeper.search.file=jobs.yaml", "name=a")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert told in done.stderr
    assert trainings.started == []


HARM = "${oc.create:{_target_:pathlib.Path.touch,self:harm}}"
HOSTILE = {
    "a resolver": ([f"model.width='{HARM}'"], "nothing in such a file is resolved"),
    "a resolver without quotes": (["model.width=${data.size}"], "nothing in such a file is resolved"),
    "a secret": (["notes=${oc.env:HOME}"], "nothing in such a file is resolved"),
    "a secret in a list": (["logger.wandb.tags=[a,'${oc.env:HOME}']"], "nothing in such a file is resolved"),
    "a class": (["model._target_=os.system"], "'model._target_' is no setting"),
    "a class in a dict": (["+trainer.callbacks=[{_target_:os.system}]"], "'_target_' is no setting"),
    "a launcher": (["hydra.launcher._target_=os.system"], "'hydra.launcher._target_' is no setting"),
    "Hydra's search path": (["hydra.searchpath=[file:///tmp]"], "'hydra.searchpath' is no setting"),
    "a file elsewhere": (["model=../../../../../../tmp/evil"], "model is '../../../../../../tmp/evil'; it can be"),
    "a group that joins": (["+experiment=../../evil"], "experiment is '../../evil'; it can be"),
    "a package": (["model@_global_=glcic"], "is not one setting with one value"),
    "several values": (["seed=1,2"], "is not one setting with one value"),
    "no setting": (["--config-dir=/tmp"], "job 'a'"),
}


@pytest.mark.parametrize(("overrides", "told"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_list_of_a_stranger_runs_and_resolves_nothing(tmp_path: Path, overrides: list[str], told: str) -> None:
    (tmp_path / "jobs.yaml").write_text(yaml.safe_dump({"a": overrides}))
    with (
        initialize_config_dir(version_base="1.3", config_dir=str(CONF)),
        pytest.raises(ValueError, match=r"jobs\.yaml, job 'a': ") as error,
    ):
        next(Listed(str(tmp_path / "jobs.yaml")).batches(SweepFolder(tmp_path, []), [], []))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_an_open_trial_of_a_strangers_search_is_not_taken_up(tmp_path: Path, trainings: Trainings) -> None:
    folder = tmp_path / "runs/a"
    folder.mkdir(parents=True)
    harm = optuna.distributions.CategoricalDistribution([HARM])
    study = optuna.create_study(study_name="a", storage=f"sqlite:///{folder / 'study.db'}", direction="maximize")
    study.ask({"notes": harm})
    done = sweep(tmp_path, "hydra/sweeper=optuna", "hydra.sweeper.search.trials=1", "seed=1,2", "name=a")
    assert done.returncode == 1
    assert "The study 'a' chose from other values so far (trial 0)" in done.stderr
    assert trainings.started == []


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_jobs_name_tells_keys_and_values() -> None:
    assert job_name({"model": "glcic", "data.flip": "0.5", "model/schedule": "edge_only"}) == (
        "model-glcic_flip-0.5_schedule-edge_only"
    )


def test_keys_with_one_last_word_are_told_apart() -> None:
    assert job_name({"a.rate": "1", "b.rate": "2"}) == "a.rate-1_b.rate-2"


def test_values_that_no_folder_can_be_called_stay_apart() -> None:
    names = {job_name({"mask.weights": value}) for value in ("[1,0,3]", "[1,0/3]", "[1 0,3]", "../[1,0,3]", "1-0-3")}
    assert len(names) == 5
    assert not any(set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-_.") for name in names)


def test_long_values_make_no_endless_name() -> None:
    one, other = job_name({"x": "a" * 300}), job_name({"x": "a" * 301})
    assert len(one) <= 120
    assert one != other


def test_a_sweeps_name_follows_from_what_decides_its_results() -> None:
    name = sweep_name(["seed", "model"], ["data.size=32", "mask=block"])
    assert name == sweep_name(["seed", "model"], ["mask=block", "data.size=32", "trainer.devices=2", "runs=x"])
    assert name != sweep_name(["seed", "model"], ["mask=block", "data.size=64"])
    assert name != sweep_name(["seed"], ["data.size=32", "mask=block"])


def test_a_sweeps_name_does_not_follow_from_where_the_data_lie() -> None:
    name = sweep_name(["seed"], ["data=folder", "data.root=photos"])
    assert name == sweep_name(["seed"], ["data=folder", "data.root='/moved/photos/'"])
    assert name != sweep_name(["seed"], ["data=folder", "data.root=photos", "mask=half"])


def test_a_grid_is_every_combination_once() -> None:
    swept = OverridesParser.create().parse_overrides(["a=1,2,1", "b=range(0,4,2)", "+c=choice(x,[1,2])"])
    assert combinations(swept) == [
        {"a": a, "b": b, "+c": c} for a in ("1", "2") for b in ("0", "2") for c in ("x", "[1,2]")
    ]


# --- how a job stands ------------------------------------------------------------------------------------------------


def test_progress_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = Progress(3, 7, "val/mae", False, [(1, 0.5), (2, None), (3, 0.25)], 12.5)
    saved.save(tmp_path)
    assert Progress.load(tmp_path) == saved
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


@pytest.mark.parametrize(
    ("scores", "higher", "lower"),
    [((20.0, 22.0, 21.0), 22.0, 20.0), ((None, 3.0), 3.0, 3.0), ((None, None), None, None), ((), None, None)],
)
def test_the_best_score_is_the_best_number(
    scores: tuple[float | None, ...], higher: float | None, lower: float | None
) -> None:
    assert progress(4, *scores).best == higher
    assert progress(4, *scores, higher_is_better=False).best == lower


def test_of_scores_with_exact_images_the_number_of_these_decides_first() -> None:
    noted = Progress(9, 9, "val/psnr_rgb", True, [(3, 60.0), (6, 40.0), (9, 45.0)], 1.0, {"6": 2, "9": 1})
    assert noted.top == (6, 40.0, 2)
    assert noted.best == 40.0
    other = Progress(9, 9, "val/psnr_rgb", True, [(3, 99.0)], 1.0)
    assert noted.rank > other.rank > Progress(9, 9, "val/psnr_rgb", True, [], 1.0).rank
    lower = [Progress(9, 9, "val/mae", False, [(3, score)], 1.0).rank for score in (0.1, 0.2)]
    assert lower[0] > lower[1]


def swept(folder: Path, **jobs: Progress) -> SweepFolder:
    """A sweep of finished jobs."""
    found = SweepFolder.opened(folder / "runs/my sweep", ["data=toy"])
    found.add([Job(name, ("data=toy", "every.log=1", f"notes='{name} it is'")) for name in jobs])
    for name, noted in jobs.items():
        (found.path / name).mkdir()
        noted.save(found.path / name)
    return found


def test_the_best_job_is_named_with_what_it_takes_to_score_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = swept(Path(), a=progress(4, 20.0, 23.25), b=progress(4, 25.0, 22.0), c=progress(2, 30.0))
    assert best_job(found) == (
        "best: b, val/psnr_rgb 25 after 2 batches\n"
        "  settings:   'notes='\"'\"'b it is'\"'\"''\n"
        "  checkpoint: 'runs/my sweep/b/best.ckpt'\n"
        "  score it:   inpaintlab evaluate manifest=TEST.json 'checkpoint=runs/my sweep/b/best.ckpt'"
    )
    done = run_here("sweep", "status", "runs/my sweep", cwd=tmp_path)
    assert str(best_job(found)) in done.stdout


def test_the_best_job_is_the_best_of_the_unfinished_while_none_is_finished(tmp_path: Path) -> None:
    found = swept(tmp_path, a=progress(2, 20.0), b=progress(3, 19.0), c=progress(1))
    assert str(best_job(found)).startswith("best: a (unfinished), val/psnr_rgb 20 after 2 batches\n")


def test_jobs_whose_scores_say_nothing_about_each_other_have_no_best(tmp_path: Path) -> None:
    found = swept(tmp_path, a=progress(4, 20.0), b=progress(4, 25.0))
    for name in ("a", "b"):
        (found.path / name / "validation.json").write_text(json.dumps({"sha256": name}))
    assert "validated on other images or holes" in str(best_job(found))
    for name in ("a", "b"):  # the same images in other folders
        (found.path / name / "validation.json").write_text(json.dumps({"sha256": "one", "source": {"root": name}}))
    assert str(best_job(found)).startswith("best: b")
    (found.path / "a" / "validation.json").write_text("{")
    assert "validated on other images or holes" in str(best_job(found))
    progress(4, 1.0, higher_is_better=False).save(found.path / "a")
    assert "one and the same monitor" in str(best_job(found))


def test_a_sweep_without_a_score_has_no_best_job(tmp_path: Path) -> None:
    assert best_job(swept(tmp_path, a=progress(4, None), b=progress(4))) is None


def test_a_job_stands_as_its_files_say(tmp_path: Path) -> None:
    assert state_of(tmp_path / "nothing") == "waiting"
    (tmp_path / "output.log").touch()
    assert state_of(tmp_path) == "unfinished"
    progress(3).save(tmp_path)
    assert state_of(tmp_path) == "unfinished"
    (tmp_path / "failed.txt").write_text("It broke.\n")
    assert (state_of(tmp_path), reason_of(tmp_path)) == ("failed", "It broke.")
    give_up(tmp_path, "Pruned.")
    assert (state_of(tmp_path), reason_of(tmp_path)) == ("stopped", "Pruned.")
    progress(4).save(tmp_path)
    assert state_of(tmp_path) == "done"
    (tmp_path / "progress.json").write_text("{")
    with pytest.raises(ValueError, match=r"progress\.json cannot be read"):
        state_of(tmp_path)


HOLD = """
import sys, time
from pathlib import Path
from inpaintlab.runs import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds ``tmp_path`` as a training does."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_is_trained_by_one_process_at_a_time(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    progress(4).save(tmp_path)
    assert state_of(tmp_path) == "running"
    with pytest.raises(ValueError, match="being trained by another process"), locked(tmp_path):
        pass
    holder.kill()  # with no chance to let go by itself
    holder.wait()
    assert state_of(tmp_path) == "done"
    with locked(tmp_path):
        pass


def test_status_shows_each_job_and_the_means_over_seeds(tmp_path: Path, trainings: Trainings) -> None:
    trainings.ending = lambda cfg, folder: finish(cfg, folder, {1: 20.0, 2: 23.0}[cfg.seed])
    short = ["model/schedule=completion_only", "model.schedule.phases.completion.batches=4"]
    sweep(tmp_path, "name=a", "seed=1,2", "data.flip=0.25,0.5", *short)
    (tmp_path / "runs/a/seed-2_flip-0.5/progress.json").write_text("{")
    done = run_here("sweep", "status", "runs/a", cwd=tmp_path, COLUMNS="150")
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert ["seed-1_flip-0.25", "done", "4/4", "20", "0:00:02", ""] in rows
    assert ["seed-2_flip-0.5", "unreadable", "", "", "", ""] in rows
    assert ["data.flip=0.25", "2", "21.5", "2.121"] in rows  # 3 / sqrt(2)
    assert ["data.flip=0.5", "1", "20", "-"] in rows
    assert "4 jobs: 3 done, 1 unreadable" in done.stdout


def test_status_of_a_folder_that_is_no_sweep_is_refused(tmp_path: Path) -> None:
    done = run_here("sweep", "status", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 1
    assert "sweep.json" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_verb_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    done = run_here("sweep", "statsu", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'status'?" in done.stderr


# --- the process of a job --------------------------------------------------------------------------------------------


def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, *settings: str) -> Path:
    """Run one job whose Python is a shell script; its folder."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr("inpaintlab.sweeps.job.sys.executable", str(python))
    monkeypatch.delenv("WANDB_RUN_GROUP", raising=False)
    sweep(tmp_path, *settings, "seed=choice(3)", "name=a", "data.flip=0.25")
    return tmp_path / "runs/a/seed-3"


def test_a_job_is_the_command_of_one_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = launched(tmp_path, monkeypatch, 'echo "$@"; echo "$WANDB_RUN_GROUP"; cat')  # cat: nothing to read, no wait
    assert (folder / "output.log").read_text().splitlines() == [
        "-m inpaintlab.verbs.train data.flip=0.25 seed=3 name='a/seed-3'",
        "a",
    ]


def test_a_jobs_command_finds_the_configuration_that_the_sweep_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own/mask").mkdir(parents=True)
    (tmp_path / "own/mask/mine.yaml").write_text("_target_: inpaintlab.masks.Half\n")
    folder = launched(tmp_path, monkeypatch, 'echo "$@"', "--config-dir", "own", "mask=mine")
    assert (folder / "output.log").read_text().startswith(f"-m inpaintlab.verbs.train --config-dir {tmp_path}/own ")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo before; echo 'inpaintlab train: No picture.' >&2; echo after; exit 1", "No picture."),
        ("echo Traceback; echo 'RuntimeError: CUDA out of memory'; exit 1", "RuntimeError: CUDA out of memory"),
        ("exit 3", "Exit code 3."),
        ("kill -9 $$", "Its process was ended by signal 9 (SIGKILL)."),
    ],
)
def test_why_a_job_failed_stands_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    folder = launched(tmp_path, monkeypatch, script)
    assert (folder / "failed.txt").read_text() == reason + "\n"
    assert state_of(folder) == "failed"
    # the next start forgets the reason, and what was printed stays
    launched(tmp_path, monkeypatch, "echo again")
    assert not (folder / "failed.txt").exists()
    assert (folder / "output.log").read_text().endswith("again\n")


@pytest.mark.parametrize("ending", ["exit 75", "exit 130", "kill -TERM $$", "kill -USR2 $$"])
def test_a_job_that_was_asked_to_end_is_unfinished_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    folder = launched(tmp_path, monkeypatch, ending)
    assert state_of(folder) == "unfinished"
    assert not (folder / "failed.txt").exists()
    launched(tmp_path, monkeypatch, "echo again")
    assert "again" in (folder / "output.log").read_text()


def test_a_job_that_is_given_up_is_ended_and_not_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = time.monotonic()
    folder = launched(tmp_path, monkeypatch, 'echo "Worse than others." > runs/a/seed-3/stopped.txt; exec sleep 60')
    assert time.monotonic() - begin < 30
    assert state_of(folder) == "stopped"
    assert not (folder / "failed.txt").exists()
    launched(tmp_path, monkeypatch, "echo again")
    assert "again" not in (folder / "output.log").read_text()


def test_a_job_that_another_process_trains_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runs/a/seed-3"
    folder.mkdir(parents=True)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        launched(tmp_path, monkeypatch, "echo again")
    finally:
        process.kill()
        process.communicate()
    assert not (folder / "output.log").exists()


FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; from inpaintlab.machine import end_with_parent; "
    "end_with_parent(); print('up', flush=True); time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_training_ends_when_its_launcher_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert parent.stdout.readline() == "up\n"
    begin = time.monotonic()
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == ""  # which ends once the child, too, has let go of the pipe
    parent.stdout.close()
    assert time.monotonic() - begin < 30  # not because its minute was over
    assert not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes()


# --- Optuna ----------------------------------------------------------------------------------------------------------

SEARCH = ["hydra/sweeper=optuna", "name=a", "hydra.sweeper.search.trials=8", "hydra.sweeper.search.prune=false"]


def study_of(folder: Path) -> "optuna.Study":
    return optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.db'}")


def states(study: "optuna.Study") -> list[str]:
    return [trial.state.name for trial in study.trials]


def test_a_search_maximises_the_monitored_score_and_outlives_failures(tmp_path: Path, trainings: Trainings) -> None:
    def ending(cfg: DictConfig, folder: Path) -> None:
        if cfg.data.flip < 0.3:
            (folder / "failed.txt").write_text("It broke.")
        elif cfg.data.flip < 0.5:
            finish(cfg, folder, None, None)  # each validation gave NaN
        else:
            finish(cfg, folder, 1.0, 30 - abs(cfg.data.flip - 0.8))

    trainings.ending = ending
    done = sweep(tmp_path, *SEARCH, "data.flip=interval(0,1)")
    assert done.returncode == 1  # jobs failed
    study = study_of(tmp_path / "runs/a")
    assert len(study.trials) == len(trainings.started) == 8
    for trial in study.trials:
        flip = trial.params["data.flip"]
        assert (trial.state.name, trial.value) == (
            ("COMPLETE", 30 - abs(flip - 0.8)) if flip >= 0.5 else ("FAIL", None)
        )
    assert {"COMPLETE", "FAIL"} == set(states(study))
    assert study.best_value == max(trial.value for trial in study.trials if trial.value is not None)


def test_a_search_minimises_where_lower_is_better(tmp_path: Path, trainings: Trainings) -> None:
    trainings.ending = lambda cfg, folder: Progress(
        500_000, 500_000, "val/mae", False, [(1, 0.5), (2, cfg.data.flip)], 1.0
    ).save(folder)
    sweep(tmp_path, *SEARCH, "data.flip=0.1,0.2,0.3", "monitor.name=val/mae", "monitor.higher_is_better=false")
    assert study_of(tmp_path / "runs/a").best_value == min(
        trial.params["data.flip"] and float(trial.params["data.flip"]) for trial in study_of(tmp_path / "runs/a").trials
    )


def test_a_search_goes_on_to_the_trials_asked_for_in_all(tmp_path: Path, trainings: Trainings) -> None:
    trainings.ending = Finishes(1.0)
    sweep(tmp_path, *SEARCH, "data.flip=interval(0,1)", "hydra.sweeper.search.trials=3")
    first = [trial.params for trial in study_of(tmp_path / "runs/a").trials]
    sweep(tmp_path, *SEARCH, "data.flip=interval(0,1)", "hydra.sweeper.search.trials=5")
    params = [trial.params["data.flip"] for trial in study_of(tmp_path / "runs/a").trials]
    assert [{"data.flip": value} for value in params[:3]] == first
    assert len(set(params)) == len(trainings.started) == 5  # nothing is drawn twice
    sweep(tmp_path, *SEARCH, "data.flip=interval(0,1)", "hydra.sweeper.search.trials=5")
    assert len(trainings.started) == 5


def test_a_trial_that_a_killed_search_left_open_is_taken_up(tmp_path: Path, trainings: Trainings) -> None:
    def killed(cfg: DictConfig, folder: Path) -> None:
        raise KeyboardInterrupt

    trainings.ending = killed
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, *SEARCH, "data.flip=interval(0,1)")
    assert states(study_of(tmp_path / "runs/a")) == ["RUNNING"]
    trainings.ending = Finishes(1.0)
    sweep(tmp_path, *SEARCH, "data.flip=interval(0,1)", "hydra.sweeper.search.trials=2")
    assert states(study_of(tmp_path / "runs/a")) == ["COMPLETE", "COMPLETE"]
    assert trainings.started[0] == trainings.started[1] != trainings.started[2]


def test_a_trial_whose_job_was_asked_to_end_stays_open(tmp_path: Path, trainings: Trainings) -> None:
    trainings.ending = lambda cfg, folder: progress(2, 5.0).save(folder)  # of 4 batches
    assert sweep(tmp_path, *SEARCH, "hydra.sweeper.search.trials=1", "data.flip=interval(0,1)").returncode == 1
    assert states(study_of(tmp_path / "runs/a")) == ["RUNNING"]
    trainings.ending = Finishes(5.0, 6.0)
    assert sweep(tmp_path, *SEARCH, "hydra.sweeper.search.trials=1", "data.flip=interval(0,1)").returncode == 0
    assert states(study_of(tmp_path / "runs/a")) == ["COMPLETE"]


def test_a_trial_whose_job_a_callback_stopped_early_counts_with_its_best_score(
    tmp_path: Path, trainings: Trainings
) -> None:
    def stopped(cfg: DictConfig, folder: Path) -> None:
        progress(2, 5.0, 4.0).save(folder)  # of 4 batches
        give_up(folder, "stopped after 2 of 4 batches (EarlyStopping: it did not improve).")

    trainings.ending = stopped
    done = sweep(tmp_path, *SEARCH, "hydra.sweeper.search.trials=1", "data.flip=interval(0,1)")
    assert done.returncode == 0, done.stderr
    study = study_of(tmp_path / "runs/a")
    assert (states(study), study.best_value) == (["COMPLETE"], 5.0)


def test_a_search_chooses_from_what_a_grid_would_try(tmp_path: Path, trainings: Trainings) -> None:
    trainings.ending = Finishes(1.0)
    swept = ["seed=range(1,9,4)", "mask=block,strokes", "data.batch_size=int(interval(2,3))"]
    sweep(tmp_path, *SEARCH, *swept, "data.flip=tag(log,interval(0.001,1))")
    trials = study_of(tmp_path / "runs/a").trials
    assert {trial.params["seed"] for trial in trials} == {1, 5}  # not 9, which a range leaves out
    assert {trial.params["mask"] for trial in trials} <= {"block", "strokes"}
    assert {trial.params["data.batch_size"] for trial in trials} == {2, 3}
    assert trials[0].distributions["data.flip"].log
    assert all(0.001 <= trial.params["data.flip"] <= 1 for trial in trials)


def test_other_choices_are_another_study(tmp_path: Path, trainings: Trainings) -> None:
    trainings.ending = Finishes(1.0)
    sweep(tmp_path, *SEARCH, "mask=block,strokes", "hydra.sweeper.search.trials=1")
    told = sweep(tmp_path, *SEARCH, "mask=block,half", "hydra.sweeper.search.trials=2")
    assert told.returncode == 1
    assert "another name" in told.stderr
    assert len(trainings.started) == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["seed=1"], "nothing to search"),
        (["seed=1,2", "hydra.sweeper.search.trials=0"], "trials is 0"),
        (["seed=1,2", "hydra.sweeper.search.at_once=0"], "at_once is 0"),
    ],
)
def test_a_search_that_cannot_be_is_refused(
    tmp_path: Path, trainings: Trainings, settings: list[str], told: str
) -> None:
    done = sweep(tmp_path, "hydra/sweeper=optuna", "name=a", *settings)
    assert done.returncode == 1
    assert told in done.stderr
    assert trainings.started == []


def test_a_trial_that_is_worse_than_the_median_is_stopped(tmp_path: Path, trainings: Trainings) -> None:
    def ending(cfg: DictConfig, folder: Path) -> None:
        score = 20.0 if len(trainings.started) <= 2 else 10.0
        if score == 20.0:
            finish(cfg, folder, score, score)
            return
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            process.stdout.readline()
            progress(2, score).save(folder)
            deadline = time.monotonic() + 30
            while state_of(folder) == "running" and not (folder / "stopped.txt").exists():
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            process.kill()
            process.communicate()

    trainings.ending = ending
    search = ["hydra/sweeper=optuna", "name=a", "hydra.sweeper.search.trials=3", "hydra.sweeper.search.pruning_from=2"]
    done = sweep(tmp_path, *search, "data.flip=interval(0,1)")
    study = study_of(tmp_path / "runs/a")
    assert states(study) == ["COMPLETE", "COMPLETE", "PRUNED"], done.stderr
    assert study.trials[2].intermediate_values == {2: 10.0}
    assert done.returncode == 0  # given up is not failed
    assert "Pruned after 2 batches" in reason_of(tmp_path / "runs/a" / trainings.started[2])


# --- W&B -------------------------------------------------------------------------------------------------------------


def exported(folder: Path, *settings: str) -> dict[str, object]:
    done = run_here("sweep", "export", "wandb", *settings, cwd=folder)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def agents_command(configuration: dict[str, object], chosen: dict[str, object]) -> list[str]:
    """The command line that W&B's agent makes of a sweep's configuration, by its own code."""
    from wandb.sdk.launch.sweeps import utils as wandb_sweeps  # takes seconds, which whoever only collects would pay

    arguments = wandb_sweeps.create_sweep_command_args({"args": {key: {"value": v} for key, v in chosen.items()}})
    command: list[str] = []
    for part in wandb_sweeps.create_sweep_command(configuration["command"]):
        command += arguments["args_no_hyphens"] if part == "${args_no_hyphens}" else [part]
    return command


def test_the_exported_sweep_says_what_the_multirun_would_do(tmp_path: Path) -> None:
    swept = ["-m", "mask=block,strokes", "seed=range(1,4)", "data.flip=0.5,null", "name=a", "data=toy"]
    configuration = exported(tmp_path, *swept, "hydra/launcher=basic")
    assert configuration == {
        "method": "grid",
        "metric": {"name": "val/psnr_rgb", "goal": "maximize"},
        "parameters": {
            "mask": {"values": ["block", "strokes"]},
            "seed": {"values": [1, 2, 3]},
            "data.flip": {"values": [0.5, "null"]},
        },
        "command": ["inpaintlab", "train", "data=toy", "${args_no_hyphens}"],
    }


def test_an_interval_becomes_a_distribution(tmp_path: Path) -> None:
    lower = ["monitor.name=val/mae", "monitor.higher_is_better=false"]
    swept = ["a=interval(0.5,2)", "b=tag(log,interval(1e-5,1e-2))", "c=int(interval(1,8))"]
    configuration = exported(tmp_path, *lower, *swept)
    assert configuration["method"] == "bayes"
    assert configuration["metric"] == {"name": "val/mae", "goal": "minimize"}
    assert configuration["parameters"] == {
        "a": {"distribution": "uniform", "min": 0.5, "max": 2.0},
        "b": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
        "c": {"distribution": "int_uniform", "min": 1, "max": 8},
    }


def test_the_command_line_of_an_agent_trains(tmp_path: Path) -> None:
    configuration = exported(tmp_path, *SHORT, "seed=1,2", "model.learning_rate=tag(log,interval(0.01,1))")
    program, verb, *settings = agents_command(configuration, {"seed": 2, "model.learning_rate": 1.5e-05})
    assert program == "inpaintlab"
    done = run_here(verb, *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    recipe = checkpoint(only_sweep(tmp_path))["inpaintlab"]
    assert recipe["model"]["learning_rate"] == 1.5e-05
    assert recipe["iterations"] == 4


@pytest.mark.parametrize(
    ("settings", "told"),
    [(["seed=1"], "Nothing is swept"), (["seed=1,2", "sedd=1"], "sedd"), (["seed=1,,2"], "seed=1,,2")],
)
def test_what_cannot_be_exported_is_one_sentence(tmp_path: Path, settings: list[str], told: str) -> None:
    done = run_here("sweep", "export", "wandb", *settings, cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert told in done.stderr
    assert done.stdout == ""


# --- real trainings --------------------------------------------------------------------------------------------------


def test_a_training_notes_how_far_it_is(tmp_path: Path) -> None:
    for batches in (3, 4):  # the second one goes on where the first one ended
        settings = [*SHORT, "name=a", f"model.schedule.phases.completion.batches={batches}"]
        assert run_here("train", *settings, cwd=tmp_path).returncode == 0
        noted = Progress.load(tmp_path / "runs/a")
        assert noted is not None
        assert (noted.iterations, noted.total) == (batches, batches)
    rows = [(at, score) for version in (0, 1) for at, score in logged_scores(tmp_path / "runs/a", version)]
    assert noted.validations == [(at, pytest.approx(score)) for at, score in rows]
    assert [at for at, _ in noted.validations] == [2, 4]
    best = checkpoint(tmp_path / "runs/a", "best.ckpt")["callbacks"]["Checkpoints"]["best"]
    assert best == {"infinite": 0, "mean": noted.best}
    assert noted.seconds > 0
    assert state_of(tmp_path / "runs/a") == "done"
    starts = [json.loads(line) for line in (tmp_path / "runs/a/starts.jsonl").read_text().splitlines()]
    assert [start["batches_done"] for start in starts] == [0, 3]
    assert starts[1]["overrides"] == settings
    refused = run_here("train", *settings, "seed=7", cwd=tmp_path)
    assert refused.returncode == 1
    broken = run_here("train", *settings, "name=b", "model.learning_rate=1e30", "every.validation=1", cwd=tmp_path)
    assert broken.returncode == 1
    for name, ends in {"a": ["done: runs/a/last.ckpt"] * 2, "b": [broken.stderr.strip()]}.items():
        first, *parts = (tmp_path / f"runs/{name}/output.log").read_text().split("--- 2")  # each begins with its time
        assert first == ""
        assert [part.strip().splitlines()[-1] for part in parts] == ends


@pytest.mark.parametrize("noted", [None, progress(3, 20.0)])
def test_a_run_killed_before_it_noted_its_end_counts_as_done(tmp_path: Path, noted: Progress | None) -> None:
    assert run_here("train", *SHORT, "name=a", "every.validation=3", cwd=tmp_path).returncode == 0
    (tmp_path / "runs/a/progress.json").unlink()
    if noted is not None:
        noted.save(tmp_path / "runs/a")
    assert "is finished" in run_here("train", *SHORT, "name=a", "every.validation=3", cwd=tmp_path).stdout
    assert state_of(tmp_path / "runs/a", total=4) == "done"
    kept = Progress.load(tmp_path / "runs/a")
    assert kept is not None
    assert kept.best == (None if noted is None else 20.0)


def logged_scores(folder: Path, version: int) -> list[tuple[int, float]]:
    """Batches done and score, from the log of one start."""
    header, *rows = (line.split(",") for line in (folder / f"log/version_{version}/metrics.csv").read_text().split())
    column, step = header.index("val/psnr_rgb"), header.index("step")
    return [(int(row[step]) + 1, float(row[column])) for row in rows if row[column]]


def run_sweep(folder: Path, *settings: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(SCRIPT, "train", "-m", *SHORT, *settings, cwd=folder, home=folder / "home", **variables)


@pytest.mark.slow
def test_a_job_is_what_the_same_training_alone_would_be(tmp_path: Path) -> None:
    swept = ["name=a", "seed=choice(2)", "model.patch_size=8,999", "mask=block"]
    done = run_sweep(tmp_path, *swept, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert done.returncode == 1
    assert "2 jobs: 1 done, 1 failed" in done.stdout
    assert "Traceback" not in done.stderr
    reason = (tmp_path / "runs/a/seed-2_patch_size-999/failed.txt").read_text()
    assert reason.startswith("model.patch_size is 999 and model.image_size ")
    alone = run_here("train", *SHORT, "seed=2", "model.patch_size=8", "mask=block", "name=alone", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert same_weights(checkpoint(tmp_path / "runs/alone"), checkpoint(tmp_path / "runs/a/seed-2_patch_size-8"))


@pytest.mark.endurance
def test_a_killed_sweep_leaves_no_process_and_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    lengths = "model.schedule.phases.completion.batches=200"
    settings = [*SHORT, lengths, "every.validation=50", "name=a", "seed=1,2", "hydra/launcher=joblib"]
    command = [SCRIPT, "train", "-m", *settings, "hydra.launcher.n_jobs=2"]
    process = start(*command, cwd=tmp_path, home=tmp_path / "home", output=tmp_path / "output.txt")
    folders = [tmp_path / "runs/a" / name for name in ("seed-1", "seed-2")]
    try:
        wait_until(lambda: all(done_batches(folder) > 5 for folder in folders), tmp_path / "output.txt")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not any(is_locked(folder) for folder in folders), tmp_path / "output.txt")
    stood = [int(checkpoint(folder)["inpaintlab"]["iterations"]) for folder in folders]
    assert all(number < 200 for number in stood), "the jobs ended before they could be killed: make them longer"
    status = run_here("sweep", "status", "runs/a", cwd=tmp_path)
    assert "2 unfinished" in status.stdout

    done = run(*command, cwd=tmp_path, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    for folder, number in zip(folders, stood, strict=True):
        assert f"resuming after {number} of 200 batches" in (folder / "output.log").read_text()
    alone = run_here("train", *SHORT, lengths, "every.validation=50", "seed=2", "name=alone", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert same_weights(checkpoint(tmp_path / "runs/alone"), checkpoint(folders[1]))
    whole, broken = Progress.load(tmp_path / "runs/alone"), Progress.load(folders[1])
    assert whole is not None
    assert broken is not None
    assert broken.validations == whole.validations


def done_batches(folder: Path) -> int:
    found = Progress.load(folder)
    return 0 if found is None else found.iterations


def wait_until(true: Callable[[], bool], output: Path) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.02)


@pytest.mark.slow
def test_submitit_runs_the_jobs(tmp_path: Path) -> None:
    done = run_sweep(tmp_path, "name=a", "seed=1,2", "hydra/launcher=submitit_local")
    assert done.returncode == 0, done.stderr
    for seed in (1, 2):
        assert checkpoint(tmp_path / f"runs/a/seed-{seed}")["inpaintlab"]["iterations"] == 4


@pytest.mark.endurance
def test_each_job_starts_its_own_processes_and_no_child_repeats_the_sweep(tmp_path: Path) -> None:
    parallel = ["trainer.devices=2", "trainer.strategy=ddp_find_unused_parameters_true"]
    slurm = {"SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1", "SLURM_JOB_NAME": "a"}  # as submitit's jobs have them
    done = run_sweep(tmp_path, "name=a", "seed=1,2", *parallel, **slurm)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]  # no folder of a child's own sweep
    assert {path.name for path in (tmp_path / "runs/a").iterdir()} == {"seed-1", "seed-2", "sweep.json"}
    for seed in (1, 2):
        folder = tmp_path / f"runs/a/seed-{seed}"
        saved = checkpoint(folder)["inpaintlab"]
        assert (saved["iterations"], saved["images_seen"]) == (4, 2 * 2 * 4)  # two processes with two images each
        printed = (folder / "output.log").read_text()
        assert printed.count("done:") == printed.count("Phases") == 1
        assert "CPUAccelerator x 2" in printed
        assert "GLOBAL_RANK: 1, MEMBER: 2/2" in printed
        assert f"seed-{3 - seed}" not in printed
        assert [path.name for path in (folder / "log").iterdir()] == ["version_0"]


@pytest.mark.slow
def test_a_training_whose_loss_is_no_number_does_not_end_the_search(tmp_path: Path) -> None:
    search = ["hydra/sweeper=optuna", "name=a", "hydra.sweeper.search.trials=1"]
    done = run_sweep(tmp_path, *search, "model.learning_rate=1e30,2e30", "every.validation=1")
    assert done.returncode == 1
    assert states(study_of(tmp_path / "runs/a")) == ["FAIL"], done.stdout
    (reason,) = tmp_path.glob("runs/a/*/failed.txt")
    assert "losses that are not finite" in reason.read_text()


SBATCH = """#!/bin/sh
for argument; do file=$argument; done
cp "$file" {folder}/submitted.sh
echo "Submitted batch job 12"
"""


@pytest.mark.slow
def test_slurm_gets_one_array_that_is_asked_to_end_in_time(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {"sbatch": SBATCH.format(folder=tmp_path), "srun": "#!/bin/sh", "sacct": "#!/bin/sh"}.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    slurm = ["hydra/launcher=submitit", "hydra.launcher.partition=gpus", "hydra.launcher.gpus_per_node=2"]
    command = [SCRIPT, "train", "-m", *SHORT, "name=a", "seed=1,2,3", *slurm, "hydra.launcher.array_parallelism=2"]
    path = f"{programs}:{environment(tmp_path / 'home')['PATH']}"
    process = start(*command, cwd=tmp_path, home=tmp_path / "home", output=tmp_path / "output.txt", PATH=path)
    try:  # which goes on waiting for the jobs
        wait_until((tmp_path / "submitted.sh").is_file, tmp_path / "output.txt")
    finally:
        process.kill()
        process.wait()
    asked = (tmp_path / "submitted.sh").read_text()
    for line in ("array=0-2%2", "partition=gpus", "gpus-per-node=2", "signal=USR2@120", "time=1440", "nodes=1"):
        assert f"#SBATCH --{line}" in asked, asked
    assert f"{tmp_path}/runs/a/submitit/" in asked


def test_finished_jobs_look_at_their_files_again_where_those_lie_elsewhere(tmp_path: Path) -> None:
    SweepFolder.opened(tmp_path / "s", ["data.root=/a", "seed=1"]).add([Job("j", ("seed=1",))])
    assert not SweepFolder.opened(tmp_path / "s", ["seed=1", "data.root=/a"]).moved
    assert SweepFolder.opened(tmp_path / "s", ["data.root=/b", "seed=1"]).moved
