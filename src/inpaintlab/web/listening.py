"""Listening: a socket, uvicorn on it, and an end within seconds, whatever is being computed."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, final

import uvicorn

from inpaintlab.machine import INTERRUPTED

_SECONDS_TO_END = 1.0
"""For requests that are being answered, and likewise for the method that runs."""


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: an address or name of this machine.
        port: 0 takes a free one.

    Raises:
        ValueError: the port is taken, or there is no such address here.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except PermissionError as error:
        raise ValueError(f"port={port} needs more rights than you have; give one above 1023.") from error
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)  # a name that is none has a negative one
        raise ValueError(
            f"Nothing can listen on host={host} port={port} ({reason}); give another, or port=0 for a free one."
        ) from error


def address(host: str, port: int, token: str | None) -> str:
    """The address that a browser opens.

    Args:
        host: that is listened on; of all addresses (0.0.0.0), this machine's name stands in it.
        port: likewise.
        token: that it shows; None without one.
    """
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


@final
class _Uvicorn(uvicorn.Server):
    """Uvicorn that tells when it answers, and leaves signals to us."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell."""
        await super().startup(sockets=sockets)
        if self.started:
            self.ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: `run` has registered its own."""
        yield


def run(app: Any, listener: socket.socket, ready: Callable[[], None], close: Callable[[float], bool]) -> None:
    """Answer requests until a signal comes: Ctrl-C, SIGTERM or SIGHUP.

    Args:
        app: an ASGI application.
        listener: the socket.
        ready: is called once requests are answered.
        close: ends what is computed, within the seconds that it is given; tells whether it has ended.

    Raises:
        SystemExit: always; with 130 after Ctrl-C, and 128 and the signal's number after another.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=round(_SECONDS_TO_END),
        limit_concurrency=256,
        h11_max_incomplete_event_size=32 * 1024,
        http="h11",
        ws="none",
        loop="asyncio",
    )
    server = _Uvicorn(config, ready)
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        if came:  # a second one
            os._exit(128 + number)
        came.append(number)
        server.should_exit = True

    before = {
        number: signal.signal(number, end)
        for name in ("SIGINT", "SIGTERM", "SIGHUP")
        if (number := getattr(signal, name, None)) is not None and signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        server.run(sockets=[listener])
    finally:
        ended = close(_SECONDS_TO_END)
        for number, handler in before.items():
            signal.signal(number, handler)
    code = 1 if not came else INTERRUPTED if came[0] == signal.SIGINT else 128 + came[0]
    if not ended:  # a network that computes would hold Python's own end until it is through
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
