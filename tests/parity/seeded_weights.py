"""Weights and pictures that follow from a seed and a name alone, so that recorded numbers can be computed again.

The recordings hold outputs, losses and gradient norms of the reference implementations; what went in is computed here.
Further recordings of the same kind (``edgeconnect_seed3.json`` and ``.npz`` ...) are checked as well where the variable
INPAINTLAB_PARITY names their folder.
"""

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).parent


@final
@dataclass(frozen=True)
class Tolerance:
    """How close to a recording: arrays in units of their maximum, losses and norms relative.

    Args:
        dtype: in which ours are computed.
        arrays: of outputs and features.
        losses: of losses.
        norms: of gradients' norms.
        floor: norms are compared in units of this at least.
    """

    dtype: torch.dtype
    arrays: float
    losses: float
    norms: float
    floor: float = 0.0


def recordings(system: str) -> dict[int, Path]:
    """The recorded seeds of a system, and the JSON file of each."""
    folders = [HERE, *([Path(os.environ["INPAINTLAB_PARITY"])] if "INPAINTLAB_PARITY" in os.environ else [])]
    files = [path for folder in folders for path in sorted(folder.glob(f"{system}_seed*.json"))]
    return {int(path.stem.rpartition("seed")[2]): path for path in files}


def recorded(path: Path) -> dict[str, Any]:
    """The numbers of a recording, and its arrays as tensors."""
    with np.load(path.with_suffix(".npz")) as arrays:
        return json.loads(path.read_text()) | {key: torch.from_numpy(arrays[key]) for key in arrays}


def normal(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard normal float32 numbers of (seed, key, shape); EdgeConnect's first layer has two names."""
    generator = np.random.default_rng([seed, zlib.crc32(key.replace("conv1.0.", "features.0.").encode())])
    return generator.standard_normal(shape, dtype=np.float32)


def picture(key: str, shape: tuple[int, int, int, int], seed: int) -> Tensor:
    """Smooth waves with a little noise, in (0, 1)."""
    generator = np.random.default_rng([seed, zlib.crc32(key.encode())])
    batch, channels, height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    out = np.empty(shape)
    for b in range(batch):
        for c in range(channels):
            waves = sum(wave(x / width, y / height, generator) for _ in range(4))
            out[b, c] = waves + 0.05 * generator.standard_normal((height, width))
    return torch.from_numpy((1 / (1 + np.exp(-out))).astype(np.float32))


def wave(x: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A plane wave of random height, direction and phase, drawn in this order."""
    height = generator.uniform(0.3, 1.0)
    across, down, phase = generator.uniform(-3, 3), generator.uniform(-3, 3), generator.uniform()
    return height * np.sin(2 * np.pi * (across * x + down * y + phase))


def layout(name: str) -> dict[str, tuple[int, ...]]:
    """The published names and shapes of a network."""
    return {k: tuple(v) for k, v in json.loads((HERE / "layouts" / f"{name}.json").read_text()).items()}


def state_dict(name: str, seed: int) -> dict[str, Tensor]:
    """Fill the layout ``name``; spectral vectors are converged by power iteration."""
    shapes = layout(name)
    state = {key: value_of(key, shape, seed) for key, shape in shapes.items()}
    for key in [key for key in shapes if key.endswith("weight_u")]:
        stem = key.removesuffix("weight_u")
        weight = state[f"{stem}weight_orig"].double()
        if weight.shape[0] != shapes[key][0]:  # spectral norm flattens a transposed convolution along dimension 1
            weight = weight.transpose(0, 1)
        matrix, u = weight.reshape(shapes[key][0], -1), torch.from_numpy(normal(key, shapes[key], seed)).double()
        for _ in range(200):
            v = torch.nn.functional.normalize(matrix.t() @ u, dim=0)
            u = torch.nn.functional.normalize(matrix @ v, dim=0)
        state[key], state[f"{stem}weight_v"] = u.float(), v.float()
    return state


def value_of(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """One tensor: weights as He initialises them, norms near the identity, small biases."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1)
    value = normal(key, shape, seed)
    if key.endswith("running_var"):
        value = 1 + 0.1 * np.abs(value)
    elif key.endswith(("running_mean", "bias")):
        value = 0.1 * value
    elif value.ndim == 1 and key.endswith("weight"):
        value = 1 + 0.1 * value
    elif value.ndim > 1:
        value = value * np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))
