"""The weights of HED (Xie and Tu, ICCV 2015): VGG-16, and what draws edges from each of its blocks."""

from typing import TYPE_CHECKING

from inpaintlab.published.catalogue import HED
from inpaintlab.published.download import fetch, local_files, weights_folder

if TYPE_CHECKING:
    from torch import Tensor

HED_BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions of each block, those of VGG-16."""


def require_hed(wanted_by: str) -> str:
    """Check that HED's published file is on this machine; nothing is downloaded.

    Args:
        wanted_by: the metric or network that needs it, for the error.

    Returns:
        The file's SHA-256 in hex.

    Raises:
        ValueError: it is not there, or is not the published one.
    """
    if not local_files(HED):
        raise ValueError(
            f"{wanted_by} needs HED's weights, which are not in {weights_folder() / HED.name}: run inpaintlab weights "
            "fetch hed."
        )
    return str(HED.files[0].sha256)


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
