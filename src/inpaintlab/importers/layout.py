"""What a reader finds in published files, and the strict match of its names and shapes with ours."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from inpaintlab.importers import torch7

LISTED = 12  # names that an error lists of each kind
EPS = 1e-5  # of our batch norm


def _as_they_are(weights: dict[str, Tensor]) -> None:
    """No conversion."""


@dataclass
class Network:
    """One network of ours, as a published file holds it.

    Args:
        ours: its name in our model, such as 'edge_generator'.
        path: the file.
        theirs: the file's tensors by their names there.
        names: our name of each tensor, inside the network, to theirs.
        convert: changes the tensors in place, by our names, if more than names differ; runs once all shapes fit.
        added: tensors of our network that the file leaves out because they follow from others.
    """

    ours: str
    path: Path
    theirs: dict[str, Tensor]
    names: dict[str, str]
    convert: Callable[[dict[str, Tensor]], None] = _as_they_are
    added: dict[str, Tensor] = field(default_factory=dict)

    def adopt(self, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The file's tensors by our names and in our dtypes.

        Args:
            expected: our network's state dict.

        Raises:
            ValueError: tensors that are missing, unexpected, of another shape or kind of number, not finite, or with a
                negative variance; all of them are listed.
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
        non_finite = [
            self.names[our] for our, weight in weights.items() if our in self.names and not weight.isfinite().all()
        ]
        if non_finite:
            raise ValueError(
                f"{self.path} holds numbers that are not finite, in {_listed(non_finite)}; fetch it again."
            )
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
        settings: of the model, on top of the preset.
        networks: the networks that the files hold.
        absent: networks of the model that were not published.
        buffers: tensors of the model outside its networks.
        iterations: of the published training, if the files say so.
    """

    preset: str
    size: int
    settings: dict[str, Any]
    networks: list[Network]
    absent: list[str]
    buffers: dict[str, Tensor] = field(default_factory=dict)
    iterations: int | None = None


def width_of(theirs: Mapping[str, Tensor], key: str, path: Path) -> float:
    """The width multiplier, from the network's first convolution, which has 64 output channels at width 1.

    Args:
        theirs: the file's tensors.
        key: the name of that convolution's weight.
        path: the file, for the error.

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
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(printable(name) for name in sorted(names)[:LISTED]) + more


def printable(text: str) -> str:
    """A foreign file's text for an error: on one line, shortened, and without control characters."""
    return repr(text[:120])[1:-1]


def zero_counter() -> Tensor:
    """Batch norm's count of batches, which has no effect with a fixed momentum."""
    return torch.tensor(0)


@final
@dataclass(frozen=True)
class Torch7Layers:
    """The layers of a network in a Torch7 file, held against what they should be as they are taken.

    Args:
        modules: by their place, as errors name it.
        path: the file.
        network: whose they should be, such as "the paper's completion network".
        largest: how many numbers a tensor may have; a larger one is not copied from the file.
    """

    modules: Mapping[Any, Any]
    path: Path
    network: str
    largest: int

    def fields(self, place: int, *kinds: str) -> dict[Any, Any]:
        """The fields of a module of one of these kinds, from nn or cudnn.

        Raises:
            ValueError: it is of another kind.
        """
        module = self.modules.get(place)
        kind = module.kind if isinstance(module, torch7.Torch7Object) else "nothing"
        library, _, name = kind.rpartition(".")
        if not isinstance(module, torch7.Torch7Object) or library not in ("nn", "cudnn") or name not in kinds:
            raise ValueError(
                f"{self.path}: module {place} is '{printable(kind)}', not nn.{kinds[0]}; it is not {self.network}."
            )
        return module.fields

    def convolution(self, place: int, kinds: Sequence[str], kernel: int, settings: Mapping[str, int | float]) -> Tensor:
        """The weight of a convolution.

        Args:
            place: of the module.
            kinds: what it may be.
            kernel: side of its window.
            settings: what its fields must be, where it has them.

        Raises:
            ValueError: it is another layer.
        """
        self.require(place, kinds, settings)
        weight = self.tensor(place, kinds, "weight")
        if weight.ndim == 2 and weight.shape[1] % kernel**2 == 0:  # the matrix form: a row an output channel
            weight = weight.reshape(len(weight), -1, kernel, kernel)
        return weight

    def require(self, place: int, kinds: Sequence[str], settings: Mapping[str, int | float]) -> None:
        """Check the settings of a layer, as far as it has them.

        Raises:
            ValueError: one is another.
        """
        fields = self.fields(place, *kinds)
        for setting, value in settings.items():
            found = fields.get(setting, value)
            if not isinstance(found, int | float) or found != value:
                raise ValueError(
                    f"{self.path}: module {place} has {setting} = {_in_an_error(found)}; {self.network} has {value}."
                )

    def norm(self, place: int) -> dict[str, Tensor]:
        """Batch norm: weight, bias, running_mean and running_var.

        Old files hold running_std instead, 1 / sqrt(variance + eps). An epsilon other than ours is added to the
        variance, which is exact in evaluation mode.

        Raises:
            ValueError: it is another layer.
        """
        kinds = ("SpatialBatchNormalization",)
        fields = self.fields(place, *kinds)
        eps = fields.get("eps", EPS)
        if not isinstance(eps, float) or not 0 <= eps <= 1:
            raise ValueError(
                f"{self.path}: module {place} has eps = {_in_an_error(eps)}; a small positive number was expected."
            )
        norm = {part: self.tensor(place, kinds, part) for part in ("weight", "bias", "running_mean")}
        if "running_var" not in fields and "running_std" in fields:
            inverse = self.tensor(place, kinds, "running_std")
            if not (inverse > 0).all():
                raise ValueError(f"{self.path}: 'running_std' of module {place} is not positive; fetch it again.")
            return norm | {"running_var": (inverse.double().pow(-2) - EPS).float()}
        norm["running_var"] = self.tensor(place, kinds, "running_var")
        if not math.isclose(eps, EPS, rel_tol=1e-6):
            norm["running_var"] = norm["running_var"] + (eps - EPS)
        return norm

    def tensor(self, place: int, kinds: Sequence[str], part: str) -> Tensor:
        """A tensor of a module, in float32.

        Raises:
            ValueError: there is none, or it is larger than any of this network.
        """
        array = self.fields(place, *kinds).get(part)
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{self.path}: module {place} has no tensor '{part}'.")
        if array.size > self.largest:
            raise ValueError(
                f"{self.path}: '{part}' of module {place} has {array.size} numbers, more than {self.network}."
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused with its name
            return torch.from_numpy(np.array(array, dtype=np.float32))


def _in_an_error(value: Any) -> str:
    """A field for an error; tables and tensors, which may be very large, only by their type."""
    if isinstance(value, str):
        return f"'{printable(value)}'"
    return str(value) if isinstance(value, float | bool) else f"a {type(value).__name__}"
