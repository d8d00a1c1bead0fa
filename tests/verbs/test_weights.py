"""The command ``inpaintlab weights``: what is listed, fetched and handed to the importers, and how it refuses."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from inpaintlab.published import CATALOGUE, STARTERS, File, Published
from stand_ins.commands import SCRIPT, run_anew, run_here

ONE = Published("one-file", "a network", "layout-a", "CC0", "https://example.org/one", (File("one.pth", megabytes=3),))
TWO = Published("two-files", "two networks", "layout-b", "CC0", "https://example.org/two", (File("g"), File("d")))


def know(monkeypatch: pytest.MonkeyPatch, *entries: Published) -> None:
    for place in ("verbs.weights", "published.looking_up"):
        monkeypatch.setattr(f"inpaintlab.{place}.CATALOGUE", entries)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of published weights; the catalogue holds two entries."""
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    know(monkeypatch, ONE, TWO)
    return tmp_path / "weights"


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the importers were asked for, in place of the real ones."""
    asked: list[tuple[Any, ...]] = []

    def import_checkpoint(
        files: Sequence[Path], layout: str, out: Path, mean_pixel: Sequence[float] | None = None
    ) -> list[str]:
        if any(path.read_bytes() == b"damaged" for path in files):
            raise ValueError("These are no weights.")
        asked.append((list(files), layout, out, mean_pixel))
        return [f"{layout} -> {out}"]

    module = ModuleType("inpaintlab.importers")
    vars(module).update(LAYOUTS={"layout-a": None, "layout-b": None}, import_checkpoint=import_checkpoint)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return asked


def put(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def asked_for(tmp_path: Path, *arguments: str) -> tuple[int, str, str]:
    done = run_here("weights", *arguments, cwd=tmp_path)
    return done.returncode, done.stdout, done.stderr


def refused(tmp_path: Path, *arguments: str) -> str:
    """The one sentence with which the command refuses."""
    code, out, err = asked_for(tmp_path, *arguments)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    return err.removeprefix("inpaintlab weights: ").strip()


# --- list ------------------------------------------------------------------------------------------------------------


def row(tmp_path: Path, name: str) -> list[str]:
    """The cells of an entry's row."""
    code, out, _ = asked_for(tmp_path, "list")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith(f"{name}  ")]
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_list_tells_what_is_on_this_machine(tmp_path: Path, folder: Path) -> None:
    assert row(tmp_path, "one-file") == ["one-file", "a network", "layout-a", "3 MB", "none known", "no"]
    put(folder / "one-file/one.pth")
    assert row(tmp_path, "one-file")[-1] == "yes"
    assert row(tmp_path, "two-files")[-1] == "no"
    put(folder / "two-files/d")
    assert row(tmp_path, "two-files")[-1] == "partly"
    put(folder / "two-files/g")
    assert row(tmp_path, "two-files")[-1] == "yes"


def test_the_list_fits_120_columns_with_a_line_an_entry_and_its_source_and_licence_whole(tmp_path: Path) -> None:
    code, out, err = asked_for(tmp_path, "list")
    assert (code, err) == (0, "")
    table, _, rest = out.partition("\n\n")
    assert len(table.splitlines()) == 1 + len(STARTERS) + len(CATALOGUE)
    assert max(len(line) for line in table.splitlines()) <= 120
    for entry, line in zip(CATALOGUE, table.splitlines()[1 + len(STARTERS) :], strict=True):
        for cell in (entry.name, entry.purpose, entry.layout or "-"):
            assert cell in line
        assert f"    {entry.source}  {entry.licence}" in rest.splitlines()
    assert "sha256 dcbb9e9d" in table
    assert "md5 b1527543" in table


