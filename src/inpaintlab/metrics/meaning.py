"""What a metric's numbers mean."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Meaning:
    """What a metric's numbers mean: a definition in words, their unit ("" when they have none), their direction.

    Over several images a metric is the mean of its column, unless one of two things is said of it. `pooled`: it is the
    harmonic mean of these ratios, each a column's sum over another column's sum (one ratio is its own mean), as in
    micro-averaged precision, recall and F1. `of_set`: it is a number of the whole set, as FID is, and has no column.

    `undefined_allowed`: an image may lack a value (NaN) for a reason that the definition tells. `backend` names the
    package whose code computes it.
    """

    definition: str
    unit: str
    higher_is_better: bool
    undefined_allowed: bool = False
    pooled: tuple[tuple[str, str], ...] = ()
    of_set: bool = False
    backend: str = field(default="inpaintlab", compare=False)

    def columns(self, name: str) -> list[str]:
        """The columns of per_image.parquet that a metric called `name` is computed from."""
        if self.of_set:
            return []
        return list(dict.fromkeys(column for ratio in self.pooled for column in ratio)) or [name]
