"""The optional packages and published weights that metrics need (``pip install "inpaintlab[perceptual]"``).

Nothing is downloaded here. If something is missing, an error before any work says what to install or to fetch.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from torch import Tensor

_IMPORTED_AS = {
    "torchvision": "torchvision",
    "torch-fidelity": "torch_fidelity",
    "scikit-learn": "sklearn",
    "numba": "numba",
    "PyPatchMatch": "patchmatch",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "onnxruntime": "onnxruntime",
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
}


def require_packages(wanted_by: str, packages: tuple[str, ...], extra: str = "perceptual") -> None:
    """Check that optional packages are installed, without importing them.

    Args:
        wanted_by: the metric, network or method that needs them, for the error.
        packages: their names on PyPI.
        extra: of ours, that brings them.

    Raises:
        ValueError: one is not.
    """
    missing = [package for package in packages if find_spec(_IMPORTED_AS[package]) is None]
    if missing:
        raise ValueError(
            f'{wanted_by} needs {" and ".join(missing)}, which the extra brings: pip install "inpaintlab[{extra}]".'
        )


@final
@dataclass(frozen=True)
class WeightFile:
    """A published file of weights, which PyTorch's own loaders download into the folder of torch.hub.

    Args:
        url: where it is published.
        setting: the key of the configuration that names a copy of it.
    """

    url: str
    setting: str

    def path(self, given: str | None) -> Path:
        """The file that a setting names, else where torch.hub would put the download."""
        if given is not None:
            return Path(given).expanduser().absolute()
        from torch import hub  # seconds, which `inpaintlab weights` need not wait

        return Path(hub.get_dir(), "checkpoints", self.url.rpartition("/")[2]).absolute()

    def require(self, wanted_by: str, given: str | None) -> None:
        """Check that the file exists.

        Args:
            wanted_by: the metric or network that needs it, for the error.
            given: the path that the setting names, or None.

        Raises:
            ValueError: it does not; the message says where it is published.
        """
        path = self.path(given)
        if not path.is_file():
            raise ValueError(
                f"{wanted_by} needs weights and there is no file {path}: put {self.url} there, or name your copy of it "
                f"with {self.setting}=PATH."
            )

    def load(self, given: str | None) -> "dict[str, Tensor]":
        """The tensors of the file, by name; no code in it runs.

        Raises:
            ValueError: the file is damaged, or holds something other than tensors.
        """
        import torch  # as above

        path = self.path(given)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, KeyError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise ValueError(f"{path} cannot be read as weights ({type(error).__name__}): {self._mend}") from error
        if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
            raise ValueError(f"{path} holds something other than weights: {self._mend}")
        return dict(state)

    @contextmanager
    def mismatch_named(self, given: str | None) -> Iterator[None]:
        """Name the file in the error if a network does not take its weights.

        Raises:
            ValueError: names or shapes differ from the network's.
        """
        try:
            yield
        except (RuntimeError, KeyError) as error:
            raise ValueError(f"{self.path(given)} holds the weights of another network: {self._mend}") from error

    @property
    def _mend(self) -> str:
        return f"fetch {self.url} again, or name another file with {self.setting}=PATH."
