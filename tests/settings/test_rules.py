"""Settings that do not fit each other are refused before any work; what a model can be trained on, it says itself."""

import pytest
import torch

from inpaintlab.inpainting import Learner, build
from inpaintlab.recipes import plain
from inpaintlab.settings import require_batch, require_values
from stand_ins.building import compose_train

TOY = ("data=toy", "trainer=cpu", "logger=none")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["monitor.name=val/psnr"], r"monitor.name is 'val/psnr', .* it can be .*\. Did you mean 'val/psnr_rgb'\?"),
        (["monitor.name=psnr_rgb"], r"Did you mean 'val/psnr_rgb'\?"),
        (["~metrics.psnr_rgb"], r"monitor.name is 'val/psnr_rgb', which validation does not give"),
        (["accumulate=3"], r"every.checkpoint is 500, which is no multiple of accumulate=3"),
        (["accumulate=2", "every.validation=3"], r"every.validation is 3, which is no multiple of accumulate=2"),
        (["model.schedule.phases.joint.batches=1.5"], r"joint.batches is 1.5; it must be a whole number, at least 0"),
        (["model.schedule.phases.joint.batches=null"], r"joint.batches is None; it must be a whole number"),
        (["trainer.devices=0"], r"trainer.devices is 0; it must be a whole number of devices, at least 1"),
        (["trainer.devices=x"], r"trainer.devices is 'x'; it must be"),
        (["trainer.devices=true"], r"trainer.devices is True; it must be"),
        (["trainer.devices=-1"], r"trainer.devices is -1, and there is no GPU"),
        (["trainer.devices=[0]"], r"trainer.devices is \[0\], and there is no GPU"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        require_values("train", compose_train(*TOY, *overrides))


@pytest.mark.parametrize("model", ["glcic", "edgeconnect", "glcic_mmagic"])
@pytest.mark.parametrize(("size", "sound"), [(64, True), (66, False), (31, False), (33, False), (63, False)])
def test_a_model_trains_on_multiples_of_its_stride(model: str, size: int, sound: bool) -> None:
    cfg = compose_train(*TOY, f"model={model}", f"data.size={size}")
    if sound:
        require_values("train", cfg)
    else:
        with pytest.raises(ValueError, match=rf"data.size is {size} x {size}; \w+ trains on .* multiples of 4, such"):
            require_values("train", cfg)


def test_a_side_that_is_no_multiple_is_named_in_a_rectangle_too() -> None:
    with pytest.raises(ValueError, match="such as 60 or 64"):
        require_values("train", compose_train(*TOY, "data.size=[64,62]"))


def test_sides_are_at_least_the_models_smallest() -> None:
    with pytest.raises(ValueError, match="EdgeConnect needs sides of at least 12 pixels"):
        require_values("train", compose_train(*TOY, "model=edgeconnect", "data.size=8"))


@pytest.mark.parametrize(
    ("overrides", "least"),
    [
        (["data.size=64"], 2),  # six halvings of 64 pixels end in one, whose batch norm has one value a picture
        (["data.size=256"], 1),  # 256 / 2^6 = 4 and 128 / 2^5 = 4
        (["data.size=64", "model/schedule=completion_only"], 1),
        (["data.size=64", "model=edgeconnect", "model.spectral_norm=[]"], 1),
    ],
)
def test_the_smallest_batch_is_what_batch_norm_can_compare(overrides: list[str], least: int) -> None:
    cfg = compose_train(*TOY, *overrides, "data.batch_size=1")
    with torch.device("meta"):
        model = build(cfg.model)
    assert isinstance(model, Learner)
    assert model.smallest_batch == least
    settings = plain(cfg)
    if least == 1:
        require_batch(model, settings)
        return
    with pytest.raises(ValueError, match=r"data.batch_size is 1; with data.size=64 GLCIC trains on at least 2 pict"):
        require_batch(model, settings)
    settings["trainer"]["sync_batchnorm"] = True
    require_batch(model, settings)


def test_the_network_that_needs_two_pictures_cannot_take_one() -> None:
    cfg = compose_train(*TOY, "data.size=64", "model.width=0.0625")
    model = build(cfg.model)
    pictures = torch.rand(2, 3, 64, 64)
    model.discriminator(pictures, pictures[..., :32, :32])
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        model.discriminator(pictures[:1], pictures[:1, :, :32, :32])
