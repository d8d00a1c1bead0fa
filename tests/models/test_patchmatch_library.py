"""Laws of PyPatchMatch behind our doors."""

import copy
import os
import signal
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from skimage import data
from torch import Tensor

from inpaintlab.imaging import PyPatchMatch, reaches_everywhere
from inpaintlab.models import PatchMatchLibrary
from stand_ins.building import compose_train

METHOD = PatchMatchLibrary(radius=3, seed=0)
LIBRARY = PyPatchMatch()


def hole_of(height: int, width: int, *boxes: tuple[slice, slice]) -> np.ndarray:
    hole = np.zeros((height, width), bool)
    for box in boxes:
        hole[box] = True
    return hole


def checkered(size: int = 48, period: int = 8) -> Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    stripes = ((y % period < period // 2) ^ (x % period < period // 2)).float()
    return torch.stack([0.2 + 0.6 * stripes, 0.4 + 0.4 * (x % period) / period, 0.9 - 0.3 * stripes])[None]


def square(size: int, first: int, last: int) -> Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[..., first:last, first:last] = 1
    return mask


def test_a_periodic_texture_comes_back_in_the_main() -> None:
    image, mask = (checkered() * 255).round() / 255, square(48, 18, 30)
    error = (METHOD.complete(image, mask) - image).abs().sum() / (3 * mask.sum())
    assert error < 0.02  # its search misses some; the mean colour is 0.17 away


def test_it_equals_the_library_itself_from_the_same_seed() -> None:
    import patchmatch

    image = (torch.rand(1, 3, 40, 31, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
    mask = torch.zeros(1, 1, 40, 31)
    mask[..., 10:22, 8:20] = 1
    pixels = (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    patchmatch.set_random_seed(7)
    expected = patchmatch.inpaint(pixels, mask[0, 0].numpy().astype(np.uint8), patch_size=2)
    completed = PatchMatchLibrary(radius=2, seed=7).complete(image, mask)[0].permute(1, 2, 0)
    assert np.array_equal((completed.numpy() * 255).round().astype(np.uint8), expected)


def test_the_seed_decides_and_nothing_that_was_completed_before() -> None:
    image, mask = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0)), square(40, 12, 28)
    fresh = PatchMatchLibrary(radius=3, seed=0).complete(image[:1], mask)
    METHOD.complete(image[1:], mask)
    assert torch.equal(METHOD.complete(image[:1], mask), fresh)
    assert not torch.equal(PatchMatchLibrary(radius=3, seed=1).complete(image[:1], mask), fresh)


HOLES = {
    "a corner is known": hole_of(100, 100, np.s_[:99, :], np.s_[99:, :99]),
    "a strip is known": hole_of(12, 40, np.s_[:, 2:]),
    "both ends are known": hole_of(12, 40, np.s_[:, 2:37]),
    "a border": hole_of(33, 46, np.s_[:, :15]),
    "an upright strip": hole_of(40, 12, np.s_[1:, :]),
    "a row": hole_of(1, 9, np.s_[:, 2:]),
    "its middle": hole_of(5, 7, np.s_[2:4, 2:5]),
    "two": hole_of(64, 200, np.s_[:, 2:190], np.s_[:9, 195:]),
}


@pytest.mark.parametrize("radius", [1, 3])
@pytest.mark.parametrize("name", HOLES)
def test_the_library_leaves_black_where_it_is_said_to_and_nowhere_else(name: str, radius: int) -> None:
    hole = HOLES[name]
    pixels = np.where(hole[..., None], 0, np.full((*hole.shape, 3), 200)).astype(np.uint8)
    filled = LIBRARY.fill(pixels, hole, radius, 0, lambda _: None)
    assert bool((filled == 200).all()) == reaches_everywhere(hole, radius)


@pytest.mark.parametrize("name", HOLES)
def test_no_hole_of_a_constant_image_gets_another_colour(name: str) -> None:
    mask = torch.from_numpy(HOLES[name]).float()[None, None]
    image = torch.tensor([51, 128, 204]).view(1, 3, 1, 1).expand(1, 3, *mask.shape[2:]) / 255
    torch.testing.assert_close(METHOD.complete(image, mask), image, atol=1e-5, rtol=0)


def test_smaller_patches_and_a_smooth_filling_are_told() -> None:
    told = {}
    for name in ("a border", "a corner is known", "a strip is known"):
        mask = torch.from_numpy(HOLES[name]).float()[None, None]
        METHOD.complete(torch.rand(1, 3, *mask.shape[2:]), mask)
        told[name] = METHOD.notes
    assert told["a border"] == []
    assert [note.rpartition(": ")[2] for note in told["a corner is known"]] == ["searched with 5"]
    assert [note.rpartition(": ")[2] for note in told["a strip is known"]] == ["filled by biharmonic interpolation"]


def test_progress_rises_to_the_end() -> None:
    method, told = PatchMatchLibrary(radius=3, seed=0), []
    method.progress = told.append
    method.complete(checkered(64), square(64, 16, 48))
    assert told[-1] == 1
    assert len(told) > 10
    assert all(one <= other for one, other in pairwise(told))


def test_what_stops_an_image_ends_the_librarys_process_and_the_next_image_has_its_own() -> None:
    method = PatchMatchLibrary(radius=3, seed=0)
    image, mask = checkered(), square(48, 18, 30)
    expected = method.complete(image, mask)
    process = method.library._process
    assert process is not None

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    method.progress = stop
    with pytest.raises(KeyboardInterrupt):
        method.complete(image, mask)
    assert process.returncode == -signal.SIGKILL
    method.progress = lambda _: None
    assert torch.equal(method.complete(image, mask), expected)


def test_a_library_that_dies_is_told_in_one_sentence() -> None:
    method = PatchMatchLibrary(radius=3, seed=0)
    image, mask = checkered(), square(48, 18, 30)
    method.complete(image, mask)
    assert method.library._process is not None
    os.kill(method.library._process.pid, signal.SIGKILL)
    method.library._process.wait()
    with pytest.raises(ValueError, match="PyPatchMatch failed on an image of 48 x 48 pixels: its process died"):
        method.complete(image, mask)


def test_threads_and_copies_get_the_same_as_one_alone() -> None:
    image, mask = torch.rand(4, 3, 40, 40, generator=torch.Generator().manual_seed(0)), square(40, 12, 28)
    expected = [METHOD.complete(one[None], mask) for one in image]
    found: dict[int, Tensor] = {}

    def complete(number: int, method: Any) -> None:
        found[number] = method.complete(image[number : number + 1], mask)

    methods = [METHOD, METHOD, copy.deepcopy(METHOD), METHOD]
    threads = [threading.Thread(target=complete, args=pair) for pair in enumerate(methods)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[number], one) for number, one in enumerate(expected))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"radius": 0}, "radius is 0"),
        ({"radius": 51}, "1 to 50"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "0 to"),
    ],
)
def test_settings_out_of_range_are_refused(changed: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PatchMatchLibrary(**({"radius": 3, "seed": 0} | changed))


def test_without_the_library_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.published.weight_files.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'needs PyPatchMatch, .*pip install "inpaintlab\[patches\]"'):
        PatchMatchLibrary(radius=3, seed=0)


