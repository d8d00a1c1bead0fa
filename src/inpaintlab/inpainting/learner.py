"""Learner: what every method that learns shares, from a batch to a step of its optimizers."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from inpaintlab.inpainting.checkpoints import CHECKPOINT_FORMAT
from inpaintlab.inpainting.fitting import fit, laid_out
from inpaintlab.inpainting.inpainter import Inpainter
from inpaintlab.inpainting.schedule import Phase, Schedule
from inpaintlab.inpainting.steps import BATCH_BY_BATCH, Steps
from inpaintlab.shapes import Size, height_width, plain_size

Losses = dict[str, Tensor]


class Learner(Inpainter):
    """A method that learns from batches, in phases.

    A method defines ``forward``, one function for each phase in ``PHASES``, and ``configure_optimizers``.

    Args:
        schedule: the phases of training.
        learning_rate: a phase may override it; each optimizer's groups scale it by their ``lr_ratio``.
        steps: how batches become steps.

    Raises:
        ValueError: a phase that the method does not know, whose length is no multiple of ``steps.accumulate``, or
            whose learning rate is below the one that it ends at.
    """

    PHASES: Mapping[str, Callable[[Any, dict[str, Any]], Losses]] = {}
    """The training step of each phase: takes the model and a batch, updates the networks, returns the losses."""

    adversaries: Mapping[str, str] = {}
    """The name of each discriminator and of its generator."""

    weights: Mapping[str, Mapping[str, float]] = {}
    """The weight of each loss, by the network or phase that it trains."""

    image_size: int | list[int] | None = None
    """The only size of training pictures, where a discriminator is built for one."""

    choices: Mapping[str, Any] = {}
    """What the method chose where the paper, its code and other implementations differ, by setting."""

    def __init__(self, schedule: Schedule, learning_rate: float, steps: Steps = BATCH_BY_BATCH) -> None:
        super().__init__()
        self.automatic_optimization = False
        schedule.require(tuple(self.PHASES))
        for phase in schedule.phases:
            if phase.batches % steps.accumulate:
                raise ValueError(
                    f"Phase '{phase.name}' has {phase.batches} batches, which is no multiple of "
                    f"accumulate={steps.accumulate}; give one, because a step belongs to one phase."
                )
            if phase.shape.lowest > schedule.peak_of(phase, learning_rate):
                raise ValueError(
                    f"Phase '{phase.name}' has the learning rate {schedule.peak_of(phase, learning_rate):g} and would "
                    f"end at {phase.shape.lowest:g}, which is more; give a lower end."
                )
        self.schedule = schedule
        self.learning_rate = learning_rate
        self.steps = steps
        self.smallest_batch = 1
        """The least number of pictures in a batch that every phase can learn from."""
        self.learns_compiled = False
        """Whether networks are compiled for training; they complete images uncompiled."""
        self.averages: nn.ModuleDict | None = None
        """The averaged generators by their names, while the generators learn."""
        self.noting = False
        """Whether this batch fills ``notes`` for the log: gradient norms and verdicts, as tensors on the device."""
        self.notes: dict[str, Tensor] = {}
        self.descents: list[tuple[bool, Tensor]] = []
        """While a rule waits for a plateau: the losses of the step, and whether generators descend them."""
        self.logged: dict[str, float] = {}
        """The metrics of this batch in this process: losses, gradient norms, the discriminators' health."""
        self.training_record: dict[str, Any] = {}
        """The training data of the run (data, crop, mask, size, seed ...), for readers of its results."""
        self.run_record: dict[str, Any] | None = None
        """What a resumed run is held against: the settings that decide the result, and what is trained on."""

    # --- what a method defines -------------------------------------------------------------------------------------

    @abstractmethod
    def configure_optimizers(self) -> Any:
        """The optimizers; ``lr_ratio`` of each parameter group is its learning rate over the model's."""

    def learn(self, batch: dict[str, Any], phase: Phase) -> Losses:
        """Run the training step of a phase.

        Args:
            batch: 'image' and 'mask', and what else the data have.
            phase: the schedule's present one.

        Returns:
            The losses to log, by name.
        """
        return self.PHASES[phase.name](self, batch)

    def named_networks(self) -> dict[str, nn.Module]:
        """All parts of the method that have parameters, and so all that learns, in the order of their making."""
        parts = {name: part for name, part in self.named_children() if name != "averages"}
        return {name: part for name, part in parts.items() if next(part.parameters(), None) is not None}

    def named_generators(self) -> dict[str, nn.Module]:
        """The networks but for the discriminators: those that complete images."""
        return {name: network for name, network in self.named_networks().items() if name not in self.adversaries}

    def networks(self) -> list[nn.Module]:
        """Discriminators and generators."""
        return list(self.named_networks().values())

    def generators(self) -> list[nn.Module]:
        """The networks that complete images."""
        return list(self.named_generators().values())

    def constants(self) -> list[nn.Module]:
        """The networks that losses use and that never learn, such as VGG-19; they are in no checkpoint."""
        return []

    def switches(self) -> dict[str, Any]:
        """The method's ``choices``, and whether averaged generators complete the images."""
        average = self.steps.average
        averaged = {} if average is None else {"generators": f"averaged over batches, decay {average:g}"}
        return {**self.choices, **averaged}

    # --- completion while it learns --------------------------------------------------------------------------------

    @contextmanager
    def completing(self) -> Iterator[None]:
        """Evaluation mode, uncompiled, with the averaged generators if there are any, while the context lasts.

        Uncompiled, because kernels would be compiled for every size and number of images.
        """
        averages = dict(self.averages or {})
        learning = {name: self.get_submodule(name) for name in averages}
        uncompiled = torch.compiler.set_stance("force_eager") if self.learns_compiled else nullcontext()
        with super().completing(), uncompiled:
            try:
                for name, network in averages.items():
                    self.register_module(name, network)
                yield
            finally:
                for name, network in learning.items():
                    self.register_module(name, network)

    @property
    def between_steps(self) -> bool:
        """Whether no step is under way: the next batch is the first of one."""
        return self.schedule.iteration % self.steps.accumulate == 0

    # --- before the first batch ------------------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Fit the averaged generators and the constants as well."""
        averages = list(self.averages.values()) if self.averages is not None else []
        device, precision = self.trainer.strategy.root_device.type, str(self.trainer.precision)
        fit([*self.networks(), *averages], device, precision, self.constants())

    def require_size(self, size: Size) -> None:
        """Raise a ValueError if the model cannot learn from pictures of this side, or height and width."""
        if self.image_size not in (None, plain_size(size)):
            raise ValueError(
                f"The discriminator is built for {self.image_size} pixels (model.image_size), the data come at "
                f"{size} (data.size); set both to the same number."
            )
        if min(height_width(size)) < self.smallest:
            raise ValueError(f"data.size is {size}; with these settings the model needs {self.smallest} pixels.")

    def on_fit_start(self) -> None:
        """Check the training size, and move the constants, which Lightning does not know, to the networks' device."""
        self.require_size(self.trainer.datamodule.size)  # type: ignore[attr-defined]
        for network in self.constants():
            network.to(self.device)

    def on_train_start(self) -> None:
        """Give restored states of the optimizers the memory format of their parameters, which fused steps assume.

        The formats differ if the run began in another precision; torch's Adam would then silently mix up the elements.
        """
        for optimizer in self.trainer.optimizers:
            for parameter, state in optimizer.state.items():
                for name, value in state.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        state[name] = torch.empty_like(parameter).copy_(value)

    # --- a batch ---------------------------------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Losses:
        """Run ``learn`` at the schedule's position, count the batch, and log it if it is time.

        The random numbers of a step depend on (seed, iteration, rank) only, so that a resumed run draws the same as an
        uninterrupted one.
        """
        phase = self.schedule.phase
        torch.manual_seed((self.steps.seed * 1_000_003 + self.schedule.iteration) * 4099 + self.global_rank)
        self._set_learning_rate()
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        left = -(self.schedule.iteration + 1) % every if every else math.inf
        self.noting = left < self.steps.accumulate  # all batches of the last step before the log
        losses = {name: loss.detach() for name, loss in self.learn(laid_out(batch, self.device.type), phase).items()}
        self._look_for_plateau()
        self.schedule.advance()
        self.logged = {} if left else self._read(losses)
        return losses

    def _read(self, losses: Losses) -> dict[str, float]:
        """The losses and notes, read from the device in one transfer; the ``Logbook`` logs them.

        Lightning's ``log`` is not used, because it keeps repeating the last value of a loss whose phase has ended.
        """
        logged, self.notes = {f"train/{name}": loss for name, loss in losses.items()} | self.notes, {}
        for discriminator, generator in self.adversaries.items():
            if {f"grad/{discriminator}", f"grad/{generator}"} <= logged.keys():
                ratio = logged[f"grad/{discriminator}"] / logged[f"grad/{generator}"]
                logged[f"health/{discriminator}_gradient_ratio"] = ratio
        return dict(zip(logged, torch.stack([value.float() for value in logged.values()]).tolist(), strict=True))

    def _set_learning_rate(self) -> None:
        """Set that of the batch which takes the step, so that the log tells the rate of the last step."""
        if not self._steps_now:
            return
        rate = self.schedule.rate(self.learning_rate)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["lr_ratio"]

    @property
    def _steps_now(self) -> bool:
        """Whether this batch is the last one of its step."""
        return (self.schedule.iteration + 1) % self.steps.accumulate == 0

    def _look_for_plateau(self) -> None:
        """Show the losses of a step to the rule that waits for a plateau, if there is one, summed over all processes.

        So the rule is at the same place in every process. No process waits for its device, but once a window.
        """
        rule = self.schedule.rule(self.learning_rate)
        if rule is not None and self._steps_now and self.descents:
            generators = [loss for of_generators, loss in self.descents if of_generators]
            losses = torch.stack(generators or [loss for _, loss in self.descents])
            exact = losses if losses.device.type == "mps" else losses.double()
            seen = torch.stack([exact.nan_to_num(0, 0, 0).sum(), losses.isfinite().sum()])
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(seen)
            rule.see(seen, self.steps.accumulate)
        if self._steps_now:
            self.descents.clear()

    # --- a step ----------------------------------------------------------------------------------------------------

    def descend(self, loss: Tensor, *optimizers: LightningOptimizer) -> None:
        """Take one step of the optimizers on a loss; gradients are zero before and are freed after it.

        With ``accumulate`` = k, the gradients of k batches are averaged, and the last batch takes the step. That equals
        a step on a batch k times as large, with four exceptions: batch norm normalises each batch by itself; the power
        iteration of spectral norm runs in each batch; errors are divided by the hole ratio of each batch; and only the
        last batch's generator loss passes through the updated discriminator.

        Networks that take part without learning must be ``frozen`` while the loss is computed.

        Args:
            loss: of this batch.
            optimizers: of the networks that learn from it.
        """
        last = self._steps_now
        if self.schedule.rule(self.learning_rate) is not None:
            moved = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
            completes = any(id(p) in moved for network in self.generators() for p in network.parameters())
            self.descents.append((completes, loss.detach()))
        with nullcontext() if last else self._unsynchronised():
            self.manual_backward(loss / self.steps.accumulate)
        for optimizer in optimizers if last else ():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _unsynchronised(self) -> AbstractContextManager[None]:
        """Do not average gradients over processes yet; the backward pass of the last batch does that for the sum."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Note the norm of the gradient and clip it to ``gradient_limit``; it is already divided by the loss scale."""
        limit = self.steps.gradient_limit
        if limit is None and not self.noting:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters])
        if limit is not None:
            nn.utils.clip_grads_with_norm_(parameters, limit, norm)
        if self.noting:
            network = next(name for name, p in self.named_parameters() if p is parameters[0]).partition(".")[0]
            self.notes[f"grad/{network}"] = norm

    def note_verdicts(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> None:
        """Note for the log how a discriminator judges real and generated images.

        Noted are its accuracy on both, and the share of saturated logits (a probability within 1 % of 0 or 1,
        |logit| > 4.6), at which cross entropy has almost no gradient on the winning side.

        Args:
            discriminator: one of the model's networks.
            real: its logits of real images.
            fake: its logits of generated images.
        """
        if self.noting:
            network = next(name for name, part in self.named_children() if part is discriminator)
            logits = torch.cat([real.detach().flatten(), fake.detach().flatten()])
            shares = {"accuracy_real": real > 0, "accuracy_fake": fake < 0, "saturated": logits.abs() > math.log(99)}
            for name, share in shares.items():
                self.notes[f"health/{network}_{name}"] = share.float().mean()

    # --- checkpoints -----------------------------------------------------------------------------------------------

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let a finished run go on with a longer schedule: Lightning stores that the last batch was the last one."""
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the recipe and the record of the training, so that the file alone can rebuild the model."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        checkpoint["inpaintlab"] = {
            "format": CHECKPOINT_FORMAT,
            "model": self.recipe,
            "iterations": self.schedule.iteration,
            "images_seen": self.schedule.iteration * data.batch_size * self.trainer.world_size,
            "training": self.training_record,
            "run": self.run_record,
            "average": self.steps.average,
            "processes": self.trainer.world_size,
        }


def learner_of(module: LightningModule) -> Learner:
    """The module that a callback gets, as the model that learns."""
    assert isinstance(module, Learner), f"{type(module).__name__} does not learn"
    return module
