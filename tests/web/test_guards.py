"""Who is let in, and how much each may bring: what a stranger, another site or another visitor sends."""

import logging
import re
import socket
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from stand_ins.served import Painter, Served, Visitor, encoded, offered, served

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture(scope="module")
def open_server() -> Iterator[Served]:
    with served(offered(grey=Painter()), most_bytes=100_000) as running:
        yield running


@pytest.fixture(scope="module")
def locked() -> Iterator[Served]:
    """A server that listens on an address of others' networks, as it sees itself."""
    with served(offered(grey=Painter()), host="0.0.0.0", token=TOKEN) as running:
        yield running


def sentence(answer: httpx.Response) -> str:
    told = answer.json()["detail"]
    assert re.fullmatch(r"[^\n]+\.", told), told
    return told


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_name_of_this_machine_is_refused(open_server: Served, host: str) -> None:
    """DNS rebinding: a page of evil.example whose name leads to 127.0.0.1."""
    with open_server.client() as client:
        answer = client.get("/api/about", headers={"host": host})
    assert answer.status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.0.0.2"])
def test_this_machine_may_be_called_by_each_of_its_own_names(open_server: Served, host: str) -> None:
    with open_server.client() as client:
        assert client.get("/api/about", headers={"host": f"{host}:{client.base_url.port}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://["},
    ],
)
def test_a_page_of_another_site_can_do_nothing(open_server: Served, headers: dict[str, str]) -> None:
    with open_server.client() as client:
        answer = client.post("/api/visits", headers=headers)
        assert answer.status_code == 403
        sentence(answer)
        assert client.get("/api/about", headers=headers).status_code == 403


def test_the_page_itself_may_ask(open_server: Served) -> None:
    with open_server.client() as client:
        own = {"origin": open_server.url, "sec-fetch-site": "same-origin"}
        assert client.post("/api/visits", headers=own).status_code == 201


def test_a_link_of_another_site_opens_the_page(open_server: Served) -> None:
    with open_server.client() as client:
        assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/page.html", "/page.css", "/view.js", "/api/about", "/openapi.json", "/none"])
def test_no_answer_may_load_or_be_loaded_from_elsewhere(open_server: Served, path: str) -> None:
    with open_server.client() as client:
        headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "script-src" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/page/page.js", "/server.py"]
)
def test_no_path_leads_out_of_the_page(open_server: Served, path: str) -> None:
    with open_server.client() as client:
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_is_shown_whose_scripts_come_from_elsewhere(open_server: Served, path: str) -> None:
    with open_server.client() as client:
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/api/about", "/openapi.json", "/page.js"])
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"cookie": "inpaintlab=x"}, {"cookie": ";;=="}]
)
def test_without_the_token_nothing_is_told(locked: Served, path: str, headers: dict[str, str]) -> None:
    with locked.client() as client:
        answer = client.get(path, headers=headers)
    assert answer.status_code == 401
    assert TOKEN not in answer.text


def test_the_printed_address_lets_a_browser_in_and_hides_the_token(locked: Served) -> None:
    with locked.client() as client:
        answer = client.get("/", params={"token": TOKEN})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert client.get("/").status_code == 200
        assert client.get("/api/about").status_code == 200


def test_the_printed_address_works_when_it_is_clicked_on_another_site(locked: Served) -> None:
    """The browser marks what follows as cross-site, and sends the cookie, which is Lax, to the page alone."""
    clicked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "referer": "https://mail.example/"}
    with locked.client(headers=clicked) as client:
        answer = client.get("/", params={"token": TOKEN})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert client.get("/").status_code == 200
        assert client.get("/api/about").status_code == 403
        assert client.post("/api/visits").status_code == 403


def test_a_program_shows_the_token_in_a_header(locked: Served) -> None:
    with locked.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        assert client.post("/api/visits").status_code == 201


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "\xff"])
def test_a_wrong_token_sets_no_cookie(locked: Served, token: str) -> None:
    with locked.client() as client:
        answer = client.get("/", params={"token": token})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_a_file_above_the_limit_is_refused_before_it_is_read(open_server: Served) -> None:
    with open_server.client() as client:
        path = Visitor(client).path
        address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=5) as raw:
        raw.sendall(
            f"PUT {path}/photograph HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000000000\r\n\r\n".encode()
        )
        answer = b""
        while part := raw.recv(65536):  # the server answers, and ends the connection
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100,000 bytes" in answer


