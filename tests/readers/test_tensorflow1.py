"""Laws of the reader of TensorFlow 1's checkpoints: the arrays as TensorFlow wrote them, or one clear sentence."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inpaintlab.readers.crc32c import crc32c
from inpaintlab.readers.tensorflow1 import read
from stand_ins.tensorflow1_writer import checksum, entry, field, header, table, varint, write

TENSORFLOWS = Path(__file__).parent / "tensorflow1"
"""A checkpoint that TensorFlow 2.15's Saver wrote, with names and shapes of the authors' network."""

FEW = settings(max_examples=40, deadline=None)

SMALL = {
    "net/conv1/kernel": np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2),
    "net/conv1/bias": np.array([0.5, -2], np.float32),
    "net/conv1/bias/Adam": np.zeros(2, np.float32),
    "global_step": np.array(7, np.int64),
    "halves": np.array([[1.5], [2.5]], np.float16),
    "doubles": np.array([1e300]),
    "count": np.array(-3, np.int32),
    "nothing": np.zeros((0, 3), np.float32),
}


def value_of(name: str, shape: list[int]) -> np.ndarray:
    """What the checkpoint of TensorFlow's holds: normal numbers of a seed and the name, scaled by the fan-in."""
    value = np.random.default_rng([1, zlib.crc32(name.encode())]).standard_normal(shape, dtype=np.float32)
    if name.endswith("/kernel"):
        return (value.astype(np.float64) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)
    return 0.1 * value if name.endswith("/bias") else value


def refused(paths: list[Path]) -> str:
    """The one sentence with which the reader refuses."""
    with pytest.raises(ValueError, match=r"\.$") as caught:
        read(paths)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is read ----------------------------------------------------------------------------------------------------


def test_the_arrays_are_those_that_tensorflow_wrote() -> None:
    found = read([TENSORFLOWS])
    layout = json.loads((TENSORFLOWS / "layout.json").read_text())
    for name, shape in layout.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], value_of(name, shape))
    rest = {name: array.item() for name, array in found.items() if name not in layout}
    assert rest == {"beta1_power": 0, "global_step": 1_000_000, "lr": pytest.approx(1e-4)}


@pytest.mark.parametrize("shards", [1, 3])
def test_what_is_written_is_read(tmp_path: Path, shards: int) -> None:
    paths = write(tmp_path, SMALL, shards)
    for given_paths in ([tmp_path], paths, paths[:1], [paths[-1], tmp_path / "checkpoint", paths[0]]):
        found = read(given_paths)
        assert list(found) == sorted(SMALL)
        for name, array in SMALL.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def test_only_what_is_wanted_is_read_and_checked(tmp_path: Path) -> None:
    index, shard = write(tmp_path, SMALL)
    content = shard.read_bytes()
    at = content.index(SMALL["doubles"].tobytes())
    shard.write_bytes(content[:at] + b"damaged!" + content[at + 8 :])
    assert list(read([index], lambda name: name.startswith("net/"))) == [name for name in sorted(SMALL) if "/" in name]
    assert "the bytes of doubles do not fit their checksum" in refused([index])


def test_the_folder_may_have_a_checkpoint_file_of_another_name_or_none(tmp_path: Path) -> None:
    write(tmp_path, {"a": np.ones(1, np.float32)}, name="snap-0")
    write(tmp_path, {"b": np.ones(1, np.float32)}, name="snap-10")
    assert list(read([tmp_path])) == ["b"]
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.txt")
    assert list(read([tmp_path])) == ["b"]
    (tmp_path / "checkpoint.txt").unlink()
    assert "holds 2 files .index and no file checkpoint" in refused([tmp_path])
    (tmp_path / "snap-10.index").unlink()
    assert list(read([tmp_path])) == ["a"]


def test_the_checksum_is_castagnolis() -> None:
    masked = crc32c(b"123456789")
    turned = (masked - 0xA282EAD8) & 0xFFFFFFFF
    assert (turned << 15 | turned >> 17) & 0xFFFFFFFF == 0xE3069283  # RFC 3720's test, as its catalogues have it


@FEW
@given(st.binary(max_size=300))
def test_the_checksum_is_the_remainder_bit_by_bit(content: bytes) -> None:
    state = 0xFFFFFFFF
    for byte in content:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ 0x82F63B78 * (state & 1)
    state ^= 0xFFFFFFFF
    assert crc32c(content) == ((state >> 15 | state << 17) + 0xA282EAD8) % 2**32


