"""PyPatchMatch in a process of its own: its random state belongs to the whole process, and its loops hear no signal."""

import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, final

import numpy as np
from jaxtyping import Bool, UInt8

_READY = b"filled\n"
_EXPECTATION, _LEVEL = b"EM Iteration", b"Inpainting level:"
_LAST_LINES = 3
"""Of an error of the library, that are told."""


@final
class PyPatchMatch:
    """The library's process, which starts with the first image and ends with this object.

    A copy, also one in another process, starts its own. Images of several threads wait for each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] = lambda: None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()

    def fill(
        self,
        pixels: UInt8[np.ndarray, "height width 3"],
        hole: Bool[np.ndarray, "height width"],
        radius: int,
        seed: int,
        progress: Callable[[float], None],
    ) -> UInt8[np.ndarray, "height width 3"]:
        """The image with its hole filled. Whatever stops this, such as Ctrl-C, ends the library's process.

        Args:
            pixels: what they are in the hole does not matter.
            hole: True in the hole, which `reaches_everywhere` holds of.
            radius: of a patch, in pixels without its centre, at least 1.
            seed: of the random numbers, at least 0 and below 2^32.
            progress: called with the share that is done.

        Raises:
            ValueError: the library fails.
        """
        with self._lock:
            try:
                return self._filled(pixels, hole, radius, seed, progress)
            except BaseException:
                self._end()
                self._process = None
                raise

    def _filled(
        self, pixels: np.ndarray, hole: np.ndarray, radius: int, seed: int, progress: Callable[[float], None]
    ) -> np.ndarray:
        process = self._process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        height, width = hole.shape
        with suppress(BrokenPipeError):  # it has ended, and has said why
            for part in (np.array([height, width, radius, seed], np.int64), pixels, hole.astype(np.uint8)):
                process.stdin.write(part.tobytes())
            process.stdin.flush()
        said = _watched(process.stderr, progress)
        answer = process.stdout.read(pixels.size) if not said else b""
        if len(answer) < pixels.size:
            raise ValueError(f"PyPatchMatch failed on an image of {width} x {height} pixels: {said or 'it ended'}")
        return np.frombuffer(answer, np.uint8).reshape(pixels.shape)

    def _started(self) -> "subprocess.Popen[bytes]":
        # -P: this folder is no place to import from; a session of its own: a terminal's Ctrl-C is for its parent alone
        process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._end = weakref.finalize(self, _ended, process)
        return process


def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # what it had not read
        process.stdin.close()


def _watched(stderr: Any, progress: Callable[[float], None]) -> str:
    """Tell the progress until an image is filled; if it is not, the end of what the library said instead."""
    said: list[bytes] = []
    costs: list[float] = []
    level, done = 0, 0.0
    for line in stderr:
        if line == _READY:
            progress(1.0)
            return ""
        if line.startswith(_LEVEL):
            level = int(line[len(_LEVEL) :])
            costs = costs or [_cost(each) for each in range(level + 1)]
        elif line.startswith(_EXPECTATION):
            # the levels before this one, and the rounds before this round
            round_ = int(line[len(_EXPECTATION) + 1 :])
            before = sum((1 + 2 * each) * costs[each] for each in range(level + 1, len(costs))) + round_ * costs[level]
            done = max(done, before / sum((1 + 2 * each) * costs[each] for each in range(len(costs))))
            progress(done)  # it stands still where the library goes over two levels once more
        elif line.strip() and not line.startswith((b"  ", b"Initialization")):
            said = [*said[1 - _LAST_LINES :], line.strip()]
    return b" ".join(said).decode(errors="replace") or "its process died"


def _cost(level: int) -> float:
    """Of a round at a level, up to a factor: its scans, which grow with the level up to 7, and its votes."""
    return (min(7, 1 + level) + 2) / 4**level


def reaches_everywhere(hole: Bool[np.ndarray, "height width"], radius: int) -> bool:
    """Whether the library fills all of a hole; otherwise it leaves black, also mixed into other colours.

    It halves the image until a side is no longer than the radius, each pixel from the known ones of 6 x 6 finer ones,
    and takes what is unknown even then as black (MaskedImage::downsample and Inpainting::_initialize_pyramid of 2.2).
    """
    known = ~hole
    while min(known.shape) > radius:
        height, width = (side // 2 for side in known.shape)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(known, ((2, 3), (0, 0))), 6, axis=0)
        rows = np.asarray(windows.any(axis=-1))[: 2 * height : 2]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(rows, ((0, 0), (2, 3))), 6, axis=1)
        known = np.asarray(windows.any(axis=-1))[:, : 2 * width : 2]
    return bool(known.all())


def _serve() -> None:
    """Fill images that come through standard input until it is closed."""
    import signal

    from patchmatch import inpaint, set_random_seed, set_verbose

    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody listens any more
    set_verbose(True)
    while len(head := sys.stdin.buffer.read(4 * 8)) == 4 * 8:
        height, width, radius, seed = np.frombuffer(head, np.int64).tolist()
        pixels = np.frombuffer(sys.stdin.buffer.read(3 * height * width), np.uint8).reshape(height, width, 3)
        hole = np.frombuffer(sys.stdin.buffer.read(height * width), np.uint8).reshape(height, width)
        set_random_seed(seed)
        filled = inpaint(pixels, hole, patch_size=radius)
        sys.stderr.buffer.write(_READY)
        sys.stderr.buffer.flush()
        sys.stdout.buffer.write(filled.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
