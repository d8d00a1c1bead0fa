"""How the trainings of a sweep are started: some at a time on this machine, or as jobs that submitit starts.

Hydra's own plug-ins for joblib and submitit are not used. A job is a process of its own anyway, so that a thread which
waits for it is all that this machine needs, and what is left of the plug-in for submitit is a call of it.
"""

import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any, Literal, final

from inpaintlab.machine import cores
from inpaintlab.sweeps.job import Training, run_job

Failures = list[tuple[Training, str]]
"""The trainings that could not be started or waited for, each with the reason in a sentence."""

_OF_ALL_CLUSTERS = ("name", "nodes", "tasks_per_node", "cpus_per_task", "gpus_per_node", "mem_gb", "timeout_min")
"""What submitit calls alike for all its clusters; its names for any other option begin with that of the cluster."""


class Launcher(ABC):
    """Starts the trainings of a sweep, and waits for them."""

    @abstractmethod
    def launch(self, trainings: Sequence[Training]) -> Failures:
        """Start trainings, and return when all have ended.

        A training that fails says so in its own folder (see `run_job`); what is returned never came so far.
        """


@final
class OnThisMachine(Launcher):
    """Starts trainings on this machine, ``n_jobs`` at a time.

    Where several run at once, each gets its share of the cores as ``OMP_NUM_THREADS``, unless that is set: all of them
    with a thread a core would wait for each other. All use the same GPUs.

    Args:
        n_jobs: how many run at a time; negative as in joblib: -1 for one a core, -2 for one core less.

    Raises:
        ValueError: ``n_jobs`` is no such number.
    """

    def __init__(self, n_jobs: Any = 1) -> None:
        if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
            raise ValueError(
                f"hydra.launcher.n_jobs is {n_jobs}; give how many trainings run at a time, or -1 for one a core."
            )
        self.n_jobs = n_jobs if n_jobs > 0 else max(1, cores() + 1 + n_jobs)

    def launch(self, trainings: Sequence[Training]) -> Failures:
        """Start them in their order, each when another one has ended.

        An exception here, such as that of Ctrl-C, ends those that run (they save first); the others are not started.
        """
        at_once = min(self.n_jobs, len(trainings))
        variables = {}
        if at_once > 1:
            threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // at_once))
            variables = {"OMP_NUM_THREADS": threads}
            print(
                f"{at_once} trainings at a time, which share this machine's GPUs and memory; each computes on the CPU "
                f"with OMP_NUM_THREADS={threads}, of {cores()} cores"
            )
        ending = threading.Event()
        with ThreadPoolExecutor(at_once) as pool:
            try:
                started = [pool.submit(run_job, training, ending, variables) for training in trainings]
                errors = [future.exception() for future in started]
            except BaseException:
                print("Asked to end: what runs saves first; the same command goes on from there.", flush=True)
                ending.set()
                pool.shutdown(wait=False, cancel_futures=True)  # leaving the context waits for those that end
                raise
        for error in errors:
            if error is not None and not isinstance(error, (OSError, ValueError)):
                raise error
        return [(training, str(error)) for training, error in zip(trainings, errors, strict=True) if error is not None]


@final
class Submitit(Launcher):
    """Starts trainings as jobs of SLURM, or of submitit's stand-in for it on this machine.

    A job that is asked to end, because its time is nearly up or another one needs its place, saves and is put back into
    the queue.

    Args:
        cluster: ``slurm``, or ``local`` for processes of this machine, all at once.
        submitit_folder: where submitit keeps its scripts and logs; ``%j`` stands for a job's number.
        max_num_timeout: how often a job is put back after its time was up.
        options: what submitit asks the cluster for, by its names; None leaves one to the cluster.

    Raises:
        ValueError: submitit is not installed, or there is no SLURM here.
    """

    def __init__(
        self, cluster: Literal["slurm", "local"], submitit_folder: str, max_num_timeout: int = 0, **options: Any
    ) -> None:
        if find_spec("submitit") is None:
            raise ValueError('This launcher needs submitit, which is in an extra: pip install "inpaintlab[sweeps]".')
        if cluster == "slurm" and (missing := [name for name in ("sbatch", "srun") if shutil.which(name) is None]):
            raise ValueError(
                f"There is no SLURM here: no program is called {missing[0]}. Start the sweep on a machine that submits "
                "jobs, or use hydra/launcher=joblib for this one."
            )
        self.cluster = cluster
        self.folder = submitit_folder
        self.max_num_timeout = max_num_timeout
        self.options = options

    def launch(self, trainings: Sequence[Training]) -> Failures:
        """Submit all as one array, and wait until the last of them has ended, in the queue or out of it.

        Raises:
            ValueError: submitit does not know an option, or the cluster refused the jobs.
        """
        from submitit.core.utils import FailedSubmissionError, UncompletedJobError

        try:
            jobs = self._executor().map_array(_Requeued(), trainings)
        except (AssertionError, NameError, FailedSubmissionError) as error:  # of a wrong type, unknown, refused
            raise ValueError(f"hydra.launcher: {' '.join(str(error).split())}") from error
        place = "SLURM's queue" if self.cluster == "slurm" else "processes of submitit"
        print(f"{len(jobs)} jobs are in {place}, from {jobs[0].job_id} on; logs of their start: {jobs[0].paths.folder}")
        failures = []
        try:
            for training, job in zip(trainings, jobs, strict=True):
                try:
                    job.results()
                except UncompletedJobError:
                    failures.append((training, f"job {job.job_id} ended as {job.state}, see {job.paths.stderr}"))
        except KeyboardInterrupt:
            print("The jobs go on without this command; the same command later waits for them, or starts what is left.")
            raise
        return failures

    def _executor(self) -> Any:
        import submitit

        executor = submitit.AutoExecutor(self.folder, self.cluster, slurm_max_num_timeout=self.max_num_timeout)
        executor.update_parameters(
            **{key if key in _OF_ALL_CLUSTERS else f"{self.cluster}_{key}": self.options[key] for key in self.options}
        )
        return executor


class _Requeued:
    """What submitit calls in a job."""

    def __call__(self, training: Training) -> None:
        run_job(training)

    def checkpoint(self, training: Training) -> Any:
        """The same again: the training goes on from its own last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, training)
