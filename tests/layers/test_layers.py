"""Laws of the shared layers."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.layers import (
    InstanceNorm,
    ReflectionPad2d,
    SteadyConv2d,
    SteadyConvTranspose2d,
    SteadyLinear,
    ThinConv2d,
    channels,
    fuse_spectral_norm,
    laid_out,
    spectrally_normalised,
)
from inpaintlab.layers.convolutions import FEW_PIXELS

SHAPES = [(1, 8, 16, 16), (2, 8, 16, 16), (1, 64, 9, 13), (3, 4, 6, 5)]


def pair(shape: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(shape, generator=generator) + 1, torch.randn(shape, generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_instance_norm_equals_torchs(shape: tuple[int, int, int, int], training: bool) -> None:
    x, _ = pair(shape)
    ours, theirs = InstanceNorm(shape[1]).train(training), nn.InstanceNorm2d(shape[1]).train(training)
    torch.testing.assert_close(ours(x), theirs(x), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_instance_norm_is_right_in_every_layout(
    shape: tuple[int, int, int, int], layout: torch.memory_format
) -> None:
    x, upstream = pair(shape)
    upstream = upstream + x  # gradients that correlate with the input are where a wrong formula shows

    exact = x.double().requires_grad_()
    deviation = exact - exact.mean(dim=(2, 3), keepdim=True)
    normalised = deviation / (deviation.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
    normalised.backward(upstream.double())

    ours = x.clone(memory_format=layout).requires_grad_()
    InstanceNorm(shape[1])(ours).backward(upstream.contiguous(memory_format=layout))

    assert exact.grad is not None
    assert ours.grad is not None
    torch.testing.assert_close(ours.grad.double(), exact.grad, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 4, 2, 1)])
def test_spectral_norm_is_torchs_and_stays_in_float32(monkeypatch: pytest.MonkeyPatch, layer: Any) -> None:
    theirs, enabled = copy.deepcopy(layer), []
    torch.manual_seed(3)
    ours = spectrally_normalised(copy.deepcopy(layer))
    torch.manual_seed(3)
    nn.utils.parametrizations.spectral_norm(theirs)
    for mode in (True, True, False):
        torch.testing.assert_close(ours.train(mode).weight, theirs.train(mode).weight, atol=1e-7, rtol=1e-6)
    assert ours.state_dict().keys() == theirs.state_dict().keys()

    product = torch.mv
    monkeypatch.setattr(torch, "mv", lambda *a: (enabled.append(torch.is_autocast_enabled("cpu")), product(*a))[1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours.train().weight.dtype == torch.float32
    assert enabled == [False, False]  # u, and v, whose length is the singular value


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 4, 2, 1)])
def test_spectral_norms_gradient_is_torchs_in_every_layout(layer: Any, layout: torch.memory_format) -> None:
    theirs, ours = copy.deepcopy(layer).double(), copy.deepcopy(layer).double()
    torch.manual_seed(3)
    spectrally_normalised(ours).to(memory_format=layout)
    torch.manual_seed(3)
    nn.utils.parametrizations.spectral_norm(theirs)
    image, upstream = torch.rand(2, 3, 9, 9).double(), None
    for mode in (True, True, False):  # gradients add up over three passes with other vectors each
        outputs = [norm.train(mode)(image) for norm in (ours, theirs)]
        upstream = torch.randn_like(outputs[0])
        torch.testing.assert_close(outputs[0], outputs[1], atol=1e-12, rtol=0)
        (outputs[0] * upstream).sum().backward()
        (outputs[1] * upstream).sum().backward()
    one, other = (norm.parametrizations.weight.original for norm in (ours, theirs))
    assert float(other.grad.norm()) > 1
    torch.testing.assert_close(one.grad, other.grad, atol=1e-11, rtol=0)
    assert one.grad.stride() == one.stride()
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), buffer, atol=1e-12, rtol=0)


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


def test_instance_norm_has_no_parameters_and_no_state() -> None:
    norm = InstanceNorm(8)
    assert list(norm.parameters()) == []
    assert norm.state_dict() == {}


def test_instance_norm_keeps_the_layout() -> None:
    x = torch.rand(2, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    assert InstanceNorm(8)(x).is_contiguous(memory_format=torch.channels_last)
    assert InstanceNorm(8)(x.contiguous()).is_contiguous()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("outputs", "kernel"), [(3, (7, 7)), (1, (7, 7)), (2, (3, 5))])
def test_a_thin_convolution_is_a_convolution(
    outputs: int, kernel: tuple[int, int], bias: bool, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    thin = ThinConv2d(5, outputs, kernel, bias=bias).double()
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


def test_a_thin_convolution_rounds_no_worse_than_a_convolution() -> None:
    torch.manual_seed(0)
    thin, x = ThinConv2d(64, 3, 7), torch.rand(1, 64, 20, 20)
    assert thin.bias is not None
    exact = F.conv2d(x.double(), thin.weight.double(), thin.bias.double())
    assert (thin(x).double() - exact).abs().max() < 2e-6


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sides", [(4, 4), (8, 7), (3, 9)])
def test_an_output_of_few_pixels_is_a_convolution(monkeypatch: Any, sides: tuple[int, int], bias: bool) -> None:
    torch.manual_seed(0)
    layer = SteadyConv2d(6, 5, (5, 3), 2, (2, 1), dilation=(1, 2), bias=bias).double()
    upstream = torch.rand_like(layer(torch.rand(2, 6, *sides).double()))
    assert upstream[:, 0].numel() <= FEW_PIXELS
    x = torch.rand(2, 6, *sides).double().requires_grad_()
    output, ours = gradients(layer, x, upstream)
    monkeypatch.setattr(F, "unfold", None)
    monkeypatch.setattr("inpaintlab.layers.convolutions.FEW_PIXELS", 0)
    expected, theirs = gradients(layer, x, upstream)
    torch.testing.assert_close(output, expected, atol=1e-12, rtol=0)
    assert output.is_contiguous()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_few_pixels_may_come_rounded() -> None:
    torch.manual_seed(0)
    layer, x = SteadyConv2d(6, 5, 3, padding=1).eval(), torch.rand(1, 6, 4, 4).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = layer(x)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, F.conv2d(x.float(), layer.weight, layer.bias, padding=1), atol=1e-6, rtol=0)


def test_a_linear_layers_gradients_are_torchs() -> None:
    torch.manual_seed(0)
    layer, x = SteadyLinear(7, 5).double(), torch.rand(3, 7).double().requires_grad_()
    plain = nn.Linear(7, 5).double()
    plain.load_state_dict(layer.state_dict())
    upstream = torch.rand(3, 5).double()
    output, ours = gradients(layer, x, upstream)
    expected, theirs = gradients(plain, x, upstream)
    assert torch.equal(output, expected)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-13, rtol=0)
    layer(x).sum().backward()
    assert layer.weight.grad.is_contiguous()
    with torch.no_grad():
        assert layer(x).requires_grad is False
    (gradient,) = torch.autograd.grad(layer.requires_grad_(False)(x).sum(), [x])
    torch.testing.assert_close(gradient, layer.weight.sum(dim=0).expand(3, 7), atol=1e-13, rtol=0)


STEADY: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: SteadyConv2d(6, 4, 3, padding=2, dilation=2),
    "strided": lambda: SteadyConv2d(6, 4, 5, 2, 2),
    "without a bias": lambda: SteadyConv2d(6, 4, 3, bias=False),
    "transposed": lambda: SteadyConvTranspose2d(6, 4, 4, 2, 1),
}


def gradients(layer: nn.Module, x: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
    output = layer(x)
    upstream = torch.rand(output.shape, generator=torch.Generator().manual_seed(1)) if upstream is None else upstream
    return output, list(torch.autograd.grad(output, [x, *layer.parameters()], upstream))


@pytest.mark.parametrize("kind", STEADY)
def test_mixed_precision_rounds_the_gradients_of_a_steady_convolution_alone(kind: str) -> None:
    torch.manual_seed(0)
    layer, x = STEADY[kind](), torch.randn(2, 6, 9, 8, requires_grad=True)
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


@pytest.mark.parametrize("kind", STEADY)
def test_a_steady_convolution_is_rounded_where_it_learns_no_more(kind: str) -> None:
    torch.manual_seed(0)
    layer, x = STEADY[kind](), torch.randn(2, 6, 9, 8)
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


def test_a_steady_convolution_gives_no_gradient_that_nobody_asked_for() -> None:
    layer, x = SteadyConv2d(2, 3, 3), torch.randn(1, 2, 6, 6)
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
    layer = SteadyConv2d(channels, 32, 5, 2, 2)
    x = torch.randn(2, channels, side, side, requires_grad=True)
    _, exact = gradients(layer, x)
    for _ in range(5):
        torch.full_like(layer.weight, torch.nan)
        with torch.autocast("cpu", torch.bfloat16):
            _, rounded = gradients(layer, x)
        for one, other in zip(rounded, exact, strict=True):
            torch.testing.assert_close(one, other, atol=0.02 * other.abs().max().item(), rtol=0.02)


def test_a_steady_linear_layer_stays_in_float32() -> None:
    layer, x = SteadyLinear(6, 4), torch.randn(3, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias).float()) is False
        mixed = layer(x)
    assert torch.equal(mixed, layer(x))


def test_inputs_are_laid_out_for_mixed_precision_alone() -> None:
    x = torch.rand(2, 3, 4, 4)
    assert laid_out(x) is x
    with torch.autocast("cpu", torch.bfloat16):
        laid = laid_out(x)
    assert laid.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(laid, x)


@pytest.mark.parametrize(("base", "width", "count"), [(64, 1.0, 64), (64, 0.0625, 4), (64, 0.5, 32), (3, 0.01, 1)])
def test_a_width_multiplies_the_channels_and_leaves_at_least_one(base: int, width: float, count: int) -> None:
    assert channels(base, width) == count


@pytest.mark.parametrize("width", [0.0, -1.0])
def test_a_width_that_is_not_positive_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match="width multiplier"):
        channels(64, width)


def test_fused_spectral_norm_computes_the_same_bits() -> None:
    torch.manual_seed(4)
    network = nn.Sequential(spectrally_normalised(nn.Conv2d(3, 5, 3)), nn.Conv2d(5, 2, 1))
    x = torch.rand(2, 3, 8, 8)
    network(x)  # one power iteration, far from converged
    expected = network.eval()(x)
    fuse_spectral_norm(network.train())
    assert torch.equal(network(x), expected)
    assert not [name for name in network.state_dict() if "parametrizations" in name]
    assert not network.training
