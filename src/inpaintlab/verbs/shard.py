"""The command ``inpaintlab shard``: pack a folder of pictures into tar files, and check what was packed."""

import os
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress

from inpaintlab.config import command
from inpaintlab.data import LIST, Folder, PictureFormat, Shards, Watch, plan_shards, shard_faults, write_shards


@command("shard")
def main(cfg: DictConfig) -> None:
    """Write the shards that are missing, or check those that are there; exit code 1 where they differ."""
    out, splits = Path(cfg.out).expanduser(), list(cfg.splits)
    console = Console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("packing", total=None)

        def watch(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        if not (cfg.verify and (out / LIST).is_file()):
            _pack(cfg, out, splits, watch)
        packed = Shards(str(out))
        found = []
        if cfg.verify:
            progress.update(task, description="verifying", completed=0)
            for fault in shard_faults(packed, splits, watch):
                found.append(fault)
                console.print(fault, markup=False, soft_wrap=True)
    counts = ", ".join(f"{packed.count(split)} {split} in {len(packed.shards(split))} shards" for split in splits)
    verdict = "" if not cfg.verify else f" {len(found)} faults." if found else " Every byte is as it was written."
    console.print(f"{out}: {counts}.{verdict}", markup=False, soft_wrap=True)
    raise SystemExit(1 if found else 0)


def _pack(cfg: DictConfig, out: Path, splits: list[str], watch: Watch) -> None:
    source = instantiate(cfg.data.source, _convert_="all")
    if not isinstance(source, Folder):
        raise ValueError(f"{type(source).__name__} has no files to pack; give data=folder data.root=...")
    picture_format = PictureFormat(cfg.longest_side, cfg.quality)
    planned = {
        split: plan_shards(source, split, out, picture_format, cfg.pictures_per_shard, cfg.seed) for split in splits
    }
    workers = os.cpu_count() or 1 if cfg.workers == "auto" else cfg.workers
    write_shards(planned, out, cfg.skip_broken, workers, watch)
    for sentence in filter(None, map(source.left_out, splits)):
        print(f"note: {sentence}")
    for shard in (shard for of_split in planned.values() for shard in of_split):
        for entry in shard.parsed_index().skipped:
            print(f"left out: {entry.name}: {entry.reason}")


if __name__ == "__main__":
    main()
