"""Laws of large photographs: the whole image's pixels where the context suffices, within memory, and the rest told."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inpaintlab.completion import Windowing, complete_windowed
from inpaintlab.completion.filling import Filling
from inpaintlab.completion.footprint import WORKSPACE, _Living, footprint_of
from inpaintlab.completion.tiling import Window
from inpaintlab.completion.windows import GB, SMALL
from inpaintlab.inpainting import Inpainter, extents
from inpaintlab.layers import Context
from stand_ins.building import Builder
from stand_ins.models import LEARNING

SIZE = (603, 701)  # a multiple of nothing, and more than a small one
BITS = 2e-5
"""Convolutions add in another order for another size, and float32 has 24 bits."""


def photograph(height: int = SIZE[0], width: int = SIZE[1]) -> tuple[Tensor, Tensor]:
    """Random pixels, with holes in the middle, at the border and in a corner."""
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, height, width)
    for rows, columns in (
        (slice(300, 340), slice(350, 420)),
        (slice(0, 9), slice(100, 130)),
        (slice(-5, None), slice(-60, None)),
        (slice(200, 202), slice(20, 21)),
    ):
        mask[..., rows, columns] = 1
    return image, mask


class Seen(Inpainter):
    """Notes the sizes that it sees; paints the mean of 5 x 5 pixels, so that it sees two around each."""

    stride = 4

    def __init__(self, everywhere: str = "", planes: int = 1) -> None:
        super().__init__()
        self.network = nn.Conv2d(1, planes, 1)
        self.everywhere = everywhere
        self.sizes: list[tuple[int, int]] = []

    @property
    def context(self) -> Context:
        return Context(8, 4, self.everywhere)

    def generators(self) -> list[nn.Module]:
        return [self.network]

    def forward(self, visible: Tensor, mask: Tensor, edges: Tensor | None = None) -> Tensor:
        self.sizes.append((visible.shape[-2], visible.shape[-1]))
        self.network(mask)
        mean = nn.functional.avg_pool2d(visible, 5, 1, 2)
        return mean if edges is None else mean * 0 + edges


@pytest.mark.parametrize("name", LEARNING)
def test_where_the_context_suffices_windows_give_the_pixels_of_the_whole_image(built: Builder, name: str) -> None:
    model = built(name)
    enough = name.startswith(("glcic", "partial_convolution"))
    assert enough == (model.context is not None and model.context.suffices)
    if model.context is None or not enough:
        return
    image, mask = photograph()
    expected = model.complete(image, mask)
    for window in ("auto", model.context.pixels + 5):
        found = complete_windowed(model, image, mask, window=window)
        assert found.plan.windows
        assert found.plan.same
        assert "the pixels of the whole image" in found.notes[0]
        torch.testing.assert_close(found.image, expected, atol=BITS, rtol=0)
        known = (mask == 0).expand_as(image)
        assert torch.equal(found.image[known], image[known])


def test_tiles_of_a_large_hole_give_the_pixels_of_the_whole_image(built: Builder) -> None:
    model = built("partial_convolution")
    image, mask = photograph()
    mask[..., 20:580, 30:650] = 1
    expected = model.complete(image, mask)
    footprint = footprint_of(model)
    found = complete_windowed(model, image, mask, memory=footprint.of(200 * 200) / GB)
    assert len(found.plan.windows) > 9
    assert max(window.pixels for window in found.plan.windows) <= 200 * 200
    torch.testing.assert_close(found.image, expected, atol=BITS, rtol=0)


def test_where_it_does_not_the_whole_image_is_completed_as_long_as_it_fits(built: Builder) -> None:
    model = built("edgeconnect")
    image, mask = photograph()
    expected = model.complete(image, mask)
    whole = complete_windowed(model, image, mask)
    assert whole.plan.windows == ()
    assert whole.plan.same
    assert whole.notes == ()
    assert torch.equal(whole.image, expected)
    in_parts = complete_windowed(model, image, mask, memory=footprint_of(model).of(520 * 520) / GB)
    assert not in_parts.plan.same
    assert "other pixels than those of the whole image, for" in in_parts.notes[0]
    assert "more than memory=" in in_parts.notes[0]
    known = (mask == 0).expand_as(image)
    assert torch.equal(in_parts.image[known], image[known])
    assert not torch.equal(in_parts.image, expected)


def test_small_photographs_are_completed_whole_unless_windows_are_asked_for() -> None:
    model = Seen()
    side = int(SMALL**0.5)
    image, mask = torch.rand(1, 3, side, side), torch.zeros(1, 1, side, side)
    mask[..., 5:9, 5:9] = 1
    assert complete_windowed(model, image, mask).plan.windows == ()
    assert complete_windowed(model, image, mask, window="whole").plan.windows == ()
    assert model.sizes == [(side, side)] * 2  # and the cost was not asked for
    found = complete_windowed(model, image, mask, window=3)
    assert model.sizes[-1] == (12, 12)
    assert "it" not in found.notes[0].split()
    assert "the method sees 8 around each pixel" in found.notes[0]


def test_no_window_has_more_pixels_than_the_memory_allows_by_its_own_account() -> None:
    model = Seen(planes=50)
    image, mask = torch.rand(1, 3, 900, 900), torch.ones(1, 1, 900, 900)
    footprint = footprint_of(model)
    # 50 planes of float32, and the input, its copies and the mean beside them
    assert WORKSPACE * 4 * 50 <= footprint.each <= WORKSPACE * 4 * (50 + 20)
    model.sizes.clear()
    complete_windowed(model, image, mask, memory=0.01)
    most = (0.01 * GB - footprint.fixed) / footprint.each
    assert len(model.sizes) > 10
    assert max(height * width for height, width in model.sizes[2:]) <= most


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("partial_convolution", (40, 1500)),
        ("partial_convolution", (520, 520)),
        ("glcic", (520, 520)),
        ("contextual_attention", (512, 512)),
        ("contextual_attention", (496, 496)),
    ],
)
def test_the_estimate_is_no_less_than_the_tensors_that_live(built: Builder, name: str, size: tuple[int, int]) -> None:
    model = built(name)
    image, mask = torch.rand(1, 3, *size), torch.zeros(1, 1, *size)
    mask[..., 10:20, 10:20] = 1
    with _Living() as living:
        model.complete(image, mask)
    windowing = Windowing(model)
    estimate = footprint_of(model).of(windowing._pixels(size)) / WORKSPACE
    assert living.most <= 1.1 * estimate
    assert estimate <= 2 * living.most


def test_a_network_that_pads_inside_is_asked_for_windows_by_what_it_computes(built: Builder) -> None:
    model = built("partial_convolution")
    assert model.context is not None
    align, footprint = model.context.align, footprint_of(model)
    assert align > model.stride
    image, mask = torch.rand(1, 3, 600, 3 * align + 1), torch.zeros(1, 1, 600, 3 * align + 1)
    mask[:] = 1
    found = complete_windowed(model, image, mask, memory=footprint.of(200 * 200) / GB)
    for window in found.plan.windows:
        height, width = (-(-(last - first) // align) * align for first, last in (window.rows, window.columns))
        assert height * width <= 200 * 200


def test_memory_is_asked_for_by_the_hole_that_is_there_and_not_by_any_that_might_be() -> None:
    model = Seen("it takes all", planes=50)
    image, mask = torch.rand(1, 3, 600, 700), torch.zeros(1, 1, 600, 700)
    mask[..., 300:302, 300:303] = 1
    footprint = footprint_of(model)
    # the hole with 100 pixels around it, in multiples of 4; a hole of 100 x 100 would take 300 x 300
    enough = footprint.of(204 * 204) / GB
    windowing = Windowing(model, enough, 100)
    windowing.require(extents(mask)[0])
    assert windowing.complete(image, mask).plan.windows
    less = Windowing(model, footprint.of(190 * 190) / GB, 100)
    for refused in (lambda: less.require(extents(mask)[0]), lambda: less.complete(image, mask)):
        with pytest.raises(ValueError, match="do not suffice"):
            refused()


def test_an_image_without_a_hole_asks_no_network_and_comes_back_as_another_tensor() -> None:
    model = Seen()
    image = torch.rand(1, 3, 900, 900)
    found = complete_windowed(model, image, torch.zeros(1, 1, 900, 900), memory=1e-6)
    assert model.sizes == []
    assert torch.equal(found.image, image)
    assert found.image is not image
    assert found.plan.windows == ()


def test_numbers_of_numpy_are_numbers_and_text_is_none() -> None:
    assert Windowing(Seen(), np.float32(2), np.int64(32)).window == 32
    for wrong in (True, np.nan, float("inf"), -1):
        with pytest.raises(ValueError, match="is no number of gigabytes"):
            Windowing(Seen(), wrong)
    with pytest.raises(Exception, match="'2'"):  # of beartype, here
        Windowing(Seen(), "2")  # type: ignore[arg-type]


def test_one_pixel_is_one_pixel() -> None:
    image, mask = photograph()
    assert "with 1 pixel around each hole" in complete_windowed(Seen(), image, mask, window=1).notes[0]


def test_windows_hold_less_where_memory_does_not_suffice_for_all_that_a_method_sees(built: Builder) -> None:
    image, mask = photograph()
    model = built("glcic")
    footprint = footprint_of(model)
    found = complete_windowed(model, image, mask, memory=footprint.of(250 * 250) / GB)
    assert (found.image - model.complete(image, mask)).abs().max() < 0.1
    assert not found.plan.same
    assert max(window.pixels for window in found.plan.windows) <= 250 * 250
    enough = float(found.notes[0].split("the method sees 153 around each pixel, for which memory=")[1].split()[0])
    # a hole of 153 pixels with as many on either side, and up to 3 to the next multiple of 4
    assert enough == pytest.approx(footprint.of((3 * 153 + 2 * 3) ** 2) / GB, abs=0.01)
    assert complete_windowed(model, image, mask, memory=enough).plan.same
    # a single small hole needs less: 2 x 1 pixels with 153 on either side
    mask[:] = 0
    mask[..., 300:302, 300] = 1
    assert complete_windowed(model, image, mask, memory=footprint.of(316 * 316) / GB).plan.same


def test_memory_that_suffices_for_no_window_is_refused_with_what_would(built: Builder) -> None:
    image, mask = photograph()
    model = built("edgeconnect")
    for window in ("auto", 100):
        with pytest.raises(ValueError, match=r"memory=0\.001 gigabytes do not .* 701 x 603; give memory=") as told:
            complete_windowed(model, image, mask, memory=0.001, window=window)
        enough = float(str(told.value).split("memory=")[-1].split()[0])
        assert complete_windowed(model, image, mask, memory=enough, window=window).plan.windows
    with pytest.raises(ValueError, match="memory=0"):
        Windowing(model, memory=0)
    with pytest.raises(ValueError, match="window=some"):
        Windowing(model, window="some")
    with pytest.raises(ValueError, match="window=0"):
        Windowing(model, window=0)


def test_a_method_that_does_not_say_what_it_sees_is_told() -> None:
    class Silent(Seen):
        context = None  # type: ignore[assignment]

    image, mask = photograph()
    found = complete_windowed(Silent(), image, mask, memory=1e-4)
    assert found.plan.windows == ()
    assert "does not say what it sees" in found.notes[0]
    assert complete_windowed(Silent(), image, mask, memory=1e-1).notes == ()


def test_windows_read_nothing_of_the_hole_and_keep_to_drawn_edges() -> None:
    image, mask = photograph()
    model = Seen()
    expected = complete_windowed(model, image, mask).image
    for other in (torch.rand_like(image), torch.full_like(image, torch.nan)):
        changed = torch.where(mask > 0.5, other, image)
        assert torch.equal(complete_windowed(model, changed, mask).image, expected)
    drawn = torch.rand_like(mask)
    found = complete_windowed(model, image, mask, drawn)
    assert found.plan.windows
    hole = (mask > 0.5).expand_as(image)
    assert torch.equal(found.image[hole], drawn.expand_as(image)[hole])


def test_progress_rises_from_0_to_1_and_may_end_the_work(built: Builder) -> None:
    model = built("glcic").train()
    image, mask = photograph()
    before, shares = image.clone(), []
    complete_windowed(model, image, mask, progress=shares.append)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)
    assert len(shares) > 20  # inside a network, too

    def cancel(share: float) -> None:
        if share > 0.3:
            raise InterruptedError

    for window in ("auto", "whole"):
        with pytest.raises(InterruptedError):
            complete_windowed(model, image, mask, window=window, progress=cancel)
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.completion.modules() if isinstance(module, nn.ReLU))
    assert torch.equal(image, before)


def test_a_classical_method_takes_windows_where_they_are_asked_for(built: Builder) -> None:
    image, mask = photograph()
    model = built("telea")
    assert complete_windowed(model, image, mask, memory=1e-6).plan.windows == ()
    found = complete_windowed(model, image, mask, window=30)
    assert len(found.plan.windows) == 4
    # fast marching fills a hole from what is near it
    assert (found.image - model.complete(image, mask)).abs().max() < 0.02
    everything = torch.ones_like(mask)
    with pytest.raises(ValueError, match="known pixels"):
        complete_windowed(model, image, everything, window=30)


@pytest.mark.parametrize("size", [(1, 1), (1, 900_000), (700, 3), (3, 4)])
def test_thin_and_tiny_photographs_are_completed(built: Builder, size: tuple[int, int]) -> None:
    image, mask = torch.rand(1, 3, *size), torch.zeros(1, 1, *size)
    mask[..., size[0] // 2 :, size[1] // 2 : size[1] // 2 + 20] = 1
    for name in ("glcic", "partial_convolution"):
        for window in ("auto", 2):
            found = complete_windowed(built(name), image, mask, window=window)
            known = (mask == 0).expand_as(image)
            assert torch.equal(found.image[known], image[known])
            assert found.image.isfinite().all()


def test_several_images_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="2 images"):
        complete_windowed(Seen(), torch.rand(2, 3, 9, 9), torch.zeros(2, 1, 9, 9))


def test_an_image_without_a_hole_comes_back_and_one_that_is_all_hole_is_filled(built: Builder) -> None:
    image, mask = photograph()
    assert torch.equal(complete_windowed(built("glcic"), image, 0 * mask, window=20).image, image)
    model = Seen("it takes all")
    found = complete_windowed(model, image, torch.ones_like(mask), memory=0.003)
    assert found.plan.overlap
    assert found.image.isfinite().all()


def test_parts_of_a_hole_pass_into_each_other_and_known_pixels_stay() -> None:
    image, mask = torch.full((1, 3, 40, 100), 0.25), torch.zeros(1, 1, 40, 100)
    mask[..., 10:30, 20:80] = 1
    windows = Window((0, 40), (0, 70), (10, 30), (20, 50)), Window((0, 40), (30, 100), (10, 30), (50, 80))
    filling = Filling(10, image, mask)
    for window, value in zip(windows, (0.0, 1.0), strict=True):
        filling.take(window, torch.full((1, 3, 40, 70), value))
    row = filling.output[0, 0, 20]
    assert (filling.output[(mask == 0).expand_as(image)] == 0.25).all()
    assert (row[20:40] == 0).all()
    assert (row[60:80] == 1).all()
    steps = np.diff(row[39:61].numpy())
    assert (steps >= 0).all()
    assert steps.max() < 0.15
    assert row[49] + row[50] == pytest.approx(1)
    assert not filling.left.any()


def test_a_window_that_sees_nothing_known_sees_what_others_filled() -> None:
    image, mask = torch.full((1, 3, 64, 64), 0.25), torch.ones(1, 1, 64, 64)
    mask[..., :, :8] = 0
    outer, inner = Window((0, 64), (0, 40), (0, 64), (8, 32)), Window((0, 64), (24, 64), (0, 64), (32, 64))
    filling = Filling(8, image, mask)
    todo = [inner, outer]
    assert filling.next_of(todo) == outer
    assert filling.seen_by(outer)[1] is filling.mask
    filling.take(outer, torch.full((1, 3, 64, 40), 0.5))
    assert filling.next_of(todo) == inner
    seen, left = filling.seen_by(inner)
    assert (seen[..., 8:32] == 0.5).all()
    assert not left[..., :32].any()
    assert left[..., 40:].all()


def test_after_each_window_the_one_that_sees_most_comes_next() -> None:
    image, mask = torch.zeros(1, 3, 96, 160), torch.ones(1, 1, 96, 160)
    mask[..., :5, :] = mask[..., :, 150:] = 0
    windows = [
        Window((max(0, top - 8), min(96, top + 40)), (max(0, left - 8), min(160, left + 40)), *inner)
        for top in range(0, 96, 32)
        for left in range(0, 160, 32)
        for inner in [((top, top + 32), (left, left + 32))]
    ]
    filling, todo = Filling(8, image, mask), list(windows)
    while todo:
        known = [1 - float(filling.left[..., one.whole[0], one.whole[1]].mean()) for one in todo]
        expected = todo[int(np.argmax(known))]
        assert filling.next_of(todo) == expected
        filling.take(expected, torch.zeros(1, 3, *(last - first for first, last in (expected.rows, expected.columns))))
    assert not filling.left.any()
