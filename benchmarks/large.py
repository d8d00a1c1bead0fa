"""A large photograph, whole and in windows: ``python -m benchmarks.large MODEL WINDOW [SIDE]``, a process a row.

MODEL is a preset of conf/model with random weights, or a name of starter weights; WINDOW as in ``inpaintlab complete``.
The hole is a square of 7 % in the middle. A line of JSON tells seconds, seconds of all cores, what the process grew by
at its peak, and what was estimated.
"""

import json
import sys
import time
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from inpaintlab.completion import Windowing
from inpaintlab.config import CONF
from inpaintlab.inpainting import Inpainter, build, build_method, fit
from inpaintlab.machine import peak, reset_peak

SIDE, SHARE = 1500, 0.07


def method(name: str) -> Inpainter:
    """A method, fitted to this machine's device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if (CONF / "model" / f"{name}.yaml").exists():
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            cfg = compose("train", overrides=[f"model={name}", "data=toy", "data.size=256"])
        torch.manual_seed(0)
        model = build(cfg.model)
    else:
        model, _ = build_method(None, name, named=None, overrides=[], label=None, seed=0, untrained=False, which=None)
    fit(model.networks(), device, "32-true")
    return model.to(device)


def row(name: str, window: str, side: int) -> dict[str, Any]:
    """One measurement."""
    model = method(name)
    windowing = Windowing(model, window=int(window) if window.isdigit() else window)
    hole = round(side * SHARE**0.5)
    first = (side - hole) // 2
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, side, side)
    mask[..., first : first + hole, first : first + hole] = 1
    estimate = windowing.footprint
    before = reset_peak(model.device)
    start, busy = time.perf_counter(), time.process_time()
    done = windowing.complete(image, mask)
    taken = time.perf_counter() - start, time.process_time() - busy
    grown = None if before is None else peak(model.device) - before
    pixels = max((one.pixels for one in done.plan.windows), default=side * side)
    return {
        "model": name,
        "window": window,
        "side": side,
        "hole": hole,
        "seconds": round(taken[0], 1),
        "seconds of cores": round(taken[1], 1),
        "gigabytes": None if grown is None else round(grown / 1e9, 2),
        "estimated": round(estimate.of(pixels) / 1e9, 2),
        "windows": [(one.rows, one.columns) for one in done.plan.windows],
        "notes": done.notes,
    }


if __name__ == "__main__":
    given = [*sys.argv[1:], *["edgeconnect", "auto", str(SIDE)][len(sys.argv) - 1 :]]
    print(json.dumps(row(given[0], given[1], int(given[2]))))
