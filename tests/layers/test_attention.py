"""Laws of contextual attention: its patches, the fused scores, what is valid, tiles and their memory."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inpaintlab.layers import ContextualAttention, SamePad2d, at_corners
from inpaintlab.layers.attention import TILE


def features(height: int = 16, width: int = 24, batch: int = 2, channels: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64)


def hole(height: int = 16, width: int = 24, batch: int = 2) -> Tensor:
    mask = torch.zeros(batch, 1, height, width, dtype=torch.float64)
    for index, sample in enumerate(mask):
        sample[:, 4 + index : 9, 6 : 12 + 2 * index] = 1
    return mask


def by_hand(f: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """The authors' way, of one sample: convolutions with patches, and with eye(3) over the matrix of scores."""
    height, width = f.shape[-2] // 2, f.shape[-1] // 2
    small_f, small_b, small_mask = (at_corners(x, height, width) for x in (f, b, mask))
    patches = F.unfold(small_b, 3, padding=1)[0].T.reshape(height * width, -1, 3, 3)
    raw = F.unfold(b, 4, padding=1, stride=2)[0].T.reshape(height * width, -1, 4, 4)
    valid = (F.unfold(small_mask, 3, padding=1)[0].sum(dim=0) == 0).to(f)
    keys = patches / patches.flatten(1).norm(dim=1).clamp(min=1e-4).view(-1, 1, 1, 1)
    scores = F.conv2d(small_f, keys, padding=1)[0].permute(1, 2, 0).reshape(height * width, -1)  # query, source
    eye = torch.eye(3, dtype=f.dtype).view(1, 1, 3, 3)
    fused = F.conv2d(scores[None, None], eye, padding=1)
    fused = fused.view(height, width, height, width).permute(1, 0, 3, 2).reshape(1, 1, height * width, -1)
    fused = F.conv2d(fused, eye, padding=1).view(width, height, width, height).permute(1, 0, 3, 2)
    weights = (10 * fused.reshape(height * width, -1) * valid).softmax(dim=1) * valid
    planes = weights.T.reshape(1, height * width, height, width)
    return F.conv_transpose2d(planes, raw, stride=2, padding=1) / 4


@pytest.mark.parametrize("size", [(16, 24), (12, 8), (2, 16), (2, 2), (6, 2)])
def test_it_is_the_authors_convolutions_with_patches_one_by_one(size: tuple[int, int]) -> None:
    f, b, mask = features(*size), features(*size, seed=1), hole(*size)
    output = ContextualAttention()(f, b, mask)
    for index in range(2):
        alone = (x[index : index + 1] for x in (f, b, mask))
        torch.testing.assert_close(output[index : index + 1], by_hand(*alone), rtol=0, atol=1e-10)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("tile", [1, 1500, 4000])
