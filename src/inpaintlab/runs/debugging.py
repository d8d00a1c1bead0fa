"""Debug runs: the whole way of a training in little, in a folder that is deleted at the end."""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig

from inpaintlab.runs.record import Progress

_FOLDER = "INPAINTLAB_DEBUG_FOLDER"
"""The environment variable that names the folder to the processes that the first one starts."""


def debug_settings(cfg: DictConfig) -> DictConfig:
    """The settings of a training with few batches of each phase, all rhythms within them, and no loggers.

    Args:
        cfg: the settings of ``inpaintlab train`` with the group ``debug``; they stay as they are.

    Raises:
        ValueError: ``debug.batches`` is not positive.
    """
    cfg = copy.deepcopy(cfg)
    wanted = cfg.debug.batches
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or wanted <= 0:
        raise ValueError(
            f"debug.batches is {wanted}; give how many of each phase, such as 4, or below 1 their share, such as 0.01."
        )
    for phase in _phases(cfg):
        most = wanted if wanted >= 1 else wanted * phase.batches
        steps = max(1, -(-int(most) // cfg.accumulate))  # of the optimizers; a phase is a whole number of them
        phase.batches = min(phase.batches, steps * cfg.accumulate)
    total = sum(phase.batches for phase in _phases(cfg))
    for key in cfg.every if total else ():
        cfg.every[key] = min(cfg.every[key], total)
    if cfg.get("logger"):
        cfg.logger = {}
    cfg.trainer.max_time = None  # nobody could go on
    return cfg


@contextmanager
def debug_folder() -> Iterator[Path]:
    """A folder for a debug run, deleted when the context ends in whatever way; processes that it starts share it."""
    shared = os.environ.get(_FOLDER)
    if shared and os.environ.get("LOCAL_RANK", "0") != "0":
        yield Path(shared)
        return
    with TemporaryDirectory(prefix="inpaintlab-debug-", ignore_cleanup_errors=True) as folder:
        os.environ[_FOLDER] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop(_FOLDER, None)


def debug_line(folder: Path, real: DictConfig, short: DictConfig) -> str:
    """What a debug run did, in a line.

    Args:
        folder: where it trained.
        real: the settings of the training that it stood for.
        short: its own (see `debug_settings`).
    """
    progress = Progress.load(folder)
    done = left = 0 if progress is None else progress.iterations
    lengths = [phase.batches for phase in _phases(short) if phase.batches]
    begun = 0
    for length in lengths:
        begun += left > 0
        left -= length
    phases = f"all {len(lengths)}" if begun == len(lengths) else f"{begun} of {len(lengths)}"
    total = sum(phase.batches for phase in _phases(real))
    return f"debug run: {done:,} of {total:,} batches in {phases} phases, nothing kept"


def _phases(cfg: DictConfig) -> list[DictConfig]:
    return list(cfg.model.schedule.phases.values()) if cfg.model.get("schedule") else []
