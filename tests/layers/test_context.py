"""What a network sees, computed from its layers, is what a pixel of its output depends on."""

import pytest
import torch
from torch import Tensor, nn

from inpaintlab.layers import Context, ContextualAttention, SamePad2d, context_of
from stand_ins.building import Builder
from stand_ins.models import LEARNING


def reaches(network: nn.Module, side: int) -> tuple[int, int]:
    """The farthest pixels on the left and on the right that any pixel of a middle stretch depends on, by gradients."""
    reach = [0, 0]
    for place in range(side // 2, side // 2 + 8):
        image = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
        network.double()(image)[..., side // 2, place].sum().backward()
        assert isinstance(image.grad, Tensor)
        found = image.grad.abs().sum((0, 1, 2)).nonzero().flatten()
        reach = [max(reach[0], place - int(found[0])), max(reach[1], int(found[-1]) - place)]
    return reach[0], reach[1]


@pytest.mark.parametrize(
    ("layers", "pixels", "align"),
    [
        ([nn.Conv2d(1, 1, 3, padding=1)], 1, 1),
        ([nn.Conv2d(1, 1, 3, padding=4, dilation=4)], 4, 1),
        ([nn.ReflectionPad2d(3), nn.Conv2d(1, 1, 7)], 3, 1),
        # 1 at full size; the transposed kernel of 4 reaches one feature on either side of 2 pixels each
        ([nn.Conv2d(1, 1, 3, 2, 1), nn.ConvTranspose2d(1, 1, 4, 2, 1)], 3, 2),
        # 1, then 1 at half the size, and of a pixel at odd places 1 for the doubling
        ([nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, 3, padding=1), nn.Upsample(scale_factor=2)], 4, 2),
        ([SamePad2d(5, 2), nn.Conv2d(1, 1, 5, 2), nn.Upsample(scale_factor=2)], 3, 2),
    ],
)
def test_the_reach_is_what_gradients_show(layers: list[nn.Module], pixels: int, align: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(*layers)
    found = context_of([network])
    assert found == Context(pixels, align)
    assert pixels - 1 <= max(reaches(network, 32)) <= pixels


def test_what_takes_from_everywhere_is_told_and_what_is_unknown_is_refused() -> None:
    assert context_of([nn.InstanceNorm2d(4), nn.InstanceNorm2d(8)]).everywhere.count("instance norm") == 1
    assert not context_of([ContextualAttention()]).suffices
    assert context_of([nn.BatchNorm2d(4), nn.ReLU()], 8) == Context(0, 8)
    with pytest.raises(TypeError, match="AdaptiveAvgPool2d"):
        context_of([nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1))])


def test_the_papers_reach_as_counted_by_hand(built: Builder) -> None:
    # GLCIC: 5x5; 3x3 with stride 2; 3x3 at a half; then at a quarter eight with dilations 1 1 2 4 8 16 1 1 after one
    # with stride 2; two transposed ones that reach 2 and 1 features and two that are 3x3 at a half and at full size
    glcic = 2 + 1 + 2 + 2 + 4 * (1 + 1 + 2 + 4 + 8 + 16 + 1 + 1) + 2 * 2 + 2 + 2 + 1 + 1
    assert built("glcic").context == Context(glcic, 4)
    # each generator: 7x7; 4x4 with stride 2 at full size and at a half; eight blocks of dilations 2 and 1 at a quarter;
    # transposed ones that reach 2 features of 2 pixels and of 1; 7x7
    edgeconnect = 3 + 1 + 2 + 4 * 8 * (2 + 1) + 2 * 2 + 2 + 3
    assert built("edgeconnect").context.pixels == 2 * edgeconnect
    assert built("partial_convolution").context.align == 2 ** len(built("partial_convolution").network.encoder)


@pytest.mark.parametrize("name", LEARNING)
def test_what_lies_outside_its_context_changes_no_pixel_of_a_hole(built: Builder, name: str) -> None:
    model = built(name).eval()
    context = model.context
    if context is None or not context.suffices:
        return
    length = 2 * context.pixels + 200
    first, last = context.pixels + 90, context.pixels + 110
    image, mask = torch.rand(1, 3, 16, length), torch.zeros(1, 1, 16, length)
    mask[..., 4:9, first:last] = 1
    other, seen = torch.rand_like(image), slice(first - context.pixels, last + context.pixels)
    other[..., seen] = image[..., seen]
    assert not torch.equal(image, other)
    hole = (mask > 0.5).expand_as(image)
    before, after = model.complete(image, mask), model.complete(other, mask)
    assert torch.equal(before[hole], after[hole])


@pytest.mark.parametrize("name", ["glcic", "partial_convolution"])
def test_a_context_is_hardly_wider_than_what_gradients_show(built: Builder, name: str) -> None:
    model = built(name).eval().double()
    pixels = model.context.pixels
    place = (pixels + 90) // 8 * 8  # networks take multiples of 8
    image = torch.rand(1, 3, 16, 2 * place, dtype=torch.float64, requires_grad=True)
    mask = torch.zeros(1, 1, 16, 2 * place, dtype=torch.float64)
    mask[..., 4:8, place : place + 8] = 1
    model(torch.where(mask > 0.5, 0.0, image), mask)[..., 4:8, place : place + 8].square().sum().backward()
    assert isinstance(image.grad, Tensor)
    found = image.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    assert 0.75 * pixels <= max(place - int(found[0]), int(found[-1]) - place - 7) <= pixels


def test_methods_that_take_from_everywhere_say_so(built: Builder) -> None:
    for name in LEARNING:
        context = built(name).context
        if name.startswith("edgeconnect"):
            assert "instance norm" in context.everywhere
        elif name.startswith("contextual_attention"):
            assert "attention" in context.everywhere
        elif name.startswith("context_encoder"):
            assert context is None
        else:
            assert context.suffices
