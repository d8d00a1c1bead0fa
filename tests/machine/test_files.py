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
from stand_ins.kills import ended_at

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
    with pytest.raises(ValueError, match=r"Nothing was written to .*a\.txt"), whole(tmp_path / "a.txt"):
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
    write_texts(tmp_path, {"a": "ä\n", "b": "b"})
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa4\n"


def test_json_is_told_where_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.json cannot be written as JSON: Out of range float"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    write_json(tmp_path / "a.json", {"ä": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ä": [1, None]}


def test_whatever_kills_a_writing_the_next_process_leaves_whole_files_alone(tmp_path: Path) -> None:
    texts = {"a": "aa", "b": "bb"}
    ends = 0
    while ended_at(ends, lambda: write_texts(tmp_path, texts)):
        ends += 1
        found = {path.name: path.read_text() for path in tmp_path.iterdir() if not path.name.endswith(".partial")}
        assert found.items() <= texts.items()
        assert not ended_at(1000, lambda: write_texts(tmp_path, {"c": "cc"}))
        (tmp_path / "c").unlink()
        assert {path.name for path in tmp_path.iterdir()} == set(found), f"killed at call {ends}"
    assert ends > 6  # two files are made, written, synced and renamed
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == texts


def test_what_a_living_process_writes_is_left_to_it(tmp_path: Path) -> None:
    with whole(tmp_path / "a") as partial:
        partial.write_text("half")
        assert not ended_at(1000, lambda: write_texts(tmp_path, {"b": "b"}))
        assert partial.read_text() == "half"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_what_another_machine_writes_is_given_up_only_after_an_hour_without_a_write(tmp_path: Path) -> None:
    fresh, old = (tmp_path / f".{name}.00000000-000000000000.partial" for name in ("fresh", "old"))
    for path, age in ((fresh, 3500), (old, 3700)):
        path.touch()
        os.utime(path, (0, time.time() - age))
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [fresh.name]


def test_nothing_but_our_own_unfinished_files_is_removed(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    with whole(inner / "a") as partial:
        ours = partial.name
        partial.write_text("x")
    names = ("c.partial", ".d.partial", ".e.12.partial", ".f", f"x{ours}")
    for path in (*(tmp_path / name for name in names), inner / ours):
        path.touch()
    os.mkfifo(tmp_path / ours)
    remove_partials(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"inner", ours, *names}
    assert (inner / ours).exists()
    remove_partials(tmp_path, below=True)
    assert [path.name for path in inner.iterdir()] == ["a"]


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


def test_to_look_takes_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    look = "from inpaintlab.machine import is_held_by_another as look\nfrom pathlib import Path\nprint(flush=True)\n"
    look += f"while True: assert not look(Path({str(path)!r}))"
    others = [subprocess.Popen([sys.executable, "-c", look], stdout=subprocess.PIPE) for _ in range(2)]
    try:
        path.touch()
        for other in others:
            assert other.stdout is not None
            other.stdout.readline()
        for _ in range(2000):
            assert not is_held_by_another(path)
        assert [other.poll() for other in others] == [None, None]  # neither took a look for a lock
    finally:
        for other in others:
            other.kill()
            other.communicate()


def test_to_look_needs_no_right_to_write_and_makes_no_file(tmp_path: Path) -> None:
    assert not is_held_by_another(tmp_path / "missing/lock")
    assert not is_held_by_another(tmp_path / "lock")
    assert not list(tmp_path.iterdir())
    (tmp_path / "lock").touch(mode=0o400)
    with Holder(tmp_path / "lock", "alone") as held:
        assert held == (os.geteuid() == 0)
        assert is_held_by_another(tmp_path / "lock") == held


def test_a_lock_whose_file_was_removed_meanwhile_is_one_on_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, locks = tmp_path / "lock", []

    def granted(file: int, how: int) -> None:
        if not locks:  # its last holder removes the file after it was opened here, and lets go
            path.unlink()
        locks.append(os.fstat(file).st_ino)
        lock(file, how)

    lock = fcntl.lockf
    monkeypatch.setattr(fcntl, "lockf", granted)
    mine = Lock(path)
    assert mine.take()
    assert locks[-1] == path.stat().st_ino
    with Holder(path, "alone") as held:
        assert not held
    mine.remove()
    assert not path.exists()


def test_only_a_holder_removes_a_lock(tmp_path: Path) -> None:
    refused = Lock(tmp_path / "lock")
    with Holder(tmp_path / "lock", "alone") as held:
        assert held
        assert not refused.take()
        refused.remove()
        assert (tmp_path / "lock").exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM])
def test_a_file_system_without_locks_is_warned_of_once_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    for name in ("lockf", "flock", "fcntl"):
        monkeypatch.setattr(fcntl, name, refuse)
    lock = Lock(tmp_path / "lock")
    with pytest.warns(UserWarning, match="knows no locks") as warned:
        assert lock.take() and lock.take(shared=True) and Lock(tmp_path / "other").take()  # noqa: PT018
    assert len(warned) == 1
    assert not is_held_by_another(tmp_path / "lock")  # nor is a word said
    write_texts(tmp_path, {"a": "a"})
    assert (tmp_path / "a").read_text() == "a"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EAGAIN])
def test_only_what_another_process_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    assert not Lock(tmp_path / "lock").take()


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
