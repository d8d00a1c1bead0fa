"""Padding in 16 bits."""

import torch
from torch import nn

from inpaintlab.layers import ReflectionPad2d


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
