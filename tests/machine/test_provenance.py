"""Where a result comes from: a hash of the code behind it."""

import sys
from pathlib import Path

import pytest
import torch

from inpaintlab.machine import code_sha256, machine
from inpaintlab.machine.provenance import _source_file
from inpaintlab.models import edgeconnect, glcic


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in which `method` uses `layers` inside a function, and nothing uses `report`."""
    folder = tmp_path / "toolbox"
    folder.mkdir()
    sources = {
        "__init__": "",
        "method": "def build():\n    from toolbox.layers import Layer\n    return Layer\n",
        "layers": "import json\nclass Layer: ...\n",
        "report": "import toolbox.method\n",
    }
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", {name: m for name, m in sys.modules.items() if not name.startswith("toolbox")})
    return folder


@pytest.mark.parametrize(("module", "changes"), [("method", True), ("layers", True), ("report", False)])
def test_the_code_behind_a_method_is_what_it_imports_and_nothing_else(
    package: Path, module: str, changes: bool
) -> None:
    before = code_sha256(["toolbox.method"])
    assert code_sha256(["toolbox.method"]) == before
    with (package / f"{module}.py").open("a") as file:
        file.write("# another line\n")
    assert (code_sha256(["toolbox.method"]) != before) == changes


def test_imports_relative_to_a_package_are_followed(package: Path) -> None:
    (package / "method.py").write_text("from .layers import Layer\n")
    before = code_sha256(["toolbox.method"])
    (package / "layers.py").write_text("class Layer: width = 2\n")
    assert code_sha256(["toolbox.method"]) != before


def test_the_code_of_a_method_elsewhere_covers_what_it_builds_on(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "method.py").write_text("from inpaintlab.layers.convolutions import Swish\nimport json\n")
    found, seen = _source_file, []
    monkeypatch.setattr("inpaintlab.machine.provenance._source_file", lambda name: seen.append(name) or found(name))
    code_sha256(["toolbox.method"])
    assert "inpaintlab.layers.convolutions" in seen
    assert "json" not in seen


def test_the_machine_is_the_device_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a GPU called {device}")
    assert machine(torch.device("cuda:1")) == "a GPU called cuda:1"
    told = machine(torch.device("cpu"))
    assert told.endswith(f"{torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}")
    assert "GPU" not in told


def test_the_code_of_a_model_covers_what_completes_an_image() -> None:
    one, other = (code_sha256([module]) for module in (glcic, edgeconnect))
    assert one != other


@pytest.mark.parametrize("name", ["toolbox.methods", "toolbox.method.build", "no_such_package", "sys"])
def test_a_name_that_is_no_module_of_python_is_refused(package: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is no module"):
        code_sha256(["toolbox.method", name])
