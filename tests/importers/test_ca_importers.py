"""Importing Contextual Attention: what the publishers' networks compute from the same files, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.importers import LAYOUTS, import_checkpoint
from inpaintlab.importers.checkpoint import read_published
from stand_ins import published_files as files
from stand_ins.tensorflow1_writer import write

State = dict[str, Tensor]


def same_padding(x: Tensor, kernel: int, stride: int, dilation: int) -> Tensor:
    """TensorFlow's SAME."""
    around: list[int] = []
    for side in (x.shape[-1], x.shape[-2]):
        total = max((-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
        around += [total // 2, total - total // 2]
    return F.pad(x, around)


def first_stage(arrays: dict[str, np.ndarray], image: Tensor, mask: Tensor) -> Tensor:
    """The authors' first stage by their variables; BGR in [-1, 1] in and out."""
    x = torch.cat([image * (1 - mask), torch.ones_like(mask), mask], dim=1)
    for name, *_ in files._COARSE:
        if name.endswith("_upsample"):
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        stem = f"inpaint_net/{name}" + (f"/{name}_conv" if name.endswith("_upsample") else "")
        kernel, bias = (torch.from_numpy(arrays[f"{stem}/{part}"]) for part in ("kernel", "bias"))
        stride = 2 if name.endswith("_downsample") else 1
        dilation = 2 ** (int(name[4:-7]) - 6) if name.endswith("_atrous") else 1
        x = same_padding(x, len(kernel), stride, dilation)
        x = F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride, dilation=dilation)
        x = x if name == "conv17" else F.elu(x)
    return x.clamp(-1, 1)


def verdict(arrays: dict[str, np.ndarray], branch: str, image: Tensor) -> Tensor:
    """A critic of the authors' by their variables, which flattens rows, columns, channels."""
    x = image
    for number in range(1, 5):
        stem = f"discriminator/discriminator_{branch}/conv{number}"
        kernel, bias = (torch.from_numpy(arrays[f"{stem}/{part}"]) for part in ("kernel", "bias"))
        x = F.leaky_relu(F.conv2d(same_padding(x, 5, 2, 1), kernel.permute(3, 2, 0, 1), bias, 2), 0.2)
    stem = f"discriminator/dout_{branch}_fc"
    kernel, bias = (torch.from_numpy(arrays[f"{stem}/{part}"]) for part in ("kernel", "bias"))
    return x.permute(0, 2, 3, 1).flatten(1) @ kernel + bias


def picture(side: int) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def test_the_authors_variables_paint_and_judge_as_before(tmp_path: Path) -> None:
    model, record, _ = read_published(files.ca_official(tmp_path), "ca-official")
    arrays = files.ca_official_state()
    image, mask = picture(64), torch.zeros(2, 1, 64, 64)
    mask[..., 8:40, 20:50] = 1
    bgr = 2 * image.flip(1) - 1
    coarse, _ = model.generator(image, mask)
    theirs = first_stage(arrays, bgr, mask)
    torch.testing.assert_close(coarse, (theirs.flip(1) + 1) / 2, atol=1e-5, rtol=0)
    assert 0.02 < coarse.std() < 1
    window = bgr[..., 5:37, 9:41]
    expected = torch.cat([verdict(arrays, "local", window), verdict(arrays, "global", bgr)], dim=1)
    torch.testing.assert_close(model.critics(image, image[..., 5:37, 9:41]), expected, atol=1e-5, rtol=1e-5)
    assert (record["preset"], record["iterations"], record["absent"]) == ("contextual_attention", 1_000_000, [])
    settings = {key: record["model"][key] for key in ("width", "image_size", "patch_size", "planes", "flavour")}
    assert settings == {"width": 1 / 16, "image_size": 64, "patch_size": 32, "planes": "bgr", "flavour": "released"}
    assert [file["name"] for file in record["imported"]["files"]] == ["snap-0.index", "snap-0.data-00000-of-00001"]


PRESETS = {
    "daa233": (files.ca_daa233, "contextual_attention_daa233", "rgb"),
    "mmagic": (files.ca_mmagic, "contextual_attention_mmagic", "bgr"),
}


def test_the_same_weights_in_three_publications_are_the_same_here(tmp_path: Path) -> None:
    _, _, expected = read_published(files.ca_official(tmp_path), "ca-official")
    for layout, (write_files, preset, planes) in PRESETS.items():
        model, record, weights = read_published(write_files(tmp_path / layout), f"ca-{layout}")
        assert (record["preset"], record["absent"], record["model"]["planes"]) == (preset, [], planes)
        for name, tensor in expected.items():
            if name.startswith("generator.") or layout == "mmagic" or "global_critic" in name:
                assert torch.equal(weights[name], tensor), (layout, name)
        assert weights.keys() == expected.keys()
        assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in weights.items())


def test_critics_may_be_missing(tmp_path: Path) -> None:
    generator = {key: tensor for key, tensor in files.ca_mmagic_state().items() if not key.startswith("disc.")}
    cases = {
        "ca-official": files.ca_official(tmp_path, critics=False),
        "ca-daa233": files.ca_daa233(tmp_path)[:1],
        "ca-mmagic": [files.save(tmp_path / "a.pth", {"state_dict": generator})],
    }
    for layout, paths in cases.items():
        found = LAYOUTS[layout](paths, None)
        assert ([network.ours for network in found.networks], found.absent) == (["generator"], ["critics"])
        assert (found.size, found.settings) == (256, {"width": 1 / 16})
    lines = import_checkpoint(cases["ca-official"], "ca-official", tmp_path / "out.ckpt")
    assert lines == [
        f"generator: {sum(tensor.numel() for tensor in generator.values()) - 9:,} parameters",  # without the fuse's
        "critics: not in the files; it starts from random weights if it is trained",
        f"model=contextual_attention -> {tmp_path}/out.ckpt",
    ]


def test_converted_weights_are_the_authors_and_computed_as_theirs(tmp_path: Path) -> None:
    path = files.save(tmp_path / "torch_model.p", files.ca_daa233_state(prefix="netG."), zipped=False)
    _, record, weights = read_published([path], "ca-daa233")
    assert (record["preset"], record["model"]["flavour"], record["model"]["planes"]) == (
        *("contextual_attention", "released", "bgr"),
    )
    _, _, expected = read_published(files.ca_official(tmp_path), "ca-official")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())
    with pytest.raises(ValueError, match="which no critics of daa233's belong to"):
        read_published([path, files.ca_daa233(tmp_path)[1]], "ca-daa233")


