"""The distance in HED's features: what the features are, and which distance has which name."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.losses import HED
from inpaintlab.metrics import FD, FID, KID, FeaturePairs, HEDFeatures, InceptionTF2015
from inpaintlab.metrics.features import InceptionEdgeConnect
from inpaintlab.published import CATALOGUE, File, Published, local_files
from stand_ins.published_files import hed

NARROW = ((2, 4), (2, 6), (3, 8), (3, 5), (3, 7))
(PUBLISHED,) = (entry for entry in CATALOGUE if entry.name == "hed")


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The hash of a narrow file of random weights in the place of HED's."""
    path = tmp_path / "weights/hed/hed.h5"
    hed(path, [width for _, width in NARROW])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    entry = Published("hed", "", None, "", "", (File("hed.h5", sha256=digest),))
    monkeypatch.setattr("inpaintlab.published.hed.HED", entry)
    monkeypatch.setattr(HED, "BLOCKS", NARROW)
    monkeypatch.setattr(HEDFeatures, "width", 7)
    return digest


def pictures(height: int = 35, width: int = 33, count: int = 3) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.usefixtures("narrow")
def test_the_features_are_the_means_of_the_last_map_of_the_image_in_8_bits() -> None:
    images = pictures()
    with torch.no_grad():
        expected = HED("relu5_3")((images * 255).round() / 255)["relu5_3"].mean(dim=(2, 3))
    found = HEDFeatures()(images)
    assert found.shape == (3, 7)
    assert (expected > 0).any()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 16), (17, 33)])
def test_images_of_any_size_have_features_that_do_not_depend_on_their_batch(size: tuple[int, int]) -> None:
    network, images = HEDFeatures(), pictures(*size)
    together = network(images)
    assert together.isfinite().all()
    assert torch.equal(together, torch.cat([network(images[i : i + 1]) for i in range(3)]))


@pytest.mark.usefixtures("narrow")
def test_a_short_side_is_enlarged_alone() -> None:
    images = (pictures(4, 40) * 255).round() / 255
    with torch.no_grad():
        enlarged = F.interpolate(images, (32, 40), mode="bilinear", align_corners=False)
        expected = HED("relu5_3")(enlarged)["relu5_3"].mean(dim=(2, 3))
    torch.testing.assert_close(HEDFeatures()(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_an_image_that_is_not_finite_has_no_features_and_spoils_no_other(broken: float) -> None:
    network, images = HEDFeatures(), pictures()
    sound = network(images)
    images[1, 2, 3, 4] = broken
    rows = network(images)
    assert rows[1].isnan().all()
    assert torch.equal(rows[[0, 2]], sound[[0, 2]])
    pairs = FeaturePairs(sound.double().numpy(), rows.double().numpy())
    assert np.isnan(FD(network).value(pairs))


@pytest.mark.usefixtures("narrow")
def test_loading_takes_no_random_numbers() -> None:
    before = torch.get_rng_state()
    HEDFeatures()(pictures())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("narrow")
def test_images_that_are_all_alike_have_no_distance_and_one_image_has_none_that_is_defined() -> None:
    rows = HEDFeatures()(torch.full((4, 3, 16, 16), 0.5)).double().numpy()
    metric = FD(HEDFeatures())
    assert metric.value(FeaturePairs(rows, rows)) == 0
    assert np.isnan(metric.value(FeaturePairs(rows[:1], rows[:1])))


def test_its_definition_holds_the_weights_and_says_that_it_is_no_fid(narrow: str) -> None:
    metric = FD(HEDFeatures())
    metric.require()
    assert metric.name == "fd_hed"
    assert narrow[:16] in metric.definition
    assert narrow in metric.network.key
    assert all(word in metric.definition for word in ("relu5_3", "N - 1", "falls with N", "8 bits"))
    assert (metric.meaning.of_set, metric.meaning.higher_is_better) == (True, False)
    assert KID(HEDFeatures()).name == "kid_hed"


def test_fid_is_of_an_inception_alone_and_fd_of_none() -> None:
    with pytest.raises(ValueError, match=r"hed a Frechet distance is no FID: take inpaintlab\.metrics\.FD\."):
        FID(HEDFeatures())
    for network in (InceptionTF2015(), InceptionEdgeConnect()):
        with pytest.raises(ValueError, match=r"is no FD: take inpaintlab\.metrics\.FID\."):
            FD(network)


def test_without_the_weights_it_says_how_to_get_them_and_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"hed needs HED's weights, .*: run inpaintlab weights fetch hed\.$"):
        FD(HEDFeatures()).require()
    with pytest.raises(ValueError, match="weights fetch hed"):
        HEDFeatures()(pictures())
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not local_files(PUBLISHED), reason="inpaintlab weights fetch hed gets the file")
def test_the_distance_grows_with_blur() -> None:
    names = ("astronaut", "coffee", "chelsea", "rocket")
    whole = [torch.from_numpy(getattr(skimage.data, name)()[:256, :256].copy()) for name in names]
    photographs = F.avg_pool2d(torch.stack(whole).permute(0, 3, 1, 2) / 255, 8)  # 32 pixels a side
    network = HEDFeatures()
    real = network(photographs).double().numpy()
    blurred = [F.avg_pool2d(photographs, 2 * reach + 1, 1, reach, count_include_pad=False) for reach in (0, 1, 2, 4)]
    distances = [FD(network).value(FeaturePairs(real, network(images).double().numpy())) for images in blurred]
    assert distances[0] == pytest.approx(0, abs=1e-9)
    assert distances == sorted(distances)
    assert distances[1] > 0
