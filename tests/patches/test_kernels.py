"""Where compiled loops are kept."""

from pathlib import Path

import pytest

from inpaintlab.patches import kernels


def test_compiled_code_is_kept_in_the_user_s_cache_under_a_name_of_this_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = Path(kernels._cache_folder())
    assert folder.parent == tmp_path / "inpaintlab" / "kernels"
    assert folder.is_dir()
    assert Path(kernels._cache_folder()) == folder


def test_where_nothing_can_be_kept_code_is_compiled_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    ends: list[Path] = []
    monkeypatch.setattr(kernels.atexit, "register", lambda remove, folder, **_: ends.append(folder))
    folder = Path(kernels._cache_folder())
    assert folder.is_dir()
    assert tmp_path not in folder.parents
    assert ends == [folder]
    folder.rmdir()
