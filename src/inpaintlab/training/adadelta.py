"""ADADELTA (Zeiler 2012) on a CPU: torch's, block by block."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim

_BLOCK = 2**16  # elements; the six arrays of a block stay in a core's cache


class Adadelta(optim.Adadelta):
    """``torch.optim.Adadelta`` with the same state and, bit for bit, the same steps.

    Torch goes through a whole parameter ten times, allocating arrays as large as it. On the CPU that takes over twice
    as long as block by block, a seventh of GLCIC's step, whose discriminator has 45 million parameters.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step down the gradients that there are, after the ``closure``."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        plain = True
        for group in self.param_groups:
            arrays = [a for p in group["params"] if p.grad is not None for a in (p, p.grad)]
            plain = plain and all(a.device.type == "cpu" and a.is_contiguous() for a in arrays)
        if not plain:
            super().step()
            return loss
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._descend(parameter, parameter.grad, group["lr"], group["rho"], group["eps"])
        return loss

    def _descend(self, parameter: Tensor, gradient: Tensor, lr: float, rho: float, eps: float) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["square_avg"], state["acc_delta"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        arrays = (parameter, gradient, state["square_avg"], state["acc_delta"])
        for values, slope, square, travelled in zip(*(a.view(-1).split(_BLOCK) for a in arrays), strict=True):
            square.mul_(rho).addcmul_(slope, slope, value=1 - rho)
            delta = travelled.add(eps).sqrt_().div_(square.add(eps).sqrt_()).mul_(slope)
            travelled.mul_(rho).addcmul_(delta, delta, value=1 - rho)
            values.add_(delta, alpha=-lr)
