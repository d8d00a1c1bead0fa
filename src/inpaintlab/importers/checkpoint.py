"""From published files to a checkpoint of ours, strictly: a tensor without a place in the model is an error."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from inpaintlab.config import CONF
from inpaintlab.importers.context_encoder import read_boyuanjiang as context_encoder_boyuanjiang
from inpaintlab.importers.context_encoder import read_official as context_encoder_official
from inpaintlab.importers.edgeconnect import read as edgeconnect
from inpaintlab.importers.glcic_mmagic import read as glcic_mmagic
from inpaintlab.importers.glcic_official import read as glcic_official
from inpaintlab.importers.glcic_otenim import read as glcic_otenim
from inpaintlab.importers.layout import Found
from inpaintlab.importers.partial_convolution import read_mmagic as partial_convolution_mmagic
from inpaintlab.importers.partial_convolution import read_naoto0804 as partial_convolution_naoto0804
from inpaintlab.inpainting import CHECKPOINT_FORMAT, Inpainter, build, save_checkpoint
from inpaintlab.machine import file_sha256
from inpaintlab.recipes import plain

LAYOUTS: Mapping[str, Callable[[Sequence[Path], Sequence[float] | None], Found]] = {
    "edgeconnect": edgeconnect,
    "glcic-otenim": glcic_otenim,
    "glcic-mmagic": glcic_mmagic,
    "glcic-official": glcic_official,
    "pconv-naoto0804": partial_convolution_naoto0804,
    "pconv-mmagic": partial_convolution_mmagic,
    "ce-official": context_encoder_official,
    "ce-boyuanjiang": context_encoder_boyuanjiang,
}


def import_checkpoint(
    files: Sequence[Path], layout: str, out: Path, mean_pixel: Sequence[float] | None = None
) -> list[str]:
    """Write the published weights as a checkpoint of ours, whole or not at all.

    The checkpoint is evaluated and fine-tuned like one of our own runs. A network that was not published is left out of
    it and starts from random weights if it is trained.

    Args:
        files: the published files, in any order.
        layout: one of ``LAYOUTS``.
        out: the checkpoint to write.
        mean_pixel: RGB in [0, 1], if the files do not hold it.

    Returns:
        Lines for the user: the networks, their sizes, and what is missing.

    Raises:
        ValueError: files that are damaged, unsafe, or not of this layout.
    """
    model, record, weights = read_published(files, layout, mean_pixel)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out, {"state_dict": weights, "inpaintlab": record})
    lines = [f"{name}: {sum(p.numel() for p in network.parameters()):,} parameters" for name, network in parts(model)]
    lines = [line for line in lines if line.partition(":")[0] not in record["absent"]]
    lines += [f"{name}: not in the files; it starts from random weights if it is trained" for name in record["absent"]]
    return [*lines, f"model={record['preset']} -> {out}"]


def read_published(
    files: Sequence[Path], layout: str, mean_pixel: Sequence[float] | None = None
) -> tuple[Inpainter, dict[str, Any], dict[str, Any]]:
    """Read the published files and load them into our model.

    Args:
        files: the published files, in any order.
        layout: one of ``LAYOUTS``.
        mean_pixel: RGB in [0, 1], if the files do not hold it.

    Returns:
        The model, the checkpoint's record, and its weights by our names.

    Raises:
        ValueError: files that are damaged, unsafe, or not of this layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"There is no layout '{layout}'; it can be {', '.join(LAYOUTS)}.")
    if not files:
        raise ValueError(f"Give the files to import as {layout}.")
    found = LAYOUTS[layout](files, mean_pixel)
    model = _build(found)
    weights = dict(found.buffers)
    for network in found.networks:
        expected = getattr(model, network.ours).state_dict()
        weights |= {f"{network.ours}.{name}": value for name, value in network.adopt(expected).items()}
    left_out = [key for key in _own_state(model) if key not in weights and key.partition(".")[0] not in found.absent]
    assert not left_out, f"the layout {layout} forgets {left_out[0]}"
    model.load_state_dict(weights, strict=False)
    record = {
        "format": CHECKPOINT_FORMAT,
        "model": model.recipe,
        "preset": found.preset,
        "iterations": found.iterations,
        "images_seen": None,
        "absent": found.absent,
        "imported": {"layout": layout, "files": [{"name": path.name, "sha256": file_sha256(path)} for path in files]},
    }
    return model, record, weights


def parts(model: Inpainter) -> list[tuple[str, torch.nn.Module]]:
    """The model's networks by name."""
    return [(name, part) for name, part in model.named_children() if any(True for _ in part.parameters())]


def _build(found: Found) -> Inpainter:
    """The preset's model with the files' settings on top, and with random weights of a fixed seed."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = compose("train", overrides=[f"model={found.preset}", f"data.size={found.size}"])
    recipe = plain(cfg.model) | found.settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(recipe)


def _own_state(model: Inpainter) -> list[str]:
    return [key for key in model.state_dict() if not key.startswith("schedule.")]
