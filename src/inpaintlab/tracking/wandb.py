"""The tracker for Weights & Biases."""

import math
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import wandb
from PIL import Image
from rich.console import Console
from wandb.errors import CommError, Error, UsageError
from wandb.sdk.mailbox.mailbox import MailboxClosedError
from wandb.sdk.mailbox.mailbox_handle import HandleAbandonedError, ServerResponseError

from inpaintlab.machine import REQUEUE, Infinite, conform, read_json, storable, write_json, write_texts
from inpaintlab.tracking.tracker import Metrics, Tracker

STEP = "trainer/global_step"
"""The x axis of every curve: the batch, as Lightning's own logger names it."""


@final
@dataclass(frozen=True)
class _Best:
    """What ``wandb/best.json`` holds: the best value of each metric whose direction is known."""

    values: dict[str, Infinite]


@final
class WandbTracker(Tracker):
    """W&B: online for a user who is logged in, else offline with one line that says how to upload later.

    ``WANDB_MODE`` overrides this choice. If the server cannot be reached when a run starts, the run is offline. Before
    the first byte leaves this machine, a line says what will be uploaded and where to.

    The summary of a metric whose direction is known holds its best value, ``max`` or ``min``. W&B itself takes that of
    a resumed run from its last start alone, and one NaN as the best of all; so the best values are kept in
    ``wandb/best.json`` of the run's folder, and each is set anew with the metric.

    Args:
        run_dir: the folder of the run; W&B's own files go to ``wandb/`` in it.
        console: where messages are printed: that a run is offline, or what failed.
        config: the settings, as plain values.
        notes: what the run is for.
        job_type: ``train``, ``evaluate`` or ``compare``; a resumed training continues its curves.
        project: W&B's project.
        entity: user or team of W&B; None for the user's default.
        group: the name of runs that belong together; None for ``WANDB_RUN_GROUP``, or else the ``configuration`` among
            the settings, which runs share that differ in their seed alone.
        tags: words to find runs by.
        pictures: whether panels of validation images are logged, also offline, and pages with pictures are uploaded.
        artifacts: whether checkpoints and tables are uploaded, where the run is online.
        upload_minutes: how long the end of the run waits for uploads at most; 0 for as long as they take.
    """

    title = "W&B"
    # W&B's service is another process: if it dies, sending raises an OSError and waiting one of the other errors
    failures = (Error, OSError, MailboxClosedError, HandleAbandonedError, ServerResponseError)

    def __init__(
        self,
        run_dir: Path,
        console: Console,
        config: dict[str, Any],
        notes: str | None = None,
        *,
        job_type: str = "train",
        project: str,
        entity: str | None,
        group: str | None,
        tags: list[str],
        pictures: bool,
        artifacts: bool,
        upload_minutes: int | float,
    ) -> None:
        super().__init__(run_dir, console)
        self.job_type = job_type
        self.pictures = pictures
        self.artifacts = artifacts
        if group is None and not os.environ.get("WANDB_RUN_GROUP"):
            group = config.get("configuration")
        self.settings: dict[str, Any] = {
            "project": project,
            "entity": entity,
            "group": group,
            "tags": tags,
            "notes": notes,
        }
        self.config = config
        self.upload_seconds = 60.0 * upload_minutes
        self.run: Any = None
        self.best: dict[str, float] = {}

    @property
    def online(self) -> bool:
        """Whether the run is logged to a server while it lasts."""
        return self.run is not None and not (self.run.offline or self.run.disabled)

    def open(self, contents: Sequence[str], files: Sequence[str]) -> Any:
        """Start the run.

        Args:
            contents: what this job will log besides its settings, in words.
            files: the names of the files that it gives to ``keep``.

        Returns:
            W&B's own ``Run``.

        Raises:
            ValueError: W&B refuses a setting.
            wandb.errors.Error: it cannot even start offline.
        """
        os.environ.setdefault("WANDB_SILENT", "true")  # its notices on every start say nothing about this run
        mode: Any = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False, verify=False) else "offline")
        logged = (
            f"{', '.join(('settings with their paths', *contents))}, what the terminal shows, this machine's name and "
            "use, its packages, commit and diff"
        )
        if mode not in ("offline", "dryrun", "disabled"):
            owner = self.settings["entity"] or os.environ.get("WANDB_ENTITY") or "your default entity"
            some = f"{len(files)} files: {', '.join(files)}"
            kept = some if self.artifacts else "no files (logger.wandb.artifacts=true)"
            self.report(
                f"uploading to project {self.settings['project']} of {owner}: {logged}; {kept}. "
                "WANDB_MODE=offline keeps all here."
            )
        why = "not logged in or offline"
        try:
            try:
                self.run = self._init(mode)
            except CommError as error:
                if mode != "online":
                    raise
                why, mode = f"the server does not answer as it should ({_one_line(error)})", "offline"
                wandb.teardown()  # its service would go on to hold the run's id
                self.run = self._init(mode)
        except (UsageError, ValueError) as error:
            raise ValueError(
                f"W&B refuses a setting of logger.wandb ({_one_line(error)}); change it, or give logger=none."
            ) from error
        if mode == "offline":
            self.report(
                f"{why}; kept here: {logged}; no files. Upload them later with: "
                f"wandb sync {self.run_dir}/wandb/offline-run-*"
            )
        self.run.define_metric(STEP)
        self.run.define_metric("*", step_metric=STEP, step_sync=True)
        for name, higher in self.directions.items():  # of two definitions that fit, W&B takes that of the full name
            self.run.define_metric(name, step_metric=STEP, step_sync=True, summary="max" if higher else "min")
        return self.run

    def keep(self, name: str, kind: str, files: list[Path], aliases: list[str], metadata: dict[str, Any]) -> None:
        """Upload files as an artifact, if the run is online and ``artifacts`` is set.

        Args:
            name: of the artifact; the run's id is appended.
            kind: W&B's type of it, such as 'model'.
            files: the files, which keep their names.
            aliases: names of this version of it.
            metadata: plain values.
        """
        if not (self.online and self.artifacts):
            return
        artifact = wandb.Artifact(f"{name}-{self.run.id}", type=kind, metadata=metadata)
        for file in files:
            artifact.add_file(str(file), name=file.name)
        self.run.log_artifact(artifact, aliases=aliases)

    def _init(self, mode: Any) -> Any:
        (self.run_dir / "wandb").mkdir(parents=True, exist_ok=True)
        return wandb.init(
            **self.settings,
            name=self.run_dir.name,
            id=self._id(),
            resume="allow",
            dir=str(self.run_dir),
            job_type=self.job_type,
            config=self.config,
            mode=mode,
            settings=wandb.Settings(
                silent=True, finish_timeout=self.upload_seconds, finish_timeout_raises=self.upload_seconds > 0
            ),
        )

    def _id(self) -> str | None:
        """The run's id. A training keeps it in its folder, so that a resumed one continues its curves.

        None lets W&B choose: where ``WANDB_RUN_ID`` is set, as by W&B's sweeps, or for other jobs, which start a new
        run each time.
        """
        if self.job_type != "train" or os.environ.get("WANDB_RUN_ID"):
            return None
        id_file = self.run_dir / "wandb/run-id.txt"
        if not id_file.is_file():
            write_texts(id_file.parent, {id_file.name: secrets.token_hex(8)})
        return id_file.read_text().strip()

    def _start(self, iteration: int) -> None:
        self.best = self._read_best() if iteration else {}
        some = f"{self.pictures_to_come} panels of validation images"
        pictures = some if self.pictures else "no pictures (logger.wandb.pictures=true)"
        self.open(("curves", pictures), ("best.ckpt", "last.ckpt"))
        if self.online:
            self.report(f"{self.run.url}")

    def _log(self, metrics: Metrics, step: int) -> None:
        self.run.log({**metrics, STEP: step})
        directed = {name: value for name, value in metrics.items() if name in self.directions}
        if not directed:
            return
        for name, value in directed.items():
            choose = max if self.directions[name] else min
            if not math.isnan(value):
                self.best[name] = choose(value, self.best.get(name, value))
        write_json(self._best_file, {"values": storable(self.best)})
        bests = {name: self.best[name] for name in directed if name in self.best}
        self.run.summary.update({name: {"max" if self.directions[name] else "min": bests[name]} for name in bests})

    @property
    def _best_file(self) -> Path:
        return self.run_dir / "wandb/best.json"

    def _read_best(self) -> dict[str, float]:
        """The best values of earlier starts; none where the file is missing or was damaged."""
        if not self._best_file.is_file():
            return {}
        try:
            mend = "W&B's summary holds the best values from here on"
            kept = read_json(self._best_file, "the best values of a run", mend)
            return conform(_Best, kept, self._best_file, mend).values
        except ValueError as error:
            self.report(str(error))
            return {}

    def _picture(self, name: str, picture: Image.Image, step: int, caption: str) -> None:
        if self.pictures:
            self.run.log({name: [wandb.Image(picture, caption=caption)], STEP: step})

    def _alert(self, title: str, sentence: str, step: int) -> None:
        if self.online:
            self.run.alert(title, sentence)

    def _keep_checkpoints(self, files: Mapping[str, Path], facts: Mapping[str, dict[str, Any]]) -> None:
        if self.online and self.artifacts:
            size = sum(file.stat().st_size for file in files.values()) / 1e6
            self.report(f"uploading {' and '.join(file.name for file in files.values())}, {size:.0f} MB")
        for name, file in files.items():
            self.keep("model", "model", [file], [name], facts[name])

    def _pause(self) -> None:
        self.run.mark_preempting()

    def _finish(self, succeeded: bool) -> None:
        self.run.finish(exit_code=0 if succeeded else REQUEUE if self.paused else 1)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
