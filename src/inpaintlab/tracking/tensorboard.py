"""The tracker for TensorBoard."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

import numpy as np
import yaml
from PIL import Image
from rich.console import Console

from inpaintlab.tracking.tracker import Metrics, Tracker


@final
class TensorboardTracker(Tracker):
    """Curves, panels, alerts and settings for TensorBoard, in ``tensorboard/`` of the run's folder.

    A resumed run goes on in the same folder. TensorBoard hides what was logged after the checkpoint it resumed from.

    Args:
        run_dir: the folder of the run.
        console: where a failure is printed.
        config: the settings, logged as text.
        notes: what the run is for, logged as text.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    title = "TensorBoard"

    def __init__(self, run_dir: Path, console: Console, config: dict[str, Any], notes: str | None = None) -> None:
        super().__init__(run_dir, console)
        if find_spec("tensorboard") is None:
            raise ValueError(
                'TensorBoard is not installed; run `pip install "inpaintlab[tensorboard]"`, or give another logger.'
            )
        self.config = config
        self.notes = notes

    def _start(self, iteration: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes half a second, and may not be installed

        self.writer = SummaryWriter(str(self.run_dir / "tensorboard"), purge_step=iteration or None)
        if iteration == 0:
            settings = yaml.safe_dump(self.config, sort_keys=False)
            self.writer.add_text("settings", "".join(f"    {line}\n" for line in settings.splitlines()), 0)
            if self.notes:
                self.writer.add_text("notes", self.notes, 0)

    def _log(self, metrics: Metrics, step: int) -> None:
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def _save(self) -> None:
        self.writer.flush()

    def _picture(self, name: str, picture: Image.Image, step: int, caption: str) -> None:
        self.writer.add_image(name, np.asarray(picture), step, dataformats="HWC")

    def _alert(self, title: str, sentence: str, step: int) -> None:
        self.writer.add_text("alerts", f"**{title}**: {sentence}", step)

    def _finish(self, succeeded: bool) -> None:
        self.writer.close()
