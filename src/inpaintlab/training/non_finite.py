"""Batches whose losses or steps are not finite numbers: found, told, kept for a look, and left out if that is asked."""

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

from inpaintlab.inpainting import Learner, learner_of, save_checkpoint

_NONE = 2**40  # more losses than there are between two looks


_NAMES_TOLD = 8


@final
@dataclass(frozen=True)
class Seen:
    """A batch that was trained on: its number from 0, its phase, its images, and its losses, still on the device."""

    iteration: int
    phase: str
    names: list[str]
    losses: dict[str, Tensor]


@final
class NonFiniteBatches(Callback):
    """Finds the first batch with a loss that is not a finite number.

    Losses stay on the device and are read together, in all processes at the same batches: where the log, a checkpoint,
    a validation or a panel is due. So the search itself costs no step a synchronisation. Then the run ends, with
    ``broken.ckpt`` holding that batch and the weights as they are by now, which are broken in most cases.

    With ``skip`` a look follows each step (so the host waits for the device), at the losses and at the weights and
    running statistics that the step left. A step with anything that is not finite, in any process, changes nothing:
    parameters, buffers (running statistics, power iterations) and the optimizers' state go back to the copies from
    before it, bit for bit; ``broken.ckpt`` holds the latest such batch and the weights before it. Its batches count as
    done, in the schedule and in Lightning's count of optimizer steps. With ``accumulate`` the batches of a step go
    together. One that would be more than ``skip`` ends the run as above.

    To be called before all that looks at the model after a batch, and before the averages move.

    Args:
        console: where the skipped are told.
        folder: the run's folder.
        looks: a look is taken at the multiples of each, in batches, and at the end.
        skip: how many batches may be left out.
    """

    def __init__(self, console: Console, folder: Path, looks: Collection[int], skip: int) -> None:
        self.console = console
        self.folder = folder
        self.looks = [every for every in looks if every]
        self.skip = skip
        self.skipped = 0
        self.phase = ""
        self.recent: list[Seen] = []
        self.before = Before()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Copy what a step may change, where it may be taken back."""
        model = learner_of(pl_module)
        self.phase = model.schedule.phase.name
        if self.skip and model.schedule.iteration % model.steps.accumulate == 0:
            self.before.take(model, trainer.optimizers)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the batch, and look when it is time.

        Raises:
            ValueError: a batch is broken that may not be left out.
        """
        model = learner_of(pl_module)
        schedule = model.schedule
        done = schedule.iteration
        self.recent.append(Seen(done - 1, self.phase, list(batch["name"]), dict(outputs)))
        periods = [model.steps.accumulate] if self.skip else self.looks
        if schedule.finished or any(done % every == 0 for every in periods):
            self._look(trainer, model, batch)
            self.recent.clear()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell how many were left out."""
        if self.skipped and trainer.is_global_zero:
            self._tell(f"{self.skipped:,} batches were left out; {self.folder / 'broken.ckpt'} holds the latest.")

    def state_dict(self) -> dict[str, Any]:
        """How many batches were left out so far."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped = state_dict["skipped"]

    def _look(self, trainer: Trainer, model: Learner, batch: dict[str, Any]) -> None:
        """Find the first broken batch in any process; take its step back, or end the run."""
        losses = [(seen, loss) for seen in self.recent for loss in seen.losses.values()]
        unsound = ~torch.stack([loss.float() for _, loss in losses]).isfinite()
        if self.skip:
            unsound = torch.cat([unsound, ~_finite(_tensors(model).values())[None]])
        place = _first(unsound)
        if place == _NONE:
            return
        seen = losses[place][0] if place < len(losses) else self.recent[-1]
        broken = [name for name, loss in seen.losses.items() if not bool(loss.isfinite())]
        rank = _culprit(len(broken), trainer)
        if self.skip:
            self.before.put_back(model, trainer.optimizers)
            self.skipped += len(self.recent)
        if trainer.global_rank == rank:
            again = batch if seen is self.recent[-1] else batch_again(trainer, seen.iteration)
            self._keep(model, seen, rank, again)
        sentence = trainer.strategy.broadcast(_sentence(seen, broken, rank, trainer.world_size), src=rank)
        if self.skipped > self.skip or not self.skip:
            if not trainer.is_global_zero:
                raise SystemExit(1)  # the first process tells it for all
            raise ValueError(sentence + self._advice())
        self._log_skipped(trainer, model, sentence)

    def _keep(self, model: Learner, seen: Seen, rank: int, batch: dict[str, Any]) -> None:
        """Write ``broken.ckpt``: the model as in ``last.ckpt``, without optimizers, and the batch."""
        checkpoint: dict[str, Any] = {"state_dict": model.state_dict()}
        model.on_save_checkpoint(checkpoint)
        checkpoint["broken"] = {
            "iteration": seen.iteration,
            "phase": seen.phase,
            "rank": rank,
            "losses": {name: float(loss) for name, loss in seen.losses.items()},
            "batch": batch,
            "weights": "before the batch" if self.skip else "after the batch and those up to the look",
        }
        save_checkpoint(self.folder / "broken.ckpt", checkpoint)

    def _advice(self) -> str:
        last, kept = self.folder / "last.ckpt", self.folder / "broken.ckpt"
        sound = f" {last} still holds the last sound state" if last.is_file() else " No sound state was saved yet"
        if self.skip:
            return f"{sound}, {kept} this batch and the weights before it; skip_broken={self.skip} are used up."
        return (
            f"{sound}, {kept} this batch; try a smaller learning rate or full precision, or let the same command "
            "leave such batches out with skip_broken=10."
        )

    def _log_skipped(self, trainer: Trainer, model: Learner, sentence: str) -> None:
        """Count in the log, and tell."""
        model.logged = {}  # no line of the log, and no judgement of how the networks stand
        for logger in trainer.loggers:
            logger.log_metrics({"train/skipped": float(self.skipped)}, step=model.schedule.iteration - 1)
        if trainer.is_global_zero:
            self._tell(f"{sentence} Left out: {self.skipped:,} of at most {self.skip:,} batches.")

    def _tell(self, sentence: str) -> None:
        self.console.print(f"[bold]broken:[/bold] {sentence}", highlight=False, soft_wrap=True)


