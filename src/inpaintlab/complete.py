"""The command ``inpaintlab complete``: fill the holes of a user's own photographs."""

from contextlib import nullcontext
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.completion import Photograph, complete_photograph, pair_photographs, read_photograph
from inpaintlab.config import command
from inpaintlab.inpainting import (
    WHOLE,
    CompileTimer,
    Inpainter,
    build_method,
    compile_generators,
    completing_precision,
    device_type,
    fit,
)
from inpaintlab.recipes import require_flag, require_one_of


def _checked(cfg: DictConfig) -> list[Photograph]:
    """The photographs to complete, after checking everything that can be checked before the first one."""
    require_one_of("hole_colour", cfg.hole_colour, ("white", "black"))
    require_flag("compile", cfg.compile)
    if not 0 <= cfg.threshold < 1:
        raise ValueError(f"threshold is {cfg.threshold}; it must lie in [0, 1).")
    edges = None if cfg.edges is None else Path(cfg.edges)
    found = pair_photographs(Path(cfg.image), Path(cfg.holes), edges, Path(cfg.out))
    for photograph in found:
        if photograph.out.exists() and not cfg.overwrite:
            raise ValueError(f"{photograph.out} exists; give another out=..., or overwrite=true.")
    for photograph in found:
        read_photograph(photograph, cfg)  # reading twice is better than an error after half of the folder
    return found


@command("complete")
def main(cfg: DictConfig) -> None:
    """Build the method, complete each photograph, and print a line for each."""
    todo = _checked(cfg)
    torch.manual_seed(cfg.seed)
    hydra = HydraConfig.get()
    model, identity = build_method(
        cfg.get("model"),
        cfg.checkpoint,
        named=hydra.runtime.choices.get("model"),
        overrides=hydra.overrides.task,
        label=cfg.label,
        seed=cfg.seed,
        untrained=cfg.untrained,
    )
    device = device_type("auto")
    cfg.trainer.precision = completing_precision(cfg.trainer.precision, device)
    _require_networks(model, identity["label"], cfg)
    fit(model.networks(), device, cfg.trainer.precision)
    model.to(device)
    if cfg.compile:
        compile_generators(model, device)
    console = Console()
    with CompileTimer() if cfg.compile else nullcontext() as watch:
        for photograph in todo:
            line = complete_photograph(model, photograph, cfg)
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            if watch and (seconds := watch.taken()):
                console.print(f"compiled for it: {seconds:.1f} s", highlight=False)


def _require_networks(model: Inpainter, label: str, cfg: DictConfig) -> None:
    if not model.generators() and (cfg.compile or cfg.trainer.precision != WHOLE):
        setting = "compile=true" if cfg.compile else f"precision={cfg.trainer.precision}"
        raise ValueError(f"{label} has no network, so {setting} would be ignored; leave it out.")


if __name__ == "__main__":
    main()
