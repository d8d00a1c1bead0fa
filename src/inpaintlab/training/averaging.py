"""A moving average of the generators, which completes the images while the generators themselves learn."""

from copy import deepcopy
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer
from torch import nn

from inpaintlab.inpainting import learner_of


@final
class Averaging(Callback):
    """Keeps the exponential moving average of a model's generators as its ``averages``, counted in batches.

    After batch n of the run the average moves by ``1 - min(decay, (1 + n) / (10 + n))`` towards the weights, as
    TensorFlow's ``ExponentialMovingAverage`` with ``num_updates`` does, so that a young average does not hang on the
    weights that the networks were born with. Discriminators are not averaged. Buffers, such as batch norm's running
    statistics and spectral norm's vectors, are copied. The averages are part of the model's state, so a checkpoint
    holds both and a resumed run goes on exactly. All processes hold the same weights, and so the same averages.

    Without a decay, its ``steps.average``, nothing is averaged. To be called before all that looks at the model after
    a batch.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin at the weights as they are, before a checkpoint is read and before processes are joined."""
        model = learner_of(pl_module)
        if model.steps.average is not None:
            model.averages = nn.ModuleDict(
                {name: deepcopy(model.get_submodule(name)).requires_grad_(False) for name in model.adversaries.values()}
            )

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the averages by one batch."""
        model = learner_of(pl_module)
        if model.steps.average is None or model.averages is None:
            return
        batches = model.schedule.iteration
        decay = min(model.steps.average, (1 + batches) / (10 + batches))
        for name, average in model.averages.items():
            network = model.get_submodule(name)
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
            for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
                kept.copy_(buffer)
