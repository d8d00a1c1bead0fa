"""Laws of partial convolutions: the layer by hand, the U-Net's masks and sizes, both phases, and what is compiled."""

import pytest
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from torch import Tensor, nn

from inpaintlab.inpainting import fit
from inpaintlab.models import PartialConvolution
from inpaintlab.models.partial_convolution import PartialConv2d, PartialUNet
from stand_ins.building import Builder, Composer, Watch
from stand_ins.building import fit as train

NAME = "partial_convolution"
PRESETS = (NAME, "partial_convolution_naoto0804", "partial_convolution_mmagic")


def lengths(train: int = 0, finetune: int = 0) -> list[str]:
    return [f"model.schedule.phases.{phase}.batches={n}" for phase, n in (("train", train), ("finetune", finetune))]


def scene(size: int = 32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    image = F.interpolate(torch.rand(2, 3, 8, 8, generator=generator), size=size, mode="bilinear")
    mask = torch.zeros(2, 1, size, size)
    mask[0, :, size // 4 : size // 2, size // 4 : size // 2 + 3] = 1
    mask[1, :, : size // 3, size // 2 :] = 1
    return image, mask


# ----------------------------------------------------------------------------------------------------------- the layer


def test_a_window_is_scaled_up_by_the_share_of_its_valid_entries() -> None:
    layer = PartialConv2d([1], 1, 3, bias=True)
    layer.convolution.weight.data = torch.arange(9.0).view(1, 1, 3, 3)
    assert layer.bias is not None
    layer.bias.data.fill_(0.5)
    x, valid = torch.ones(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)
    valid[..., 2, 1:] = 1  # the weights 7 and 8
    output, updated = layer((x, valid))
    assert output.item() == pytest.approx((7 + 8) * 9 / 2 + 0.5)
    assert updated.item() == 1
    output, updated = layer((x, torch.zeros(1, 1, 3, 3)))
    assert (output.item(), updated.item()) == (0, 0)  # without the bias


def test_padding_is_not_valid_and_a_full_window_is_an_ordinary_convolution() -> None:
    layer = PartialConv2d([2], 3, 3, padding=1)
    x = torch.rand(1, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    output, updated = layer((x, torch.ones(1, 1, 5, 6)))
    plain = F.conv2d(x, layer.convolution.weight, padding=1)
    torch.testing.assert_close(output[..., 1:-1, 1:-1], plain[..., 1:-1, 1:-1])
    torch.testing.assert_close(output[..., 0, 0], plain[..., 0, 0] * 9 / 4)
    torch.testing.assert_close(output[..., 0, 1], plain[..., 0, 1] * 9 / 6)
    assert (updated == 1).all()


@pytest.mark.parametrize(("kernel", "shrinks"), [(3, 1), (5, 2), (7, 3)])
def test_a_hole_shrinks_by_half_a_kernel_on_each_side(kernel: int, shrinks: int) -> None:
    layer, valid = PartialConv2d([1], 1, kernel, padding=kernel // 2), torch.ones(1, 1, 24, 24)
    valid[..., 4:20, 6:18] = 0
    expected = torch.ones(1, 1, 24, 24)
    expected[..., 4 + shrinks : 20 - shrinks, 6 + shrinks : 18 - shrinks] = 0
    output, updated = layer((torch.rand(1, 1, 24, 24), valid))
    assert torch.equal(updated, expected)
    assert (output[expected == 0] == 0).all()


def test_a_plane_for_each_source_is_a_mask_for_each_channel() -> None:
    """The window's entries are counted over all channels, as with the whole mask."""
    generator = torch.Generator().manual_seed(1)
    parts = [torch.rand(2, channels, 7, 8, generator=generator) for channels in (3, 2)]
    masks = [(torch.rand(2, 1, 7, 8, generator=generator) > 0.7).float() for _ in parts]
    layer = PartialConv2d([3, 2], 4, 3, stride=2, padding=1)
    output, updated = layer(*zip(parts, masks, strict=True))
    whole = torch.cat([mask.expand_as(part) for part, mask in zip(parts, masks, strict=True)], dim=1)
    count = F.conv2d(whole, torch.ones(1, 5, 3, 3), stride=2, padding=1)
    raw = F.conv2d(torch.cat(parts, dim=1) * whole, layer.convolution.weight, stride=2, padding=1)
    torch.testing.assert_close(output, torch.where(count > 0, raw * 45 / count.clamp(min=1), 0))
    assert torch.equal(updated, (count > 0).float())


def test_what_is_not_valid_gets_no_gradient_and_the_mask_none_at_all() -> None:
    layer, x = PartialConv2d([2], 2, 3, padding=1), torch.rand(1, 2, 6, 6, requires_grad=True)
    valid = torch.ones(1, 1, 6, 6)
    valid[..., 2:4, 1:5] = 0
    layer((x, valid))[0].sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad != 0, (valid == 1).expand_as(x))


# ----------------------------------------------------------------------------------------------------------- the U-Net


@pytest.mark.parametrize(
    ("preset", "parameters"), list(zip(PRESETS, (32_859_732, 25_779_796, 25_779_860), strict=True)), ids=PRESETS
)
def test_the_network_has_the_published_parameters(composed: Composer, preset: str, parameters: int) -> None:
    with torch.device("meta"):
        model = instantiate(composed(f"model={preset}", "data=toy", "data.size=256").model)
    assert sum(p.numel() for p in model.network.parameters()) == parameters


@torch.no_grad()
def test_other_sizes_are_padded_with_pixels_that_are_not_valid(built: Builder) -> None:
    model = built(NAME).eval()
    image, mask = (plane[..., :29, :21] for plane in scene())
    beyond = (0, 24 - 21, 0, 32 - 29)  # multiples of 2 ** 3
    expected = model(F.pad(image, beyond, value=0.7), F.pad(mask, beyond, value=1.0))
    assert torch.equal(model(image, mask), expected[..., :29, :21])


@torch.no_grad()
def test_the_encoder_updates_the_masks_and_the_panels_show_all_of_them(built: Builder) -> None:
    model = built(NAME).eval()
    image, mask = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    mask[..., 4:30, 2:32] = 1
    found = [valid[0, 0] for _, valid in model.network.encode(image, 1 - mask)]
    assert [tuple(valid.shape) for valid in found] == [(32, 32), (16, 16), (8, 8), (4, 4)]
    for side, kernel, valid, updated in zip((32, 16, 8), (7, 5, 5), found, found[1:], strict=False):
        reached = F.max_pool2d(valid[None, None], kernel, 2, kernel // 2)[0, 0]
        assert torch.equal(updated, reached), side
    picture = model.seen_inside(image, mask)["updated masks"][0, 0]
    assert picture[0, 0] == 1  # known
    assert (
        picture[16, 16] == sum(float(valid[16 // (32 // len(valid)), 16 // (32 // len(valid))]) for valid in found) / 4
    )
    assert 0 < picture[16, 16] < picture[8, 8] < 1


def test_the_deepest_pixel_needs_two_pictures_only_while_its_norm_learns(built: Builder) -> None:
    one_pixel = ["model.levels=5", "model.image_size=32"]
    assert built(NAME, *one_pixel, *lengths(train=1)).smallest_batch == 2
    assert built(NAME, *one_pixel, *lengths(finetune=1)).smallest_batch == 1
    assert built(NAME, "model.levels=4", "model.image_size=32", *lengths(train=1)).smallest_batch == 1


@pytest.mark.parametrize("levels", [1, 11])
def test_levels_that_are_none_are_refused(built: Builder, levels: int) -> None:
    with pytest.raises(Exception, match=rf"model\.levels is {levels}; give a whole number from 2 to 10"):
        built(NAME, f"model.levels={levels}")


# ---------------------------------------------------------------------------------------------------------- the losses


@pytest.mark.parametrize("preset", PRESETS)
def test_every_loss_is_the_papers_formula(built: Builder, preset: str) -> None:
    model: PartialConvolution = built(preset, *lengths(train=1)).double()
    model.setup("fit")
    model.vgg[0].double()
    image, mask = (plane.double() for plane in scene())
    losses = model.losses(image, mask)

    signed = preset.endswith("mmagic")
    offset, scale = ([0.5] * 3,) * 2 if signed else ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    offset, scale = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (offset, scale))
    target = (image - offset) / scale
    output = model.network(target * (1 - mask), 1 - mask)
    composite = output * mask + target * (1 - mask)
    error, everywhere = (output - target).abs(), torch.ones_like(mask)
    for name, region in (("hole", mask), ("valid", 1 - mask)):
        over = region if signed else everywhere
        torch.testing.assert_close(losses[name], (error * region).sum() / (3 * over.sum()))

    def features(planes: Tensor) -> dict[str, Tensor]:
        colours = planes * scale + offset
        return model.vgg[0](colours.flip(1) if signed else colours)

    def gram(x: Tensor) -> Tensor:
        return torch.einsum("bchw,bdhw->bcd", x, x) / x[0].numel()

    truth = features(target)
    pairs = [(features(seen)[name], truth[name]) for seen in (output, composite) for name in model.LAYERS]
    torch.testing.assert_close(losses["perceptual"], torch.stack([(a - b).abs().mean() for a, b in pairs]).sum())
    style = torch.stack([(gram(a) - gram(b)).abs().mean() for a, b in pairs]).sum()
    torch.testing.assert_close(losses["style"], style, rtol=1e-5, atol=0)  # relative to differences of Gram matrices

    if preset == NAME:
        near = F.max_pool2d(mask, 3, 1, 1)
        across, down = near[..., 1:] * near[..., :-1], near[..., 1:, :] * near[..., :-1, :]
    else:
        across, down = (mask if signed else everywhere)[..., :-1], (mask if signed else everywhere)[..., :-1, :]
    steps = composite.diff(dim=-1).abs() * across, composite.diff(dim=-2).abs() * down
    counts = [3 * region.sum() if signed else 3 * region.numel() for region in (across, down)]
    total_variation = sum(step.sum() / count for step, count in zip(steps, counts, strict=True))
    torch.testing.assert_close(losses["total_variation"], total_variation)


def test_a_loss_without_a_weight_is_left_out_and_without_two_of_them_no_vgg_is_needed(built: Builder) -> None:
    off = [f"model.weights.network.{name}=null" for name in ("perceptual", "style", "total_variation")]
    model = built(NAME, *lengths(train=1), *off, "model.vgg=/no/such/file")
    model.setup("fit")
    assert model.constants() == []
    assert model.losses(*scene()).keys() == {"valid", "hole"}


# ---------------------------------------------------------------------------------------------------------- the phases


@pytest.mark.parametrize("frozen", ["statistics", "all"])
def test_finetuning_freezes_the_encoders_norms_alone(built: Builder, frozen: str) -> None:
    model, watch = built(NAME, *lengths(1, 2), f"model.frozen_norm={frozen}"), Watch(["network"])
    keys = set(model.network.state_dict())
    norms = {key for key in keys if key.startswith("encoder.") and ".norm." in key}
    statistics = {key for key in norms if key.rpartition(".")[2] not in ("weight", "bias")}
    train(model, watch)
    first, *finetuned = (batch.changed["network"] for batch in watch.batches)
    assert first == keys
    assert finetuned == [keys - (statistics if frozen == "statistics" else norms)] * 2
    assert [batch.rates for batch in watch.batches] == [[2e-4], [5e-5], [5e-5]]
    assert all(module.training for module in model.network.modules())
    assert all(p.requires_grad for p in model.network.parameters())


def test_adam_keeps_its_state_from_phase_to_phase(built: Builder) -> None:
    model = built(NAME, *lengths(2, 2), "model.frozen_norm=statistics")
    trainer = train(model)
    (optimizer,) = trainer.optimizers
    assert {int(state["step"]) for state in optimizer.state.values()} == {4}


# ------------------------------------------------------------------------------------------------ precision, compiling


def gradient(built: Builder, phase: str, precision: str, dtype: torch.dtype = torch.float32) -> Tensor:
    model: PartialConvolution = built(NAME, "model.width=0.125", *lengths(train=1))
    model.setup("fit")
    fit(model.networks(), "cpu", precision, model.constants())
    model.to(dtype)
    if precision == "64-true":
        model.vgg[0].to(dtype)
    total: list[Tensor] = []
    model.optimizers = lambda: None  # type: ignore[method-assign,assignment,return-value]
    model.descend = lambda loss, *_: total.append(loss)  # type: ignore[method-assign]
    image, mask = (plane.to(dtype) for plane in scene(64))
    rounded = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    with torch.autocast("cpu", rounded, enabled=precision.endswith("mixed"), cache_enabled=False):
        model.PHASES[phase](model, {"image": image, "mask": mask})
    total[0].backward()
    return torch.cat([p.grad.double().flatten() for p in model.network.parameters() if p.grad is not None])


@pytest.mark.parametrize("phase", ["train", "finetune"])
def test_mixed_precision_keeps_the_direction_of_the_gradient(built: Builder, phase: str) -> None:
    exact = gradient(built, phase, "64-true", torch.float64)
    for precision in ("bf16-mixed", "16-mixed"):
        rounded = gradient(built, phase, precision)
        assert 0.999 < torch.cosine_similarity(exact, rounded, dim=0) < 1 - 1e-9
        assert 0.98 < rounded.norm() / exact.norm() < 1.02


def test_the_mask_is_counted_in_float32_under_mixed_precision() -> None:
    """4608 entries of which 4607 are valid: neither is a number in bfloat16."""
    layer = PartialConv2d([512], 1, 3)
    valid = torch.ones(1, 1, 3, 3)
    valid[..., 0, 0] = 0
    with torch.autocast("cpu", torch.bfloat16):
        _, ratio = layer.validity(valid)
    assert ratio.item() == pytest.approx(9 / 8, rel=1e-6)


def test_networks_are_the_generators_and_learn_all_that_there_is(built: Builder) -> None:
    model = built(NAME)
    assert model.networks() == model.generators() == [model.network]
    assert sum(1 for _ in model.parameters()) == sum(1 for _ in model.network.parameters())
    assert isinstance(model.network, PartialUNet)
    assert all(not isinstance(m, nn.Conv2d) or m.bias is None for m in model.network.modules())
