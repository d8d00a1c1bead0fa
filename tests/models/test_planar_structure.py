"""Laws of planar structure guidance, on a floor whose planes and pixels are known."""

from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from skimage import data

from inpaintlab.models import PlanarStructure
from inpaintlab.patches.homography import COLUMN, PLANE, ROW
from stand_ins.building import compose_train
from stand_ins.floors import tiled_floor

SIDE = 144
HOLE = np.zeros((SIDE, SIDE), bool)
HOLE[52:96, 48:92] = True
FLOOR = tiled_floor(SIDE)
VISIBLE = np.where(HOLE[..., None], 0, FLOOR.image).astype(np.float32)


def preset(name: str, *overrides: str) -> Any:
    return instantiate(compose_train(f"model={name}", "data=toy", *overrides).model, _convert_="all")


def psnr(filled: Any) -> float:
    return float(-10 * np.log10(np.mean((filled - FLOOR.image)[HOLE] ** 2)))


def test_a_floor_is_completed_3_db_better_than_by_patches_parallel_to_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {}
    synthesise = PlanarStructure._synthesise

    def watched(self: PlanarStructure, *given: Any) -> Any:
        found["out"] = synthesise(self, *given)
        return found["out"]

    monkeypatch.setattr(PlanarStructure, "_synthesise", watched)
    model = preset("planar_structure")
    filled = model.fill(VISIBLE, HOLE)
    assert model.notes == ["2 vanishing points, 1 plane beside the image's own"]
    matches = found["out"][2]
    inside = HOLE[matches[:, ROW].astype(int), matches[:, COLUMN].astype(int)]
    assert (matches[inside, PLANE] == 1).mean() > 0.9
    assert psnr(filled) > psnr(preset("patchmatch").fill(VISIBLE, HOLE)) + 3
    without = preset("planar_structure", "model.detector.most=0")
    assert psnr(filled) > psnr(without.fill(VISIBLE, HOLE)) + 3
    assert without.notes == ["no plane found (no vanishing point): filled with patches parallel to the image"]


def test_the_seed_decides_and_what_was_completed_before_does_not() -> None:
    model = preset("planar_structure", "model.iterations=[2]")
    first = model.fill(VISIBLE, HOLE)
    model.fill(VISIBLE[:60, ::2], HOLE[:60, ::2])
    np.random.seed(7)
    torch.manual_seed(7)
    assert np.array_equal(model.fill(VISIBLE, HOLE), first)
    assert not np.array_equal(
        preset("planar_structure", "model.iterations=[2]", "model.seed=1").fill(VISIBLE, HOLE), first
    )


def test_a_batch_tells_of_each_image_and_forgets_the_last() -> None:
    model = preset("planar_structure", "model.iterations=[1]")
    grass = np.repeat(data.grass()[:SIDE, :SIDE, None] / 255, 3, axis=-1)
    images = torch.from_numpy(np.stack([FLOOR.image, grass]).astype(np.float32)).permute(0, 3, 1, 2)
    masks = torch.from_numpy(HOLE).float().expand(2, 1, SIDE, SIDE)
    for _ in range(2):
        model.complete(images, masks)
        told = "2 vanishing points, 1 plane beside the image's own", "no plane found (no vanishing point): filled with "
        assert [note.startswith(start) for note, start in zip(model.notes, told, strict=True)] == [True, True]


def test_the_blend_meets_the_known_pixels_and_keeps_the_gradients() -> None:
    """A synthesis that is right but for a constant comes out right; nothing else is asked of a blend."""
    from inpaintlab.models.planar_structure import _blended

    image = np.random.default_rng(0).uniform(0.2, 0.8, (20, 24, 3)).astype(np.float32)
    hole = np.zeros((20, 24), bool)
    hole[5:12, 8:19] = True
    blended = _blended(np.where(hole[..., None], 0, image).astype(np.float32), hole, image + np.float32(0.1))
    assert np.array_equal(blended[~hole], image[~hole])
    assert np.abs(blended - image).max() < 1e-4


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ((slice(0, 33), slice(20, 26)), "no patch of 9 pixels is known: searched with patches of 5"),
        ((slice(0, 2), slice(0, 46)), "no patch of 3 x 3 pixels is known: filled by biharmonic interpolation"),
    ],
    ids=["strip", "rim"],
)
def test_without_a_whole_patch_it_says_what_it_does_instead(known: tuple[slice, slice], told: str) -> None:
    image = torch.rand(1, 3, 33, 46, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 1, 33, 46)
    mask[:, :, *known] = 0
    model = preset("planar_structure", "model.iterations=[1]")
    completed = model.complete(image, mask)
    assert told in model.notes
    assert completed.isfinite().all()
    assert torch.equal(completed[:, :, *known], image[:, :, *known])


def test_progress_grows_to_one() -> None:
    shares: list[float] = []
    model = preset("planar_structure", "model.iterations=[1,1,1]")
    model.progress = shares.append
    model.fill(VISIBLE, HOLE)
    assert shares == sorted(shares)
    assert len(shares) == 4  # the coarsest level twice
    assert shares[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("patch_size=8", "patch_size is 8 pixels"),
        ("patch_sigma=0.0", "patch_sigma is 0.0"),
        ("smallest=4", "smallest is 4 pixels"),
        ("iterations=[]", r"iterations is \[\]"),
        ("iterations=[3,0]", r"iterations is \[3, 0\]"),
        ("scales=[1.5,2.0]", r"scales is \[1.5, 2.0\]"),
        ("nearness=[0.5,1.0]", r"nearness is \[0.5, 1.0\]"),
        ("propagated_plane=mine", "propagated_plane is 'mine'"),
        ("regularity_draws=-1", "regularity_draws and model.seed are 0 or more"),
        ("plane_weight=-1.0", "weights and limits"),
    ],
)
def test_settings_without_sense_are_refused(override: str, told: str) -> None:
    with pytest.raises(Exception, match=told):
        preset("planar_structure", f"model.{override}")
