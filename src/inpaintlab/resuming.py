"""Where a run goes on: at its last checkpoint, or at the beginning, and never at the beginning by mistake."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning import Trainer

from inpaintlab.checkpoints import load_checkpoint
from inpaintlab.config import FULL_DISK
from inpaintlab.jobs import Progress


def starting_point(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint of the run in ``folder``; None where none has been trained there yet.

    Raises:
        ValueError: it is damaged, or missing though a run has been training there; with what else there is.
    """
    last = folder / "last.ckpt"
    if last.is_file():
        try:
            return load_checkpoint(last)
        except ValueError as error:
            raise ValueError(f"{error} {_ways_out(folder)}") from error
    progress = Progress.load(folder)
    if (folder / "best.ckpt").is_file() or (progress is not None and progress.iterations > 0):
        raise ValueError(f"{folder} holds a run that has been training, but no last.ckpt. {_ways_out(folder)}")
    return None


def missed_validation(folder: Path, iterations: int, every: int) -> bool:
    """Whether a run that stands after so many batches has yet to validate there: it was ended before it had."""
    noted = Progress.load(folder)
    validated = set() if noted is None else {at for at, _ in noted.validations}
    return iterations % every == 0 and iterations not in validated


def require_same_steps(checkpoint: dict[str, Any], trainer: Trainer) -> None:
    """See that a step of the rest of a run means what it meant before.

    Raises:
        ValueError: the number of processes, and with it the batch of a step, or the precision is another.
    """
    record = checkpoint["inpaintlab"]
    before, now = record.get("processes", trainer.world_size), trainer.world_size
    if before != now:
        raise ValueError(
            f"The run was trained by {before} process{'es' * (before > 1)} so far and would go on with {now}, so its "
            "steps would see another number of images; give as many devices and nodes, or another name (name=...)."
        )
    precision = record.get("training", {}).get("precision", trainer.precision)
    if precision != trainer.precision:
        raise ValueError(
            f"The run was trained in {precision} so far and would go on in {trainer.precision}, so nobody could say "
            "which of them its result is of; give the same precision, or another name (name=...)."
        )


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Let an error that says that a disk is full say where; what writes into an open file does not know."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK and error.filename is None:
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise


def remove_partials(folder: Path) -> None:
    """Remove what a killed process was writing; to be called by the one process that holds the run."""
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)


def _ways_out(folder: Path) -> str:
    """Which checkpoints there are, and how to go on."""
    told, readable = [], []
    for path in sorted(folder.glob("*.ckpt")):
        if path.name.startswith(".") or path.name == "broken.ckpt":  # a look at what went wrong, without optimizers
            continue
        try:
            done = load_checkpoint(path)["inpaintlab"]["iterations"]
        except ValueError:
            told.append(f"{path.name} (damaged)")
        else:
            told.append(f"{path.name} (readable, after {done:,} batches)")
            readable.append(path.name)
    there = f"Its checkpoints: {', '.join(told)}." if told else "It has no other checkpoint."
    copy = f"To go on from {readable[0]}, copy it to last.ckpt; to begin" if readable else "To begin"
    return f"{there} {copy} anew, delete the folder or give another name (name=...)."
