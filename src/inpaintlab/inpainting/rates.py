"""The learning rate over a phase: constant, cosine, steps, or lowered at a plateau of the losses.

Each is a function of the batches done in the phase and, for a plateau, of the losses seen in it, which the checkpoint
holds. Neither the time nor the number of starts counts, so a resumed run has the rates of an unbroken one.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor

from inpaintlab.inpainting.steps import is_number
from inpaintlab.machine import Count
from inpaintlab.recipes import nearest


class Rate(ABC):
    """The learning rate over a phase, after its warm-up."""

    @abstractmethod
    def rate(self, batch: int, shaped: range, peak: float) -> float:
        """The learning rate of a batch.

        Args:
            batch: how many batches of the phase are done.
            shaped: the batches after the warm-up: ``batch`` is one of them.
            peak: the phase's learning rate.
        """

    @abstractmethod
    def in_words(self) -> str:
        """What the printed plan says behind the learning rate; empty if there is nothing to say."""

    @property
    def lowest(self) -> float:
        """The rate that it ends at, or does not fall below; the peak must be higher."""
        return 0.0


@final
@dataclass(frozen=True)
class Constant(Rate):
    """The phase's learning rate in every batch."""

    def rate(self, batch: int, shaped: range, peak: float) -> float:
        """The peak."""
        return peak

    def in_words(self) -> str:
        """Nothing."""
        return ""


@final
@dataclass(frozen=True)
class Cosine(Rate):
    """Half a cosine from the peak down to ``end``: ``end + (peak - end) (1 + cos(pi t / T)) / 2`` at batch t of T.

    That is equation 5 of SGDR (Loshchilov and Hutter 2017) without restarts. ``end`` would be the rate of the batch
    after the last one.

    Args:
        end: the learning rate that it falls to.
    """

    end: float = 0.0

    def rate(self, batch: int, shaped: range, peak: float) -> float:
        """On the cosine."""
        done = (batch - shaped.start) / len(shaped)
        return self.end + (peak - self.end) * (1 + math.cos(math.pi * done)) / 2

    def in_words(self) -> str:
        """Where it goes."""
        return f"cosine to {self.end:g}"

    @property
    def lowest(self) -> float:
        """See `Rate`."""
        return self.end


@final
@dataclass(frozen=True)
class Stairs(Rate):
    """The peak times ``factor`` once for each of the batches ``at`` that are done: ``peak factor^k``.

    Args:
        at: numbers of batches of the phase, its warm-up included, after each of which the rate is lowered.
        factor: what it is multiplied by, between 0 and 1.
    """

    at: tuple[int, ...]
    factor: float = 0.1

    def rate(self, batch: int, shaped: range, peak: float) -> float:
        """On the step that is reached."""
        return float(peak * self.factor ** sum(batch >= step for step in self.at))

    def in_words(self) -> str:
        """When it is lowered."""
        return f"x {self.factor:g} after {', '.join(f'{step:,}' for step in self.at)} batches"


@final
@dataclass
class Seen:
    """What a rule for plateaus has seen in its phase.

    Args:
        best: the lowest mean of a window; None before the first.
        waited: batches since then.
        plateaus: how many there were.
        batches: those of the present window so far.
        total: the sum of its losses.
        count: their number.
    """

    best: float | None = None
    waited: Count = 0
    plateaus: Count = 0
    batches: Count = 0
    total: float = 0.0
    count: Count = 0


