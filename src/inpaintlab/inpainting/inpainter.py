"""Inpainter: what every method shares, from a batch to finished pixels, from a loss to a step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.optim import Optimizer

from inpaintlab.imaging import blend
from inpaintlab.inpainting.schedule import Phase, Schedule
from inpaintlab.shapes import Images, Planes

Losses = dict[str, Tensor]


class Inpainter(LightningModule, ABC):
    """A method that fills holes.

    A method defines ``forward``; a method that learns also defines ``learn`` and ``configure_optimizers`` and gives a
    schedule. Everything that turns its output into finished pixels stands here once: ``complete``.

    Args:
        schedule: the phases of training; None for a method that does not learn.
        learning_rate: the rate that a phase may override; each optimizer's groups scale it by their ``lr_ratio``.
        stride: height and width that ``forward`` accepts are multiples of it; ``complete`` pads and crops.
        smallest: the least height and width that ``forward`` accepts, in pixels.
    """

    adversaries: Mapping[str, str] = {}
    """Each discriminator's name and that of the generator that it judges."""

    oracle = False
    """Whether the method is shown ground truth inside the hole; tables mark it and never call it best."""

    def __init__(
        self, schedule: Schedule | None = None, learning_rate: float = 0.0, stride: int = 1, smallest: int = 1
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.schedule = schedule
        self.learning_rate = learning_rate
        self.stride = stride
        self.smallest = smallest
        self.seed = 0
        self.accumulate = 1
        """Batches whose gradients are averaged to one step of each optimizer."""
        self.gradient_limit: float | None = None
        """The largest norm of one network's gradient; a larger one is scaled down to it."""
        self.average: float | None = None
        """The decay of the moving average that the generators which complete images are; None where it is them."""
        self.averages: nn.ModuleDict | None = None
        """That average while the generators learn, by their names."""
        self.compiled = False
        """Whether the networks are compiled for learning; they complete images uncompiled."""
        self.completes_compiled = False
        """Whether the generators of a model that learns no more are compiled."""
        self.noting = False
        """Whether this batch keeps ``notes`` for the log: gradient norms and verdicts, tensors that are not read."""
        self.notes: dict[str, Tensor] = {}
        self.logged: dict[str, float] = {}
        """What is logged of this batch, in this process: losses, gradient norms, the discriminators' health."""
        self.recipe: dict[str, Any] = {}
        """The resolved configuration that built this model; the checkpoint carries it."""
        self.training_record: dict[str, Any] = {}
        """What the run trains on (data, crop, mask, size, seed ...), for those who read its results."""

    # --- what a method defines -------------------------------------------------------------------------------------

    @abstractmethod
    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """Raw output in [0, 1] over the whole image, from the visible pixels (0 in the hole) and the mask (1 = hole).

        ``edges``, where a method uses them, say what lies in the hole: a user's drawing, or None.
        """

    def learn(self, batch: dict[str, Any], phase: Phase) -> Losses:
        """One training step of ``phase``: update the networks, return the losses to log."""
        raise ValueError(f"{type(self).__name__} does not learn; evaluate it without training.")

    def inner_pictures(
        self, visible: Images, mask: Planes, edges: Planes | None = None
    ) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """What the method sees or draws on its way, for the panels: name to pictures in [0, 1]. None by default."""
        return {}

    def true_edges(self, image: Images) -> Planes | None:
        """What an oracle is given as ``edges``, taken from the hidden pixels as well; nothing by default."""
        return None

    def networks(self) -> list[nn.Module]:
        """The networks that a training step runs, each once: what ``compile=true`` compiles."""
        return [self.get_submodule(name) for pair in self.adversaries.items() for name in pair]

    def generators(self) -> list[nn.Module]:
        """The networks that complete images; none of a classical method."""
        return [self.get_submodule(name) for name in self.adversaries.values()]

    def switches(self) -> dict[str, Any]:
        """Where implementations of the same paper differ: what this model does, for plans, results and reports.

        Also which weights complete the images, where these are an average.
        """
        return {} if self.average is None else {"generators": f"averaged over batches, decay {self.average:g}"}

    def loss_weights(self) -> dict[str, Mapping[str, float]]:
        """The weight of each loss by the network or phase that it trains, to be told before training."""
        return {}

    # --- finished pixels -------------------------------------------------------------------------------------------

    @torch.no_grad()
    def complete(self, image: Images, mask: Planes, edges: Planes | None = None, *, blended: bool = False) -> Images:
        """Fill the hole; the known pixels are the input's, bit for bit.

        The one path from a model to finished pixels, for every size. What ``image`` holds inside the hole is
        removed before the method sees it, and no state changes: running statistics stay, the mode comes back.
        An image without a hole comes back as it is; of one that is all hole a network's output comes back, and a
        classical method, which has nothing to continue from, raises a ValueError. ``blended`` adds GLCIC's
        post-processing (``blending.blend``).
        """
        _, completed = self.outputs(image, mask, edges)
        return blend(completed, mask) if blended else completed

    @torch.no_grad()
    def outputs(self, image: Images, mask: Planes, edges: Planes | None = None) -> tuple[Images, Images]:
        """The raw output of ``complete`` and the completed image that it becomes."""
        raw = self.raw_output(image, mask, edges)
        return raw, self.paste(image, mask, raw)

    @torch.no_grad()
    def raw_output(self, image: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """The method's output over the whole image in evaluation mode, before the known pixels are put back."""
        height, width = image.shape[-2:]
        with self.completing():
            return self(*self._shown(image, mask, edges))[..., :height, :width].clamp(0, 1).float()

    @contextmanager
    def completing(self) -> Iterator[None]:
        """Evaluation mode for a while, with the averaged generators, if there are any, in place of those that learn.

        Uncompiled while it learns: images of any size and number are completed, each of which would be compiled for.
        """
        averages = dict(self.averages or {})
        learning = {name: self.get_submodule(name) for name in averages}
        uncompiled = torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()
        with evaluating(self), uncompiled:
            try:
                for name, network in averages.items():
                    self.register_module(name, network)
                yield
            finally:
                for name, network in learning.items():
                    self.register_module(name, network)

    @torch.no_grad()
    def seen_inside(self, image: Images, mask: Planes) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """``inner_pictures`` of these images, at their own size."""
        height, width = image.shape[-2:]
        with self.completing():
            pictures = self.inner_pictures(*self._shown(image, mask, None))
        return {name: picture[..., :height, :width] for name, picture in pictures.items()}

    def _shown(self, image: Images, mask: Planes, edges: Planes | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """What ``forward`` gets of an image: the hole hidden, everything padded to the stride."""
        if self.oracle:
            if edges is not None:
                raise ValueError(f"{type(self).__name__} is set to see the true edges; it takes no others beside them.")
            edges = self.true_edges(image)

        def padded(plane: Tensor) -> Tensor:
            return pad_to_multiple(plane, self.stride, self.smallest)

        return padded(hide(image, mask)), padded(mask), None if edges is None else padded(edges)

    @staticmethod
    def paste(image: Images, mask: Planes, raw: Images) -> Images:
        """The raw output inside the hole, the image elsewhere; a selection, so that nothing rounds or leaks."""
        return torch.where(mask > 0.5, raw, image)

    # --- Lightning -------------------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Lay restored states of the optimizers out as their parameters, which fused steps take for granted.

        They differ after a run that began in another precision; torch's Adam would then mix up the elements unasked.
        """
        for optimizer in self.trainer.optimizers:
            for parameter, state in optimizer.state.items():
                for name, value in state.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        state[name] = torch.empty_like(parameter).copy_(value)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Losses:
        """Run ``learn`` at the schedule's position, count the batch and log it when its time has come.

        Whatever is drawn at random in a step depends on (seed, iteration, rank) alone, so that a resumed run draws
        what the unbroken one would have drawn.
        """
        assert self.schedule is not None
        phase = self.schedule.phase
        torch.manual_seed((self.seed * 1_000_003 + self.schedule.iteration) * 4099 + self.global_rank)
        self._set_learning_rate(phase)
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        left = -(self.schedule.iteration + 1) % every if every else math.inf
        self.noting = left < self.accumulate  # of the step at the line of the log, or else the last before it
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

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Complete a batch of validation images."""
        return {"completed": self.complete(batch["image"], batch["mask"])}

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Raw outputs and completed images of a batch of a frozen test set.

        On the CPU image by image: convolutions of other batch sizes round otherwise in the last bit, and a test set
        gives the same numbers however it is divided among batches, workers and processes.
        """
        image, mask = batch["image"], batch["mask"]
        together = 1 if image.device.type == "cpu" else len(image)
        pairs = zip(image.split(together), mask.split(together), strict=True)
        raw, completed = zip(*(self.outputs(*pair) for pair in pairs), strict=True)
        return {"raw": torch.cat(raw), "completed": torch.cat(completed)}

    def descend(self, loss: Tensor, *optimizers: LightningOptimizer) -> None:
        """One step of ``optimizers`` down ``loss``, from gradients that start at zero and are dropped afterwards.

        With ``accumulate`` = k, k batches add their gradients, a k-th of each, and the last of them takes the step: a
        batch k times as large, where its loss is the mean of theirs. That leaves out batch norm, spectral norm (its
        power iteration goes on in each batch), errors divided by the batch's share of hole, and that a generator's
        loss passes the updated discriminator in the last of the k batches alone.

        Networks that take part without learning belong into ``frozen`` while the loss is computed.
        """
        assert self.schedule is not None
        last = (self.schedule.iteration + 1) % self.accumulate == 0
        with nullcontext() if last else self._unsynchronised():
            self.manual_backward(loss / self.accumulate)
        for optimizer in optimizers if last else ():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _unsynchronised(self) -> AbstractContextManager[None]:
        """Gradients stay in their process; those of the batch that steps bring them to the others."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Note the norm of the gradient and hold it to ``gradient_limit``; a loss scale is taken out by now."""
        if self.gradient_limit is None and not self.noting:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters])
        if self.gradient_limit is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.gradient_limit, norm)
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

    def _set_learning_rate(self, phase: Phase) -> None:
        rate = self.learning_rate if phase.learning_rate is None else phase.learning_rate
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["lr_ratio"]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the sampler alone say where a run ends.

        Lightning keeps that the last batch was the last one; a finished run whose schedule grew would then stop before
        its first new batch.
        """
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the recipe, so that the file alone rebuilds the model."""
        assert self.schedule is not None
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        checkpoint["inpaintlab"] = {
            "model": self.recipe,
            "iterations": self.schedule.iteration,
            "images_seen": self.schedule.iteration * data.batch_size * self.trainer.world_size,
            "training": self.training_record,
            "average": self.average,
            "processes": self.trainer.world_size,
        }


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


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each module gets its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def hide(
    image: Float[Tensor, "batch colours height width"], mask: Planes
) -> Float[Tensor, "batch colours height width"]:
    """The visible part: 0 in the hole, whatever stood there (a NaN too), the image elsewhere."""
    return torch.where(mask > 0.5, 0.0, image)


def pad_to_multiple(
    plane: Float[Tensor, "batch planes height width"], stride: int, smallest: int = 1
) -> Float[Tensor, "batch planes padded_height padded_width"]:
    """Pad at the bottom and right to a multiple of ``stride``: by reflection, or by the last pixel if too small."""
    height, width = plane.shape[-2:]
    bottom, right = (max(smallest, side + -side % stride) - side for side in (height, width))
    if not bottom and not right:
        return plane
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(plane, (0, right, 0, bottom), mode=mode)
