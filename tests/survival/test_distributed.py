"""Two processes train as one: the same weights, other pictures, the same scores, and an end together."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from lightning import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torchmetrics import MetricCollection

from inpaintlab.data import Toy
from inpaintlab.data.order import Part, Positions
from inpaintlab.inpainting import Inpainter, frozen
from inpaintlab.metrics import FD
from inpaintlab.survival import ending_together, require_launcher, require_processes
from inpaintlab.training import training_trainer
from inpaintlab.training.validation import Validation
from stand_ins.building import Builder, compose_train, state_of, toy_data
from stand_ins.commands import SCRIPT, checkpoint, environment, run, run_here, tiny
from stand_ins.features import Colours
from stand_ins.models import PHASES, only

COUNT = 16  # pictures
# a convolution of one channel, as the narrowest network has, lies in memory in two ways at once
ONE_CHANNEL = pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")


def lengths(name: str, **batches: int) -> list[str]:
    return [f"model.schedule.phases.{phase}.batches={batches.get(phase, 0)}" for phase in PHASES[name]]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port of the processes, which Lightning leaves in the environment, is taken away again."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


class Record(Callback):
    """Names of each batch, scores of each validation, the state after each phase; each process leaves a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[list[str]] = []
        self.scores: list[dict[str, float]] = []
        self.states: dict[str, dict[str, Tensor]] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.phase = pl_module.schedule.phase.name

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.names.append(list(batch["name"]))
        self.states[self.phase] = state_of(pl_module)  # the last one of a phase stays

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.scores.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")})

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        kept = {"names": self.names, "scores": self.scores, "states": self.states}
        torch.save(kept, self.folder / f"{trainer.world_size}-{trainer.global_rank}.pt")


def train(folder: Path, model: Inpainter, processes: int, batch_size: int) -> list[dict[str, Any]]:
    """What each process recorded of a training with a validation of five pictures after each second batch."""
    data = toy_data(batch_size=batch_size, source=Toy(COUNT, 40))
    samples = data.training_set()
    items = [samples[9, index] | {"position": index} for index in range(5)]
    items[3]["mask"] = torch.zeros_like(items[3]["mask"])  # comes back as it is: its PSNR is infinite
    data.validation = items  # type: ignore[assignment]
    settings = ["trainer.devices=2", "trainer.strategy=ddp_fork_find_unused_parameters_true"] if processes == 2 else []
    cfg = compose_train("trainer=cpu", "every.validation=2", "every.log=1", "data.size=32", *settings)
    trainer = training_trainer(
        cfg.trainer,
        cfg.every,
        [
            Validation(MetricCollection(instantiate(cfg.metrics, _convert_="all")), {"fd_colours": FD(Colours())}),
            Record(folder),
        ],
        CSVLogger(folder, name=f"log{processes}", flush_logs_every_n_steps=1),
    )
    trainer.fit(model, datamodule=data, weights_only=True)
    return [torch.load(folder / f"{processes}-{rank}.pt", weights_only=True) for rank in range(processes)]


# --- weights and pictures --------------------------------------------------------------------------------------------


@ONE_CHANNEL
@pytest.mark.parametrize("name", only("glcic", of=PHASES))
def test_both_processes_end_each_phase_with_the_same_weights_and_saw_other_pictures(
    built: Builder, tmp_path: Path, name: str
) -> None:
    model = built(name, *lengths(name, **dict.fromkeys(PHASES[name], 4)))
    before, parameters = state_of(model), {key for key, _ in model.named_parameters()}
    first, second = train(tmp_path, model, 2, 2)
    assert list(first["states"]) == list(second["states"]) == list(PHASES[name])
    for phase, state in first["states"].items():
        assert all(torch.equal(state[key], second["states"][phase][key]) for key in parameters)
        assert not all(torch.equal(state[key], before[key]) for key in parameters)
        before = state

    order = Positions(COUNT, Part(4, seed=1, total=4 * len(PHASES[name])))  # of one process with the whole batch
    names = toy_data(source=Toy(COUNT, 40)).training_set().source.names("train")
    assert [one + other for one, other in zip(first["names"], second["names"], strict=True)] == [
        [names[index] for _, index in batch] for batch in order
    ]
    seen = [{name for batch in rank["names"][:4] for name in batch} for rank in (first, second)]  # of the first epoch
    assert not seen[0] & seen[1]
    assert seen[0] | seen[1] == set(names)


