"""Spectral norm: torch's numbers and state, in float32 whatever the precision."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm, spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode

from inpaintlab.layers import SpectralNorm, fuse_spectral_norm, iterate_together


def ours_on(layer: Any) -> Any:
    """The layer with torch's spectral norm, computed by ours."""
    spectral_norm(layer)
    (parametrization,) = layer.parametrizations.weight
    assert type(parametrization) is _SpectralNorm
    parametrization.__class__ = SpectralNorm
    return layer


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 4, 2, 1)])
def test_spectral_norm_is_torchs_and_stays_in_float32(monkeypatch: pytest.MonkeyPatch, layer: Any) -> None:
    theirs, enabled = copy.deepcopy(layer), []
    torch.manual_seed(3)
    ours = ours_on(copy.deepcopy(layer))
    torch.manual_seed(3)
    spectral_norm(theirs)
    for mode in (True, True, False):
        torch.testing.assert_close(ours.train(mode).weight, theirs.train(mode).weight, atol=1e-7, rtol=1e-6)
    assert ours.state_dict().keys() == theirs.state_dict().keys()

    product = torch.mv
    monkeypatch.setattr(torch, "mv", lambda *a: (enabled.append(torch.is_autocast_enabled("cpu")), product(*a))[1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours.train().weight.dtype == torch.float32
    assert enabled == [False, False]  # u, and v, whose length is the singular value


def stack() -> Any:
    """Layers of several shapes."""
    torch.manual_seed(3)
    return nn.Sequential(*map(ours_on, (nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.ConvTranspose2d(8, 4, 4, 2))))


def test_power_iterations_that_run_together_are_those_of_each_layer() -> None:
    """Called twice before the gradient, as a discriminator is on real and on generated images."""
    alone, together, images = stack(), stack(), torch.randn(2, 2, 3, 8, 8)
    iterate_together(together)
    for network in (alone, together):
        sum(network(image).square().mean() for image in images).backward()
    for one, other in zip(together.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-5)
    for one, other in zip(together.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert all(module.ready is None for module in together.modules() if isinstance(module, SpectralNorm))


def test_running_together_takes_fewer_operators() -> None:
    alone, together, image = stack(), stack(), torch.randn(1, 3, 8, 8)
    iterate_together(together)
    counts = []
    for network in (alone, together):
        with Operators() as operators:
            network(image)
        counts.append(operators.count)
    assert counts[1] < counts[0]


class Operators(TorchDispatchMode):
    """Counts operators that are no views."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("gradient", [True, False])
def test_what_was_divided_for_another_call_is_not_taken_for_a_changed_weight_or_without_its_gradient(
    gradient: bool,
) -> None:
    network = stack()
    iterate_together(network)
    with torch.set_grad_enabled(gradient):
        assert network[1].weight.requires_grad is gradient  # which divides the others' too
    if gradient:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(3)
    network(torch.randn(1, 3, 8, 8)).sum().backward()
    assert all(layer.parametrizations.weight.original.grad is not None for layer in network)
    for layer in network:  # not three times as large
        matrix = layer.eval().weight.transpose(0, layer.parametrizations.weight[0].dim).flatten(1)
        assert 0.5 < torch.linalg.matrix_norm(matrix, 2) < 2


def test_a_copy_of_a_network_iterates_by_itself() -> None:
    network = stack()
    iterate_together(network)
    copied = copy.deepcopy(network)
    before = [buffer.clone() for buffer in network.buffers()]
    copied(torch.randn(1, 3, 8, 8))
    assert all(torch.equal(one, other) for one, other in zip(network.buffers(), before, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(copied.buffers(), before, strict=True))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 4, 2, 1)])
def test_spectral_norms_gradient_is_torchs_in_every_layout(layer: Any, layout: torch.memory_format) -> None:
    theirs, ours = copy.deepcopy(layer).double(), copy.deepcopy(layer).double()
    torch.manual_seed(3)
    ours_on(ours).to(memory_format=layout)
    torch.manual_seed(3)
    spectral_norm(theirs)
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


def test_fused_spectral_norm_computes_the_same_bits() -> None:
    torch.manual_seed(4)
    network = nn.Sequential(ours_on(nn.Conv2d(3, 5, 3)), nn.Conv2d(5, 2, 1))
    x = torch.rand(2, 3, 8, 8)
    network(x)  # one power iteration, far from converged
    expected = network.eval()(x)
    fuse_spectral_norm(network.train())
    assert torch.equal(network(x), expected)
    assert not [name for name in network.state_dict() if "parametrizations" in name]
    assert not network.training
