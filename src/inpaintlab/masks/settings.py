"""What the mask generators demand of their settings, each told in one sentence that names the generator."""

from collections.abc import Sequence

Number = int | float


def checked_share(owner: str, name: str, value: Number) -> float:
    """A checked fraction that leaves something over; raises ``ValueError`` where it is none."""
    if not 0 < value < 1:
        raise ValueError(f"{owner}: {name} must lie strictly between 0 and 1, a share of the image, but is {value}.")
    return float(value)


def checked_fractions(owner: str, name: str, pair: Sequence[Number]) -> tuple[float, float]:
    """A checked (low, high) range of fractions; raises ``ValueError`` where it is none."""
    if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= 1:
        raise ValueError(
            f"{owner}: {name} must be two fractions of a side with 0 < low <= high <= 1 (96 of 256 px is 0.375), "
            f"but is {list(pair)}."
        )
    return float(pair[0]), float(pair[1])


def checked_ratios(owner: str, pair: Sequence[Number]) -> tuple[float, float]:
    """A checked range (low, high] of hole ratios; raises ``ValueError`` where it is none."""
    if len(pair) != 2 or not 0 <= pair[0] < pair[1] <= 1:
        raise ValueError(
            f"{owner}: the range (low, high] must satisfy 0 <= low < high <= 1, but its ends are {list(pair)}."
        )
    return float(pair[0]), float(pair[1])


def checked_counts(owner: str, name: str, pair: Sequence[int]) -> tuple[int, int]:
    """A checked (low, high) range of counts; raises ``ValueError`` where it is none."""
    whole = all(isinstance(count, int) for count in pair)
    if len(pair) != 2 or not whole or not 1 <= pair[0] <= pair[1]:
        raise ValueError(f"{owner}: {name} must be two whole numbers with 1 <= low <= high, but is {list(pair)}.")
    return pair[0], pair[1]
