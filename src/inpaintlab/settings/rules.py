"""Rules across settings: what one may be where others are what they are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inpaintlab.recipes import nearest
from inpaintlab.runs import mask_recipe, require_taken

if TYPE_CHECKING:
    from inpaintlab.inpainting import Inpainter, Learner


def require_rules(words: str, settings: dict[str, Any]) -> None:
    """Check the settings of a command against each other; each of them alone is what it can be.

    Raises:
        ValueError: two do not fit; the sentence names both.
    """
    if words == "train":
        _require_monitor(settings["monitor"]["name"], settings["metrics"])
        _require_schedule(settings["model"].get("schedule"))
        _require_whole_steps(settings["every"], settings["accumulate"])
    if words in ("train", "evaluate"):
        require_taken(settings["trainer"], words)
        _require_devices(settings["trainer"])


def _require_monitor(monitor: str, metrics: dict[str, Any]) -> None:
    """Validation gives a score for each metric, and so a monitor for each."""
    known = [f"val/{name}" for name in metrics]
    if monitor not in known:
        near = nearest(monitor, known)
        listed = f"it can be {', '.join(known)}" if known else "there are none, because metrics is empty"
        raise ValueError(f"monitor.name is '{monitor}', which validation does not give; {listed}.{near}")


def _require_schedule(schedule: Any) -> None:
    phases = schedule.get("phases") if isinstance(schedule, dict) else None
    for name, phase in phases.items() if isinstance(phases, dict) else ():
        batches = phase.get("batches") if isinstance(phase, dict) else None
        if type(batches) is not int or batches < 0:
            raise ValueError(
                f"model.schedule.phases.{name}.batches is {batches!r}; it must be a whole number, at least 0, which "
                "skips the phase."
            )


def _require_whole_steps(every: dict[str, int], accumulate: int) -> None:
    """Checkpoints and validations stand between two optimizer steps, never between the batches of one.

    So a checkpoint needs no gradients, which differ between processes. The model checks the same of its phases.
    """
    for key in ("checkpoint", "validation"):
        if every[key] % accumulate:
            raise ValueError(
                f"every.{key} is {every[key]}, which is no multiple of accumulate={accumulate}; give one, because "
                "between them the gradients of a step are not complete."
            )


def _require_devices(trainer: dict[str, Any]) -> None:
    if trainer.get("num_nodes") not in (None, 1):
        return  # torchrun or SLURM says how many, or the trainer that neither did
    devices, accelerator = trainer.get("devices", 1), trainer.get("accelerator", "auto")
    number = type(devices) is int and (devices > 0 or devices == -1)
    numbers = isinstance(devices, list) and devices and all(type(one) is int and one >= 0 for one in devices)
    if not (number or numbers or devices == "auto"):
        raise ValueError(
            f"trainer.devices is {devices!r}; it must be a whole number of devices, at least 1, or -1 for all, or a "
            "list of GPUs' numbers."
        )
    from inpaintlab.inpainting import device_type  # torch

    if (numbers or devices == -1) and device_type(str(accelerator)) == "cpu":
        raise ValueError(
            f"trainer.devices is {devices}, and there is no GPU to train on: on the CPU it is the number of processes, "
            "at least 1."
        )


def require_size(model: "type[Inpainter]", size: int | Sequence[int]) -> None:
    """Check the size of training pictures against what a model takes.

    Args:
        model: its class.
        size: ``data.size``.

    Raises:
        ValueError: its networks take no pictures of that size.
    """
    from inpaintlab.shapes import height_width, in_pixels  # torch: not for commands that only look

    sides, stride = height_width(size), getattr(model, "stride", 1)  # a function of the user's own may make a model
    if wrong := [side for side in sides if side % stride]:
        lower = max(wrong[0] // stride, 1) * stride
        raise ValueError(
            f"data.size is {in_pixels(size)}; {model.__name__} trains on sides that are multiples of {stride}, such as "
            f"{lower} or {lower + stride}. (It completes pictures of any size.)"
        )
    if min(sides) < getattr(model, "smallest", 1):
        raise ValueError(
            f"data.size is {in_pixels(size)}; {model.__name__} needs sides of at least {model.smallest} pixels."
        )


def require_holes(model: "type[Inpainter]", settings: dict[str, Any]) -> None:
    """Check the training pictures and some of their holes against the one size and hole that a model takes.

    Args:
        model: its class.
        settings: those of ``inpaintlab train``, resolved.

    Raises:
        ValueError: it takes others.
    """
    if (takes := getattr(model, "takes", None)) is None or (made_for := takes(settings["model"])) is None:
        return
    import torch
    from hydra.utils import instantiate

    from inpaintlab.inpainting import extents
    from inpaintlab.shapes import height_width

    height, width = height_width(settings["data"]["size"])
    mask = instantiate(mask_recipe(settings), _convert_="all")
    fault = f"data.size is {height} x {width} pixels" if made_for.misfits((height, width)) else None
    for seed in range(_HOLES if fault is None else 0):
        hole = mask(height, width, torch.Generator().manual_seed(seed))
        if misfit := made_for.misfit(extents(hole[None])[0]):
            fault = f"a picture with this mask {misfit}"
            break
    if fault:
        raise ValueError(
            f"{model.__name__} is made for images of {made_for}, but {fault}; give others, as its file in conf/model "
            "says."
        )


_HOLES = 16
"""How many holes are drawn to see whether they are what a model takes."""


def require_batch(model: "Learner", settings: dict[str, Any]) -> None:
    """Check the size of batches against what a model can learn from.

    Args:
        model: built.
        settings: those of ``inpaintlab train``, resolved.

    Raises:
        ValueError: batches are too small.
    """
    from inpaintlab.shapes import plain_size

    size, batch_size = settings["data"]["size"], settings["data"]["batch_size"]
    together = bool(settings["trainer"].get("sync_batchnorm"))  # batch norm over the batches of several processes
    if batch_size < model.smallest_batch and not together:
        raise ValueError(
            f"data.batch_size is {batch_size}; with data.size={plain_size(size)} {type(model).__name__} trains on at "
            f"least {model.smallest_batch} pictures a batch, because its batch norm compares them."
        )
