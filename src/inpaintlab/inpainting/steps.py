"""How batches become optimizer steps, for every model."""

from dataclasses import dataclass
from typing import Any

from inpaintlab.recipes import require_flag


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
        compiled: whether the networks are compiled for training; they complete images uncompiled.
    """

    seed: int = 0
    accumulate: int = 1
    gradient_limit: float | None = None
    average: float | None = None
    compiled: bool = False


def checked_steps(seed: int, accumulate: Any, gradient_limit: Any, average: Any, compiled: Any) -> Steps:
    """`Steps` from what a user has set, whatever that is.

    Raises:
        ValueError: a number out of its range; the message names the setting of ``inpaintlab train``.
    """
    if not is_number(accumulate, int) or accumulate < 1:
        raise ValueError(f"accumulate is {accumulate}; give the whole number of batches that make a step, 1 for each.")
    if gradient_limit is not None and not (is_number(gradient_limit, int | float) and gradient_limit > 0):
        raise ValueError(
            f"clip_gradients is {gradient_limit}; give the largest norm, a positive number, or null for none."
        )
    if average is not None and not (is_number(average, float) and 0 < average < 1):
        raise ValueError(f"average is {average}; give a decay between 0 and 1, such as 0.999, or null for none.")
    return Steps(seed, accumulate, gradient_limit, average, require_flag("compile", compiled))


BATCH_BY_BATCH = Steps()
"""A step for each batch, without clipping, averaging or compilation."""
