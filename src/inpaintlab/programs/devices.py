"""Where a program's methods compute, and in which precision."""

import torch

from inpaintlab.inpainting import WHOLE, Inpainter, completing_precision, device_type, fit


def chosen_device(device: str, *, networks: bool) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "cuda:1" means, for a method with or without networks.

    Raises:
        ValueError: it is not there.
    """
    if device == "auto":
        return torch.device(device_type("auto") if networks else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"device={device!r} cannot be used here ({reason}); give 'auto' or 'cpu'.") from error
    return chosen


def precision_of(precision: str | None, device: torch.device, inpainter: Inpainter, label: str) -> str:
    """The precision of a method's networks; a ValueError if it cannot have this one."""
    if inpainter.generators():
        return completing_precision(precision, device.type)
    if precision not in (None, WHOLE):
        raise ValueError(f"{label} has no network, so precision={precision!r} would be ignored; leave it out.")
    return WHOLE


def bring(inpainter: Inpainter, device: torch.device, precision: str) -> None:
    """Fit a method's networks to a device and a precision, and bring them there."""
    fit(inpainter.networks(), device.type, precision)
    inpainter.to(device)
    inpainter.eval()
