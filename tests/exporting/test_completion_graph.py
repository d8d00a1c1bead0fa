"""What is exported, before it is: in torch it completes as the model does, for every size."""

import numpy as np
import pytest
import torch
from skimage import data, feature

from inpaintlab.edges import Canny
from inpaintlab.exporting import CannyGraph, CompletionGraph, edge_input, require_exportable
from inpaintlab.inpainting import Inpainter, build_method
from inpaintlab.layers import ContextualAttention
from stand_ins.building import build_model

SIZES = [(64, 64), (37, 50), (13, 90), (12, 8), (5, 1), (1, 2)]
"""Height and width: multiples of the stride, none, and so small that mirrored pixels do not suffice to pad."""


def pictures(height: int, width: int, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Images with lines and areas, and holes: one at the border, one inside, if there are two."""
    draw = torch.Generator().manual_seed(height * 1000 + width)
    image = (torch.rand(batch, 3, 4, 4, generator=draw).repeat_interleave(-(-height // 4), 2)).repeat_interleave(
        -(-width // 4), 3
    )[..., :height, :width]
    image = (image + 0.1 * torch.rand(image.shape, generator=draw)).clamp(0, 1)
    mask = torch.zeros(batch, 1, height, width)
    mask[0, :, : height // 2 + 1, : width // 2 + 1] = 1
    if batch > 1:
        mask[1, :, height // 3 : height // 2 + 1, width // 3 : width // 2 + 1] = 1
    return image, mask


def starter(name: str, *overrides: str) -> Inpainter:
    return build_method(
        None, name, named=None, overrides=list(overrides), label=None, seed=0, untrained=False, which=None
    )[0]


@pytest.mark.parametrize("name", ["starter-glcic", "starter-edgeconnect"])
@torch.no_grad()
def test_the_graph_completes_as_the_model_for_every_size(name: str) -> None:
    model = starter(name)
    graph = CompletionGraph(model)
    for size in SIZES:
        image, mask = pictures(*size)
        found = graph(image, mask)
        known = (mask == 0).expand_as(image)
        assert torch.equal(found[known], image[known])
        torch.testing.assert_close(found, model.complete(image, mask), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "preset",
    [
        "glcic_otenim",
        "glcic_mmagic",
        "contextual_attention",
        "contextual_attention_mmagic",
        "contextual_attention_daa233",
        "partial_convolution",
        "partial_convolution_mmagic",
    ],
)
@torch.no_grad()
def test_the_graph_of_every_paper_completes_as_its_model(preset: str) -> None:
    model = build_model(preset).eval()
    graph = CompletionGraph(model)
    for size in ((40, 31), (24, 24)):
        image, mask = pictures(*size)
        torch.testing.assert_close(graph(image, mask), model.complete(image, mask), rtol=0, atol=1e-5)


@torch.no_grad()
def test_nothing_in_the_hole_reaches_the_completion() -> None:
    graph = CompletionGraph(starter("starter-edgeconnect"))
    image, mask = pictures(37, 50)
    others = torch.where(mask > 0.5, float("nan"), image)
    assert torch.equal(graph(image, mask), graph(others, mask))


def test_what_only_a_training_needs_is_left_out_and_the_model_stays_as_it_was() -> None:
    model = starter("starter-edgeconnect")
    before = {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    kept = {name.split(".")[1] for name, _ in CompletionGraph(model).named_parameters()}
    assert kept == {"edge_generator", "inpaint_generator"}
    after = {name: value for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert isinstance(model.edges, Canny)


def test_attention_is_one_tile_in_the_graph_alone() -> None:
    model = build_model("contextual_attention").eval()
    graph = CompletionGraph(model)
    tiles = [
        next(len(layer.tiles(99, 99)) for layer in one.modules() if isinstance(layer, ContextualAttention))
        for one in (graph, model)
    ]
    assert tiles[0] == 1 < tiles[1]


# ----------------------------------------------------------------------------------------------------------- Canny


def scenes() -> list[np.ndarray]:
    flat = np.zeros((80, 64, 3), np.float32)
    flat[20:50, 10:50], flat[30:40, 30:60] = 0.7, 0.2
    snake = np.zeros((61, 90, 3), np.float32)  # a strong end, and a long way along weak edges
    for turn in range(6):
        snake[4 + 8 * turn : 8 + 8 * turn, 4:84] = 0.09 + 0.5 * (turn == 0)
    noise = np.random.default_rng(0).random((37, 53, 3), dtype=np.float32)
    return [(data.chelsea() / 255).astype(np.float32), flat, snake, noise, noise[:3, :3]]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("sigma", [2.0, 0.8])
def test_edges_are_scikit_images_pixel_for_pixel(number: int, sigma: float) -> None:
    scene = scenes()[number]
    height, width = scene.shape[:2]
    mask = np.zeros((height, width), np.float32)
    mask[height // 3 : height // 2, width // 4 : width // 2] = 1
    image = torch.from_numpy(scene).permute(2, 0, 1)[None]
    for hole in (mask, np.zeros_like(mask)):
        planes = torch.from_numpy(hole)[None, None]
        found = CannyGraph(sigma).known(image, planes)
        assert torch.equal(found, Canny(sigma).known(image, planes))
        assert set(found.unique().tolist()) <= {0.0, 1.0}
    gray = scene @ np.array([0.2125, 0.7154, 0.0721], np.float32)
    # the sums of a product of matrices round otherwise, which ties between flat areas show
    if number in (0, 3):
        found = CannyGraph(sigma).whole(image)[0, 0].numpy() > 0.5
        assert (found != feature.canny(gray, sigma)).mean() < 1e-3


# -------------------------------------------------------------------------------------------------- inputs and refusals


@torch.no_grad()
def test_a_drawing_is_an_input_and_is_painted() -> None:
    model = build_model("edgeconnect", "model/edges=drawn")
    told = edge_input(model)
    assert told is not None
    assert "drawn in the hole" in told.meaning
    graph = CompletionGraph(model)
    image, mask = pictures(37, 50)
    drawing = torch.zeros_like(mask)
    drawing[..., 15:18, :] = 1
    found = graph(image, mask, drawing)
    torch.testing.assert_close(found, model.complete(image, mask, drawing), rtol=0, atol=1e-5)
    assert not torch.equal(found, graph(image, mask, 0 * drawing))
    assert torch.equal(found, graph(image, mask, drawing * mask))  # outside the hole it is not read


@torch.no_grad()
def test_known_edges_from_files_are_an_input() -> None:
    model = build_model("edgeconnect", "model/edges=files")
    told = edge_input(model)
    assert told is not None
    assert "known edges" in told.meaning
    image, mask = pictures(37, 50)
    edges = (torch.rand_like(mask) > 0.9).float()
    found = CompletionGraph(model)(image, mask, edges)
    torch.testing.assert_close(found, model.complete(image, mask, edges), rtol=0, atol=1e-5)
    inside = torch.where(mask > 0.5, 1 - edges, edges)
    assert torch.equal(found, CompletionGraph(model)(image, mask, inside))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("model.hole_edges=original", "sees the photograph's true edges"),
        ("model.test_edges=whole", "sees the photograph's true edges"),
        ("model/edges=hed", r"\+model/edges=files the file takes the edges as an input"),
        ("model/edges=hed_and_canny", r"\+model/edges=files"),
    ],
)
def test_what_no_file_can_hold_is_refused(setting: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        require_exportable(build_model("edgeconnect", setting), "mine")


def test_a_method_without_a_network_is_refused() -> None:
    with pytest.raises(ValueError, match="telea has no network"):
        require_exportable(build_model("telea"), "telea")
