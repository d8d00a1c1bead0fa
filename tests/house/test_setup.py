"""The set-up of a checkout: uv.lock, setup.sh with and without uv, and a torchvision that does not fit."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def test_the_lock_is_of_the_dependencies_that_the_project_names() -> None:
    lock = tomllib.loads((REPOSITORY / "uv.lock").read_text())
    (locked,) = [package for package in lock["package"] if package["name"] == "inpaintlab"]
    wanted = {(entry["name"], entry.get("specifier", "")) for entry in locked["metadata"]["requires-dist"]}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    named = [entry for group in groups for entry in group if not entry.startswith("inpaintlab[")]
    split = [re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", entry) for entry in named]
    parts = {(found[1], found[2]) for found in split if found}
    in_order = {(name, ",".join(sorted(bounds.split(",")))) for name, bounds in wanted}
    assert in_order == {(name.lower(), ",".join(sorted(bounds.split(",")))) for name, bounds in parts}, "run: uv lock"
    assert lock["requires-python"].replace(" ", "") == PROJECT["requires-python"]


def test_the_lock_names_the_public_index_and_no_other_place() -> None:
    lock = (REPOSITORY / "uv.lock").read_text()
    assert set(re.findall(r'registry = "([^"]+)"', lock)) == {"https://pypi.org/simple"}
    assert set(re.findall(r'url = "https://([^/"]+)', lock)) == {"files.pythonhosted.org"}
    assert not re.findall(r'(?:url|path) = "(?!https://)', lock)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of programs that write down how they are called, in the place of python3, uv and others."""
    folder = tmp_path / "tools"
    folder.mkdir()
    python = f"""#!/bin/bash
echo "python $*" >> {tmp_path}/calls
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi
if [ "$NO_UV" ] && [ "${{@: -1}}" = uv ]; then exit 1; fi
"""
    uv = f"""#!/bin/bash
echo "uv $*" >> {tmp_path}/calls
echo "$UV_SYSTEM_CERTS" > {tmp_path}/certificates
if [ "$1" = "$UV_FAILS_AT" ]; then exit 1; fi
while [ $# -gt 0 ]; do
  if [ "$1" = --output-file ]; then printf 'numpy==2\\ntorch==2.13.0\\ntorchmetrics==1.9\\n' > "$2"; fi
  shift
done
"""
    for name, text in {"python3": python, "uv": uv}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def calls_of(tools: Path, **variables: str) -> tuple[list[str], str]:
    """What setup.sh calls, and what it prints."""
    environment = {"PATH": f"{tools}:/usr/bin:/bin", **variables}
    folder = tools.parent / "environment"
    done = subprocess.run(
        ["bash", str(REPOSITORY / "setup.sh"), str(folder), "dev,perceptual"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return (tools.parent / "calls").read_text().replace(str(folder), "FOLDER").splitlines(), done.stderr


PIP = "python -m pip install --quiet --disable-pip-version-check"


def test_uv_installs_the_lock_and_pip_the_torch_of_the_lock(tools: Path) -> None:
    calls, printed = calls_of(tools)
    assert printed == ""
    assert calls[0] == "python -m venv FOLDER"
    assert f"{PIP} torch==2.13.0" in calls
    exports = [call for call in calls if call.startswith("uv export")]
    assert all("--extra dev --extra perceptual" in call and "--frozen" in call for call in exports)
    assert "--prune torch --prune torchvision" in exports[-1]
    assert calls[-1] == "uv pip install --quiet --python FOLDER/bin/python --no-deps --editable ."
    assert (tools.parent / "certificates").read_text() == "true\n"


@pytest.mark.parametrize(
    "way", [{"UV_FAILS_AT": "export"}, {"UV_FAILS_AT": "pip"}, {"NO_UV": "1"}, {"INSTALLER": "pip"}]
)
def test_without_uv_pip_installs_what_the_project_names(tools: Path, way: dict[str, str]) -> None:
    if "NO_UV" in way:
        (tools / "uv").unlink()
    calls, printed = calls_of(tools, **way)
    assert calls[-1] == f"{PIP} --editable .[dev,perceptual]"
    assert ("pip sets" in printed) == ("INSTALLER" not in way)


def test_a_torchvision_that_does_not_fit_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    (tmp_path / "torchvision-0.24.1.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.24.1\nRequires-Dist: torch (==2.9.1)\n"
    (tmp_path / "torchvision-0.24.1.dist-info/METADATA").write_text(metadata)
    start = [sys.executable, "-c", "from inpaintlab.cli import main; main()"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    helped = subprocess.run([*start, "train", "--help"], env=environment, capture_output=True, text=True)
    assert helped.returncode == 0
    done = subprocess.run([*start, "train", "data=toy"], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("inpaintlab train: torchvision 0.24.1 cannot be loaded beside torch 2.")
    assert "made for torch==2.9.1 of the same build" in line
    assert 'pip install --force-reinstall "inpaintlab[perceptual]"' in line
