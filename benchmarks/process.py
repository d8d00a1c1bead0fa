"""What the processes of the benchmark do alike: hide advice for real trainings, and run a command."""

import contextlib
import io
import logging
import sys
import warnings

from inpaintlab.cli import main


def quieten() -> None:
    """Let Lightning print errors only."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning 2.6 on torch 2.13


def command(verb: str, settings: list[str]) -> str:
    """Run ``inpaintlab VERB SETTINGS`` in this process; what it printed.

    Raises:
        ValueError: it refuses, in its own words.
    """
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["inpaintlab", *verb.split(), *settings]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        if end.code:
            raise ValueError(f"inpaintlab {verb} ended with {end.code}: {err.getvalue().strip()[-400:]}") from end
    return out.getvalue()
