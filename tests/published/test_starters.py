"""The starter weights inside the package: whole, small, credited, and usable wherever a checkpoint is named."""

import math
from pathlib import Path

import pytest
import torch
from rich.console import Console

from inpaintlab.data import Photos, image_tensor
from inpaintlab.inpainting import Inpainter, build_method, chosen_file, load_checkpoint
from inpaintlab.machine import file_sha256
from inpaintlab.models import MeanColour
from inpaintlab.published import STARTER_CREDITS, STARTERS, Starter, starter_file
from inpaintlab.training.identity import begin_from
from stand_ins.building import Builder

each_starter = pytest.mark.parametrize("starter", STARTERS, ids=lambda starter: starter.name)


def built_of(name: str) -> Inpainter:
    given = {"named": None, "overrides": [], "label": None, "seed": 1, "untrained": False, "which": None}
    return build_method(None, name, **given)[0]


@each_starter
def test_a_starter_is_the_file_that_its_hash_says(starter: Starter) -> None:
    assert file_sha256(starter.path) == starter.sha256


def test_the_starters_take_less_than_four_megabytes() -> None:
    assert sum(starter.path.stat().st_size for starter in STARTERS) < 4e6


@each_starter
def test_a_starter_holds_generators_in_half_precision_and_no_place_of_its_making(starter: Starter) -> None:
    checkpoint = load_checkpoint(starter.path)
    matrices = [tensor for tensor in checkpoint["state_dict"].values() if tensor.dim() > 1]
    assert {tensor.dtype for tensor in matrices} == {torch.float16}
    assert not [key for key in checkpoint["state_dict"] if "discriminator" in key]
    assert set(checkpoint) == {"state_dict", "inpaintlab"}
    assert "/" not in str(checkpoint["inpaintlab"])
    assert all(tensor.dtype == torch.float32 for tensor in built_of(starter.name).parameters())


@each_starter
def test_a_starter_continues_photographs_that_it_never_saw_better_than_their_mean_colour(starter: Starter) -> None:
    photos, mask = Photos(), torch.zeros(1, 1, 64, 64)
    mask[..., 8:24, 8:40] = 1
    model, gains = built_of(starter.name), []
    for name in photos.names("test"):
        photo = image_tensor(photos.read("test", name).resize((64, 64)))[None]
        completed = model.complete(photo, mask)
        assert torch.equal(completed * (1 - mask), photo * (1 - mask))
        errors = [(each - photo).square().sum() for each in (completed, MeanColour().complete(photo, mask))]
        gains.append(10 * math.log10(errors[1] / errors[0]))
    assert sum(gains) / len(gains) > 1.5  # dB


@each_starter
def test_a_training_begins_with_a_starters_generators_and_its_own_discriminators(
    starter: Starter, built: Builder
) -> None:
    weights = load_checkpoint(starter.path)
    width = weights["inpaintlab"]["model"]["width"]
    method = starter.name.removeprefix("starter-")
    offsets = ["model.output=offsets"] if method == "edgeconnect" else []
    model = built(method, f"model.width={width}", *offsets)
    discriminators = {key: value.clone() for key, value in model.state_dict().items() if "discriminator" in key}
    begin_from(starter.name, None, model, Console(quiet=True))
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in discriminators.items())
    assert all(torch.equal(state[key], value.to(state[key])) for key, value in weights["state_dict"].items())


def test_a_file_of_that_name_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = Path(STARTERS[0].name)
    assert chosen_file(name) == starter_file(name) == STARTERS[0].path
    name.write_bytes(b"mine")
    assert chosen_file(name) == name


def test_which_beside_a_starter_is_refused() -> None:
    with pytest.raises(ValueError, match="would be ignored"):
        chosen_file(Path(STARTERS[0].name), "best")


def test_every_photograph_that_asks_for_credit_is_credited() -> None:
    text = STARTER_CREDITS.read_text("utf-8")
    assert "CC BY 2.0" in text
    assert "CC0 1.0" in text
    numbers = [line for line in text.split() if line.isdigit() and len(line) > 6]
    assert len(set(numbers)) == len(numbers)
    assert len(numbers) > 700
