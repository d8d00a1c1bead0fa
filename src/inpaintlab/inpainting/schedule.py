"""Phases of a training run, counted in batches and kept in the checkpoint."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Phase:
    """A part of a training run.

    Args:
        name: one of the model's phases.
        batches: its length; 0 skips it.
        learning_rate: instead of the model's; None keeps that.

    Raises:
        ValueError: a negative length, or a learning rate that is not positive.
    """

    name: str
    batches: int
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        if self.batches < 0:
            raise ValueError(
                f"Phase '{self.name}' has {self.batches} batches; give 0 to skip it or a positive number to run it."
            )
        if self.learning_rate is not None and self.learning_rate <= 0:
            raise ValueError(
                f"Phase '{self.name}' has the learning rate {self.learning_rate}; give a positive number, or leave it "
                "out to keep the optimizer's own."
            )


class Schedule(nn.Module):
    """The phases of a run in order, and its position: how many batches are done.

    The position counts batches, not optimizer steps, because a GAN steps two optimizers in a batch. It is a plain
    integer in the state dict's extra state: reading a buffer on a GPU would make each step wait for the device.

    Args:
        phases: name to ``{batches: int, learning_rate: float or nothing}``, in the order in which they run. A phase of
            0 batches is skipped.

    Raises:
        ValueError: negative lengths, unknown settings of a phase, or no batch at all.
    """

    def __init__(self, phases: dict[str, dict[str, int | float | None]]) -> None:
        super().__init__()
        for name, settings in phases.items():
            unknown = set(settings) - {"batches", "learning_rate"}
            if unknown or "batches" not in settings:
                raise ValueError(
                    f"Phase '{name}' has the settings {sorted(settings)}; it takes 'batches' and, if wanted, "
                    "'learning_rate'."
                )
        self.phases = tuple(Phase(name, **settings) for name, settings in phases.items())  # type: ignore[arg-type]
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
    def phase(self) -> Phase:
        """The phase of the next batch; after the end, the last phase that ran."""
        end = 0
        for phase in self.phases:
            end += phase.batches
            if self.iteration < end:
                return phase
        return [phase for phase in self.phases if phase.batches][-1]

    def advance(self) -> None:
        """Count one batch."""
        self.iteration += 1

    def get_extra_state(self) -> dict[str, int]:
        """The position, for the checkpoint."""
        return {"iteration": self.iteration}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Continue at the checkpoint's position."""
        self.iteration = int(state["iteration"])
