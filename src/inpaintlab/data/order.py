"""The order of training as a pure function of the seed, and each process's batches in it.

Checkpoints save nothing of the order: the next batch follows from the number of batches done. Loader workers, which
prepare batches ahead, cannot disturb it.
"""

import functools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import final

import torch
from torch import Tensor
from torch.utils.data import Sampler

from inpaintlab.randomness import sample_generator


@final
@dataclass(frozen=True)
class Part:
    """The batches that one process has yet to train on."""

    batch_size: int
    """Items per batch and process."""
    seed: int
    """Decides the order."""
    total: int
    """Batches in the whole run."""
    start: int = 0
    """The first batch to yield; those before it are done."""
    rank: int = 0
    """This process."""
    world_size: int = 1
    """Number of processes."""


class Order(Sampler[list[tuple[int, int]]]):
    """Batches ``start`` to ``total - 1`` of one process, each a list of ``(epoch, index)``.

    The length is always ``total``, whatever ``start`` is: Lightning includes the batches done before a resume.
    """

    part: Part

    @abstractmethod
    def row(self) -> Iterator[tuple[int, int]]:
        """The samples ``(epoch, index)`` of this process in an endless sequence, from batch ``start`` on."""

    @final
    def __len__(self) -> int:
        return self.part.total

    @final
    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        row = self.row()
        for _ in range(self.part.start, self.part.total):
            yield list(islice(row, self.part.batch_size))


@functools.lru_cache(maxsize=2)  # a batch may straddle two epochs
def _permutation(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=sample_generator("order", seed, epoch))


@final
class Positions(Order):
    """The order of training on pictures that can be read in any order at the same cost.

    The run is one endless row of positions. Position p is the sample ``(epoch, index)``: ``epoch = p // count``, and
    ``index`` is entry ``p % count`` of that epoch's permutation. Batch b of rank r holds the ``batch_size`` positions
    from ``(b * world_size + r) * batch_size``. A batch may straddle epochs; none is short, none repeats a position.

    Args:
        count: number of training items; each takes 8 bytes in memory for each of two epochs.
        part: which batches.

    Raises:
        ValueError: ``count`` or the batch size is below 1.
    """

    def __init__(self, count: int, part: Part) -> None:
        if count < 1 or part.batch_size < 1:
            raise ValueError(
                f"There are no batches of {part.batch_size} from {count} training items; both must be at least 1."
            )
        self.count = count
        self.part = part

    def row(self) -> Iterator[tuple[int, int]]:
        """Every ``world_size``-th stretch of ``batch_size`` positions."""
        part, batch = self.part, self.part.start
        while True:
            first = (batch * part.world_size + part.rank) * part.batch_size
            yield from map(self.sample, range(first, first + part.batch_size))
            batch += 1

    def sample(self, position: int) -> tuple[int, int]:
        """The sample at a position of the run: its epoch and its index in the training set."""
        epoch, place = divmod(position, self.count)
        return epoch, int(_permutation(self.count, self.part.seed, epoch)[place])


@final
class SameBatch(Order):
    """The first items with the crops and holes of epoch 0, in every batch; each process has its own stretch of them.

    Args:
        count: number of training items; they repeat within a batch where they are fewer.
        part: which batches.
    """

    def __init__(self, count: int, part: Part) -> None:
        self.count = count
        self.part = part

    def row(self) -> Iterator[tuple[int, int]]:
        """The same stretch again and again."""
        first = self.part.rank * self.part.batch_size
        while True:
            yield from ((0, position % self.count) for position in range(first, first + self.part.batch_size))


@final
class ShardPositions(Order):
    """The order of training on shards, which reads only a few shards at a time.

    Each epoch deals all shards to the processes in a random order. A process takes ``window`` of its shards at a time
    and yields their pictures in a random order; after its last shard its next epoch follows. A batch may straddle
    epochs; none is short. In an epoch each picture is yielded once, by one process. A process whose shards hold fewer
    pictures begins its next epoch sooner.

    Everything follows from the seed: a resumed run continues with the very next batch, and the number of loader workers
    changes nothing. Another number of processes gives another order.

    Args:
        sizes: how many pictures each shard has.
        window: number of shards whose pictures are mixed.
        part: which batches.
        prefetch: called with the shards that will be needed soon.

    Raises:
        ValueError: there are fewer shards than processes, or a shard without pictures.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        window: int,
        part: Part,
        prefetch: Callable[[Sequence[int]], None] = lambda shards: None,
    ) -> None:
        if len(sizes) < part.world_size:
            raise ValueError(
                f"{len(sizes)} shards cannot be dealt to {part.world_size} processes; write smaller ones "
                "(inpaintlab shard pictures_per_shard=...)."
            )
        if part.batch_size < 1 or min(sizes) < 1:
            raise ValueError(f"There are no batches of {part.batch_size} from shards of {min(sizes)} pictures or more.")
        self.sizes = list(sizes)
        self.firsts = [0, *accumulate(sizes)]
        self.window = window
        self.part = part
        self.prefetch = prefetch

    def row(self) -> Iterator[tuple[int, int]]:
        """The pictures of one window after another; windows of the batches done are skipped without a permutation."""
        skip = self.part.start * self.part.batch_size
        windows = self._windows()
        epoch, shards = next(windows)
        while skip >= (pictures := sum(self.sizes[shard] for shard in shards)):
            skip -= pictures
            epoch, shards = next(windows)
        while True:
            following = next(windows)
            self.prefetch([*shards, *following[1]])
            for index in self._mixed(epoch, shards)[skip:].tolist():
                yield epoch, index
            skip = 0
            epoch, shards = following

    def _windows(self) -> Iterator[tuple[int, list[int]]]:
        """Epoch and shards of each window, in an endless sequence."""
        epoch = 0
        while True:
            generator = sample_generator("shards", self.part.seed, epoch)
            order = torch.randperm(len(self.sizes), generator=generator).tolist()
            # If the shards do not divide evenly, the extra shards go to other processes in each epoch.
            mine = order[(self.part.rank + epoch) % self.part.world_size :: self.part.world_size]
            for first in range(0, len(mine), self.window):
                yield epoch, mine[first : first + self.window]
            epoch += 1

    def _mixed(self, epoch: int, shards: list[int]) -> Tensor:
        """The indices of all pictures of a window, in random order."""
        places = torch.cat([torch.arange(self.firsts[shard], self.firsts[shard + 1]) for shard in shards])
        # Each shard occurs once in an epoch, so the first one identifies the window.
        generator = sample_generator("window", self.part.seed, epoch, shards[0])
        return places[torch.randperm(len(places), generator=generator)]
