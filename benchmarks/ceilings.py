"""The most that this machine can do: the speed of matrix products and of convolutions like those in both models."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.settings import Settings
from benchmarks.sides import product_switches
from benchmarks.timing import seconds

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
RUNS = 10


def rows(root: Path, folder: Path, settings: Settings) -> Iterator[dict[str, Any]]:
    """The one row: see `measure`. Of the arguments only the settings matter."""
    yield measure(settings.torch_device, 512 if settings.quick else None)


@torch.no_grad()
def measure(device: torch.device, side: int | None = None) -> dict[str, dict[str, float]]:
    """GFLOP/s of the fastest of several runs, by kind and precision, with the switches that our training sets.

    ``gemm`` is a product of two square matrices. ``convolution`` is 3 x 3 from 256 to 256 channels on 64 x 64 pixels,
    the shape of most of EdgeConnect's work at 256 pixels, for one picture (on a GPU 32), in the faster of both memory
    formats.

    Args:
        device: where to measure.
        side: of the matrices; by default 2048, on a GPU 8192.
    """
    large = device.type == "cuda"
    side = side or (8192 if large else 2048)
    pictures, plane = (32 if large else 1), max(1, min(64, side // 32))
    found: dict[str, dict[str, float]] = {"gemm": {}, "convolution": {}}
    for name, dtype in DTYPES.items():
        matrix = torch.randn(side, side, device=device).to(dtype)
        found["gemm"][name] = _rate(2 * side**3, partial(torch.matmul, matrix, matrix), device)
        picture = torch.randn(pictures, 256, plane, plane, device=device).to(dtype)
        weight = torch.randn(256, 256, 3, 3, device=device).to(dtype)
        operations = 2 * pictures * plane**2 * 256 * 256 * 9
        found["convolution"][name] = max(
            _rate(operations, partial(F.conv2d, x, w, padding=1), device)
            for x, w in (
                (picture, weight),
                tuple(t.contiguous(memory_format=torch.channels_last) for t in (picture, weight)),
            )
        )
    return found


def _rate(operations: int, work: Callable[[], object], device: torch.device) -> float:
    with product_switches():
        work()
        return operations / min(seconds(work, device) for _ in range(RUNS)) / 1e9
