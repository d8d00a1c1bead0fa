"""Where a run resumes: at its last checkpoint, or at the beginning, but never at the beginning by mistake."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from inpaintlab.inpainting import load_checkpoint, require_resumable
from inpaintlab.runs import Progress


def starting_point(folder: Path) -> dict[str, Any] | None:
    """The record in the last checkpoint of the run in ``folder``; None if nothing was trained there yet.

    To it is added ``validated``: the last validation that the state of its callbacks knows of (see `Checkpoints`).

    Raises:
        ValueError: the checkpoint is damaged, or missing although a run has been training there; the message lists the
            other checkpoints.
    """
    last = folder / "last.ckpt"
    if last.is_file():
        try:
            checkpoint = load_checkpoint(last)
            require_resumable(checkpoint, last)
            state = checkpoint["callbacks"].get("Checkpoints", {})
            record = checkpoint["inpaintlab"] | {"validated": state.get("validated")}
        except ValueError as error:
            raise ValueError(f"{error} {_ways_out(folder)}") from error
        if record.get("run") is None:
            raise ValueError(
                f"{last} does not tell which settings and files it was trained with, so nobody could say whether these "
                f"are the same; begin a run from its weights: name=... init={last}."
            )
        return record
    progress = Progress.load(folder)
    if (folder / "best.ckpt").is_file() or (progress is not None and progress.iterations > 0):
        raise ValueError(f"{folder} holds a run that has been training, but no last.ckpt. {_ways_out(folder)}")
    return None


def missed_validation(folder: Path, record: dict[str, Any], every: int) -> bool:
    """Whether a run ended after its checkpoint and before the validation that was due there had been kept.

    Args:
        folder: the run's folder.
        record: see `starting_point`.
        every: batches between two validations.
    """
    done = record["iterations"]
    if done % every:
        return False
    if record["validated"] is not None:
        return bool(record["validated"] != done)
    noted = Progress.load(folder)
    return done not in (set() if noted is None else {at for at, _ in noted.validations})


def require_same_steps(record: dict[str, Any], processes: int, precision: str) -> None:
    """Check that the steps of a resumed run have the same batch size and precision as before.

    Args:
        record: see `starting_point`.
        processes: number of processes now; each step takes a batch from every process.
        precision: the trainer's precision now.

    Raises:
        ValueError: the number of processes or the precision differs.
    """
    before = record.get("processes", processes)
    if before != processes:
        raise ValueError(
            f"The run was trained by {before} process{'es' * (before > 1)} so far and would go on with {processes}, so "
            "its steps would see another number of images; give as many devices and nodes, or another name (name=...)."
        )
    precision_before = record["training"].get("precision", precision)
    if precision_before != precision:
        raise ValueError(
            f"The run was trained in {precision_before} so far and would go on in {precision}, so nobody could say "
            f"which of them its result is of; give trainer.precision={precision_before}, or another name (name=...)."
        )


def require_same_cosines(folder: Path, before: dict[str, Any], now: dict[str, Any], iterations: int) -> None:
    """Check that a phase which has begun to follow a cosine keeps its length, and so do those before it.

    A longer one would have another rate in the batches that are done: what was trained would belong to neither curve.

    Args:
        folder: the run's folder.
        before: the settings of the run so far, the same as ``now`` but for the lengths of phases.
        now: the settings that it would go on with.
        iterations: batches done.

    Raises:
        ValueError: a length differs; the sentence names the phase.
    """
    begin, begun, changed = 0, 0, ""  # the phase's first batch now and until now
    earlier = _phases(before)
    for name, phase in _phases(now).items():
        length = earlier[name].get("batches")
        if not changed and length != phase["batches"]:
            changed = f"'{name}' had {length} batches until now and would have {phase['batches']}"
        rate = phase.get("rate")
        cosine = (rate.get("shape") if isinstance(rate, dict) else rate) == "cosine"
        if changed and cosine and min(begin, begun) < iterations:
            raise ValueError(
                f"{folder}: the learning rate of phase '{name}' is on its cosine already, whose length is fixed, but "
                f"{changed}; give that length, or another name (name=...) and init={folder}."
            )
        begin, begun = begin + phase["batches"], begun + (length if isinstance(length, int) else 0)


def _phases(settings: dict[str, Any]) -> dict[str, Any]:
    """The phases of a training's settings; none where a model of the user's own has another schedule."""
    schedule = settings["model"].get("schedule")
    phases = schedule.get("phases") if isinstance(schedule, dict) else None
    return phases if isinstance(phases, dict) else {}


def _ways_out(folder: Path) -> str:
    """Which other checkpoints a run's folder holds, and how to go on."""
    found, readable = [], []
    for path in sorted(path for path in folder.glob("*.ckpt") if not path.name.startswith(".")):
        try:
            checkpoint = load_checkpoint(path)
        except ValueError:
            found.append(f"{path.name} (not readable)")
            continue
        iterations = checkpoint["inpaintlab"]["iterations"]
        found.append(f"{path.name} (readable{'' if iterations is None else f', after {iterations:,} batches'})")
        # broken.ckpt holds the batch that ended a run, but no optimizers
        with suppress(ValueError):
            require_resumable(checkpoint, path)
            readable.append(path.name)
    others = f"Its checkpoints: {', '.join(found)}." if found else "It has no other checkpoint."
    copy = f"To go on from {readable[0]}, copy it to last.ckpt; to begin" if readable else "To begin"
    return f"{others} {copy} anew, delete the folder or give another name (name=...)."
