"""Instance norm: torch's function, and the right gradient in every memory layout."""

import pytest
import torch
from torch import Tensor, nn

from inpaintlab.layers import ChannelsLastInstanceNorm, InstanceNorm

SHAPES = [(1, 8, 16, 16), (2, 8, 16, 16), (1, 64, 9, 13), (3, 4, 6, 5)]


def pair(shape: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(shape, generator=generator) + 1, torch.randn(shape, generator=generator)


KINDS = [InstanceNorm, ChannelsLastInstanceNorm]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_instance_norm_equals_torchs(kind: type, shape: tuple[int, int, int, int], training: bool) -> None:
    x, _ = pair(shape)
    ours, theirs = kind(shape[1]).train(training), nn.InstanceNorm2d(shape[1]).train(training)
    torch.testing.assert_close(ours(x), theirs(x), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_instance_norm_is_right_in_every_layout(
    kind: type, shape: tuple[int, int, int, int], layout: torch.memory_format
) -> None:
    x, upstream = pair(shape)
    upstream = upstream + x  # gradients that correlate with the input are where a wrong formula shows

    exact = x.double().requires_grad_()
    deviation = exact - exact.mean(dim=(2, 3), keepdim=True)
    normalised = deviation / (deviation.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
    normalised.backward(upstream.double())

    ours = x.clone(memory_format=layout).requires_grad_()
    kind(shape[1])(ours).backward(upstream.contiguous(memory_format=layout))

    assert exact.grad is not None
    assert ours.grad is not None
    torch.testing.assert_close(ours.grad.double(), exact.grad, atol=2e-5, rtol=1e-3)


def test_instance_norm_has_no_parameters_and_no_state() -> None:
    norm = InstanceNorm(8)
    assert list(norm.parameters()) == []
    assert norm.state_dict() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_instance_norm_keeps_the_layout(kind: type) -> None:
    x = torch.rand(2, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    assert kind(8)(x).is_contiguous(memory_format=torch.channels_last)
    assert kind(8)(x.contiguous()).is_contiguous()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_in_16_bits_statistics_are_those_of_float32(layout: torch.memory_format) -> None:
    """Of images far from 0, where a variance rounded to 16 bits would be off by a tenth."""
    x, upstream = (one.bfloat16().contiguous(memory_format=layout) for one in pair((2, 16, 32, 32)))
    x = (x + 4).requires_grad_()
    exact = x.detach().double().requires_grad_()
    ours, theirs = ChannelsLastInstanceNorm(16)(x), nn.InstanceNorm2d(16)(exact)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.double(), theirs, atol=2e-3, rtol=4e-3)  # of one rounding to 8 bits
    ours.backward(upstream)
    theirs.backward(upstream.double())
    assert x.grad is not None
    assert exact.grad is not None
    assert x.grad.dtype == torch.bfloat16
    assert (x.grad.double() - exact.grad).norm() < 6e-3 * exact.grad.norm()
