"""EdgeConnect's released loader, metrics of its scripts, and Telea's method: Pillow, scikit-image, OpenCV, NumPy."""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2gray
from skimage.feature import canny
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor


def sample(
    photograph: Path, size: int, random: np.random.Generator, mask_file: Path | None = None
) -> dict[str, Tensor]:
    """A training sample: the centre square resized, its gray and its edges, a hole, all flipped at random.

    The hole is a block of half the side at a random place, or an irregular one from a file.
    """
    image = centre_square(np.array(Image.open(photograph).convert("RGB")), size)
    gray = rgb2gray(image)
    edges = canny(gray, sigma=2.0).astype(np.float64)
    if mask_file is None:
        mask = block(size, random)
    else:
        mask = (centre_square(np.array(Image.open(mask_file).convert("L")), size) > 0).astype(np.uint8) * 255
    if random.random() < 0.5:
        image, gray, edges, mask = (plane[:, ::-1] for plane in (image, gray, edges, mask))
    return {
        "image": tensor(image) / 255,
        "gray": tensor(gray[..., None]),
        "edges": tensor(edges[..., None]),
        "mask": tensor(mask[..., None]) / 255,
    }


def centre_square(picture: np.ndarray, size: int) -> np.ndarray:
    """The largest square at the centre, resized."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return np.array(square.resize((size, size), Image.Resampling.BILINEAR))


def block(size: int, random: np.random.Generator) -> np.ndarray:
    """A block of half the side at a random place."""
    mask = np.zeros((size, size), np.uint8)
    top, left = random.integers(0, size - size // 2 + 1, 2)
    mask[top : top + size // 2, left : left + size // 2] = 255
    return mask


def tensor(picture: np.ndarray) -> Tensor:
    """Channels first, float32."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float()


def scores(output: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    """PSNR and SSIM in gray with a uniform window of 51 pixels, of one picture of (H, W, 3) in [0, 1]."""
    ours, truth = rgb2gray(output), rgb2gray(image)
    return (
        peak_signal_noise_ratio(truth, ours, data_range=1.0),
        structural_similarity(truth, ours, data_range=1.0, win_size=51),
    )


def telea(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """OpenCV's fast marching on 8 bits, radius 3."""
    return cv2.inpaint(image, mask, 3.0, cv2.INPAINT_TELEA)
