"""The addresses of a visit: its photograph, mask and edges, its jobs, results and choices."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, final

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool

from inpaintlab.web.cases import case_files, keep_case, zipped
from inpaintlab.web.choices import Log, as_csv, row
from inpaintlab.web.guards import read_body
from inpaintlab.web.jobs import Job, Queue
from inpaintlab.web.messages import (
    Choice,
    MaskTaken,
    Opened,
    Order,
    Pair,
    PairOrder,
    Progress,
    Result,
    Revealed,
    Size,
)
from inpaintlab.web.methods import Offered, completing, finding_edges
from inpaintlab.web.pictures import SMALL, bare_png, read_edges, read_hole, read_photo, shown
from inpaintlab.web.visits import Finished, RefusedError, Visit, Visits

PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}, "description": "The picture."}}
"""What /openapi.json says of an answer that is a picture."""

T = TypeVar("T")

_AS_FILE = {"content-disposition": "attachment"}
"""Without a name, which would stand above the one that the page gives: the photograph's own."""

VisitName = Annotated[str, InPath(description="The secret name of the visit.", max_length=100)]
Name = Annotated[str, InPath(max_length=100)]
Longest = Annotated[int | None, Query(ge=1, le=8192, description="Make it smaller: pixels of its longer side.")]
Layer = Annotated[bool, Query(description="Black becomes transparent, all else white: a layer over the photograph.")]


@final
@dataclass(frozen=True)
class Hall:
    """What all requests share.

    Args:
        methods: that are offered, by their labels.
        visits: who is here.
        queue: their jobs.
        most_pixels: of a photograph.
        most_bytes: of a file.
        keep: the folder of the server's owner for cases; None keeps nothing.
        log: of choices; None keeps none.
        report: takes a line for the server's terminal.
        decoding: how many pictures are decoded at a time, because each takes memory.
    """

    methods: Mapping[str, Offered]
    visits: Visits
    queue: Queue
    most_pixels: int
    most_bytes: int
    keep: Path | None
    log: Log | None
    report: Callable[[str], None]
    decoding: threading.Semaphore

    def offered(self, label: str) -> Offered:
        """A method by its label.

        Raises:
            RefusedError: there is none.
        """
        if (method := self.methods.get(label)) is None:
            raise RefusedError(400, f"There is no method of that name; there are: {', '.join(self.methods)}.")
        return method

    async def taken(self, visit: Visit, request: Request, take_in: Callable[[bytes], T]) -> T:
        """Read a file, and take it in; a visit's files come one after another.

        Args:
            visit: whose it is.
            request: that brings it.
            take_in: decodes it, in another thread.

        Raises:
            RefusedError: there are no bytes, too many, or they do not come.
        """
        async with visit.arriving:
            # a mask and edges are kept as PNG, which may have more bytes than the file
            more = visit.scene.photo.width * visit.scene.photo.height if visit.scene else 0
            with self.visits.room(int(request.headers.get("content-length", 0)) + more):
                return await run_in_threadpool(take_in, await read_body(request, self.most_bytes))

    @contextmanager
    def taking_in(self) -> Iterator[None]:
        """Decode in here: one after another, and what is wrong with a file is told to who sent it."""
        with self.decoding:
            try:
                yield
            except ValueError as error:
                raise RefusedError(400, str(error)) from error
            except MemoryError as error:
                raise RefusedError(507, "There is not enough memory for this picture; send a smaller one.") from error

    def finished(self, done: Finished) -> str:
        """Keep a case, where the owner wants that; the name of its folder, or nothing."""
        try:
            return "" if self.keep is None else keep_case(self.keep, done).name
        except OSError as error:
            self.report(f"a case could not be kept: {error}")
            return ""


def _file(description: str) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "requestBody": {"description": description, "required": True, "content": {"application/octet-stream": binary}}
    }


