"""Measure, write the numbers as JSON and, after a complete and undisturbed run, the tables into docs/performance.md."""

import datetime
import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import STARTED, growth, running, settings, tables
from benchmarks.cases import tasks
from benchmarks.running import Clock, say
from benchmarks.settings import Settings
from inpaintlab.machine import QUIET, commit, machine, versions, write_json

DOCS = Path(__file__).parents[1] / "docs"
FORMAT = 2


def main(arguments: list[str], started: float | None = None) -> None:
    """Run with the settings of a command line; ``started``: when, for the minutes, on ``time.monotonic``'s clock."""
    try:
        chosen = settings.read(arguments)
    except ValueError as error:
        raise SystemExit(f"benchmarks: {error}") from error
    if chosen.render:
        document(json.loads(Path(chosen.render).read_text(encoding="utf-8")))
        return
    results = measure(chosen, arguments, started)
    busy = tables.load_of_others(results)
    if busy > QUIET:
        say(f"Others kept up to {busy:.1f} cores busy meanwhile: these times are not the machine's own.")
    if chosen.whole if chosen.docs is None else chosen.docs:
        if busy > QUIET and not chosen.force:
            raise SystemExit("docs/performance.md stays as it is; run again on a quiet machine, or say force=true.")
        document(results)
    else:
        print(tables.render(results, plot=None))
    if broken := [check["name"] for check in results["checks"] if not check["passed"]]:
        raise SystemExit(f"benchmarks: {len(broken)} of {len(results['checks'])} checks fail: {', '.join(broken)}.")


def measure(chosen: Settings, arguments: list[str], started: float | None = None) -> dict[str, Any]:
    """Measure everything that the settings choose; what is measured so far is on disk after each row.

    Args:
        chosen: the settings.
        arguments: the command line, which is recorded.
        started: when the run began; None: now.

    Returns:
        The content of the JSON file.
    """
    todo = tasks(chosen)
    if not todo:
        raise SystemExit(
            f"benchmarks: no case's name holds one of {', '.join(chosen.cases)}; give parts of names such as "
            "steps/edgeconnect/inpaint/256x1, edges, masks, loader, metrics, completion, searching, growth or checks."
        )
    results: dict[str, Any] = {
        "format": FORMAT,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(["python -m benchmarks", *arguments]),
        "commit": commit(),
        "machine": machine(chosen.torch_device),
        "device": chosen.device,
        "versions": versions(),
        "settings": asdict(chosen),
        "seconds": 0.0,
        "ceilings": {},
        **{part: [] for part in ("steps", "work", "growth", "checks", "left_out")},
    }
    start = started or time.monotonic()
    out = Path(chosen.out)
    out.mkdir(parents=True, exist_ok=True)
    # a whole run is partial until it has ended, and leaves the numbers of the last one alone
    file = out / f"{chosen.device}{'-quick' if chosen.quick else '-partial'}.json"

    def save() -> None:
        results["seconds"] = time.monotonic() - start
        write_json(file, results)

    running.measure(todo, chosen, results, save, Clock(chosen.minutes, start))
    save()
    if chosen.whole:
        file = file.rename(out / f"{chosen.device}.json")
    say(f"{file} holds the numbers.")
    return results


def document(results: dict[str, Any]) -> None:
    """Write the tables and the plot into docs/."""
    plot = f"growth_{results['device']}.png"
    if results["growth"]:
        growth.plot(results["growth"], DOCS / plot)
    text = tables.render(results, plot if results["growth"] else None)
    tables.insert(DOCS / "performance.md", results["device"], text)
    say("docs/performance.md holds the tables.")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a timeout ends the case as well
    main(sys.argv[1:], STARTED)