def test_tiles_change_neither_numbers_nor_gradients(tile: int, fuse: bool) -> None:
    found = []
    for limit in (2**23, tile):
        attention = ContextualAttention(fuse=fuse, tile=limit)
        f, b = features().requires_grad_(), features(seed=1).requires_grad_()
        output = attention(f, b, hole())
        output.square().sum().backward()
        with torch.no_grad():
            assert torch.equal(attention(f, b, hole()), output)
        found.append((len(attention.tiles(8, 12)), output.detach(), f.grad, b.grad, attention.nearest(f, b, hole())))
    assert found[0][0] == 1 < found[1][0]
    for one, other in zip(found[0][1:], found[1][1:], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


class Largest(TorchDispatchMode):
    """The most elements that a new tensor has."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(x.numel() for x in tree_leaves(result) if isinstance(x, Tensor))])
        return result


@pytest.mark.parametrize(
    ("height", "width", "tile", "learning"),
    [(128, 128, TILE, False), (64, 64, 2**18, True), (32, 128, 2**18, True)],
)
def test_no_tensor_is_larger_than_the_bound(height: int, width: int, tile: int, learning: bool) -> None:
    """Of the features of 512 x 512 pixels; and forward and backward, with smaller features and tiles to save time."""
    attention, h, w = ContextualAttention(tile=tile), height // 2, width // 2
    f = features(height, width, batch=1, channels=1).float().requires_grad_(learning)
    bound = max(tile, 3 * (w + 2) * (h + 2) * (w + 2), 16 * h * w)
    with torch.set_grad_enabled(learning), Largest() as largest:
        output = attention(f, f, None)
        if learning:
            output.sum().backward()
    assert len(attention.tiles(h, w)) > 1
    assert largest.elements <= bound


def test_pictures_of_512_pixels_are_in_tiles_and_those_of_496_are_not() -> None:
    tiles = [ContextualAttention().tiles(side // 8, side // 8) for side in (256, 496, 512, 1024)]
    assert [len(rows) for rows in tiles] == [1, 1, 2, 26]
    assert [top for top, *_ in tiles[2]] == [0, 32]


@pytest.mark.parametrize(
    "settings", [("corners", "clamped", "zero", "four"), ("even", "clamped", "excluded", "counted")]
)
def test_a_hole_without_an_end_leaves_no_source_and_gives_zeros(settings: tuple[str, str, str, str]) -> None:
    f, mask = features(), hole()
    mask[1] = 1
    attention = ContextualAttention(*settings)
    output = attention(f, f, mask)
    assert (output[1] == 0).all()
    assert (output[0] != 0).any()
    assert (attention.nearest(f, f, mask)[1] == -1).all()


def test_sources_that_touch_the_hole_are_used_nowhere() -> None:
    f, b, mask = features(), features(seed=1), hole()
    for invalid in ("zero", "excluded"):
        attention = ContextualAttention(invalid=invalid)
        nearest = attention.nearest(f, b, mask)
        valid = F.max_pool2d(at_corners(mask, 8, 12), 3, stride=1, padding=1).flatten(1) == 0
        for sample in range(2):
            assert valid[sample][nearest[sample].flatten().clamp(min=0)][nearest[sample].flatten() >= 0].all()
    together = ContextualAttention()(f, b, mask[:1].expand(2, -1, -1, -1))
    torch.testing.assert_close(together[:1], ContextualAttention()(f, b, mask)[:1], rtol=0, atol=1e-12)


def test_features_that_are_zero_have_finite_gradients() -> None:
    f = torch.zeros(1, 2, 8, 8, requires_grad=True)
    ContextualAttention()(f, f, None).sum().backward()
    assert f.grad is not None
    assert f.grad.isfinite().all()


def test_weights_stay_in_float32_under_mixed_precision() -> None:
    f = features(channels=16).float()
    exact = ContextualAttention()(f, f, hole().float())
    with torch.autocast("cpu", torch.bfloat16):
        rounded = ContextualAttention()(f.bfloat16(), f.bfloat16(), hole().float())
    assert (rounded.float() - exact).norm() < 0.02 * exact.norm()


def test_the_memory_format_of_the_features_is_kept() -> None:
    f = features().contiguous(memory_format=torch.channels_last)
    assert ContextualAttention()(f, f, None).is_contiguous(memory_format=torch.channels_last)
    assert ContextualAttention()(f.contiguous(), f.contiguous(), None).is_contiguous()


@pytest.mark.parametrize(
    ("side", "small", "expected"), [(8, 4, [0, 2, 5, 7]), (6, 3, [0, 3, 5]), (2, 1, [0]), (8, 2, [0, 7])]
)
def test_nearest_neighbours_keep_the_corners(side: int, small: int, expected: list[int]) -> None:
    line = torch.arange(float(side)).view(1, 1, side, 1).expand(1, 1, side, side)
    assert at_corners(line, small, small)[0, 0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "around"), [(3, 2, 6, (0, 1)), (3, 2, 5, (1, 1)), (5, 2, 6, (1, 2)), (3, 1, 5, (1, 1))]
)
def test_same_padding_is_tensorflows(kernel: int, stride: int, side: int, around: tuple[int, int]) -> None:
    padded = SamePad2d(kernel, stride)(torch.ones(1, 1, side, side))
    before, after = around
    assert torch.equal(padded, F.pad(torch.ones(1, 1, side, side), (before, after, before, after)))
