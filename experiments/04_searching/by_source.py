"""python by_source.py RESULTS: the mean PSNR over each source and bin, and the seconds an image, of each result."""

import sys
from pathlib import Path

import polars as pl

from inpaintlab.evaluation import Result

MEASURE = "psnr_rgb"

results = [Result.load(folder) for folder in sorted(Path(sys.argv[1]).iterdir()) if (folder / "result.json").is_file()]
groups = [pl.col("image").str.split("/").list.first().alias("source"), "bin"]
tables = {result.label: result.per_image.group_by(groups).agg(pl.col(MEASURE).mean()) for result in results}
cells = sorted({row[:2] for table in tables.values() for row in table.rows()})

print(f"{MEASURE} (dB) by source and hole, and seconds an image of a block of 25 % ({results[0].machine}):\n")
print("| method |", " | ".join(f"{source} {hole}" for source, hole in cells), "| seconds |")
print("|---" * (len(cells) + 2) + "|")
for result in sorted(results, key=lambda result: -result.means["all"][MEASURE]):
    found = {row[:2]: row[2] for row in tables[result.label].rows()}
    seconds = f"{result.cost['milliseconds'] / 1000:.2f}"
    print(f"| {result.label} |", " | ".join(f"{found[cell]:.2f}" for cell in cells), f"| {seconds} |")
