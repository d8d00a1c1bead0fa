"""Sweeps: many trainings from one command."""

from inpaintlab.sweeps.folder import Job, SweepFolder, by_seed, overview, summary, sweep_name
from inpaintlab.sweeps.job import SWEEP, planned_batches, run_job
from inpaintlab.sweeps.optuna_search import OptunaSearch
from inpaintlab.sweeps.search import Grid, Listed, Search

__all__ = [
    "SWEEP",
    "Grid",
    "Job",
    "Listed",
    "OptunaSearch",
    "Search",
    "SweepFolder",
    "by_seed",
    "overview",
    "planned_batches",
    "run_job",
    "summary",
    "sweep_name",
]
