"""The command ``inpaintlab complete``: fill the holes of a user's own photographs."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.completion import (
    Photograph,
    complete_photograph,
    hash_of,
    made_of,
    pair_photographs,
    read_photograph,
)
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
from inpaintlab.runs import lines_of_choice

_MOST_REMARKS = 5
"""How many masks are told of."""


@dataclass(frozen=True)
class Checked:
    """The photographs that are asked for, after everything was checked that can be before the method is built.

    Args:
        photographs: their files.
        all_hole: those of which no pixel is known.
        notes: sentences on what is left out, and on masks that may be none.
    """

    photographs: list[Photograph]
    all_hole: list[Photograph]
    notes: list[str]


def _checked(cfg: DictConfig) -> Checked:
    edges = None if cfg.edges is None else Path(cfg.edges)
    found, notes = pair_photographs(Path(cfg.image), Path(cfg.holes), edges, Path(cfg.out))
    for photograph in found:
        if photograph.out.exists() and not cfg.overwrite and made_of(photograph.out) is None:
            raise ValueError(f"{photograph.out} exists; give another out=..., or overwrite=true.")
    all_hole, remarks = [], []
    for photograph in found:  # reading twice is better than an error after half of the folder
        contents = read_photograph(photograph, cfg)
        remarks += [remark for remark in contents.remarks if remark not in remarks]
        if contents.mask.all():
            all_hole.append(photograph)
    more = [f"{len(remarks) - _MOST_REMARKS} more masks are like these."] if len(remarks) > _MOST_REMARKS else []
    return Checked(found, all_hole, [*notes, *remarks[:_MOST_REMARKS], *more])


def _missing(checked: Checked, identity: dict[str, Any], cfg: DictConfig) -> list[tuple[Photograph, str]]:
    """The photographs that are yet to be completed, each with the hash of all that its completion follows from.

    Raises:
        ValueError: a file is there that was made of other files or settings.
    """
    wanted = [(photograph, hash_of(photograph, identity, cfg)) for photograph in checked.photographs]
    if cfg.overwrite:
        return wanted
    missing = []
    for photograph, made in wanted:
        if not photograph.out.exists():
            missing.append((photograph, made))
        elif made_of(photograph.out) != made:
            raise ValueError(
                f"{photograph.out} exists, and was made of other files or with other settings; give another out=..., "
                "or overwrite=true."
            )
    return missing


@command("complete")
def main(cfg: DictConfig) -> None:
    """Build the method, complete each photograph, and print a line for each."""
    checked = _checked(cfg)
    for note in checked.notes:
        print(f"inpaintlab complete: {note}", file=sys.stderr)
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
        which=cfg.which,
    )
    device = device_type("auto")
    cfg.trainer.precision = completing_precision(cfg.trainer.precision, device)
    _require_networks(model, identity["label"], cfg)
    if checked.all_hole and not model.generators():
        raise ValueError(
            f"The mask {checked.all_hole[0].mask} covers all of {checked.all_hole[0].image}; {identity['label']} needs "
            "known pixels to continue from."
        )
    console = Console()
    for line in lines_of_choice(cfg.checkpoint, identity["checkpoint"]):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    todo = _missing(checked, identity, cfg)
    if there := len(checked.photographs) - len(todo):
        text = f"{there} of {len(checked.photographs)} are there already, completed from the same files and settings"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    fit(model.networks(), device, cfg.trainer.precision)
    model.to(device)
    if cfg.compile:
        compile_generators(model, device)
    with CompileTimer() if cfg.compile else nullcontext() as watch:
        for photograph, made in todo:
            line = complete_photograph(model, photograph, cfg, made)
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            if watch and (seconds := watch.taken()):
                console.print(f"compiled for it: {seconds:.1f} s", highlight=False)


def _require_networks(model: Inpainter, label: str, cfg: DictConfig) -> None:
    if not model.generators() and (cfg.compile or cfg.trainer.precision != WHOLE):
        setting = "compile=true" if cfg.compile else f"precision={cfg.trainer.precision}"
        raise ValueError(f"{label} has no network, so {setting} would be ignored; leave it out.")


if __name__ == "__main__":
    main()
