"""What a metric's numbers mean."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Meaning:
    """What a metric's numbers mean.

    Over several images a metric is the mean of its column, unless it is ``pooled`` or ``of_set``.

    Args:
        definition: in words.
        unit: "" if it has none.
        higher_is_better: the direction.
        undefined_allowed: whether an image may lack a value (NaN), for a reason that the definition gives.
        infinite_allowed: whether an image that is reproduced exactly has the value +inf, the best one. Where it is
            false, an infinite value is a failure.
        pooled: pairs of columns. Each is a ratio, one column's sum over the other's; the metric is the harmonic mean of
            the ratios, as in micro-averaged precision, recall (one ratio each) and F1 (two).
        of_set: whether it is a number of the whole set, such as FID, and has no column.
        backend: the package whose code computes it.
    """

    definition: str
    unit: str
    higher_is_better: bool
    undefined_allowed: bool = False
    infinite_allowed: bool = False
    pooled: tuple[tuple[str, str], ...] = ()
    of_set: bool = False
    backend: str = field(default="inpaintlab", compare=False)

    def columns(self, name: str) -> list[str]:
        """The columns of per_image.parquet that a metric called `name` is computed from."""
        if self.of_set:
            return []
        return list(dict.fromkeys(column for ratio in self.pooled for column in ratio)) or [name]
