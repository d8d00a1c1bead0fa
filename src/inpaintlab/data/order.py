"""The order of training as a pure function of the seed, and the batches of one process in it.

Nothing about it has to be saved: where a run stands follows from the batches that it has done, and the workers of a
loader, which prepare batches ahead, cannot put it out of step.
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
    """Gives the order."""
    total: int
    """Batches in the whole run."""
    start: int = 0
    """The first batch to give: those before it are done."""
    rank: int = 0
    """This process."""
    world_size: int = 1
    """Number of processes."""


class Order(Sampler[list[tuple[int, int]]]):
    """Batches ``start`` to ``total - 1`` of one process, each a list of ``(epoch, index)``.

    The length is ``total`` whatever ``start`` is, because Lightning counts the batches done before a resume as part of
    it.
    """

    part: Part

    @abstractmethod
    def row(self) -> Iterator[tuple[int, int]]:
        """The samples of this process, one after the other and without end, from batch ``start`` on."""

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
    """The order of training on pictures that are equally quick to reach.

    The run is one endless row of positions: position p is the sample ``(epoch, index)`` with ``epoch = p // count``
    and ``index`` the ``p % count``-th of that epoch's permutation. Batch b of rank r holds the ``batch_size`` positions
    from ``(b * world_size + r) * batch_size``. A batch may straddle epochs; none is short, none repeats a position.

    Args:
        count: number of training items; each takes 8 bytes in memory for each of two epochs.
        part: which batches.
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
        """The epoch and the index in the training set that stand at a position of the run."""
        epoch, place = divmod(position, self.count)
        return epoch, int(_permutation(self.count, self.part.seed, epoch)[place])


@final
class ShardPositions(Order):
    """The order of training on shards, few of which are read at a time.

    Each epoch deals all shards out to the processes in a random order. A process takes ``window`` of its shards at a
    time and gives their pictures in a random order, then the next ones; after its last shard its next epoch follows. So
    it reads few shards at a time, and a batch may straddle epochs; none is short. In an epoch each picture is given
    once by one process. A process whose shards hold fewer pictures comes to its next epoch sooner.

    Everything follows from the seed, so a run that is resumed continues with the very next batch, and the number of
    workers changes nothing; the number of processes gives another order.

    Args:
        sizes: how many pictures each shard has.
        window: shards whose pictures are mixed.
        part: which batches.
        bring: called with shards that will soon be needed.

    Raises:
        ValueError: there are fewer shards than processes, or a shard without pictures.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        window: int,
        part: Part,
        bring: Callable[[Sequence[int]], None] = lambda shards: None,
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
        self.bring = bring

    def row(self) -> Iterator[tuple[int, int]]:
        """The pictures of window after window; those of the batches done are counted and not drawn."""
        skip = self.part.start * self.part.batch_size
        windows = self._windows()
        epoch, shards = next(windows)
        while skip >= (held := sum(self.sizes[shard] for shard in shards)):
            skip -= held
            epoch, shards = next(windows)
        while True:
            following = next(windows)
            self.bring([*shards, *following[1]])
            for index in self._mixed(epoch, shards)[skip:].tolist():
                yield epoch, index
            skip = 0
            epoch, shards = following

    def _windows(self) -> Iterator[tuple[int, list[int]]]:
        """Epoch and shards of each window, without end."""
        epoch = 0
        while True:
            generator = sample_generator("shards", self.part.seed, epoch)
            order = torch.randperm(len(self.sizes), generator=generator).tolist()
            # Where the shards do not divide evenly, another process has the one more in each epoch.
            mine = order[(self.part.rank + epoch) % self.part.world_size :: self.part.world_size]
            for first in range(0, len(mine), self.window):
                yield epoch, mine[first : first + self.window]
            epoch += 1

    def _mixed(self, epoch: int, shards: list[int]) -> Tensor:
        """The places of all pictures of a window in random order."""
        places = torch.cat([torch.arange(self.firsts[shard], self.firsts[shard + 1]) for shard in shards])
        # A shard is once in an epoch, so the first one names the window.
        generator = sample_generator("window", self.part.seed, epoch, shards[0])
        return places[torch.randperm(len(places), generator=generator)]
