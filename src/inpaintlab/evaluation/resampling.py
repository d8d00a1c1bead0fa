"""Photographs drawn with replacement: the same draws for every number of a test set, so that differences are paired."""

import hashlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

BLOCK = 2**20  # numbers held in memory at a time: few enough for the processor's cache


def frozen_random(seed: str) -> np.random.RandomState:
    """A generator that follows from a text: NumPy's ``RandomState``, because its stream is frozen for good."""
    return np.random.RandomState(np.frombuffer(hashlib.sha256(seed.encode()).digest(), dtype="<u4"))


def drawn(photographs: int, draws: int, seed: str) -> Iterator[Float64[np.ndarray, "block photographs"]]:
    """How often each photograph is in each of ``draws`` draws of as many photographs as there are, block by block.

    The draws follow from ``seed`` and the number of photographs alone: fewer ``draws`` are the first of more.
    """
    random = frozen_random(seed)
    for size in block_sizes(draws, photographs):
        # whole numbers, because they are the same on every processor
        chosen = random.randint(photographs, size=(size, photographs), dtype=np.int64)
        places = chosen + photographs * np.arange(size)[:, None]
        times = np.bincount(places.ravel(), minlength=size * photographs)
        yield times.reshape(size, photographs).astype(np.float64)


def block_sizes(draws: int, photographs: int) -> list[int]:
    """The sizes of the blocks in which draws of so many photographs are made; their sum is ``draws``."""
    size = max(1, BLOCK // photographs)
    return [min(size, draws - start) for start in range(0, draws, size)]