def test_who_sends_a_moderate_body_that_is_refused_can_read_why(open_server: Served) -> None:
    """The connection does not end under what is still coming, which would take the answer along."""
    with open_server.client() as client:
        path = Visitor(client).path
        address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=5) as raw:
        raw.sendall(f"PUT {path}/photograph HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 400000\r\n\r\n".encode())
        for _ in range(4):
            time.sleep(0.05)
            raw.sendall(b"x" * 100_000)
        answer = b""
        while part := raw.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'make it smaller."}')


def test_a_body_without_a_length_is_refused(open_server: Served) -> None:
    with open_server.client() as client:
        visitor = Visitor(client)

        def endless() -> Iterator[bytes]:
            yield b"x"

        assert client.put(f"{visitor.path}/photograph", content=endless()).status_code == 411


@pytest.mark.parametrize("body", [b"x" * 70_000, b"{}", b"[]", b'{"kind": "complete"}', b"\xff", b"", b"[" * 10_000])
def test_a_message_that_is_none_is_refused_in_one_sentence(open_server: Served, body: bytes) -> None:
    with open_server.client() as client:
        visitor = Visitor(client)
        answer = client.post(f"{visitor.path}/jobs", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 413, 422)
        sentence(answer)


def test_visitors_do_not_see_each_other(open_server: Served) -> None:
    """Neither by a name of their own that is put into another's address, nor by one that is made up."""
    photograph = encoded(np.full((8, 8, 3), 90, np.uint8))
    with open_server.client() as client:
        one, other = Visitor(client), Visitor(client)
        assert len(one.path) > len("/api/visits/") + 30
        one.put("photograph", photograph)
        one.put("mask", encoded(np.eye(8) > 0))
        job = one.run("complete", "grey")
        assert client.get(f"{other.path}/jobs/{job['job']}").status_code == 404
        assert client.delete(f"{other.path}/jobs/{job['job']}").status_code == 404
        assert client.get(f"{other.path}/results/{job['results'][0]['result']}.png").status_code == 404
        for visit in ("x", "..", "%00", "x" * 90, "*"):
            assert client.get(f"/api/visits/{visit}/photograph").status_code == 404
        assert client.get("/api/visits").status_code == 405


def uploading(server: Served, path: str, length: int, content: bytes) -> socket.socket:
    address = server.url.removeprefix("http://")
    host, port = address.split(":")
    raw = socket.create_connection((host, int(port)), timeout=5)
    raw.sendall(f"PUT {path}/photograph HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n".encode())
    raw.sendall(content)
    return raw


def everything(raw: socket.socket) -> bytes:
    answer = b""
    while part := raw.recv(65536):
        answer += part
    return answer


def test_a_file_that_stops_coming_is_given_up_and_the_next_one_is_taken(
    open_server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inpaintlab.web.guards.STALLED", 0.3)
    photograph = encoded(np.full((8, 8, 3), 90, np.uint8))
    with open_server.client() as client:
        visitor = Visitor(client)
        with uploading(open_server, visitor.path, 90_000, b"x") as raw:
            assert visitor.put("photograph", photograph).status_code == 200  # once the other one is given up
            answer = everything(raw)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"stopped coming" in answer


def test_a_visits_stalled_files_hold_room_once(open_server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.web.visits.MOST_HELD", 200_000)
    with open_server.client() as client:
        one, other = Visitor(client), Visitor(client)
        stalled = [uploading(open_server, one.path, 90_000, b"x") for _ in range(3)]
        time.sleep(0.2)
        assert other.put("photograph", encoded(np.full((8, 8, 3), 90, np.uint8))).status_code == 200
        for raw in stalled:
            raw.close()


def test_a_connection_that_ends_early_is_no_fault_of_the_server(
    open_server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[object] = []
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "handle", lines.append)
    with open_server.client() as client:
        visitor = Visitor(client)
        uploading(open_server, visitor.path, 90_000, b"x").close()
        time.sleep(0.2)
        assert visitor.put("photograph", encoded(np.full((8, 8, 3), 90, np.uint8))).status_code == 200
    assert lines == []
