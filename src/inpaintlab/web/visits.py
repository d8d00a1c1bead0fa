"""What visitors have sent and got, in memory alone: forgotten when they leave, or after a while without a request."""

import asyncio
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from inpaintlab.web.pictures import Photo

MOST_VISITS = 64
"""Visits at a time; one photograph each."""

_MOST_PAIRS = 16

MOST_HELD = 2 * 2**30
"""Bytes of files that all visits and their jobs hold together, with the room for results that are still computed."""


@final
class RefusedError(Exception):
    """A request that cannot be done, with HTTP's status for it.

    Args:
        status: of HTTP.
        sentence: for people.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@final
@dataclass(frozen=True)
class Scene:
    """What a visitor wants completed.

    Args:
        photo: the photograph.
        mask: a PNG in its size, white = hole; None before there is one.
        edges: a PNG in its size, white = edge, of which the hole's part is used; None: the methods' own.
    """

    photo: Photo
    mask: bytes | None = None
    edges: bytes | None = None

    def files(self) -> dict[int, int]:
        """The bytes of each file; two scenes may share some, which then have the same key."""
        return {id(file): len(file) for file in (self.photo.content, self.mask, self.edges) if file}


@final
@dataclass(frozen=True)
class Made:
    """A picture that a job has made.

    Args:
        name: by which a visitor asks for it.
        method: the label of its method.
        seconds: that it took.
        notes: what the method tells of it.
        png: the picture.
        small: a smaller copy of a large one, for the page.
    """

    name: str
    method: str
    seconds: float
    notes: tuple[str, ...]
    png: bytes
    small: bytes | None = None

    def files(self) -> dict[int, int]:
        """As `Scene.files`."""
        return {id(file): len(file) for file in (self.png, self.small) if file}


@final
@dataclass(frozen=True)
class Finished:
    """A job's results with what they were made of.

    Args:
        scene: photograph, mask, edges.
        blend: whether results are blended.
        made: the results, in the order of the methods.
        kept: the name of the folder in which the server's owner keeps it; empty if nowhere.
    """

    scene: Scene
    blend: bool
    made: tuple[Made, ...]
    kept: str = ""


@final
@dataclass
class Blind:
    """Two results to choose from, whose methods are not told.

    Attributes:
        left: what stands on the left side.
        right: likewise.
        kept: see `Finished`.
        chosen: left, right or same; empty before the choice.
    """

    left: Made
    right: Made
    kept: str
    chosen: str = ""


@final
@dataclass
class Visit:
    """One visitor's photograph, and what was made of it.

    Attributes:
        scene: what is to be completed; None before there is a photograph.
        finished: the completions of the last job; None before there are any.
        edges: the edges of the last such job.
        pairs: that were drawn, by their names.
        choices: rows of the log.
        touched: when the last request came, by the monotonic clock.
    """

    name: str
    scene: Scene | None = None
    finished: Finished | None = None
    edges: Made | None = None
    pairs: dict[str, Blind] = field(default_factory=dict)
    choices: list[dict[str, str]] = field(default_factory=list)
    touched: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        """Held while what it has is changed, never while something is decoded."""
        self.arriving = asyncio.Lock()
        """Held while a file is read and taken in: one at a time."""

    def held(self) -> int:
        """Bytes of its files."""
        return sum(self.files().values())

    def files(self) -> dict[int, int]:
        """As `Scene.files`."""
        holders: list[Scene | Made | None] = [self.scene, self.edges]
        if (finished := self.finished) is not None:
            holders += [finished.scene, *finished.made]
        holders += [side for pair in list(self.pairs.values()) for side in (pair.left, pair.right)]
        return {key: size for one in holders if one is not None for key, size in one.files().items()}

    def begin(self, photo: Photo) -> None:
        """Take another photograph, and forget what belongs to the one before."""
        with self.lock:
            self.scene, self.finished, self.edges = Scene(photo), None, None
            self.pairs.clear()

    def change(self, photo: Photo, change: Callable[[Scene], Scene]) -> None:
        """Take a mask or edges.

        Args:
            photo: to which they belong.
            change: puts them into the scene.

        Raises:
            RefusedError: another photograph has come meanwhile.
        """
        with self.lock:
            if self.scene is None or self.scene.photo is not photo:
                raise RefusedError(409, "Another photograph has come meanwhile; send this again if it belongs to it.")
            self.scene = change(self.scene)

    def take(self, scene: Scene, made: Finished | Made) -> None:
        """Take what a job has made, unless another photograph has come meanwhile.

        Args:
            scene: the job's.
            made: completions, or edges.
        """
        with self.lock:
            if self.scene is None or self.scene.photo is not scene.photo:
                return
            if isinstance(made, Made):
                self.edges = made
            else:
                self.finished = made
                self.pairs.clear()

    def with_photograph(self) -> Scene:
        """What is to be completed.

        Raises:
            RefusedError: there is no photograph yet.
        """
        if self.scene is None:
            raise RefusedError(409, "There is no photograph yet; send one first.")
        return self.scene

    def result(self, name: str) -> Made:
        """A picture by its name.

        Raises:
            RefusedError: there is none.
        """
        made = [*(self.finished.made if self.finished else ()), *([self.edges] if self.edges else [])]
        for one in made:
            if one.name == name:
                return one
        raise RefusedError(404, "There is no such result; a later job has replaced it.")

    def draw_pair(self, results: Sequence[str]) -> str:
        """Draw two results, on sides by chance.

        Args:
            results: their names; empty: any two of the last job's.

        Returns:
            The pair's name.

        Raises:
            RefusedError: there are no two.
        """
        with self.lock:
            finished = self.finished
            two = [self.result(name) for name in results] or list(finished.made if finished else ())
            if finished is None or len({one.name for one in two}) < 2:
                raise RefusedError(409, "Complete with two methods first; then there is something to choose from.")
            left, right = random.SystemRandom().sample(two, 2)
            while len(self.pairs) >= _MOST_PAIRS:
                del self.pairs[next(iter(self.pairs))]
            name = secrets.token_urlsafe(12)
            self.pairs[name] = Blind(left, right, finished.kept)
            return name

    def pair(self, name: str) -> Blind:
        """A pair that was drawn.

        Raises:
            RefusedError: there is none.
        """
        if (pair := self.pairs.get(name)) is None:
            raise RefusedError(404, "There is no such pair; later results have replaced it.")
        return pair


@final
class Visits:
    """All visits.

    Args:
        minutes: without a request, after which a visit is forgotten.
        left: hears the name of each visit that is over.
        queued: tells what jobs hold: files as `Scene.files` counts them, and the room for results.
    """

    def __init__(
        self, minutes: float, left: Callable[[str], None], queued: Callable[[], tuple[dict[int, int], int]]
    ) -> None:
        self.minutes, self.left, self.queued = minutes, left, queued
        self._visits: dict[str, Visit] = {}
        self._arriving = 0
        self._lock = threading.Lock()

    def open(self) -> Visit:
        """Begin a visit.

        Raises:
            RefusedError: there are as many as there may be.
        """
        self.forget_old()
        with self._lock:
            if len(self._visits) >= MOST_VISITS:
                raise RefusedError(503, f"{MOST_VISITS} visitors are here, as many as there may be; try again later.")
            visit = Visit(secrets.token_urlsafe(24))
            self._visits[visit.name] = visit
            return visit

    def find(self, name: str) -> Visit:
        """A visit by its secret name.

        Raises:
            RefusedError: there is none, or no longer.
        """
        self.forget_old()
        with self._lock:
            if (visit := self._visits.get(name)) is None:
                raise RefusedError(404, "There is no such visit, or it was forgotten; open the page anew.")
            visit.touched = time.monotonic()
            return visit

    def close(self, name: str) -> None:
        """Forget a visit with all its pictures."""
        with self._lock:
            self._visits.pop(name, None)
        self.left(name)

    def forget_old(self) -> None:
        """Forget visits that nobody has asked for long."""
        limit = time.monotonic() - 60 * self.minutes
        with self._lock:
            old = [name for name, visit in self._visits.items() if visit.touched < limit]
        for name in old:
            self.close(name)

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Hold room for what is about to come.

        Args:
            size: its bytes.

        Raises:
            RefusedError: all visits hold as much as they may.
        """
        with self._lock:
            files, results = self.queued()
            for visit in self._visits.values():
                files |= visit.files()
            if sum(files.values()) + results + self._arriving + size > MOST_HELD:
                raise RefusedError(
                    503,
                    "The server holds as many pictures as it may; try again later, or a smaller photograph or fewer "
                    "methods.",
                )
            self._arriving += size
        try:
            yield
        finally:
            with self._lock:
                self._arriving -= size

    def __len__(self) -> int:
        return len(self._visits)
