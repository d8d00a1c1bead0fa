"""Batches with non-finite losses or steps: found, reported, saved for inspection and, on request, skipped."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
import torch.distributed
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor, nn
from torch.distributed import ReduceOp
from torch.optim import Optimizer
from torch.utils.data import default_collate

from inpaintlab.data import batch_as_floats
from inpaintlab.inpainting import AVERAGES, Learner, learner_of, save_checkpoint

_NONE = 2**40  # more losses than there are between two checks


_NAMES_LISTED = 8


@final
@dataclass(frozen=True)
class TrainedBatch:
    """A batch that was trained on and is not checked yet.

    Args:
        iteration: its number in the run, from 0.
        phase: the name of its phase.
        names: of its images.
        losses: by name, still on the device.
    """

    iteration: int
    phase: str
    names: list[str]
    losses: dict[str, Tensor]


@final
class NonFiniteBatches(Callback):
    """Finds the first batch with a non-finite loss, and ends the run or skips the batch.

    Without ``skip`` the run ends at the first such batch. Losses stay on the device and are checked together, in all
    processes after the same batches: when the log, a checkpoint, a validation or a panel is due. These read from the
    device anyway, so checking adds no synchronisation. ``broken.ckpt`` then holds the batch and the present weights,
    which are non-finite in most cases.

    With ``skip`` each step is checked, so the host waits for the device after each: its losses, and the weights and
    running statistics that it left. If anything is non-finite in any process, the step is undone: parameters, buffers
    (running statistics, power iterations) and the optimizers' state are restored from copies, bit for bit.
    ``broken.ckpt`` holds the latest such batch and the weights before it. A skipped batch counts as done, in the
    schedule and in Lightning's count of optimizer steps. With ``accumulate`` all batches of the step are skipped. When
    more than ``skip`` batches would be skipped, the run ends as above.

    This callback runs before every other one that reads the model after a batch, and before the averages move.

    Args:
        console: prints which batches were skipped.
        folder: the run's folder.
        check_every: periods in batches; losses are checked at the multiples of each, and at the end. 0 is ignored.
        skip: how many batches may be skipped; 0 ends the run at the first.
    """

    def __init__(self, console: Console, folder: Path, check_every: Collection[int], skip: int) -> None:
        self.console = console
        self.folder = folder
        self.check_every = [every for every in check_every if every]
        self.skip = skip
        self.skipped = 0
        self.phase = ""
        self.unchecked: list[TrainedBatch] = []
        self.snapshot = Snapshot()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Before a step that may be undone, copy everything that it changes."""
        model = learner_of(pl_module)
        self.phase = model.schedule.phase.name
        if self.skip and model.between_steps:
            self.snapshot.copy(model, trainer.optimizers)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the batch, and check the noted batches when that is due.

        Raises:
            ValueError: a batch is non-finite and may not be skipped.
        """
        model = learner_of(pl_module)
        schedule = model.schedule
        done = schedule.iteration
        self.unchecked.append(TrainedBatch(done - 1, self.phase, list(batch["name"]), dict(outputs)))
        periods = [model.steps.accumulate] if self.skip else self.check_every
        if schedule.finished or any(done % every == 0 for every in periods):
            self._check(trainer, model, batch)
            self.unchecked.clear()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print how many batches were skipped."""
        if self.skipped and trainer.is_global_zero:
            self._print(f"{self.skipped:,} batches were left out; {self.folder / 'broken.ckpt'} holds the latest.")

    def state_dict(self) -> dict[str, Any]:
        """How many batches were skipped so far."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped = state_dict["skipped"]

    def _check(self, trainer: Trainer, model: Learner, batch: dict[str, Any]) -> None:
        """Find the first non-finite batch in any process; undo its step, or end the run."""
        losses = [(trained, loss) for trained in self.unchecked for loss in trained.losses.values()]
        non_finite = ~torch.stack([loss.float() for _, loss in losses]).isfinite()
        if self.skip:
            non_finite = torch.cat([non_finite, ~_finite(_tensors(model).values())[None]])
        place = _first(non_finite)
        if place == _NONE:
            return
        found = losses[place][0] if place < len(losses) else self.unchecked[-1]
        names = [name for name, loss in found.losses.items() if not bool(loss.isfinite())]
        rank = _culprit(len(names), trainer)
        if self.skip:
            self.snapshot.restore(model, trainer.optimizers)
            self.skipped += len(self.unchecked)
        if trainer.global_rank == rank:
            images = batch if found is self.unchecked[-1] else batch_again(trainer, found.iteration)
            self._save(model, found, rank, images)
        sentence = trainer.strategy.broadcast(_sentence(found, names, rank, trainer.world_size), src=rank)
        if self.skipped > self.skip or not self.skip:
            if not trainer.is_global_zero:
                raise SystemExit(1)  # the first process prints the error
            raise ValueError(sentence + self._advice())
        self._log_skipped(trainer, model, sentence)

    def _save(self, model: Learner, found: TrainedBatch, rank: int, batch: dict[str, Any]) -> None:
        """Write ``broken.ckpt``: the model as in ``last.ckpt``, without optimizers, and the batch."""
        checkpoint: dict[str, Any] = {"state_dict": model.state_dict()}
        model.on_save_checkpoint(checkpoint)
        checkpoint["broken"] = {
            "iteration": found.iteration,
            "phase": found.phase,
            "rank": rank,
            "losses": {name: float(loss) for name, loss in found.losses.items()},
            "batch": batch,
            "weights": "before the batch" if self.skip else "after the batch and those up to the look",
        }
        save_checkpoint(self.folder / "broken.ckpt", checkpoint)

    def _advice(self) -> str:
        """What the run's folder still holds, and what to try next."""
        last, kept = self.folder / "last.ckpt", self.folder / "broken.ckpt"
        sound = f" {last} still holds the last sound state" if last.is_file() else " No sound state was saved yet"
        if self.skip:
            return f"{sound}, {kept} this batch and the weights before it; skip_broken={self.skip} are used up."
        return (
            f"{sound}, {kept} this batch; try a smaller learning rate or full precision, or let the same command "
            "leave such batches out with skip_broken=10."
        )

    def _log_skipped(self, trainer: Trainer, model: Learner, sentence: str) -> None:
        """Log the number of skipped batches, and print which one was skipped."""
        model.logged = {}  # the undone step gets no line in the log and is not judged by Health
        for logger in trainer.loggers:
            logger.log_metrics({"train/skipped": float(self.skipped)}, step=model.schedule.iteration - 1)
        if trainer.is_global_zero:
            self._print(f"{sentence} Left out: {self.skipped:,} of at most {self.skip:,} batches.")

    def _print(self, sentence: str) -> None:
        self.console.print(f"[bold]broken:[/bold] {sentence}", highlight=False, soft_wrap=True)


