"""Drawing photographs with replacement: every number of a test set uses the same draws, so differences are paired."""

import hashlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

BLOCK = 2**20  # numbers in memory at a time, few enough for the processor's cache


def frozen_random(seed: str) -> np.random.RandomState:
    """A generator seeded by a text: NumPy's ``RandomState``, because NumPy guarantees that its stream never changes."""
    return np.random.RandomState(np.frombuffer(hashlib.sha256(seed.encode()).digest(), dtype="<u4"))


def drawn(photographs: int, draws: int, seed: str) -> Iterator[Float64[np.ndarray, "block photographs"]]:
    """How often each photograph occurs in each draw; a draw takes as many photographs as there are, with replacement.

    The draws follow from ``seed`` and the number of photographs alone: the first ones are the same for any ``draws``.

    Args:
        photographs: number of photographs.
        draws: number of draws.
        seed: any text.

    Yields:
        Blocks of draws, one row per draw.
    """
    random = frozen_random(seed)
    for size in block_sizes(draws, photographs):
        # whole numbers, because they are the same on every processor
        chosen = random.randint(photographs, size=(size, photographs), dtype=np.int64)
        places = chosen + photographs * np.arange(size)[:, None]
        times = np.bincount(places.ravel(), minlength=size * photographs)
        yield times.reshape(size, photographs).astype(np.float64)


def block_sizes(draws: int, photographs: int) -> list[int]:
    """The sizes of the blocks in which draws are made; their sum is ``draws``.

    Args:
        draws: number of draws.
        photographs: number of photographs in a draw.
    """
    size = max(1, BLOCK // photographs)
    return [min(size, draws - start) for start in range(0, draws, size)]
