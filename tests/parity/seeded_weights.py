"""Weights and pictures that follow from a seed and a name alone, so that recorded numbers can be computed again."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).parent


def normal(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard normal float32 numbers of (seed, key, shape)."""
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


def state_dict(layout: str, seed: int) -> dict[str, Tensor]:
    """Fill ``layouts/<layout>.json``, {key: shape}; spectral vectors are converged by power iteration."""
    shapes = {k: tuple(v) for k, v in json.loads((HERE / "layouts" / f"{layout}.json").read_text()).items()}
    state = {}
    for key, shape in shapes.items():
        value = normal(key, shape, seed)
        value = 0.1 * value if key.endswith("bias") else value
        value = value * np.sqrt(2 / np.prod(shape[1:])) if value.ndim > 1 else value
        state[key] = torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))
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