def test_the_synthetic_files_have_as_many_tensors_as_the_published_layouts() -> None:
    assert len(files.ca_official_state()) == 3 * (84 + 20) + 4
    assert len(files.ca_daa233_state()) == 84
    assert [len(state) for state in files.ca_daa233_critics().values()] == [10, 10]
    assert len(files.ca_mmagic_state()) == 85 + 20


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "missing": ("official", lambda s: s.pop("inpaint_net/xconv5/bias"), "1 missing: inpaint_net/xconv5/bias"),
    "of version 2": (
        "official",
        lambda s: s.update({"discriminator/sn_patch_gan/conv1/kernel_sn/u": np.ones((1, 2), np.float32)}),
        "1 unexpected: discriminator/sn_patch_gan/conv1/kernel_sn/u",
    ),
    "unexpected": ("official", lambda s: s.update(other=np.ones(1, np.float32)), "1 unexpected: other"),
    "shape": (
        "official",
        lambda s: s.update({"inpaint_net/conv3/kernel": np.ones((3, 3, 4, 5), np.float32)}),
        "1 of another shape: inpaint_net/conv3/kernel (5, 4, 3, 3) instead of (4, 4, 3, 3)",
    ),
    "integers": (
        "official",
        lambda s: s.update({"inpaint_net/conv3/bias": np.ones(4, np.int32)}),
        "1 of other numbers: inpaint_net/conv3/bias torch.int32",
    ),
    "nan": (
        "official",
        lambda s: s.update({"inpaint_net/conv3/bias": np.full(4, np.nan, np.float32)}),
        "not finite, in inpaint_net/conv3/bias",
    ),
    "no first layer": ("official", lambda s: s.pop("inpaint_net/conv1/kernel"), "inpaint_net/conv1/kernel is missing"),
    "too wide": (
        "official",
        lambda s: s.update({"inpaint_net/conv1/kernel": np.ones((5, 5, 5, 33), np.float32)}),
        "it should be a convolution with 32 output channels",
    ),
    "half a critic": (
        "official",
        lambda s: s.pop("discriminator/dout_local_fc/kernel"),
        "discriminator/dout_local_fc/kernel is missing or no dense layer with one output",
    ),
    "no square": (
        "official",
        lambda s: s.update({"discriminator/dout_global_fc/kernel": np.ones((16 * 3, 1), np.float32)}),
        "has 48 inputs, which is no square of features",
    ),
    "a window larger than the image": (
        "official",
        lambda s: s.update({"discriminator/dout_local_fc/kernel": np.ones((32 * 25, 1), np.float32)}),
        "its local critic is built for 80 pixels, its global one for 64",
    ),
    "another fuse": (
        "mmagic",
        lambda s: s["generator.stage2.contextual_attention_neck.contextual_attention.fuse_kernel"].fill_(1),
        "1 unexpected: generator.stage2.contextual_attention_neck.contextual_attention.fuse_kernel",
    ),
    "missing in mmagic's": (
        "mmagic",
        lambda s: s.pop("generator.stage2.decoder.dec1.conv.weight"),
        "1 missing: generator.stage2.decoder.dec1.conv.weight",
    ),
    "missing in daa233's": (
        "daa233",
        lambda s: s.pop("fine_generator.conv10_atrous.conv.bias"),
        "1 missing: fine_generator.conv10_atrous.conv.bias",
    ),
    "both kinds of names": (
        "daa233",
        lambda s: s.update({"netG.fine_generator.conv1.conv.bias": torch.ones(2)}),
        "netG.coarse_generator.conv1.conv.weight is missing",
    ),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, State]:
    """The networks' state dicts at the width of the files here."""
    model, *_ = read_published(files.ca_official(tmp_path_factory.mktemp("sound")), "ca-official")
    return {name: getattr(model, name).state_dict() for name in ("generator", "critics")}