@pytest.mark.parametrize("size", [0, 1023, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 5, 70_001])
def test_the_checksum_does_not_depend_on_how_the_bytes_are_cut(size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    assert crc32c(content) == checksum(content)


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A checkpoint's index, its bytes, and those of its shard."""
    index, shard = write(tmp_path_factory.mktemp("sound"), SMALL)
    return index, index.read_bytes(), shard.read_bytes()


def tried(sound: tuple[Path, bytes, bytes], index: bytes, shard: bytes) -> bool:
    """Whether a damaged checkpoint is refused in one sentence; if not, it has the arrays that were written."""
    path, *_ = sound
    path.write_bytes(index)
    path.with_name("snap-0.data-00000-of-00001").write_bytes(shard)
    try:
        found = read([path])
    except ValueError as error:
        return str(error).startswith(str(path.parent)) and "\n" not in str(error)
    assert list(found) == sorted(SMALL)
    assert all(np.array_equal(found[name], array) for name, array in SMALL.items())
    return False


@FEW
@given(data=st.data())
def test_no_changed_byte_changes_an_array(sound: tuple[Path, bytes, bytes], data: st.DataObject) -> None:
    _, index, shard = sound
    at = data.draw(st.integers(0, len(index) + len(shard) - 1))
    flipped = bytearray(index + shard)
    flipped[at] ^= data.draw(st.integers(1, 255))
    was_refused = tried(sound, bytes(flipped[: len(index)]), bytes(flipped[len(index) :]))
    assert was_refused or at < len(index)  # only the block that nothing uses and its handle may have other bytes


@FEW
@given(data=st.data())
def test_no_cut_file_is_read(sound: tuple[Path, bytes, bytes], data: st.DataObject) -> None:
    _, index, shard = sound
    assert tried(sound, index[: data.draw(st.integers(0, len(index) - 1))], shard)
    assert tried(sound, index[data.draw(st.integers(1, len(index))) :], shard)
    assert tried(sound, index, shard[: data.draw(st.integers(0, len(shard) - 1))])


ENTRY = st.builds(
    entry,
    kind=st.integers(0, 30),
    shape=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=10),
    shard=st.integers(0, 2) | st.integers(0, 2**64 - 1),
    offset=st.integers(0, 20) | st.integers(0, 2**64 - 1),
    size=st.integers(0, 20) | st.integers(0, 2**64 - 1),
)


@FEW
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=6), ENTRY | st.binary(max_size=40)), max_size=5))
def test_no_entry_under_a_right_checksum_does_more_than_be_refused(
    sound: tuple[Path, bytes, bytes], entries: list[tuple[bytes, bytes]]
) -> None:
    path, _, shard = sound
    path.write_bytes(table([(b"", header()), *entries]))
    path.with_name("snap-0.data-00000-of-00001").write_bytes(shard)
    try:
        assert sum(array.nbytes for array in read([path]).values()) <= len(shard)
    except ValueError as error:
        told = str(error)
    else:
        told = ""
    assert "\n" not in told


# --- what an enemy writes --------------------------------------------------------------------------------------------

RIGHT = crc32c(bytes(4))

INDICES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it does not end in the magic number"),
    "another kind of file": (b"PK\x03\x04" + bytes(100), "it does not end in the magic number"),
    "no header": (table([(b"a", entry())]), "it has no header"),
    "compressed": (table([(b"", header())], compression=1), "is compressed by Snappy, which is not read"),
    "compressed otherwise": (table([(b"", header())], compression=7), "in a way of number 7"),
    "no shards": (table([(b"", header(0))]), "it has 0 shards; 1 to 1,000 are read"),
    "many shards": (table([(b"", header(2**62))]), "shards; 1 to 1,000 are read"),
    "big-endian": (table([(b"", header(1, 1))]), "not little-endian"),
    "names that do not ascend": (table([(b"", header()), (b"b", entry()), (b"a", entry())]), "do not ascend"),
    "a name twice": (table([(b"", header()), (b"a", entry()), (b"a", entry())], largest=1), "do not ascend"),
    "a name that is no text": (table([(b"", header()), (b"\xff\x1b", entry())]), r"the name \\xff\x1b is not UTF-8"),
    "a very long name": (table([(b"", header()), (b"a" * 2000, entry())]), "has a key that shares 0 bytes"),
    "strings": (table([(b"", header()), (b"a", entry(kind=7))]), "a has numbers of kind 7; 1, 2, 3, 9, 19 are read"),
    "slices": (table([(b"", header()), (b"a", entry() + field(7, b""))]), "a is stored in slices"),
    "more than the file": (
        table([(b"", header()), (b"a", entry(offset=1, crc=RIGHT))]),
        "a should end at byte 5 of snap-0.data-00000-of-00001, of 4",
    ),
    "a huge offset": (table([(b"", header()), (b"a", entry(offset=2**63, crc=RIGHT))]), "a should end at byte"),
    "a huge shape": (
        table([(b"", header()), (b"a", entry(shape=(2**40, 2**40, 2**40), size=2**63))]),
        "bytes, which do not fit its shape",
    ),
    "a negative side": (table([(b"", header()), (b"a", entry(shape=(2**64 - 1,)))]), "a has a dimension of 1844674407"),
    "many dimensions": (table([(b"", header()), (b"a", entry(shape=(1,) * 9))]), "or more than 8 of them"),
    "a size that is not its shape's": (table([(b"", header()), (b"a", entry(size=3))]), "has 3 bytes, which do not"),
    "another shard": (table([(b"", header()), (b"a", entry(shard=1))]), "a lies in shard 1 of 1, counted from 0"),
    "one on the other": (
        table([(b"", header()), (b"a", entry(crc=RIGHT)), (b"b", entry(crc=RIGHT))]),
        "b lies on the bytes of another variable",
    ),
    "a wrong checksum": (table([(b"", header()), (b"a", entry())]), "the bytes of a do not fit their checksum"),
    "no protocol buffer": (table([(b"", header()), (b"a", b"\x0b")]), "a is no protocol buffer"),
    "a shape that is a number": (
        table([(b"", header()), (b"a", field(1, 1) + field(2, 5))]),
        "a has no message as its field 2",
    ),
    "a number that never ends": (table([(b"", header()), (b"a", b"\x08" + b"\xff" * 11)]), "of more than 64 bits"),
    "a field longer than its entry": (table([(b"", header()), (b"a", b"\x12\x7f")]), "a ends too early"),
}


