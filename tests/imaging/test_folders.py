"""Laws of finding pictures: each real folder once, in one order, and nothing left out in silence."""

import os
import unicodedata
from pathlib import Path

import pytest

from inpaintlab.imaging import find_pictures, on_disk, same_form

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def names(root: Path) -> list[str]:
    found = find_pictures(root)
    found.require_sound()
    return list(found.names)


def test_pictures_are_found_in_all_folders_in_one_order(tmp_path: Path) -> None:
    fill(tmp_path, "b.png", "sub/deep/c.JPG", "a.WebP", "sub.png/d.jfif", "e.gif", "Z.png", "sub-1.tif", "notes.txt")
    expected = ["Z.png", "a.WebP", "b.png", "e.gif", "sub-1.tif", "sub.png/d.jfif", "sub/deep/c.JPG"]
    assert names(tmp_path) == expected == sorted(expected)


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "._a.png", ".DS_Store", ".cache/b.png", "sub/.c.png")
    found = find_pictures(tmp_path)
    assert found.names == ("a.png",)
    assert found.left_out() is None


def test_links_in_circles_end(tmp_path: Path) -> None:
    fill(tmp_path, "data/train/a.png", "data/train/sub/b.png", "data/val/c.png")
    train = tmp_path / "data" / "train"
    for link, target in {"here": ".", "up": "..", "top": "../..", "sub/back": "..", "sub/here": "."}.items():
        (train / link).symlink_to(target)
    (train / "self").symlink_to("self")
    assert names(train) == ["a.png", "sub/b.png"]


def test_a_folder_behind_a_link_is_searched_once_under_its_first_name(tmp_path: Path) -> None:
    fill(tmp_path, "store/a.png", "store/deep/b.png", "root/own/c.png", "root/z/d.png")
    for link in ("second", "first"):
        (tmp_path / "root" / link).symlink_to(tmp_path / "store")
    (tmp_path / "root" / "a").symlink_to(tmp_path / "root" / "z")  # a folder below the root has its own name
    assert names(tmp_path / "root") == ["first/a.png", "first/deep/b.png", "own/c.png", "z/d.png"]
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert names(tmp_path / "link") == names(tmp_path / "root")


def test_two_links_into_each_other_end(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "to_b").symlink_to("../b")
    (tmp_path / "b" / "to_a").symlink_to("../a")
    assert names(tmp_path / "a") == ["1.png", "to_b/2.png"]
    assert names(tmp_path) == ["a/1.png", "b/2.png"]


def test_what_is_called_like_a_picture_is_found_so_that_its_reader_stops(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["fifo.png", "gone.png"]


def test_other_endings_are_counted_and_named(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b.heic", "sub/c.HEIC", "d", "e.jp2", "f.tar.gz")
    sentence = str(find_pictures(tmp_path).left_out())
    assert "5 files are left out" in sentence
    assert "2 .heic (b.heic), 1 without an ending (d), 1 .gz (f.tar.gz), 1 .jp2 (e.jp2); pictures end in" in sentence


def test_a_folder_that_cannot_be_searched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.png", "closed/b.png")
    scan = os.scandir

    def refusing(folder: Path) -> object:
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr("os.scandir", refusing)
    found = find_pictures(tmp_path)
    assert found.names == ("a.png",)
    with pytest.raises(ValueError, match=r"folder .*closed cannot be searched \(Permission denied\)"):
        found.require_sound()


def test_names_that_are_not_utf8_are_named_with_escapes(tmp_path: Path) -> None:
    for name in (b"caf\xe9.jpg", b"\xff/a.png", b"fine.png"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    found = find_pictures(tmp_path)
    assert found.names == ("fine.png",)
    with pytest.raises(ValueError, match=r"\\xff/a\.png is not UTF-8.* \S+caf\\xe9\.jpg is not UTF-8"):
        found.require_sound()
    with pytest.raises(ValueError, match=r"\\xff is not UTF-8"):
        find_pictures(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))).require_sound()


def test_a_missing_folder_holds_nothing(tmp_path: Path) -> None:
    assert names(tmp_path / "gone") == []


def test_a_name_is_found_in_any_unicode_form(tmp_path: Path) -> None:
    assert NFC != NFD
    assert same_form(NFC) == same_form(NFD)
    fill(tmp_path, f"{NFD}/{NFC}.png")
    for name in (f"{NFC}/{NFC}.png", f"{NFC}/{NFD}.png", f"{NFD}/{NFD}.png", f"{NFD}/{NFC}.png"):
        assert on_disk(tmp_path, name).is_file()
        assert on_disk(tmp_path, str(tmp_path / name)).is_file()
    assert on_disk(tmp_path, f"{NFC}/gone.png") == tmp_path / NFC / "gone.png"


def test_a_name_that_is_there_is_never_taken_for_another_form(tmp_path: Path) -> None:
    fill(tmp_path, f"{NFC}.png", f"{NFD}.png")
    assert [on_disk(tmp_path, f"{form}.png").name for form in (NFC, NFD)] == [f"{NFC}.png", f"{NFD}.png"]
