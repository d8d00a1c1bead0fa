"""Files that are damaged or made to harm: one sentence or a sound result, never a crash, a hang or much memory.

INPAINTLAB_FUZZ_CASES says how many damaged files each test reads.
"""

import functools
import json
import os
import random
import resource
import struct
import sys
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inpaintlab.importers import checkpoint as importers
from inpaintlab.importers.checkpoint import read_published
from inpaintlab.importers.layout import Found
from inpaintlab.inpainting import Inpainter
from inpaintlab.readers import read_tensorflow1, read_torch, read_torch7, tensors
from stand_ins import published_files as files
from stand_ins.commands import run
from stand_ins.mutation import mutations
from stand_ins.pickle_writer import Raw, Storage, Stored, Writer, archive, stream, zip_file
from stand_ins.tensorflow1_writer import write
from stand_ins.torch7_writer import Object, dumps

CASES = int(os.environ.get("INPAINTLAB_FUZZ_CASES", "300"))

HERE = Path(__file__).parent

Read = Callable[[list[Path]], Any]


# --- damaged ---------------------------------------------------------------------------------------------------------


def all_tensors(paths: list[Path]) -> dict[str, torch.Tensor]:
    """What the reader of pickles finds."""
    return tensors(read_torch(paths[0]), paths[0], "it")


SMALL = {"state.1": torch.ones(3, 2), "state.2": torch.tensor(7), "half": torch.ones(4).half()[1:3]}


def write_small(folder: Path, zipped: bool) -> list[Path]:
    return [files.save(folder / "small.pth", SMALL, zipped)]


