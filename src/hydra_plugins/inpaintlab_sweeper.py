"""The sweeper of ``inpaintlab train -m``. It is here because Hydra finds plugins only in this namespace."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

if TYPE_CHECKING:
    from inpaintlab.sweeps import Job, SweepFolder

_LEFT_ALONE = ("running", "stopped")


@final
class JobSweeper(Sweeper):
    """Runs the jobs that a search chooses, except those that are done, running or given up.

    Args:
        search: an ``inpaintlab.sweeps.Search``, which chooses the jobs.
        params: sweeps from a file, key to values; those on the command line replace them.
    """

    def __init__(self, search: Any, params: dict[str, str] | None = None) -> None:
        self.search = search
        self.params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep Hydra's context and settings. The task is not used: each job runs in a process of its own."""
        self.context = hydra_context
        self.settings = config

    def sweep(self, arguments: list[str]) -> None:
        """Run the sweep.

        Args:
            arguments: the overrides on the command line.

        Raises:
            SystemExit: with exit code 1 unless every job is done or given up.
        """
        from inpaintlab.config import CONF, hydra_has_composed
        from inpaintlab.mistakes import MISTAKES, of_composing

        hydra_has_composed()
        try:
            unfinished = self._run(arguments)
        except MISTAKES as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            print(f"inpaintlab train: {of_composing(error, CONF, 'train', arguments)}", file=sys.stderr)
            raise SystemExit(1) from None
        if unfinished:
            raise SystemExit(1)

    def _run(self, arguments: list[str]) -> bool:
        """Run the sweep. Returns whether a job is neither done nor given up."""
        from inpaintlab.runs import named_folder
        from inpaintlab.sweeps import (  # imported here, because Hydra scans this module at every start
            SWEEP,
            SweepFolder,
            run_job,
            sweep_name,
        )

        fixed, swept = self._divided(arguments)
        keys = [override.get_key_element() for override in swept]
        name = self.settings.name
        folder = named_folder(self.settings.runs, sweep_name(keys, fixed) if name in (None, "") else name)
        if folder.parent != Path(self.settings.runs):
            raise ValueError(f"name={name} has a slash; a sweep's folder lies in {self.settings.runs} itself.")
        sweep = SweepFolder.opened(folder, fixed)
        with open_dict(self.settings):
            self.settings.name = folder.name  # where a launcher keeps its own files
        os.environ[SWEEP] = str(os.getpid())
        launcher = self._launcher(run_job)
        chosen: list[str] = []
        for batch in self.search.batches(sweep, fixed, swept):
            todo = self._new(sweep, batch)
            for job in launcher.launch(todo, initial_job_idx=len(chosen)) if todo else ():
                if job.status == JobStatus.FAILED:  # the launcher failed; a failed training is recorded in its folder
                    reason = " ".join(str(job._return_value).split())
                    print(f"inpaintlab train: a job was not started ({job.overrides}): {reason}", file=sys.stderr)
            chosen += [job.name for job in batch]
        return _print_results(sweep, chosen)

    def _new(self, sweep: "SweepFolder", batch: "list[Job]") -> list[list[str]]:
        """The overrides of the jobs that are to be started, after all jobs of the batch were composed and recorded."""
        from inpaintlab.runs import NAME_RULE, is_name, state_of
        from inpaintlab.settings import require_values
        from inpaintlab.sweeps import planned_batches, summary

        if len({job.name for job in batch}) < len(batch):
            raise ValueError("Two jobs of the sweep have one name; call them differently.")
        if long := [job.name for job in batch if not is_name(job.name)]:
            raise ValueError(f"A job would be called {long[0]}, but a name is {NAME_RULE}; call it differently.")
        commands = {job.name: [*job.overrides, f"name='{sweep.path.name}/{job.name}'"] for job in batch}
        states = {}
        for job, command in commands.items():
            cfg = self.context.config_loader.load_sweep_config(self.settings, command)
            require_values("train", cfg)
            states[job] = state_of(sweep.path / job, planned_batches(cfg))
        sweep.add(batch)
        left_alone = _LEFT_ALONE if sweep.moved else ("done", *_LEFT_ALONE)
        todo = [command for job, command in commands.items() if states[job] not in left_alone]
        print(f"{sweep.path}: {summary(states)}; {len(todo)} to start, each tells in its output.log")
        return todo

    def _divided(self, arguments: list[str]) -> tuple[list[str], list[Override]]:
        """The overrides that all jobs share, and those that take several values."""
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        given = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        last = {override.get_key_element(): override for override in parser.parse_overrides(given)}
        swept = [override for override in last.values() if override.is_sweep_override()]
        for override in last.values():
            if override.get_key_element().lstrip("+").partition(".")[0] == "debug":
                raise ValueError(f"{override.input_line}: a debug run leaves nothing to compare; give it without -m.")
        for override in swept:
            if override.get_key_element() in ("name", "runs"):
                raise ValueError(f"{override.input_line}: a sweep has one folder, in which its jobs have their own.")
        last.pop("name", None)
        return [_in_words(override) for override in last.values() if not override.is_sweep_override()], swept

    def _launcher(self, task: TaskFunction) -> Launcher:
        try:
            return Plugins.instance().instantiate_launcher(self.context, task, self.settings)
        except (ImportError, RuntimeError) as error:
            target = self.settings.hydra.launcher._target_
            raise ValueError(f'The launcher {target} is not installed: pip install "inpaintlab[sweeps]".') from error


def _print_results(sweep: "SweepFolder", chosen: list[str]) -> bool:
    """Print the states and scores of the chosen jobs. Returns whether one of them is neither done nor given up."""
    from rich.console import Console

    from inpaintlab.sweeps import by_seed, overview, summary

    console = Console()
    for table in filter(None, [overview(sweep), by_seed(sweep)]):
        console.print(table)
    states = {job: state for job, state in sweep.states().items() if job in chosen}
    print(f"{sweep.path}: {summary(states)}")
    return any(state not in ("done", "stopped") for state in states.values())


def _in_words(override: Override) -> str:
    if override.is_delete():
        return str(override.input_line)
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"