def test_the_list_begins_with_the_starter_weights_and_what_they_saw(tmp_path: Path) -> None:
    for starter in STARTERS:
        size = f"{starter.path.stat().st_size / 1e6:.1f} MB"
        expected = [starter.name, starter.purpose, "-", size, f"sha256 {starter.sha256[:8]}", "yes"]
        assert row(tmp_path, starter.name) == expected
    _, out, _ = asked_for(tmp_path, "list")
    assert "CC BY 2.0" in out
    _, _, err = asked_for(tmp_path, "fetch", "starter-glcic")
    assert err.strip().endswith(
        "starter-glcic is in this package: checkpoint=starter-glcic takes it, and so does init=starter-glcic."
    )


# --- fetch -----------------------------------------------------------------------------------------------------------


def test_fetch_prints_where_the_files_are_and_nothing_else(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = put(tmp_path / "site/one.pth", b"weights").as_uri()
    (file,) = ONE.files
    know(monkeypatch, Published("one", "", None, "", "", (File(file.name, url),)))
    code, out, _ = asked_for(tmp_path, "fetch", "one")
    assert (code, out) == (0, f"{folder}/one/one.pth\n")
    assert (folder / "one/one.pth").read_bytes() == b"weights"


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path, folder: Path) -> None:
    told = refused(tmp_path, "fetch", "two-file")
    assert "'two-file'" in told
    assert "Did you mean 'two-files'?" in told
    assert "Did you mean" not in refused(tmp_path, "fetch", "xyz")


def test_what_has_no_address_is_told_with_its_page_and_its_place(tmp_path: Path, folder: Path) -> None:
    told = refused(tmp_path, "fetch", "two-files")
    for part in ("g, d", "https://example.org/two", f"{folder}/two-files"):
        assert part in told


