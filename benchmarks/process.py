"""What a process of the benchmark hushes: Lightning's advice for real trainings."""

import logging
import warnings


def quieten() -> None:
    """Let Lightning tell of errors alone."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning 2.6 on torch 2.13
