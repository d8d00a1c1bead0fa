"""Filling the holes of a user's photographs."""

from omegaconf import DictConfig
from PIL import Image

from inpaintlab.completion.photographs import Photograph, read_photograph
from inpaintlab.inpainting import Inpainter, computing
from inpaintlab.machine import whole


def complete_photograph(model: Inpainter, photograph: Photograph, cfg: DictConfig) -> str:
    """Complete one photograph, and write it whole or not at all.

    Args:
        model: on its device, with its weights.
        photograph: the files to read and to write.
        cfg: the settings of ``inpaintlab complete``.

    Returns:
        A line for the terminal: the files, and the share of the image that was filled.

    Raises:
        ValueError: files that cannot be read, or sizes that differ.
        OSError: the file cannot be written.
    """
    image, mask, edges = read_photograph(photograph, cfg)
    share = mask.mean().item()
    if share == 0:
        completed, note = image, f"the mask has no hole (no {cfg.hole_colour} pixel): the image as it was"
    else:
        device = model.device
        drawing = None if edges is None else edges.to(device)
        with computing(cfg.trainer.precision, device):
            completed = model.complete(image.to(device), mask.to(device), drawing, blended=cfg.blend)
        note = f"{share:.1%} filled" if share < 1 else "all hole: nothing of the image is left"
    photograph.out.parent.mkdir(parents=True, exist_ok=True)
    pixels = (completed[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    with whole(photograph.out) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")
    return f"{photograph.image} -> {photograph.out}: {note}"
