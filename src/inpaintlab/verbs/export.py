"""The command ``inpaintlab export``: one file that completes images in another program."""

import re
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.config import command
from inpaintlab.exporting import SUFFIXES, Written, edge_input, require_exportable, require_format_packages, write_model
from inpaintlab.inpainting import build_method
from inpaintlab.machine import machine, shown
from inpaintlab.runs import lines_of_choice

_LONGEST = 60
"""Characters of a file's name that follow from a label."""


def _out(cfg: DictConfig, label: str) -> Path:
    """The file that is to be written.

    Raises:
        ValueError: it is there already, or is called like another format's.
    """
    suffix = SUFFIXES[cfg.format]
    if cfg.out is None:
        name = re.sub(r"[^\w+-]+", "-", shown(label))[:_LONGEST].strip("-")
        out = Path(f"{name or 'model'}{suffix}")
    else:
        out = Path(cfg.out)
    if out.suffix != suffix:
        raise ValueError(f"out={shown(out)} does not end in {suffix}, as files of format={cfg.format} do.")
    if out.is_dir():
        raise ValueError(f"{shown(out)} is a folder; give another out=...")
    if out.exists() and not cfg.overwrite:
        raise ValueError(f"{shown(out)} exists; give another out=..., or overwrite=true.")
    return out


def _require_weights(cfg: DictConfig, named: str | None) -> None:
    """Raise a ValueError if no checkpoint is named."""
    if cfg.checkpoint is not None:
        return
    if "_target_" in (cfg.get("model") or {}) and "schedule" not in cfg.model:
        raise ValueError(
            f"{named} has no network, so there is nothing to export; give a checkpoint=... of one that has."
        )
    raise ValueError(
        "No checkpoint is given: give checkpoint=runs/NAME, a file, or a name of `inpaintlab weights list`, such as "
        "checkpoint=starter-glcic."
    )


def _lines(out: Path, form: str, written: Written) -> list[str]:
    """What there is to tell of the file."""
    found, texts = written.measured, written.description.texts
    sizes = ", ".join(f"{height} x {width}" for height, width in (*found.sizes, (found.side, found.side)))
    runner = "onnxruntime" if form == "onnx" else "torch.export's program"
    return [
        f"{shown(out)}: {written.size / 1e6:.1f} MB, {form}; {texts['takes']}",
        *(
            f"  {name}: {written.description.meanings[name]}"
            for name in sorted(written.description.meanings, key=_order)
        ),
        f"differs from inpaintlab's completion by at most {found.difference:.1e} (limit 1e-4; {sizes} pixels, holes of "
        "up to a quarter)",
        f"one image of {found.side} x {found.side} pixels: {found.seconds:.3f} s in {runner}, "
        f"{found.torch_seconds:.3f} s in inpaintlab ({machine(torch.device('cpu'))})",
        f"licence: {texts['licence']}",
    ]


def _order(name: str) -> int:
    return ("image", "mask", "edges", "completed").index(name)


@command("export")
def main(cfg: DictConfig) -> None:
    """Rebuild the model of a checkpoint, write its file, and print what it takes, gives and costs."""
    require_format_packages(cfg.format)
    if cfg.out is not None:
        _out(cfg, "")
    hydra = HydraConfig.get()
    named = hydra.runtime.choices.get("model")
    _require_weights(cfg, named)
    model, identity = build_method(
        cfg.get("model"),
        cfg.checkpoint,
        named=named,
        overrides=hydra.overrides.task,
        label=cfg.label,
        seed=0,  # of an untrained model's weights, and none is exported
        untrained=False,
        which=cfg.which,
    )
    require_exportable(model, identity["label"])
    out = _out(cfg, identity["label"])
    console = Console()

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    for line in lines_of_choice(cfg.checkpoint, identity["checkpoint"]):
        tell(line)
    if (edges := edge_input(model)) is not None:
        tell(f"the edges are an input of the file, because {edges.reason}")
    tell(f"exporting {shown(identity['label'])}; torch traces it for some seconds to minutes")
    licence = None if cfg.licence is None else str(cfg.licence)
    for line in _lines(out, cfg.format, write_model(out, cfg.format, model, identity, licence, cfg.opset)):
        tell(line)


if __name__ == "__main__":
    main()
