"""Phases of a training run, counted in batches and kept in the checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from torch import nn

from inpaintlab.inpainting.rates import Constant, Plateau, Rate, is_rate, rate_from
from inpaintlab.inpainting.steps import is_number


@final
@dataclass(frozen=True)
class Phase:
    """A part of a training run.

    Args:
        name: one of the model's phases.
        batches: its length; 0 skips it.
        learning_rate: instead of the model's; None keeps that.
        warm_up: batches in which the rate rises, ``learning_rate (t + 1) / warm_up`` at batch t, before the shape
            begins.
        shape: of the learning rate after that.
    """

    name: str
    batches: int
    learning_rate: float | None = None
    warm_up: int = 0
    shape: Rate = field(default_factory=Constant)

    def rate(self, batch: int, peak: float) -> float:
        """The learning rate of a batch.

        Args:
            batch: how many batches of the phase are done.
            peak: the phase's learning rate.
        """
        if batch < self.warm_up:
            return peak * (batch + 1) / self.warm_up
        return self.shape.rate(batch, range(self.warm_up, self.batches), peak)

    def in_words(self, peak: float) -> str:
        """The learning rate over the phase, for the printed plan."""
        warm_up = f"warm-up {self.warm_up:,}" if self.warm_up else ""
        return ", ".join(part for part in (f"{peak:g}", self.shape.in_words(), warm_up) if part)


_SETTINGS = ("batches", "learning_rate", "warm_up", "rate")


def _phase(name: str, settings: Mapping[str, Any]) -> Phase:
    """The phase that settings describe, see `Schedule`.

    Raises:
        ValueError: unknown ones, a length or a warm-up that is no number of batches, a learning rate that is not
            positive, or a rate that is none (see `rate_from`).
    """
    unknown = set(settings) - set(_SETTINGS)
    if unknown or "batches" not in settings:
        raise ValueError(
            f"Phase '{name}' has the settings {sorted(settings)}; it takes 'batches' and, if wanted, 'learning_rate', "
            "'warm_up' and 'rate'."
        )
    batches, own, warm_up = settings["batches"], settings.get("learning_rate"), settings.get("warm_up", 0)
    if not is_number(batches, int) or batches < 0:
        raise ValueError(f"Phase '{name}' has {batches} batches; give 0 to skip it or a positive number to run it.")
    if own is not None and not is_rate(own):
        raise ValueError(
            f"Phase '{name}' has the learning rate {own}; give a positive number, or leave it out to keep the "
            "optimizer's own."
        )
    if not is_number(warm_up, int) or warm_up < 0:
        raise ValueError(
            f"Phase '{name}' has the warm_up {warm_up}; give the number of batches in which its learning rate rises, 0 "
            "for none."
        )
    try:
        shape = rate_from(settings.get("rate", "constant"))
    except ValueError as error:
        raise ValueError(f"The rate of phase '{name}' {error}") from error
    return Phase(name, batches, None if own is None else float(own), warm_up, shape)


class Schedule(nn.Module):
    """The phases of a run in order, and its position: how many batches are done.

    The position counts batches, not optimizer steps, because a GAN steps two optimizers in a batch. It is a plain
    integer in the state dict's extra state: reading a buffer on a GPU would make each step wait for the device.

    Args:
        phases: name to ``{batches: int, learning_rate: float or None, warm_up: int, rate: SHAPE}``, in the order in
            which they run; all but the first have defaults. SHAPE is 'constant', 'cosine', 'steps' or 'plateau', or
            ``{shape: NAME}`` with its settings (see `rates`). A phase of 0 batches is skipped.

    Raises:
        ValueError: negative lengths, unknown or wrong settings of a phase, or no batch at all.
    """

    def __init__(self, phases: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.phases = tuple(_phase(name, settings) for name, settings in phases.items())
        self.total = sum(phase.batches for phase in self.phases)
        self.iteration = 0
        if self.total == 0:
            raise ValueError(f"All phases ({', '.join(phases)}) have 0 batches, so there is nothing to train.")

    def require(self, names: tuple[str, ...]) -> None:
        """Check that the model knows all phases.

        Args:
            names: those that it knows.

        Raises:
            ValueError: it does not know one.
        """
        unknown = [phase.name for phase in self.phases if phase.name not in names]
        if unknown:
            raise ValueError(f"The schedule has the unknown phase '{unknown[0]}'; this model knows {', '.join(names)}.")

    @property
    def finished(self) -> bool:
        """Whether the last phase has ended."""
        return self.iteration >= self.total

    @property
    def between_phases(self) -> bool:
        """Whether no phase is under way: the next batch is the first of one, or there is none."""
        return self.finished or self._position()[1] == 0

    @property
    def phase(self) -> Phase:
        """The phase of the next batch; after the end, the last phase that ran."""
        return self._position()[0]

    def _position(self) -> tuple[Phase, int]:
        """The phase of the next batch, and how many of the phase's batches are done."""
        begin = 0
        for phase in self.phases:
            if self.iteration < begin + phase.batches:
                return phase, self.iteration - begin
            begin += phase.batches
        last = [phase for phase in self.phases if phase.batches][-1]
        return last, last.batches

    def rate(self, learning_rate: float) -> float:
        """The learning rate of the next batch, before an optimizer scales it.

        Args:
            learning_rate: the model's, for a phase without its own.
        """
        phase, batch = self._position()
        return phase.rate(batch, self.peak_of(phase, learning_rate))

    @staticmethod
    def peak_of(phase: Phase, learning_rate: float) -> float:
        """A phase's own learning rate, or else the model's, before warm-up and shape."""
        return learning_rate if phase.learning_rate is None else phase.learning_rate

    def rule(self, learning_rate: float) -> Plateau | None:
        """The rule that wants to see the losses of the next batch; None where the rate does not depend on them.

        Args:
            learning_rate: the model's, for a phase without its own.
        """
        phase, batch = self._position()
        if not isinstance(phase.shape, Plateau) or batch < phase.warm_up:
            return None
        return phase.shape if self.rate(learning_rate) > phase.shape.end else None

    @property
    def plateaus(self) -> int:
        """How many plateaus were seen so far, in all phases."""
        return sum(phase.shape.seen.plateaus for phase in self.phases if isinstance(phase.shape, Plateau))

    def advance(self) -> None:
        """Count one batch."""
        self.iteration += 1

    def get_extra_state(self) -> dict[str, Any]:
        """The position and what the rules for plateaus have seen, for the checkpoint."""
        rules = {phase.name: phase.shape for phase in self.phases if isinstance(phase.shape, Plateau)}
        return {"iteration": self.iteration, "plateaus": {name: rule.state() for name, rule in rules.items()}}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue at the checkpoint's position."""
        self.iteration = int(state["iteration"])
        for phase in self.phases:
            if isinstance(phase.shape, Plateau) and phase.name in state.get("plateaus", {}):
                phase.shape.restore(state["plateaus"][phase.name])
