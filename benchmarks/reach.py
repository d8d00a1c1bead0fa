"""What the GPU version is to reach on an H100 or H200, and what a run has measured of it.

All of it is against the plain float32 step in the same process, at 256 pixels and batch 16.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.checks.exactness import COSINES
from benchmarks.settings import compiled

SHAPE = (256, 16)

Row = dict[str, Any]


@dataclass(frozen=True)
class Reach:
    """A number that every row it is about is to reach.

    Args:
        what: in words, beside the number.
        part: of the results.
        about: whether it is about a row.
        measured: of a row; None where it was not measured.
        least: the number; None where there is none.
        most: likewise.
    """

    what: str
    part: str
    about: Callable[[Row], bool]
    measured: Callable[[Row], float | None]
    least: float | None = None
    most: float | None = None

    def holds(self, number: float) -> bool:
        """Whether a measured number reaches it."""
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)


def _step(model: str | None, *variants: str) -> Callable[[Row], bool]:
    def about(row: Row) -> bool:
        at_shape = (row["size"], row["batch"]) == SHAPE
        return at_shape and model in (None, row["model"]) and (not variants or row["variant"] in variants)

    return about


def _compiled_step(row: Row) -> bool:
    return (row["size"], row["batch"]) == SHAPE and compiled(row["variant"])


def _times(row: Row) -> float | None:
    return row["ratio"]["median"] if row["ratio"] else None


def _lowest(row: Row) -> float | None:
    return row["ratio"]["low"] if row["ratio"] else None


def _first(row: Row) -> float | None:
    return row["first_step_seconds"]


def _memory(row: Row) -> float | None:
    ours, plain = row["ours"]["peak_bytes"], row["plain"]["peak_bytes"]
    return ours / plain if ours and plain else None


FLOAT32_COMPILED = ("float32+compile", "compile")

ALL = (
    Reach("times as fast, EdgeConnect's phases in bf16", "steps", _step("edgeconnect", "bf16"), _times, 1.5),
    Reach("times as fast, EdgeConnect's in bf16+compile", "steps", _step("edgeconnect", "bf16+compile"), _times, 3.0),
    Reach("times as fast, GLCIC's phases in bf16", "steps", _step("glcic", "bf16"), _times, 1.2),
    Reach("times as fast, GLCIC's in bf16+compile", "steps", _step("glcic", "bf16+compile"), _times, 2.0),
    Reach("times as fast, all phases in float32", "steps", _step(None, "float32"), _times, 1.0),
    Reach("times as fast, all in float32+compile", "steps", _step(None, *FLOAT32_COMPILED), _times, 1.5),
    Reach(
        "lower quartile of that, every phase and variant", "steps", _step(None), lambda row: row["ratio"]["low"], 1.0
    ),
    Reach(
        "seconds of the first compiled step", "steps", _compiled_step, lambda row: row["first_step_seconds"], most=90
    ),
    Reach("graphs after it", "steps", _compiled_step, lambda row: row["compiled"]["later"], most=0),
    Reach("graph breaks", "steps", _compiled_step, lambda row: row["compiled"]["breaks"], most=0),
    Reach("peak memory over the plain step's", "steps", _step(None), _memory, most=1.0),
    Reach(
        "times as fast, completion of a folder of 256 px",
        "work",
        lambda row: row["name"].startswith("completion/folder/") and "/256x" in row["name"],
        _times,
        2.0,
    ),
    *(
        Reach(
            f"least cosine of {model}'s gradients to those in float64",
            "checks",
            lambda row, model=model: row["name"].startswith(f"checks/numbers/{model}/"),  # type: ignore[misc]
            lambda row: min(row["cosines"].values()),
            least,
        )
        for model, least in COSINES.items()
    ),
)


def lines(results: Row) -> list[str]:
    """A table of what was to be reached and what was measured; empty where nothing of it was."""
    rows = []
    for reach in ALL:
        found = [(reach.measured(row), name_of(row)) for row in results[reach.part] if reach.about(row)]
        known = sorted((number, name) for number, name in found if number is not None)
        if not known:
            continue
        goal = f"at least {reach.least:g}" if reach.most is None else f"at most {reach.most:g}"
        reached = sum(reach.holds(number) for number, _ in known)
        (low, lowest), (high, highest) = known[0], known[-1]
        measured = f"{low:.4g} ({lowest})" + (f" to {high:.4g} ({highest})" if len(known) > 1 else "")
        rows.append(f"| {reach.what} | {goal} | {measured} | {reached} of {len(known)} |")
    return ["| to reach | reach | measured | reached by |", "|---|---|---|---|", *rows] if rows else []


def name_of(row: Row) -> str:
    """A row's name, shortly."""
    if "phase" not in row:
        return str(row["name"]).partition("/")[2]
    return f"{row['model']} {row['phase']} {row['variant']}"
