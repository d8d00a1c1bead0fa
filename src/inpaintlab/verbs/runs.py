"""The command ``inpaintlab runs``: which runs there are, and how they differ."""

import io
import json
import os
import sys
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.commandline import read
from inpaintlab.config import command
from inpaintlab.machine import shown
from inpaintlab.survey import (
    as_record,
    compare,
    comparison_record,
    runs_in,
    runs_of,
    summary_of,
    table_of_curves,
    table_of_runs,
    table_of_settings,
    write_page,
)


@command("runs list")
def list_runs(cfg: DictConfig) -> None:
    """Print a line a run, the newest first, and how many there are."""
    folder = Path(cfg.folder)
    found = runs_in(folder)
    chosen = found.runs if cfg.last is None else found.runs[: cfg.last]
    summaries = [summary_of(run) for run in chosen]
    if cfg.json:
        for entry in summaries:
            print(json.dumps(as_record(entry)))
        if len(chosen) < len(found.runs):
            _tell([f"these are the newest {len(chosen)} of {len(found.runs):,} runs; last=null lists all"])
    else:
        console = Console()
        if summaries:
            table_of_runs(summaries).show(console)
        rest = len(found.runs) - len(chosen)
        more = f", the newest {len(chosen)} of them above; last=null lists all" if rest else ""
        count = f"{len(found.runs):,} run{'' if len(found.runs) == 1 else 's'}" if found.runs else "no runs"
        console.print(f"{shown(folder)}: {count}{more}", markup=False, highlight=False, soft_wrap=True)
    _tell(found.notes)


@command("runs compare")
def compare_runs(cfg: DictConfig) -> None:
    """Print how the settings of runs differ and their curves, and write the page if one is asked for."""
    page = None if cfg.page is None else _page(cfg.page)
    found = compare(runs_of(list(cfg.folders), Path(cfg.runs)), list(cfg.curves))
    if cfg.json:
        print(json.dumps(comparison_record(found), allow_nan=False))
    else:
        console = Console()
        table_of_runs(found.summaries).show(console)
        print(f"\n{found.sentence}")
        if (grid := table_of_settings(found)) is not None:
            grid.show(console)
        if (grid := table_of_curves(found, plain=console.options.ascii_only)) is not None:
            print()
            grid.show(console)
    if page is not None:
        write_page(page, found)
        print(shown(page), file=sys.stderr if cfg.json else sys.stdout)
    _tell(found.notes)


def _page(given: str) -> Path:
    """The file to write, which a folder or a file in its way does not hinder.

    Raises:
        ValueError: it is no such file.
    """
    page = Path(given)
    if page.suffix != ".html":
        raise ValueError(f"page={shown(page)} has to end in .html, because that is what it holds.")
    if page.is_dir():
        raise ValueError(f"page={shown(page)} is a folder; name a file that is not there yet, or one to replace.")
    if given.startswith("~") and len(page.parts) > 1:  # all others are expanded by now
        raise ValueError(f"page={shown(page)}: this machine knows no user {shown(page.parts[0][1:])}.")
    above = next((folder for folder in page.parents if os.path.lexists(folder)), Path())
    if not above.is_dir():
        raise ValueError(f"page={shown(page)} cannot be written, because {shown(above)} is no folder.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"page={shown(page)} cannot be written: nothing may be put into {shown(above)}.")
    return page


def _tell(notes: list[str]) -> None:
    for note in notes:
        print(f"note: {shown(note)}", file=sys.stderr)


WORDS = {"list": list_runs, "compare": compare_runs}


def main() -> None:
    """Entry of ``inpaintlab runs [FOLDER]`` and ``inpaintlab runs compare RUN RUN ...``."""
    words, sys.argv[1:] = read("runs", sys.argv[1:])
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of any script on a terminal of any encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    WORDS[words.removeprefix("runs ")]()


if __name__ == "__main__":
    main()
