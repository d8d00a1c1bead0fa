"""Further checkpoints of a run, beside its last and its best: the best few, and one every so many batches."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from lightning import Callback, LightningModule, Trainer

from inpaintlab.inpainting import is_number, learner_of
from inpaintlab.machine import Count, Infinite, conform, read_json, storable, write_json
from inpaintlab.survival.saving import Checkpoints, Score

FOLDER, _LIST = "kept", "kept.json"


@final
@dataclass(frozen=True)
class _File:
    """A checkpoint among the best."""

    name: str
    iteration: Count
    infinite: Count
    mean: Infinite

    @property
    def score(self) -> Score:
        return Score(self.infinite, self.mean)


@final
@dataclass(frozen=True)
class _Listed:
    """What ``kept.json`` holds: the best, from the first on, and the files that were about to be deleted."""

    best: tuple[_File, ...] = ()
    leaving: tuple[str, ...] = ()


@final
class Kept(Callback):
    """Keeps checkpoints in ``kept/`` of a run's folder, ordinary ones like ``last.ckpt``.

    The ``best`` validations are kept as ``0002000-psnr_rgb-23.4567.ckpt``: batches done, monitored metric, score; where
    images were reproduced exactly, their number stands before it, as in ``-2exact-``. Scores rank as they do for
    ``best.ckpt``; of two equal ones the earlier is the better. Every ``every`` batches ``0002000.ckpt`` is kept for
    good.

    A new file is whole before the list names it, and the list leaves one out before it is deleted; so a kill loses none
    of the best, and what it leaves behind is deleted or written again when the run goes on. This callback runs before
    ``Checkpoints``: what is due after a batch is kept before ``last.ckpt`` says that the batch is done.

    Args:
        folder: the run's folder.
        checkpoints: writes the files, and knows the monitored score.
        best: how many of the best validations are kept; 0 for none.
        every: batches between two of those that are kept for good; None for none.

    Raises:
        ValueError: a value that it cannot have, or nothing is to be kept.
    """

    def __init__(self, folder: Path, checkpoints: Checkpoints, best: Any, every: Any) -> None:
        if not is_number(best, int) or best < 0:
            raise ValueError(f"callbacks.checkpoints.best is {best}; give how many of the best to keep, 0 for none.")
        if every is not None and (not is_number(every, int) or every < 1):
            raise ValueError(
                f"callbacks.checkpoints.every is {every}; give the batches between two checkpoints, or null for none."
            )
        if best == 0 and every is None:
            raise ValueError("callbacks.checkpoints keeps nothing: give it a best or an every, or leave it out.")
        self.folder = folder
        self.checkpoints = checkpoints
        self.count = best
        self.every = every
        self.listed = _Listed()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read which files were kept, and delete those that a kill left.

        Raises:
            ValueError: the list is damaged.
        """
        path = self.folder / FOLDER / _LIST
        if not path.is_file():
            return
        mend = "delete it: the checkpoints beside it stay, and others are kept from here on"
        found = conform(_Listed, read_json(path, "the list of a run's best checkpoints", mend), path, mend)
        if strange := [name for name in (*(file.name for file in found.best), *found.leaving) if not _is_ours(name)]:
            raise ValueError(f"{path}: {strange[0]!r} names no checkpoint that was kept; {mend}.")
        there = tuple(file for file in found.best if (self.folder / FOLDER / file.name).is_file())
        self._delete(trainer, found.leaving)
        self.listed = _Listed(there)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep a checkpoint for good when one is due."""
        iteration = learner_of(pl_module).schedule.iteration
        if self.every is not None and iteration % self.every == 0:
            self._save(trainer, f"{iteration:07d}.ckpt")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep a checkpoint of a validation that is among the best, and delete the one that is no more."""
        score = self.checkpoints.score(trainer)
        if not self.count or score.mean != score.mean:
            return
        iteration, higher = learner_of(pl_module).schedule.iteration, self.checkpoints.higher_is_better
        new = _File(_name(iteration, self.checkpoints.monitor, score), iteration, *score)
        others = [file for file in self.listed.best if file.iteration != iteration]  # of a validation that is repeated
        ranked = sorted([*others, new], key=lambda file: file.iteration)
        ranked.sort(key=lambda file: file.score.rank(higher), reverse=True)  # stable, so that the earlier stays first
        best = tuple(ranked[: self.count])
        if new in best:
            self._save(trainer, new.name)
        names = {file.name for file in best}
        leaving = tuple(file.name for file in self.listed.best if file.name not in names)
        self.listed = _Listed(best, leaving)
        if trainer.is_global_zero:
            listed = {"best": [storable(asdict(file)) for file in best], "leaving": list(leaving)}
            write_json(self.folder / FOLDER / _LIST, listed)
        self._delete(trainer, leaving)

    def _save(self, trainer: Trainer, name: str) -> None:
        (self.folder / FOLDER).mkdir(parents=True, exist_ok=True)
        self.checkpoints.save_as(trainer, f"{FOLDER}/{name}")

    def _delete(self, trainer: Trainer, names: tuple[str, ...]) -> None:
        for name in names if trainer.is_global_zero else ():
            (self.folder / FOLDER / name).unlink(missing_ok=True)


def _name(iteration: int, monitor: str, score: Score) -> str:
    metric = re.sub(r"[^\w.]+", "_", monitor.removeprefix("val/"))
    exact = f"{score.infinite}exact-" if score.infinite else ""
    return f"{iteration:07d}-{metric}-{exact}{score.mean:.6g}.ckpt"


def _is_ours(name: str) -> bool:
    """Whether a text from a file is a name that `_name` gives: it leads nowhere else."""
    return re.fullmatch(r"\d{7,}-[\w.+-]+\.ckpt", name) is not None
