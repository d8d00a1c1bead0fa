"""Hides Lightning's advice for real trainings in the processes of the benchmark."""

import logging
import warnings


def quieten() -> None:
    """Let Lightning print errors only."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning 2.6 on torch 2.13
