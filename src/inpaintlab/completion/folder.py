"""Completing many photographs: files are read ahead and written behind while the networks work."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import final

import torch
from omegaconf import DictConfig

from inpaintlab.completion.checking import AT_ONCE, THREADS, Checked
from inpaintlab.completion.completing import in_halves, in_windows, raw_outputs, write_completed
from inpaintlab.completion.photographs import Contents, read_photograph
from inpaintlab.completion.windows import TOGETHER, Windowing
from inpaintlab.inpainting import Classical, Inpainter, computing
from inpaintlab.shapes import Images


def complete_folder(
    model: Inpainter,
    photographs: Sequence[tuple[Checked, str]],
    cfg: DictConfig,
    tell: Callable[[str], None],
    together: int | None = None,
    at_once: int = AT_ONCE,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Complete photographs and write each whole or not at all, in threads beside the one that runs the model.

    Where this ends early, what is being written becomes whole or is removed, and nothing further is begun.

    Args:
        model: on its device, with its weights.
        photographs: each with the hash of what it is made of, see `hash_of`.
        cfg: the settings of ``inpaintlab complete``: precision, blend, hole_colour, threshold, memory and window.
        tell: takes a line for each photograph, in their order, once its file is written.
        together: pixels, padding included, that are completed in one batch if they fit into the memory; 0 completes
            them one by one, and so does None on a CPU, whose convolutions are no faster in batches and round otherwise.
        at_once: pixels of photographs in memory; a larger photograph is alone.
        progress: is told of what takes seconds: the number of photographs that are done, with the share of the present.

    Raises:
        ValueError: files that cannot be read any more, or sizes that differ by now.
        OSError: a file cannot be written. In either case, those before it are written and told.
    """
    if together is None:
        together = TOGETHER if model.device.type == "cuda" and model.generators() else 0
    with model.watched(progress) if progress and isinstance(model, Classical) else nullcontext():
        _Folder(model, photographs, cfg, tell, progress, together, at_once).complete()


@final
@dataclass(eq=False)
class _Slot:
    """The place of a photograph in the row.

    Args:
        checked: its files.
        made: the hash of what it is made of.
        reading: what its files hold; None once it is taken.
        writing: the line to be told; None until it is completed.
    """

    checked: Checked
    made: str
    reading: "Future[Contents] | None"
    writing: "Future[str] | None" = None


