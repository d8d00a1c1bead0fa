"""Whole commands: a killed training that goes on, and an evaluation on the CPU beside one on the device."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from benchmarks.process import command
from benchmarks.settings import Settings

PHASES = "completion", "discriminator", "joint"

RESUMED = {"cpu": 0.0, "cuda": 1e-4}
"""How far the weights of a resumed training may be from those of an unbroken one, in units of their norm."""

PSNR = 0.02
"""The largest difference between the PSNRs of an image that a CPU and a GPU have completed, in dB."""


def resuming(root: Path, folder: Path, settings: Settings) -> Iterator[dict[str, Any]]:
    """The row of a training of GLCIC that is killed (SIGKILL) and goes on, beside an unbroken one.

    Args:
        root: the folder of photographs; not used.
        folder: for the runs.
        settings: of the benchmark.
    """
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # without it a GPU's products are not the same again
    batches = 4 if settings.quick else 10
    train = [
        *("model=glcic", "model.width=0.0625", "data=toy", "data.size=32", "data.batch_size=2", "logger=none"),
        *(f"model.schedule.phases.{phase}.batches={batches}" for phase in PHASES),
        *("validation_images=2", "panel_images=2", "every.validation=1000", "every.panel=1000", "every.checkpoint=1"),
        *("precision=32-true", "compile=false", "trainer.deterministic=warn"),
        f"trainer={'gpu' if settings.device == 'cuda' else 'cpu'}",
        f"runs={folder}",
    ]
    # forks of this process, which has computed nothing: they need not import everything again
    fork = multiprocessing.get_context("fork")
    unbroken = fork.Process(target=command, args=("train", [*train, "name=unbroken"]))
    unbroken.start()
    killed = fork.Process(target=command, args=("train", [*train, "name=killed"]))
    killed.start()
    file = folder / "killed" / "last.ckpt"
    while killed.is_alive() and not file.exists():
        time.sleep(0.005)
    killed.kill()
    killed.join()
    if not file.exists():
        raise ValueError(f"the training that was to be killed ended with exit code {killed.exitcode} by itself")
    done = _checkpoint(file)["inpaintlab"]["iterations"]
    again = fork.Process(target=command, args=("train", [*train, "name=killed"]))
    again.start()
    again.join()
    unbroken.join()
    one, other = (_checkpoint(folder / name / "last.ckpt") for name in ("killed", "unbroken"))
    counts = [run["inpaintlab"]["iterations"] for run in (one, other)]
    distance = _distance(one["state_dict"], other["state_dict"])
    limit = RESUMED[settings.device]
    whole = batches * len(PHASES)
    yield {
        "name": "checks/resuming",
        "passed": counts == [whole, whole] and done < whole and distance <= limit,
        "measured": f"killed after {done} of {whole} batches, ended after {counts[0]}; weights off by {distance:.1e}",
        "limit": f"{limit:g}" if limit else "the same weights",
    }


def _checkpoint(file: Path) -> dict[str, Any]:
    return torch.load(file, weights_only=True, map_location="cpu")  # type: ignore[no-any-return]


def _distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The norm of the difference of two networks' tensors in units of the norm; infinite for other names."""
    if one.keys() != other.keys():
        return float("inf")
    pairs = [(one[key].double(), value.double()) for key, value in other.items() if isinstance(value, torch.Tensor)]
    difference = sum(float((a - b).square().sum()) for a, b in pairs)
    return float((difference / sum(float(b.square().sum()) for _, b in pairs)) ** 0.5)


def evaluation(root: Path, folder: Path, settings: Settings) -> Iterator[dict[str, Any]]:
    """The row of an evaluation of both untrained models on the CPU beside one on the device.

    Args:
        root: the folder of photographs; not used, since the test set is made of those inside scikit-image.
        folder: for the test set and the results.
        settings: of the benchmark.
    """
    manifest = folder / "test.json"
    half = "bins={half: {_target_: inpaintlab.masks.Half}}"
    size = 64 if settings.quick else 128
    command("manifest create", ["data=photos", f"data.size={size}", "images=4", half, f"out={manifest}"])
    worst, levels = 0.0, 0
    for model in ("edgeconnect", "glcic"):
        results: list[Path] = []
        for device in ("cpu", "gpu" if settings.device == "cuda" else "cpu"):
            results.append(folder / "results" / f"{model}-{len(results)}-{device}")
            given = [f"manifest={manifest}", f"model={model}", f"model.width={settings.width}", "untrained=true"]
            given += [f"trainer={device}", f"results={results[-1].parent}", f"label={results[-1].name}", "workers=0"]
            command("evaluate", [*given, f"cache={folder / 'cache'}", "compile=false"])
        one, other = (pl.read_parquet(result / "per_image.parquet")["psnr_rgb"].to_numpy() for result in results)
        worst = max(worst, float(np.abs(one - other).max()))
        for picture in sorted((results[0] / "completed").rglob("*.png")):
            twin = results[1] / picture.relative_to(results[0])
            first, second = (np.asarray(Image.open(file)).astype(int) for file in (picture, twin))
            levels = max(levels, int(np.abs(first - second).max()))
    yield {
        "name": "checks/evaluation",
        "passed": worst <= PSNR,
        "measured": f"PSNR differs by up to {worst:.4f} dB, pixels by up to {levels} of 255",
        "limit": f"{PSNR:g} dB",
    }