@pytest.mark.parametrize("case", INDICES)
def test_a_hostile_index_is_one_clear_sentence(tmp_path: Path, case: str) -> None:
    index, sentence = INDICES[case]
    (tmp_path / "snap-0.index").write_bytes(index)
    (tmp_path / "snap-0.data-00000-of-00001").write_bytes(bytes(4))
    told = refused([tmp_path])
    assert sentence in told
    assert str(tmp_path) in told


def test_blocks_that_lie_elsewhere_or_on_each_other_are_refused(tmp_path: Path) -> None:
    sound = table([(b"", header())])
    far = (varint(0) + varint(8) + varint(2**40) + varint(8)).ljust(40, b"\0")
    (tmp_path / "a.index").write_bytes(sound[:-48] + far + sound[-8:])
    assert "lies outside of the file" in refused([tmp_path])
    (tmp_path / "a.index").write_bytes(sound[:-48] + sound[-48:-9] + b"\1" + sound[-8:])
    assert "its footer holds more than two handles" in refused([tmp_path])


def test_a_huge_index_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.readers.tensorflow1.LARGEST_INDEX", 1000)
    (tmp_path / "a.index").write_bytes(bytes(1001))
    assert "it has more than 1,000 bytes" in refused([tmp_path])


def test_very_many_variables_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.readers.leveldb.MOST_ENTRIES", 3)
    write(tmp_path, SMALL)
    assert "it has more than 3 entries" in refused([tmp_path])


@pytest.mark.parametrize("name", ["../snap-0", "/etc/passwd", "..", "a\\b", "C:snap", ".hidden", "", "a\x1b"])
def test_a_checkpoint_file_names_nothing_outside_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    write(folder, SMALL)
    write(tmp_path, SMALL)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')
    assert "should name a checkpoint in its own folder" in refused([folder])


def _link_outside(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / name)
    (folder / name).symlink_to(folder.parent / name)


FILES: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "missing": (lambda folder, name: (folder / name).unlink(), "There is no file"),
    "a link to another folder": (_link_outside, "is a link to another folder, which is not followed"),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("name", ["snap-0.index", "snap-0.data-00000-of-00001", "checkpoint"])
def test_files_that_are_missing_or_lie_elsewhere_are_named(tmp_path: Path, case: str, name: str) -> None:
    folder = tmp_path / "folder"
    write(folder, SMALL)
    change, sentence = FILES[case]
    change(folder, name)
    if (case, name) == ("missing", "checkpoint"):
        assert len(read([folder])) == len(SMALL)  # there is but one
        return
    told = refused([folder])
    assert sentence in told
    assert str(folder / name) in told


@pytest.mark.parametrize("name", ["snap-0.index", "snap-0.data-00000-of-00001", "checkpoint"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    write(tmp_path, SMALL)
    path = tmp_path / name
    path.unlink()
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "loop": lambda: path.symlink_to(path)}[kind]()
    assert str(path) in refused([tmp_path])


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    index, shard = write(tmp_path / "one", SMALL)
    other, _ = write(tmp_path / "two", SMALL, name="snap-1")
    assert "got snap-0.index, snap-1.index" in refused([index, other])
    assert "got snap-0.data-00000-of-00001" in refused([shard])
    (tmp_path / "two" / shard.name).write_bytes(b"")
    assert "do not lie in one folder" in refused([index, tmp_path / "two" / shard.name])
    (tmp_path / "one/readme").write_bytes(b"")
    assert "readme does not belong to the checkpoint" in refused([index, tmp_path / "one/readme"])
    assert "There is no file" in refused([tmp_path / "none.index"])
    (tmp_path / "empty").mkdir()
    assert "holds no files .index" in refused([tmp_path / "empty"])
