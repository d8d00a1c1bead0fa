"""Pictures: where they come from, and how they become training batches."""

from inpaintlab.data.crops import CentreSquare, Crop, RandomCrop
from inpaintlab.data.folder import Folder
from inpaintlab.data.inspection import Finding, examine, splits_found
from inpaintlab.data.order import ShardPositions
from inpaintlab.data.packing import plan_shards, shard_faults, write_shards
from inpaintlab.data.picture_format import PictureFormat
from inpaintlab.data.pictures import (
    as_rgb,
    batch_as_floats,
    edge_bytes,
    image_bytes,
    image_tensor,
    in_unit_range,
    read_rgb,
    require_same_size,
)
from inpaintlab.data.samples import DataModule, TrainingSet, chosen_workers
from inpaintlab.data.shard_lists import LIST
from inpaintlab.data.shards import Shards
from inpaintlab.data.sources import Photos, Source, Toy, Watch, require_chosen
from inpaintlab.data.speed import PreparationTime, measure_preparation

__all__ = [
    "LIST",
    "CentreSquare",
    "Crop",
    "DataModule",
    "Finding",
    "Folder",
    "Photos",
    "PictureFormat",
    "PreparationTime",
    "RandomCrop",
    "ShardPositions",
    "Shards",
    "Source",
    "Toy",
    "TrainingSet",
    "Watch",
    "as_rgb",
    "batch_as_floats",
    "chosen_workers",
    "edge_bytes",
    "examine",
    "image_bytes",
    "image_tensor",
    "in_unit_range",
    "measure_preparation",
    "plan_shards",
    "read_rgb",
    "require_chosen",
    "require_same_size",
    "shard_faults",
    "splits_found",
    "write_shards",
]
