"""Runs for other programs: plain values as JSON has them."""

from datetime import UTC, datetime
from typing import Any

from inpaintlab.machine import storable
from inpaintlab.survey.comparison import Compared
from inpaintlab.survey.differences import ABSENT
from inpaintlab.survey.summary import Summary


def as_record(entry: Summary) -> dict[str, Any]:
    """A run's line of the list. What is not known is null; an infinite score is the text "Infinity"."""
    progress, top = entry.progress, None if entry.progress is None else entry.progress.top
    changed = (
        datetime.fromtimestamp(entry.run.changed, UTC).isoformat(timespec="seconds") if entry.run.changed else None
    )
    return {
        "run": entry.run.name,
        "folder": str(entry.run.folder),
        "model": entry.model or None,
        "data": entry.data or None,
        "phase": entry.phase or None,
        "batches": None if progress is None else progress.iterations,
        "planned": None if progress is None else progress.total,
        "metric": None if progress is None else progress.monitor,
        "higher_is_better": None if progress is None else progress.higher_is_better,
        "best": None if top is None else storable(top[1]),
        "best_after": None if top is None else top[0],
        "state": entry.state,
        "changed": changed,
        "reason": entry.reason or None,
    }


def comparison_record(found: Compared) -> dict[str, Any]:
    """A comparison: the runs, for each setting that differs the runs that have it with their values, and the curves."""
    return {
        "runs": [as_record(entry) for entry in found.summaries],
        "settings": {
            key: {name: value for name, value in zip(found.names, values, strict=True) if value is not ABSENT}
            for key, values in found.differences.items()
        },
        "curves": {
            metric: {
                name: [[batch, storable(value)] for batch, value in curves[metric].items()]
                for name, curves in zip(found.names, found.curves, strict=True)
                if metric in curves
            }
            for metric in found.metrics
        },
        "notes": found.notes,
    }