def write_torch7(folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    weights = {"weight": np.ones((2, 3), np.float32), "eps": 1e-5}
    (folder / "small.t7").write_bytes(dumps({"model": Object("nn.Linear", weights), "mean": [0.5, True, "text"]}))
    return [folder / "small.t7"]


def write_tensorflow1(folder: Path) -> list[Path]:
    return write(folder, {"net/kernel": np.ones((2, 3), np.float32), "net/bias": np.ones(3, np.float32)})


def by_layout(layout: str) -> Read:
    return lambda paths: read_published(paths, layout)


# the readers, narrow files for them, and which of the files are damaged
READERS: dict[str, tuple[Read, Callable[[Path], list[Path]], list[int]]] = {
    "torch7": (lambda paths: read_torch7(paths[0]), write_torch7, [0]),
    "pickles-zip": (all_tensors, lambda folder: write_small(folder, True), [0]),
    "pickles-stream": (all_tensors, lambda folder: write_small(folder, False), [0]),
    "edgeconnect-zip": (by_layout("edgeconnect"), lambda f: files.edgeconnect(f, 1, True), [0, 1, 2, 3]),
    "edgeconnect-stream": (by_layout("edgeconnect"), lambda f: files.edgeconnect(f, 1, False), [0, 1, 2, 3]),
    "otenim-zip": (by_layout("glcic-otenim"), lambda f: files.otenim(f, 1, True), [0, 1, 2]),
    "otenim-stream": (by_layout("glcic-otenim"), lambda f: files.otenim(f, 1, False), [0, 1, 2, 2]),
    "mmagic-zip": (by_layout("glcic-mmagic"), lambda f: files.mmagic(f, 1, True), [0]),
    "mmagic-stream": (by_layout("glcic-mmagic"), lambda f: files.mmagic(f, 1, False), [0]),
    "official": (by_layout("glcic-official"), lambda f: files.official(f, 1), [0]),
    "tensorflow1": (read_tensorflow1, write_tensorflow1, [0, 1]),
    "ca-official": (by_layout("ca-official"), lambda f: write(f, files.ca_official_state(1)), [0, 0, 1]),
    "ca-daa233": (by_layout("ca-daa233"), lambda f: files.ca_daa233(f, 1), [0, 1]),
    "ca-mmagic": (by_layout("ca-mmagic"), lambda f: files.ca_mmagic(f, 1), [0]),
}


def damaged(data: bytes, generator: random.Random) -> bytes:
    """One of the ways in which a file is damaged; pickles inside zip files too, under a right checksum."""
    match generator.randrange(8):
        case 0:
            return data[: generator.randrange(len(data))]
        case 1:  # the beginning of a part stands where another begins
            first, second = (generator.randrange(len(data)) for _ in range(2))
            return data[:first] + data[second:]
        case 2 | 3 if data[:2] == b"PK":
            return _with_members_damaged(data, generator)
        case 2:  # a length, count or size somewhere becomes a giant
            at = generator.randrange(len(data))
            giant = generator.choice([2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1])
            size = generator.choice([4, 8])
            return data[:at] + struct.pack("<Q", giant)[:size] + data[at + size :]
        case 4 | 5:
            return mutations(data, generator)
        case _:  # near an end, where most formats have their structure
            some = min(len(data), generator.choice([64, 256, 1024, 8192]))
            if generator.random() < 0.5:
                return mutations(data[:some], generator) + data[some:]
            return data[:-some] + mutations(data[-some:], generator)


def _with_members_damaged(data: bytes, generator: random.Random) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as source:
        members = {info.filename.partition("/")[2]: source.read(info) for info in source.infolist()}
    name = generator.choice(["data.pkl", "data.pkl", "data.pkl", *members])
    members[name] = mutations(members[name], generator)
    if generator.random() < 0.1:
        del members[generator.choice(list(members))]
    return archive(members)


def sentence_of(error: ValueError) -> str:
    """What a reader says, which has to be one printable sentence."""
    text = str(error)
    assert text.isprintable(), f"not one line: {text!r}"
    assert 20 < len(text) < 3000, f"not a sentence: {text!r}"
    return text


def judge(read: Read, paths: list[Path]) -> str | None:
    """Read files: None for a sound result, or the sentence of the refusal. Anything else is raised."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = read(paths)
        except ValueError as error:
            sentence = sentence_of(error)
        else:
            sentence = None
            if isinstance(found, tuple):
                _, record, weights = found
                assert all(torch.isfinite(weight).all() for weight in weights.values()), "weights that are not finite"
                json.dumps(record, allow_nan=False)
    assert not warned, f"a warning beside the answer: {warned[0].message}"
    return sentence


def cases(reader: str, folder: Path, count: int, first: int = 0) -> list[str | None]:
    """Damage the files of a reader ``count`` times and judge each."""
    verdicts = []
    read, write, targets = READERS[reader]
    paths = write(folder / reader)
    sound = {path: path.read_bytes() for path in paths}
    assert judge(read, paths) is None
    for seed in range(first, first + count):
        generator = random.Random(f"{reader} {seed}")
        path = paths[generator.choice(targets)]
        path.unlink()  # no tensor may look into the file that is written next
        path.write_bytes(damaged(sound[path], generator))
        try:
            verdicts.append(judge(read, paths))
        except Exception as error:
            error.add_note(f"{reader}, seed {seed}, {path}")
            raise
        path.write_bytes(sound[path])
    return verdicts


@pytest.fixture
def one_model_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build each model once: what is tested takes a hundredth of the time that building takes."""
    keep_models(monkeypatch.setattr)


def keep_models(setattr: Callable[..., Any]) -> None:
    build = importers._build

    @functools.lru_cache(maxsize=32)
    def built(preset: str, size: int, settings: str) -> Inpainter:
        return build(Found(preset, size, json.loads(settings), [], []))

    setattr(importers, "_build", lambda found: built(found.preset, found.size, json.dumps(found.settings)))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.usefixtures("one_model_each")
def test_a_damaged_file_is_refused_in_one_sentence_or_sound(tmp_path: Path, reader: str) -> None:
    verdicts = cases(reader, tmp_path, CASES // len(READERS))
    assert len(verdicts) == CASES // len(READERS)
    assert any(verdicts), "the damage is too small to be noticed"


# --- made to harm ----------------------------------------------------------------------------------------------------

NUMBERS = Storage("0", 6, bytes(24))
PLAIN = Stored(NUMBERS, (2, 3), (3, 1))


def tuples(depth: int) -> Raw:
    """A tuple in a tuple in a tuple."""
    return Raw(b")" + b"\x85" * depth)


def doubled(depth: int) -> Raw:
    """A tuple of a tuple and the same again, and so on: 2 ** depth values."""
    return Raw(b")" + b"".join(b"q\x00h\x00\x86" for _ in range(depth)))


def called(name: str, *arguments: Any) -> Raw:
    """What the pickle wants of a function."""
    module, _, function = name.rpartition(".")
    return Raw(f"c{module}\n{function}\n".encode() + Writer().of(arguments) + b"R")


# each a value whose reading harms, or is not a plain state dict
VALUES: dict[str, tuple[Any, str]] = {
    "tuples nested too deep to hash": ({tuples(900_000): 1}, "a tuple has more than"),
    "tuples that take forever to hash": ({doubled(200): 1}, "a tuple has more than"),
    "the same as a value": ({"a": doubled(200)}, "a tuple has more than"),
    "lists nested deep": ({"a": Raw(b"]" * 30_000 + b"a" * 29_999)}, "something else than a tensor"),
    "lists in a tuple": ({"a": (Raw(b"]" * 30_000 + b"a" * 29_999),)}, "something else than a tensor"),
    "a list as key": ({Raw(b"]"): 1}, "cannot be read"),
    "many operations": (Raw(b"N0" * 500_001), "operations"),
    "many memos": ({"a": Raw(b"N" + b"".join(b"r" + struct.pack("<I", i) for i in range(100_000)))}, "something else"),
    "memo far away": ({"a": Raw(b"Nr\xff\xff\xff\xff")}, "something else than a tensor"),
    "memo that is not there": ({"a": Raw(b"j\xff\xff\xff\xff")}, "cannot be read"),
    "string longer than the file": ({"a": Raw(b"X\xff\xff\xff\x7fa")}, "cannot be read"),
    "number of 255 bytes": ({2**2030: 1}, "names and tensors: a int"),
    "number without end": ({Raw(b"\x8b\xff\xff\xff\x7f" + b"1"): 1}, "cannot be read"),
    "gigabytes of zeros": ({"a": called("__builtin__.bytearray", 2**33)}, "asks for '__builtin__.bytearray'"),
    "encoding that takes forever": (
        {"a": called("_codecs.encode", "\u00e9" * 50_000, "punycode")},
        "asks for '_codecs.encode'",
    ),
    "tensor of a constructor": ({"a": called("torch.Tensor", 2**36)}, "asks for 'torch.Tensor'"),
    "meta tensor": (
        {"a": called("torch._utils._rebuild_meta_tensor_no_storage", 1, (2**40,), (1,), False)},
        "asks for 'torch._utils._rebuild_meta_tensor_no_storage'",
    ),
    "sparse tensor": (
        {"a": called("torch._utils._rebuild_sparse_tensor", 1, ())},
        "asks for 'torch._utils._rebuild_s",
    ),
    "quantized tensor": ({"a": called("torch._utils._rebuild_qtensor", 1)}, "asks for 'torch._utils._rebuild_qtensor'"),
    "subclass of tensor": ({"a": called("torch._tensor._rebuild_from_type_v2", 1)}, "asks for 'torch._tensor._rebuild"),
    "parameter": ({"a": called("torch._utils._rebuild_parameter", 1)}, "asks for 'torch._utils._rebuild_parameter'"),
    "complex numbers": ({"a": Stored(Storage("0", 1, bytes(8), "ComplexFloat"), (1,), (1,))}, "asks for 'torch.Compl"),
    "whole numbers": ({"a": Stored(Storage("0", 2, bytes(16), "Long"), (2,), (1,))}, "something else than a tensor"),
    "name that steers": ({Raw(b"\x8c\x02\x1b\n"): 1}, "cannot be read"),
    "state that hides a method": (
        Raw(b"ccollections\nOrderedDict\n)R" + Writer().of({"items": 1, "get": 1}) + b"b"),
        "is no state dict",
    ),
    "set of a tensor's storage": ({"a": Raw(Writer().of(PLAIN) + b")b")}, "cannot be read"),
    "new object": ({"a": Raw(b"ccollections\nOrderedDict\n)\x81")}, "something else than a tensor"),
    "class of another package": ({"a": called("inpaintlab.recipes.only_ours", {}, "")}, "asks for 'inpaintlab.recipes"),
    "nothing": ({}, "is no state dict"),
    "no table": ([1, 2], "is no state dict"),
    "itself": (Raw(b"}q\x00X\x01\x00\x00\x00ah\x00s"), "something else than a tensor"),
}


def tensor(count: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, held: int = 24) -> Stored:
    return Stored(Storage("0", count, bytes(held)), size, stride, offset)


# tensors that are not what the file holds
TENSORS: dict[str, Stored] = {
    "storage of 2 ** 40 numbers": tensor(2**40, (2, 3), (3, 1)),
    "storage of 2 ** 62 numbers": tensor(2**62, (2, 3), (3, 1)),
    "storage of 2 ** 80 numbers": tensor(2**80, (2, 3), (3, 1)),
    "storage of 2 ** 31 numbers": tensor(2**31, (2**31,), (1,)),
    "storage of -6 numbers": tensor(-6, (2, 3), (3, 1)),
    "storage of half a number": tensor(0.5, (2, 3), (3, 1)),
    "storage of text": tensor("6", (2, 3), (3, 1)),
    "larger than its storage": tensor(6, (2, 4), (4, 1)),
    "much larger than its storage": tensor(6, (2**33,), (1,)),
    "offset behind the storage": tensor(6, (2, 3), (3, 1), offset=1),
    "offset far away": tensor(6, (1,), (1,), offset=2**62),
    "offset in front of the storage": tensor(6, (2, 3), (3, 1), offset=-1),
    "stride too large": tensor(6, (2, 3), (4, 1)),
    "stride of 2 ** 62": tensor(6, (2, 3), (2**62, 1)),
    "stride below 0": tensor(6, (2, 3), (-3, 1), offset=3),
    "size below 0": tensor(6, (-2, 3), (3, 1)),
    "expanded": tensor(6, (2**20, 2**20), (0, 0)),
    "expanded by one": tensor(6, (7,), (0,)),
    "as many numbers as there are, modulo 2 ** 64": tensor(6, (2**32, 2**32), (0, 0)),
    "fewer strides than sizes": tensor(6, (2, 3), (1,)),
    "convolution of 2 ** 62 numbers": tensor(6, (64, 2**48, 2**4, 2**4), (0, 0, 0, 0)),
    "convolution of 2 ** 40 outputs": tensor(6, (2**40, 1, 1, 1), (0, 0, 0, 0)),
    "a thousand dimensions": tensor(6, (1,) * 900, (1,) * 900),
}


def crafted_zips() -> dict[str, tuple[bytes, str]]:
    """Zip files of which the outside is wrong."""
    sound = zip_file({"a": PLAIN})
    bomb = zip_file({"a": PLAIN}, zipfile.ZIP_DEFLATED, zeros=bytes(2**24))
    entry = sound.index(b"PK\x01\x02")
    one = sound[entry : sound.index(b"PK\x01\x02", entry + 4)]
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 100_001 * len(one), entry, 0)
    # The end of a large file: first the list's own record, then where that is, then what small files have.
    start, length = entry, len(sound) - 22 - entry
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 5, 5, length, start)
    elsewhere = struct.pack("<4sLQL", b"PK\x06\x07", 0, 10, 1)

    def resized(size: int) -> bytes:
        """Both sizes of the first member in the list."""
        return sound[: entry + 20] + struct.pack("<2I", size, size) + sound[entry + 28 :]

    return {
        "zip bomb": (bomb, "its members are compressed or too many"),
        "compressed pickle": (zip_file({"a": PLAIN}, zipfile.ZIP_DEFLATED), "its members are compressed"),
        "100,001 members": (sound[:entry] + one * 100_001 + end, "its members are compressed or too many"),
        "member longer than the file": (resized(2**31 - 1), "its members are larger than the file"),
        "member without an end": (resized(2**32 - 1), "cannot be read"),
        "member of nothing": (resized(0), "cannot be read"),
        "something in front": (b"PK\x03\x04" + sound, "it does not end in its list of members"),
        "something behind": (sound + b"\0", "it does not end in its list of members"),
        "a comment": (sound[:-2] + b"\x01\x00a", "it does not end in its list of members"),
        "a second list elsewhere": (sound[:-22] + record + elsewhere + sound[-22:], "is not where it should be"),
        "a second pickle": (zip_file({"a": PLAIN}, **{"DATA.PKL": Writer().dumped(doubled(200))}), "a tuple has more"),
        "no pickle": (archive({"version": b"3\n"}), "cannot be read"),
        "no storage": (archive({"version": b"3\n", "data.pkl": Writer().dumped({"a": PLAIN})}), "cannot be read"),
        "byte order": (zip_file({"a": PLAIN}, byteorder=b"\x1b[2J"), "cannot be read"),
        "alignment": (zip_file({"a": PLAIN}, **{".storage_alignment": b"9" * 5000}), "cannot be read"),
        "TorchScript": (zip_file({"a": PLAIN}, **{"constants.pkl": b""}), "cannot be read"),
        "no members": (archive({})[-22:], "neither a zip file"),
        "two letters": (b"PK", "neither a zip file"),
    }


