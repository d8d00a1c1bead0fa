"""Importing partial convolutions: what the publishers' networks paint from the same files, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.importers.checkpoint import read_published
from stand_ins import published_files as files

State = dict[str, Tensor]
MEAN, DEVIATION = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@pytest.fixture
def scene() -> dict[str, Tensor]:
    """Two pictures with holes, whose sides are multiples of 2 ** 7."""
    generator = torch.Generator().manual_seed(5)
    image = F.interpolate(torch.rand(2, 3, 8, 16, generator=generator), size=(128, 256), mode="bicubic").clamp(0, 1)
    mask = torch.zeros(2, 1, 128, 256)
    mask[0, :, 28:100, 10:246] = 1
    mask[1, :, 4:12, 16:32] = 1
    return {"image": image, "mask": mask}


def paints(state: State, image: Tensor, valid: Tensor, named: Callable[[str, int], str], summed: bool) -> Tensor:
    """Their forward pass, with a mask for each channel, from the names of a layer's tensors.

    Args:
        state: their tensors.
        image: in their range.
        valid: 1 = valid.
        named: the beginning of a layer's names, from 'enc' or 'dec' and its level.
        summed: naoto0804's division by the number of valid entries, not by their share.
    """

    def layer(network: str, level: int, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        stem = named(network, level)
        part = "conv.input_conv" if summed else "conv"
        weight, bias = state[f"{stem}.{part}.weight"], state.get(f"{stem}.{part}.bias")
        stride = 2 if network == "enc" else 1
        count = F.conv2d(mask, torch.ones_like(weight), None, stride, weight.shape[-1] // 2)
        raw = F.conv2d(x * mask, weight, None, stride, weight.shape[-1] // 2)
        out = torch.where(count > 0, raw / count.clamp(min=1) * (1 if summed else weight[0].numel()), 0)
        if bias is not None:
            out = torch.where(count > 0, out + bias.view(-1, 1, 1), 0)
        if level > 1:
            names = ("running_mean", "running_var", "weight", "bias")
            out = F.batch_norm(out, *(state[f"{stem}.bn.{name}"] for name in names))
        if network == "enc":
            out = out.relu()
        elif level > 1:
            out = F.leaky_relu(out, 0.2)
        return out, (count > 0).to(out)

    levels = 7
    outputs = [(image, valid.expand_as(image))]
    for level in range(1, levels + 1):
        outputs.append(layer("enc", level, *outputs[-1]))
    x, mask = outputs.pop()
    for level in range(levels, 0, -1):
        up = [plane.repeat_interleave(2, 2).repeat_interleave(2, 3) for plane in (x, mask)]
        x, mask = layer(
            "dec", level, *(torch.cat([own, skip], dim=1) for own, skip in zip(up, outputs.pop(), strict=True))
        )
    return x


@torch.no_grad()
def test_naoto0804s_network_paints_as_before(tmp_path: Path, scene: dict[str, Tensor]) -> None:
    paths = files.naoto0804(tmp_path, n=8)
    state = {key: value.double() for key, value in files.naoto0804_state(n=8).items()}
    model, record, weights = read_published(paths, "pconv-naoto0804")
    image, mask = scene["image"], scene["mask"]
    theirs = paints(state, ((image - MEAN) / DEVIATION).double(), 1 - mask.double(), lambda n, i: f"{n}_{i}", True)
    raw = model.raw_output(image, mask)
    torch.testing.assert_close(raw, (theirs * DEVIATION + MEAN).clamp(0, 1).float(), atol=1e-4, rtol=0)
    assert 0.02 < raw.std() < 1
    assert record["preset"] == "partial_convolution_naoto0804"
    assert (record["iterations"], record["absent"]) == (1_000_000, [])
    first = state["enc_1.conv.input_conv.weight"]
    assert torch.equal(weights["network.encoder.0.partial.convolution.weight"], (first / (3 * 7 * 7)).float())


@torch.no_grad()
def test_mmagics_network_paints_as_before_in_rgb(tmp_path: Path, scene: dict[str, Tensor]) -> None:
    paths = files.mmagic_pconv(tmp_path, n=8)
    state = {key: value.double() for key, value in files.mmagic_pconv_state(n=8).items()}
    model, record, _ = read_published(paths, "pconv-mmagic")
    image, mask = scene["image"], scene["mask"]
    bgr = (2 * image - 1).flip(1).double()
    theirs = paints(state, bgr, 1 - mask.double(), lambda n, i: f"generator.{n}oder.{n}{i}", False)
    raw = model.raw_output(image, mask)
    torch.testing.assert_close(raw, ((theirs.flip(1) + 1) / 2).clamp(0, 1).float(), atol=1e-4, rtol=0)
    assert 0.02 < raw.std() < 1
    assert record["preset"] == "partial_convolution_mmagic"


def test_fewer_levels_are_found(tmp_path: Path) -> None:
    path = files.save(tmp_path / "a.pth", {"model": files.naoto0804_state(levels=5)})
    _, record, weights = read_published([path], "pconv-naoto0804")
    assert (record["model"]["levels"], record["model"]["width"]) == (5, 2 / 64)
    assert record["iterations"] is None
    assert "network.decoder.4.partial.bias" in weights


def test_the_synthetic_files_have_as_many_tensors_as_the_published_layouts() -> None:
    assert len(files.naoto0804_state()) == 89
    assert len(files.mmagic_pconv_state()) == 90 + 1  # and one of the loss's


Change = Callable[[State], Any]

REFUSED: dict[str, tuple[str, Change, str]] = {
    "missing": ("naoto0804", lambda s: s.pop("dec_3.bn.bias"), "1 missing: dec_3.bn.bias"),
    "unexpected": ("naoto0804", lambda s: s.update(extra=torch.ones(1)), "1 unexpected: extra"),
    "shape": (
        "naoto0804",
        lambda s: s.update({"dec_1.conv.input_conv.weight": torch.ones(3, 4, 3, 3)}),
        "1 of another shape: dec_1.conv.input_conv.weight (3, 4, 3, 3) instead of (3, 5, 3, 3)",
    ),
    "no levels": ("naoto0804", lambda s: s.pop("enc_1.conv.input_conv.weight"), "enc_1.conv.input_conv.weight is miss"),
    "nan": ("naoto0804", lambda s: s["enc_4.bn.weight"].fill_(torch.nan), "not finite, in enc_4.bn.weight"),
    "infinity": (
        "mmagic",
        lambda s: s["generator.decoder.dec1.conv.weight"].fill_(torch.inf),
        "not finite, in generator.decoder.dec1.conv.weight",
    ),
    "variance": ("mmagic", lambda s: s["generator.encoder.enc2.bn.running_var"].fill_(-1), "variances below 0"),
    "a mask that does not count": (
        "naoto0804",
        lambda s: s["enc_2.conv.mask_conv.weight"].fill_(2),
        "1 unexpected: enc_2.conv.mask_conv.weight",
    ),
    "a mask of no layer": (
        "mmagic",
        lambda s: s.update({"generator.encoder.enc9.conv.weight_mask_updater": torch.ones(2, 2, 3, 3)}),
        "1 unexpected: generator.encoder.enc9.conv.weight_mask_updater",
    ),
    "too wide": (
        "mmagic",
        lambda s: s.update({"generator.encoder.enc1.conv.weight": torch.ones(65, 3, 7, 7)}),
        "it should be a convolution with 64 output channels",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(tmp_path: Path, case: str) -> None:
    publisher, change, sentence = REFUSED[case]
    part, state = {
        "naoto0804": ("model", files.naoto0804_state()),
        "mmagic": ("state_dict", files.mmagic_pconv_state()),
    }[publisher]
    change(state)
    path = files.save(tmp_path / "a.pth", {part: state})
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        read_published([path], f"pconv-{publisher}")
    assert sentence in str(error.value)


@pytest.mark.parametrize(("layout", "part"), [("naoto0804", "model"), ("mmagic", "state_dict")])
def test_other_files_and_several_are_refused(tmp_path: Path, layout: str, part: str) -> None:
    path = files.save(tmp_path / "a.pth", {"generator": {}})
    with pytest.raises(ValueError, match=f"has no entry '{part}'"):
        read_published([path], f"pconv-{layout}")
    with pytest.raises(ValueError, match="are one file; got 2"):
        read_published([path, path], f"pconv-{layout}")
    with pytest.raises(ValueError, match=f"{part} is no state dict"):
        read_published([files.save(path, {part: [1, 2]})], f"pconv-{layout}")
