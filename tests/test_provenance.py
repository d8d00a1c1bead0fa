"""Where a result comes from: a hash of the code behind it."""

import sys
from pathlib import Path

import pytest

from inpaintlab import provenance


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
    before = provenance.code(["toolbox.method"])
    assert provenance.code(["toolbox.method"]) == before
    with (package / f"{module}.py").open("a") as file:
        file.write("# another line\n")
    assert (provenance.code(["toolbox.method"]) != before) == changes


def test_the_code_of_a_model_covers_what_completes_an_image() -> None:
    one, other = (provenance.code([f"inpaintlab.models.{name}"]) for name in ("glcic", "edgeconnect"))
    assert one != other
