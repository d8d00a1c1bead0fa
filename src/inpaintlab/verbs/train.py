"""Train a model: compose, seed, build, fit. The same command again resumes where it stopped."""

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from inpaintlab.config import command
from inpaintlab.machine import receiving_requests
from inpaintlab.runs import listen
from inpaintlab.training import build_and_fit


@command("train")
def main(cfg: DictConfig) -> None:
    """Train until the end, or until a signal asks this process to save and leave."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        raise ValueError("A sweep trains each job in a process of its own: use hydra/sweeper=grid, list or optuna.")
    listen(hydra.overrides.task)
    with receiving_requests() as request:
        build_and_fit(cfg, dict(hydra.runtime.choices), request)


if __name__ == "__main__":
    main()
