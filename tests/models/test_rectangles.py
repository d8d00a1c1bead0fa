"""Pictures need not be square: every method learns from rectangles, completes them, and is scored on them."""

from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from PIL import Image
from torch import nn

from inpaintlab.config import CONF
from inpaintlab.data import CentreSquare, RandomCrop, read_rgb
from inpaintlab.evaluation.cost import scene
from inpaintlab.inpainting import Learner
from inpaintlab.shapes import height_width, in_pixels, plain_size
from stand_ins.building import build_model, compose_train, fit, toy_data
from stand_ins.commands import run_here

METHODS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
FOR_SQUARES = [name for name in METHODS if name.startswith("context_encoder")]


@pytest.mark.parametrize("name", [name for name in METHODS if name not in FOR_SQUARES])
def test_every_method_learns_from_rectangles_and_completes_them(name: str) -> None:
    height, width = (72, 96) if name == "contextual_attention_mmagic" else (32, 48)  # which needs 72 pixels
    phases = compose_train(f"model={name}", "data=toy").model.get("schedule", {}).get("phases", {})
    lengths = [f"model.schedule.phases.{phase}.batches=1" for phase in phases]
    model = build_model(name, f"data.size=[{height},{width}]", *lengths)
    if isinstance(model, Learner):
        fit(model, data=toy_data(size=[height, width], crop=RandomCrop([height, width])))
        assert model.schedule.iteration == len(phases)
    image, mask = scene([height, width], 2)
    assert image.shape == (2, 3, height, width)
    completed = model.complete(image, mask)
    assert completed.shape == image.shape
    assert torch.equal(completed * (1 - mask), image * (1 - mask))


@pytest.mark.parametrize("name", FOR_SQUARES)
def test_a_method_for_squares_says_so_and_completes_rectangles_all_the_same(name: str) -> None:
    """``complete`` resizes what was made for one size; the verbs ask before (``fit=resize``)."""
    with pytest.raises(InstantiationException, match=r"is 32 x 48; this network is for 128 x 128 pixels"):
        build_model(name, "data.size=[32,48]")
    image, mask = scene([32, 48], 2)
    completed = build_model(name).complete(image, mask)
    assert completed.shape == image.shape
    assert torch.equal(completed * (1 - mask), image * (1 - mask))


def test_the_global_discriminator_has_the_images_proportions_and_the_local_one_half_the_shorter_side() -> None:
    cfg = compose_train("model=glcic", "data=toy", "data.size=[64,128]")
    assert cfg.model.patch_size == 32
    model = build_model("glcic", "data.size=[64,128]", "model.patch_size=32")
    features = [part for part in model.discriminator.whole if isinstance(part, nn.Linear)]
    convolutions = [part for part in model.discriminator.whole.modules() if isinstance(part, nn.Conv2d)]
    # six strides of 2: 64 x 128 becomes 1 x 2
    assert features[0].in_features == convolutions[-1].out_channels * 1 * 2


def test_a_window_larger_than_the_shorter_side_is_refused() -> None:
    with pytest.raises(InstantiationException, match=r"40 and model\.image_size \[32, 48\]; the local"):
        build_model("glcic", "data.size=[32,48]", "model.patch_size=40")


def test_a_rectangle_is_cut_without_a_change_of_proportions() -> None:
    wide = Image.new("RGB", (100, 40))
    cut = RandomCrop([32, 48]).evaluate(wide)  # 40 becomes 32, 100 becomes 80, of which the middle 48 remain
    assert (cut.resized, cut.after) == ((80, 32), (16, 0, 64, 32))
    cut = CentreSquare([32, 48]).evaluate(wide)  # 60 x 40 has the proportions of 48 x 32
    assert (cut.before, cut.resized) == ((20, 0, 80, 40), (48, 32))
    tall = Image.new("RGB", (40, 100))
    assert RandomCrop([32, 48]).evaluate(tall).resized == (48, 120)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        for picture in (wide, tall, Image.new("RGB", (48, 32)), Image.new("RGB", (7, 300))):
            crop = RandomCrop([32, 48]).train(picture, generator)
            left, top, right, bottom = crop.after
            assert (right - left, bottom - top) == (48, 32)
            assert left >= 0
            assert top >= 0
            assert right <= crop.resized[0]
            assert bottom <= crop.resized[1]
            assert crop(picture).size == (48, 32)


def test_two_equal_sides_are_the_square() -> None:
    picture = Image.effect_noise((90, 70), 50).convert("RGB")
    for crop in (RandomCrop, CentreSquare):
        square, same = (crop(size).train(picture, torch.Generator().manual_seed(1)) for size in (32, [32, 32]))
        assert square == same


def test_a_size_is_a_side_or_height_and_width() -> None:
    assert (height_width(64), height_width([32, 48])) == ((64, 64), (32, 48))
    assert (plain_size([64, 64]), plain_size((32, 48)), in_pixels([32, 48])) == (64, [32, 48], "32 x 48")
    for wrong in (0, -1, [1], [1, 2, 3], [0, 4], [True, 2]):
        with pytest.raises(ValueError, match="is no size; give the side of a square in pixels, or"):
            height_width(wrong)


def test_rectangles_are_frozen_evaluated_and_compared(tmp_path: Path) -> None:
    toy = ("data=toy", "data.source.count=2", "ratios=[0.1,0.5]")
    made = run_here("manifest", *toy, "data.size=[32,48]", "out=m.json", cwd=tmp_path)
    assert "2 items of 32 x 48 pixels" in made.stdout
    for method in ("telea", "mean_colour"):
        evaluated = run_here(
            "evaluate", "manifest=m.json", f"model={method}", "workers=0", "trainer=cpu", "results=r", cwd=tmp_path
        )
        assert evaluated.returncode == 0, evaluated.stderr
    assert {read_rgb(path).size for path in (tmp_path / "r").rglob("*.png")} == {(48, 32)}
    compared = run_here("compare", "r/telea", "r/mean_colour", "out=c", cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert "images of 32×48 pixels" in (tmp_path / "c/report.html").read_text()  # noqa: RUF001
    assert "32 x 48" in (tmp_path / "c/costs.csv").read_text()
