"""Convolutions and linear layers of ours beside torch's."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.layers import (
    FewOutputsConv2d,
    Float32Linear,
    RoundedGradientConv2d,
    RoundedGradientConvTranspose2d,
    channels,
)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("outputs", "kernel"), [(3, (7, 7)), (1, (7, 7)), (2, (3, 5))])
def test_a_convolution_of_few_outputs_is_a_convolution(
    outputs: int, kernel: tuple[int, int], bias: bool, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    thin = FewOutputsConv2d(5, outputs, kernel, bias=bias).double()
    plain = nn.Conv2d(5, outputs, kernel, bias=bias).double()
    plain.load_state_dict(thin.state_dict())
    image = torch.rand(2, 5, 11, 13).double()
    seen = [image.clone(memory_format=layout) for _ in range(2)]
    outputs_of = [layer(x.requires_grad_()) for layer, x in zip((thin, plain), seen, strict=True)]
    upstream = torch.rand(outputs_of[0].shape).double()
    for output in outputs_of:
        output.backward(upstream)
    torch.testing.assert_close(outputs_of[0], outputs_of[1], atol=1e-12, rtol=0)
    torch.testing.assert_close(seen[0].grad, seen[1].grad, atol=1e-12, rtol=0)
    for ours, theirs in zip(thin.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-11, rtol=0)


def test_a_convolution_of_few_outputs_rounds_no_worse_than_a_convolution() -> None:
    torch.manual_seed(0)
    thin, x = FewOutputsConv2d(64, 3, 7), torch.rand(1, 64, 20, 20)
    assert thin.bias is not None
    exact = F.conv2d(x.double(), thin.weight.double(), thin.bias.double())
    assert (thin(x).double() - exact).abs().max() < 2e-6


ROUNDING: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: RoundedGradientConv2d(6, 4, 3, padding=2, dilation=2),
    "strided": lambda: RoundedGradientConv2d(6, 4, 5, 2, 2),
    "without a bias": lambda: RoundedGradientConv2d(6, 4, 3, bias=False),
    "transposed": lambda: RoundedGradientConvTranspose2d(6, 4, 4, 2, 1),
}


def gradients(layer: nn.Module, x: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
    output = layer(x)
    upstream = torch.rand(output.shape, generator=torch.Generator().manual_seed(1)) if upstream is None else upstream
    return output, list(torch.autograd.grad(output, [x, *layer.parameters()], upstream))


@pytest.mark.parametrize("kind", ROUNDING)
def test_mixed_precision_rounds_the_gradients_alone(kind: str) -> None:
    torch.manual_seed(0)
    layer, x = ROUNDING[kind](), torch.randn(2, 6, 9, 8, requires_grad=True)
    output, exact = gradients(layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, rounded = gradients(layer, x)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, output)
    assert not torch.equal(rounded[0], exact[0])
    assert not torch.equal(rounded[1], exact[1])
    for one, other in zip(rounded, exact, strict=True):
        assert one.dtype == torch.float32
        assert ((one - other).norm() / other.norm()).item() < 5e-3


@pytest.mark.parametrize("kind", ROUNDING)
def test_a_convolution_with_rounded_gradients_is_rounded_where_it_learns_no_more(kind: str) -> None:
    torch.manual_seed(0)
    layer, x = ROUNDING[kind](), torch.randn(2, 6, 9, 8)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            assert torch.equal(layer(x), exact)  # in training mode a frozen network's output has to be exact as well
        layer.eval()
        assert torch.equal(layer(x), exact)
        with torch.no_grad():
            rounded = layer(x)
    assert rounded.dtype == torch.bfloat16
    assert 0 < (rounded - exact).norm() < 5e-3 * exact.norm()


def test_a_convolution_with_rounded_gradients_gives_no_gradient_that_nobody_asked_for() -> None:
    layer, x = RoundedGradientConv2d(2, 3, 3), torch.randn(1, 2, 6, 6)
    layer.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x.requires_grad_()).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None


@pytest.mark.parametrize("channels", [16, 64])
@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_kernel_that_sees_padding_alone_gets_the_gradient_0_there(channels: int, side: int) -> None:
    """What torch 2.13 leaves unwritten on the CPU: memory that was NaN before shows it, more often than not."""
    torch.manual_seed(0)
    layer = RoundedGradientConv2d(channels, 32, 5, 2, 2)
    x = torch.randn(2, channels, side, side, requires_grad=True)
    _, exact = gradients(layer, x)
    for _ in range(5):
        torch.full_like(layer.weight, torch.nan)
        with torch.autocast("cpu", torch.bfloat16):
            _, rounded = gradients(layer, x)
        for one, other in zip(rounded, exact, strict=True):
            torch.testing.assert_close(one, other, atol=0.02 * other.abs().max().item(), rtol=0.02)


@pytest.mark.parametrize(("base", "width", "count"), [(64, 1.0, 64), (64, 0.0625, 4), (64, 0.5, 32), (3, 0.01, 1)])
def test_a_width_multiplies_the_channels_and_leaves_at_least_one(base: int, width: float, count: int) -> None:
    assert channels(base, width) == count


@pytest.mark.parametrize("width", [0.0, -1.0])
def test_a_width_that_is_not_positive_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match="width multiplier"):
        channels(64, width)


def test_a_linear_layer_stays_in_float32_in_mixed_precision() -> None:
    torch.manual_seed(0)
    layer, x = Float32Linear(6, 4), torch.randn(3, 6, requires_grad=True)
    output, exact = gradients(layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(F.linear(x, layer.weight, layer.bias).float(), output)
        mixed, ours = gradients(layer, x)
        rounded = layer(x.bfloat16())
    assert torch.equal(mixed, output)
    for one, other in zip(ours, exact, strict=True):  # those may be rounded, if the backward pass is in mixed precision
        assert (one - other).norm() < 5e-3 * other.norm()
    assert rounded.dtype == torch.float32