def tar_file() -> bytes:
    """An archive that begins as a pickle and holds what the oldest files of torch held, a named pipe among it."""
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("\x80\x02"))
        pipe = tarfile.TarInfo("storages")
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    return b"\x80" + file.getvalue().removeprefix(b"\xc2\x80")


def crafted_t7s() -> dict[str, tuple[bytes, str]]:
    """Files of the authors' layout whose shape is right and whose values harm."""
    tables: Any = {"deep": 1}
    for _ in range(40):
        tables = {"a": tables, "b": tables, "c": tables}

    def changed(place: int, **fields: Any) -> bytes:
        content = files.official_content(1)
        content["model"].fields["modules"][place].fields.update(fields)
        return dumps(content)

    bytes_of_all = np.zeros(20_000_000, np.uint8)
    shared = files.official_content(1)
    for module in shared["model"].fields["modules"]:
        module.fields.update({name: bytes_of_all for name in ("weight", "bias") if name in module.fields})
    mean = files.official_content(1) | {"mean": bytes_of_all}
    return {
        "a step that is three tables of three tables": (changed(0, dW=tables), "module 1 has dW = a dict;"),
        "a step that is a tensor": (changed(0, dW=np.ones(5)), "module 1 has dW = a ndarray;"),
        "an epsilon that is such tables": (changed(1, eps=tables), "module 2 has eps = a dict;"),
        "one storage of bytes as every weight": (dumps(shared), "has 20000000 numbers"),
        "a mean of many bytes": (dumps(mean), "gives no mean pixel"),
        "numbers beyond float32": (changed(0, bias=np.full(1, 1e300)), "not finite, in 1.bias"),
        "a class that steers": (
            dumps(files.official_content(1) | {"model": Object("nn.\x1b[2J\n", {"modules": {}})}),
            "has 0 modules",
        ),
    }


