"""The whole application: the page, its files, what it offers, visits and studies, behind its door."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from inpaintlab import __version__
from inpaintlab.web.choices import Log
from inpaintlab.web.guards import Door, Guarded
from inpaintlab.web.jobs import Queue
from inpaintlab.web.messages import About, Choice, Offer, Participant, Session, Trial
from inpaintlab.web.methods import Offered
from inpaintlab.web.pictures import bare_png
from inpaintlab.web.routes import PNG, Hall, Name, visit_routes
from inpaintlab.web.study import Study
from inpaintlab.web.visits import RefusedError, Visits

_PAGE = Path(__file__).with_name("page")

_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_SECONDS_BETWEEN_LOOKS = 20.0
"""After which old visits are looked for, when nobody asks for anything."""

_DECODED_AT_ONCE = 2

_DESCRIPTION = """Complete photographs with the methods that this server offers.

A visit holds one photograph: PUT it, PUT a mask (and edges), POST a job, ask for its progress, GET the results. Errors
are JSON, `{"detail": "one sentence"}`. Nothing is kept after the visit, unless the server's owner says so
(`keeps` of /api/about). Where the server asks for a token, send `Authorization: Bearer TOKEN`.
"""


@final
@dataclass(frozen=True)
class Limits:
    """What a server takes, which its page says beforehand.

    Args:
        most_pixels: of a photograph.
        most_bytes: of a file.
        minutes: without a request, after which a visit is forgotten.
    """

    most_pixels: int
    most_bytes: int
    minutes: float


@final
class Server:
    """The application, with the thread that completes photographs.

    Args:
        methods: that visitors may choose; none in a study.
        door: who is let in.
        limits: what is taken.
        keep: the folder of the owner for cases and choices; None keeps nothing.
        study: the study that the page shows in the place of the editor; None without one.
        device: where methods run, in words.
        report: takes a line for the terminal.

    Attributes:
        asgi: the application as servers such as uvicorn run it.

    Raises:
        ValueError: what lies in ``keep`` is no log of choices.
    """

    def __init__(
        self,
        methods: Mapping[str, Offered],
        door: Door,
        limits: Limits,
        *,
        keep: Path | None = None,
        study: Study | None = None,
        device: str = "cpu",
        report: Callable[[str], None] = print,
    ) -> None:
        queue = Queue(report)
        self.hall = Hall(
            methods=methods,
            visits=Visits(limits.minutes, queue.forget, queue.held),
            queue=queue,
            most_pixels=limits.most_pixels,
            most_bytes=limits.most_bytes,
            keep=keep,
            log=None if keep is None else Log(keep / "choices.csv"),
            report=queue.report,
            decoding=threading.Semaphore(_DECODED_AT_ONCE),
        )
        self.about = About(
            version=__version__,
            device=device,
            methods=[
                Offer(method=one.label, draws_edges=one.draws_edges, remark=one.remark) for one in methods.values()
            ],
            most_pixels=limits.most_pixels,
            most_bytes=limits.most_bytes,
            minutes=limits.minutes,
            keeps=keep is not None,
            study=study is not None,
        )
        self.asgi = Guarded(self._application(study), door)

    def close(self, seconds: float) -> bool:
        """End all jobs.

        Args:
            seconds: to wait at most for the one that runs.

        Returns:
            Whether it has ended.
        """
        return self.hall.queue.close(seconds)

    def _application(self, study: Study | None) -> FastAPI:
        @asynccontextmanager
        async def life(app: FastAPI) -> AsyncIterator[None]:
            looking = asyncio.create_task(self._forget())
            try:
                yield
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking

        app = FastAPI(
            title="inpaintlab serve",
            version=__version__,
            description=_DESCRIPTION,
            # the pages that FastAPI would show load scripts from elsewhere
            docs_url=None,
            redoc_url=None,
            lifespan=life,
        )
        app.add_exception_handler(RefusedError, _refused)
        app.add_exception_handler(OSError, self._unwritable)
        app.add_exception_handler(RequestValidationError, _invalid)
        app.add_exception_handler(HTTPException, _failed)

        @app.get("/api/about", tags=["server"])
        def about() -> About:
            """What this server offers, and its limits."""
            return self.about

        if study is None:
            app.include_router(visit_routes(self.hall))
        else:
            app.include_router(study_routes(study, self.hall))
        app.include_router(_page_routes("page.html" if study is None else "study.html"))
        return app

    async def _unwritable(self, request: Request, error: Any) -> JSONResponse:
        """A log on a disk that is full, or a picture of a study that is gone: the owner hears which."""
        self.hall.report(f"{type(error).__name__}: {error}")
        sentence = "The server cannot write or read a file of its own, so this was not done; its owner is told."
        return JSONResponse({"detail": sentence}, status_code=507)

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            self.hall.visits.forget_old()


def study_routes(study: Study, hall: Hall) -> APIRouter:
    """The addresses below /api/study.

    Args:
        study: what is shown.
        hall: what all requests share.
    """
    routes = APIRouter(prefix="/api/study/sessions", tags=["study"])
    number = Annotated[int, InPath(ge=0, le=10**9, description="Of the trial, from 0.")]

    @routes.post("", status_code=201)
    def begin(participant: Participant) -> Session:
        """Take part: draw an order of pairs and their sides."""
        session, trials = study.begin(participant.participant)
        return Session(session=session, trials=trials)

    @routes.get("/{session}")
    def next_trial(session: Name) -> Trial:
        """The pair that comes next; all are done when `trial` is `trials`."""
        trial, trials, (width, height) = study.next(session)
        return Trial(trial=trial, trials=trials, width=width, height=height)

    @routes.get("/{session}/trials/{trial}/{side}.png", response_class=Response, responses=PNG)
    def get_side(session: Name, trial: number, side: Literal["left", "right"]) -> Response:  # type: ignore[valid-type]
        """One of the two pictures, without anything that tells its method."""
        content = study.picture(session, trial, side)
        with hall.taking_in():
            return Response(bare_png(content), media_type="image/png")

    @routes.post("/{session}/trials/{trial}")
    def choose(session: Name, trial: number, choice: Choice) -> Trial:  # type: ignore[valid-type]
        """Say which is better. The choice is in the log before the answer comes, which is the next pair."""
        study.choose(session, trial, choice)
        return next_trial(session)

    return routes


def _page_routes(first: str) -> APIRouter:
    """The page and its files, which are read once: no request names a path on the disk."""
    routes = APIRouter(include_in_schema=False)
    files = {path.name: (path.read_bytes(), _KINDS[path.suffix]) for path in sorted(_PAGE.iterdir()) if path.is_file()}

    @routes.get("/")
    def page() -> Response:
        """The page."""
        content, kind = files[first]
        return Response(content, media_type=kind)

    @routes.get("/favicon.ico")
    def icon() -> Response:
        """The page's icon, for browsers that ask for it without reading the page."""
        return Response(files["icon.svg"][0], media_type=_KINDS[".svg"])

    @routes.get("/{name}")
    def file(name: str) -> Response:
        """A file of the page."""
        if name not in files:
            raise RefusedError(404, "There is nothing here.")
        content, kind = files[name]
        return Response(content, media_type=kind)

    return routes


async def _refused(request: Request, error: Any) -> JSONResponse:
    # what did not come of a file is not waited for: the connection ends
    headers = {"connection": "close"} if error.status == 408 else None
    return JSONResponse({"detail": error.sentence}, error.status, headers)


async def _failed(request: Request, error: Any) -> JSONResponse:
    return JSONResponse({"detail": f"{str(error.detail).rstrip('.')}."}, error.status_code, error.headers)


async def _invalid(request: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "path", "query"))
    return JSONResponse({"detail": f"{where or 'The body'}: {first['msg']}."}, status_code=422)
