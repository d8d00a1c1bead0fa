"""The training samples and the one LightningDataModule."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Float
from lightning.pytorch import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from inpaintlab.data.crops import Crop
from inpaintlab.data.order import Part, SameBatch
from inpaintlab.data.pictures import batch_as_floats, edge_bytes, image_bytes, require_same_size
from inpaintlab.data.sources import Source
from inpaintlab.machine import cores, outlive_requests
from inpaintlab.masks import Mask, mask_folders
from inpaintlab.randomness import sample_generator
from inpaintlab.shapes import Size, height_width, plain_size


@final
class TrainingSet(Dataset[dict[str, Any]]):
    """Training samples, indexed by ``(epoch, index)``.

    Crop, mask and flip of a sample follow from the seed, the epoch and the index alone. So the numbers of workers and
    of processes do not change them, and neither does resuming a run.

    Args:
        source: where the pictures are.
        crop: how a part is cut.
        mask: how a hole is drawn, at the size of the crop.
        seed: another seed gives other crops, holes and flips.
        flip: probability of a horizontal flip, shared by picture, mask and edge map.
        decode: ``exact``, or ``reduced``: large JPEGs without an edge map are decoded at a half, a quarter or an eighth
            of their size if the crop needs no more.

    Raises:
        ValueError: ``decode`` or ``flip`` has another value, or the source has no training pictures.
    """

    def __init__(
        self, source: Source, crop: Crop, mask: Mask, seed: int, flip: float = 0.5, decode: str = "exact"
    ) -> None:
        if decode not in ("exact", "reduced"):
            raise ValueError(f"data.decode={decode} is not known; it is exact or reduced.")
        if not 0 <= flip <= 1:
            raise ValueError(f"flip={flip} is not a probability; give a number from 0 to 1.")
        self.source = source
        self.crop = crop
        self.mask = mask
        self.seed = seed
        self.flip = flip
        self.shortest_edge = crop.longest_needed if decode == "reduced" else None
        self.count = source.count("train")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, position: tuple[int, int]) -> dict[str, Any]:
        """One sample, in bytes; `batch_as_floats` makes of a batch of them what models see.

        Returns:
            ``image`` (3, H, W) of bytes, ``mask`` (1, H, W) of bools with True = hole, ``name``, and ``edges``
            (1, H, W) of bytes if the source has edge maps.

        Raises:
            ValueError: the picture or its edge map cannot be read, or they differ in size.
        """
        epoch, index = position
        generator = sample_generator("training", self.seed, epoch, index)
        edges = self.source.edges_at("train", index)
        name, picture = self.source.at("train", index, self.shortest_edge if edges is None else None)
        self.crop.require_memory(picture, name)
        cut = self.crop.train(picture, generator)

        hole = np.array(
            self.mask.draw_proper(*self.crop.size, generator), order="C"
        )  # a mask may keep what it has drawn
        tensors = {"image": image_bytes(cut(picture)), "mask": torch.from_numpy(hole)[None]}
        if edges is not None:
            require_same_size(edges, picture, name)
            tensors["edges"] = edge_bytes(cut(edges))
        if torch.rand((), generator=generator) < self.flip:
            tensors = {key: tensor.flip(-1) for key, tensor in tensors.items()}
        return {**tensors, "name": name}

    def picture(self, index: int) -> tuple[str, Image.Image]:
        """Name and picture of an item, decoded in full size."""
        return self.source.at("train", index)


def chosen_workers(workers: int | Literal["auto"]) -> int:
    """The processes that prepare batches: of ``auto``, one less than there are cores, at least 1, at most 8."""
    return max(1, min(8, cores() - 1)) if workers == "auto" else workers


@final
class DataModule(LightningDataModule):
    """The data of a run: training from a source, validation from a dataset that the caller sets.

    Training goes from batch ``schedule.iteration`` of the trained module to ``schedule.total``. The trainer must not
    replace the sampler (``use_distributed_sampler: false``).

    Args:
        source: where the pictures are.
        crop: how a part is cut from a picture.
        mask: how the holes of training are drawn.
        size: side of the square in pixels, or height and width.
        batch_size: samples per batch and process.
        seed: decides the order of training, the crops, the holes and the flips.
        flip: probability of a horizontal flip in training.
        decode: ``exact``, or ``reduced`` for training pictures (see `TrainingSet`).
        workers: processes that prepare batches, or ``auto``: one less than there are cores, at least 1, at most 8.
        same_batch: whether each batch is made of the same first pictures, crops and holes, to see that a model learns.
    """

    def __init__(
        self,
        *,
        source: Source,
        crop: Crop,
        mask: Mask,
        size: Size,
        batch_size: int,
        seed: int,
        flip: float = 0.5,
        decode: str = "exact",
        workers: int | Literal["auto"] = "auto",
        same_batch: bool = False,
    ) -> None:
        super().__init__()
        if crop.size != height_width(size):
            raise ValueError(
                f"data.crop.size={plain_size(crop.size)} differs from data.size={plain_size(size)}; set data.size only."
            )
        self.source = source
        self.crop = crop
        self.mask = mask
        self.size = plain_size(size)
        self.batch_size = batch_size
        self.seed = seed
        self.flip = flip
        self.decode = decode
        self.workers = chosen_workers(workers)
        self.same_batch = same_batch
        self.validation: Dataset[dict[str, Any]] | None = None
        self._mean: Tensor | None = None

    def training_set(self) -> TrainingSet:
        """The samples of the split train.

        Raises:
            ValueError: there are none.
        """
        return TrainingSet(self.source, self.crop, self.mask, self.seed, self.flip, self.decode)

    def check(self) -> None:
        """Prepare a few training samples, so that a mistake in the data shows before training.

        Raises:
            ValueError: a sample cannot be prepared.
        """
        samples = self.training_set()
        for index in range(min(3, len(samples))):
            samples[0, index]

    def left_out(self) -> list[str]:
        """A sentence for each split of a training and each folder of masks that holds files of other endings."""
        of_splits = [self.source.left_out(split) for split in ("train", "val")]
        of_masks = [folder.left_out() for folder in mask_folders(self.mask)]
        return [sentence for sentence in of_splits + of_masks if sentence]

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The batches that this process has yet to train on; the length includes those already done."""
        assert self.trainer is not None, "the trainer asks for this"
        schedule: Any = self.trainer.lightning_module.schedule
        samples = self.training_set()
        part = Part(
            self.batch_size,
            self.seed,
            schedule.total,
            schedule.iteration,
            self.trainer.global_rank,
            self.trainer.world_size,
        )
        order = SameBatch(len(samples), part) if self.same_batch else self.source.order("train", part)
        return DataLoader(samples, batch_sampler=order, **self._loading())

    def val_dataloader(self) -> DataLoader[dict[str, Any]] | list[Any]:
        """The items of ``validation`` in order; empty if it is not set."""
        if self.validation is None:
            return []
        return DataLoader(self.validation, batch_size=self.batch_size, shuffle=False, **self._loading())

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """A batch on its device as floats: images in [0, 1], masks exactly 0 or 1; see `batch_as_floats`.

        In the precision of the trainer: when Lightning converted the batch, it still held bytes.
        """
        floats = batch_as_floats(batch)
        if self.trainer is None:
            return floats
        converted: dict[str, Any] = self.trainer.precision_plugin.convert_input(floats)
        return converted

    def mean_pixel(self) -> Float[Tensor, "3"]:
        """The mean over the training pictures of each picture's mean colour: RGB in [0, 1], GLCIC's fill.

        Pictures count equally whatever their size, and are neither resized nor cropped. If there are more than 1000,
        the source chooses 1000. The result is cached.
        """
        if self._mean is None:
            samples = self.training_set()
            chosen = self.source.some("train", 1000, self.seed)

            def mean(index: int) -> np.ndarray:
                return np.asarray(samples.picture(index)[1]).mean(axis=(0, 1), dtype=np.float64)

            with ThreadPoolExecutor(max_workers=max(1, self.workers)) as threads:
                self._mean = torch.from_numpy(np.mean(list(threads.map(mean, chosen)), axis=0) / 255).float()
        return self._mean

    def _loading(self) -> dict[str, Any]:
        return {
            "num_workers": self.workers,
            "persistent_workers": self.workers > 0,
            "worker_init_fn": outlive_requests,
            "pin_memory": torch.cuda.is_available(),
        }
