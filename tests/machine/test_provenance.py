"""Where a result comes from: a hash of the code behind it."""

import importlib
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


@pytest.fixture
def wing(package: Path) -> Path:
    """`method` takes `Loss` by the door of a wing, from `pixels`, which uses `means`; nothing of it uses `vgg`."""
    folder = package / "losses"
    folder.mkdir()
    sources = {
        "__init__": "from toolbox.losses.pixels import L1 as Loss\nfrom .vgg import VGG\nSCALE = 2\n",
        "pixels": "from toolbox.losses import means\nclass L1: ...\nclass L2: ...\n",
        "means": "def mean(): ...\n",
        "vgg": "class VGG: ...\n",
    }
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    (package / "method.py").write_text("from toolbox.losses import Loss\n")
    return folder


def changed_hash(path: Path, source: str) -> bool:
    """Whether another source of a file changes the hash of the method."""
    before = code_sha256(["toolbox.method"])
    path.write_text(source)
    importlib.invalidate_caches()
    return code_sha256(["toolbox.method"]) != before


@pytest.mark.parametrize(("file", "changes"), [("pixels", True), ("means", True), ("vgg", False), ("__init__", False)])
def test_a_name_from_a_door_is_the_file_that_defines_it(wing: Path, file: str, changes: bool) -> None:
    path = wing / f"{file}.py"
    assert changed_hash(path, path.read_text() + "# another line\n") == changes


def test_a_door_counts_by_where_it_has_a_name_from(wing: Path) -> None:
    door = wing / "__init__.py"
    assert changed_hash(door, door.read_text().replace("L1 as Loss", "L2 as Loss"))


def test_a_name_that_a_door_has_from_another_door_is_followed_there(wing: Path, package: Path) -> None:
    (package / "other").mkdir()
    (package / "other/__init__.py").write_text("from ..losses import VGG as Loss\n")
    (package / "method.py").write_text("from toolbox.other import Loss\n")
    assert not changed_hash(wing / "pixels.py", "class L1: width = 3\n")
    assert changed_hash(wing / "vgg.py", "class VGG: width = 3\n")


@pytest.mark.parametrize(
    "taken", ["from toolbox.losses import SCALE", "from toolbox.losses import *", "import toolbox.losses"]
)
def test_what_a_door_defines_itself_and_a_whole_door_count_with_all_of_it(
    wing: Path, package: Path, taken: str
) -> None:
    (package / "method.py").write_text(f"{taken}\n")
    door = wing / "__init__.py"
    assert changed_hash(door, door.read_text().replace("SCALE = 2", "SCALE = 3"))
    assert changed_hash(wing / "vgg.py", "class VGG: width = 3\n")


def test_a_door_that_names_itself_ends(wing: Path) -> None:
    assert changed_hash(wing / "__init__.py", "from toolbox.losses import Loss\n")


def hashed(monkeypatch: pytest.MonkeyPatch, module: str) -> set[str]:
    """The names of the modules that are looked at for the hash of one."""
    found, seen = _source_file, set()
    monkeypatch.setattr("inpaintlab.machine.provenance._source_file", lambda name: seen.add(name) or found(name))
    code_sha256([module])
    return seen


def test_the_code_of_a_method_elsewhere_covers_what_it_builds_on(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "method.py").write_text("from inpaintlab.metrics import PSNR\nimport json\n")
    seen = hashed(monkeypatch, "toolbox.method")
    assert {"inpaintlab.metrics.rgb", "inpaintlab.metrics.metric", "inpaintlab.shapes"} <= seen
    assert not seen & {"json", "inpaintlab.metrics.sets", "inpaintlab.metrics.lpips"}


def test_the_code_of_a_model_leaves_out_what_completes_and_scores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = hashed(monkeypatch, "inpaintlab.models.glcic")
    assert {"inpaintlab.inpainting.inpainter", "inpaintlab.imaging.blending"} <= seen
    unrelated = ("inpaintlab.models.edgeconnect", "inpaintlab.inpainting.method", "inpaintlab.edges.canny_detector")
    assert not seen & {*unrelated, "inpaintlab.losses.vgg", "inpaintlab.machine.storage"}


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
