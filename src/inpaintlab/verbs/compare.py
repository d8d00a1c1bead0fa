"""Compare methods: result folders of one manifest become tables with their statistics and one HTML report."""

import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.commandline import read
from inpaintlab.comparison import (
    SEEDS_NOTE,
    check_settings,
    costs_notes,
    costs_tables,
    seed_groups,
    seeds_tables,
    terminal_tables,
)
from inpaintlab.config import command
from inpaintlab.evaluation import Study, evaluate_missing, look_for_results
from inpaintlab.programs import write_comparison
from inpaintlab.report import chosen_tracker, track_comparison
from inpaintlab.trust import passed_on


@command("compare")
def run(cfg: DictConfig) -> None:
    """Compare the result folders of the settings or of a study, print the tables, and say where the files are."""
    console = Console()
    build = None
    if cfg.get("logger"):
        build = chosen_tracker(cfg.logger, "a comparison")
    if cfg.study is not None:
        cfg = _of_study(cfg, console)
    out = Path(cfg.out)
    table = write_comparison(
        [Path(folder) for folder in cfg.results],
        out,
        cfg.pictures,
        cfg.root,
        reference=cfg.reference,
        published=cfg.published,
        intervals=cfg.intervals,
    )
    printed = list(table.metrics)[: cfg.printed]
    for view in [*terminal_tables(table, printed), *seeds_tables(table, printed), *costs_tables(table.results)]:
        console.print(view)
    notes = [table.caption("*", "~"), *table.notes(), *table.left_out(printed), *costs_notes(table.results)]
    if seed_groups(table.results):
        notes.append(SEEDS_NOTE)
    if more := len(table.metrics) - len(printed):
        notes.append(f"{more} more metrics stand in the files.")
    files = "table.md, table.csv, table.tex, costs.csv and seeds.csv"
    for note in [*notes, f"Wrote {out / 'report.html'}, {files}."]:
        console.print(note, markup=False, highlight=False)
    if build is not None:
        track_comparison(build, table, out, cfg.log_per_image)


def _of_study(cfg: DictConfig, console: Console) -> DictConfig:
    """The settings of a study's comparison, overridden by the command line, after evaluating its missing results."""
    if cfg.results:
        raise ValueError("study=... names its own results: give a study or result folders, not both.")
    study, hydra = Study.load(Path(cfg.study)), HydraConfig.get()
    cfg = study.comparison(hydra.overrides.task)
    folders, missing = look_for_results(study)
    check_settings([folder.name for folder in folders], Path(cfg.out), cfg.pictures, cfg.reference, cfg.published)
    evaluate_missing(study, missing, console, [*passed_on(hydra), f"trust=[{','.join(cfg.trust)}]"])
    cfg.results = [str(folder) for folder in folders]
    return cfg


def main() -> None:
    """Entry of `inpaintlab compare RESULTS... [out=comparison] [pictures=48]`."""
    _, sys.argv[1:] = read("compare", sys.argv[1:])
    run()


if __name__ == "__main__":
    main()
