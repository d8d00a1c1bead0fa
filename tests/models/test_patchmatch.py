"""Laws of PatchMatch completion."""

from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from inpaintlab.models import PatchMatch
from inpaintlab.recipes import plain
from stand_ins.building import compose_train


def patchmatch(**changes: Any) -> PatchMatch:
    settings = {key: value for key, value in plain(compose_train("model=patchmatch").model).items() if key[0] != "_"}
    return PatchMatch(**{**settings, **changes})


def planes(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None].contiguous()


def block(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, rows, columns] = 1
    return mask


def tiles(period: int, side: int = 96) -> Tensor:
    tile = np.random.default_rng(0).integers(0, 256, (period, period, 3)) / 255
    repeats = side // period + 1
    return planes(np.tile(tile, (repeats, repeats, 1))[:side, :side])


@pytest.mark.parametrize("period", [8, 12])
def test_a_periodic_texture_comes_back_exactly(period: int) -> None:
    image = tiles(period)
    completed = patchmatch().complete(image, block(96, 96, slice(33, 63), slice(30, 60)))
    assert torch.equal(completed, image)


@pytest.mark.parametrize("last", ["copy", "mean"])
def test_a_constant_image_stays_constant(last: str) -> None:
    image = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1).expand(1, 3, 40, 48).contiguous()
    completed = patchmatch(last=last).complete(image, block(40, 48, slice(10, 25), slice(20, 48)))
    torch.testing.assert_close(completed, image, atol=1e-6, rtol=0)


def test_every_pixel_of_the_hole_is_a_known_one() -> None:
    image = planes(data.astronaut()[:128:2, 100:228:2] / 255)
    mask = block(64, 64, slice(20, 40), slice(24, 44))
    completed = patchmatch().complete(image, mask)
    known = {tuple(colour) for colour in image.permute(0, 2, 3, 1)[mask[:, 0] == 0].tolist()}
    assert {tuple(colour) for colour in completed.permute(0, 2, 3, 1)[mask[:, 0] == 1].tolist()} <= known


def test_the_seed_decides_and_nothing_else_does() -> None:
    random = torch.Generator().manual_seed(0)
    image, mask = torch.rand(1, 3, 48, 48, generator=random), block(48, 48, slice(10, 30), slice(12, 36))
    once = patchmatch().complete(image, mask)
    torch.manual_seed(7)
    np.random.seed(7)
    assert torch.equal(patchmatch().complete(image.flip(0), mask), once)
    assert not torch.equal(patchmatch(seed=1).complete(image, mask), once)


def test_a_mean_is_smoother_than_copies() -> None:
    image = planes(data.gravel()[:96, :96, None].repeat(3, axis=2) / 255)
    mask = block(96, 96, slice(30, 66), slice(30, 66))

    def roughness(last: str) -> float:
        hole = patchmatch(last=last).complete(image, mask)[..., 30:66, 30:66]
        return float(hole.diff(dim=-1).abs().mean())

    assert roughness("mean") < 0.9 * roughness("copy")


@pytest.mark.parametrize(
    ("known", "note"),
    [
        (7, []),
        (5, ["no patch of 7 pixels is known: searched with patches of 5"]),
        (2, ["no patch of 3 x 3 pixels is known: filled by biharmonic interpolation"]),
    ],
)
def test_a_thin_known_strip_is_searched_with_smaller_patches_or_not_at_all(known: int, note: list[str]) -> None:
    image = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    model = patchmatch()
    completed = model.complete(image, block(24, 40, slice(0, 24), slice(known, 40)))
    assert model.notes == note
    assert completed.isfinite().all()
    model.complete(image, block(24, 40, slice(5, 9), slice(5, 9)))
    assert model.notes == []


def test_progress_goes_from_a_part_to_the_whole() -> None:
    model, told = patchmatch(tolerance=0.0), []
    model.progress = told.append
    model.complete(torch.rand(1, 3, 64, 64), block(64, 64, slice(20, 40), slice(20, 40)))
    assert told == sorted(told)
    assert 0 < told[0] < 0.2
    assert told[-1] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patch_size": 8}, "model.patch_size is 8 pixels; it is odd"),
        ({"ratio": 1.0}, "model.ratio is 1.0"),
        ({"smallest": 4}, "model.smallest is 4 pixels"),
        ({"scans": 0}, "model.scans"),
        ({"falloff": 0.5}, "model.falloff=0.5"),
        ({"percentile": 0.0}, "model.percentile=0.0"),
        ({"tolerance": float("nan")}, "model.tolerance=nan"),
        ({"last": "paste"}, "model.last is 'paste'; the finest level ends with copy or mean"),
        ({"seed": -1}, "model.seed is -1"),
    ],
)
def test_a_setting_out_of_its_range_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        patchmatch(**changes)


def test_without_numba_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.published.weight_files.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'model=patchmatch needs numba.*pip install "inpaintlab\[patches\]"'):
        patchmatch()
