"""A file is whole or not there, whatever ends its writing; a lock is held by one process and freed by its end."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from inpaintlab.machine import (
    Lock,
    alone,
    file_sha256,
    full_disk_named,
    is_held_by_another,
    remove_partials,
    whole,
    write_json,
    write_texts,
)

HOLD = """
import sys
from pathlib import Path
from inpaintlab.machine import Lock
lock = Lock(Path(sys.argv[1]))
print(lock.take(shared=sys.argv[2] == "shared"), flush=True)
sys.stdin.read()
"""


def test_a_file_appears_whole(tmp_path: Path) -> None:
    with whole(tmp_path / "a.txt") as partial:
        partial.write_text("new")
        assert not (tmp_path / "a.txt").exists()
        assert partial.parent == tmp_path
        assert partial.name.startswith(".a.txt.")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_what_ends_the_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "a.txt") as partial:
        raise KeyboardInterrupt(partial.write_text("half"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_writing_that_wrote_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole(tmp_path / "a.txt"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127])
def test_names_as_long_as_a_system_allows_can_be_written(tmp_path: Path, name: str) -> None:
    with whole(tmp_path / name) as partial:
        partial.write_bytes(b"x")
    assert (tmp_path / name).read_bytes() == b"x"


def test_of_several_texts_none_appears_before_all_are_written(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_texts(tmp_path, {"a": "fine", "b": "\ud800"})
    assert not list(tmp_path.iterdir())
    write_texts(tmp_path, {"a": "ä\n", "b": ""})
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa4\n"


def test_json_is_told_where_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.json cannot be written as JSON: Out of range float"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    write_json(tmp_path / "a.json", {"ä": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ä": [1, None]}


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    for path in (tmp_path / ".a.12.partial", inner / ".b.3.partial", tmp_path / "c.partial", tmp_path / ".d"):
        path.touch()
    remove_partials(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"inner", "c.partial", ".d"}


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")  # the example of FIPS 180-2, B.1
    assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_full_disk_is_named_where_the_error_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, full_disk_named(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path)


# --- locks -----------------------------------------------------------------------------------------------------------


class Holder:
    """Another process with a lock, until the end of the block."""

    def __init__(self, path: Path, how: str) -> None:
        self.command = [sys.executable, "-c", HOLD, str(path), how]

    def __enter__(self) -> bool:
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        return self.process.stdout.readline() == "True\n"

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_a_lock_is_held_by_one_process_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held_by_another(path)
    with Holder(path, "alone") as held:
        assert held
        assert is_held_by_another(path)
        assert not Lock(path).take()
        assert not Lock(path).take(shared=True)
    assert not is_held_by_another(path)
    assert Lock(path).take()


def test_a_lock_can_be_shared(tmp_path: Path) -> None:
    with Holder(tmp_path / "lock", "shared") as held:
        assert held
        mine = Lock(tmp_path / "lock")
        assert mine.take(shared=True)
        assert not mine.take()


def test_a_child_does_not_inherit_a_lock(tmp_path: Path) -> None:
    mine = Lock(tmp_path / "lock")
    assert mine.take()
    child = os.fork()
    if child == 0:
        os._exit(int(is_held_by_another(mine.path)))  # it sees its parent's lock as another's
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_a_file_system_without_locks_is_warned_of_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.warns(UserWarning, match="knows no locks"):
        assert Lock(tmp_path / "lock").take()
    with pytest.warns(UserWarning, match="knows no locks"):
        assert not is_held_by_another(tmp_path / "lock")


def test_threads_of_one_process_are_alone_one_after_the_other(tmp_path: Path) -> None:
    inside, most, waited = [], [], []

    def work() -> None:
        with alone(tmp_path / "folder/lock", lambda: waited.append(1)):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)  # for the others to come in, if they could
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
    assert len(waited) == 3