@dataclass(frozen=True)
class Crafted:
    """Files, of whose last one ``part`` is said when they are imported as ``layout``."""

    layout: str
    files: list[bytes]
    part: str


def crafted() -> dict[str, Crafted]:
    """Every crafted file. Where nothing is expected of the sentence, torch words it."""
    found = {name: Crafted("glcic-otenim", [data], part) for name, (data, part) in crafted_zips().items()}
    found["tar archive"] = Crafted("glcic-otenim", [tar_file()], "cannot be read")
    for format_of in (zip_file, stream):
        for name, (value, part) in VALUES.items():
            found[f"{name}, {format_of.__name__}"] = Crafted("glcic-otenim", [format_of(value)], part)
        for name, stored in TENSORS.items():
            state = {"conv1.weight": stored}
            found[f"{name}, {format_of.__name__}"] = Crafted("glcic-otenim", [format_of(state)], "")
    for name, stored in TENSORS.items():
        found[f"{name}, not held"] = Crafted("glcic-otenim", [stream({"conv1.weight": stored}, [])], "")
    found |= {name: Crafted("glcic-official", [data], part) for name, (data, part) in crafted_t7s().items()}
    completion = BytesIO()
    torch.save(files.otenim_completion(1), completion)
    linear = {"model_ld.conv1.weight": PLAIN, "model_ld.linear6.weight": tensor(6, (16, 2**58), (0, 0))}
    found["linear layer of 2 ** 62 numbers"] = Crafted(
        "glcic-otenim", [completion.getvalue(), stream(linear)], "model_ld.linear6.weight claims more numbers"
    )
    return found


