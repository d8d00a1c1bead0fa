"""The checks of the mask generators' settings; each error names the generator."""

from collections.abc import Sequence

Number = int | float


def checked_share(owner: str, name: str, value: Number) -> float:
    """A fraction of the image that is neither nothing nor all of it.

    Raises:
        ValueError: it does not lie strictly between 0 and 1.
    """
    if not 0 < value < 1:
        raise ValueError(f"{owner}: {name} must lie strictly between 0 and 1, a share of the image, but is {value}.")
    return float(value)


def checked_fractions(owner: str, name: str, pair: Sequence[Number]) -> tuple[float, float]:
    """A range (low, high) of fractions of a side.

    Raises:
        ValueError: it does not satisfy 0 < low <= high <= 1.
    """
    if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= 1:
        raise ValueError(
            f"{owner}: {name} must be two fractions of a side with 0 < low <= high <= 1 (96 of 256 px is 0.375), "
            f"but is {list(pair)}."
        )
    return float(pair[0]), float(pair[1])


def checked_ratios(owner: str, pair: Sequence[Number]) -> tuple[float, float]:
    """A range (low, high] of hole ratios.

    Raises:
        ValueError: it does not satisfy 0 <= low < high <= 1.
    """
    if len(pair) != 2 or not 0 <= pair[0] < pair[1] <= 1:
        raise ValueError(
            f"{owner}: the range (low, high] must satisfy 0 <= low < high <= 1, but its ends are {list(pair)}."
        )
    return float(pair[0]), float(pair[1])


def checked_counts(owner: str, name: str, pair: Sequence[int]) -> tuple[int, int]:
    """A range (low, high) of counts.

    Raises:
        ValueError: it does not consist of two whole numbers with 1 <= low <= high.
    """
    whole = all(isinstance(count, int) for count in pair)
    if len(pair) != 2 or not whole or not 1 <= pair[0] <= pair[1]:
        raise ValueError(f"{owner}: {name} must be two whole numbers with 1 <= low <= high, but is {list(pair)}.")
    return pair[0], pair[1]
