"""The house: wings with doors, one order of import."""

import ast
import re
from pathlib import Path

import pytest

import inpaintlab
from inpaintlab.cli import VERBS

PACKAGE = Path(inpaintlab.__file__).parent
STOREYS = (
    ("machine", "imaging", "patches", "masks", "layers", "tracking", "published", "edges"),
    ("losses", "metrics", "inpainting", "models", "readers", "importers"),
    ("data", "testsets"),
    ("runs", "settings", "survival", "training", "sweeps"),
    ("completion", "evaluation", "comparison", "report", "figure", "survey"),
    ("commandline",),
    ("programs", "exporting", "web"),
    ("verbs",),
)
WINGS = [wing for storey in STOREYS for wing in storey]
"""Each imports only what stands before it."""
ANYONE = {"shapes", "randomness", "recipes", "trust"}
"""Words that every wing may use."""
UNDER_THE_ROOF = {"verbs", "programs"}
"""Wings that compose settings from conf/, as the roof does."""
ROOF = {"cli", "config", "__main__"}
MOST_FILES, MOST_LINES = 12, 350
MOST_OF_A_PAPER = 500
"""Lines of a file in models/: a paper with its networks, its losses and its phases is one subject."""

FILES = sorted(path for path in PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    """The wing of a file, or the file's own name under the roof."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def is_file(name: str) -> bool:
    """Whether a dotted name is that of a file, which a door's import may name as well as what is in it."""
    return PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py").is_file()


def imported(path: Path) -> set[tuple[str, ...]]:
    """What a file imports of this package anywhere in its code, as the parts of dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively in line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if is_file(name) or node.module == "inpaintlab" else str(node.module) for name in names}
    return {tuple(name.split(".")[1:]) for name in found if name.startswith("inpaintlab.")}


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_folder_is_a_wing_of_the_plan() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/*.py")} == set(WINGS)
    assert not list(PACKAGE.glob("*/*/*.py"))


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_file_imports_what_stands_before_its_wing_and_by_the_door(path: Path) -> None:
    here = place(path)
    allowed = ANYONE | set(WINGS[: WINGS.index(here) + 1] if here in WINGS else WINGS) - {"__init__"}
    allowed |= ROOF if here not in WINGS else {"config"} if here in UNDER_THE_ROOF | {"importers"} else set()
    for target in imported(path) - {("__version__",)}:
        assert target[0] in allowed, f"{named(path)} imports {'.'.join(target)}, which does not stand before {here}"
        inside = len(target) > 1
        assert inside == (target[0] == here), f"{named(path)} imports {'.'.join(target)}: others' wings by their doors"


def test_models_do_not_import_each_other() -> None:
    for path in (PACKAGE / "models").glob("[a-z]*.py"):
        assert not {target for target in imported(path) if target[0] == "models"}, path


@pytest.mark.parametrize("wing", WINGS)
def test_no_files_of_a_wing_import_each_other_in_a_circle(wing: str) -> None:
    needed = {path.stem: {t[1] for t in imported(path) if t[0] == wing} for path in (PACKAGE / wing).glob("[a-z]*.py")}
    while needed:
        free = {file for file, others in needed.items() if not others & needed.keys()}
        assert free, f"these files of {wing} import each other in a circle: {sorted(needed)}"
        needed = {file: others for file, others in needed.items() if file not in free}


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_is_small_enough_to_be_surveyed(wing: str) -> None:
    files = [path for path in (PACKAGE / wing).glob("*.py") if path.stem != "__init__"]
    assert 2 <= len(files) <= (len(VERBS) if wing == "verbs" else MOST_FILES)
    most = MOST_OF_A_PAPER if wing == "models" else MOST_LINES
    assert {path.name: lines for path in files if (lines := len(path.read_text().splitlines())) > most} == {}


@pytest.mark.parametrize("wing", WINGS)
def test_a_door_is_one_sentence_and_the_names_that_others_use(wing: str) -> None:
    tree = ast.parse((PACKAGE / wing / "__init__.py").read_text())
    sentence = ast.get_docstring(tree)
    assert sentence is not None
    assert "\n" not in sentence
    assert sentence.endswith(".")
    offered = next(
        node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    names = ast.literal_eval(offered.value)
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.startswith("_")]


@pytest.mark.parametrize("path", [path for path in FILES if named(path) != "imaging/opening.py"], ids=named)
def test_every_picture_is_opened_in_one_place(path: Path) -> None:
    """What a picture is, and how much memory it may take, is decided by ``inpaintlab.imaging`` alone."""
    others = r"\bImage\.open\b|\bimread\b|\bimdecode\b|\bimageio\b|\bdecode_image\b|\bread_image\b|matplotlib\.image"
    assert not re.findall(others, path.read_text(encoding="utf-8"))


USERS_FILES = [
    path
    for path in FILES
    if place(path) in {"masks", "data", "testsets", "completion"} and path.stem not in {"shards", "packing"}
]
"""Files that read what a user's folders hold; the two left out open lists and tar files of our own."""


@pytest.mark.parametrize("path", USERS_FILES, ids=named)
def test_users_files_are_read_as_bytes_in_one_place(path: Path) -> None:
    """A FIFO called like a picture waits for ever: ``picture_bytes`` and ``file_sha256`` open regular files alone."""
    assert not re.findall(r"\.read_bytes\(|\.open\(|\bopen\(", path.read_text(encoding="utf-8"))
