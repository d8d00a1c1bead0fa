"""The wheel alone trains in an empty folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from inpaintlab.published import STARTER_CREDITS, STARTERS
from stand_ins.commands import checkpoint, run_anew, tiny

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as the build backend makes it from this checkout, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"import hatchling.build; hatchling.build.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=REPOSITORY, check=True, capture_output=True)
    (file,) = folder.glob("inpaintlab-*-py3-none-any.whl")
    return file


def test_the_wheel_carries_the_package_its_yaml_and_the_reports_template(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if name.startswith("inpaintlab/")}
    expected = {
        f"inpaintlab/conf/{path.relative_to(REPOSITORY / 'conf')}" for path in REPOSITORY.glob("conf/**/*.yaml")
    }
    code = REPOSITORY / "src/inpaintlab"
    expected |= {f"inpaintlab/{path.relative_to(code)}" for path in code.glob("**/*.py")}
    assert "inpaintlab/conf/train.yaml" in expected
    starters = [starter.path for starter in STARTERS]
    expected |= {f"inpaintlab/published/starter/{path.name}" for path in [*starters, STARTER_CREDITS]}
    assert expected | {"inpaintlab/report/template.html", "inpaintlab/survey/page.html"} <= set(packed)
    for path in starters:
        assert packed[f"inpaintlab/published/starter/{path.name}"] == path.read_bytes()
    assert not [name for name in packed if name.endswith((".pyc", ".partial"))]
    assert packed["inpaintlab/conf/train.yaml"] == (REPOSITORY / "conf/train.yaml").read_bytes()


def test_the_wheel_has_the_command_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entries,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "inpaintlab = inpaintlab.cli:main" in archive.read(entries).decode()
        assert [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]


@pytest.mark.slow
def test_the_wheel_trains_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    empty.mkdir()
    lengths = ["model.schedule.phases.completion.batches=2", "model/schedule=completion_only"]
    settings = [setting for setting in tiny("glcic") if "schedule" not in setting and "data" not in setting]
    photos = ["data=photos", "data.size=32", "data.batch_size=2", "data.workers=0"]
    code = "import inpaintlab; print(inpaintlab.__file__); from inpaintlab.cli import main; main()"
    done = run_anew(
        *(sys.executable, "-c", code, "train", *settings, *photos, *lengths, "name=a"),
        cwd=empty,
        home=tmp_path / "home",
        PYTHONPATH=str(installed),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(installed / "inpaintlab/__init__.py")
    assert checkpoint(empty / "runs/a")["inpaintlab"]["iterations"] == 2
