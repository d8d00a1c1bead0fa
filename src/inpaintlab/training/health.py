"""Whether the two sides of an adversarial training still keep each other going."""

from collections import deque
from typing import Any, final

from lightning import Callback, LightningModule, Trainer
from rich.console import Console

from inpaintlab.inpainting import Learner, learner_of
from inpaintlab.tracking import trackers_of

_MEANINGS = {
    "wins": "its generator gets little to learn from; a smaller rate for the discriminator gives it room",
    "loses": "what it tells its generator means little; a larger rate for the discriminator sharpens it",
}


@final
class Health(Callback):
    """Tells when a discriminator wins or loses for long.

    The model logs, of one batch in ``every`` and in the first process, ``grad/<network>``, the norm of a network's
    gradient before it is clipped, and as ``health/<discriminator>_...`` the shares of real and generated images or
    patches that a discriminator takes for what they are (``accuracy_real``, ``accuracy_fake``), the share of its logits
    that are saturated (``saturated``), and the norm of its gradient over that of its generator's (``gradient_ratio``).

    A discriminator wins when the mean of both accuracies over ``batches`` batches is at least ``wins``, and loses when
    it is at most ``loses``, while both learn. That is told once, and again only after a stretch that is otherwise.

    Args:
        console: where it is told; trackers that can alert someone do so as well.
        every: batches between two lines of the log.
        wins: the mean accuracy from which a generator has little left to learn from.
        loses: the mean accuracy up to which the discriminator is as good as a coin.
        batches: of a stretch.

    Raises:
        ValueError: bounds or a length that mean nothing.
    """

    def __init__(self, console: Console, every: int, wins: float, loses: float, batches: int) -> None:
        if not 0 <= loses < wins <= 1:
            raise ValueError(f"health has loses={loses} and wins={wins}; give accuracies with 0 <= loses < wins <= 1.")
        if batches < 1:
            raise ValueError(f"health.batches is {batches}; give the length of a stretch, a positive number.")
        self.console = console
        self.every = every
        self.wins = wins
        self.loses = loses
        self.looks = -(-batches // max(1, every))
        self.seen: dict[str, deque[float]] = {}
        self.told: dict[str, str] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See how the discriminators stand, where that was logged."""
        model = learner_of(pl_module)
        for discriminator in model.adversaries if trainer.is_global_zero else ():
            name = f"health/{discriminator}"
            if f"{name}_gradient_ratio" in model.logged:  # against a fixed generator it wins by design
                accuracy = (model.logged[f"{name}_accuracy_real"] + model.logged[f"{name}_accuracy_fake"]) / 2
                self._judge(trainer, model, discriminator, accuracy)

    def _judge(self, trainer: Trainer, model: Learner, discriminator: str, accuracy: float) -> None:
        """Add a look to the stretch, and tell if the discriminator stands otherwise than before."""
        done = model.schedule.iteration
        seen = self.seen.setdefault(discriminator, deque(maxlen=self.looks))
        seen.append(accuracy)
        mean = sum(seen) / len(seen)
        state = "wins" if mean >= self.wins else "loses" if mean <= self.loses else ""
        if len(seen) < self.looks or state == self.told.get(discriminator, ""):
            return
        self.told[discriminator] = state
        if state:
            sentence = (
                f"{discriminator} {state}: over {self.looks * self.every:,} batches up to {done:,} it is right "
                f"on {mean:.1%} of what it sees, so {_MEANINGS[state]}."
            )
            self.console.print(f"[bold]health:[/bold] {sentence}", highlight=False, soft_wrap=True)
            for tracker in trackers_of(trainer):
                tracker.alert(f"{discriminator} {state}", sentence, step=done - 1)

    def state_dict(self) -> dict[str, Any]:
        """What was seen of the stretch so far, and what was told of it."""
        return {"seen": {name: list(seen) for name, seen in self.seen.items()}, "told": dict(self.told)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the stretch; another length keeps its latest part."""
        self.seen = {name: deque(seen, maxlen=self.looks) for name, seen in state_dict["seen"].items()}
        self.told = dict(state_dict["told"])