@final
class _Folder:
    """The work of `complete_folder`, whose arguments it has.

    Attributes:
        row: the photographs in memory, in their order: being read, waiting for their batch, or being written.
        held: their pixels.
        batches: those that wait for others of their size, by padded size.
        done: photographs that the model has completed.
    """

    def __init__(
        self,
        model: Inpainter,
        photographs: Sequence[tuple[Checked, str]],
        cfg: DictConfig,
        tell: Callable[[str], None],
        progress: Callable[[float], None] | None,
        together: int,
        at_once: int,
    ) -> None:
        self.model, self.cfg, self.tell = model, cfg, tell
        self.progress, self.done = progress, 0
        self.together, self.at_once = together, at_once
        self.windowing = Windowing(model, cfg.memory, cfg.window)
        self.to_come = deque(photographs)
        self.row: deque[_Slot] = deque()
        self.unread: deque[_Slot] = deque()
        self.held = 0
        self.batches: dict[tuple[int, int], list[tuple[_Slot, Contents]]] = defaultdict(list)
        self.readers, self.writers = (ThreadPoolExecutor(THREADS) for _ in range(2))

    def complete(self) -> None:
        """Complete all of them.

        Raises:
            ValueError: as of `complete_folder`; or the memory does not suffice for one of them, which is told before
                any is begun where the extent of its hole shows it, and else when its turn comes.
        """
        with computing(self.cfg.trainer.precision, self.model.device):
            for extent in {checked.extent for checked, _ in self.to_come}:
                self.windowing.require(extent)
        try:
            self._complete_as_read()
            self._complete_batches()
            self._tell_completed()
        except Exception:
            self._tell_completed()  # those before it
            raise
        finally:
            for threads in (self.readers, self.writers):
                threads.shutdown(cancel_futures=True)

    def _complete_as_read(self) -> None:
        """Take the photographs as they are read; complete those of a batch when it is full, or memory is."""
        while self.to_come or self.unread:
            self._read_ahead()
            if not self.unread:
                self._complete_batches()
                # not one by one, or batches would be of one
                while self.row and not (self._next_fits() and self.held <= self.at_once // 2):
                    self._tell_first()
                continue
            slot = self.unread.popleft()
            assert slot.reading is not None
            try:
                contents = slot.reading.result()
            except Exception:
                self._complete_batches()  # of photographs before it
                raise
            slot.reading = None
            self._take(slot, contents)
            while self.row and (writing := self.row[0].writing) is not None and writing.done():
                self._tell_first()

    def _next_fits(self) -> bool:
        """Whether there is memory for the next photograph."""
        return not self.row or self.held + self.to_come[0][0].pixels <= self.at_once

    def _read_ahead(self) -> None:
        """Have files read, as long as there is memory, but not farther ahead than helps."""
        while self.to_come and self._next_fits() and len(self.unread) < 2 * THREADS:
            checked, made = self.to_come.popleft()
            slot = _Slot(checked, made, self.readers.submit(self._read, checked))
            self.row.append(slot)
            self.unread.append(slot)
            self.held += checked.pixels

    def _read(self, checked: Checked) -> Contents:
        contents = read_photograph(checked.photograph, self.cfg)
        return contents.pinned() if self.model.device.type == "cuda" else contents

    def _take(self, slot: _Slot, contents: Contents) -> None:
        """Complete a photograph, or let it wait for others of its size."""
        if not contents.mask.any():
            self._write(slot, contents, None, None)
            return
        with computing(self.cfg.trainer.precision, self.model.device):
            plan = self.windowing.plan(contents.mask[0, 0].numpy())
        size = self.model.padded_size(*contents.mask.shape[-2:])
        slow = self.model.device.type == "cpu" and self.model.generators() and not self.windowing.is_small(size)
        if plan.windows or plan.notes or slow:
            self._write(slot, contents, *in_windows(self.windowing, plan, contents, self.cfg, self._heard()))
            return
        batch = self.batches[size]
        batch.append((slot, contents))
        with computing(self.cfg.trainer.precision, self.model.device):  # in which the memory is measured
            full = len(batch) >= self.windowing.together(size, self.together)
        if full:
            del self.batches[size]
            self._complete(batch)

    def _heard(self) -> Callable[[float], None]:
        """What takes the share of a photograph that takes seconds."""
        if isinstance(self.model, Classical):
            return self.model.progress
        tell, done = self.progress, self.done
        return lambda share: None if tell is None else tell(done + share)

    def _complete_batches(self) -> None:
        while self.batches:
            _, batch = self.batches.popitem()
            self._complete(batch)

    def _complete(self, batch: list[tuple[_Slot, Contents]]) -> None:
        raw = in_halves(self._completed, batch)
        for (slot, contents), (one, ready, notes) in zip(batch, raw, strict=True):
            self._write(slot, contents, one, ready, notes)

    def _completed(
        self, batch: list[tuple[_Slot, Contents]]
    ) -> list[tuple[Images, torch.cuda.Event | None, list[str]]]:
        raw, ready = raw_outputs(self.model, [contents for _, contents in batch], self.cfg)
        notes = self.model.remarks()  # a classical method's are of the only image of its batch
        return [(one, ready, notes) for one in raw]

    def _write(
        self,
        slot: _Slot,
        contents: Contents,
        raw: Images | None,
        ready: torch.cuda.Event | None,
        notes: Sequence[str] = (),
    ) -> None:
        self.done += 1
        photograph = slot.checked.photograph
        made_for = self.model.made_for
        resized = [f"resized to {made_for.side} pixels"] if made_for and made_for.misfit(slot.checked.extent) else []
        given = contents, raw, ready, self.cfg, slot.made, [*resized, *notes]
        slot.writing = self.writers.submit(write_completed, photograph, *given)

    def _tell_first(self) -> None:
        """Wait for the first photograph of the row, and tell its line."""
        slot = self.row[0]
        assert slot.writing is not None
        line = slot.writing.result()
        self.row.popleft()
        self.held -= slot.checked.pixels
        self.tell(line)

    def _tell_completed(self) -> None:
        """Tell the photographs up to the first that is not completed or cannot be written."""
        while self.row and self.row[0].writing is not None:
            self._tell_first()
