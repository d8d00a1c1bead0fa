"""A model for tests in processes of their own: it tells what each process saw, and fails where it is told to."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from inpaintlab.inpainting import Losses
from inpaintlab.inpainting.schedule import Phase
from inpaintlab.models import GLCIC


class Faulty(GLCIC):
    """GLCIC that fails in process and batch ``FAULT`` = 'rank,batch,how', and writes image names to folder ``SEEN``."""

    def learn(self, batch: dict[str, Any], phase: Phase) -> Losses:
        if "SEEN" in os.environ:
            with (Path(os.environ["SEEN"]) / f"{self.global_rank}.txt").open("a") as file:
                file.write(" ".join(batch["name"]) + "\n")
        rank, number, how = os.environ.get("FAULT", "-1,0,none").split(",")
        if (self.global_rank, self.schedule.iteration) == (int(rank), int(number)):
            self.fail(how)
        return super().learn(batch, phase)

    def fail(self, how: str) -> None:
        if how == "raise":
            raise RuntimeError("a fault in a batch")
        if how == "refuse":
            raise ValueError("photo.png is damaged.")
        if how == "sleep":
            time.sleep(600)
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "halt": signal.SIGSTOP}[how])
