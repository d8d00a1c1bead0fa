"""Laws of the download: what it brings is whole and right, or nothing is there and the user knows what to do."""

import contextlib
import hashlib
import io
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from inpaintlab.published import CATALOGUE, File, Published, fetch, local_files, weights_folder, wrong_hash
from stand_ins.commands import environment

CONTENT = bytes(range(251)) * 4000  # about a megabyte, several chunks, no period of a power of two


@dataclass
class Site:
    """A web site with one file, and what goes wrong with it. ``faults`` is used up from its front, a request each."""

    content: bytes = CONTENT
    etag: str | None = '"first"'
    changed: str | None = None
    knows_ranges: bool = True
    promised: int | None = None
    faults: list[Any] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    address: str = ""
    go_on: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(dict(handler.headers))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            handler.send_error(fault)
            return
        first, status = self.first_byte(handler.headers)
        if status == 416:
            handler.send_error(status)
            return
        if fault == "another range":
            first -= 1
        body = self.content[first:]
        handler.send_response(status)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        handler.send_header("Content-Length", str(len(body) if self.promised is None else self.promised - first))
        for name, value in (("ETag", self.etag), ("Last-Modified", self.changed)):
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        self.send(handler, body, fault)

    def first_byte(self, headers: Any) -> tuple[int, int]:
        asked = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        if not asked or not self.knows_ranges or headers["If-Range"] not in (self.etag, self.changed):
            return 0, 200
        first = int(asked[1])
        return first, 206 if first < len(self.content) else 416

    def send(self, handler: BaseHTTPRequestHandler, body: bytes, fault: str | None) -> None:
        half = body[: len(body) // 2] if fault in ("cut", "reset", "pause") else body
        self.sent += len(half)  # before the client can have them and look
        handler.wfile.write(half)
        if fault == "pause":
            self.waiting.set()
            assert self.go_on.wait(20)
            handler.wfile.write(body[len(half) :])
        if fault == "reset":  # closed with unread data, as when a machine between drops the connection
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()


@pytest.fixture
def site() -> Iterator[Site]:
    """A site on this machine, until the test ends."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):  # the client may be gone
                site.answer(self)

        def finish(self) -> None:
            with contextlib.suppress(OSError):
                super().finish()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}/weights.pth"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the entry under test; no proxy, no waiting between tries."""
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("inpaintlab.published.download.PAUSES", (0.0, 0.0))
    return tmp_path / "weights" / "entry"


def entry(url: str | None, content: bytes | None = CONTENT, **about: Any) -> Published:
    """An entry of one file, ``weights.pth``, known by the hash of ``content`` unless that is None."""
    known = {"sha256": hashlib.sha256(content).hexdigest()} if content is not None else {}
    return Published(
        "entry", "a test", None, "none", "https://example.org", (File("weights.pth", url, **known, **about),)
    )


def left(place: Path) -> set[str]:
    """The files of the folder, without the lock."""
    return {path.name for path in place.iterdir()} - {".lock"}


def refused(wanted: Published) -> str:
    """The sentence with which ``fetch`` refuses."""
    with pytest.raises(ValueError, match="weights") as caught:
        fetch(wanted)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what it brings --------------------------------------------------------------------------------------------------


def test_the_file_comes_whole_into_the_folder_of_its_entry(site: Site, place: Path) -> None:
    assert fetch(entry(site.address)) == [place / "weights.pth"]
    assert (place / "weights.pth").read_bytes() == CONTENT
    assert left(place) == {"weights.pth"}


def test_what_is_there_is_not_asked_for_again(site: Site, place: Path) -> None:
    fetch(entry(site.address))
    assert fetch(entry(site.address)) == [place / "weights.pth"]
    assert len(site.requests) == 1


def test_an_empty_file_comes_too(site: Site, place: Path) -> None:
    site.content = b""
    fetch(entry(site.address, b""))
    assert (place / "weights.pth").read_bytes() == b""


def test_a_file_of_this_machine_is_copied_by_its_address(tmp_path: Path, place: Path) -> None:
    (tmp_path / "there.pth").write_bytes(CONTENT)
    fetch(entry((tmp_path / "there.pth").as_uri()))
    assert (place / "weights.pth").read_bytes() == CONTENT
    assert (tmp_path / "there.pth").read_bytes() == CONTENT
    assert left(place) == {"weights.pth"}


def test_all_files_of_an_entry_come_in_its_order(site: Site, place: Path) -> None:
    pair = Published("entry", "two", None, "", "", (File("b", site.address), File("a", site.address)))
    assert fetch(pair) == [place / "b", place / "a"]
    assert left(place) == {"a", "b"}


# --- broken connections ----------------------------------------------------------------------------------------------


def test_a_broken_download_goes_on_where_it_broke(site: Site, place: Path) -> None:
    site.faults = ["cut"]
    fetch(entry(site.address))
    assert (place / "weights.pth").read_bytes() == CONTENT
    first, second = site.requests
    assert "Range" not in first
    assert second["If-Range"] == '"first"'
    assert second["Range"] == f"bytes={len(CONTENT) // 2}-"
    assert site.sent == len(CONTENT)  # no byte twice


def test_a_connection_that_is_reset_is_tried_again(site: Site, place: Path) -> None:
    site.faults = ["reset", "reset"]
    fetch(entry(site.address))
    assert len(site.requests) == 3
    assert (place / "weights.pth").read_bytes() == CONTENT


def test_what_came_before_all_tries_failed_is_used_by_the_next_command(site: Site, place: Path) -> None:
    site.faults = ["cut", 503, 503]
    assert "503" in refused(entry(site.address))
    assert left(place) == {"weights.pth.part", "weights.pth.part.tag"}
    fetch(entry(site.address))
    assert site.sent == len(CONTENT)
    assert (place / "weights.pth").read_bytes() == CONTENT
    assert left(place) == {"weights.pth"}


def test_a_server_without_ranges_sends_all_again(site: Site, place: Path) -> None:
    site.faults, site.knows_ranges = ["cut"], False
    fetch(entry(site.address))
    assert (place / "weights.pth").read_bytes() == CONTENT
    assert "Range" in site.requests[1]


def test_a_file_that_changed_meanwhile_is_never_mixed(site: Site, place: Path) -> None:
    site.faults = ["cut", 503, 503]
    refused(entry(site.address, None))
    site.content, site.etag = CONTENT[::-1], '"second"'
    fetch(entry(site.address, None))  # no hash that could save it
    assert (place / "weights.pth").read_bytes() == CONTENT[::-1]


def test_without_a_version_the_download_starts_again(site: Site, place: Path) -> None:
    site.faults, site.etag = ["cut"], None
    fetch(entry(site.address))
    assert "Range" not in site.requests[1]
    assert (place / "weights.pth").read_bytes() == CONTENT


def test_a_version_is_forgotten_with_its_bytes(site: Site, place: Path) -> None:
    site.faults = ["cut", "cut"]
    site.knows_ranges = False
    site.etag = None
    place.mkdir(parents=True)
    (place / "weights.pth.part").write_bytes(b"of another version")
    (place / "weights.pth.part.tag").write_text('"older"')
    fetch(entry(site.address))
    assert ["If-Range" in request for request in site.requests] == [True, False, False]


def test_a_weak_etag_proves_no_bytes_so_the_date_is_asked_for(site: Site, place: Path) -> None:
    site.faults, site.etag, site.changed = ["cut"], 'W/"weak"', "Fri, 19 Jun 2020 10:00:00 GMT"
    fetch(entry(site.address))
    assert site.requests[1]["If-Range"] == site.changed
    assert (place / "weights.pth").read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_starts_again(site: Site, place: Path) -> None:
    place.mkdir(parents=True)
    (place / "weights.pth.part").write_bytes(CONTENT + b"more")
    (place / "weights.pth.part.tag").write_text('"first"')
    fetch(entry(site.address))
    assert [request.get("Range") for request in site.requests] == [f"bytes={len(CONTENT) + 4}-", None]
    assert (place / "weights.pth").read_bytes() == CONTENT


def test_another_range_than_asked_for_is_not_appended(site: Site, place: Path) -> None:
    site.faults = ["cut", "another range"]
    fetch(entry(site.address, None))
    assert (place / "weights.pth").read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(site: Site, place: Path) -> None:
    site.faults = [503, 429]
    fetch(entry(site.address))
    assert len(site.requests) == 3
    assert (place / "weights.pth").read_bytes() == CONTENT


def test_each_new_try_waits_longer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("inpaintlab.published.download.PAUSES", (1.0, 3.0))
    monkeypatch.setattr(time, "sleep", waited.append)
    site.faults = [503, 503]
    fetch(entry(site.address))
    assert waited == [1.0, 3.0]


def test_a_silent_server_is_given_up(site: Site, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.published.download.TIMEOUT", 0.1)
    site.faults = ["pause", "pause", "pause"]
    assert "timed out" in refused(entry(site.address))
    assert "weights.pth" not in left(place)
    assert len(site.requests) == 3


# --- what is wrong, and what the user is told ------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_wrong_hash_leaves_nothing_and_names_both(site: Site, place: Path, algorithm: str) -> None:
    told = refused(entry(site.address, None, **{algorithm: "0123abcd"}))
    assert f"its {algorithm} is {hashlib.new(algorithm, CONTENT).hexdigest()}, expected 0123abcd..." in told
    assert site.address in told
    assert left(place) == set()
    assert len(site.requests) == 1


def test_a_hash_may_be_whole_or_a_beginning(tmp_path: Path) -> None:
    # of b"abc": FIPS 180-2, appendix B.1, and RFC 1321, A.5
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    md5 = "900150983cd24fb0d6963f7d28e17f72"
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    for right in (File("abc"), File("abc", sha256=sha256), File("abc", sha256="BA7816bf"), File("abc", md5=md5)):
        assert wrong_hash(path, right) == ""
    assert wrong_hash(path, File("abc", sha256="ba7816bf", md5="0" * 32)) == f"its md5 is {md5}, expected {'0' * 32}"
    assert wrong_hash(path, File("abc", sha256=sha256[1:])) == f"its sha256 is {sha256}, expected {sha256[1:]}..."


def test_a_file_shorter_than_promised_is_never_taken_for_whole(site: Site, place: Path) -> None:
    site.promised, site.knows_ranges = len(CONTENT) + 10, False
    told = refused(entry(site.address, None))
    assert f"after {len(CONTENT):,} of {len(CONTENT) + 10:,} bytes" in told
    assert "weights.pth" not in left(place)
    assert len(site.requests) == 3


@pytest.mark.parametrize("code", [403, 404])
def test_a_file_that_is_not_offered_is_told_at_once(site: Site, place: Path, code: int) -> None:
    site.faults = [code]
    told = refused(entry(site.address))
    assert str(code) in told
    assert len(site.requests) == 1
    assert left(place) == set()


def never(seconds: float) -> None:
    raise AssertionError("there is nothing to wait for")


def test_offline_the_user_learns_address_folder_and_name_and_nothing_else(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time, "sleep", never)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/weights.pth"  # bound, but nobody listens
        told = refused(entry(url))
    assert capsys.readouterr() == ("", "")
    assert "refused" in told
    assert url in told
    assert f"put it into {place} as weights.pth" in told
    assert left(place) == set()


def test_a_file_of_this_machine_that_is_missing_is_told_at_once(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", never)
    assert "nowhere.pth" in refused(entry((tmp_path / "nowhere.pth").as_uri()))
    assert left(place) == set()


def test_a_fault_of_the_disk_is_not_blamed_on_the_network(site: Site, place: Path) -> None:
    (place / "weights.pth.part").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        fetch(entry(site.address))
    assert len(site.requests) == 1


def test_another_file_under_that_name_is_refused_and_kept(site: Site, place: Path) -> None:
    place.mkdir(parents=True)
    (place / "weights.pth").write_bytes(b"of somebody")
    for ask in (fetch, local_files):
        with pytest.raises(ValueError, match=r"weights\.pth is not the published file \(its sha256 is .* delete it"):
            ask(entry(site.address))
    assert (place / "weights.pth").read_bytes() == b"of somebody"
    assert site.requests == []


def test_what_must_be_fetched_by_hand_is_asked_for_by_name(place: Path) -> None:
    files = tuple(File(name) for name in ("one", "two", "three"))
    by_hand = Published("entry", "", None, "", "https://example.org/weights", files)
    with pytest.raises(ValueError, match=f"get one, two, three by way of .* put them into {place}"):
        fetch(by_hand)
    place.mkdir(parents=True)
    for name in ("one", "two"):
        (place / name).write_bytes(b"")
    assert local_files(by_hand) == [place / "one", place / "two"]
    with pytest.raises(ValueError, match=f"get three by way of https://example.org/weights and put it into {place}"):
        fetch(by_hand)
    (place / "three").write_bytes(b"")
    assert fetch(by_hand) == local_files(by_hand) == [place / "one", place / "two", place / "three"]


# --- several at once -------------------------------------------------------------------------------------------------

PROCESS = """
import sys
from inpaintlab.published.catalogue import File, Published
from inpaintlab.published.download import fetch
print(*fetch(Published("entry", "", None, "", "", (File("weights.pth", sys.argv[1], sha256=sys.argv[2]),))))
"""


def start_fetching(site: Site, tmp_path: Path) -> subprocess.Popen[str]:
    variables = {name: os.environ[name] for name in ("INPAINTLAB_WEIGHTS", "no_proxy")}
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, site.address, hashlib.sha256(CONTENT).hexdigest()],
        env=environment(tmp_path / "home", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_two_processes_one_downloads_and_both_have_the_file(site: Site, tmp_path: Path, place: Path) -> None:
    site.faults = ["pause"]
    one = start_fetching(site, tmp_path)
    assert site.waiting.wait(20)
    other = start_fetching(site, tmp_path)
    assert other.stderr is not None
    assert "waiting for another process" in other.stderr.readline()
    time.sleep(0.3)  # enough for one that would not wait
    assert len(site.requests) == 1
    site.go_on.set()
    told = [process.communicate(timeout=20) for process in (one, other)]
    assert [out.strip() for out, _ in told] == [str(place / "weights.pth")] * 2, told
    assert len(site.requests) == 1
    assert (place / "weights.pth").read_bytes() == CONTENT


def test_a_killed_process_holds_no_lock_and_its_bytes_are_used(site: Site, tmp_path: Path, place: Path) -> None:
    site.faults = ["pause"]
    process = start_fetching(site, tmp_path)
    assert site.waiting.wait(20)
    part = place / "weights.pth.part"
    while not part.is_file() or part.stat().st_size < 100_000:  # its system buffers, then its disk
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    fetch(entry(site.address))
    assert (place / "weights.pth").read_bytes() == CONTENT
    assert int(site.requests[1]["Range"].removeprefix("bytes=").removesuffix("-")) >= 100_000


# --- what a person sees ----------------------------------------------------------------------------------------------


def test_where_nobody_watches_one_line_is_said_and_none_when_nothing_is_done(site: Site, place: Path) -> None:
    for lines in ([f"fetching {site.address} into {place}, {len(CONTENT):,} bytes"], []):
        console = Console(file=io.StringIO(), width=40)
        fetch(entry(site.address), console)
        assert console.file.getvalue().splitlines() == lines  # type: ignore[attr-defined]


def test_a_terminal_shows_the_share_that_has_come(site: Site) -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    fetch(entry(site.address), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1.0/1.0 MB" in shown
    assert "fetching" not in shown


# --- the folder ------------------------------------------------------------------------------------------------------


def test_the_folder_is_the_named_one_else_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", "~/mine")
    assert weights_folder() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", "here")
    assert weights_folder() == tmp_path / "here"
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", "")
    assert weights_folder() == tmp_path / "cache/inpaintlab/weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_folder() == tmp_path / ".cache/inpaintlab/weights"
    assert not weights_folder().exists()


# --- the catalogue ---------------------------------------------------------------------------------------------------


def test_names_are_unique_and_fit_for_folders_and_files() -> None:
    assert len({known.name for known in CATALOGUE}) == len(CATALOGUE)
    for known in CATALOGUE:
        names = [file.name for file in known.files]
        assert len(set(names)) == len(names) > 0
        assert all(re.fullmatch(r"[a-z0-9-]+", known.name) for known in CATALOGUE)
        assert all(re.fullmatch(r"\w[\w.-]*", name) and not name.endswith((".part", ".tag")) for name in names)


def test_what_is_downloaded_is_secured_by_a_hash_and_an_encrypted_address() -> None:
    files = [file for known in CATALOGUE for file in known.files]
    assert all(file.url.startswith("https://") and (file.sha256 or file.md5) for file in files if file.url)
    for file in files:
        assert re.fullmatch(r"[0-9a-f]{8,64}", file.sha256 or "0" * 8)
        assert re.fullmatch(r"[0-9a-f]{32}", file.md5 or "0" * 32)


def test_a_name_that_ends_in_a_hash_ends_in_its_own() -> None:
    ending = {file.name: file.sha256 for known in CATALOGUE for file in known.files if file.sha256 and file.url}
    assert len(ending) == 8
    assert all(name.endswith(f"-{sha256}.pth") for name, sha256 in ending.items())
