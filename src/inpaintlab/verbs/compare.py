"""Compare methods: result folders of one manifest become tables with their statistics and one HTML report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.commandline import read
from inpaintlab.comparison import (
    SEEDS_NOTE,
    Table,
    check,
    check_settings,
    comparable,
    costs_csv,
    costs_latex,
    costs_markdown,
    costs_notes,
    costs_tables,
    load_papers,
    seed_groups,
    seeds_csv,
    seeds_markdown,
    seeds_tables,
    table_csv,
    table_latex,
    table_markdown,
    tabulate,
    terminal_tables,
)
from inpaintlab.config import command
from inpaintlab.evaluation import Result, Study, evaluate_missing, look_for_results
from inpaintlab.machine import alone, write_texts
from inpaintlab.report import chosen_tracker, html_page, track_comparison
from inpaintlab.trust import passed_on


def compare(
    results: list[Path],
    out: Path,
    pictures: int,
    root: str | None = None,
    *,
    reference: str | None = None,
    published: Sequence[str] = (),
    intervals: bool = True,
) -> Table:
    """Compare result folders, and write table.md, .csv and .tex, costs.csv, seeds.csv and report.html into ``out``.

    Args:
        results: the result folders.
        out: the folder for the files; it is made.
        pictures: the most test images with pictures in the report.
        root: the folder of the photographs on this machine, if they have moved since the manifest was frozen.
        reference: the label that differences are taken from; None for the best of each column.
        published: names of papers' tables to show beside the measured numbers (see `load_papers`).
        intervals: whether table.md and table.tex show the interval of each mean.

    Raises:
        ValueError: a folder is not a complete result, the results do not belong together (see `check`), there is no
            such reference or published table, or a completed picture is missing. Nothing is written then.
    """
    if not results:
        raise ValueError(
            "There is nothing to compare: give result folders, as in `inpaintlab compare results/glcic results/telea`."
        )
    loaded = [Result.load(folder) for folder in results]
    check(loaded)
    check_settings([result.label for result in loaded], out, pictures, reference, published)
    table = tabulate(loaded, reference, comparable(load_papers(published), loaded))
    texts = {
        "table.md": table_markdown(table, intervals) + seeds_markdown(table) + costs_markdown(table.results),
        "table.csv": table_csv(table),
        "costs.csv": costs_csv(table.results),
        "seeds.csv": seeds_csv(table),
        "table.tex": table_latex(table, intervals) + costs_latex(table.results),
        "report.html": html_page(table, pictures, root),
    }
    with alone(out / ".lock"):  # two comparisons would mix their files
        write_texts(out, texts)
    return table


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
    table = compare(
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
