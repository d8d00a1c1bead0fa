"""Of a run's newest checkpoint what completes images, in half the bytes, as starter weights.

    python export.py RUN OUT.ckpt [BEFORE.ckpt]

Discriminators and what only resuming needs are left out. Matrices are rounded to float16; vectors, such as the
statistics of batch norm, stay float32. The record says what was seen, not where it lay, and counts what BEFORE, with
which the run began, had seen.
"""

import sys
from pathlib import Path

import torch

from inpaintlab.inpainting import build, load_checkpoint, save_checkpoint
from inpaintlab.inpainting.learner import Learner
from inpaintlab.machine import file_sha256


def exported(run: Path, out: Path, before: Path | None = None) -> None:
    """Write the starter weights of a run that began with those of ``before``."""
    checkpoint = load_checkpoint(run, "last")
    record = checkpoint["inpaintlab"]
    model = build(record["model"])
    assert isinstance(model, Learner), f"{run} holds a {type(model).__name__}, which learns nothing"
    absent = sorted(model.adversaries)
    weights = {
        key: value.half() if value.is_floating_point() and value.dim() > 1 else value
        for key, value in checkpoint["state_dict"].items()
        if isinstance(value, torch.Tensor) and key.partition(".")[0] not in (*absent, "schedule")
    }
    training = record["training"]
    training["data"] = {"_target_": training["data"]["_target_"], "root": "flowers_ccby and clothing_cc0"}
    record |= {"run": None, "absent": absent, "processes": 1, "training": training | {"init": None}}
    record["imported"] = {
        "layout": "starter",
        "files": [{"name": "last.ckpt", "sha256": file_sha256(run / "last.ckpt")}],
    }
    if before is not None:
        seen = load_checkpoint(before)["inpaintlab"]
        record |= {key: record[key] + seen[key] for key in ("iterations", "images_seen")}
    save_checkpoint(out, {"state_dict": weights, "inpaintlab": record})
    print(f"{out}: {out.stat().st_size:,} bytes, {record['images_seen']:,} pictures, sha256 {file_sha256(out)}")


if __name__ == "__main__":
    exported(*map(Path, sys.argv[1:]))
