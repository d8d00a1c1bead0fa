"""Reading Torch7's files: bytes written by hand, what an independent writer writes, and what may be wrong."""

import itertools
import math
import random
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inpaintlab.readers.torch7 import DEEPEST, MOST_VALUES, Torch7Object, read
from stand_ins.mutation import mutations
from stand_ins.torch7_writer import Object, dumps

Parse = Callable[[bytes], Any]

NIL = bytes.fromhex("00000000")
TRUE = bytes.fromhex("05000000 01000000")
# the string "k" and the number 1.5 (sign 0, exponent 1023, fraction 0.5)
K = bytes.fromhex("02000000 01000000") + b"k"
ONE_AND_A_HALF = bytes.fromhex("01000000 000000000000F83F")
V1 = bytes.fromhex("03000000") + b"V 1"


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Parse:
    """Read these bytes from a file of their own: an array looks into its file as long as it lives."""
    folder, numbers = tmp_path_factory.mktemp("torch7"), itertools.count()

    def parse(data: bytes) -> Any:
        path = folder / f"{next(numbers)}.t7"
        path.write_bytes(data)
        try:
            return read(path)
        finally:
            path.unlink()

    return parse


def text(content: bytes) -> bytes:
    return pack("<i", len(content)) + content


def storage(kind: bytes, count: int, numbers: bytes, index: int = 2) -> bytes:
    return pack("<ii", 4, index) + V1 + text(kind) + pack("<q", count) + numbers


def tensor(
    sizes: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
    held: bytes,
    kind: str = "Float",
    index: int = 1,
) -> bytes:
    """A tensor with its storage as given."""
    header = pack("<ii", 4, index) + V1 + text(f"torch.{kind}Tensor".encode()) + pack("<i", len(sizes))
    return header + b"".join(pack("<q", number) for number in (*sizes, *strides, offset)) + held


FOUR = storage(b"torch.FloatStorage", 4, pack("<4f", 1, 2, 3, 4))

# a bit of everything, as a published network has it
CONVOLUTION = Object("nn.SpatialConvolution", {"weight": np.arange(12, dtype=np.float32).reshape(3, 4).T, "kW": 4})
NETWORK = {
    "model": Object("nn.Sequential", {"modules": [CONVOLUTION, Object("nn.ReLU", {"inplace": True})], "train": False}),
    "mean": [0.5, 0.25, 0.125],
    "empty": np.empty(0, np.float64),
    "again": CONVOLUTION,
}


def same(found: Any, written: Any) -> bool:
    """Whether the reader's value is what the writer was given, in the reader's types."""
    match written:
        case None | bool():
            return found is written
        case int() | float():
            return type(found) is float and (found == written or (math.isnan(found) and math.isnan(written)))
        case str():
            return found == written
        case list():
            return same(found, dict(enumerate(written, start=1)))
        case dict():
            pairs = zip(found.items(), written.items(), strict=True)
            return type(found) is dict and all(
                type(key) is type(wanted_key) and key == wanted_key and same(value, wanted)
                for (key, value), (wanted_key, wanted) in pairs
            )
        case np.ndarray():
            shape = written.shape if written.size else (0,)
            return found.dtype == written.dtype and found.shape == shape and found.tobytes() == written.tobytes()
        case Object():
            return type(found) is Torch7Object and found.kind == written.kind and same(found.fields, written.fields)
    raise TypeError(written)


