"""Score one method on one manifest and write its result folder."""

from hydra.core.hydra_config import HydraConfig
from lightning import seed_everything
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.config import command
from inpaintlab.programs import score
from inpaintlab.survival import require_launcher
from inpaintlab.training import predicting_trainer, quieten


@command("evaluate")
def main(cfg: DictConfig) -> None:
    """Build the method, score it, and print where the result is."""
    quieten()
    require_launcher()
    # what Lightning refuses is told before anything is made; the precision is chosen by the plan
    predicting_trainer(cfg.trainer, precision=None)
    seed_everything(cfg.seed, workers=True, verbose=False)
    hydra = HydraConfig.get()
    score(cfg, hydra.runtime.choices.get("model"), hydra.overrides.task, Console())


if __name__ == "__main__":
    main()