def judge_crafted(folder: Path) -> None:
    """Read each crafted file; print what came of it: name, CPU seconds, peak memory in MB, sentence or error."""
    files.otenim(folder / "sound")
    by_layout("glcic-otenim")([folder / "sound" / name for name in ("model_cn", "model_cd", "config.json")])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        started = time.process_time()
        paths = [folder / file for file in case["files"]]
        mean = [0.5, 0.5, 0.5] if case["layout"] == "glcic-otenim" else None
        try:
            told = judge(lambda paths, case=case, mean=mean: read_published(paths, case["layout"], mean), paths)
        except Exception as error:
            told = f"raised {error!r}"
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(json.dumps([name, time.process_time() - started, memory, told]), flush=True)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, float, str | None]]:
    """What came of each crafted file, all read in one process of its own, which they may end."""
    folder = tmp_path_factory.mktemp("crafted")
    cases: dict[str, Any] = {}
    for index, (name, case) in enumerate(crafted().items()):
        names = [f"{index}-{i}" for i in range(len(case.files))]
        for file, data in zip(names, case.files, strict=True):
            (folder / file).write_bytes(data)
        cases[name] = {"layout": case.layout, "files": names}
    (folder / "cases.json").write_text(json.dumps(cases))
    script = folder / "script.py"
    code = "import faulthandler; from test_hostile_files import judge_crafted, Path; faulthandler.enable(); "
    script.write_text(f"{code}judge_crafted(Path({str(folder)!r}))")
    done = run(
        *(sys.executable, str(script)),
        cwd=folder,
        home=folder / "home",
        PYTHONPATH=os.pathsep.join([str(HERE), str(HERE.parent)]),
    )
    found = {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}
    left = [name for name in cases if name not in found]
    assert not left, f"the process ended at '{left[0]}': {done.stderr}"
    return found


def test_what_is_made_to_harm_is_refused_in_one_sentence(verdicts: dict[str, tuple[float, float, str | None]]) -> None:
    wrong = {
        name: verdicts[name][2]
        for name, case in crafted().items()
        if (told := verdicts[name][2]) is None or told.startswith("raised") or case.part not in told
    }
    assert not wrong


def test_a_storage_that_the_file_does_not_hold_is_refused_though_its_tensor_is_small(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(stream({"a": tensor(1000, (2, 3), (3, 1))}, []))
    with pytest.raises(ValueError, match="it claims more numbers than the file holds"):
        all_tensors([path])


def test_what_is_made_to_harm_takes_neither_long_nor_much_memory(
    verdicts: dict[str, tuple[float, float, str | None]],
) -> None:
    assert not {name: seconds for name, (seconds, _, _) in verdicts.items() if seconds > 10}
    assert not {name: memory for name, (_, memory, _) in verdicts.items() if memory > 300}