@final
@dataclass
class Plateau(Rate):
    """The peak times ``factor`` at each plateau of the losses, but not below ``end``: ``max(end, peak factor^k)``.

    Watched is what the generators descend: the weighted sum of their losses (of a phase in which none learns, of all
    losses), as its mean over ``window`` batches of all processes. A mean counts as lower if it is below the lowest so
    far by more than ``threshold`` of it. If none was lower for ``patience`` batches, that is a plateau: the rate is
    lowered from the next batch on, and the patience begins anew. Losses that are not finite are left out, and so is the
    warm-up. So the rule is torch's ``ReduceLROnPlateau`` (``min``, ``rel``) on the means of windows.

    An adversarial loss need not fall while a method gets better: it rises as its discriminator learns. A sum that rises
    or swings is a plateau too, so the rule ends a rate also where no loss converges. A phase keeps its length.

    Args:
        factor: what the rate is multiplied by, between 0 and 1.
        end: the learning rate that it does not fall below.
        window: batches of one mean.
        patience: batches without a lower mean that make a plateau; it is looked at after each window.
        threshold: the share of the lowest mean by which a lower one is below it.
    """

    factor: float = 0.1
    end: float = 0.0
    window: int = 1000
    patience: int = 20_000
    threshold: float = 0.01
    seen: Seen = field(init=False, repr=False, default_factory=Seen)
    sums: Tensor | None = field(init=False, repr=False, compare=False, default=None)
    """The sum of the window's losses and their number, on the device: reading them would make each step wait for it."""

    def rate(self, batch: int, shaped: range, peak: float) -> float:
        """After the plateaus that were seen so far."""
        return max(self.end, float(peak * self.factor**self.seen.plateaus))

    def in_words(self) -> str:
        """The rule."""
        floor = f", down to {self.end:g}" if self.end else ""
        return f"x {self.factor:g} at a plateau of {self.patience:,} batches{floor}"

    @property
    def lowest(self) -> float:
        """See `Rate`."""
        return self.end

    def see(self, losses: Tensor, batches: int) -> None:
        """Take in the losses of a step, and look for a plateau if a window ends with it.

        Args:
            losses: the sum of its finite losses over batches and processes, and their number; on the device.
            batches: how many of them were of this process.
        """
        self.sums = losses if self.sums is None else self.sums.to(losses) + losses
        self.seen.batches += batches
        if self.seen.batches < self.window:
            return
        total, count = self.sums.tolist()  # waits for the device, once a window
        mean, best = total / count if count else math.inf, self.seen.best
        if count and (best is None or mean < best - self.threshold * abs(best)):
            self.seen.best, self.seen.waited = mean, 0
        else:
            self.seen.waited += self.seen.batches
        if self.seen.waited >= self.patience:
            self.seen.waited, self.seen.plateaus = 0, self.seen.plateaus + 1
        self.sums, self.seen.batches = None, 0

    def state(self) -> dict[str, Any]:
        """What was seen so far, for the checkpoint."""
        total, count = (0.0, 0.0) if self.sums is None else self.sums.tolist()
        return asdict(self.seen) | {"total": total, "count": int(count)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with what a checkpoint says was seen."""
        self.seen = Seen(**state)
        self.sums = torch.tensor([self.seen.total, float(self.seen.count)], dtype=torch.float64)


_SHAPES: dict[str, type[Rate]] = {"constant": Constant, "cosine": Cosine, "steps": Stairs, "plateau": Plateau}


def rate_from(given: Any) -> Rate:
    """The rate that a phase's setting ``rate`` describes.

    Args:
        given: the name of a shape, or ``{shape: NAME}`` with its settings.

    Raises:
        ValueError: an unknown shape or setting, or a value out of its range; the sentence goes on after "The rate".
    """
    settings = dict(given) if isinstance(given, Mapping) else {"shape": given}
    shape = settings.pop("shape", None)
    if not isinstance(shape, str) or shape not in _SHAPES:
        raise ValueError(
            f"has the shape {shape!r}; it can be {', '.join(_SHAPES)}, or {{shape: NAME}} with its settings."
            f"{nearest(str(shape), _SHAPES)}"
        )
    known = [entry.name for entry in fields(_SHAPES[shape]) if entry.init]  # type: ignore[arg-type]  # all are
    for key, value in settings.items():
        if key not in known:
            takes = f"takes {', '.join(known)}" if known else "takes no settings"
            raise ValueError(
                f"has '{key}', but {shape} {takes} (settings in braces join those of a preset, a word replaces them)."
                f"{nearest(str(key), known)}"
            )
        kind, wanted, sound = _SETTINGS[key]
        if not sound(value):
            raise ValueError(f"has the {key} {value!r}; give {wanted}.")
        settings[key] = kind(value)
    if shape == "steps" and "at" not in settings:
        raise ValueError(f"is steps without 'at'; give {_SETTINGS['at'][1]}.")
    return _SHAPES[shape](**settings)


def is_rate(value: Any) -> bool:
    """Whether this can be a learning rate: a positive, finite number."""
    return is_number(value, int | float) and 0 < value < math.inf


def _rise(value: Any) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return False
    return all(is_number(batch, int) and batch > 0 for batch in value) and all(a < b for a, b in pairwise(value))


_SETTINGS: dict[str, tuple[Callable[[Any], Any], str, Callable[[Any], bool]]] = {
    "end": (
        float,
        "a learning rate, 0 or more",
        lambda value: is_rate(value) or (is_number(value, int | float) and not value),
    ),
    "factor": (float, "a number between 0 and 1", lambda value: is_rate(value) and value < 1),
    "at": (tuple, "a list of rising numbers of batches, as in {shape: steps, at: [1000, 2000]}", _rise),
    "window": (int, "a whole number of batches, 1 or more", lambda value: is_number(value, int) and value >= 1),
    "patience": (int, "a whole number of batches, 1 or more", lambda value: is_number(value, int) and value >= 1),
    "threshold": (
        float,
        "a share, from 0 to less than 1",
        lambda value: is_number(value, int | float) and 0 <= value < 1,
    ),
}
"""Of each setting of a shape its type, what it can be in words, and whether a value is that."""
