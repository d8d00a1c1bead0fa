"""The tracker for Weights & Biases."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import wandb
from PIL import Image
from rich.console import Console
from wandb.errors import CommError, Error, UsageError
from wandb.sdk.mailbox.mailbox import MailboxClosedError
from wandb.sdk.mailbox.mailbox_handle import HandleAbandonedError, ServerResponseError

from inpaintlab.machine import write_texts
from inpaintlab.tracking.tracker import Metrics, Tracker

STEP = "trainer/global_step"
"""The x axis of every curve: the batch, as Lightning's own logger names it."""


@final
class WandbTracker(Tracker):
    """W&B: online for a user who is logged in, else offline with one line that says how to upload later.

    ``WANDB_MODE`` overrides this choice. If the server cannot be reached when a run starts, the run is offline.

    Args:
        run_dir: the folder of the run; W&B's own files go to ``wandb/`` in it.
        console: where messages are printed: that a run is offline, or what failed.
        config: the settings, as plain values.
        notes: what the run is for.
        job_type: ``train``, ``evaluate`` or ``compare``; a resumed training continues its curves.
        project: W&B's project.
        entity: user or team of W&B; None for the user's default.
        group: the name of runs that belong together; None for ``WANDB_RUN_GROUP``.
        tags: words to find runs by.
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
        artifacts: bool,
        upload_minutes: int | float,
    ) -> None:
        super().__init__(run_dir, console)
        self.job_type = job_type
        self.artifacts = artifacts
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

    @property
    def online(self) -> bool:
        """Whether the run is logged to a server while it lasts."""
        return self.run is not None and not (self.run.offline or self.run.disabled)

    def open(self) -> Any:
        """Start the run.

        Returns:
            W&B's own ``Run``.

        Raises:
            ValueError: W&B refuses a setting.
            wandb.errors.Error: it cannot even start offline.
        """
        os.environ.setdefault("WANDB_SILENT", "true")  # its notices on every start say nothing about this run
        mode: Any = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False, verify=False) else "offline")
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
            self.report(f"{why}; upload the run later with: wandb sync {self.run_dir}/wandb/offline-run-*")
        self.run.define_metric(STEP)
        self.run.define_metric("*", step_metric=STEP, step_sync=True)
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
        self.open()
        if self.online:
            files = "last.ckpt and best.ckpt go up at the end (logger.wandb.artifacts=false keeps them here)"
            self.report(f"{self.run.url}" + (f"; {files}" if self.artifacts else ""))

    def _log(self, metrics: Metrics, step: int) -> None:
        self.run.log({**metrics, STEP: step})

    def _picture(self, name: str, picture: Image.Image, step: int, caption: str) -> None:
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
        self.run.finish(exit_code=0 if succeeded else 1)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
