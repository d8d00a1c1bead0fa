"""python correlation.py RESULTS: do better edges in the hole go with better pixels there?

For each method that draws edges, Spearman's correlation over the images of a bin, with a 95 % interval over them:

- of the F1 of its drawn edges with its error in the hole (negative: better edges, better pixels). An image that is easy
  for both makes such a correlation too;
- of the F1 with what the true edges gain on the same image, in dB, by the same network (negative: where the drawn edges
  are worse, the true ones gain more). That an image is easy says nothing here.

Methods are called as in study.yaml: NAME, and NAME_true with the true edges in the hole.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy.stats import rankdata

from inpaintlab.evaluation import ALL, Result, bin_order, drawn

DRAWS = 999

Row = Float[np.ndarray, " images"]


def spearman(first: Row, second: Row, times: Row) -> float:
    """The correlation of the ranks of two rows, image i counted ``times[i]`` times; NaN if a row is constant."""
    kept = times > 0
    ranks = [rankdata(np.repeat(row[kept], times[kept].astype(int))) for row in (first, second)]
    spreads = [rank.std() for rank in ranks]
    if not all(spreads):
        return float("nan")
    centred = [rank - rank.mean() for rank in ranks]
    return float((centred[0] * centred[1]).mean() / np.prod(spreads))


def with_interval(
    first: Row, second: Row, photographs: Int[np.ndarray, " images"], seed: str
) -> tuple[float, float, float]:
    """The correlation with its 95 % interval: photographs are drawn with replacement, each with all its images."""
    whole = spearman(first, second, np.ones(len(first)))
    count = int(photographs.max()) + 1
    values = [spearman(first, second, row[photographs]) for block in drawn(count, DRAWS, seed) for row in block]
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return whole, float(low), float(high)


def shown(first: Row, second: Row, photographs: Int[np.ndarray, " images"], seed: str) -> str:
    """The correlation in words, of the images where both are defined."""
    known = np.isfinite(first) & np.isfinite(second)
    numbers = np.unique(photographs[known], return_inverse=True)[1]
    if known.sum() < 3 or numbers.max() < 1:
        return "too few"
    value, low, high = with_interval(first[known], second[known], numbers, seed)
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def main(folder: Path) -> None:
    """Print a table for each correlation."""
    found = [Result.load(path) for path in sorted(folder.iterdir()) if (path / "result.json").is_file()]
    results = {result.label: result for result in found}
    sources = [name for name in results if f"{name}_true" in results]
    bins = sorted(results[sources[0]].means, key=bin_order)
    for title, pair in (
        ("F1 of the drawn edges, and the mean error in the hole", _with_error),
        ("F1 of the drawn edges, and the dB that true edges gain", _with_gain),
    ):
        print(f"\n{title} (Spearman, 95 % interval over photographs):\n")
        print("| source |", " | ".join(bins), "|")
        print("|---" * (len(bins) + 1) + "|")
        for name in sources:
            table, first, second = pair(results[name], results[f"{name}_true"])
            photographs = np.unique(table["image"].to_numpy(), return_inverse=True)[1]
            cells = []
            for bin_name in bins:
                chosen = np.full(len(table), True) if bin_name == ALL else (table["bin"] == bin_name).to_numpy()
                seed = f"{results[name].manifest['sha256']}/{bin_name}"
                cells.append(shown(first[chosen], second[chosen], photographs[chosen], seed))
            print(f"| {name} |", " | ".join(cells), "|")


def _with_error(own: Result, true: Result) -> tuple[pl.DataFrame, Row, Row]:
    table = own.per_image
    return table, *(table[column].to_numpy().astype(float) for column in ("drawn_edge_f1", "mae_hole"))


def _with_gain(own: Result, true: Result) -> tuple[pl.DataFrame, Row, Row]:
    table = own.per_image.join(true.per_image.select("name", gained="psnr_rgb"), on="name", maintain_order="left")
    gain = (table["gained"] - table["psnr_rgb"]).to_numpy().astype(float)
    return table, table["drawn_edge_f1"].to_numpy().astype(float), gain


if __name__ == "__main__":
    main(Path(sys.argv[1]))
