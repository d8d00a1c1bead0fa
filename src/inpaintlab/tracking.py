"""Loggers of a run: W&B as the tracker, and always a CSV."""

import hashlib
import os
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only


def csv_logger(run_dir: Path, flush_every: int = 10) -> CSVLogger:
    """``log/version_N/metrics.csv`` in the run's folder: each start of the run has its own, so none is overwritten."""
    return CSVLogger(run_dir, name="log", flush_logs_every_n_steps=flush_every)


def wandb_logger(
    run_dir: Path,
    config: dict[str, Any],
    project: str,
    entity: str | None,
    group: str | None,
    tags: list[str],
    job_type: str | None = None,
) -> Logger:
    """W&B, online for a user who is logged in, else offline with one line that says how to upload later.

    The run's id follows from its folder, so a resumed run continues its curves. ``WANDB_MODE`` decides where it is set.
    """
    os.environ.setdefault("WANDB_SILENT", "true")  # its notices on every start say nothing about this run
    mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False, verify=False) else "offline")
    if mode == "offline":
        rank_zero_only(print)(
            f"W&B: not logged in or offline; upload the run later with: wandb sync {run_dir}/wandb/offline-run-*"
        )
    (run_dir / "wandb").mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        name=run_dir.name,
        id=hashlib.sha256(str(run_dir.absolute()).encode()).hexdigest()[:16],
        save_dir=run_dir,
        project=project,
        entity=entity,
        group=group,
        tags=tags,
        job_type=job_type,
        config=config,
        resume="allow",
        mode=mode,
        settings=wandb.Settings(silent=True),
    )