def visit_routes(hall: Hall) -> APIRouter:
    """The addresses below /api/visits.

    Args:
        hall: what they share.
    """
    routes = APIRouter(prefix="/api/visits", tags=["visits"])

    @routes.post("", status_code=201)
    def open_visit() -> Opened:
        """Begin a visit. Its name is secret: whoever has it sees the visit's pictures."""
        return Opened(visit=hall.visits.open().name)

    @routes.delete("/{visit}", status_code=204, response_class=Response)
    def close_visit(visit: VisitName) -> None:
        """Forget the visit with its pictures, and cancel its jobs."""
        hall.visits.close(visit)

    # ------------------------------------------------------------------------------------------------ what is completed

    @routes.put("/{visit}/photograph", openapi_extra=_file("A JPEG, PNG, WebP, TIFF, BMP or GIF file."))
    async def put_photograph(visit: VisitName, request: Request) -> Size:
        """Give the photograph, which is turned as its EXIF data say. What belongs to another one is forgotten."""
        found = hall.visits.find(visit)

        def take_in(content: bytes) -> Size:
            with hall.taking_in():
                photo, _ = read_photo(content, hall.most_pixels)
            found.begin(photo)
            return Size(width=photo.width, height=photo.height, remarks=[f"not kept: {lost}" for lost in photo.lost])

        return await hall.taken(found, request, take_in)

    @routes.get("/{visit}/photograph", response_class=Response, responses=PNG)
    def get_photograph(visit: VisitName, longest: Longest = None) -> Response:
        """The photograph in 8-bit RGB, upright; above 8 megapixels as a JPEG."""
        scene = hall.visits.find(visit).with_photograph()
        with hall.taking_in():
            content, kind = shown(scene.photo.content, longest, photograph=True)
        return Response(content, media_type=kind)

    @routes.put("/{visit}/mask", openapi_extra=_file("A picture in the photograph's size."))
    async def put_mask(visit: VisitName, request: Request, hole: Literal["white", "black"] = "white") -> MaskTaken:
        """Give the hole: `hole` is its colour in the file. Edges that were given stay."""
        found = hall.visits.find(visit)

        def take_in(content: bytes) -> MaskTaken:
            photo = found.with_photograph().photo
            with hall.taking_in():
                mask, ratio, remarks = read_hole(content, photo, hole)
            found.change(photo, lambda scene: replace(scene, mask=mask))
            return MaskTaken(hole_ratio=ratio, remarks=remarks)

        return await hall.taken(found, request, take_in)

    @routes.get("/{visit}/mask.png", response_class=Response, responses=PNG)
    def get_mask(visit: VisitName, transparent: Layer = False) -> Response:
        """The hole in white."""
        mask = hall.visits.find(visit).with_photograph().mask
        if mask is None:
            raise RefusedError(404, "There is no hole yet.")
        return _picture(hall, mask, None, transparent)

    @routes.put(
        "/{visit}/edges", status_code=204, response_class=Response, openapi_extra=_file("White edges on black.")
    )
    async def put_edges(visit: VisitName, request: Request) -> None:
        """Give edges in the place of those that methods draw: a map of the whole photograph, used in the hole."""
        found = hall.visits.find(visit)

        def take_in(content: bytes) -> None:
            photo = found.with_photograph().photo
            with hall.taking_in():
                edges = read_edges(content, photo)
            found.change(photo, lambda scene: replace(scene, edges=edges))

        await hall.taken(found, request, take_in)

    @routes.delete("/{visit}/edges", status_code=204, response_class=Response)
    def forget_edges(visit: VisitName) -> None:
        """Let methods draw their own edges again."""
        found = hall.visits.find(visit)
        found.change(found.with_photograph().photo, lambda scene: replace(scene, edges=None))

    @routes.get("/{visit}/edges.png", response_class=Response, responses=PNG)
    def get_edges(visit: VisitName, transparent: Layer = False) -> Response:
        """The edges that were given."""
        edges = hall.visits.find(visit).with_photograph().edges
        if edges is None:
            raise RefusedError(404, "No edges were given.")
        return _picture(hall, edges, None, transparent)

    # ------------------------------------------------------------------------------------------------------------- jobs

    @routes.post("/{visit}/jobs", status_code=202)
    def begin_job(visit: VisitName, order: Order) -> Progress:
        """Put a job into the queue of all visitors, of whose jobs one runs at a time. Then ask for its progress."""
        found = hall.visits.find(visit)
        scene, methods = found.with_photograph(), [hall.offered(label) for label in order.methods]
        if len(set(order.methods)) < len(methods):
            raise RefusedError(400, "A method is named twice.")
        if order.kind == "edges" and len(methods) > 1:
            raise RefusedError(400, "Edges are those of one method; name one.")
        work = (
            finding_edges(methods[0], found, scene)
            if order.kind == "edges"
            else completing(methods, found, scene, blend=order.blend, done=hall.finished)
        )
        room = scene.photo.most_of_a_result * len(methods)
        with hall.visits.room(room):
            return _progress(hall, hall.queue.add(found, work, scene, room))

    @routes.get("/{visit}/jobs/{job}")
    def job_progress(visit: VisitName, job: Name) -> Progress:
        """How a job stands; results appear one by one."""
        return _progress(hall, hall.queue.find(hall.visits.find(visit), job))

    @routes.delete("/{visit}/jobs/{job}")
    def cancel_job(visit: VisitName, job: Name) -> Progress:
        """Cancel a job: at once while it waits; a running one ends at its method's next word of progress."""
        found = hall.queue.find(hall.visits.find(visit), job)
        hall.queue.cancel(found)
        return _progress(hall, found)

    @routes.get("/{visit}/results/{result}.png", response_class=Response, responses=PNG)
    def get_result(visit: VisitName, result: Name, longest: Longest = None, transparent: Layer = False) -> Response:
        """A picture of the last completions, or of the last edges, as a PNG: known pixels are the photograph's own."""
        made = hall.visits.find(visit).result(result)
        small = made.small if longest is not None and longest <= SMALL else None
        return _picture(hall, small or made.png, longest, transparent)

    @routes.get(
        "/{visit}/case.zip",
        response_class=Response,
        responses={200: {"content": {"application/zip": {}}, "description": "A folder `case` in a zip file."}},
    )
    def get_case(visit: VisitName) -> Response:
        """Photograph, mask, edges and results as a folder that `inpaintlab complete` and `manifest import` read."""
        found = hall.visits.find(visit)
        content = zipped(case_files(found.with_photograph(), found.finished))
        return Response(content, media_type="application/zip", headers=_AS_FILE)

    # ---------------------------------------------------------------------------------------------------------- choices

    @routes.post("/{visit}/pairs", status_code=201)
    def draw_pair(visit: VisitName, order: PairOrder) -> Pair:
        """Draw two of the results, on sides by chance; their methods are told after the choice."""
        return Pair(pair=hall.visits.find(visit).draw_pair(order.results))

    @routes.get("/{visit}/pairs/{pair}/{side}.png", response_class=Response, responses=PNG)
    def get_side(visit: VisitName, pair: Name, side: Literal["left", "right"]) -> Response:
        """One of the two pictures, without anything that tells its method."""
        drawn = hall.visits.find(visit).pair(pair)
        with hall.taking_in():
            return Response(bare_png((drawn.left if side == "left" else drawn.right).png), media_type="image/png")

    @routes.post("/{visit}/pairs/{pair}")
    def choose(visit: VisitName, pair: Name, choice: Choice) -> Revealed:
        """Say which is better; the answer tells which method stood where, also if it comes twice."""
        found = hall.visits.find(visit)
        with found.lock:
            drawn = found.pair(pair)
            if drawn.chosen not in ("", choice.chosen):
                raise RefusedError(409, "Something else was chosen of this pair already.")
            if not drawn.chosen:
                case = drawn.kept or pair[:8]
                entry = row(visit[:8], "", case, drawn.left.method, drawn.right.method, choice)
                if hall.log is not None:
                    hall.log.add(entry)
                found.choices.append(entry)
                drawn.chosen = choice.chosen
        return Revealed(left=drawn.left.method, right=drawn.right.method)

    @routes.get(
        "/{visit}/choices.csv",
        response_class=Response,
        responses={200: {"content": {"text/csv": {}}, "description": "A row a choice."}},
    )
    def get_choices(visit: VisitName) -> Response:
        """The choices of this visit."""
        rows = hall.visits.find(visit).choices
        return Response(as_csv(rows), media_type="text/csv", headers=_AS_FILE)

    return routes


def _progress(hall: Hall, job: Job) -> Progress:
    return Progress(
        job=job.name,
        state=job.state,
        place=hall.queue.place(job),
        share=job.share,
        method=job.method,
        seconds=job.seconds,
        results=[
            Result(result=made.name, method=made.method, seconds=made.seconds, notes=list(made.notes))
            for made in job.made
        ],
        error=job.error,
    )


def _picture(hall: Hall, png: bytes, longest: int | None, transparent: bool) -> Response:
    if longest is None and not transparent:
        return Response(png, media_type="image/png")
    with hall.taking_in():
        content, kind = shown(png, longest, transparent=transparent)
    return Response(content, media_type=kind)