def adopted(layout: str, path: Path, expected: dict[str, State]) -> list[State]:
    """The networks of a file, in place of those of a model."""
    return [network.adopt(expected[network.ours]) for network in LAYOUTS[layout]([path], None).networks]


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(tmp_path: Path, expected: dict[str, State], case: str) -> None:
    publisher, change, sentence = REFUSED[case]
    state: Any = {
        "official": files.ca_official_state,
        "mmagic": files.ca_mmagic_state,
        "daa233": files.ca_daa233_state,
    }[publisher]()
    change(state)
    if publisher == "official":
        path = write(tmp_path, state)[0]
    else:
        path = files.save(tmp_path / "a.pth", {"state_dict": state} if publisher == "mmagic" else state)
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        adopted(f"ca-{publisher}", path, expected)
    assert sentence in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    generator, critics = files.ca_daa233(tmp_path)
    for paths, sentence in (
        ([generator, generator], "both hold the generator"),
        ([critics], "No file holds the generator"),
        ([files.save(tmp_path / "b.pt", [1, 2])], "is none of daa233's files"),
        ([files.save(tmp_path / "c.pt", {"localD": {}, "netD": {}}), generator], "1 other entries"),
        ([files.save(tmp_path / "d.pt", {"localD": {}}), generator], "localD is no state dict"),
    ):
        with pytest.raises(ValueError, match=sentence):
            read_published(paths, "ca-daa233")
    with pytest.raises(ValueError, match="has no entry 'state_dict'"):
        read_published([generator], "ca-mmagic")
    with pytest.raises(ValueError, match="is one file; got 2"):
        read_published([generator, critics], "ca-mmagic")
    with pytest.raises(ValueError, match=r"is a folder, or one file \.index .* got gen_00430000\.pt"):
        read_published([generator], "ca-official")
    for layout in ("ca-official", "ca-daa233", "ca-mmagic"):
        with pytest.raises(ValueError, match="leave the mean pixel out"):
            read_published([generator], layout, [0.5, 0.5, 0.5])
