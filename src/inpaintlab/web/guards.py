"""What stands before every request: whose it is, where it comes from, and how much it brings."""

import asyncio
import contextlib
import hmac
import ipaddress
import json
import secrets
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, final
from urllib.parse import parse_qs, urlsplit

from starlette.requests import ClientDisconnect, Request

from inpaintlab.web.visits import RefusedError

SMALL = 64 * 1024
"""Bytes of a body that is no file."""

STALLED = 20.0
"""Seconds in which nothing of a file comes, or that it may be late, before it is given up."""

_SLOWEST = 32 * 1024
"""Bytes a second with which a file comes at least."""

_DISCARDED = 16 * 2**20
"""Bytes of a refused body that are taken in and thrown away at most."""

_OPEN = {"/page.css", "/favicon.ico"}
"""What the sentence that asks for the token needs itself."""

_HEADERS = (
    # nothing from elsewhere: no script, no style, no font, no frame; blob: is what the browser itself has made
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


def is_loopback(host: str) -> bool:
    """Whether an address or name is that of this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@final
@dataclass(frozen=True)
class Door:
    """Who is let in.

    Args:
        host: that the server listens on.
        port: likewise.
        token: that every request must show; None asks for none.
        most_bytes: of a file.
    """

    host: str
    port: int
    token: str | None
    most_bytes: int

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds the token; browsers share cookies between the ports of a host."""
        return f"inpaintlab_{self.port}"


@final
@dataclass(frozen=True)
class Refusal:
    """Why a request is not let in.

    Args:
        status: of HTTP.
        sentence: for people.
    """

    status: int
    sentence: str


@final
class Guarded:
    """An ASGI application behind a door.

    Args:
        app: that answers what is let in.
        door: who is let in.
    """

    def __init__(self, app: Any, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or what else the server asks of an ASGI application."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # there is none
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if entering := self._entering(scope):
            await _answer(with_headers, 303, b"", [(b"location", b"/"), (b"set-cookie", entering.encode())])
        elif refusal := self._refusal(scope, headers):
            body = json.dumps({"detail": refusal.sentence}).encode()
            kind = b"application/json"
            if scope["path"] == "/":
                body, kind = _asking_page(refusal.sentence), b"text/html; charset=utf-8"
            await _discard(receive, headers)
            # a large body that is not wanted is not read: the connection ends
            await _answer(with_headers, refusal.status, body, [(b"content-type", kind), (b"connection", b"close")])
        else:
            await self.app(scope, receive, with_headers)

    def _entering(self, scope: Any) -> str | None:
        """The cookie of one who comes to the page with the right token in the address; it leaves the address then.

        Lax, because a Strict one does not go along to "/" when the address is clicked on another site. What another
        site could then do with it ends at `_refusal`: it is let to "/" alone.
        """
        door = self.door
        if door.token is None or scope["path"] != "/" or scope["method"] != "GET":
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not _same(given, door.token):
            return None
        return f"{door.cookie}={door.token}; HttpOnly; SameSite=Lax; Path=/"

    def _refusal(self, scope: Any, headers: dict[str, str]) -> Refusal | None:
        door, host = self.door, headers.get("host", "")
        if is_loopback(door.host) and not _names_this_machine(host):
            # a name of another's that leads here (DNS rebinding) would make their page and this one the same site
            return Refusal(403, "This server answers to its own address alone, such as 127.0.0.1 or localhost.")
        origin = headers.get("origin")
        elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope["path"] != "/"
        if elsewhere or (origin is not None and not _is_of(origin, host)):
            return Refusal(403, "Pages of other sites may not use this server.")
        if door.token is not None and scope["path"] not in _OPEN and not self._shows_token(headers):
            return Refusal(401, "Open the address that the server printed, with ?token=... at its end.")
        return self._too_large(scope, headers)

    def _shows_token(self, headers: dict[str, str]) -> bool:
        assert self.door.token is not None
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.door.cookie)
        except CookieError:
            cookie = None
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return any(_same(given, self.door.token) for given in (bearer, cookie.value if cookie else ""))

    def _too_large(self, scope: Any, headers: dict[str, str]) -> Refusal | None:
        """Whether a body is larger than it may be, by the length that the server below holds it to."""
        if "transfer-encoding" in headers:
            return Refusal(411, "Say the length of the body (Content-Length).")
        length, most = headers.get("content-length", "0"), self.door.most_bytes if scope["method"] == "PUT" else SMALL
        if not length.isdecimal() or len(length) > 18 or int(length) > most:
            return Refusal(413, f"The file has more than {most:,} bytes, which is the limit here; make it smaller.")
        return None


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The bytes of a file, which are counted while they come.

    Raises:
        RefusedError: there are none, or too many, or they come too slowly.
    """
    now = asyncio.get_running_loop().time
    content, began = bytearray(), now()
    try:
        async with asyncio.timeout(STALLED) as limit:
            async for part in request.stream():
                content += part
                if len(content) > most_bytes:
                    raise RefusedError(413, f"A file may have {most_bytes:,} bytes here; make it smaller.")
                limit.reschedule(STALLED + min(now(), began + len(content) / _SLOWEST))
    except TimeoutError as error:
        raise RefusedError(408, "The file stopped coming; send it again.") from error
    except ClientDisconnect as error:
        raise RefusedError(400, "The connection ended before the file did.") from error
    if not content:
        raise RefusedError(400, "The file is empty.")
    return bytes(content)


def new_token() -> str:
    """A token that nobody guesses: 128 random bits."""
    return secrets.token_urlsafe(16)


def _names_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return is_loopback(name)


def _is_of(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # no address, such as http://[
        return False


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


async def _discard(receive: Any, headers: dict[str, str]) -> None:
    """Take in a moderate body that is not wanted: many clients read no answer before they have sent theirs."""
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdecimal() or len(length) > 18 or int(length) > _DISCARDED:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STALLED):
            while (await receive()).get("more_body"):
                pass


async def _answer(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _asking_page(sentence: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>inpaintlab</title><link rel="stylesheet" href="/page.css"><main class="closed"><p>{sentence}</p>'
        '<form method="get" action="/"><label>Token <input name="token" autocomplete="off"></label> '
        "<button>Enter</button></form></main></html>"
    ).encode()
