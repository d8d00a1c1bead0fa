"""The holes of a user's photographs filled, each picture written whole or not at all."""

from omegaconf import DictConfig
from PIL import Image

from inpaintlab.completion.photographs import Photograph, read_photograph
from inpaintlab.inpainting import Inpainter, computing
from inpaintlab.machine import whole


def complete_photograph(model: Inpainter, job: Photograph, cfg: DictConfig) -> str:
    """Complete one photograph, write it whole or not at all, and return what there is to say.

    Raises:
        ValueError: files that cannot be read, or sizes that differ.
    """
    image, mask, edges = read_photograph(job, cfg)
    share = mask.mean().item()
    if share == 0:
        completed, note = image, f"the mask has no hole (no {cfg.hole_colour} pixel): the image as it was"
    else:
        device = model.device
        drawing = None if edges is None else edges.to(device)
        with computing(cfg.trainer.precision, device):
            completed = model.complete(image.to(device), mask.to(device), drawing, blended=cfg.blend)
        note = f"{share:.1%} filled" if share < 1 else "all hole: nothing of the image is left"
    job.out.parent.mkdir(parents=True, exist_ok=True)
    pixels = (completed[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    with whole(job.out) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")
    return f"{job.image} -> {job.out}: {note}"
