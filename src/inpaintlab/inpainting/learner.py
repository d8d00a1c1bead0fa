"""Learner: what every method that learns shares, from a batch to a step."""

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
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.optim import Optimizer

from inpaintlab.inpainting.checkpoints import CHECKPOINT_FORMAT
from inpaintlab.inpainting.fitting import fit
from inpaintlab.inpainting.inpainter import Inpainter
from inpaintlab.inpainting.schedule import Phase, Schedule
from inpaintlab.inpainting.steps import BATCH_BY_BATCH, Steps

Losses = dict[str, Tensor]


class Learner(Inpainter):
    """A method that learns from batches, in phases.

    A method defines ``forward``, one function for each phase in ``PHASES``, and ``configure_optimizers``.

    Args:
        schedule: the phases of training.
        learning_rate: the rate that a phase may override; each optimizer's groups scale it by their ``lr_ratio``.
        steps: how batches become steps.
        stride: height and width that ``forward`` accepts are multiples of it; ``complete`` pads and crops.
        smallest: the least height and width that ``forward`` accepts, in pixels.

    Raises:
        ValueError: a phase that the method does not know, or that would cut the batches of a step apart.
    """

    PHASES: Mapping[str, Callable[[Any, dict[str, Any]], Losses]] = {}
    """Each phase's name and its training step: of the model and a batch, updates the networks, returns the losses."""

    adversaries: Mapping[str, str] = {}
    """Each discriminator's name and that of the generator that it judges."""

    def __init__(
        self,
        schedule: Schedule,
        learning_rate: float,
        steps: Steps = BATCH_BY_BATCH,
        *,
        stride: int = 1,
        smallest: int = 1,
    ) -> None:
        super().__init__(stride, smallest)
        self.automatic_optimization = False
        schedule.require(tuple(self.PHASES))
        for phase in schedule.phases:
            if phase.batches % steps.accumulate:
                raise ValueError(
                    f"Phase '{phase.name}' has {phase.batches} batches, which is no multiple of "
                    f"accumulate={steps.accumulate}; give one, because a step belongs to one phase."
                )
        self.schedule = schedule
        self.learning_rate = learning_rate
        self.steps = steps
        self.averages: nn.ModuleDict | None = None
        """The averaged generators by their names, while the generators learn."""
        self.noting = False
        """Whether this batch keeps ``notes`` for the log: gradient norms and verdicts, tensors that are not read."""
        self.notes: dict[str, Tensor] = {}
        self.logged: dict[str, float] = {}
        """What is logged of this batch, in this process: losses, gradient norms, the discriminators' health."""
        self.training_record: dict[str, Any] = {}
        """What the run trains on (data, crop, mask, size, seed ...), for those who read its results."""

    # --- what a method defines -------------------------------------------------------------------------------------

    @abstractmethod
    def configure_optimizers(self) -> Any:
        """The optimizers; each of their parameter groups says its share of the learning rate as ``lr_ratio``."""

    def loss_weights(self) -> dict[str, Mapping[str, float]]:
        """The weight of each loss by the network or phase that it trains, to be told before training."""
        return {}

    def learn(self, batch: dict[str, Any], phase: Phase) -> Losses:
        """One training step of ``phase``: update the networks, return the losses to log."""
        return self.PHASES[phase.name](self, batch)

    def generators(self) -> list[nn.Module]:
        """The networks that complete images."""
        return [self.get_submodule(name) for name in self.adversaries.values()]

    def networks(self) -> list[nn.Module]:
        """Discriminators and generators."""
        return [self.get_submodule(name) for pair in self.adversaries.items() for name in pair]

    def constants(self) -> list[nn.Module]:
        """The networks that losses look through and that never learn, so that no checkpoint holds them."""
        return []

    def switches(self) -> dict[str, Any]:
        """Also which weights complete the images, where these are an average."""
        average = self.steps.average
        return {} if average is None else {"generators": f"averaged over batches, decay {average:g}"}

    # --- completion while it learns --------------------------------------------------------------------------------

    @contextmanager
    def completing(self) -> Iterator[None]:
        """Evaluation mode for a while, with the averaged generators, if there are any, in place of those that learn.

        Uncompiled while it learns: images of any size and number are completed, each of which would be compiled for.
        """
        averages = dict(self.averages or {})
        learning = {name: self.get_submodule(name) for name in averages}
        uncompiled = torch.compiler.set_stance("force_eager") if self.steps.compiled else nullcontext()
        with super().completing(), uncompiled:
            try:
                for name, network in averages.items():
                    self.register_module(name, network)
                yield
            finally:
                for name, network in learning.items():
                    self.register_module(name, network)

    # --- before the first batch ------------------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Fit the averages and what losses look through as well."""
        averages = list(self.averages.values()) if self.averages is not None else []
        device, precision = self.trainer.strategy.root_device.type, str(self.trainer.precision)
        fit([*self.networks(), *averages], device, precision, self.constants())

    def on_fit_start(self) -> None:
        """Move what losses look through, which Lightning does not see, to where the networks are."""
        for network in self.constants():
            network.to(self.device)

    def on_train_start(self) -> None:
        """Lay restored states of the optimizers out as their parameters, which fused steps take for granted.

        They differ after a run that began in another precision; torch's Adam would then mix up the elements unasked.
        """
        for optimizer in self.trainer.optimizers:
            for parameter, state in optimizer.state.items():
                for name, value in state.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        state[name] = torch.empty_like(parameter).copy_(value)

    # --- a batch ---------------------------------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Losses:
        """Run ``learn`` at the schedule's position, count the batch and log it when its time has come.

        Whatever is drawn at random in a step depends on (seed, iteration, rank) alone, so that a resumed run draws
        what the unbroken one would have drawn.
        """
        phase = self.schedule.phase
        torch.manual_seed((self.steps.seed * 1_000_003 + self.schedule.iteration) * 4099 + self.global_rank)
        self._set_learning_rate(phase)
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        left = -(self.schedule.iteration + 1) % every if every else math.inf
        self.noting = left < self.steps.accumulate  # of the step at the line of the log, or else the last before it
        losses = {name: loss.detach() for name, loss in self.learn(batch, phase).items()}
        self.schedule.advance()
        self.logged = {} if left else self._read(losses)
        return losses

    def _read(self, losses: Losses) -> dict[str, float]:
        """The losses and what was noted, read from the device at once; the ``Logbook`` writes them down.

        Not through Lightning's ``log``, which keeps repeating the last value of a loss whose phase has ended.
        """
        told, self.notes = {f"train/{name}": loss for name, loss in losses.items()} | self.notes, {}
        for discriminator, generator in self.adversaries.items():
            if {f"grad/{discriminator}", f"grad/{generator}"} <= told.keys():
                ratio = told[f"grad/{discriminator}"] / told[f"grad/{generator}"]
                told[f"health/{discriminator}_gradient_ratio"] = ratio
        return dict(zip(told, torch.stack([value.float() for value in told.values()]).tolist(), strict=True))

    def _set_learning_rate(self, phase: Phase) -> None:
        rate = self.learning_rate if phase.learning_rate is None else phase.learning_rate
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["lr_ratio"]

    # --- a step ----------------------------------------------------------------------------------------------------

    def descend(self, loss: Tensor, *optimizers: LightningOptimizer) -> None:
        """One step of ``optimizers`` down ``loss``, from gradients that start at zero and are dropped afterwards.

        With ``accumulate`` = k, k batches add their gradients, a k-th of each, and the last of them takes the step: a
        batch k times as large, where its loss is the mean of theirs. That leaves out batch norm, spectral norm (its
        power iteration goes on in each batch), errors divided by the batch's share of hole, and that a generator's
        loss passes the updated discriminator in the last of the k batches alone.

        Networks that take part without learning belong into ``frozen`` while the loss is computed.
        """
        last = (self.schedule.iteration + 1) % self.steps.accumulate == 0
        with nullcontext() if last else self._unsynchronised():
            self.manual_backward(loss / self.steps.accumulate)
        for optimizer in optimizers if last else ():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _unsynchronised(self) -> AbstractContextManager[None]:
        """Gradients stay in their process; those of the batch that steps bring them to the others."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Note the norm of the gradient and hold it to ``gradient_limit``; a loss scale is taken out by now."""
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
        """Keep for the log how the logits of a discriminator judge real and generated images.

        The shares of each that it takes for what they are, and of logits so sure (under 1 % of doubt, |logit| > 4.6)
        that cross entropy has next to no gradient left on the side that wins.
        """
        if self.noting:
            network = next(name for name, part in self.named_children() if part is discriminator)
            logits = torch.cat([real.detach().flatten(), fake.detach().flatten()])
            shares = {"accuracy_real": real > 0, "accuracy_fake": fake < 0, "saturated": logits.abs() > math.log(99)}
            for name, share in shares.items():
                self.notes[f"health/{network}_{name}"] = share.float().mean()

    # --- checkpoints -----------------------------------------------------------------------------------------------

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the sampler alone say where a run ends.

        Lightning keeps that the last batch was the last one; a finished run whose schedule grew would then stop before
        its first new batch.
        """
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the recipe, so that the file alone rebuilds the model."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        checkpoint["inpaintlab"] = {
            "format": CHECKPOINT_FORMAT,
            "model": self.recipe,
            "iterations": self.schedule.iteration,
            "images_seen": self.schedule.iteration * data.batch_size * self.trainer.world_size,
            "training": self.training_record,
            "average": self.steps.average,
            "processes": self.trainer.world_size,
        }


def learner_of(module: LightningModule) -> Learner:
    """The model that a trainer trains, for its callbacks."""
    assert isinstance(module, Learner), f"{type(module).__name__} does not learn"
    return module


def weigh(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of a step's losses.

    Raises:
        ValueError: a loss without a weight or a weight without a loss.
    """
    if losses.keys() != weights.keys():
        raise ValueError(
            f"The weights {sorted(weights)} do not match the losses {sorted(losses)}; each loss needs a weight of its "
            "name and each weight a loss."
        )
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Let networks take part in a loss unchanged: without gradients, running statistics or power iterations.

    Batch norm goes on to normalise as the mode says, by the batch's own statistics in training mode.
    """
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    modules = [module for network in networks for module in network.modules() if module.training]
    norms = [module for module in modules if isinstance(module, _BatchNorm) and module.track_running_stats]
    spectral = [module for module in modules if isinstance(module, _SpectralNorm)]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        for norm in norms:
            norm.track_running_stats = False
        for weight in spectral:
            weight.training = False
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for norm in norms:
            norm.track_running_stats = True
        for weight in spectral:
            weight.training = True
