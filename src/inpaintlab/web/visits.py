"""What visitors have sent and got, in memory alone: forgotten when they leave, or after a while without a request."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from inpaintlab.web.pictures import Photo

MOST_VISITS = 64
"""Visits at a time; one photograph each."""

MOST_HELD = 2 * 2**30
"""Bytes of files that all visits hold together."""


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


@final
@dataclass(frozen=True)
class Finished:
    """A job's results with what they were made of.

    Args:
        scene: photograph, mask, edges.
        blend: whether results are blended.
        made: the results, in the order of the methods.
    """

    scene: Scene
    blend: bool
    made: tuple[Made, ...]


@final
@dataclass
class Visit:
    """One visitor's photograph, and what was made of it.

    Attributes:
        scene: what is to be completed; None before there is a photograph.
        finished: the completions of the last job; None before there are any.
        edges: the edges of the last such job.
        pairs: names of pairs to choose from, with the two results on their sides, left first.
        choices: rows of the log.
        touched: when the last request came, by the monotonic clock.
    """

    name: str
    scene: Scene | None = None
    finished: Finished | None = None
    edges: Made | None = None
    pairs: dict[str, tuple[Made, Made]] = field(default_factory=dict)
    choices: list[dict[str, str]] = field(default_factory=list)
    touched: float = field(default_factory=time.monotonic)

    def held(self) -> int:
        """Bytes of its files."""
        scenes = [scene for scene in (self.scene, self.finished and self.finished.scene) if scene]
        given = [file for scene in scenes for file in (scene.photo.content, scene.mask, scene.edges) if file]
        files = {id(file): len(file) for file in given}
        made = [*(self.finished.made if self.finished else ()), *([self.edges] if self.edges else [])]
        return sum(files.values()) + sum(len(one.png) + len(one.small or b"") for one in made)

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


@final
class Visits:
    """All visits.

    Args:
        minutes: without a request, after which a visit is forgotten.
        left: hears the name of each visit that is over.
    """

    def __init__(self, minutes: float, left: Callable[[str], None]) -> None:
        self.minutes, self.left = minutes, left
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
        """Hold room for a file that is about to be read.

        Args:
            size: its bytes.

        Raises:
            RefusedError: all visits hold as much as they may.
        """
        with self._lock:
            held = sum(visit.held() for visit in self._visits.values())
            if held + self._arriving + size > MOST_HELD:
                raise RefusedError(503, "The server holds as many pictures as it may; try again later.")
            self._arriving += size
        try:
            yield
        finally:
            with self._lock:
                self._arriving -= size

    def __len__(self) -> int:
        return len(self._visits)
