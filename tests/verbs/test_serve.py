"""The command ``inpaintlab serve`` as a user starts and ends it."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from inpaintlab.commandline import read
from stand_ins.commands import SCRIPT, run_here, start
from stand_ins.warm import Process


@pytest.mark.parametrize(
    ("typed", "read_as"),
    [
        (["checkpoint=a", "port=0", "checkpoint=b c"], ["port=0", "checkpoint=['a','b c']"]),
        (["model=telea"], ["models=['telea']"]),
        (["model=telea", "model=patchmatch"], ["models=['telea','patchmatch']"]),
        (["checkpoint=[a,b]"], ["checkpoint=[a,b]"]),
        (["models=[telea]"], ["models=[telea]"]),
        (["study=r/A", "study=r/B", "keep=k"], ["keep=k", "study=['r/A','r/B']"]),
    ],
)
def test_a_word_that_comes_several_times_is_a_list(typed: list[str], read_as: list[str]) -> None:
    assert read("serve", typed) == ("serve", read_as)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["checkpoint=none"], "There is no checkpoint at"),
        (["model=tela"], "telea"),
        (["model=glcic"], "GLCIC learns"),
        (["study=a", "study=b"], "keep=DIR"),
        (["study=a", "study=b", "keep=k", "model=telea"], "leave out"),
        (["study=a", "study=b", "keep=k"], "a"),
        (["keep=photo.png"], "keep=photo.png is a file; give a folder."),
        (["token=short"], "at least 12"),
        (["token=spaces and more"], "at least 12"),
        (["most_pixels=0"], "most_pixels"),
        (["port=99999"], "port"),
        (["host=no.such.host.invalid"], "Nothing can listen on host=no.such.host.invalid"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, settings: list[str], sentence: str) -> None:
    (tmp_path / "photo.png").touch()
    done = run_here("serve", "port=0", *settings, cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""  # nothing was promised


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_here("serve", f"port={port}", "model=telea", cwd=tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"inpaintlab serve: Nothing can listen on .*port=\d+ \(.*\); give another.*\.\n", done.stderr)


def test_without_the_extra_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.published.weight_files.find_spec", lambda name: None)
    done = run_here("serve", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert 'pip install "inpaintlab[web]"' in done.stderr


@contextmanager
def started(tmp_path: Path, *settings: str) -> Iterator[tuple[Process, str, Path]]:
    """The command in a process of its own, once it has printed its address, and the folder where it runs."""
    output, folder = tmp_path / "output.txt", tmp_path / "folder"
    folder.mkdir()
    process = start(SCRIPT, "serve", "port=0", *settings, cwd=folder, home=tmp_path / "home", output=output)
    try:
        end = time.monotonic() + 60
        while "Ctrl-C ends it" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process, output.read_text().splitlines()[1].strip(), folder
    finally:
        process.kill()


@pytest.mark.slow
def test_it_answers_when_it_says_so_and_ends_at_once_also_while_it_computes(tmp_path: Path) -> None:
    import numpy as np

    from stand_ins.served import Visitor, encoded

    with started(tmp_path, "model=biharmonic", "host=0.0.0.0") as (process, url, folder):
        token = url.partition("?token=")[2]
        assert len(token) >= 20
        port = int(re.search(r":(\d+)/", url)[1])  # type: ignore[index]
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            assert client.get("/api/about").status_code == 401
            client.headers = httpx.Headers(headers)
            about = client.get("/api/about").json()
            assert [one["method"] for one in about["methods"]] == ["biharmonic"]
            visitor = Visitor(client)
            photo = np.random.default_rng(1).integers(0, 256, (500, 500, 3), np.uint8)
            hole = np.zeros((500, 500), bool)
            hole[50:450, 50:450] = True  # minutes, in one call that hears nothing
            visitor.put("photograph", encoded(photo))
            visitor.put("mask", encoded(hole))
            visitor.wait(visitor.order("complete", "biharmonic").json()["job"], "running")
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 128 + signal.SIGTERM
        assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_ends_it_with_its_own_code(tmp_path: Path) -> None:
    with started(tmp_path, "model=telea") as (process, url, _):
        assert url.startswith("http://127.0.0.1:")
        assert "token" not in url
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130
        assert "Traceback" not in (tmp_path / "output.txt").read_text()
