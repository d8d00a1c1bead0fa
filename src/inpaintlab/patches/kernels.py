"""Compiled loops: numba, with a cache on disk that no change of the code outlives."""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, final, no_type_check

import numba
import numpy as np
from numba import types
from numba.core import config, event

from inpaintlab.machine import user_cache


def _cache_folder() -> str:
    """A folder that belongs to this wing's code as it stands, and that can be written.

    Numba itself notices a change of the file that a kernel stands in, and not of what the kernel calls in another; and
    it refuses to compile where neither the package nor the user's home can be written.
    """
    code = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        code.update(file.read_bytes())
    try:
        folder = user_cache("NUMBA_CACHE_DIR=FOLDER") / "inpaintlab" / "kernels" / code.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return str(folder)
    except (OSError, ValueError):
        folder = Path(tempfile.mkdtemp(prefix="inpaintlab-kernels-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return str(folder)


_CONFIG: Any = config
_FOLDER = _CONFIG.CACHE_DIR or _cache_folder()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, and keep it on disk; other threads run while it does.

    Floating-point sums are not reordered, so that every processor gives the same bits. Below it stands
    ``no_type_check``, because the tests' checks of shapes would wrap what numba has to read.
    """
    before, _CONFIG.CACHE_DIR = _CONFIG.CACHE_DIR, _FOLDER
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        _CONFIG.CACHE_DIR = before


@final
class _Compilation(event.Listener):
    """Tells the user, once a process and in the first of several, why nothing moves for a while."""

    def __init__(self) -> None:
        self.told = os.environ.get("LOCAL_RANK", "0") != "0"

    def on_start(self, event: Any) -> None:
        if not self.told:
            self.told = True
            print("inpaintlab: compiling the search, once on this machine: 10 to 30 s", file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        """It goes on."""


event.register("numba:compile", _Compilation())


def is_a(value: types.Type, kind: type) -> bool:
    """Whether a value's numba type is a named tuple of this class; for choosing an overload."""
    return isinstance(value, types.NamedTuple) and value.instance_class is kind


@kernel
@no_type_check
def random_bits(state: np.ndarray) -> np.uint64:
    """The next 64 bits of a generator (xorshift64*, Vigna 2016).

    Args:
        state: one uint64 other than 0.
    """
    bits = state[0]
    bits ^= bits >> np.uint64(12)
    bits ^= bits << np.uint64(25)
    bits ^= bits >> np.uint64(27)
    state[0] = bits
    return bits * np.uint64(2685821657736338717)


@kernel
@no_type_check
def uniform(state: np.ndarray) -> float:
    """A random number in [0, 1), of 53 bits."""
    return (random_bits(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@kernel
@no_type_check
def below(state: np.ndarray, number: int) -> int:
    """A random whole number of at least 0 and below ``number``."""
    return int(uniform(state) * number)


def generator(*seeds: int) -> np.ndarray:
    """The state of a generator, the same for the same numbers on every machine."""
    return np.random.SeedSequence(seeds).generate_state(1, np.uint64) | np.uint64(1)
