"""Timing two sides alternately: medians, quartiles, and the ratio of each pair."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

SHORTEST = 0.1  # seconds; shorter work is repeated until one measurement lasts as long


@dataclass(frozen=True)
class Summary:
    """The median and the quartiles of several numbers."""

    median: float
    low: float
    high: float
    count: int


def summary(numbers: Sequence[float]) -> Summary:
    """Median and quartiles, with linear interpolation between the sorted numbers."""
    if len(numbers) == 1:
        return Summary(numbers[0], numbers[0], numbers[0], 1)
    low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return Summary(median, low, high, len(numbers))


@dataclass(frozen=True)
class Pairs:
    """Seconds of two sides; the i-th times of both were measured right after each other."""

    ours: list[float]
    plain: list[float]

    @property
    def ratio(self) -> Summary:
        """How many times as fast ours is, for each pair: a slow moment of the machine affects both times of a pair."""
        return summary([plain / ours for ours, plain in zip(self.ours, self.plain, strict=True)])


def take_turns(
    ours: Callable[[], object], plain: Callable[[], object], rounds: int, device: torch.device | None = None
) -> Pairs:
    """Time both alternately, after one unmeasured run of each; the order changes from round to round."""
    repeats = {side: _repeats(side, device) for side in (ours, plain)}
    times: dict[Callable[[], object], list[float]] = {ours: [], plain: []}
    for number in range(rounds):
        for side in (ours, plain) if number % 2 else (plain, ours):
            times[side].append(seconds(side, device, repeats[side]))
    return Pairs(times[ours], times[plain])


def seconds(work: Callable[[], object], device: torch.device | None = None, repeats: int = 1) -> float:
    """Seconds of one run: the mean over ``repeats`` runs in a row."""
    synchronise(device)
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    synchronise(device)
    return (time.perf_counter() - start) / repeats


def _repeats(work: Callable[[], object], device: torch.device | None) -> int:
    work()
    return max(1, round(SHORTEST / max(seconds(work, device), 1e-6)))


def synchronise(device: torch.device | None) -> None:
    """Wait until a GPU has finished its work; a CPU already has."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