def test_batch_norm_is_shared_on_gpus(built: Builder) -> None:
    """The wiring alone: torch has no shared batch norm on the CPU."""
    cfg = compose_train("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    trainer = training_trainer(cfg.trainer, cfg.every)
    model = built("glcic")
    norms = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    shared = trainer.strategy._layer_sync.apply(model)
    assert len(norms) > 10
    assert [name for name, m in shared.named_modules() if isinstance(m, nn.SyncBatchNorm)] == norms
    with frozen(shared):
        assert not any(m.track_running_stats for m in shared.modules() if isinstance(m, nn.SyncBatchNorm))
    assert all(m.track_running_stats for m in shared.modules() if isinstance(m, nn.SyncBatchNorm))


# --- scores ----------------------------------------------------------------------------------------------------------


@ONE_CHANNEL
@pytest.mark.parametrize("name", only("glcic", of=PHASES))
def test_two_processes_give_the_scores_of_one_and_log_them_once(built: Builder, tmp_path: Path, name: str) -> None:
    models = []
    for _ in range(2):  # networks that stay as they were born, so that all differences are of the scoring
        model = built(name, *lengths(name, **{PHASES[name][0]: 4}), "model.learning_rate=1e-12")
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.0
        models.append(model)
    (alone,) = train(tmp_path, models[0], 1, 4)
    first, second = train(tmp_path, models[1], 2, 2)
    assert first["scores"] == second["scores"]
    assert len(first["scores"]) == len(alone["scores"]) == 2
    for mine, theirs in zip(first["scores"], alone["scores"], strict=True):
        assert {"val/psnr_rgb", "val/mae"} <= mine.keys()
        assert mine["val/fd_colours"] > 0
        assert mine["val/psnr_rgb_infinite"] == 1  # each process sees the image, which counts once
        assert mine == pytest.approx(theirs, rel=1e-5)

    rows = {}
    for processes in (1, 2):
        assert [path.name for path in (tmp_path / f"log{processes}").iterdir()] == ["version_0"]
        with (tmp_path / f"log{processes}/version_0/metrics.csv").open(newline="") as file:
            rows[processes] = [row["step"] for row in csv.DictReader(file) if row["val/psnr_rgb"]]
    assert len(rows[1]) == 2
    assert rows[1] == rows[2]


# --- an end together -------------------------------------------------------------------------------------------------

FAULTY = [
    *(setting for setting in tiny("glcic", 4) if not setting.startswith("trainer=")),
    "model._target_=faulty.Faulty",
    "name=a",
    "trainer.accelerator=cpu",
    "trainer.sync_batchnorm=false",
]
STAND_INS = str(Path(__file__).parents[1] / "stand_ins")


def alive(marker: str) -> list[int]:
    """Processes with a marker in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                marker.encode() in (process / "environ").read_bytes()
                and "(zombie)" not in (process / "status").read_text()
            ):
                found.append(int(process.name))
        except OSError:  # ended meanwhile, or of another user
            continue
    return found


def all_end(marker: str) -> bool:
    """Whether no process is left within the time that a connection and a watch may take."""
    deadline = time.monotonic() + 60
    while (left := alive(marker)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return not left


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "how", "told"),
    [
        # what fails in the second process, whose output is not the command's own; then what cannot say anything
        (1, "refuse", "inpaintlab train: photo.png is damaged."),
        (1, "kill", "Another process of this run has ended"),
        pytest.param(0, "raise", "a fault in a batch", marks=pytest.mark.endurance),
        # in every run: test_a_process_beside_the_first_does_not_outlive_it
        pytest.param(0, "kill", "Another process of this run has ended", marks=pytest.mark.endurance),
        pytest.param(
            *(1, "halt", "Another process of this run has ended or no longer answers"), marks=pytest.mark.endurance
        ),
    ],
)
def test_a_process_that_fails_ends_the_run(tmp_path: Path, rank: int, how: str, told: str) -> None:
    patience = 25 if how == "halt" else 120  # enough to start on a busy machine
    settings = [*FAULTY, "trainer=ddp", "trainer.devices=2", f"trainer.strategy.timeout.seconds={patience}"]
    variables = {"PYTHONPATH": STAND_INS, "FAULT": f"{rank},5,{how}", "MARKER": str(tmp_path)}
    done = run(SCRIPT, "train", *settings, cwd=tmp_path, home=tmp_path / "home", **variables)
    assert done.returncode == (-9 if (rank, how) == (0, "kill") else 1)
    assert told in done.stdout + done.stderr
    assert all_end(f"MARKER={tmp_path}")
    assert checkpoint(tmp_path / "runs/a")["inpaintlab"]["iterations"] == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patience", "work"), [(1, "time.sleep(600)"), (8, "time.sleep(6); raise RuntimeError('gloo: closed by peer')")]
)
def test_the_first_process_says_what_happened_however_late_it_notices(tmp_path: Path, patience: int, work: str) -> None:
    """Lightning's own watch would kill it five seconds after another one has failed."""
    script = tmp_path / "script.py"
    code = f"""
import subprocess, time
from pathlib import Path
from lightning.fabric.strategies.launchers.subprocess_script import _launch_process_observer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from inpaintlab.survival import ending_together
launcher = _SubprocessScriptLauncher(LightningEnvironment(), 2, 1)
with ending_together(2, Path("last.ckpt"), launcher, seconds={patience}):
    launcher.procs = [subprocess.Popen(["false"])]
    _launch_process_observer(launcher.procs)
    {work}
"""
    script.write_text(code)
    done = run(sys.executable, str(script), cwd=tmp_path, home=tmp_path / "home")
    assert done.returncode == 1
    assert "Another process of this run has ended" in done.stderr
    assert "No state was saved yet" in done.stderr


def test_a_process_beside_the_first_does_not_outlive_it() -> None:
    watching = "from inpaintlab.machine import end_with_first; import time; end_with_first(0.1)"
    child = [sys.executable, "-c", f"{watching}; print('on', flush=True); time.sleep(600)"]
    parent = f"import subprocess; subprocess.run({child!r})"
    marker = f"{os.getpid()}-end"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, env={"MARKER": marker})
    assert process.stdout is not None
    assert process.stdout.readline() == b"on\n"
    assert len(alive(f"MARKER={marker}")) == 2
    process.kill()
    process.wait()
    process.stdout.close()
    assert all_end(f"MARKER={marker}")


