"""Importing Context Encoders: what the publishers' networks paint from the same files, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.importers.checkpoint import read_published
from inpaintlab.models import ContextEncoder
from stand_ins import published_files as files
from stand_ins.torch7_writer import Object, dumps

FILL = torch.tensor([2 * value / 255 - 1 for value in (117, 104, 123)]).view(3, 1, 1)


@pytest.fixture
def scene() -> tuple[Tensor, Tensor]:
    """Two pictures, and the hole that the authors' code erases."""
    generator = torch.Generator().manual_seed(5)
    image = F.interpolate(torch.rand(2, 3, 8, 8, generator=generator), size=128, mode="bicubic").clamp(0, 1)
    mask = torch.zeros(2, 1, 128, 128)
    mask[..., 36:92, 36:92] = 1
    return image, mask


def predicts(layers: list[dict[str, dict[str, Tensor]]], image: Tensor) -> Tensor:
    """Their forward pass, in [-1, 1]."""
    x = 2 * image - 1
    x[..., 36:92, 36:92] = FILL
    for index, layer in enumerate(layers):
        convolution, stride = layer["convolution"], 1 if index in (5, 6) else 2
        apply = F.conv2d if index < 6 else F.conv_transpose2d
        x = apply(x, convolution["weight"], convolution.get("bias"), stride, stride // 2)
        if norm := layer.get("norm"):
            x = F.batch_norm(x, *(norm[key] for key in ("running_mean", "running_var", "weight", "bias")))
        x = F.leaky_relu(x, 0.2) if index < 6 else x.tanh() if index == 10 else x.relu()
    return x


def assert_paints(model: Any, theirs: Tensor, image: Tensor, mask: Tensor) -> None:
    assert isinstance(model, ContextEncoder)
    expected = image.clone()
    expected[..., 36:92, 36:92] = ((theirs + 1) / 2)[..., 4:60, 4:60]
    raw = model.raw_output(image, mask)
    torch.testing.assert_close(raw, expected, atol=1e-5, rtol=0)
    assert 0.02 < raw[..., 36:92, 36:92].std() < 1


@torch.no_grad()
def test_boyuanjiangs_network_paints_as_before(tmp_path: Path, scene: tuple[Tensor, Tensor]) -> None:
    model, record, weights = read_published(files.boyuanjiang(tmp_path, n=8), "ce-boyuanjiang")
    assert_paints(model, predicts(files.centre_layers(8, 5), scene[0]), *scene)
    assert record["preset"] == "context_encoder_boyuanjiang"
    assert record["absent"] == ["discriminator"]
    assert weights["generator.encoder.1.1.num_batches_tracked"] == 7
    assert (model.recipe["bottleneck"], model.recipe["width"], model.recipe["bias"]) == (5, 8 / 64, False)


@pytest.mark.parametrize("std", [False, True], ids=["variance", "old"])
@torch.no_grad()
def test_the_authors_network_paints_as_before_with_its_biases(
    tmp_path: Path, scene: tuple[Tensor, Tensor], std: bool
) -> None:
    (tmp_path / "a.t7").write_bytes(dumps(files.centre_content(8, std=std)))
    model, record, _ = read_published([tmp_path / "a.t7"], "ce-official")
    assert_paints(model, predicts(files.centre_layers(8, 5, bias=True), scene[0]), *scene)
    assert record["preset"] == "context_encoder"
    assert model.recipe["bias"] is True


@torch.no_grad()
def test_biases_of_zero_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.t7").write_bytes(dumps(files.centre_content(bias=False)))
    model, _, weights = read_published([tmp_path / "a.t7"], "ce-official")
    assert model.recipe["bias"] is False
    assert "generator.encoder.0.0.bias" not in weights


def test_a_file_from_before_batches_were_counted_is_read(tmp_path: Path) -> None:
    state = {key: value for key, value in files.boyuanjiang_state().items() if "batches" not in key}
    path = files.save(tmp_path / "a.pth", {"epoch": 1, "state_dict": state})
    assert read_published([path], "ce-boyuanjiang")[2]["generator.decoder.0.1.num_batches_tracked"] == 0
    state["main.3.num_batches_tracked"] = torch.tensor(1)  # either all of them or none
    files.save(path, {"epoch": 1, "state_dict": state})
    with pytest.raises(ValueError, match="8 missing"):
        read_published([path], "ce-boyuanjiang")


# ------------------------------------------------------------------------------------------------------------- refused

Change = Callable[[Any], Any]


def module(content: Object, place: int) -> Object:
    """A module of the authors' network, counted from 0 through the encoder and the rest."""
    inner, *rest = content.fields["modules"]
    return (inner.fields["modules"] + rest)[place]


TORCH7: dict[str, tuple[Change, str]] = {
    "a module less": (lambda c: c.fields["modules"].pop(), "an nn.Sequential of 17 modules"),
    "a flat encoder": (lambda c: c.fields["modules"].__setitem__(0, Object("nn.ReLU", {})), "of 17 modules"),
    "another layer": (
        lambda c: setattr(module(c, 18), "kind", "nn.SpatialDropout"),
        "module 18 is 'nn.SpatialDropout'",
    ),
    "another stride": (lambda c: module(c, 2).fields.update(dW=1), "module 2 has dW = 1.0; the authors' network has 2"),
    "another slope": (lambda c: module(c, 1).fields.update(negval=0.1), "module 1 has negval = 0.1"),
    "no weight": (lambda c: module(c, 5).fields.pop("weight"), "module 5 has no tensor 'weight'"),
    "a shape": (
        lambda c: module(c, 8).fields.update(weight=np.ones((3, 4, 4, 4), "f4")),
        "1 of another shape: 8.weight (3, 4, 4, 4) instead of (8, 4, 4, 4)",
    ),
    "nan": (lambda c: module(c, 3).fields["weight"].fill(np.nan), "not finite, in 3.weight"),
    "a bias of nan": (lambda c: module(c, 29).fields["bias"].fill(np.nan), "not finite, in 29.bias"),
    "a negative std": (
        lambda c: module(c, 6).fields.update(running_std=-module(c, 6).fields.pop("running_var")),
        "'running_std' of module 6 is not positive",
    ),
    "a negative variance": (
        lambda c: module(c, 6).fields["running_var"].fill(-1),
        "variances below 0, in 6.running_var",
    ),
    "too many features": (
        lambda c: module(c, 14).fields.update(weight=np.ones((4001, 1, 4, 4), "f4")),
        "with up to 4000 features",
    ),
    "an eps": (lambda c: module(c, 3).fields.update(eps="x"), "module 3 has eps = 'x'"),
}


@pytest.mark.parametrize("case", TORCH7)
def test_what_is_not_the_authors_network_is_refused(tmp_path: Path, case: str) -> None:
    change, sentence = TORCH7[case]
    content = files.centre_content()
    change(content)
    path = tmp_path / "a.t7"
    path.write_bytes(dumps(content))
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        read_published([path], "ce-official")
    assert sentence in str(error.value)


PYTORCH: dict[str, tuple[Change, str]] = {
    "missing": (lambda s: s.pop("main.21.bias"), "1 missing: main.21.bias"),
    "unexpected": (lambda s: s.update(extra=torch.ones(1)), "1 unexpected: extra"),
    "a bias": (lambda s: s.update({"main.0.bias": torch.ones(2)}), "1 unexpected: main.0.bias"),
    "no bottleneck": (lambda s: s.pop("main.14.weight"), "main.14.weight is missing"),
    "too wide": (lambda s: s.update({"main.0.weight": torch.ones(65, 3, 4, 4)}), "with 64 output channels"),
    "infinity": (lambda s: s["main.29.weight"].fill_(torch.inf), "not finite, in main.29.weight"),
    "variance": (lambda s: s["main.18.running_var"].fill_(-1), "variances below 0, in main.18.running_var"),
}


@pytest.mark.parametrize("case", PYTORCH)
def test_what_is_not_boyuanjiangs_network_is_refused(tmp_path: Path, case: str) -> None:
    change, sentence = PYTORCH[case]
    state = files.boyuanjiang_state()
    change(state)
    path = files.save(tmp_path / "a.pth", {"state_dict": state})
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        read_published([path], "ce-boyuanjiang")
    assert sentence in str(error.value)


@pytest.mark.parametrize("layout", ["ce-official", "ce-boyuanjiang"])
def test_other_files_several_and_a_mean_pixel_are_refused(tmp_path: Path, layout: str) -> None:
    t7 = layout == "ce-official"
    (path,) = files.official(tmp_path) if t7 else [files.save(tmp_path / "a.pth", {"generator": {}})]
    with pytest.raises(ValueError, match="does not hold this network" if t7 else "no entry 'state_dict'"):
        read_published([path], layout)
    with pytest.raises(ValueError, match="is one file; got 2"):
        read_published([path, path], layout)
    with pytest.raises(ValueError, match="leave the mean pixel out"):
        read_published([path], layout, [0.5, 0.5, 0.5])
