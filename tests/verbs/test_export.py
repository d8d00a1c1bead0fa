"""The command that writes a file for other programs: what the file is, does and tells, and what is refused."""

import contextlib
import json
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from inpaintlab import __version__
from inpaintlab.exporting import CannyGraph, writing
from inpaintlab.exporting.onnx_file import onnx_runner, write_onnx
from inpaintlab.exporting.program import exporting_quietly
from inpaintlab.inpainting import Inpainter, build_method
from inpaintlab.machine import file_sha256
from inpaintlab.published import STARTERS
from stand_ins.building import build_model
from stand_ins.commands import run_here

Complete = Callable[..., np.ndarray]
PAGE = Path(__file__).parents[2] / "docs/export.md"
ODD = "a/b ${oc.env:HOME}\n\x1b[31m é"
"""A label that is no name of a file, no setting, and nothing to print."""


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """While torch traces, without the checks of shapes, which are slow where sides are symbols."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def exported(folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    with unchecked():
        return run_here("export", *settings, cwd=folder)


def refused(folder: Path, *settings: str) -> str:
    """The one sentence that a command ends with; nothing is written."""
    before = sorted(folder.rglob("*"))
    done = exported(folder, *settings)
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert sorted(folder.rglob("*")) == before
    return done.stderr


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The starter weights of GLCIC as a file, and what the command printed."""
    folder = tmp_path_factory.mktemp("exported")
    done = exported(folder, "checkpoint=starter-glcic")
    assert done.returncode == 0, done.stderr
    return folder / "starter-glcic.onnx", done.stdout


@pytest.fixture(scope="module")
def completes(told: tuple[Path, str]) -> Complete:
    session = onnxruntime.InferenceSession(told[0], providers=["CPUExecutionProvider"])
    return lambda image, mask: session.run(None, {"image": image, "mask": mask})[0]


def starter(name: str) -> Inpainter:
    return build_method(None, name, named=None, overrides=[], label=None, seed=0, untrained=False, which=None)[0]


