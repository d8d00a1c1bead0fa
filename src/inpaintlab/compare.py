"""Compare methods: result folders of one manifest become tables with their statistics and one HTML report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.arguments import read
from inpaintlab.config import command
from inpaintlab.report import page
from inpaintlab.report.costs import csv as costs_csv
from inpaintlab.report.costs import latex as costs_latex
from inpaintlab.report.costs import markdown as costs_markdown
from inpaintlab.report.costs import notes as costs_notes
from inpaintlab.report.costs import terminal as costs_tables
from inpaintlab.report.formats import csv, markdown, terminal_tables
from inpaintlab.report.latex import latex
from inpaintlab.report.published import Published, load
from inpaintlab.report.seeds import NOTE, groups
from inpaintlab.report.seeds import csv as seeds_csv
from inpaintlab.report.seeds import markdown as seeds_markdown
from inpaintlab.report.seeds import terminal as seeds_tables
from inpaintlab.report.table import Table, tabulate
from inpaintlab.results import Metric, Result, write_texts


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
    numbers (see `load`); table.md and table.tex print each mean's interval unless `intervals` is False.

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
    table = tabulate(loaded, reference, _comparable(load(published), loaded))
    texts = {
        "table.md": markdown(table, intervals) + seeds_markdown(table) + costs_markdown(table.results),
        "table.csv": csv(table),
        "costs.csv": costs_csv(table.results),
        "seeds.csv": seeds_csv(table),
        "table.tex": latex(table, intervals) + costs_latex(table.results),
        "report.html": page(table, pictures, root),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_texts(out, texts)
    return table


def check(results: list[Result]) -> None:
    """Refuse to put results into one table that do not belong there.

    Raises ValueError when the manifests differ, when the images or masks differ although the manifests' hashes agree,
    when two results have one label, or when two results define a metric differently.
    """
    _check_manifests(results)
    seen: dict[str, Result] = {}
    for result in results:
        if other := seen.get(result.label):
            raise ValueError(
                f'Two results are called "{result.label}" ({other.folder} and {result.folder}): '
                "evaluate one of them again with another label=..."
            )
        seen[result.label] = result
    for metric in {name: None for result in results for name in result.metrics}:
        first, *others = [result for result in results if metric in result.metrics]
        for other in others:
            if other.metrics[metric] != first.metrics[metric]:
                raise ValueError(
                    f"{metric} means different things in {first.folder} ({_in_words(first.metrics[metric])}) and in "
                    f"{other.folder} ({_in_words(other.metrics[metric])}): evaluate one of them again, "
                    "so that both use one definition."
                )


def check_settings(
    labels: Sequence[str], out: Path, pictures: int, reference: str | None, published: Sequence[str]
) -> None:
    """Refuse settings of a comparison of methods with these `labels` that cannot be met.

    Raises ValueError when a number is negative, `out` is a file, or there is no such reference or published table.
    """
    if pictures < 0:
        raise ValueError(f"pictures={pictures} is negative: give the number of test images that the report shows.")
    if out.exists() and not out.is_dir():
        raise ValueError(f"out={out} is a file: name the folder that the tables and the report go to.")
    if reference is not None and reference not in labels:
        raise ValueError(f"reference={reference} is none of the results: give one of {', '.join(labels)}.")
    load(published)


def _in_words(metric: Metric) -> str:
    direction = "higher" if metric.higher_is_better else "lower"
    return f"{metric.definition} Unit: {metric.unit or 'none'}, {direction} is better"


def _comparable(published: list[Published], results: list[Result]) -> list[Published]:
    """The published methods, if any number of theirs can stand in a column of its own definition."""
    measured = {metric for result in results for metric in result.metrics}
    theirs = dict.fromkeys(metric for method in published for metric, _ in method.means)
    if published and not measured & set(theirs):
        raise ValueError(
            f"The published numbers are {', '.join(theirs)}, and no result was scored so: evaluate with those metrics, "
            "or leave out published=."
        )
    return published


def _check_manifests(results: list[Result]) -> None:
    hashes = {result.manifest["sha256"] for result in results}
    if len(hashes) > 1:
        which = ", ".join(f"{result.folder} has {result.manifest['sha256'][:12]}" for result in results)
        raise ValueError(
            f"The results come from different manifests ({which}): evaluate every method on the same manifest."
        )
    columns = ["name", "bin", "mask_sha256"]
    first = results[0].per_image.select(columns).sort("name")
    for other in results[1:]:
        if not first.equals(other.per_image.select(columns).sort("name")):
            raise ValueError(
                f"{results[0].folder} and {other.folder} name the same manifest, but their per_image.parquet list "
                "other images or masks: evaluate both again."
            )


@command("compare")
def run(cfg: DictConfig) -> None:
    """Compare the folders in `cfg.results` or those of a study, print the tables and say where the files are."""
    console = Console()
    build = None
    if cfg.get("logger"):
        from inpaintlab.report.tracked import asked_for, track_comparison  # W&B takes a second to import

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
    if groups(table.results):
        notes.append(NOTE)
    if more := len(table.metrics) - len(shown):
        notes.append(f"{more} more metrics stand in the files.")
    files = "table.md, table.csv, table.tex, costs.csv and seeds.csv"
    for note in [*notes, f"Wrote {out / 'report.html'}, {files}."]:
        console.print(note, markup=False, highlight=False)
    if build is not None:
        track_comparison(build, table, out, cfg.log_per_image)


def _studied(cfg: DictConfig, given: Sequence[str], console: Console) -> DictConfig:
    """The settings of a study's comparison, with ``given`` on top, once every result that it names is there."""
    from inpaintlab.study import Study, evaluate, look  # brings every method and metric, which tables do without

    if cfg.results:
        raise ValueError("study=... names its own results: give a study or result folders, not both.")
    found = Study.load(Path(cfg.study))
    cfg = found.comparison(given)
    folders, missing = look(found)
    check_settings([folder.name for folder in folders], Path(cfg.out), cfg.pictures, cfg.reference, cfg.published)
    evaluate(found, missing, console)
    cfg.results = [str(folder) for folder in folders]
    return cfg


def main() -> None:
    """Entry of `inpaintlab compare RESULTS... [out=comparison] [pictures=48]`."""
    _, sys.argv[1:] = read("compare", sys.argv[1:])
    run()


if __name__ == "__main__":
    main()