# ------------------------------------------------------------------------------------------------ beside our own search


@dataclass
class Filling:
    """In a hole of 64 x 64 pixels: the mean error, and how much of the texture's roughness there is."""

    error: float
    roughness: float


def filled(model: str, texture: str, top: int, left: int) -> Filling:
    """How a method fills a hole in the middle 256 x 256 pixels of a texture of scikit-image."""
    picture = getattr(data, texture)()[128:384, 128:384].astype(np.float32) / 255
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., top : top + 64, left : left + 64] = 1
    method = instantiate(compose_train(f"model={model}").model)
    completed = method.complete(torch.from_numpy(picture)[None, None].repeat(1, 3, 1, 1), mask)[0, 0].numpy()
    hole = np.s_[top : top + 64, left : left + 64]
    inner = np.s_[top + 1 : top + 63, left + 1 : left + 63]
    rough, truth = (cv2.Laplacian(one, cv2.CV_32F)[inner].var() for one in (completed, picture))
    return Filling(float(np.abs(completed - picture)[hole].mean()), float(rough / truth))


def test_of_bricks_our_search_makes_fewer_errors_than_the_library_and_half_of_what_a_smooth_filling_makes() -> None:
    ours, library, smooth = (filled(model, "brick", 60, 130) for model in ("patchmatch", "patchmatch_library", "telea"))
    assert ours.error < 0.8 * library.error
    assert library.error < 0.5 * smooth.error
    assert 0.6 < ours.roughness < 1.4 > library.roughness > 0.6 > 0.2 > smooth.roughness


@pytest.mark.parametrize("texture", ["grass", "gravel"])
def test_textures_without_order_get_their_roughness_from_both_searches_and_none_from_a_smooth_filling(
    texture: str,
) -> None:
    """By error the smooth filling is best, which predicts the mean: it cannot rank such textures."""
    ours, library, smooth = (filled(model, texture, 140, 40) for model in ("patchmatch", "patchmatch_library", "telea"))
    assert ours.error < 1.1 * library.error
    assert smooth.error < ours.error
    assert 0.5 < ours.roughness < 1.5
    assert 0.5 < library.roughness < 1.5
    assert smooth.roughness < 0.1
