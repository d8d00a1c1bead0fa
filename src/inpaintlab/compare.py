"""Compare methods: result folders of one manifest become tables with their statistics and one HTML report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.arguments import read
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
from inpaintlab.evaluation import Result
from inpaintlab.machine import write_texts
from inpaintlab.report import asked_for, html_page, track_comparison


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
    """Compare the result folders and write table.md, .csv and .tex, costs.csv, seeds.csv and report.html into `out`.

    The report holds the pictures of at most `pictures` test images; `root` is where their photographs lie on this
    machine, if not where they lay when the manifest was frozen. Differences are taken from the method called
    `reference`, without one from the best of each column; `published` names tables of papers to set beside the measured
    numbers (see `load_papers`); table.md and table.tex print each mean's interval unless `intervals` is False.

    Raises ValueError, in one sentence, when a folder is not a whole result, when the results do not belong together
    (`check`), when there is no such reference or published table, or when a completed picture is missing; then nothing
    is written.
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
    out.mkdir(parents=True, exist_ok=True)
    write_texts(out, texts)
    return table


@command("compare")
def run(cfg: DictConfig) -> None:
    """Compare the folders in `cfg.results` or those of a study, print the tables and say where the files are."""
    console = Console()
    build = None
    if cfg.get("logger"):
        build = asked_for(cfg.logger, "a comparison")
    if cfg.study is not None:
        cfg = _studied(cfg, HydraConfig.get().overrides.task, console)
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
    shown = list(table.metrics)[: cfg.printed]
    for view in [*terminal_tables(table, shown), *seeds_tables(table, shown), *costs_tables(table.results)]:
        console.print(view)
    notes = [table.caption("*", "~"), *table.notes(), *table.left_out(shown), *costs_notes(table.results)]
    if seed_groups(table.results):
        notes.append(SEEDS_NOTE)
    if more := len(table.metrics) - len(shown):
        notes.append(f"{more} more metrics stand in the files.")
    files = "table.md, table.csv, table.tex, costs.csv and seeds.csv"
    for note in [*notes, f"Wrote {out / 'report.html'}, {files}."]:
        console.print(note, markup=False, highlight=False)
    if build is not None:
        track_comparison(build, table, out, cfg.log_per_image)


def _studied(cfg: DictConfig, given: Sequence[str], console: Console) -> DictConfig:
    """The settings of a study's comparison, with ``given`` on top, once every result that it names is there."""
    from inpaintlab.evaluation import (  # brings every method and metric, which tables do without
        Study,
        evaluate_missing,
        look_for_results,
    )

    if cfg.results:
        raise ValueError("study=... names its own results: give a study or result folders, not both.")
    found = Study.load(Path(cfg.study))
    cfg = found.comparison(given)
    folders, missing = look_for_results(found)
    check_settings([folder.name for folder in folders], Path(cfg.out), cfg.pictures, cfg.reference, cfg.published)
    evaluate_missing(found, missing, console)
    cfg.results = [str(folder) for folder in folders]
    return cfg


def main() -> None:
    """Entry of `inpaintlab compare RESULTS... [out=comparison] [pictures=48]`."""
    _, sys.argv[1:] = read("compare", sys.argv[1:])
    run()


if __name__ == "__main__":
    main()
