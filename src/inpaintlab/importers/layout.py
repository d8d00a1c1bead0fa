"""What a reader of somebody's files finds, and the strict match of its names and shapes with ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SHOWN = 12  # names that an error lists of each kind


EPS = 1e-5  # of our batch norm


def _as_they_are(weights: dict[str, Tensor]) -> None:
    """No conversion."""


@dataclass
class Network:
    """One network of ours, as a file of others holds it.

    Args:
        ours: its name in our model, such as 'edge_generator'.
        path: the file.
        theirs: the file's tensors by their names there.
        names: our name of each tensor, inside the network, to theirs.
        convert: changes the tensors, by our names, where more than the name differs. Runs after all shapes fit.
        added: tensors that our network has and the file leaves out because they follow from the rest.
    """

    ours: str
    path: Path
    theirs: dict[str, Tensor]
    names: dict[str, str]
    convert: Callable[[dict[str, Tensor]], None] = _as_they_are
    added: dict[str, Tensor] = field(default_factory=dict)

    def adopt(self, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under our names, as float32.

        ``expected`` are our network's own, whose names and shapes decide.

        Raises:
            ValueError: tensors that are missing, left over, of another shape or kind of number, or that hold what no
                training leaves; all of them are listed.
        """
        missing = [their for their in self.names.values() if their not in self.theirs]
        unexpected = list(self.theirs.keys() - set(self.names.values()))
        shapes = [
            f"{their} {tuple(self.theirs[their].shape)} instead of {tuple(expected[our].shape)}"
            for our, their in self.names.items()
            if their in self.theirs and self.theirs[their].shape != expected[our].shape
        ]
        numbers = [
            f"{their} {self.theirs[their].dtype}"
            for our, their in self.names.items()
            if their in self.theirs and self.theirs[their].is_floating_point() != expected[our].is_floating_point()
        ]
        kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes, "of other numbers": numbers}
        wrong = [f"{len(names)} {kind}: {_listed(names)}" for kind, names in kinds.items() if names]
        if wrong:
            raise ValueError(f"{self.path} does not hold this {self.ours.replace('_', ' ')}; {'; '.join(wrong)}.")
        weights = {our: _like(self.theirs[their], expected[our]) for our, their in self.names.items()}
        self.convert(weights)
        broken = [
            self.names[our] for our, weight in weights.items() if our in self.names and not weight.isfinite().all()
        ]
        if broken:
            raise ValueError(f"{self.path} holds numbers that are not finite, in {_listed(broken)}; fetch it again.")
        negative = [
            self.names[our]
            for our, weight in weights.items()
            if our.endswith("running_var") and (weight + EPS <= 0).any()
        ]
        if negative:
            raise ValueError(f"{self.path} holds variances below 0, in {_listed(negative)}; fetch it again.")
        return weights | self.added


@dataclass
class Found:
    """What a reader found in the files.

    Args:
        preset: the model of ours, a name in conf/model.
        size: its training size in pixels.
        settings: what the files say of it, on top of the preset.
        networks: the networks that the files hold.
        absent: networks of the model that were not published.
        buffers: tensors of the model outside its networks.
        iterations: how long the networks were trained, where the files tell.
    """

    preset: str
    size: int
    settings: dict[str, Any]
    networks: list[Network]
    absent: list[str]
    buffers: dict[str, Tensor] = field(default_factory=dict)
    iterations: int | None = None


def width_of(theirs: Mapping[str, Tensor], key: str, path: Path) -> float:
    """The width multiplier, from the output channels of the network's first convolution, which has 64 at width 1.

    Raises:
        ValueError: the tensor is missing, no convolution, or wider than what was published.
    """
    weight = theirs.get(key)
    if weight is None or weight.ndim != 4 or not 1 <= weight.shape[0] <= 64:
        found = "is missing" if weight is None else f"has shape {tuple(weight.shape)}"
        raise ValueError(f"{path}: {key} {found}; it should be a convolution with 64 output channels.")
    return weight.shape[0] / 64


def _like(tensor: Tensor, expected: Tensor) -> Tensor:
    return tensor.detach().to(expected.dtype, copy=True).contiguous()


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(shown(name) for name in sorted(names)[:SHOWN]) + more


def shown(text: str) -> str:
    """A name or sentence of a foreign file for an error: on one line, without what steers a terminal, not long."""
    return repr(text[:120])[1:-1]


def zero_counter() -> Tensor:
    """Batch norm's count of batches, which has no influence with a fixed momentum."""
    return torch.tensor(0)