@final
class Snapshot:
    """Copies of everything that a step may change; the memory of the copies is reused."""

    def __init__(self) -> None:
        self.copies: dict[tuple[int | str, str], Tensor] = {}

    @torch.no_grad()
    def copy(self, model: Learner, optimizers: list[Optimizer]) -> None:
        """Copy the networks' parameters and buffers and the optimizers' state."""
        live = _live(model, optimizers)
        if live.keys() != self.copies.keys():
            self.copies = {key: tensor.clone() for key, tensor in live.items()}
        else:
            _copy(live, self.copies)

    @torch.no_grad()
    def restore(self, model: Learner, optimizers: list[Optimizer]) -> None:
        """Restore the copies; optimizers drop the state of parameters that had none when the copies were made."""
        live = _live(model, optimizers)
        _copy(self.copies, live)
        known = {owner for owner, _ in self.copies}
        for optimizer in optimizers:
            for parameter in [parameter for parameter in optimizer.state if id(parameter) not in known]:
                del optimizer.state[parameter]


def _live(model: Learner, optimizers: list[Optimizer]) -> dict[tuple[int | str, str], Tensor]:
    """The tensors that a step changes in place, by owner and name; the owner of optimizer state is its parameter."""
    state: dict[tuple[int | str, str], Tensor] = {("model", name): tensor for name, tensor in _tensors(model).items()}
    for optimizer in optimizers:
        for parameter, memory in optimizer.state.items():
            state |= {(id(parameter), name): value for name, value in memory.items() if isinstance(value, Tensor)}
    return state


def _copy(source: Mapping[Any, Tensor], target: Mapping[Any, Tensor]) -> None:
    """Copy ``source`` into the tensors of ``target`` with the same keys, one kernel per device and dtype."""
    kinds: defaultdict[tuple[torch.device, torch.dtype], list[Any]] = defaultdict(list)
    for key, tensor in source.items():
        kinds[tensor.device, tensor.dtype].append(key)
    for keys in kinds.values():
        torch._foreach_copy_([target[key] for key in keys], [source[key] for key in keys])


def _tensors(model: Learner) -> dict[str, Tensor]:
    """Parameters and buffers of the networks that learn, without their averages, which move later."""
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    return {name: tensor.detach() for name, tensor in named.items() if not name.startswith(AVERAGES)}


def _finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether all numbers are finite, as a tensor on the device, so that the host does not wait."""
    return nn.utils.get_total_norm([tensor for tensor in tensors if tensor.is_floating_point()], torch.inf).isfinite()


def _first(flags: Tensor) -> int:
    """Index of the first True in any process, the same answer in each; ``_NONE`` if there is none."""
    return int(_reduced(torch.where(flags.any(), flags.int().argmax(), _NONE), ReduceOp.MIN))


def _culprit(non_finite: int, trainer: Trainer) -> int:
    """The process with the most non-finite losses; the shared gradient spreads some to the others.

    Args:
        non_finite: how many losses of this process are non-finite.
        trainer: knows the processes.
    """
    code = torch.tensor(non_finite * trainer.world_size + trainer.world_size - 1 - trainer.global_rank)
    most = _reduced(code.to(trainer.strategy.root_device), ReduceOp.MAX)
    return trainer.world_size - 1 - int(most) % trainer.world_size


def _reduced(number: Tensor, operation: ReduceOp.RedOpType) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(number, operation)
    return number


def batch_again(trainer: Trainer, iteration: int) -> dict[str, Any]:
    """The batch that this process trained on at ``iteration``, prepared again from the data, on the CPU."""
    loader: Any = trainer.train_dataloader
    order = copy(loader.batch_sampler)
    order.part = replace(order.part, start=iteration)
    return batch_as_floats(default_collate([loader.dataset[position] for position in next(iter(order))]))


def _sentence(found: TrainedBatch, losses: list[str], rank: int, processes: int) -> str:
    names = ", ".join(found.names[:_NAMES_LISTED])
    more = f" and {len(found.names) - _NAMES_LISTED} more" if len(found.names) > _NAMES_LISTED else ""
    where = f" in process {rank} of {processes}" if processes > 1 else ""
    what = f"has losses that are not finite: {', '.join(losses)}" if losses else "left weights that are not finite"
    return f"Batch {found.iteration + 1:,} (phase '{found.phase}'){where}, of the images {names}{more}, {what}."
