"""Rules across settings: what one may be where others are what they are."""

from typing import TYPE_CHECKING, Any

from inpaintlab.recipes import nearest
from inpaintlab.runs import require_taken
from inpaintlab.shapes import height_width, in_pixels, plain_size

if TYPE_CHECKING:
    from inpaintlab.inpainting import Learner


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
    """Validation gives a score for each metric of single images, and so a monitor for each."""
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


def require_trainable(model: "Learner", settings: dict[str, Any]) -> None:
    """Check the settings of the data against what a model can be trained on.

    Args:
        model: built, with weights or without.
        settings: those of ``inpaintlab train``, resolved.

    Raises:
        ValueError: pictures of a size, or batches, that its networks cannot have.
    """
    name, size, batch_size = type(model).__name__, settings["data"]["size"], settings["data"]["batch_size"]
    sides = height_width(size)
    if wrong := [side for side in sides if side % model.stride]:
        lower = max(wrong[0] // model.stride, 1) * model.stride
        raise ValueError(
            f"data.size is {in_pixels(size)}; {name} trains on sides that are multiples of {model.stride}, such as "
            f"{lower} or {lower + model.stride}. (It completes pictures of any size.)"
        )
    if min(sides) < model.smallest:
        raise ValueError(f"data.size is {in_pixels(size)}; {name} needs sides of at least {model.smallest} pixels.")
    together = bool(settings["trainer"].get("sync_batchnorm"))  # batch norm over the batches of several processes
    if batch_size < model.smallest_batch and not together:
        raise ValueError(
            f"data.batch_size is {batch_size}; with data.size={plain_size(size)} {name} trains on at least "
            f"{model.smallest_batch} pictures a batch, because its batch norm compares them."
        )
