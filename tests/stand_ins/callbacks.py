"""Callbacks as a user of Lightning writes them."""

from typing import Any

from lightning import Callback, Trainer


class Counting(Callback):
    """Counts batches, logs the count, and keeps it and the scores of all validations in checkpoints."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.count = 0
        self.scores: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.count += 1
        self.log("counted", float(self.count))

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.scores.append(float(trainer.callback_metrics["val/mae"]))
        trainer.should_stop = trainer.should_stop or len(self.scores) == self.stop_after

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "scores": list(self.scores)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count, self.scores = state_dict["count"], list(state_dict["scores"])
