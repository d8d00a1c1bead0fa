"""Where a run goes on: at its last checkpoint, or at the beginning, and never at the beginning by mistake."""

from pathlib import Path
from typing import Any

from inpaintlab.inpainting import load_checkpoint
from inpaintlab.runs import Progress


def starting_point(folder: Path) -> dict[str, Any] | None:
    """What the last checkpoint says of the run in ``folder``; None where none has been trained there yet.

    Raises:
        ValueError: it is damaged, or missing though a run has been training there; with what else there is.
    """
    last = folder / "last.ckpt"
    if last.is_file():
        try:
            return dict(load_checkpoint(last)["inpaintlab"])
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


def require_same_steps(record: dict[str, Any], processes: int, precision: str) -> None:
    """See that a step of the rest of a run means what it meant before, in the ``processes`` and ``precision`` of now.

    Raises:
        ValueError: the number of processes, and with it the batch of a step, or the precision is another.
    """
    before = record.get("processes", processes)
    if before != processes:
        raise ValueError(
            f"The run was trained by {before} process{'es' * (before > 1)} so far and would go on with {processes}, so "
            "its steps would see another number of images; give as many devices and nodes, or another name (name=...)."
        )
    so_far = record["training"].get("precision", precision)
    if so_far != precision:
        raise ValueError(
            f"The run was trained in {so_far} so far and would go on in {precision}, so nobody could say which of them "
            f"its result is of; give trainer.precision={so_far}, or another name (name=...)."
        )


def _ways_out(folder: Path) -> str:
    """Which checkpoints there are, and how to go on."""
    told, readable = [], []
    for path in sorted(path for path in folder.glob("*.ckpt") if not path.name.startswith(".")):
        try:
            checkpoint = load_checkpoint(path)
        except ValueError:
            told.append(f"{path.name} (not readable)")
            continue
        told.append(f"{path.name} (readable, after {checkpoint['inpaintlab']['iterations']:,} batches)")
        if "optimizer_states" in checkpoint:  # unlike in broken.ckpt, which holds what made a run stop
            readable.append(path.name)
    there = f"Its checkpoints: {', '.join(told)}." if told else "It has no other checkpoint."
    copy = f"To go on from {readable[0]}, copy it to last.ckpt; to begin" if readable else "To begin"
    return f"{there} {copy} anew, delete the folder or give another name (name=...)."
