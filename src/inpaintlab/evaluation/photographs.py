"""The features of a test set's original photographs, computed once and cached."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from rich.console import Console

from inpaintlab.data import read_rgb
from inpaintlab.machine import code_sha256, whole
from inpaintlab.metrics import FeatureNetwork
from inpaintlab.testsets import ManifestDataset


def real_features(
    network: FeatureNetwork, dataset: ManifestDataset, cache: Path, batch_size: int, device: torch.device
) -> Float32[np.ndarray, "items width"]:
    """Features of the original photographs, in the order of the manifest's items.

    Features of a photograph are computed once, even if several items use it, and cached in ``cache/features``. The name
    of the file is a hash over everything that changes the features. A damaged file is reported and computed again.

    Args:
        network: computes the features; it is on ``device``.
        dataset: the test set.
        cache: the folder of all caches.
        batch_size: photographs that are computed together.
        device: where to compute.

    Returns:
        One row of ``network.width`` features per item.

    Raises:
        ValueError: a photograph differs from the frozen one, or the cache cannot be written.
    """
    first: dict[str, int] = {}
    for index, item in enumerate(dataset.manifest.items):
        first.setdefault(item.image_sha256, index)
    hashes = sorted(first)
    key = _key(network, dataset, hashes, device)
    path = _with_home(cache) / "features" / f"{network.name}-{hashlib.sha256(key.encode()).hexdigest()}.npz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"Features cannot be kept in {path.parent} ({error}); give another cache=FOLDER.") from error
    rows = _cached(path, key, (len(hashes), network.width))
    if rows is None:
        indices = [first[image] for image in hashes]
        batches = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
        images = (torch.stack([dataset[index]["image"] for index in batch]) for batch in batches)
        rows = np.concatenate([network(batch.to(device)).float().cpu().numpy() for batch in images])
        _save(path, key, rows)
    row = {image: number for number, image in enumerate(hashes)}
    return rows[[row[item.image_sha256] for item in dataset.manifest.items]]


def _with_home(cache: Path) -> Path:
    try:
        return cache.expanduser()
    except RuntimeError:  # no HOME and no entry for this user, as in a container
        raise ValueError(
            f"This user has no home folder, so there is no {cache}: give cache=FOLDER, or set HOME."
        ) from None


def _key(network: FeatureNetwork, dataset: ManifestDataset, hashes: list[str], device: torch.device) -> str:
    """JSON text of everything that changes the features of these photographs."""
    modules = {part.__module__ for part in (type(network), type(dataset.source), type(dataset.crop), read_rgb)}
    content = {
        "network": network.key,
        "crop": dataset.manifest.crop,
        "size": dataset.manifest.size,
        "images": hashes,
        "code": code_sha256(modules),
        "pillow": version("pillow"),  # decodes and resizes
        "device": [torch.cuda.get_device_name(device), torch.backends.cudnn.allow_tf32]
        if device.type == "cuda"
        else device.type,
    }
    return json.dumps(content, sort_keys=True)


def _cached(path: Path, key: str, shape: tuple[int, int]) -> Float32[np.ndarray, "photographs width"] | None:
    """The rows of a file of the cache; None if it is missing or damaged."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            rows, content = file["features"], (str(file["key"]), str(file["sha256"]))
        if content == (key, _sha256(rows)) and rows.shape == shape and rows.dtype == np.float32:
            return rows
    except Exception:  # numpy and zipfile raise many kinds of errors for a damaged file
        pass
    warning = f"{path} is damaged: the photographs' features are computed again."
    Console(stderr=True).print(warning, markup=False, highlight=False, soft_wrap=True)
    return None


def _save(path: Path, key: str, rows: Float32[np.ndarray, "photographs width"]) -> None:
    """Write a file of the cache, whole or not at all."""
    with whole(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, features=rows, key=np.array(key), sha256=np.array(_sha256(rows)))


def _sha256(rows: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()