def test_a_download_that_is_stopped_ends_without_a_trace(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(entry: Published) -> list[Path]:
        raise KeyboardInterrupt

    monkeypatch.setattr("inpaintlab.verbs.weights.fetch", stopped)
    code, _, err = asked_for(tmp_path, "fetch", "one-file")
    assert code == 130
    assert len(err.splitlines()) == 1


# --- import ----------------------------------------------------------------------------------------------------------


def test_import_hands_the_files_to_the_importers_and_prints_what_they_say(
    tmp_path: Path, folder: Path, imported: list[tuple[Any, ...]]
) -> None:
    put(tmp_path / "b")
    put(tmp_path / "a")
    assert asked_for(tmp_path, "import", "b", "a", "--as", "layout-a", "--out", "c.ckpt") == (
        *(0, "layout-a -> c.ckpt\n", ""),
    )
    asked_for(tmp_path, "import", "a", "--as", "layout-b", "--mean-pixel", "0.5", "0.25", "1", "--out", "x/c.ckpt")
    assert imported == [
        ([Path("b"), Path("a")], "layout-a", Path("c.ckpt"), None),
        ([Path("a")], "layout-b", Path("x/c.ckpt"), [0.5, 0.25, 1.0]),
    ]


def test_a_name_stands_for_those_of_its_files_that_are_here(
    tmp_path: Path, folder: Path, imported: list[tuple[Any, ...]]
) -> None:
    arguments = ("import", "two-files", "--as", "layout-b", "--out", "c.ckpt")
    assert "run 'inpaintlab weights fetch two-files' first" in refused(tmp_path, *arguments)
    put(folder / "two-files/d")
    (tmp_path / "two-files").mkdir()  # a folder of that name is no file to import
    assert asked_for(tmp_path, *arguments)[0] == 0
    put(folder / "two-files/g")
    assert asked_for(tmp_path, *arguments)[0] == 0
    assert [asked[0] for asked in imported] == [
        [folder / "two-files/d"],
        [folder / "two-files/g", folder / "two-files/d"],
    ]


def test_a_folder_that_is_no_name_of_the_list_is_imported_as_it_is(
    tmp_path: Path, folder: Path, imported: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"")  # of the stand-in, which looks for damage
    (tmp_path / "snapshot").mkdir()
    assert asked_for(tmp_path, "import", "snapshot", "--as", "layout-a", "--out", "c.ckpt")[0] == 0
    assert [asked[0] for asked in imported] == [[Path("snapshot")]]


def test_a_local_file_with_a_wrong_hash_is_not_imported(
    tmp_path: Path, folder: Path, imported: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Published("known", "", "layout-a", "", "", (File("one.pth", sha256="0123abcd"),))
    know(monkeypatch, known)
    put(folder / "known/one.pth")
    assert "is not the published file" in refused(tmp_path, "import", "known", "--as", "layout-a", "--out", "c.ckpt")
    assert imported == []


def test_what_is_neither_a_file_nor_a_name_is_told(
    tmp_path: Path, folder: Path, imported: list[tuple[Any, ...]]
) -> None:
    told = refused(tmp_path, "import", "one-fil", "--as", "layout-a", "--out", "c.ckpt")
    assert told == "'one-fil' is neither a file nor the name of published weights. Did you mean 'one-file'?"


def test_a_checkpoint_that_is_there_is_replaced_by_force_alone(
    tmp_path: Path, folder: Path, imported: list[tuple[Any, ...]]
) -> None:
    put(tmp_path / "a")
    put(tmp_path / "c.ckpt", b"trained for a week")
    arguments = ("import", "a", "--as", "layout-a", "--out", "c.ckpt")
    assert "c.ckpt exists already" in refused(tmp_path, *arguments)
    assert imported == []
    assert asked_for(tmp_path, *arguments, "--force")[0] == 0
    assert len(imported) == 1


def test_what_the_importers_refuse_is_one_sentence(
    tmp_path: Path, folder: Path, imported: list[tuple[Any, ...]]
) -> None:
    put(tmp_path / "a", b"damaged")
    assert refused(tmp_path, "import", "a", "--as", "layout-a", "--out", "c.ckpt") == "These are no weights."


def test_every_layout_of_the_catalogue_has_an_importer() -> None:
    from inpaintlab.importers import checkpoint as importers

    assert {entry.layout for entry in CATALOGUE if entry.layout} <= set(importers.LAYOUTS)


# --- usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["lst"],
        ["fetch"],
        ["import", "a", "--out", "c.ckpt"],
        ["import", "a", "--as", "layout-a"],
        ["import", "a", "--as", "layout-a", "--out", "c.ckpt", "--mean-pixel", "0.5"],
    ],
)
def test_a_wrong_usage_ends_with_code_2(
    tmp_path: Path, folder: Path, imported: list[tuple[Any, ...]], arguments: list[str]
) -> None:
    code, out, err = asked_for(tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert "usage: inpaintlab weights" in err


def test_an_unknown_layout_is_answered_with_the_known_ones(
    tmp_path: Path, folder: Path, imported: list[tuple[Any, ...]]
) -> None:
    code, _, err = asked_for(tmp_path, "import", "a", "--as", "layout-c", "--out", "c.ckpt")
    assert code == 2
    assert "'layout-c' is not one of layout-a, layout-b" in err


def test_the_console_script_helps_and_lists_without_loading_torch(tmp_path: Path) -> None:
    helped = run_anew(SCRIPT, "weights", "--help", cwd=tmp_path, home=tmp_path / "home")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith("usage: inpaintlab weights")
    code = (
        "import sys; sys.argv = ['inpaintlab', 'weights', 'list']\n"
        "from inpaintlab.cli import main; main()\n"
        "print('loaded:', [name for name in ('torch', 'hydra', 'lightning', 'numpy') if name in sys.modules])"
    )
    listed = run_anew(sys.executable, "-c", code, cwd=tmp_path, home=tmp_path / "home", COLUMNS="")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.splitlines()[-1] == "loaded: []"
    assert f"here: in {tmp_path}/home/.cache/inpaintlab/weights" in listed.stdout
    refused = run_anew(SCRIPT, "weights", "fetch", "edgeconnect-psv", cwd=tmp_path, home=tmp_path / "home")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("inpaintlab weights: edgeconnect-psv cannot be downloaded by a command")
