"""The command ``inpaintlab figures``: the figures of the papers, each with its numbers and its caption."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.commandline import read
from inpaintlab.config import command
from inpaintlab.figure import (
    Drawn,
    failures,
    heatmap,
    overview,
    qualitative,
    removal,
    sigma_curves,
    sigma_pictures,
    transfer,
    write,
)
from inpaintlab.recipes import plain


@command("figures fig2_overview")
def fig2_overview(cfg: DictConfig) -> None:
    """Draw the stages of an image."""
    _write("fig2_overview", cfg, lambda: overview(cfg))


@command("figures fig3_qualitative")
def fig3_qualitative(cfg: DictConfig) -> None:
    """Draw the same holes, completed by all methods."""
    _write("fig3_qualitative", cfg, lambda: qualitative(**_drawn_by(cfg)))


@command("figures fig6_sigma")
def fig6_sigma(cfg: DictConfig) -> None:
    """Draw metrics against sigma."""
    settings = _drawn_by(cfg)
    bin_name = settings.pop("bin")
    _write("fig6_sigma", cfg, lambda: sigma_curves(bin_name=bin_name, **settings))


@command("figures fig7_sigma")
def fig7_sigma(cfg: DictConfig) -> None:
    """Draw edges and pictures at each sigma."""
    _write("fig7_sigma", cfg, lambda: sigma_pictures(**_drawn_by(cfg)))


@command("figures fig9_failures")
def fig9_failures(cfg: DictConfig) -> None:
    """Draw the images whose predicted edges are worst."""
    _write("fig9_failures", cfg, lambda: failures(**_drawn_by(cfg)))


@command("figures fig10_transfer")
def fig10_transfer(cfg: DictConfig) -> None:
    """Draw the left half of one photograph with the edges of another's right half."""
    _write("fig10_transfer", cfg, lambda: transfer(cfg))


@command("figures fig11_removal")
def fig11_removal(cfg: DictConfig) -> None:
    """Draw removed objects, with and without edited edges."""
    _write("fig11_removal", cfg, lambda: removal(cfg))


@command("figures heatmap")
def matrix(cfg: DictConfig) -> None:
    """Draw what is trained on rows and tested on columns."""
    _write("heatmap", cfg, lambda: heatmap(**_drawn_by(cfg)))


def _drawn_by(cfg: DictConfig) -> dict[str, Any]:
    """The settings that a figure is drawn by; the others say where it goes and whose code is trusted."""
    return {key: value for key, value in plain(cfg).items() if key not in ("out", "trust")}


def _write(name: str, cfg: DictConfig, draw: Callable[[], Drawn]) -> None:
    files = write(name, Path(cfg.out), draw)
    Console().print(f"Wrote {', '.join(map(str, files))}.", markup=False, highlight=False, soft_wrap=True)


NAMES = {
    "fig2_overview": fig2_overview,
    "fig3_qualitative": fig3_qualitative,
    "fig6_sigma": fig6_sigma,
    "fig7_sigma": fig7_sigma,
    "fig9_failures": fig9_failures,
    "fig10_transfer": fig10_transfer,
    "fig11_removal": fig11_removal,
    "heatmap": matrix,
}


def main() -> None:
    """Entry of ``inpaintlab figures NAME [PATH ...] KEY=VALUE ...``."""
    words, sys.argv[1:] = read("figures", sys.argv[1:])
    NAMES[words.removeprefix("figures ")]()


if __name__ == "__main__":
    main()
