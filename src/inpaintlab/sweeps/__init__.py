"""Sweeps: many trainings from one command."""

from inpaintlab.sweeps.best import best_job
from inpaintlab.sweeps.folder import Job, SweepFolder, by_seed, overview, summary, sweep_name
from inpaintlab.sweeps.job import Training, planned_batches, run_job
from inpaintlab.sweeps.launching import Launcher, OnThisMachine, Submitit
from inpaintlab.sweeps.optuna_search import OptunaSearch
from inpaintlab.sweeps.search import Grid, Listed, Search, combinations

__all__ = [
    "Grid",
    "Job",
    "Launcher",
    "Listed",
    "OnThisMachine",
    "OptunaSearch",
    "Search",
    "Submitit",
    "SweepFolder",
    "Training",
    "best_job",
    "by_seed",
    "combinations",
    "overview",
    "planned_batches",
    "run_job",
    "summary",
    "sweep_name",
]
