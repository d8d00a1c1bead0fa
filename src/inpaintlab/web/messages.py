"""What the page and the server say to each other, as pydantic checks it and /openapi.json describes it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """A JSON body; a key that it does not have is refused."""

    model_config = ConfigDict(extra="forbid")


Side = Literal["left", "right", "same"]

# ----------------------------------------------------------------------------------------------------- what is offered


class Offer(Message):
    """A method that completes photographs."""

    method: Annotated[str, Field(description="Its label, by which jobs name it.")]
    draws_edges: Annotated[bool, Field(description="Whether it completes along edges, which a visitor may edit.")]
    remark: Annotated[str, Field(description="What else is to be known of it; may be empty.")]


class About(Message):
    """What this server offers, and its limits, so that they are known before anything is sent."""

    version: str
    device: Annotated[str, Field(description="Where methods run, such as cpu.")]
    methods: list[Offer]
    most_pixels: Annotated[int, Field(description="Pixels that a photograph may have.")]
    most_bytes: Annotated[int, Field(description="Bytes that a file may have.")]
    minutes: Annotated[float, Field(description="A visit without a request for so long is forgotten.")]
    keeps: Annotated[bool, Field(description="Whether the server's owner keeps cases and choices.")]
    study: Annotated[bool, Field(description="Whether this server shows a study in the place of the editor.")]


# -------------------------------------------------------------------------------------------------------------- visits


class Opened(Message):
    """A visit that has begun."""

    visit: Annotated[str, Field(description="Its secret name; whoever knows it sees the visit's pictures.")]


class Size(Message):
    """A photograph that was taken in."""

    width: Annotated[int, Field(description="Pixels, after it was turned upright.")]
    height: int
    remarks: Annotated[list[str], Field(description="What a result will not keep of the file.")]


class MaskTaken(Message):
    """A mask that was taken in."""

    hole_ratio: Annotated[float, Field(description="The share of the photograph that is to be filled, 0 to 1.")]
    remarks: Annotated[list[str], Field(description="Sentences on a mask that may be none.")]


# ---------------------------------------------------------------------------------------------------------------- jobs


class Order(Message):
    """What is to be computed: completions, or the edges that a method sees and draws."""

    kind: Literal["complete", "edges"]
    methods: Annotated[
        list[Annotated[str, Field(max_length=200)]],
        Field(min_length=1, max_length=32, description="Labels of /api/about, in the order of computation."),
    ]
    blend: Annotated[bool, Field(description="GLCIC's post-processing: fast marching, then Poisson blending.")] = False


class Result(Message):
    """A picture that a job has made."""

    result: Annotated[str, Field(description="Its name, for GET .../results/{result}.png.")]
    method: str
    seconds: Annotated[float, Field(description="That the method took, without reading and writing files.")]
    notes: Annotated[list[str], Field(description="What the method tells of how it filled the hole.")]


class Progress(Message):
    """How a job stands."""

    job: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    place: Annotated[int, Field(description="Jobs of all visitors that come before it; 0 while it runs.")]
    share: Annotated[float, Field(description="That is done, 0 to 1.")]
    method: Annotated[str, Field(description="Which method runs now; may be empty.")]
    seconds: Annotated[float, Field(description="Since it began to run.")]
    results: list[Result]
    error: Annotated[str, Field(description="One sentence of a job that failed; otherwise empty.")]


# --------------------------------------------------------------------------------------------------------- comparisons


class PairOrder(Message):
    """Which results a pair is made of."""

    results: Annotated[
        list[Annotated[str, Field(max_length=100)]],
        Field(max_length=2, description="Names of two results; none: two of the last job's, by chance."),
    ] = []


class Pair(Message):
    """Two pictures whose methods are not told, on sides that a coin chose."""

    pair: Annotated[str, Field(description="Its name; GET .../pairs/{pair}/left.png and right.png are its pictures.")]


class Choice(Message):
    """Which of two pictures is the better one."""

    chosen: Side
    seconds: Annotated[float, Field(ge=0, le=86400, description="That the choice took.")] = 0


class Revealed(Message):
    """What stood on which side, told after the choice."""

    left: str
    right: str


class Participant(Message):
    """Who takes part in a study."""

    participant: Annotated[
        str, Field(max_length=40, pattern=r"^[\w .\-]*$", description="A code that the log holds; may be empty.")
    ] = ""


class Session(Message):
    """A participant's way through a study."""

    session: Annotated[str, Field(description="Its secret name.")]
    trials: Annotated[int, Field(description="Pairs that it will show.")]


class Trial(Message):
    """The pair that comes next."""

    trial: Annotated[int, Field(description="Its number from 0; equal to `trials` when all are done.")]
    trials: int
    width: Annotated[int, Field(description="Of both pictures in pixels; 0 when all are done.")]
    height: int
