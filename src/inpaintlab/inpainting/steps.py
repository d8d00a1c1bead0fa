"""How batches become optimizer steps, for every model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Steps:
    """The settings of optimizer steps that every model has.

    Args:
        seed: of the random numbers in a step.
        accumulate: batches whose gradients are averaged to one step of each optimizer.
        gradient_limit: the largest norm of one network's gradient; a larger one is scaled down to it. None: no limit.
        average: decay of the moving average of the generators' weights that completes images; None uses the generators.
        compiled: whether the networks are compiled for training; they complete images uncompiled.
    """

    seed: int = 0
    accumulate: int = 1
    gradient_limit: float | None = None
    average: float | None = None
    compiled: bool = False


BATCH_BY_BATCH = Steps()
"""A step for each batch, without clipping, averaging or compilation."""
