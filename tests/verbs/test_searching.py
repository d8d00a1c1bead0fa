"""Laws of the commands with methods that take seconds for an image: told, stopped, in several processes, in memory."""

import importlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from PIL import Image
from rich.console import Console

from inpaintlab.completion import progress_shown
from inpaintlab.evaluation import Result
from inpaintlab.inpainting import Classical
from stand_ins.commands import SCRIPT, run, run_anew, run_here, start
from stand_ins.models import CLASSICAL, only

Done = subprocess.CompletedProcess[str]
SEARCHING = [name for name in CLASSICAL if name not in ("telea", "navier_stokes", "biharmonic", "mean_colour")]


class Slow(Classical):
    """Tells halves of its way, and a note of one image."""

    def fill(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "height width 3"]:
        for share in (0.5, 1.0):
            self.progress(share)
        if hole.sum() > 100:
            self.notes.append("large hole: filled with grey")
        return np.full_like(image, 0.5)


def images(number: int, hole: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.zeros(number, 1, 16, 16)
    mask[..., :hole, :hole] = 1
    return torch.rand(number, 3, 16, 16), mask


# ---------------------------------------------------------------------------------------------------------------- told


def test_what_is_heard_counts_images_and_rises() -> None:
    model, heard = Slow(), []
    with model.watched(heard.append):
        model.complete(*images(3))
    model.complete(*images(1))
    assert heard == [0.5, 1, 1.5, 2, 2.5, 3]


def test_a_bar_is_shown_on_a_terminal_alone() -> None:
    shown = {}
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=100)
        with progress_shown(4, console) as _:
            pass
        assert out.getvalue() == ""  # what tells no progress
        model = Slow()
        with progress_shown(4, console) as heard, model.watched(heard) if heard else nullcontext():
            model.complete(*images(2))
        shown[terminal] = out.getvalue()
    assert "4 images" in shown[True]
    assert "50%" in shown[True]
    assert shown[False] == ""


def test_each_image_of_a_test_set_has_its_notes() -> None:
    image, small = images(2)
    mask = torch.cat([small[:1], images(1, hole=12)[1]])
    assert Slow().test_step({"image": image, "mask": mask}, 0)["notes"] == ["", "large hole: filled with grey"]


@pytest.fixture
def strip(tmp_path: Path) -> Path:
    """A photograph of which one end alone is known."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 40, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    hole = np.full((12, 40), 255, np.uint8)
    hole[:, :2] = 0
    Image.fromarray(hole).save(tmp_path / "hole.png")
    return tmp_path


PHOTO = ["image=photo.png", "holes=hole.png", "out=done.png"]


def test_how_an_image_was_filled_stands_in_its_line_and_no_bar_in_a_file(strip: Path) -> None:
    done = run_here("complete", "model=patchmatch_library", *PHOTO, cwd=strip)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(
        "95.0% filled, PyPatchMatch does not reach all of the hole: filled by biharmonic interpolation"
    )
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("model", SEARCHING)
def test_a_missing_package_is_one_sentence_before_any_work(
    strip: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inpaintlab.published.weight_files.find_spec", lambda name: None)
    done = run_here("complete", f"model={model}", *PHOTO, cwd=strip)
    assert done.returncode == 1
    (sentence,) = done.stderr.strip().splitlines()
    assert f"model={model.removesuffix('_release')} needs " in sentence
    assert 'pip install "inpaintlab[patches]"' in sentence
    assert not (strip / "done.png").exists()


# ------------------------------------------------------------------------------------------------------------- stopped


def test_a_signal_reaches_a_search_within_its_kernels() -> None:
    from hydra.utils import instantiate

    from stand_ins.building import compose_train

    model = instantiate(compose_train("model=patchmatch").model)
    image, mask = torch.rand(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)
    model.complete(image[..., :32, :32], images(1)[1].repeat(1, 1, 2, 2))  # compiles
    mask[..., 64:192, 64:192] = 1
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.complete(image, mask)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frozen")
    bins = "bins={wide: {_target_: inpaintlab.masks.Half}, fixed: {_target_: inpaintlab.masks.Block, fraction: 0.5}}"
    for size, count in ((32, 2), (512, 4)):
        done = run_here(
            "manifest", "data=toy", f"data.size={size}", f"images={count}", f"out={size}.json", bins, cwd=folder
        )
        assert done.returncode == 0, done.stderr
    return folder


def library_of(pid: int) -> int | None:
    """The process of PyPatchMatch that a process has started."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"pypatchmatch.py" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return None


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_an_evaluation_in_the_middle_of_an_image(
    frozen: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = ["evaluate", f"manifest={frozen}/512.json", "model=patchmatch_library", "trainer=cpu", "workers=0"]
    process = start(SCRIPT, *command, cwd=tmp_path, home=tmp_path / "home", output=tmp_path / "log")
    try:
        while (library := library_of(process.pid)) is None:
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        time.sleep(0.5)  # it searches by now
        os.kill(process.pid, number)
        assert process.wait(60) == code, (tmp_path / "log").read_text()
    finally:
        process.kill()
    assert "Stopped; the same command goes on from here." in (tmp_path / "log").read_text()
    assert not Path(f"/proc/{library}").exists()
    assert not (tmp_path / "results/patchmatch_library").exists()


# ----------------------------------------------------------------------------------------------- processes and memory


@pytest.fixture
def compiled() -> dict[str, str]:
    """Variables with which another process finds what this one has compiled."""
    return {"NUMBA_CACHE_DIR": importlib.import_module("inpaintlab.patches.kernels")._FOLDER}


@pytest.mark.slow
@pytest.mark.parametrize("model", only("patchmatch", of=("patchmatch", "patchmatch_library")))
def test_two_processes_complete_what_one_does(
    frozen: Path, tmp_path: Path, compiled: dict[str, str], model: str
) -> None:
    command = ["evaluate", f"manifest={frozen}/32.json", f"model={model}", "trainer=cpu", "batch_size=3"]
    one = run_here(*command, "label=one", cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    two = ["trainer.devices=2", "trainer.strategy=ddp", "label=two"]
    both = run(SCRIPT, *command, *two, cwd=tmp_path, home=tmp_path / "home", **compiled)
    assert both.returncode == 0, both.stderr
    first, second = (Result.load(tmp_path / "results" / label).per_image for label in ("one", "two"))
    assert first.equals(second)


MEASURED = """
import resource, sys, torch
from hydra import compose, initialize_config_dir
from skimage.data import astronaut
from inpaintlab.config import CONF
from inpaintlab.inpainting import build
with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
    model = build(compose("train", overrides=["model=" + sys.argv[1]]).model)
image = torch.from_numpy(astronaut()).permute(2, 0, 1)[None].float() / 255
image = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
mask = torch.zeros(1, 1, 1024, 1024)
mask[..., 256:768, 256:768] = 1
model.complete(image, mask)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.endurance
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB")
@pytest.mark.parametrize("model", SEARCHING)
def test_a_photograph_of_1024_pixels_takes_less_than_one_and_a_half_gigabytes(
    model: str, tmp_path: Path, compiled: dict[str, str]
) -> None:
    done = run_anew(sys.executable, "-c", MEASURED, model, cwd=tmp_path, home=tmp_path / "home", **compiled)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 1.5e9
