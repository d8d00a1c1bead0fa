"""How batches become optimizer steps, for every model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm


def is_number(value: object, kind: Any) -> bool:
    """Whether ``value`` is a number of the type ``kind``; True and False are not."""
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True)
class Steps:
    """The settings of optimizer steps that every model has.

    Args:
        seed: of the random numbers in a step.
        accumulate: batches whose gradients are averaged to one step of each optimizer.
        gradient_limit: the largest norm of one network's gradient; a larger one is scaled down to it. None: no limit.
        average: decay of the moving average of the generators' weights that completes images; None uses the generators.
    """

    seed: int = 0
    accumulate: int = 1
    gradient_limit: float | None = None
    average: float | None = None


BATCH_BY_BATCH = Steps()
"""A step for each batch, without clipping or averaging."""


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
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode while the context lasts; then each module gets its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Let networks take part in a loss without changing them, while the context lasts.

    Their parameters get no gradients, running statistics stay, and spectral norm runs no power iteration. Batch norm
    still normalises by the batch's own statistics in training mode.
    """
    modules = [module for network in networks for module in network.modules() if module.training]
    held: list[tuple[Any, str]] = [(p, "requires_grad") for n in networks for p in n.parameters() if p.requires_grad]
    held += [(m, "track_running_stats") for m in modules if isinstance(m, _BatchNorm) and m.track_running_stats]
    held += [(m, "training") for m in modules if isinstance(m, _SpectralNorm)]
    try:
        for holder, flag in held:
            setattr(holder, flag, False)
        yield
    finally:
        for holder, flag in held:
            setattr(holder, flag, True)
