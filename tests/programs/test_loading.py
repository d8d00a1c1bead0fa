"""What names a method: runs, files, published weights, choices of conf/model; and what importing the package loads."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase

import inpaintlab
from inpaintlab.config import CONF
from inpaintlab.published import STARTERS
from stand_ins import published_files

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
MASK = np.zeros((64, 64), bool)
MASK[8:20, 8:20] = True
GLCIC = next(starter.path for starter in STARTERS if starter.name == "starter-glcic")


def test_importing_the_package_loads_nothing_of_weight_and_offers_its_names() -> None:
    """As fast as before: the command line starts with it."""
    code = (
        "import sys, inpaintlab\n"
        "heavy = {'torch', 'numpy', 'hydra', 'omegaconf', 'lightning', 'PIL', 'polars', 'pydantic', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert set(inpaintlab.__all__) <= set(dir(inpaintlab))\n"
        "print(sorted(name for name in sys.modules if name.startswith('inpaintlab')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['inpaintlab']\n"


def test_the_package_has_its_names_and_no_others() -> None:
    for name in inpaintlab.__all__:
        assert getattr(inpaintlab, name) is not None
    with pytest.raises(AttributeError, match="module 'inpaintlab' has no attribute 'lode'"):
        inpaintlab.lode  # type: ignore[attr-defined]  # noqa: B018
    assert (Path(inpaintlab.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("kind", ["text", "path"])
def test_a_file_and_a_run_are_loaded(kind: str, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "flowers"
    run.mkdir(parents=True)
    shutil.copy(GLCIC, run / "last.ckpt")
    make = str if kind == "text" else Path
    wanted = inpaintlab.load("starter-glcic").complete(IMAGE, MASK)
    for what in (run, run / "last.ckpt"):
        method = inpaintlab.load(make(what))
        assert method.label == "flowers"
        assert np.array_equal(method.complete(IMAGE, MASK), wanted)
    assert inpaintlab.load(run, which="last", label="mine").label == "mine"
    with pytest.raises(ValueError, match=r"has no best.ckpt"):
        inpaintlab.load(run, which="best")


def test_published_weights_are_loaded_by_their_name_once_they_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path))
    with pytest.raises(ValueError, match="run 'inpaintlab weights fetch pconv-naoto0804-places2' first"):
        inpaintlab.load("pconv-naoto0804-places2")
    (file,) = published_files.naoto0804(tmp_path / "made")
    folder = tmp_path / "pconv-naoto0804-places2"
    folder.mkdir()
    shutil.copy(file, folder / "1000000.pth")
    method = inpaintlab.load("pconv-naoto0804-places2")
    assert method.label == "pconv-naoto0804-places2"
    assert np.array_equal(method.complete(IMAGE, MASK)[~MASK], IMAGE[~MASK])
    with pytest.raises(ValueError, match="its result could not say what it was of"):
        inpaintlab.evaluate("test.json", method)


def test_settings_are_those_of_the_command_line() -> None:
    assert inpaintlab.method("telea", radius=7).identity["config"]["radius"] == 7
    assert inpaintlab.load("starter-edgeconnect", hole_edges="none").identity["switches"]["hole_edges"] == "none"
    drawn = inpaintlab.load("starter-edgeconnect", edges="drawn")
    assert drawn.identity["switches"]["edges"].startswith("drawn")
    assert inpaintlab.method("patchmatch", seed=3).identity["config"]["seed"] == 3
    with pytest.raises(ValueError, match=r"reads an edge map of each image \(drawn.*give it as edges"):
        drawn.complete(IMAGE, MASK)
    with pytest.raises(ValueError, match=r"completes images of 128 x 128 pixels.*fit='resize'"):
        inpaintlab.method("context_encoder", untrained=True, width=0.0625, image_size=128).complete(IMAGE, MASK)


def test_an_untrained_method_follows_from_its_seed_and_leaves_random_numbers_alone() -> None:
    small: dict[str, Any] = {"untrained": True, "width": 0.0625, "patch_size": 32}
    before = torch.get_rng_state()
    one, same, other = (inpaintlab.method("glcic", weights_seed=seed, **small) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(one.complete(IMAGE, MASK), same.complete(IMAGE, MASK))
    assert not np.array_equal(one.complete(IMAGE, MASK), other.complete(IMAGE, MASK))


HARM = "${oc.env:HOME}"
REFUSED = {
    "learns": (lambda: inpaintlab.method("glcic"), "GLCIC learns, so it needs checkpoint=runs/NAME"),
    "no method": (lambda: inpaintlab.method("telia"), "model is 'telia'; it can be .*telea"),
    "a path as method": (lambda: inpaintlab.method("../model/telea"), "it can be"),
    "no name": (lambda: inpaintlab.method(3), "not a int"),
    "no setting": (lambda: inpaintlab.method("telea", radios=3), "Did you mean 'model.radius'"),
    "out of range": (lambda: inpaintlab.method("telea", radius=-3), "OpenCV takes 1 to 100"),
    "a resolver": (lambda: inpaintlab.method("telea", radius=HARM), r"has a '\$\{', and nothing in it is resolved"),
    "a resolver in a name": (lambda: inpaintlab.load(HARM), "nothing in it is resolved"),
    "an override in a text": (lambda: inpaintlab.method("telea,model.x=1"), "it can be"),
    "a class": (lambda: inpaintlab.load("starter-glcic", _target_="os.system"), "'model._target_' is no setting"),
    "Hydra's own": (lambda: inpaintlab.method("telea", **{"a=1 hydra": 2}), "is no setting"),
    "trust": (lambda: inpaintlab.load("starter-glcic", trust=["os"]), "needs no trust"),
    "nearly a starter": (lambda: inpaintlab.load("starter-glcik"), "Did you mean 'starter-glcic'"),
    "no checkpoint": (lambda: inpaintlab.load("runs/none"), "There is no checkpoint at"),
    "a method's name": (lambda: inpaintlab.load("telea"), r"give inpaintlab\.method\('telea'\)"),
    "features": (lambda: inpaintlab.load("vgg19"), "no method that completes images"),
    "a group of training": (lambda: inpaintlab.load("starter-glcic", gan="hinge"), "would be ignored"),
    "no device": (lambda: inpaintlab.load("starter-glcic", device="gpu"), "device='gpu' cannot be used here"),
    "no precision": (lambda: inpaintlab.load("starter-glcic", precision="8"), "precision is '8'"),
    "a useless precision": (lambda: inpaintlab.method("telea", precision="bf16-mixed"), "has no network"),
    "no fit": (lambda: inpaintlab.load("starter-glcic", fit="crop"), "fit is 'crop'"),
    "which of a file": (lambda: inpaintlab.load("starter-glcic", which="best"), "beside the file"),
}


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "no fit"])
def test_a_mistake_is_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path))
    call, sentence = REFUSED[name]
    # beartype, which holds every call of the tests to its hints, would say it first
    with pytest.raises(Exception, match=sentence if name != "no name" else "int") as error:
        call()
    assert isinstance(error.value, ValueError) or name == "no name"
    assert "\n" not in str(error.value) or name == "no name"


def test_a_program_that_uses_hydra_keeps_its_own() -> None:
    with initialize_config_dir(str(CONF), version_base="1.2"):
        before, version = GlobalHydra.instance().hydra, VersionBase.instance().version_base
        inpaintlab.method("telea").complete(IMAGE, MASK)
        with pytest.raises(ValueError, match="telia"):
            inpaintlab.method("telia")
        assert GlobalHydra.instance().hydra is before
        assert VersionBase.instance().version_base == version
        assert compose("complete", ["model=telea"]).model.method == "telea"
    assert not GlobalHydra.instance().is_initialized()


def test_what_a_program_built_itself_is_completed_alike() -> None:
    from inpaintlab.models import OpenCVInpainting
    from inpaintlab.programs import Method

    mine = Method(OpenCVInpainting(method="telea", radius=3.0), "mine")
    assert repr(mine) == "<inpaintlab.Method 'mine': OpenCVInpainting on cpu>"
    assert np.array_equal(mine.complete(IMAGE, MASK), inpaintlab.method("telea").complete(IMAGE, MASK))
