"""The command ``inpaintlab sweep``: how the jobs of a sweep stand, and the same sweep for W&B's agents."""

import contextlib
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.commandline import quoted, read, settings_of
from inpaintlab.config import CONF, command
from inpaintlab.sweeps import SweepFolder, best_job, by_seed, overview, summary

_FOLDER = ("--config-dir", "-cd")


@command("sweep status")
def status(cfg: DictConfig) -> None:
    """Print each job's state, batches, best validation score and time, the means over seeds, and the best job."""
    sweep = SweepFolder.load(Path(cfg.sweep))
    console = Console()
    for table in filter(None, [overview(sweep), by_seed(sweep)]):
        console.print(table, markup=False, highlight=False)
    if best := best_job(sweep):
        console.print(best, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{sweep.path}: {summary(sweep.states())}", markup=False, highlight=False, soft_wrap=True)


def export() -> None:
    """Print the W&B sweep that does what ``inpaintlab train -m`` does with the same overrides."""
    if len(sys.argv) < 3 or sys.argv[1] != "wandb":
        print("usage: inpaintlab sweep export wandb KEY=VALUE,VALUE ... > sweep.yaml", file=sys.stderr)
        raise SystemExit(2)
    try:
        print(yaml.safe_dump(wandb_sweep(quoted(CONF, "sweep export", sys.argv[2:])), sort_keys=False), end="")
    except (HydraException, ValueError) as error:
        print(f"inpaintlab sweep export: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None


def wandb_sweep(overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration of a W&B sweep from the overrides of a Hydra multirun.

    Its agents call ``inpaintlab train`` with ``${args_no_hyphens}``, the form ``key=value`` that Hydra reads. A grid,
    or a Bayesian search where an interval has no end of values; the metric is the setting ``monitor``.

    Raises:
        ValueError: no override takes several values.
    """
    folders = [folder for flag, folder in pairwise(overrides) if flag in _FOLDER]
    parsed = OverridesParser.create().parse_overrides(settings_of(overrides))
    search = [override.input_line for override in parsed if override.key_or_group == "hydra.searchpath"]
    # an agent is the launcher, and its runs are named by their own settings
    parsed = [entry for entry in parsed if not entry.is_hydra_override() and entry.get_key_element() != "name"]
    swept = [override for override in parsed if override.is_sweep_override()]
    fixed = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
    if not swept:
        raise ValueError("Nothing is swept; give a setting several values, as in seed=1,2,3.")
    more = [f"hydra.searchpath={[f'file://{Path(folder).absolute()}' for folder in folders]}"] if folders else search
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        monitor = compose("train", [*more, *fixed]).monitor
    parameters = {override.get_key_element(): _parameter(override) for override in swept}
    flags = [part for folder in folders for part in ("--config-dir", folder)]
    endless = any("values" not in parameter for parameter in parameters.values())
    return {
        "method": "bayes" if endless else "grid",
        "metric": {"name": monitor.name, "goal": "maximize" if monitor.higher_is_better else "minimize"},
        "parameters": parameters,
        "command": ["inpaintlab", "train", *flags, *search, *fixed, "${args_no_hyphens}"],
    }


def _parameter(override: Override) -> dict[str, Any]:
    """A swept setting in the words of W&B: numbers as such, anything else as Hydra's text."""
    values = override.value()
    if isinstance(values, IntervalSweep):
        assert values.start is not None
        assert values.end is not None
        kind = "int_uniform" if isinstance(values.start, int) and isinstance(values.end, int) else "uniform"
        if "log" in values.tags:
            kind = {"uniform": "log_uniform_values", "int_uniform": "q_log_uniform_values"}[kind]
        return {"distribution": kind, "min": values.start, "max": values.end}
    return {"values": [_number(text) for text in dict.fromkeys(override.sweep_string_iterator())]}


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


WORDS = {"status": status, "export": export}


def main() -> None:
    """Entry of ``inpaintlab sweep status DIR`` and ``inpaintlab sweep export wandb KEY=VALUE,VALUE ...``."""
    words, sys.argv[1:] = read("sweep", sys.argv[1:])
    WORDS[words.removeprefix("sweep ")]()


if __name__ == "__main__":
    main()
