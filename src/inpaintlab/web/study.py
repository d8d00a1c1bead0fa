"""A study: people choose the better of two methods' results of the same picture, without knowing which is which."""

import random
import secrets
import threading
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import final

from inpaintlab.evaluation import Result
from inpaintlab.imaging import find_pictures, opened, picture_bytes
from inpaintlab.machine import shown
from inpaintlab.web.choices import Log, row
from inpaintlab.web.messages import Choice
from inpaintlab.web.visits import RefusedError

MOST_SESSIONS = 1000
"""Participants at a time; the oldest is forgotten, and its choices are in the log."""

_FEW = 3


@final
@dataclass(frozen=True)
class Contender:
    """The results of one method.

    Args:
        label: its name in the log.
        files: the picture of each case.
    """

    label: str
    files: Mapping[str, Path]


def read_contender(folder: Path) -> Contender:
    """The results of one method: a folder that ``inpaintlab evaluate`` wrote, or one with a picture for each case.

    Raises:
        ValueError: it holds no pictures, or two that differ in their ending alone.
    """
    if (folder / "result.json").is_file():
        result = Result.load(folder)
        return Contender(result.label, {name: result.picture(name) for name in result.per_image["name"]})
    found = find_pictures(folder)
    found.require_sound()
    files: dict[str, Path] = {}
    for name in found.names:
        case = str(PurePosixPath(name).with_suffix(""))
        if files.setdefault(case, folder / name) != folder / name:
            raise ValueError(f"{folder} holds two pictures called {shown(case)}; rename one.")
    return Contender(folder.resolve().name, files)


@final
@dataclass(frozen=True)
class _Trial:
    """One choice: the case, and the methods on the left and on the right side."""

    case: str
    left: Contender
    right: Contender


@final
@dataclass
class _Session:
    """A participant's way.

    Attributes:
        participant: the code.
        order: twice the numbers of the study's pairs, in the order in which they are shown; 1 more with sides changed.
        done: how many are.
        chosen: of the last one that is done.
    """

    participant: str
    order: Sequence[int]
    done: int = 0
    chosen: str = ""


@final
class Study:
    """All cases that all methods have, each pair of methods once a participant, in an order and on sides drawn anew.

    Args:
        contenders: two methods or more.
        log: of the choices.
        seed: from which orders and sides are drawn, with the rows that the log holds at the start and the number of the
            participant since then, so that a server that starts again does not show the same ones again.

    Raises:
        ValueError: fewer than two, two of one label, or pictures that do not belong together.
    """

    def __init__(self, contenders: Sequence[Contender], log: Log, seed: int) -> None:
        labels = [one.label for one in contenders]
        if len(labels) < 2:
            raise ValueError("A study needs two result folders or more: give study=[results/A,results/B].")
        if twice := [label for label in labels if labels.count(label) > 1]:
            raise ValueError(f"Two result folders of the study are called {twice[0]}; rename one.")
        first = contenders[0]
        for other in contenders[1:]:
            if alone := sorted(first.files.keys() ^ other.files.keys()):
                raise ValueError(
                    f"{first.label} and {other.label} are no results of the same cases: {', '.join(alone[:_FEW])} "
                    f"{'is' if len(alone) == 1 else 'are'} in one of them alone."
                )
        if not first.files:
            raise ValueError(f"{first.label} holds no picture, so there is nothing to choose from.")
        self.contenders, self.log = contenders, log
        self.sizes = {case: self._size(case) for case in first.files}
        self._pairs = [(case, *two) for case in self.sizes for two in combinations(contenders, 2)]
        self._seed, self._begun = f"{seed} {log.rows}", 0
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def _size(self, case: str) -> tuple[int, int]:
        sizes = set()
        for contender in self.contenders:
            with opened(contender.files[case]) as picture:
                sizes.add(picture.size)
        if len(sizes) > 1:
            raise ValueError(f"The results of {shown(case)} differ in size: {' and '.join(map(str, sorted(sizes)))}.")
        return sizes.pop()

    def begin(self, participant: str) -> tuple[str, int]:
        """Draw a participant's order and sides.

        Args:
            participant: a code for the log.

        Returns:
            The session's secret name, and how many trials it has.
        """
        with self._lock:
            chance = random.Random(f"{self._seed} {self._begun}")
            self._begun += 1
            order = array("I", (2 * at + chance.getrandbits(1) for at in range(len(self._pairs))))
            chance.shuffle(order)
            if len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            name = secrets.token_urlsafe(24)
            self._sessions[name] = _Session(participant, order)
            return name, len(order)

    def next(self, session: str) -> tuple[int, int, tuple[int, int]]:
        """The number of the trial that comes next, how many there are, and the size of its pictures; (0, 0) after all.

        Raises:
            RefusedError: there is no such session.
        """
        found = self._find(session)
        done, trials = found.done, len(found.order)
        return done, trials, self.sizes[self._trial(found, done).case] if done < trials else (0, 0)

    def picture(self, session: str, trial: int, side: str) -> bytes:
        """The picture on a side of a trial.

        Raises:
            RefusedError: there is no such session or trial, or it comes later.
        """
        found = self._find(session)
        if not 0 <= trial <= found.done or trial >= len(found.order):
            raise RefusedError(404, "There is no such trial.")
        shown_one = self._trial(found, trial)
        return picture_bytes((shown_one.left if side == "left" else shown_one.right).files[shown_one.case])

    def choose(self, session: str, trial: int, choice: Choice) -> None:
        """Log a choice, and go on to the next trial. The last choice may come again, if its answer was lost.

        Raises:
            RefusedError: there is no such session, or the trial is not the present one.
            OSError: the log cannot be written.
        """
        found = self._find(session)
        with self._lock:
            if trial == found.done - 1 and choice.chosen == found.chosen:
                return
            if trial != found.done or trial >= len(found.order):
                raise RefusedError(409, "This choice was made already, or comes later.")
            at = self._trial(found, trial)
            labels = at.left.label, at.right.label
            self.log.add(row(session[:8], found.participant, at.case, *labels, choice, str(trial)))
            found.done, found.chosen = found.done + 1, choice.chosen

    def _trial(self, session: _Session, number: int) -> _Trial:
        at, changed = divmod(session.order[number], 2)
        case, one, other = self._pairs[at]
        return _Trial(case, other, one) if changed else _Trial(case, one, other)

    def _find(self, session: str) -> _Session:
        with self._lock:
            if (found := self._sessions.get(session)) is None:
                raise RefusedError(404, "There is no such session; open the page anew.")
            return found
