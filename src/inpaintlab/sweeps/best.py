"""The best job of a sweep."""

import shlex

from inpaintlab.runs import Progress, validation_set
from inpaintlab.sweeps.folder import SweepFolder, progress_of


def best_job(sweep: SweepFolder) -> str | None:
    """Lines about the job with the best validation, as ``best.ckpt`` is chosen: its score, settings and checkpoint.

    Only finished jobs count, or all of them while none is finished. Where jobs do not share one validation set or one
    monitor, as in a sweep over masks, their scores say nothing about each other, and one line says so.

    Returns:
        None if no job has a score, or if there is one job only.
    """
    if len(sweep.jobs) < 2:
        return None
    found = {name: progress for name in sweep.jobs if (progress := progress_of(sweep.path / name)) and progress.top}
    states = sweep.states()
    finished = {name: progress for name, progress in found.items() if states[name] == "done"}
    found = finished or found
    if not found:
        return None
    if len({(entry.monitor, entry.higher_is_better) for entry in found.values()}) > 1:
        return "best: not named, because the jobs are not judged by one and the same monitor."
    if len({_validation_set(sweep, name) for name in found}) > 1:
        return "best: not named, because the jobs are validated on other images or holes, by their settings."
    name, progress = max(found.items(), key=lambda entry: entry[1].rank)
    return "\n".join(_lines(sweep, name, progress, "" if finished else f" ({states[name]})"))


def _validation_set(sweep: SweepFolder, name: str) -> str | None:
    try:
        return validation_set(sweep.path / name)
    except (ValueError, OSError) as error:  # it is like no other
        return str(error)


def _lines(sweep: SweepFolder, name: str, progress: Progress, state: str) -> list[str]:
    assert progress.top is not None
    batches, score, exact = progress.top
    images = f"{exact} images exact and of the others " if exact else ""
    checkpoint = sweep.path / name / "best.ckpt"
    shared = set.intersection(*(set(overrides) for overrides in sweep.jobs.values()))
    own = [shlex.quote(entry) for entry in sweep.jobs[name] if entry not in shared]
    return [
        f"best: {name}{state}, {images}{progress.monitor} {score:.4g} after {batches:,} batches",
        *([f"  settings:   {' '.join(own)}"] if own else []),
        f"  checkpoint: {shlex.quote(str(checkpoint))}",
        f"  score it:   inpaintlab evaluate manifest=TEST.json {shlex.quote(f'checkpoint={checkpoint}')}",
    ]