def picture(height: int, width: int, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(height).random((batch, 3, height, width), dtype=np.float32)


HOLES = {
    "inside": lambda mask: mask[:, :, 5:9, 6:11],
    "at the border": lambda mask: mask[:, :, :4, -5:],
    "everywhere": lambda mask: mask[:],
    "nowhere": lambda mask: mask[:, :, :0],
}


@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize("size", [(64, 48), (33, 50), (16, 12)])
def test_the_file_completes_as_we_do(completes: Complete, hole: str, size: tuple[int, int]) -> None:
    image = picture(*size, batch=2)
    mask = np.zeros((2, 1, *size), np.float32)
    HOLES[hole](mask)[:] = 1
    found = completes(image, mask)
    assert np.array_equal(
        found[np.broadcast_to(mask == 0, image.shape)], image[np.broadcast_to(mask == 0, image.shape)]
    )
    ours = starter("starter-glcic").complete(torch.from_numpy(image), torch.from_numpy(mask)).numpy()
    assert np.abs(found - ours).max() < 1e-4
    assert found.dtype == np.float32


def test_nothing_in_the_hole_reaches_what_the_file_returns(completes: Complete) -> None:
    image, mask = picture(33, 50), np.zeros((1, 1, 33, 50), np.float32)
    mask[..., 4:20, 10:30] = 1
    assert np.array_equal(completes(image, mask), completes(np.where(mask > 0, np.float32("nan"), image), mask))


def test_the_file_tells_what_it_is(told: tuple[Path, str]) -> None:
    model = onnx.load(told[0])
    texts = {entry.key: entry.value for entry in model.metadata_props}
    assert (model.producer_name, model.producer_version) == ("inpaintlab", __version__)
    assert texts["label"] == "starter-glcic"
    assert texts["checkpoint_sha256"] == next(one.sha256 for one in STARTERS if one.name == "starter-glcic")
    assert "CC BY 2.0" in texts["licence"]
    assert json.loads(texts["recipe"])["_target_"] == "inpaintlab.models.GLCIC"
    assert json.loads(texts["switches"])["pixels"] == "centred"
    assert json.loads(texts["inputs"]).keys() == {"image", "mask"}
    sides = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert sides == {
        "image": ["batch", 3, "height", "width"],
        "mask": ["batch", 1, "height", "width"],
        "completed": ["batch", 3, "height", "width"],
    }
    assert all("RGB in [0, 1]" in value.doc_string for value in model.graph.input if value.name == "image")
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [18]
    onnx.checker.check_model(model, full_check=True)


def test_the_file_tells_nothing_of_this_machine(told: tuple[Path, str]) -> None:
    content = told[0].read_bytes()
    for name in (str(Path(writing.__file__).parents[3]), str(told[0].parent), "site-packages"):
        assert name.encode() not in content


def test_the_command_tells_difference_size_and_time(told: tuple[Path, str]) -> None:
    path, out = told
    assert f"starter-glcic.onnx: {path.stat().st_size / 1e6:.1f} MB" in out
    difference = re.search(r"by at most (\S+) \(limit 1e-4; 64 x 64, 61 x 83, 40 x 120, 256 x 256 pixels, holes", out)
    assert difference is not None
    assert float(difference[1]) < 1e-4
    assert re.search(
        r"one image of 256 x 256 pixels: \d+\.\d{3} s in onnxruntime, \d+\.\d{3} s in inpaintlab \(.+\)", out
    )
    assert "licence: as this package" in out


def test_the_example_of_the_documentation_runs(
    told: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[:1]
    (tmp_path / "starter-glcic.onnx").write_bytes(told[0].read_bytes())
    pixels = (picture(37, 51)[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    hole = np.zeros((37, 51), np.uint8)
    hole[10:20, 10:30] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    Image.fromarray(hole).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {})
    done = np.asarray(Image.open(tmp_path / "done.png"))
    assert np.array_equal(done[hole == 0], pixels[hole == 0])
    assert (done[hole > 0] != pixels[hole > 0]).any()


def test_a_file_of_torch_completes_as_we_do_and_tells_the_same(told: tuple[Path, str], tmp_path: Path) -> None:
    settings = (
        "checkpoint=starter-glcic",
        "format=torch_export",
        f"label='{ODD}'".replace("${", r"\${"),
        "licence=mine",
    )
    done = exported(tmp_path, *settings)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    (path,) = tmp_path.iterdir()
    assert re.fullmatch(r"[\w+-]+\.pt2", path.name)
    about: dict[str, Any] = {"inpaintlab.json": ""}
    with path.open("rb") as file, exporting_quietly("it"):
        module = torch.export.load(file, extra_files=about).module()
    texts = json.loads(about["inpaintlab.json"])
    of_onnx = {entry.key: entry.value for entry in onnx.load(told[0]).metadata_props}
    assert texts.keys() == of_onnx.keys()
    assert texts["licence"] == "mine"
    assert {key for key in texts if texts[key] != of_onnx[key]} == {"label", "licence"}
    assert texts["label"].isprintable()
    with zipfile.ZipFile(path) as inside:
        content = b"".join(inside.read(name) for name in inside.namelist())
    for name in (str(Path(writing.__file__).parents[3]), str(tmp_path), "site-packages", "completion_graph.py"):
        assert name.encode() not in content
    image, mask = torch.from_numpy(picture(33, 50)), torch.zeros(1, 1, 33, 50)
    mask[..., 4:20, 10:30] = 1
    found = module(image, mask)
    torch.testing.assert_close(found, starter("starter-glcic").complete(image, mask), rtol=0, atol=1e-5)


def test_an_existing_file_stays_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "starter-glcic.onnx").write_bytes(b"mine")
    assert "starter-glcic.onnx exists" in refused(tmp_path, "checkpoint=starter-glcic")
    assert "other.onnx exists" not in refused(tmp_path, "checkpoint=none", "out=other.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "is a folder" in refused(tmp_path, "checkpoint=starter-glcic", "out=folder.onnx", "overwrite=true")
    assert (tmp_path / "starter-glcic.onnx").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["checkpoint=starter-glcic", "format=tflite"], "format is 'tflite'; it must be 'onnx' or 'torch_export'"),
        (["checkpoint=starter-glcic", "out=a.pt2"], "does not end in .onnx"),
        (["checkpoint=starter-glcic", "format=torch_export", "out=a.onnx"], "does not end in .pt2"),
        (["checkpoint=starter-glcic", "opset=17"], "opset is 17; it must be a whole number, at least 18"),
        (["model=telea"], "telea has no network, so there is nothing to export"),
        (["model=glcic"], "No checkpoint is given: give checkpoint=runs/NAME"),
        ([], "No checkpoint is given: give checkpoint=runs/NAME"),
        (["checkpoint=starter-edgeconnect", "+model.hole_edges=original"], "sees the photograph's true edges"),
        (["checkpoint=nowhere"], "There is no checkpoint at"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_sentence(tmp_path: Path, settings: list[str], sentence: str) -> None:
    assert sentence in refused(tmp_path, *settings)


def test_a_missing_extra_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.published.weight_files.find_spec", lambda name: None)
    told = refused(tmp_path, "checkpoint=nowhere")
    assert "needs onnx and onnxscript and onnxruntime" in told
    assert 'pip install "inpaintlab[export]"' in told


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (lambda given: given["image"] + 0.001 * given["mask"], "otherwise than inpaintlab: by up to"),
        (lambda given: given["image"] + 1e-7, "does not leave the known pixels"),
        (lambda given: given["image"].where(given["mask"] == 0, float("nan")), "otherwise than inpaintlab"),
        (lambda given: given["image"][..., 1:], "does not leave the known pixels"),
        (lambda given: {}["a"], "does not complete images of 64 x 64 pixels"),
    ],
)
def test_a_file_that_completes_otherwise_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returned: Callable[[Any], Any], sentence: str
) -> None:
    model = build_model("glcic").eval()
    monkeypatch.setattr(model, "complete", lambda image, mask: image)
    monkeypatch.setattr(writing, "program_of", lambda graph, label: None)
    monkeypatch.setattr(writing, "write_onnx", lambda path, *rest: path.write_bytes(b"a file"))
    monkeypatch.setattr(writing, "onnx_runner", lambda path: returned)
    identity = {"label": "mine", "checkpoint": None, "switches": {}, "config": {}}
    with pytest.raises(ValueError, match=f"mine.onnx was not written: the file .*{sentence}"):
        writing.write_model(tmp_path / "mine.onnx", "onnx", model, identity, None, 18)
    assert list(tmp_path.iterdir()) == []


