"""Laws of pairing a user's files: each photograph is completed into a file of its own, and none of them is replaced."""

from pathlib import Path

import pytest
from PIL import Image

from inpaintlab.completion.photographs import _targets, pair_photographs


@pytest.mark.parametrize(
    ("names", "kept", "targets"),
    [
        (["a.jpg", "b.png"], False, ["a.png", "b.png"]),
        (["a.jpg", "A.png", "b.png"], False, ["a.jpg.png", "A.png.png", "b.png"]),
        (["a.jpg", "a.png", "a.jpg.png"], False, None),
        (["a.jpg", "a.webp", "b.gif"], True, ["a.jpg", "a.webp", "b.png"]),
        (["a.gif", "a.png"], True, ["a.gif.png", "a.png"]),
        (["a.jpg", "A.jpg"], True, None),
    ],
)
def test_each_photograph_of_a_folder_has_a_file_of_its_own(
    names: list[str], kept: bool, targets: list[str] | None
) -> None:
    if targets is None:
        with pytest.raises(ValueError, match="would be completed into one file"):
            _targets(names, kept)
    else:
        assert _targets(names, kept) == targets


def test_no_completion_replaces_what_is_read(tmp_path: Path) -> None:
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / folder / "a.png")
    photo, mask = tmp_path / "photos/a.png", tmp_path / "masks/a.png"
    for out in (mask, tmp_path / "masks"):
        with pytest.raises(ValueError, match="which is to be read; give another out="):
            pair_photographs(photo, mask, None, out)
    for out in ("photos", "masks"):
        with pytest.raises(ValueError, match="completions would be completed"):
            pair_photographs(tmp_path / "photos", tmp_path / "masks", None, tmp_path / out)
