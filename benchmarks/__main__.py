"""Measure, write the numbers as JSON and, after a complete and undisturbed run, the tables into docs/performance.md."""

import datetime
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks import alone, ceilings, growth, photographs, settings, sides, steps, tables, work
from benchmarks.process import quieten
from benchmarks.settings import Settings
from inpaintlab.machine import QUIET, commit, machine, versions, write_json

DOCS = Path(__file__).parents[1] / "docs"
FORMAT = 1


def main(arguments: list[str]) -> None:
    """Run with the settings of a command line."""
    try:
        chosen = settings.read(arguments)
    except ValueError as error:
        raise SystemExit(f"benchmarks: {error}") from error
    quieten()
    if chosen.render:
        document(json.loads(Path(chosen.render).read_text(encoding="utf-8")))
        return
    results = measure(chosen, arguments)
    if not any(results[part] for part in ("steps", "left_out", "work", "growth")):
        raise SystemExit(
            f"benchmarks: no case's name holds one of {', '.join(chosen.cases)}; give parts of names such as "
            "steps/edgeconnect/inpaint/256x1, edges, masks, loader, metrics, completion or growth."
        )
    kind = "" if chosen.whole else "-quick" if chosen.quick else "-partial"
    file = Path(chosen.out) / f"{chosen.device}{kind}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, results)
    say(f"{file} holds the numbers.")
    busy = tables.load_of_others(results)
    if busy > QUIET:
        say(f"Others kept up to {busy:.1f} cores busy meanwhile: these times are not the machine's own.")
    if chosen.whole if chosen.docs is None else chosen.docs:
        if busy > QUIET and not chosen.force:
            raise SystemExit("docs/performance.md stays as it is; run again on a quiet machine, or say force=true.")
        document(results)
    else:
        print(tables.render(results, plot=None))


def measure(chosen: Settings, arguments: list[str]) -> dict[str, Any]:
    """Measure everything that the settings choose, and return the content of the JSON file.

    Args:
        chosen: the settings.
        arguments: the command line, which is recorded.
    """
    assert chosen.threads is not None
    torch.set_num_threads(chosen.threads)
    start = time.perf_counter()
    results: dict[str, Any] = {
        "format": FORMAT,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(["python -m benchmarks", *arguments]),
        "commit": commit(),
        "machine": machine(chosen.torch_device),
        "device": chosen.device,
        "versions": versions(),
        "settings": asdict(chosen),
        "ceilings": {},
        "steps": [],
        "left_out": [],
        "work": [],
        "growth": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(chosen.images) if chosen.images else photographs.write(Path(folder) / "photographs", chosen.side)
        wanted = [case for case in step_cases(chosen) if chosen.wants(f"steps/{case.name}")]
        if wanted:
            say("ceilings")
            results["ceilings"] = ceilings.measure(chosen.torch_device, 512 if chosen.quick else None)
        for case in wanted:
            measure_step(case, root, chosen, results)
        for item in work.cases(root, Path(folder), chosen):
            if chosen.wants(item.name):
                say(item.name)
                results["work"].append(work.measure(item, chosen))
        for case in growth.points(chosen):
            if chosen.wants(f"growth/{case.name}"):
                say(f"growth/{case.name}")
                results["growth"].append(growth.measure(case, root, chosen))
    return results | {"seconds": time.perf_counter() - start}


def step_cases(chosen: Settings) -> list[sides.Case]:
    """Every phase of both models at every shape."""
    return [
        sides.Case(model, phase, size, batch)
        for size, batch in chosen.training_shapes
        for model, phases in sides.PHASES.items()
        for phase in phases
    ]


def measure_step(case: sides.Case, root: Path, chosen: Settings, results: dict[str, Any]) -> None:
    """Measure a step in each variant; a variant that cannot be measured is reported and left out."""
    batch = photographs.to(chosen.torch_device, photographs.batch(root, case.size, case.batch))
    count = 1 if chosen.quick else 2  # from the second step on, the optimizers have their state from the start
    peak: int | None = None
    for variant in chosen.variants:
        say(f"steps/{case.name} in {variant}")
        try:
            row = steps.measure(case, variant, batch, chosen)
            peak = peak or alone.measure(case, None, count, root, chosen)["peak_bytes"]
            row["plain"]["peak_bytes"] = peak
            row["ours"]["peak_bytes"] = alone.measure(case, variant, count, root, chosen)["peak_bytes"]
        except (ValueError, torch.cuda.OutOfMemoryError) as error:
            reason = "the GPU's memory is too small" if isinstance(error, RuntimeError) else str(error)
            results["left_out"].append(asdict(case) | {"variant": variant, "reason": reason})
            say(f"  left out: {reason}")
        else:
            results["steps"].append(row)


def document(results: dict[str, Any]) -> None:
    """Write the tables and the plot into docs/."""
    plot = f"growth_{results['device']}.png"
    if results["growth"]:
        growth.plot(results["growth"], DOCS / plot)
    text = tables.render(results, plot if results["growth"] else None)
    tables.insert(DOCS / "performance.md", results["device"], text)
    say("docs/performance.md holds the tables.")


def say(words: str) -> None:
    """Print a line of progress to stderr, which keeps stdout for the tables."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
