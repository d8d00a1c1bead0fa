"""A moving average of the generators' weights, with which images are completed."""

from copy import deepcopy
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer
from torch import nn

from inpaintlab.inpainting import learner_of


@final
class Averaging(Callback):
    """Keeps the exponential moving average of a model's generators as its ``averages``, counted in batches.

    The decay is the model's ``steps.average``; where that is None, nothing is averaged. After batch n of the run the
    average moves by ``1 - min(decay, (1 + n) / (10 + n))`` towards the weights, as TensorFlow's
    ``ExponentialMovingAverage`` with ``num_updates`` does: an early average then depends little on the initial weights.
    Discriminators are not averaged. Buffers, such as batch norm's running statistics and spectral norm's vectors, are
    copied. The averages are part of the model's state, so a checkpoint holds both and a resumed run goes on exactly.
    All processes hold the same weights, and so the same averages.

    This callback runs before every other one that reads the model after a batch.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start from copies of the weights. Lightning reads the checkpoint and joins the processes afterwards."""
        model = learner_of(pl_module)
        if model.steps.average is not None:
            model.averages = nn.ModuleDict(
                {name: deepcopy(network).requires_grad_(False) for name, network in model.named_generators().items()}
            )

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the averages towards the weights, and copy the buffers."""
        model = learner_of(pl_module)
        if model.steps.average is None or model.averages is None:
            return
        batches = model.schedule.iteration
        decay = min(model.steps.average, (1 + batches) / (10 + batches))
        for name, average in model.averages.items():
            network = model.get_submodule(name)
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
            for copy, buffer in zip(average.buffers(), network.buffers(), strict=True):
                copy.copy_(buffer)
