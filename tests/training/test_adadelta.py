"""Laws of the optimizer in blocks: torch's own is the reference."""

import copy

import pytest
import torch
from torch import Tensor, nn, optim

from inpaintlab.training import Adadelta


def parameters(shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in shapes]


def descend(optimizer: optim.Optimizer, given: list[nn.Parameter], steps: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for parameter in given:
            parameter.grad = 1e-3 * torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    return [parameter.detach().clone() for parameter in given]


SHAPES = [(7,), (5, 3, 2, 2), (11, 13), ()]


@pytest.mark.parametrize("block", [1, 4, 2**16])
@pytest.mark.parametrize("settings", [{}, {"lr": 0.3, "rho": 0.8, "eps": 1e-4}], ids=["defaults", "others"])
def test_the_steps_are_torchs_bit_for_bit(
    block: int, settings: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inpaintlab.training.adadelta._BLOCK", block)
    ours, theirs = parameters(SHAPES), parameters(SHAPES)
    stepped = descend(Adadelta(ours, **settings), ours, 5)
    expected = descend(optim.Adadelta(theirs, **settings), theirs, 5)
    assert all(torch.equal(one, other) for one, other in zip(stepped, expected, strict=True))
    assert all(not torch.equal(one, start) for one, start in zip(stepped, parameters(SHAPES), strict=True))


def test_a_state_goes_over_from_torchs_and_back() -> None:
    ours, theirs = parameters(SHAPES), parameters(SHAPES)
    one, other = Adadelta(ours), optim.Adadelta(theirs)
    descend(one, ours, 2)
    descend(other, theirs, 2)
    kept = copy.deepcopy(other.state_dict())
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    one.load_state_dict(kept)
    stepped, expected = descend(one, ours, 3, seed=1), descend(other, theirs, 3, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(stepped, expected, strict=True))


def test_a_parameter_without_a_gradient_rests() -> None:
    one, other = parameters([(3,), (3,)])
    before = other.detach().clone()
    optimizer = Adadelta([one, other])
    one.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(other, before)
    assert other not in optimizer.state
    assert not torch.equal(one, parameters([(3,)])[0])


def test_a_layout_that_is_not_contiguous_is_stepped_as_torch_does() -> None:
    ours, theirs = parameters([(4, 6)]), parameters([(4, 6)])
    for given in (ours, theirs):
        given[0].data = given[0].data.t().contiguous().t()
    assert not ours[0].is_contiguous()
    (stepped,), (expected,) = descend(Adadelta(ours), ours, 3), descend(optim.Adadelta(theirs), theirs, 3)
    assert torch.equal(stepped, expected)


def test_the_closure_is_called_once_with_gradients() -> None:
    (parameter,) = parameters([(3,)])
    calls = []

    def closure() -> Tensor:
        calls.append(torch.is_grad_enabled())
        loss = parameter.square().sum()
        loss.backward()
        return loss

    optimizer = Adadelta([parameter])
    before = parameter.detach().clone()
    parameter.grad = torch.zeros(3)
    assert optimizer.step(closure).item() == pytest.approx(before.square().sum().item())
    assert calls == [True]
    assert not torch.equal(parameter, before)
