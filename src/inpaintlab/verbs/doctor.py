"""The command ``inpaintlab doctor``: look at every file of a data set before a run trips over it."""

from collections import Counter, defaultdict

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress

from inpaintlab.config import command
from inpaintlab.data import Finding, Shards, Source, examine, require_chosen, splits_found
from inpaintlab.recipes import pictures_in_words, plain

EXAMPLES = 5
"""How many files are named for each kind of note; all errors are named."""


def report(findings: list[Finding], files: Counter[str], console: Console) -> int:
    """Print all errors, examples of each kind of note and a summary.

    Args:
        findings: see `examine`.
        files: number of files in each split.
        console: the terminal.

    Returns:
        The exit code: 1 if there are errors.
    """
    errors = [finding for finding in findings if finding.is_error]
    for error in errors:
        console.print(f"error  {error.kind}, {error.subject}: {error.sentence}", markup=False, soft_wrap=True)

    notes: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if not finding.is_error:
            notes[finding.kind].append(finding)
    for kind, alike in notes.items():
        for note in alike[:EXAMPLES]:
            console.print(f"note   {kind}, {note.subject}: {note.sentence}", markup=False, soft_wrap=True)
        if len(alike) > EXAMPLES:
            console.print(f"note   {kind}: {len(alike) - EXAMPLES} more files", markup=False, soft_wrap=True)

    counted = ", ".join(f"{count} in {split}" for split, count in files.items()) or (
        "none" if errors else "none, the pictures are generated"
    )
    verdict = "Mend the errors before training." if errors else "The data is fit for use."
    summary = f"Files: {counted}. Errors: {len(errors)}. Notes: {len(findings) - len(errors)}. {verdict}"
    console.print(summary, markup=False, soft_wrap=True)
    return 1 if errors else 0


@command("doctor")
def main(cfg: DictConfig) -> None:
    """Examine the data of the configuration; exit code 1 when something must be mended."""
    require_chosen(cfg, "examined")
    source: Source = instantiate(cfg.data.source, _convert_="all")
    if isinstance(source, Shards):
        raise ValueError("Shards are examined as they are packed: inpaintlab shard ... verify=true checks every byte.")
    console = Console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("examining files", total=None)
        findings = examine(
            source,
            instantiate(cfg.data.crop, _convert_="all"),
            instantiate(cfg.mask, _convert_="all") if "mask" in cfg else None,  # a group without a choice has no key
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(
        f"Examined {pictures_in_words(plain(cfg.data.source))}.", markup=False, highlight=False, soft_wrap=True
    )
    raise SystemExit(report(findings, _count(source), console))


def _count(source: Source) -> Counter[str]:
    counted: Counter[str] = Counter()
    for split in splits_found(source)[1]:
        counted[split] = len(source.files(split))
    return +counted


if __name__ == "__main__":
    main()
