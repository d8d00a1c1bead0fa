"""The tables of ``inpaintlab runs``; see `schema`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inpaintlab.settings import kinds as k


@dataclass(frozen=True)
class RunsList:
    """``inpaintlab runs``."""

    folder: k.Path
    last: k.PositiveOrNull
    json: k.Flag


@dataclass(frozen=True)
class RunsCompare:
    """``inpaintlab runs compare``."""

    folders: k.Paths
    runs: k.Path
    curves: k.Texts
    page: k.PathOrNull
    json: k.Flag


RUNS: Mapping[str, Any] = {"runs list": RunsList, "runs compare": RunsCompare}
