"""`inpaintlab runs` and `inpaintlab runs compare`, as a user types them."""

import csv
import json
import sys
from pathlib import Path

import pytest

from inpaintlab.commandline.arguments import read
from inpaintlab.config import CONF
from inpaintlab.runs import Progress
from inpaintlab.sweeps import Job, SweepFolder
from stand_ins.commands import run_anew, run_here, tiny
from stand_ins.run_folders import SETTINGS, a_run, aged

HEAVY = ("torch", "lightning", "wandb", "cv2", "polars")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with three runs, one of them the job of a sweep."""
    a_run(tmp_path / "runs/a", (20.0, 22.0))
    a_run(tmp_path / "runs/b", (20.5, 21.0), done=4, settings=SETTINGS | {"seed": 2})
    SweepFolder(tmp_path / "runs/s", []).add([Job("job", ("seed=1",))])
    a_run(tmp_path / "runs/s/job")
    for number, folder in enumerate((tmp_path / "runs/a", tmp_path / "runs/b", tmp_path / "runs/s/job"), 1):
        aged(folder, 1000.0 * number)
    return tmp_path


def test_a_training_and_its_resumption_are_one_run_with_its_curves(tmp_path: Path) -> None:
    """What a training writes is read: its model, data, batches, score, and one curve over both starts."""
    for batches in (2, 4):
        short = ["model/schedule=completion_only", f"model.schedule.phases.completion.batches={batches}"]
        done = run_here("train", *tiny("glcic", batches)[:-3], *short, "panel_images=0", "name=a", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    progress = Progress.load(tmp_path / "runs/a")
    assert progress is not None
    (line,) = run_here("runs", "json=true", cwd=tmp_path).stdout.splitlines()
    told = json.loads(line)
    known = {"run": "a", "model": "GLCIC", "data": "Toy(count=16, size=96)", "phase": "completion", "state": "done"}
    assert {key: told[key] for key in known} == known
    assert (told["batches"], told["planned"], told["best"]) == (4, 4, progress.best)

    found = json.loads(run_here("runs", "compare", "a", "json=true", cwd=tmp_path).stdout)
    assert [tuple(point) for point in found["curves"]["val/psnr_rgb"]["a"]] == progress.validations
    assert [batch for batch, _ in found["curves"]["train/reconstruction"]["a"]] == [1, 2, 3, 4]
    assert found["notes"] == []


def test_each_run_is_a_line_newest_first(home: Path) -> None:
    done = run_here("runs", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["run", "model", "data", "phase", "batches", "best", "state", "age"]
    assert [line.split()[0] for line in lines[1:-1]] == ["a", "b", "s/job"]
    assert lines[2].split()[1:] == [
        *("GLCIC", "Folder(root=photos)", "joint", "4/10", "val/psnr_rgb", "21", "unfinished", "33", "min")
    ]
    assert lines[-1] == "runs: 3 runs"


def test_the_newest_are_listed_unless_all_are_asked_for(home: Path) -> None:
    lines = run_here("runs", "last=1", cwd=home).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["a"]
    assert lines[-1] == "runs: 3 runs, the newest 1 of them above; last=null lists all"
    all_of_them = run_here("runs", "last=null", "json=true", cwd=home)
    assert (len(all_of_them.stdout.splitlines()), all_of_them.stderr) == (3, "")
    some = run_here("runs", "last=2", "json=true", cwd=home)
    assert len(some.stdout.splitlines()) == 2
    assert some.stderr == "note: these are the newest 2 of 3 runs; last=null lists all\n"


@pytest.mark.parametrize("given", [["runs/s"], ["list", "runs/s"], ["folder=runs/s"]])
def test_a_folder_is_a_word_before_the_settings(home: Path, given: list[str]) -> None:
    assert run_here("runs", *given, cwd=home).stdout.splitlines()[1].split()[0] == "job"


def test_a_folder_called_like_a_word_is_one_if_it_is_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert read("runs", ["runs"]) == ("runs list", ["folder='runs'"])
    assert read("runs", ["compare", "x y", "z", "json=true"]) == ("runs compare", ["folders=['x y','z']", "json=true"])
    with pytest.raises(SystemExit):
        read("runs", ["absent"])


def test_an_empty_folder_has_no_runs_and_a_missing_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    done = run_here("runs", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "runs: no runs\n")
    assert run_here("runs", "json=true", cwd=tmp_path).stdout == ""
    done = run_here("runs", "elsewhere/x", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("inpaintlab runs list: elsewhere/x is not there")
    assert len(done.stderr.splitlines()) == 1


def test_runs_are_compared_by_name_or_path(home: Path) -> None:
    done = run_here("runs", "compare", "a", "runs/b", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n1 setting differs between the 2 runs.\nsetting  a  b\nseed     1  2\n" in done.stdout
    lines = done.stdout.splitlines()
    (first,) = [line for line in lines if line.startswith("val/psnr_rgb")]
    (second,) = [line for line in lines if line.startswith("              b")]
    assert first.split()[1:-1] == ["a", "2,", "last", "4", "22", "@", "4", "20", "@", "2", "22", "@", "4"]
    assert second.split()[:-1] == ["b", "2,", "last", "4", "21", "@", "4", "20.5", "@", "2", "21", "@", "4"]


def test_many_runs_are_grouped_by_the_values_of_their_settings(tmp_path: Path) -> None:
    for seed in range(1, 7):
        a_run(tmp_path / f"runs/s/seed-{seed}", settings=SETTINGS | {"seed": 1 + seed % 2})
    text = run_here("runs", "compare", "s", "curves=[]", cwd=tmp_path).stdout
    assert "\nseed     2      seed-1, seed-3, seed-5\n         1      seed-2, seed-4, seed-6\n" in text
    assert "val/psnr_rgb  " not in text.partition("differs ")[2]


def test_the_page_is_written_and_named(home: Path) -> None:
    done = run_here("runs", "compare", "a", "b", "page=out/page.html", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "out/page.html"
    assert (home / "out/page.html").read_text().count("<figure>") == 1
    for page in ("out", "out/page.md"):
        done = run_here("runs", "compare", "a", "b", f"page={page}", cwd=home)
        assert done.returncode == 1
        assert f"page={page}" in done.stderr


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("file/new/page.html", "because file is no folder"),
        ("folder.html", "is a folder"),
        ("~nobody-at-all/page.html", "knows no user nobody-at-all"),
    ],
)
def test_a_page_that_cannot_be_written_is_told_before_the_work(home: Path, page: str, told: str) -> None:
    (home / "file").touch()
    (home / "folder.html").mkdir()
    before = sorted(home.iterdir())
    done = run_here("runs", "compare", "a", "b", f"page={page}", cwd=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"inpaintlab runs compare: page={page}")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(home.iterdir()) == before


def test_a_run_is_named_also_where_its_name_looks_like_a_setting(home: Path) -> None:
    a_run(home / "runs/IMG (1), a=b")
    a_run(home / "runs/lr=0.1")
    done = run_here("runs", "compare", "IMG (1), a=b", "runs/lr=0.1", "a", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No settings differ between the 3 runs." in done.stdout


def test_a_beginning_that_no_curve_has_is_told(home: Path) -> None:
    done = run_here("runs", "compare", "a", "b", "curves=[vall/]", cwd=home)
    assert (done.returncode, done.stderr) == (0, "note: No curve begins with vall/; there are: val/psnr_rgb.\n")


def test_a_file_that_cannot_be_read_is_a_note_beside_the_table(home: Path) -> None:
    (home / "runs/a/log/version_0/metrics.csv").write_text("no,log\n1,2\n")
    done = run_here("runs", "compare", "a", "b", cwd=home)
    assert done.returncode == 0
    assert done.stderr.startswith("note: runs/a/log/version_0/metrics.csv cannot be read to its end")
    assert "val/psnr_rgb" in done.stdout


def test_runs_are_listed_and_compared_without_torch(home: Path) -> None:
    code = f"""
import sys
from inpaintlab.cli import main
for arguments in (["runs"], ["runs", "compare", "a", "b"], ["runs", "compare", "a", "b", "page=p.html"]):
    sys.argv = ["inpaintlab", *arguments]
    main()
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = run_anew(sys.executable, "-c", code, cwd=home, home=home / "home")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.count("setting differs ") == 2
    assert (home / "p.html").is_file()


def test_no_choice_of_a_group_is_called_like_the_folder_of_all_runs() -> None:
    """A folder conf/runs would make runs=FOLDER, of train, the choice of a group."""
    assert not (CONF / "runs").exists()


def test_the_csv_of_the_stand_in_is_read_as_lightnings(tmp_path: Path) -> None:
    path = a_run(tmp_path / "a", (20.0, None)) / "log/version_0/metrics.csv"
    with path.open() as file:
        assert list(csv.DictReader(file)) == [
            {"epoch": "0", "val/psnr_rgb": "20.0", "step": "1"},
            {"epoch": "0", "val/psnr_rgb": "", "step": "3"},
        ]
