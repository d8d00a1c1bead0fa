"""The command ``inpaintlab complete``: fill the holes of a user's own photographs."""

import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.completion import (
    Checked,
    Photograph,
    check_photographs,
    complete_folder,
    hash_of,
    made_of,
    pair_photographs,
    progress_shown,
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
from inpaintlab.machine import ending_tidily
from inpaintlab.runs import lines_of_choice

_STARTER = "starter-edgeconnect"
"""The starter weights that are taken where no method is named: the ones that lose less on pictures above 64 pixels."""

_MOST_REMARKS = 5
"""How many masks are told of."""


def _checked(cfg: DictConfig) -> tuple[list[Checked], list[str]]:
    """The photographs that are asked for, after everything was checked that can be before the method is built.

    Returns:
        The photographs, and sentences on what is left out, and on masks that may be none.
    """
    drawing = None if cfg.drawing is None else Path(cfg.drawing)
    kept = cfg.format == "input"
    found, notes = pair_photographs(Path(cfg.image), Path(cfg.holes), drawing, Path(cfg.out), kept=kept)
    _require_free(found, cfg)
    checked = check_photographs(found, cfg)
    _require_free([one.photograph for one in checked], cfg)  # where a format has changed
    remarks = list(dict.fromkeys(remark for one in checked for remark in one.remarks))
    more = [f"{len(remarks) - _MOST_REMARKS} more masks are like these."] if len(remarks) > _MOST_REMARKS else []
    return checked, [*notes, *remarks[:_MOST_REMARKS], *more]


def _require_free(photographs: list[Photograph], cfg: DictConfig) -> None:
    """Raise a ValueError if a file that is no completion would be replaced, though that is not asked for."""
    for photograph in photographs:
        assert photograph.out is not None
        if photograph.out.exists() and not cfg.overwrite and made_of(photograph.out) is None:
            raise ValueError(f"{photograph.out} exists; give another out=..., or overwrite=true.")


def _missing(
    checked: list[Checked], identity: dict[str, Any], cfg: DictConfig, networks: bool
) -> list[tuple[Checked, str]]:
    """The photographs that are yet to be completed, each with the hash of all that its completion follows from.

    Raises:
        ValueError: a file is there that was made of other files or settings.
    """
    wanted = [(one, hash_of(one, identity, cfg, networks=networks)) for one in checked]
    if cfg.overwrite:
        return wanted
    missing = []
    for one, made in wanted:
        out = one.photograph.out
        assert out is not None
        if not out.exists():
            missing.append((one, made))
        elif made_of(out) != made:
            raise ValueError(
                f"{out} exists, and was made of other files or with other settings; give another out=..., "
                "or overwrite=true."
            )
    return missing


@command("complete")
def main(cfg: DictConfig) -> None:
    """Build the method, complete each photograph, and print a line for each."""
    checked, notes = _checked(cfg)
    for note in notes:
        print(f"inpaintlab complete: {note}", file=sys.stderr)
    torch.manual_seed(cfg.seed)
    hydra = HydraConfig.get()
    named = "_target_" in (cfg.get("model") or {})  # single settings, such as +model.hole_edges=none, name no method
    checkpoint = _STARTER if cfg.checkpoint is None and not named else cfg.checkpoint
    model, identity = build_method(
        cfg.get("model"),
        checkpoint,
        named=hydra.runtime.choices.get("model"),
        overrides=hydra.overrides.task,
        label=cfg.label,
        seed=cfg.seed,
        untrained=cfg.untrained,
        which=cfg.which,
    )
    device = device_type("auto" if model.generators() else "cpu")
    cfg.trainer.precision = completing_precision(cfg.trainer.precision, device)
    _require_networks(model, identity["label"], cfg)
    if model.reads_edges and cfg.drawing is None:
        raise ValueError(
            f"{identity['label']} reads an edge map for each photograph ({identity['switches'].get('edges')}); give "
            "drawing=FILE, or a folder of them, or another source of edges, such as +model/edges=canny."
        )
    _require_fitting(model, identity["label"], checked, cfg)
    all_hole = next((one.photograph for one in checked if one.all_hole), None)
    if all_hole and not model.generators():
        raise ValueError(
            f"The mask {all_hole.mask} covers all of {all_hole.image}; {identity['label']} needs known pixels to "
            "continue from."
        )
    console = Console()
    if checkpoint != cfg.checkpoint:
        text = f"no checkpoint and no model is named: completing with {checkpoint}, see inpaintlab weights list"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    for line in lines_of_choice(checkpoint, identity["checkpoint"]):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    todo = _missing(checked, identity, cfg, bool(model.generators()))
    if there := len(checked) - len(todo):
        text = f"{there} of {len(checked)} are there already, completed from the same files and settings"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    fit(model.networks(), device, cfg.trainer.precision)
    model.to(device)
    if cfg.compile:
        compile_generators(model, device)
    timed = CompileTimer() if cfg.compile else nullcontext()
    tell = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    with ending_tidily(), progress_shown(len(todo), console) as progress, timed as watch:
        complete_folder(model, todo, cfg, tell, progress=progress)
    if watch and (seconds := watch.taken()):
        console.print(f"compiled for them: {seconds:.1f} s", highlight=False)


def _require_networks(model: Inpainter, label: str, cfg: DictConfig) -> None:
    if not model.generators() and (cfg.compile or cfg.trainer.precision != WHOLE):
        setting = "compile=true" if cfg.compile else f"precision={cfg.trainer.precision}"
        raise ValueError(f"{label} has no network, so {setting} would be ignored; leave it out.")


def _require_fitting(model: Inpainter, label: str, checked: list[Checked], cfg: DictConfig) -> None:
    """Raise a ValueError if photographs are not of the one size and hole that a model takes, and none is resized."""
    if (made_for := model.made_for) is None or cfg.fit == "resize":
        return
    faults = [(one.photograph.image, fault) for one in checked if (fault := made_for.misfit(one.extent))]
    if faults:
        more = f", and {len(faults) - 1} more are others, too" if len(faults) > 1 else ""
        raise ValueError(
            f"{label} completes images of {made_for}; {faults[0][0]} {faults[0][1]}{more}: give fit=resize, which "
            "resizes the hole with what surrounds it."
        )


if __name__ == "__main__":
    main()