def test_what_a_broken_connection_says_becomes_a_sentence(tmp_path: Path) -> None:
    broken = RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer")
    with pytest.raises(ConnectionError, match="No state was saved yet"), ending_together(2, tmp_path / "last.ckpt"):
        raise broken
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(ConnectionError, match="holds the last sound state"), ending_together(2, tmp_path / "last.ckpt"):
        raise torch.distributed.DistError("NCCL timed out")
    with pytest.raises(RuntimeError, match="gloo"), ending_together(1, tmp_path / "last.ckpt"):
        raise broken
    with pytest.raises(RuntimeError, match="shapes"), ending_together(2, tmp_path / "last.ckpt"):
        raise RuntimeError("shapes do not fit")


# --- several machines ------------------------------------------------------------------------------------------------


@pytest.mark.endurance
def test_processes_that_torchrun_starts_on_two_nodes_share_a_run_and_resume_it(tmp_path: Path) -> None:
    (tmp_path / "seen").mkdir()
    settings = ["-m", "inpaintlab.verbs.train", *FAULTY, "trainer=ddp_nodes", "data.source.count=16", "every.panel=100"]
    place = [
        "--nnodes=2",
        "--nproc-per-node=1",
        "--master-addr=127.0.0.1",
        f"--master-port={20000 + os.getpid() % 20000}",
    ]
    variables = environment(tmp_path / "home", PYTHONPATH=STAND_INS, SEEN=str(tmp_path / "seen"))
    printed = []
    for joint in (0, 4):
        command = [str(Path(SCRIPT).with_name("torchrun")), *place]
        lengths = [f"model.schedule.phases.joint.batches={joint}", "model.schedule.phases.discriminator.batches=0"]
        nodes = [
            subprocess.Popen(
                [*command, f"--node-rank={rank}", *settings, *lengths],
                cwd=tmp_path,
                env=variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(2)
        ]
        printed = [node.communicate(timeout=240)[0] for node in nodes]
        assert [node.returncode for node in nodes] == [0, 0], printed
        assert [text.count("done:") for text in printed] == [1, 0]
    assert "resuming after 4 of 8 batches" in printed[0]

    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]
    assert sorted(path.name for path in (tmp_path / "runs/a/log").iterdir()) == ["version_0", "version_1"]
    assert not list((tmp_path / "runs").rglob("*.partial*"))
    saved = checkpoint(tmp_path / "runs/a")["inpaintlab"]
    assert (saved["iterations"], saved["images_seen"]) == (8, 8 * 2 * 2)
    seen = [(tmp_path / f"seen/{rank}.txt").read_text().split() for rank in range(2)]
    assert len(seen[0]) == len(seen[1]) == 16
    first_epoch = [set(names[:8]) for names in seen]  # 16 pictures: four batches of two in each process
    assert not first_epoch[0] & first_epoch[1]
    assert len(first_epoch[0] | first_epoch[1]) == 16


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["trainer=ddp_nodes"], "started by neither"),
        (["trainer=ddp", "+trainer.num_nodes=2"], "started by neither"),
        (["trainer.strategy=fsdp"], "trainer.strategy is 'fsdp'"),
        (["trainer.strategy=deepspeed_stage_2"], "trainer.strategy is 'deepspeed_stage_2'"),
        (
            ["trainer=ddp", "trainer.devices=2", "trainer.strategy._target_=lightning.pytorch.strategies.FSDPStrategy"],
            "FSDPStrategy",
        ),
        (["trainer=ddp", "trainer.devices=2"], "trainer.sync_batchnorm=false"),
        (["trainer=ddp"], "trainer.devices is -1, and there is no GPU"),
    ],
)
def test_processes_that_cannot_be_are_refused(tmp_path: Path, settings: list[str], told: str) -> None:
    named = [setting for setting in tiny("glcic") if not setting.startswith("trainer=")]
    done = run_here("train", *named, *settings, "trainer.accelerator=cpu", cwd=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("variables", "nodes", "devices"),
    [
        ({"GROUP_WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "4"}, 3, 4),
        ({"SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "8"}, 2, 8),
        ({}, 0, -1),  # found nowhere
    ],
)
def test_the_launcher_says_how_many_processes_there_are(
    monkeypatch: pytest.MonkeyPatch, built: Builder, variables: dict[str, str], nodes: int, devices: int
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    trainer = compose_train("trainer=ddp_nodes").trainer
    assert (trainer.num_nodes, trainer.devices, trainer.sync_batchnorm) == (nodes, devices, True)
    if nodes:
        require_processes(built("edgeconnect"), {"num_nodes": nodes, "strategy": "ddp"})


# --- who started this process ----------------------------------------------------------------------------------------


LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "SLURM_NTASKS", "SLURM_PTY_PORT", "SLURM_JOB_NAME")
TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "1"}
STEP = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_JOB_NAME": "train"}


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Give this process the variables of a launcher and no other's."""

    def set_to(variables: dict[str, str]) -> None:
        for name in (*LAUNCHERS, *STEP):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_to


@pytest.mark.parametrize(
    "variables",
    [
        {},
        TORCHRUN,
        {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "1", "NODE_RANK": "0"},  # a child of Lightning's
        {"RANK": "0", "WORLD_SIZE": "1"},  # left over, but true of a single process
        {"SLURM_NTASKS": "16", "SLURM_NTASKS_PER_NODE": "8", **STEP},
        {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "bash"},
    ],
)
def test_a_process_that_a_launcher_started_goes_on(
    launched: Callable[[dict[str, str]], None], variables: dict[str, str]
) -> None:
    launched(variables)
    require_launcher()
    assert {name: os.environ[name] for name in variables} == variables


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"SLURM_NTASKS": "2"}, "srun did not start this process"),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, "start it by srun"),  # a batch script
        ({"SLURM_NTASKS": "2", "SLURM_PTY_PORT": "1", **STEP}, "srun did not start"),  # a shell of srun --pty
        ({"SLURM_NTASKS": "2", **STEP}, "--ntasks-per-node"),
        ({"RANK": "1"}, "unset RANK"),
        ({"LOCAL_RANK": "0"}, "unset LOCAL_RANK"),
        ({"WORLD_SIZE": "2"}, "unset WORLD_SIZE"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, "unset RANK WORLD_SIZE"),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, "unset LOCAL_RANK WORLD_SIZE"),
        ({**TORCHRUN, "RANK": "first"}, "RANK=first, which is not a number"),
        ({"SLURM_NTASKS": ""}, "SLURM_NTASKS=, which is not a number"),
    ],
)
def test_variables_of_several_processes_that_nobody_started_are_refused(
    launched: Callable[[dict[str, str]], None], variables: dict[str, str], said: str
) -> None:
    launched(variables)
    with pytest.raises(ValueError, match=said):
        require_launcher()


def test_one_reserved_task_without_srun_is_a_single_process(launched: Callable[[dict[str, str]], None]) -> None:
    launched({"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "job"})
    require_launcher()
    assert "SLURM_NTASKS" not in os.environ
