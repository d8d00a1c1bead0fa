"""The weights of HED (Xie and Tu, ICCV 2015): VGG-16, and what draws edges from each of its blocks."""

from typing import TYPE_CHECKING

from inpaintlab.published.catalogue import HED
from inpaintlab.published.download import fetch

if TYPE_CHECKING:
    from torch import Tensor

HED_BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions of each block, those of VGG-16."""


def hed_tensors() -> "dict[str, Tensor]":
    """The tensors of HED's published file, downloaded if it is absent; its hash is checked before it is opened.

    Returns:
        Weight and bias, in torch's layout and in float32, of VGG-16's convolutions, ``conv1_1`` to ``conv5_3``; of
        ``side1`` to ``side5``, a convolution of one pixel behind each block; and of ``fuse``, one over the five sides.

    Raises:
        ValueError: the file cannot be fetched, or is not the published one.
        OSError: the folder of published weights cannot be written.
    """
    import h5py  # with torch seconds, which `inpaintlab weights` need not wait
    import torch

    places = {
        f"conv{block}_{layer}": f"block{block}/layers/conv2d{f'_{layer - 1}' * (layer > 1)}"
        for block, convolutions in enumerate(HED_BLOCKS, start=1)
        for layer in range(1, convolutions + 1)
    }
    places |= {f"side{block}": f"dsn{block}" for block in range(1, 6)} | {"fuse": "fuse"}
    (path,) = fetch(HED)
    with h5py.File(path, "r", locking=False) as file:  # some file systems know no locks
        state: dict[str, Tensor] = {}
        for name, place in places.items():
            kernel, bias = (torch.from_numpy(file[f"{place}/vars/{number}"][()]) for number in (0, 1))
            state |= {f"{name}.weight": kernel.permute(3, 2, 0, 1).contiguous(), f"{name}.bias": bias}
    return state