def arrays_in(value: Any, seen: set[int]) -> Iterator[np.ndarray]:
    """Every array in a value, each object looked at once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Torch7Object):
        yield from arrays_in(value.fields, seen)
    elif isinstance(value, dict):
        for part in value.values():
            yield from arrays_in(part, seen)


# --- bytes written by hand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (NIL, None),
        (ONE_AND_A_HALF, 1.5),
        (bytes.fromhex("01000000 00000000000008C0"), -3.0),
        (bytes.fromhex("02000000 03000000 4C 75 E4"), "Luä"),
        (bytes.fromhex("02000000 00000000"), ""),
        (TRUE, True),
        (bytes.fromhex("05000000 00000000"), False),
        (bytes.fromhex("03000000 01000000 00000000"), {}),
        (bytes.fromhex("03000000 01000000 02000000") + K + ONE_AND_A_HALF + TRUE + K, {"k": 1.5, True: "k"}),
        # the keys 1.0 (exponent 1023) and -2.0 (sign, exponent 1024)
        (
            bytes.fromhex("03000000 07000000 02000000 01000000 000000000000F03F 00000000 01000000 00000000000000C0")
            + TRUE,
            {1: None, -2: True},
        ),
    ],
)
def test_plain_values_are_read_from_bytes_written_by_hand(parse: Parse, data: bytes, value: Any) -> None:
    found = parse(data)
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, dict):
        assert [type(key) for key in found] == [type(key) for key in value]


@pytest.mark.parametrize("version", [V1, bytes.fromhex("04000000") + b"V 12", b""])
def test_an_object_is_its_class_and_its_fields_with_a_version_or_without(parse: Parse, version: bytes) -> None:
    fields = bytes.fromhex("03000000 02000000 01000000") + K + TRUE
    found = parse(bytes.fromhex("04000000 01000000") + version + bytes.fromhex("07000000") + b"nn.ReLU" + fields)
    assert type(found) is Torch7Object
    assert (found.kind, found.fields) == ("nn.ReLU", {"k": True})


def test_a_tensor_is_read_from_bytes_written_by_hand(parse: Parse) -> None:
    data = bytes.fromhex(
        "04000000 01000000"  # a torch object, number 1
        "03000000 562031"  # V 1
        "11000000 746F7263682E466C6F617454656E736F72"  # torch.FloatTensor
        "02000000"  # two dimensions
        "0200000000000000 0200000000000000"  # sizes 2, 2
        "0100000000000000 0300000000000000"  # strides 1, 3
        "0200000000000000"  # begins at the second number
        "04000000 02000000"  # a torch object, number 2
        "03000000 562031"  # V 1
        "12000000 746F7263682E466C6F617453746F72616765"  # torch.FloatStorage
        "0600000000000000"  # six numbers: 0.5, 1, 2, 4, 8, 16
        "0000003F 0000803F 00000040 00008040 00000041 00008041"
    )
    found = parse(data)
    assert found.dtype == np.float32
    # row r, column c is number 1 + r + 3 c of the storage, counted from 0
    assert found.tolist() == [[1.0, 8.0], [2.0, 16.0]]


def test_a_storage_is_an_array_of_one_dimension(parse: Parse) -> None:
    found = parse(storage(b"torch.LongStorage", 2, bytes.fromhex("FFFFFFFFFFFFFFFF 0000000001000000")))
    assert found.dtype == np.int64
    assert found.tolist() == [-1, 2**32]
    assert parse(storage(b"torch.ByteStorage", 0, b"")).shape == (0,)


@pytest.mark.parametrize(
    ("kind", "dtype", "numbers", "value"),
    [
        ("Float", np.float32, "000000BF", -0.5),
        ("Cuda", np.float32, "000000BF", -0.5),
        ("Double", np.float64, "000000000000E0BF", -0.5),
        ("Long", np.int64, "FEFFFFFFFFFFFFFF", -2),
        ("Int", np.int32, "FEFFFFFF", -2),
        ("Short", np.int16, "FEFF", -2),
        ("Char", np.int8, "FE", -2),
        ("Byte", np.uint8, "FE", 254),
    ],
)
def test_each_type_of_number_is_read(parse: Parse, kind: str, dtype: Any, numbers: str, value: float) -> None:
    found = parse(tensor((1,), (1,), 1, storage(f"torch.{kind}Storage".encode(), 1, bytes.fromhex(numbers)), kind))
    assert found.dtype == dtype
    assert found.tolist() == [value]


@pytest.mark.parametrize("held", [NIL, FOUR])
def test_a_tensor_without_dimensions_is_empty_with_a_storage_or_without(parse: Parse, held: bytes) -> None:
    found = parse(tensor((), (), 1, held))
    assert found.shape == (0,)
    assert found.dtype == np.float32


def test_the_stride_of_a_single_element_means_nothing(parse: Parse) -> None:
    found = parse(tensor((1, 2, 1), (2**62, 2, 0), 2, FOUR))
    assert found.tolist() == [[[2.0], [4.0]]]


# --- what is written comes back --------------------------------------------------------------------------------------

LATIN = st.text(st.characters(max_codepoint=255), max_size=8)
TENSORS = st.sampled_from(["<f4", "<f8", "<i8", "<i4", "<i2", "<i1", "<u1"]).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3))
)
TREES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**53), 2**53) | LATIN | TENSORS,
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.dictionaries(LATIN | st.integers(-(2**53), 2**53), parts, max_size=4)
        | st.dictionaries(LATIN | st.booleans(), parts, max_size=4)
        | st.builds(Object, LATIN.map("nn.{}".format), st.dictionaries(LATIN, parts, max_size=4))
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=TREES)
def test_any_tree_comes_back_as_it_was_written(parse: Parse, value: Any) -> None:
    assert same(parse(dumps(value)), value)


def test_a_network_comes_back_with_what_it_shares(parse: Parse) -> None:
    found = parse(dumps(NETWORK))
    assert same(found, NETWORK)
    assert found["again"] is found["model"].fields["modules"][1]


def test_views_of_one_storage_keep_their_strides_and_share_it(parse: Parse) -> None:
    whole = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    views = {"whole": whole, "transposed": whole.transpose(2, 0, 1), "part": whole[:, ::2, 1:3]}
    data = dumps(views)
    assert data.count(b"torch.DoubleStorage") == 1
    found = parse(data)
    assert same(found, views)
    for name, view in views.items():
        assert np.shares_memory(found["whole"], found[name])
        assert found[name].strides == view.strides


def test_arrays_cannot_be_written_to(parse: Parse) -> None:
    found = parse(dumps({"tensor": np.ones((2, 2)), "empty": np.empty(0)}))
    assert not found["tensor"].flags.writeable
    assert not found["empty"].flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        found["tensor"][0, 0] = 2


def test_a_large_file_is_neither_copied_nor_read_before_it_is_used(tmp_path: Path) -> None:
    count = 2**24
    header = tensor((4096, 4096), (4096, 1), 1, storage(b"torch.FloatStorage", count, b""))
    path = tmp_path / "large.t7"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 4 * count)
    assert peak(lambda: read(path)) < 100_000
    assert read(path)[4095, 4095] == 0


# --- refused ---------------------------------------------------------------------------------------------------------


def peak(action: Callable[[], Any]) -> int:
    """The most bytes that Python and numpy held at once for ``action``."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def table(*entries: bytes, index: int = 1) -> bytes:
    return pack("<iii", 3, index, len(entries) // 2) + b"".join(entries)


def number(value: float) -> bytes:
    return pack("<id", 1, value)


TENSOR_AT = 8 + 7 + 4 + 17  # tag and index, version, class name: where the dimensions of `tensor` stand

MALFORMED = {
    "unknown tag": (pack("<i", 9), 0, "a tag 9"),
    "negative tag": (pack("<i", -1), 0, "a tag -1"),
    "function": (pack("<ii", 6, 1), 0, "Lua code"),
    "old function": (pack("<ii", 7, 1), 0, "Lua code"),
    "function in a table": (table(K, pack("<ii", 8, 2)), 21, "Lua code"),
    "something follows": (TRUE + NIL, 8, "4 more bytes follow"),
    "boolean": (pack("<ii", 5, 2), 4, "a boolean is 2"),
    "negative string": (pack("<ii", 2, -1), 8, "a string of -1 bytes"),
    "long string": (pack("<ii", 2, 4) + b"abc", 8, "a string of 4 bytes should follow, but 3 are left"),
    "negative table": (pack("<iii", 3, 1, -1), 8, "a table of -1 entries"),
    "long table": (pack("<iii", 3, 1, 2) + bytes(15), 8, "a table of 2 entries should follow, but 15 bytes are left"),
    "nil as key": (table(NIL, NIL), 12, "a key of type 'nil'"),
    "table as key": (table(table(index=2), NIL), 12, "a key of type 'table'"),
    "broken key": (table(number(0.5), NIL), 12, "the key 0.5"),
    "key that is no number": (table(number(math.nan), NIL), 12, "the key nan"),
    "infinite key": (table(number(-math.inf), NIL), 12, "the key -inf"),
    "key twice": (table(K, TRUE, K, NIL), 12 + 9 + 8, "the key 'k' a second time"),
    "1 and true": (table(number(1), NIL, TRUE, NIL), 12 + 12 + 4, "the key True a second time"),
    "table in itself": (table(K, pack("<ii", 3, 1)), 12 + 9 + 4, "object 1 holds itself"),
    "table as object": (table(K, table(index=2), TRUE, pack("<ii", 4, 2)), 12 + 9 + 12 + 8 + 4, "a table in one place"),
    "object as table": (table(K, FOUR, TRUE, pack("<ii", 3, 2)), 12 + 9 + len(FOUR) + 8 + 4, "a table in one place"),
    "fields": (pack("<ii", 4, 1) + V1 + text(b"nn.ReLU") + TRUE, 8 + 7 + 11, "the fields of a 'nn.ReLU' are no table"),
    "unknown class": (pack("<ii", 4, 1) + V1 + text(b"torch.HalfStorage"), 8, "a 'torch.HalfStorage'"),
    "negative storage": (storage(b"torch.ByteStorage", -1, b""), 8 + 7 + 21 + 8, "a storage of -1 bytes"),
    "long storage": (storage(b"torch.IntStorage", 3, bytes(11)), 8 + 7 + 20 + 8, "a storage of 12 bytes"),
    "negative dimensions": (tensor((), (), 1, NIL)[:TENSOR_AT] + pack("<i", -1), TENSOR_AT, "-1 dimensions"),
    "17 dimensions": (tensor((1,) * 17, (1,) * 17, 1, FOUR), TENSOR_AT, "17 dimensions"),
    "no storage": (tensor((1,), (1,), 1, NIL), TENSOR_AT, "more than the 0 numbers"),
    "size of 0": (tensor((2, 0), (1, 1), 1, FOUR), TENSOR_AT, "a size or an offset below 1"),
    "size below 0": (tensor((-2, -2), (1, 1), 1, FOUR), TENSOR_AT, "a size or an offset below 1"),
    "stride below 0": (tensor((4,), (-1,), 4, FOUR), TENSOR_AT, "a stride below 0"),
    "offset of 0": (tensor((4,), (1,), 0, FOUR), TENSOR_AT, "a size or an offset below 1"),
    "one too long": (tensor((5,), (1,), 1, FOUR), TENSOR_AT, "more than the 4 numbers"),
    "one too late": (tensor((4,), (1,), 2, FOUR), TENSOR_AT, "more than the 4 numbers"),
    "stride too large": (tensor((2, 2), (3, 1), 1, FOUR), TENSOR_AT, "more than the 4 numbers"),
    "product over 2^64": (tensor((2**32, 2**32), (0, 0), 1, FOUR), TENSOR_AT, "more than the 4 numbers"),
    "reach over 2^64": (tensor((2**62, 2), (4, 2**62), 1, FOUR), TENSOR_AT, "more than the 4 numbers"),
    "expanded": (tensor((5,), (0,), 1, FOUR), TENSOR_AT, "more than the 4 numbers"),
    "storage of other numbers": (
        tensor((4,), (1,), 1, storage(b"torch.IntStorage", 4, bytes(16))),
        TENSOR_AT + 28,
        "a torch.FloatTensor has a 'torch.IntStorage' in place of its storage",
    ),
    "tensor as storage": (
        table(K, tensor((4,), (1,), 1, FOUR, index=5), TRUE, tensor((4,), (1,), 1, pack("<ii", 4, 5), index=6)),
        12 + 9 + TENSOR_AT + 28 + len(FOUR) + 8 + TENSOR_AT + 28,
        "a torch.FloatTensor has a 'torch.FloatTensor' in place of its storage",
    ),
    "tensor as its own storage": (tensor((4,), (1,), 1, pack("<ii", 4, 1)), TENSOR_AT + 32, "object 1 holds itself"),
    "number as storage": (tensor((4,), (1,), 1, number(1)), TENSOR_AT + 28, "has a 'number' in place of its storage"),
    "ASCII": (b"3\n1\n0\n", 0, "Torch7's ASCII format begins"),
    "page": (b"\n<!DOCTYPE html><html></html>", 0, "a web page begins"),
    "empty": (b"", 0, "it is empty"),
    "long class": (pack("<ii", 4, 1) + V1 + text(b"torch." + b"x" * 10_000), 8, "a 'torch.xxx"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_told_with_its_byte_in_one_sentence(parse: Parse, case: str) -> None:
    data, at, what = MALFORMED[case]
    with pytest.raises(ValueError, match=re.escape(what)) as caught:
        parse(data)
    sentence = str(caught.value)
    assert re.search(rf"\d+\.t7 is not a readable Torch7 file: at byte {at} ", sentence)
    assert sentence.endswith(".")
    assert len(sentence) < 400


@pytest.mark.parametrize(("zipped", "what"), [(True, "a ZIP archive"), (False, "a pickle")])
def test_a_checkpoint_of_pytorch_is_told_apart(tmp_path: Path, zipped: bool, what: str) -> None:
    path = tmp_path / "model.pth"
    torch.save({"weight": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=rf"at byte 0 {what} begins, .*give the \.t7 file"):
        read(path)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.t7", tmp_path):
        with pytest.raises(ValueError, match=re.escape(f"There is no file {path}; give")):
            read(path)


def test_cycles_through_objects_are_refused_and_siblings_are_not_cycles(parse: Parse) -> None:
    module = Object("nn.Sequential", {})
    module.fields["parent"] = {"of": module}
    with pytest.raises(ValueError, match="object 1 holds itself"):
        parse(dumps(module))
    part: dict[str, Any] = {}
    found = parse(dumps([part, part, [part]]))
    assert found[1] is found[2] is found[3][1]


def test_a_file_that_ends_anywhere_too_early_is_refused(parse: Parse) -> None:
    data = dumps(NETWORK)
    for length in range(len(data)):
        with pytest.raises(ValueError, match="is not a readable Torch7 file: at byte ") as caught:
            parse(data[:length])
        found = re.search(r"at byte (\d+) ", str(caught.value))
        assert found is not None
        assert int(found[1]) <= length


@pytest.mark.parametrize(
    "data",
    [
        pack("<ii", 2, 2**31 - 1),
        pack("<iii", 3, 1, 2**31 - 1),
        pack("<iii", 4, 1, 2**31 - 1),
        pack("<ii", 4, 1) + V1 + pack("<i", 2**31 - 1),
        *(storage(b"torch.FloatStorage", count, bytes(64)) for count in (17, 2**31, 2**62, 2**63 - 1)),
        tensor((), (), 1, NIL)[:TENSOR_AT] + pack("<i", 2**31 - 1) + bytes(1000),
        tensor((2**62,) * 16, (1,) * 16, 1, FOUR),
        tensor((2**63 - 1,) * 16, (0,) * 16, 1, FOUR),
        tensor((1,) * 16, (2**63 - 1,) * 16, 2**63 - 1, FOUR),
    ],
)
def test_sizes_that_a_file_only_claims_take_no_memory(parse: Parse, data: bytes) -> None:
    def attempt() -> None:
        with pytest.raises(ValueError, match="is not a readable Torch7 file"):
            parse(data)

    attempt()  # once before it is measured: what is loaded or compiled on first use
    assert peak(attempt) < 200_000


def test_nesting_is_read_to_its_limit_and_refused_beyond(parse: Parse) -> None:
    value: list[Any] = []
    for _ in range(DEEPEST - 1):
        value = [value]
    assert same(parse(dumps(value)), value)
    with pytest.raises(ValueError, match=f"more than {DEEPEST} deep"):
        parse(dumps([value]))
    nested = b"".join(pack("<iii", 3, index, 1) + TRUE for index in range(1, 20_000))
    with pytest.raises(ValueError, match=f"more than {DEEPEST} deep"):
        parse(nested)


def test_depth_counts_what_stands_inside_not_what_stands_before(parse: Parse) -> None:
    value = [[[index]] for index in range(2 * DEEPEST)]
    assert same(parse(dumps(value)), value)


def test_values_are_read_to_their_limit_and_refused_beyond(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_VALUES == 100_000
    # as many take seconds where each call's types are checked; the table, and a key and a value each
    monkeypatch.setattr("inpaintlab.readers.torch7.MOST_VALUES", 2001)
    assert len(parse(dumps([None] * 1000))) == 1000
    # one more: the object that holds the table
    with pytest.raises(ValueError, match="more than the 2001 values"):
        parse(dumps(Object("nn.Sequential", {str(index): None for index in range(1000)})))


def ending(parse: Parse, data: bytes) -> str:
    """How reading ends: in a value whose numbers can all be looked at, or in the sentence; all else is raised."""
    try:
        value = parse(data)
    except ValueError as error:
        if "is not a readable Torch7 file: at byte " not in str(error):
            raise
        return "sentence"
    for array in arrays_in(value, set()):
        array.tobytes()
    return "value"


def test_any_byte_may_be_wrong(parse: Parse) -> None:
    data = dumps(NETWORK)
    places = itertools.product(range(len(data)), (0x01, 0xFF))
    endings = [ending(parse, data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]) for at, change in places]
    assert set(endings) == {"value", "sentence"}


@settings(max_examples=300, deadline=None)
@given(generator=st.randoms(use_true_random=False))
def test_any_damage_ends_in_a_value_or_in_the_sentence(parse: Parse, generator: random.Random) -> None:
    assert ending(parse, mutations(dumps(NETWORK), generator)) in ("value", "sentence")


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_end_in_a_value_or_in_the_sentence(parse: Parse, data: bytes) -> None:
    assert ending(parse, data) in ("value", "sentence")
