"""ADADELTA (Zeiler 2012), computed block by block on a CPU."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim

_BLOCK = 2**16  # elements; the six arrays of a block stay in a core's cache


class Adadelta(optim.Adadelta):
    """``torch.optim.Adadelta`` with the same state and, bit for bit, the same steps, but faster on a CPU.

    Torch reads each whole parameter ten times and allocates arrays of its size. On the CPU that takes more than twice
    as long as going block by block. GLCIC's discriminator has 45 million parameters, so the difference is a seventh of
    its step. On other devices this is torch's own step.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient.

        Args:
            closure: computes the loss and the gradients first, as in torch.

        Returns:
            The closure's loss; None without a closure.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        on_cpu = True
        for group in self.param_groups:
            arrays = [a for p in group["params"] if p.grad is not None for a in (p, p.grad)]
            on_cpu = on_cpu and all(a.device.type == "cpu" and a.is_contiguous() for a in arrays)
        if not on_cpu:
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
