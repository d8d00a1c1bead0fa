"""Score one method on one manifest and write its result folder."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from lightning import seed_everything
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.config import command
from inpaintlab.evaluation import Plan, Result, evaluate, plan_evaluation
from inpaintlab.inpainting import CompileTimer, compile_generators, device_type
from inpaintlab.machine import ending_tidily
from inpaintlab.runs import lines_of_choice
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
    build = None
    if cfg.get("logger"):
        from inpaintlab.report import chosen_tracker, track_result  # brings what draws the page, which takes a moment

        build = chosen_tracker(cfg.logger, "an evaluation")
    hydra = HydraConfig.get()
    plan = plan_evaluation(cfg, hydra.runtime.choices.get("model"), hydra.overrides.task)
    if plan.compiled and plan.missing:
        compile_generators(plan.model, device_type(cfg.trainer.accelerator))
    console = Console()
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # Lightning sets it in each process
    for line in lines_of_choice(cfg.checkpoint, plan.checkpoint) if first else ():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    with plan.reserved() if first and plan.missing else nullcontext():
        for folder in plan.finished:
            message = f"{folder.name}: {folder} is there already and is of the same inputs"
            console.print(message, markup=False, highlight=False)
        wrote = bool(plan.missing) and _evaluate(cfg, plan, console)
    for result in plan.missing if wrote else []:
        message = f"{result.folder.name}: {len(plan.manifest.items)} images -> {result.folder}"
        console.print(message, markup=False, highlight=False)
        if build is not None:
            track_result(build, Result.load(result.folder))


def _evaluate(cfg: DictConfig, plan: Plan, console: Console) -> bool:
    """Score the missing results; whether this process wrote them."""
    Path(cfg.results).mkdir(parents=True, exist_ok=True)
    with ending_tidily(), CompileTimer() if plan.compiled else nullcontext() as watch:
        wrote = evaluate(
            plan.model,
            plan.manifest,
            plan.set_metrics,
            partial(predicting_trainer, cfg.trainer, precision=plan.precision),
            plan.missing,
            root=cfg.root,
            mask_root=cfg.mask_root,
            batch_size=cfg.batch_size,
            workers=cfg.workers,
            cache=Path(cfg.cache),
            resamples=cfg.resamples,
        )
    if watch and wrote:
        console.print(f"compiled the networks: {watch.taken():.1f} s", highlight=False)
    return wrote


if __name__ == "__main__":
    main()
