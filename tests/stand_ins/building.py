"""What several test files share: models from the YAML that users build from, and a watched training."""

import functools
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from lightning import Callback, Trainer
from omegaconf import DictConfig, open_dict
from torch import Tensor, nn

from inpaintlab.config import CONF
from inpaintlab.data import DataModule, RandomCrop, Toy
from inpaintlab.inpainting import BATCH_BY_BATCH, Learner, Steps, build
from inpaintlab.masks import Rectangle
from inpaintlab.training import training_trainer
from stand_ins.models import QUICK, SMALL

Composer = Callable[..., DictConfig]


Builder = Callable[..., Any]


State = dict[str, Tensor]


def compose_train(*overrides: str) -> DictConfig:
    """The configuration of a training, the caller's own to change."""
    return deepcopy(_composed(overrides))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    """Composed once a process, which takes 0.2 s; the YAML does not change while tests run."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return compose("train", overrides=list(overrides))


def build_model(name: str, *overrides: str, steps: Steps = BATCH_BY_BATCH) -> Any:
    """A model as ``model=<name>`` gives it for 32 pixels, a sixteenth as wide, with random VGG weights."""
    cfg = compose_train(f"model={name}", "data=toy", "data.size=32", *overrides)
    given = {override.split("=")[0] for override in overrides}
    with open_dict(cfg):
        for key, value in (SMALL if "schedule" in cfg.model else QUICK).items():
            if key in cfg.model and f"model.{key}" not in given:
                cfg.model[key] = value
    torch.manual_seed(0)
    return build(cfg.model, steps)


def state_of(network: nn.Module) -> State:
    """A copy of every parameter and buffer."""
    return {key: value.clone() for key, value in network.state_dict().items() if isinstance(value, Tensor)}


@dataclass
class Step:
    """What one descent did: the networks whose optimizers stepped, that got gradients, and that changed since."""

    phase: str
    stepped: set[str]
    with_gradients: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    gradients_left: set[str] = field(default_factory=set)


@dataclass
class Batch:
    """What one batch did."""

    phase: str
    iteration: int
    changed: dict[str, set[str]]
    gradients_left: set[str]
    rates: list[float]
    losses: dict[str, float]


class Watch(Callback):
    """Records each descent and each batch of a training."""

    def __init__(self, networks: list[str]) -> None:
        self.networks = networks
        self.steps: list[Step] = []
        self.batches: list[Batch] = []

    def parts(self, module: Any) -> dict[str, nn.Module]:
        return {name: getattr(module, name) for name in self.networks}

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.before_step = {name: state_of(part) for name, part in self.parts(pl_module).items()}
        descend, backward = pl_module.descend, pl_module.manual_backward

        def watched_backward(loss: Tensor) -> None:
            backward(loss)
            self.steps[-1].with_gradients = self.graded(pl_module)

        def watched_descend(loss: Tensor, *optimizers: Any) -> None:
            owned = {id(p) for o in optimizers for g in o.param_groups for p in g["params"]}
            parts = self.parts(pl_module)
            stepped = {name for name, part in parts.items() if all(id(p) in owned for p in part.parameters())}
            self.steps.append(Step(pl_module.schedule.phase.name, stepped))
            descend(loss, *optimizers)
            self.steps[-1].gradients_left = self.graded(pl_module)
            now = {name: state_of(part) for name, part in parts.items()}
            self.steps[-1].changed = {name for name in parts if differing(now[name], self.before_step[name])}
            self.before_step = now

        pl_module.descend, pl_module.manual_backward = watched_descend, watched_backward

    def graded(self, module: Any) -> set[str]:
        """Networks in which a parameter holds a gradient."""
        return {n for n, part in self.parts(module).items() if any(p.grad is not None for p in part.parameters())}

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.phase = pl_module.schedule.phase.name
        self.before_batch = {name: state_of(part) for name, part in self.parts(pl_module).items()}

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = {name: state_of(part) for name, part in self.parts(pl_module).items()}
        self.batches.append(
            Batch(
                self.phase,
                pl_module.schedule.iteration,
                {name: differing(now[name], self.before_batch[name]) for name in now},
                self.graded(pl_module),
                [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups],
                {name: value.item() for name, value in outputs.items()},
            )
        )


def differing(now: State, before: State) -> set[str]:
    """The keys whose tensors are not bit-equal."""
    return {key for key in now if not torch.equal(now[key], before[key])}


def toy_data(**changes: Any) -> DataModule:
    """Generated scenes at 32 pixels with a rectangle as hole."""
    hole = Rectangle(height=(0.25, 0.5), width=(0.25, 0.5))
    settings = {"source": Toy(count=6, size=40), "crop": RandomCrop(32), "mask": hole, "size": 32, "batch_size": 2}
    return DataModule(**(settings | {"seed": 1, "workers": 0} | changes))


def trainer_of(*settings: str, callbacks: Sequence[Callback] = (), **given: Any) -> Trainer:
    """The trainer of a training with these settings, without logs, files and validation."""
    cfg = compose_train(*settings)
    return training_trainer(cfg.trainer, cfg.every, callbacks, limit_val_batches=0, **given)


def fit(
    model: Learner,
    *callbacks: Callback,
    data: DataModule | None = None,
    ckpt_path: Any = None,
    settings: Sequence[str] = (),
) -> Trainer:
    """Train to the end of the schedule on generated scenes, as the command does, without logs and files."""
    trainer = trainer_of("trainer=cpu", *settings, callbacks=callbacks)
    trainer.fit(model, datamodule=data or toy_data(), ckpt_path=ckpt_path, weights_only=True)
    return trainer
