"""Whether generator and discriminator of an adversarial training stay balanced."""

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
    """Warns when a discriminator has been winning or losing for long.

    The first process logs these numbers of one batch in ``every``:

    - ``grad/<network>``: the norm of a network's gradient before it is clipped;
    - ``health/<discriminator>_accuracy_real`` and ``_accuracy_fake``: the shares of real and of generated images, or
      patches, that the discriminator classifies correctly;
    - ``health/<discriminator>_saturated``: the share of its logits that are saturated;
    - ``health/<discriminator>_gradient_ratio``: the norm of its gradient over the norm of its generator's.

    A discriminator wins when the mean of both accuracies over a window of ``batches`` batches is at least ``wins``, and
    loses when it is at most ``loses``. Only batches count in which both networks learn. A warning is given when the
    state changes, not again while it lasts.

    Args:
        console: prints the warning; trackers that can send alerts send it too.
        every: batches between two lines of the log.
        wins: the mean accuracy from which a generator has little left to learn from.
        loses: the mean accuracy up to which the discriminator is no better than chance.
        batches: length of the window.

    Raises:
        ValueError: bounds that are not 0 <= loses < wins <= 1, or a window of no batch.
    """

    def __init__(self, console: Console, every: int, wins: float, loses: float, batches: int) -> None:
        if not 0 <= loses < wins <= 1:
            raise ValueError(
                f"health.loses is {loses} and health.wins is {wins}; give accuracies with 0 <= loses < wins <= 1."
            )
        if batches < 1:
            raise ValueError(f"health.batches is {batches}; give the length of a stretch, a positive number.")
        self.console = console
        self.every = every
        self.wins = wins
        self.loses = loses
        self.window = -(-batches // max(1, every))
        self.accuracies: dict[str, deque[float]] = {}
        self.reported: dict[str, str] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Judge each discriminator whose accuracies were logged for this batch."""
        model = learner_of(pl_module)
        for discriminator in model.adversaries if trainer.is_global_zero else ():
            name = f"health/{discriminator}"
            # against a fixed generator it wins by design, and a Wasserstein critic, which notes no accuracy, should win
            if {f"{name}_gradient_ratio", f"{name}_accuracy_real"} <= model.logged.keys():
                accuracy = (model.logged[f"{name}_accuracy_real"] + model.logged[f"{name}_accuracy_fake"]) / 2
                self._judge(trainer, model, discriminator, accuracy)

    def _judge(self, trainer: Trainer, model: Learner, discriminator: str, accuracy: float) -> None:
        """Add an accuracy to the window, and warn if the discriminator's state has changed."""
        done = model.schedule.iteration
        accuracies = self.accuracies.setdefault(discriminator, deque(maxlen=self.window))
        accuracies.append(accuracy)
        mean = sum(accuracies) / len(accuracies)
        state = "wins" if mean >= self.wins else "loses" if mean <= self.loses else ""
        if len(accuracies) < self.window or state == self.reported.get(discriminator, ""):
            return
        self.reported[discriminator] = state
        if state:
            sentence = (
                f"{discriminator} {state}: over {self.window * self.every:,} batches up to {done:,} it is right "
                f"on {mean:.1%} of what it sees, so {_MEANINGS[state]}."
            )
            self.console.print(f"[bold]health:[/bold] {sentence}", highlight=False, soft_wrap=True)
            for tracker in trackers_of(trainer):
                tracker.alert(f"{discriminator} {state}", sentence, step=done - 1)

    def state_dict(self) -> dict[str, Any]:
        """The accuracies in the window, and the state that was last reported."""
        return {"seen": {name: list(values) for name, values in self.accuracies.items()}, "told": dict(self.reported)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the window; if it is shorter now, its latest accuracies are kept."""
        self.accuracies = {name: deque(values, maxlen=self.window) for name, values in state_dict["seen"].items()}
        self.reported = dict(state_dict["told"])
