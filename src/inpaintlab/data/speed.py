"""How fast one core prepares training samples, and how the time divides into stages."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch.utils.data import default_collate

from inpaintlab.data.folder import Folder
from inpaintlab.data.pictures import image_bytes, in_unit_range, read_rgb
from inpaintlab.data.samples import TrainingSet
from inpaintlab.data.shards import Shards
from inpaintlab.data.sources import Source
from inpaintlab.edges import canny
from inpaintlab.imaging import picture_bytes, rgb_to_gray
from inpaintlab.masks import Number
from inpaintlab.randomness import sample_generator

SIGMA = 2.0
"""Of Canny's Gaussian in pixels, as in EdgeConnect."""


@final
@dataclass
class PreparationTime:
    """Seconds that the preparation of ``images`` samples took on one core."""

    images: int
    whole: float = 0.0
    """For whole samples, as training reads them, and for collating them into batches."""
    stages: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """For each stage, measured in a second pass over the same pictures."""
    edges: float = 0.0
    """For Canny's edges of these batches, which EdgeConnect computes in its step."""

    @property
    def images_per_second(self) -> float:
        """Samples that one core prepares in a second."""
        return self.images / self.whole

    def cores(self, images_per_second: Number, edges: bool = False) -> int:
        """Cores that a training at this speed keeps busy with its samples, and with ``edges`` also with their edges."""
        return math.ceil(images_per_second * (self.whole + self.edges * edges) / self.images)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the ``with`` block to this stage."""
        start = time.perf_counter()
        yield
        self.stages[name] += time.perf_counter() - start


def measure_preparation(samples: TrainingSet, images: int, batch_size: int) -> PreparationTime:
    """Time the preparation of samples in this process: once as a whole and once stage by stage.

    Samples follow the order of the training set. Each is prepared once before the clock starts, so that both passes
    find the files in memory: the time of a slow disk is not measured.

    Args:
        samples: the training set.
        images: how many samples are prepared; beyond the training set's size the next epoch follows.
        batch_size: samples that are collated together.

    Raises:
        ValueError: ``images`` is below 1, or a picture cannot be read.
    """
    if images < 1:
        raise ValueError(f"images={images} measures nothing; give a positive number.")
    positions = [divmod(place, len(samples)) for place in range(images)]
    for position in positions:
        samples[position]
    cost = PreparationTime(images)
    for first in range(0, images, batch_size):
        start = time.perf_counter()
        batch = default_collate([samples[position] for position in positions[first : first + batch_size]])
        prepared = time.perf_counter()
        canny(rgb_to_gray(in_unit_range(batch["image"])), SIGMA)
        cost.whole += prepared - start
        cost.edges += time.perf_counter() - prepared

    waiting, content = [], _contents(samples.source)
    for epoch, index in positions:
        waiting.append(_by_stages(samples, epoch, index, content, cost))
        if len(waiting) == batch_size:
            with cost.stage("collate"):
                default_collate(waiting)
            waiting = []
    return cost


def _contents(source: Source) -> Callable[[int], bytes] | None:
    """A function that reads the bytes of a training picture; None if pictures have no file of their own."""
    if isinstance(source, Shards):
        return lambda index: source.content("train", index)
    if isinstance(source, Folder):
        files = source.files("train")
        return lambda index: picture_bytes(files[index], source.max_pixels)
    return None


def _by_stages(
    samples: TrainingSet, epoch: int, index: int, content: Callable[[int], bytes] | None, cost: PreparationTime
) -> dict[str, torch.Tensor]:
    """Prepare one sample as `TrainingSet` does, in the same order, and time each stage."""
    if content:
        with cost.stage("read"):
            read = content(index)
        with cost.stage("decode"):
            picture = read_rgb("a training picture", samples.source.max_pixels, read, samples.shortest_edge)
    else:
        with cost.stage("read and decode"):
            _, picture = samples.picture(index)
    generator = sample_generator("training", samples.seed, epoch, index)
    with cost.stage("crop and resize"):
        cut = samples.crop.train(picture, generator)(picture)
    with cost.stage("mask"):
        hole = samples.mask.draw_proper(*samples.crop.size, generator)
    with cost.stage("tensor and flip"):
        image, mask = image_bytes(cut), torch.from_numpy(np.array(hole, order="C"))[None]
        if torch.rand((), generator=generator) < samples.flip:
            image, mask = image.flip(-1), mask.flip(-1)
    return {"image": image, "mask": mask}