def test_canny_in_onnxruntime_is_ours_pixel_for_pixel(tmp_path: Path) -> None:
    """Where a number of the detector is rounded to float32 on its way into the file, flat areas show it."""

    class Alone(torch.nn.Module):
        def forward(self, image: Any, mask: Any) -> Any:
            return CannyGraph(2.0).known(image, mask)

    sides = {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    examples = (torch.zeros(1, 3, 40, 60), torch.zeros(1, 1, 40, 60))
    with torch.no_grad(), unchecked(), exporting_quietly("canny"):
        program = torch.export.export(Alone(), examples, dynamic_shapes=(sides, sides), strict=False)
    shapes = {"image": (1, 3, "height", "width"), "mask": (1, 1, "height", "width")}
    meanings = dict.fromkeys((*shapes, "completed"), "")
    path = tmp_path / "canny.onnx"
    with pytest.MonkeyPatch.context() as patch, unchecked():
        patch.setattr("inpaintlab.exporting.onnx_file.COLOURS", 1)
        write_onnx(path, program, shapes, ("", meanings, {"label": "canny"}), 18)
    run = onnx_runner(path)
    flat = torch.zeros(1, 3, 80, 64)
    flat[..., 20:50, 10:50], flat[..., 30:40, 30:60] = 0.7, 0.2
    noise = torch.from_numpy(picture(37, 53))
    for image in (flat, noise, noise.round()):
        mask = torch.zeros_like(image[:, :1])
        for hole in (mask, torch.nn.functional.pad(mask[..., 12:-12, 12:-12] + 1, (12,) * 4)):
            expected = CannyGraph(2.0).known(image, hole)
            assert torch.equal(run({"image": image, "mask": hole}), expected)
            assert expected.any()


PRESETS = [
    ["edgeconnect"],
    ["edgeconnect", "model/edges=drawn"],
    ["edgeconnect", "model/edges=files"],
    ["edgeconnect", "model/edges=none"],
    ["edgeconnect", "model.test_composite=false", "model.output=offsets"],
    ["glcic_otenim"],
    ["glcic_mmagic"],
    ["contextual_attention"],
    ["contextual_attention_mmagic"],
    ["contextual_attention_daa233"],
    ["partial_convolution"],
    ["partial_convolution_mmagic"],
    ["context_encoder"],
    ["context_encoder_random"],
]


@pytest.mark.endurance
@pytest.mark.parametrize("form", ["onnx", "torch_export"])
@pytest.mark.parametrize("preset", PRESETS, ids=" ".join)
def test_every_paper_can_be_exported(tmp_path: Path, preset: list[str], form: str) -> None:
    model = build_model(*preset).eval()
    identity = {"label": preset[0], "checkpoint": None, "switches": model.switches(), "config": model.recipe}
    with unchecked():
        written = writing.write_model(tmp_path / f"it{writing.SUFFIXES[form]}", form, model, identity, None, 18)
    assert written.measured.difference < 1e-4


@pytest.mark.endurance
def test_a_file_has_the_operators_that_are_asked_for(tmp_path: Path) -> None:
    done = exported(tmp_path, "checkpoint=starter-glcic", "opset=21")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    assert [entry.version for entry in onnx.load(path).opset_import if entry.domain == ""] == [21]


@pytest.mark.endurance
def test_the_same_checkpoint_gives_the_same_file(told: tuple[Path, str], tmp_path: Path) -> None:
    assert exported(tmp_path, "checkpoint=starter-glcic").returncode == 0
    assert file_sha256(tmp_path / "starter-glcic.onnx") == file_sha256(told[0])
