"""One photograph from its contents to a finished file."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from inpaintlab.completion.formats import can_be_written, not_held, save_picture, told_of
from inpaintlab.completion.originals import filled
from inpaintlab.completion.photographs import Contents, Photograph
from inpaintlab.completion.windows import Plan, Windowing
from inpaintlab.data import in_unit_range
from inpaintlab.imaging import blend
from inpaintlab.inpainting import Inpainter, computing
from inpaintlab.machine import shown
from inpaintlab.shapes import AnyImages, Images

Given = TypeVar("Given")
Made = TypeVar("Made")


def raw_outputs(
    model: Inpainter, several: list[Contents], cfg: DictConfig
) -> tuple[list[AnyImages], torch.cuda.Event | None]:
    """What a method puts out for photographs of one padded size, in one batch.

    From a GPU the numbers arrive while this process goes on.

    Args:
        model: on its device, with its weights.
        several: the photographs.
        cfg: the settings of ``inpaintlab complete``.

    Returns:
        A (1, 3, height, width) float32 tensor in [0, 1] on the CPU for each, and what tells that they are there; None
        where they are there already.
    """
    device = model.device
    inputs = [(_sent(one.image, device), _sent(one.mask, device), _drawing(one, device)) for one in several]
    with computing(cfg.trainer.precision, device):
        raw = model.raw_outputs(inputs)
    if device.type != "cuda":
        return [one.cpu() for one in raw], None
    arriving = [one.to("cpu", non_blocking=True) for one in raw]  # into pinned memory
    event = torch.cuda.Event()
    event.record()
    return arriving, event


def in_halves(work: Callable[[list[Given]], list[Made]], batch: list[Given]) -> list[Made]:
    """What is made of a batch, or of its halves where a GPU's memory does not suffice, as if by another program.

    Args:
        work: makes one thing of each of several.
        batch: the several.

    Raises:
        torch.OutOfMemoryError: the memory does not suffice for one.
    """
    try:
        return work(batch)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    # here the error is gone, and what it held
    middle = len(batch) // 2
    return [*in_halves(work, batch[:middle]), *in_halves(work, batch[middle:])]


def in_windows(
    windowing: Windowing, plan: Plan, contents: Contents, cfg: DictConfig, heard: Callable[[float], None]
) -> tuple[Images, None, list[str]]:
    """What a method puts out for one large photograph; results as of `raw_outputs`, and notes.

    Args:
        windowing: of the method.
        plan: of the photograph.
        contents: what its files hold.
        cfg: the settings of ``inpaintlab complete``.
        heard: takes the share that is done.
    """
    image, mask = in_unit_range(contents.image), in_unit_range(contents.mask)
    edges = None if contents.edges is None else in_unit_range(contents.edges)
    with computing(cfg.trainer.precision, windowing.method.device):
        raw, notes = windowing.raw_output(plan, image, mask, edges, heard)
    return raw, None, [*plan.notes, *notes]


def _drawing(contents: Contents, device: torch.device) -> Tensor | None:
    return None if contents.edges is None else _sent(contents.edges, device)


def _sent(pixels: Tensor, device: torch.device) -> Tensor:
    """Bytes on the device, as floats; from pinned memory, this process does not wait for it."""
    return in_unit_range(pixels.to(device, non_blocking=True))


def write_completed(
    photograph: Photograph,
    contents: Contents,
    raw: Images | None,
    ready: torch.cuda.Event | None,
    cfg: DictConfig,
    made: str,
    notes: Sequence[str] = (),
) -> str:
    """Fill the hole of a photograph, and write it whole or not at all.

    Args:
        photograph: the file to write.
        contents: what its files hold.
        raw: the method's output on the CPU; None where there is no hole.
        ready: tells that ``raw`` has arrived.
        cfg: the settings of ``inpaintlab complete``.
        made: see `hash_of`; it is kept in the file.
        notes: what else is told of how it was filled.

    Returns:
        A line for the terminal: the files, the share of the image that was filled, and what could not be kept.

    Raises:
        OSError: the file cannot be written.
    """
    original, mask = contents.original, contents.mask
    if raw is None:
        picture = original.picture
        low, high = contents.greys
        note = f"the mask has no hole (no {cfg.hole_colour} pixel; its grey values run from {low} to {high} of 255): "
        note += "the image as it was"
    else:
        if ready is not None:
            ready.synchronize()
        if cfg.blend:
            plane = in_unit_range(mask)
            raw = blend(Inpainter.paste(in_unit_range(contents.image), plane, raw), plane)
        hole = mask[0, 0].numpy()
        picture = filled(original, raw[0].permute(1, 2, 0).numpy(), hole)
        share = np.count_nonzero(hole) / hole.size  # torch would start threads of its own in each thread that writes
        note = f"{share:.1%} filled" if share < 1 else "all hole: nothing of the image is left"
        note = ", ".join([note, *notes])
    assert photograph.out is not None
    photograph.out.parent.mkdir(parents=True, exist_ok=True)
    save_picture(picture, original, made, photograph.out)
    of_pixels, lost = told_of(original, photograph.out)
    if photograph.kept and can_be_written(photograph.image) and (why := not_held(original, photograph.image)):
        of_pixels.append(f"a PNG, for {why}")
    note = "; ".join([note, *of_pixels])
    not_kept = f"; not kept: {', '.join(lost)}" if lost else ""
    return f"{shown(photograph.image)} -> {shown(photograph.out)}: {note}{not_kept}"
