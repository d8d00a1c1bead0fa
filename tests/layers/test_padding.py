"""Padding in 16 bits, and in the memory format of its input."""

import pytest
import torch
from torch import nn

from inpaintlab.layers import ChannelsLastReflectionPad2d, ReflectionPad2d


def test_a_mirrored_border_is_not_widened_by_mixed_precision() -> None:
    image = torch.randn(2, 3, 8, 9).bfloat16().contiguous(memory_format=torch.channels_last)
    ours, theirs = image.clone().requires_grad_(), image.float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        padded = ReflectionPad2d(3)(ours)
    expected = nn.ReflectionPad2d(3)(theirs)
    assert padded.dtype == torch.bfloat16
    assert padded.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(padded.float(), expected)
    padded.backward(torch.ones_like(padded))
    expected.backward(torch.ones_like(expected))
    assert torch.equal(ours.grad.float(), theirs.grad)  # whole numbers from 1 to 4


@pytest.mark.parametrize("border", [3, (1, 2, 3, 4)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_border_is_mirrored_where_the_channels_lie_last(border: int, layout: torch.memory_format) -> None:
    image = torch.randn(2, 5, 8, 9)
    ours, theirs = image.clone(memory_format=layout).requires_grad_(), image.clone().requires_grad_()
    padded, expected = ChannelsLastReflectionPad2d(border)(ours), nn.ReflectionPad2d(border)(theirs)
    assert torch.equal(padded, expected)
    assert layout == torch.contiguous_format or padded.is_contiguous(memory_format=layout)
    upstream = torch.randn(expected.shape)
    padded.backward(upstream)
    expected.backward(upstream)
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=0)
