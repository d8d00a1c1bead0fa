"""The page's server as `inpaintlab serve` runs it, in a thread of the test's process, and a client of its interface."""

import io
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from PIL import Image

from inpaintlab.inpainting import Classical, Inpainter
from inpaintlab.web import Door, Limits, Offered, Server, Study, listening_socket


class Painter(Classical):
    """Fills the hole with one grey, in ``steps`` steps of which it tells; it waits for ``go`` before each."""

    def __init__(self, grey: float = 0.5, steps: int = 1) -> None:
        super().__init__()
        self.grey, self.steps = grey, steps
        self.go = threading.Event()
        self.go.set()

    def fill(self, image: np.ndarray, hole: np.ndarray) -> np.ndarray:
        for step in range(self.steps):
            self.progress(step / self.steps)
            self.go.wait(10)
        filled = image.copy()
        filled[hole] = self.grey
        return filled


def offered(**models: Inpainter) -> dict[str, Offered]:
    return {label: Offered(label, model) for label, model in models.items()}


class Served:
    """A server that answers at ``url``."""

    def __init__(self, url: str, server: Server, lines: list[str]) -> None:
        self.url, self.server, self.lines = url, server, lines

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20, trust_env=False, verify=False, **options)


@contextmanager
def served(
    methods: Mapping[str, Offered],
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    keep: Path | None = None,
    study: Study | None = None,
    most_pixels: int = 4_000_000,
    most_bytes: int = 8_000_000,
    minutes: float = 10.0,
) -> Iterator[Served]:
    lines: list[str] = []
    with listening_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        limits = Limits(most_pixels, most_bytes, minutes)
        door = Door(host, port, token, most_bytes)
        server = Server(methods, door, limits, keep=keep, study=study, report=lines.append)
        config = uvicorn.Config(
            server.asgi, log_level="warning", access_log=False, ws="none", http="h11", loop="asyncio"
        )
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not running.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield Served(f"http://127.0.0.1:{port}", server, lines)
        finally:
            running.should_exit = True
            thread.join(10)
            server.close(5.0)


class Visitor:
    """What the page does, without a page."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        answer = client.post("/api/visits")
        assert answer.status_code == 201, answer.text
        self.path = f"/api/visits/{answer.json()['visit']}"

    def put(self, what: str, content: bytes, **query: str) -> httpx.Response:
        return self.client.put(f"{self.path}/{what}", content=content, params=query)

    def get(self, what: str, **query: str) -> httpx.Response:
        return self.client.get(f"{self.path}/{what}", params=query)

    def order(self, kind: str, *methods: str, blend: bool = False) -> httpx.Response:
        return self.client.post(f"{self.path}/jobs", json={"kind": kind, "methods": list(methods), "blend": blend})

    def wait(self, job: str, *states: str) -> dict[str, Any]:
        """How a job stands once it is over, or in one of the ``states``."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            answer = self.client.get(f"{self.path}/jobs/{job}").json()
            if answer["state"] in (states or ("done", "failed", "cancelled")):
                return answer
            time.sleep(0.01)
        raise AssertionError(answer)

    def run(self, kind: str, *methods: str, blend: bool = False) -> dict[str, Any]:
        answer = self.order(kind, *methods, blend=blend)
        assert answer.status_code == 202, answer.text
        return self.wait(answer.json()["job"])

    def result(self, name: str) -> np.ndarray:
        return pixels(self.get(f"results/{name}.png").content)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def encoded(picture: np.ndarray | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image.save(buffer, form, **options)
    return buffer.getvalue()
