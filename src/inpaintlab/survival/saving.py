"""The checkpoints of a run, and how their files are written."""

import os
from pathlib import Path
from typing import Any, NamedTuple, final

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from inpaintlab.inpainting import MOST_KEPT, learner_of, load_checkpoint, save_checkpoint
from inpaintlab.machine import Count, Infinite, conform, storable
from inpaintlab.recipes import data_of


class Score(NamedTuple):
    """The monitored score of a validation: how many images it is infinite for, and the mean of the others."""

    infinite: Count
    mean: Infinite

    def rank(self, higher_is_better: bool) -> tuple[int, float]:
        """What orders scores, the best one last; a score that is no number has no place among them."""
        return self.infinite, self.mean if higher_is_better else -self.mean


@final
class Checkpoints(Callback):
    """Saves ``last.ckpt`` every ``every`` batches and at the end, and ``best.ckpt`` when a validation is the best.

    ``last.ckpt`` is also saved right before each validation. So it is never older than ``best.ckpt``, and a run that
    ends during a validation loses no training. Files are replaced whole.

    Of a metric that is infinite where an image is reproduced exactly, the number of such images decides first, then the
    mean of the others (see `Validation`).

    Args:
        folder: the run's folder.
        every: batches between two savings.
        validated_every: batches between two validations.
        monitor: the validation metric that decides which is best, for example ``val/psnr_rgb``.
        higher_is_better: the direction of ``monitor``.
    """

    def __init__(self, folder: Path, every: int, validated_every: int, monitor: str, higher_is_better: bool) -> None:
        self.folder = folder
        self.every = every
        self.validated_every = validated_every
        self.monitor = monitor
        self.higher_is_better = higher_is_better
        self.best: Score | None = None
        self.saved = 0
        """How many batches of training ``last.ckpt`` holds."""
        self.validated: int | None = None
        """After how many batches the last validation was whose results other callbacks have kept in ``last.ckpt``; None
        if they keep none."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Replace Lightning's writing of checkpoints."""
        trainer.strategy.checkpoint_io = WholeCheckpointIO()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the best score from ``best.ckpt``.

        The one in ``last.ckpt`` may be older: after a kill between saving the two, a worse model could replace
        ``best.ckpt``.

        Raises:
            ValueError: ``best.ckpt`` is damaged.
        """
        self.saved = learner_of(pl_module).schedule.iteration
        path = self.folder / "best.ckpt"
        self.best = score_of(path) if path.is_file() else None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save ``last.ckpt`` when it is due."""
        schedule = learner_of(pl_module).schedule
        if schedule.finished or not schedule.iteration % self.every or not schedule.iteration % self.validated_every:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save ``last.ckpt`` now.

        Raises:
            ValueError: a weight is non-finite; the last sound checkpoint stays.
        """
        self.save_as(trainer, "last.ckpt")
        self.saved = learner_of(trainer.lightning_module).schedule.iteration

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save ``best.ckpt`` when the metric is the best so far.

        Raises:
            ValueError: validation does not compute the monitored metric, or a weight is non-finite.
        """
        score = self.score(trainer)
        if score.mean == score.mean and (self.best is None or self._rank(score) > self._rank(self.best)):
            self.best = score
            self.save_as(trainer, "best.ckpt")

    def score(self, trainer: Trainer) -> Score:
        """The monitored score of the validation that just ended; its mean may be no number (NaN).

        Raises:
            ValueError: validation does not compute the monitored metric.
        """
        found = trainer.callback_metrics
        if self.monitor not in found:
            names = ", ".join(sorted(name for name in found if name.startswith("val/")))
            raise ValueError(f"monitor is '{self.monitor}', which validation does not give; it gives {names}.")
        return Score(int(found.get(f"{self.monitor}_infinite", 0)), float(found[self.monitor]))

    def _rank(self, score: Score) -> tuple[int, float]:
        return score.rank(self.higher_is_better)

    def save_as(self, trainer: Trainer, name: str) -> None:
        """Save the present state, whole or not at all; all processes call it.

        Args:
            trainer: of the run.
            name: of the file, from the run's folder on.

        Raises:
            ValueError: a weight is non-finite, or the state of a callback could not be read again.
        """
        state = trainer.lightning_module.state_dict()
        tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
        non_finite = [key for key, value in tensors.items() if not bool(value.isfinite().all())]
        if non_finite:
            raise ValueError(
                f"The weight '{non_finite[0]}' is not a finite number any more. {self.folder / 'last.ckpt'} still "
                "holds the last sound state; try a smaller learning rate or full precision."
            )
        trainer.save_checkpoint(self.folder / name)  # every process takes part, the first one writes

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, and ``validated``."""
        return {"best": None if self.best is None else storable(self.best._asdict()), "validated": self.validated}


@final
class SavingStates(Callback):
    """Saves ``last.ckpt`` again after each validation, for callbacks whose state a validation changes.

    The file that was saved before the validation does not hold that change. This callback runs after all others that
    handle a validation; a run that is killed before that validates again when it is resumed (see `missed_validation`).

    Args:
        checkpoints: saves ``last.ckpt``.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        checkpoints.validated = 0

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, and note of which validation the results are kept."""
        self.checkpoints.validated = learner_of(pl_module).schedule.iteration
        self.checkpoints.save(trainer)


def require_storable(state: Any, callback: str) -> None:
    """See that the state of a callback can be read from a checkpoint again, which holds tensors and plain values alone.

    Raises:
        ValueError: it holds something else.
    """
    try:
        data_of(state, f"The state of the callback {callback}", MOST_KEPT, (Tensor,))
    except ValueError as error:
        raise ValueError(
            f"{error} No run could go on from a checkpoint with it: let its state_dict give plain values and tensors."
        ) from error


def score_of(path: Path) -> Score | None:
    """The validation score recorded in a ``best.ckpt``; None if there is none.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        states = load_checkpoint(path).get("callbacks")
        state = states.get("Checkpoints") if isinstance(states, dict) else None
        score = state.get("best") if isinstance(state, dict) else None
    except ValueError as error:
        raise ValueError(f"{error} Delete it: the next validation writes another.") from error
    mend = "delete it: the next validation writes another"
    return None if score is None else conform(Score, score, f"{path}, its validation score", mend)


@final
class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint completely, beside its place and flushed to the disk, before it gets its name.

    Lightning writes it to the system's temporary folder and moves it; if that is another disk, it copies. A small
    temporary disk would fill up, and a kill would leave a file there that nobody deletes.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write beside ``path``, then rename.

        Args:
            checkpoint: as Lightning puts it together.
            path: the checkpoint's file.
            storage_options: not used.

        Raises:
            OSError: the file could not be written; the old file at ``path`` stays, and no partial file is left.
            ValueError: the state of a callback could not be read again.
        """
        for key, state in checkpoint.get("callbacks", {}).items():
            require_storable(state, key)
        save_checkpoint(Path(path), checkpoint)
