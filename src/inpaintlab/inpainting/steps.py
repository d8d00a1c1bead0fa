"""How batches become steps, whatever the model."""

from dataclasses import dataclass
from typing import Any

from inpaintlab.recipes import require_flag


def is_number(value: object, kind: Any) -> bool:
    """Whether ``value`` is a number of this type; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True)
class Steps:
    """What a run sets of its steps, whatever the model.

    Args:
        seed: of whatever a step draws at random.
        accumulate: batches whose gradients are averaged to one step of each optimizer.
        gradient_limit: the largest norm of one network's gradient; a larger one is scaled down to it. None: no limit.
        average: the decay of the moving average that the generators which complete images are; None where it is them.
        compiled: whether the networks are compiled for learning; they complete images uncompiled.

    Raises:
        ValueError: a number that none of them can be; the sentence names the setting of ``inpaintlab train``.
    """

    seed: int = 0
    accumulate: int = 1
    gradient_limit: float | None = None
    average: float | None = None
    compiled: bool = False

    def __post_init__(self) -> None:
        group, limit, average = self.accumulate, self.gradient_limit, self.average
        if not is_number(group, int) or group < 1:
            raise ValueError(f"accumulate is {group}; give the whole number of batches that make a step, 1 for each.")
        if limit is not None and not (is_number(limit, int | float) and limit > 0):
            raise ValueError(f"clip_gradients is {limit}; give the largest norm, a positive number, or null for none.")
        if average is not None and not (is_number(average, float) and 0 < average < 1):
            raise ValueError(f"average is {average}; give a decay between 0 and 1, such as 0.999, or null for none.")
        require_flag("compile", self.compiled)


BATCH_BY_BATCH = Steps()
"""Each batch a step, with gradients as they are, and neither averages nor compilation."""