@final
class Before:
    """Copies of all that a step may change; taken again into the same memory."""

    def __init__(self) -> None:
        self.copies: dict[tuple[int | str, str], Tensor] = {}

    @torch.no_grad()
    def take(self, model: Learner, optimizers: list[Optimizer]) -> None:
        """Copy the networks' parameters and buffers and the optimizers' state."""
        live = _live(model, optimizers)
        if live.keys() != self.copies.keys():
            self.copies = {key: tensor.clone() for key, tensor in live.items()}
        else:
            _copy(live, self.copies)

    @torch.no_grad()
    def put_back(self, model: Learner, optimizers: list[Optimizer]) -> None:
        """Make everything as it was; an optimizer forgets the parameters that it had not stepped before."""
        live = _live(model, optimizers)
        _copy(self.copies, live)
        known = {owner for owner, _ in self.copies}
        for optimizer in optimizers:
            for parameter in [parameter for parameter in optimizer.state if id(parameter) not in known]:
                del optimizer.state[parameter]


def _live(model: Learner, optimizers: list[Optimizer]) -> dict[tuple[int | str, str], Tensor]:
    """What a step changes, in place, by owner and name; an optimizer's state belongs to a parameter."""
    state: dict[tuple[int | str, str], Tensor] = {("model", name): tensor for name, tensor in _tensors(model).items()}
    for optimizer in optimizers:
        for parameter, memory in optimizer.state.items():
            state |= {(id(parameter), name): value for name, value in memory.items() if isinstance(value, Tensor)}
    return state


def _copy(source: Mapping[Any, Tensor], target: Mapping[Any, Tensor]) -> None:
    """Fill the tensors of ``target`` that ``source`` has, all of a device and type with one kernel."""
    kinds: defaultdict[tuple[torch.device, torch.dtype], list[Any]] = defaultdict(list)
    for key, tensor in source.items():
        kinds[tensor.device, tensor.dtype].append(key)
    for keys in kinds.values():
        torch._foreach_copy_([target[key] for key in keys], [source[key] for key in keys])


def _tensors(model: Learner) -> dict[str, Tensor]:
    """Parameters and buffers of what learns; the averages move afterwards."""
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    return {name: tensor.detach() for name, tensor in named.items() if not name.startswith("averages.")}


def _finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether all numbers are finite, as a tensor that is not read."""
    return nn.utils.get_total_norm([tensor for tensor in tensors if tensor.is_floating_point()], torch.inf).isfinite()


def _first(unsound: Tensor) -> int:
    """Place of the first True in any process, the same answer in each; ``_NONE`` where there is none."""
    return int(_reduced(torch.where(unsound.any(), unsound.int().argmax(), _NONE), ReduceOp.MIN))


def _culprit(broken: int, trainer: Trainer) -> int:
    """The process with the most ``broken`` losses: through the gradient others have some in the same batch."""
    code = torch.tensor(broken * trainer.world_size + trainer.world_size - 1 - trainer.global_rank)
    most = _reduced(code.to(trainer.strategy.root_device), ReduceOp.MAX)
    return trainer.world_size - 1 - int(most) % trainer.world_size


def _reduced(number: Tensor, operation: ReduceOp.RedOpType) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(number, operation)
    return number


def batch_again(trainer: Trainer, iteration: int) -> dict[str, Any]:
    """The batch of this process that was trained on as number ``iteration``, made again from the data."""
    loader: Any = trainer.train_dataloader
    order = copy(loader.batch_sampler)
    order.part = replace(order.part, start=iteration)
    return default_collate([loader.dataset[position] for position in next(iter(order))])


def _sentence(seen: Seen, broken: list[str], rank: int, processes: int) -> str:
    names = ", ".join(seen.names[:_NAMES_TOLD])
    more = f" and {len(seen.names) - _NAMES_TOLD} more" if len(seen.names) > _NAMES_TOLD else ""
    where = f" in process {rank} of {processes}" if processes > 1 else ""
    what = f"has losses that are not finite: {', '.join(broken)}" if broken else "left weights that are not finite"
    return f"Batch {seen.iteration + 1:,} (phase '{seen.phase}'){where}, of the images {names}{more}, {what}."
