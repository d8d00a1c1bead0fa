"""Pictures have file names that people can read, that no two images share, and that every system takes."""

import unicodedata

import pytest

from inpaintlab.testsets import picture_name, picture_names


def on_a_careless_system(name: str) -> str:
    """What a system makes of a name that knows neither case nor Unicode forms (APFS, exFAT, NTFS)."""
    return unicodedata.normalize("NFD", name).lower()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("10-20/照片一.jpg", "10-20_照片一.jpg.png"),
        ("bin/Ünïcödé 1.png", "bin_Ünïcödé_1.png.png"),
        ("bin/हिन्दी.png", "bin_हिन्दी.png.png"),
        ("bin/😀.png", "bin_😀.png.png"),
        ('a:b*c?"<>|\\d\n', "a_b_c______d_.png"),
    ],
)
def test_letters_of_every_script_are_kept_and_what_a_system_may_refuse_is_not(name: str, file: str) -> None:
    assert picture_name(name) == file


@pytest.mark.parametrize(
    "names",
    [
        ["照片一.jpg", "照片二.jpg"],
        ["a b.png", "a_b.png", "a/b.png"],
        ["a.jpg", "a.png"],
        ["photo.png", "Photo.PNG"],
        [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")],
        ["straße", "STRASSE"],
        ["x" * 300 + "1", "x" * 300 + "2"],
        ["\udcff.png", "\udcfe.png"],
    ],
)
def test_no_two_images_share_a_file_on_any_system(names: list[str]) -> None:
    files = picture_names(names)
    assert len({on_a_careless_system(file) for file in files.values()}) == len(names)
    assert picture_names(reversed(names)) == files


def test_a_name_changes_only_where_two_would_meet() -> None:
    files = picture_names(["a b.png", "a_b.png", "c d.png"])
    assert files["c d.png"] == "c_d.png.png"
    assert all(file.startswith("a_b.png-") for name, file in files.items() if name[0] == "a")


@pytest.mark.parametrize("letter", ["x", "é", "照", "😀"])
def test_the_longest_name_is_counted_in_bytes_and_ends_between_letters(letter: str) -> None:
    for length in range(100, 300, 7):
        file = picture_name(f"bin/{'deep/' * 20}{letter * length}.jpg")
        assert len(file.encode()) <= 140
        assert file.endswith(".png")
        assert "\ufffd" not in file
