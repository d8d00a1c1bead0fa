"""Files as others publish them, narrow and with random weights, made from their published names and shapes alone.

``n`` is the number of output channels of a network's first convolution, 64 in the published ones.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from inpaintlab.edges import HEDNetwork
from inpaintlab.losses import HED
from inpaintlab.published import File, Published
from stand_ins.tensorflow1_writer import write as write_tensorflow1
from stand_ins.torch7_writer import Object, dumps

MEAN = [0.25, 0.5, 0.625]

# GLCIC's completion network: channels in and out, kernel, stride, dilation; at 12 and 14 the stride goes upwards
COMPLETION = [
    (4, 64, 5, 1, 1),
    (64, 128, 3, 2, 1),
    (128, 128, 3, 1, 1),
    (128, 256, 3, 2, 1),
    (256, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
    (256, 256, 3, 1, 2),
    (256, 256, 3, 1, 4),
    (256, 256, 3, 1, 8),
    (256, 256, 3, 1, 16),
    (256, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
    (256, 128, 4, 2, 1),
    (128, 128, 3, 1, 1),
    (128, 64, 4, 2, 1),
    (64, 32, 3, 1, 1),
    (32, 3, 3, 1, 1),
]
UPWARDS = (12, 14)


def narrow(channels: int, n: int) -> int:
    """A channel count; those of the input and the output, 4 and 3, stay."""
    return channels if channels in (3, 4) else max(1, channels * n // 64)


def save(path: Path, content: Any, zipped: bool = True) -> Path:
    """Write a checkpoint in either of torch's formats."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


# --- GLCIC -----------------------------------------------------------------------------------------------------------


@final
class Weights:
    """Random tensors from one seed; a network made of them passes signals of the size that it gets."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def layer(self, *shape: int, bias: bool = True, transposed: bool = False) -> dict[str, Tensor]:
        """'weight' of this shape and 'bias' of a convolution or linear layer."""
        weight = self.normal(*shape) * (2 / np.prod(shape[1:])) ** 0.5
        return {"weight": weight} | ({"bias": 0.1 * self.normal(shape[int(transposed)])} if bias else {})

    def norm(self, channels: int) -> dict[str, Tensor]:
        """What a batch norm that was trained for 7 batches holds."""
        return {
            "weight": 1 + 0.1 * self.normal(channels),
            "bias": 0.1 * self.normal(channels),
            "running_mean": 0.1 * self.normal(channels),
            "running_var": 1 + 0.5 * torch.rand(channels, generator=self.generator),
            "num_batches_tracked": torch.tensor(7),
        }

    def completion(self, index: int, n: int, bias: bool = True) -> dict[str, Tensor]:
        """Convolution ``index`` of the completion network."""
        incoming, outgoing, kernel, _, _ = COMPLETION[index]
        shape = narrow(incoming, n), narrow(outgoing, n)
        if index not in UPWARDS:
            shape = shape[1], shape[0]
        return self.layer(*shape, kernel, kernel, bias=bias, transposed=index in UPWARDS)

    def branch(self, n: int, count: int) -> list[dict[str, Tensor]]:
        """The convolutions of a branch of the discriminator."""
        outgoing = [narrow(min(64 * 2**index, 512), n) for index in range(count)]
        return [self.layer(o, i, 5, 5) for i, o in zip([3, *outgoing], outgoing, strict=False)]


def prefixed(prefix: str, part: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in part.items()}


def otenim_completion(n: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """The content of ``model_cn``."""
    weights, state = Weights(seed), OrderedDict()
    for index, (_, outgoing, *_) in enumerate(COMPLETION):
        state |= prefixed(f"{'deconv' if index in UPWARDS else 'conv'}{index + 1}", weights.completion(index, n))
        if index < 16:
            state |= prefixed(f"bn{index + 1}", weights.norm(narrow(outgoing, n)))
    return state


def otenim_discriminator(
    n: int = 2, image: int = 32, patch: int = 32, global_convolutions: int = 5, seed: int = 1
) -> dict[str, Tensor]:
    """The content of ``model_cd``."""
    weights, state = Weights(seed), OrderedDict()
    for branch, side, count in (("model_ld", patch, 5), ("model_gd", image, global_convolutions)):
        for index, layer in enumerate(weights.branch(n, count), start=1):
            state |= prefixed(f"{branch}.conv{index}", layer)
            state |= prefixed(f"{branch}.bn{index}", weights.norm(len(layer["weight"])))
        features = narrow(512, n) * (side // 2**count) ** 2
        state |= prefixed(f"{branch}.linear{count + 1}", weights.layer(narrow(1024, n), features))
    return state | prefixed("linear1", weights.layer(1, 2 * narrow(1024, n)))


def otenim(folder: Path, n: int = 2, zipped: bool = True, **discriminator: int) -> list[Path]:
    """otenim's three files."""
    config = folder / "config.json"
    paths = [
        save(folder / "model_cn", otenim_completion(n), zipped),
        save(folder / "model_cd", otenim_discriminator(n, **discriminator), zipped),
    ]
    config.write_text(json.dumps({"mpv": MEAN, "arc": "celeba", "cn_input_size": 32, "ld_input_size": 32}))
    return [*paths, config]


def mmagic_state(n: int = 2, image: int = 64, patch: int = 32, seed: int = 2) -> dict[str, Tensor]:
    """The 'state_dict' of mmagic's file."""
    weights, state = Weights(seed), OrderedDict()
    stems = [f"encoder.enc{i}" for i in range(1, 7)] + [f"dilation_neck.dilation_convs.{i}" for i in range(4)]
    for index, stem in enumerate([*stems, *(f"decoder.dec{i}" for i in range(1, 8))]):
        state |= prefixed(f"generator.{stem}.conv", weights.completion(index, n, bias=index == 16))
        if index < 16:
            state |= prefixed(f"generator.{stem}.bn", weights.norm(narrow(COMPLETION[index][1], n)))
    for branch, side, count in (("global_disc", image, 6), ("local_disc", patch, 5)):
        for index, layer in enumerate(weights.branch(n, count), start=1):
            state[f"disc.{branch}.conv{index}.conv.weight"] = layer["weight"]
            state |= prefixed(f"disc.{branch}.conv{index}.bn", weights.norm(len(layer["weight"])))
        features = narrow(512, n) * (side // 2**count) ** 2
        state |= prefixed(f"disc.{branch}.fc.linear", weights.layer(narrow(1024, n), features))
    return state | prefixed("disc.fc", weights.layer(1, 2 * narrow(1024, n)))


def mmagic(folder: Path, n: int = 2, zipped: bool = True, **discriminator: int) -> list[Path]:
    """mmagic's one file."""
    meta = {"mmedit_version": "0.5.0", "iter": 500000}
    content = {"meta": meta, "state_dict": mmagic_state(n, **discriminator)}
    return [save(folder / "gl_256x256_8x12_places.pth", content, zipped)]


def official_content(n: int = 2, eps: float = 1e-5, seed: int = 3) -> dict[str, Any]:
    """The table in the authors' file; the convolutions keep what training left in them as well."""
    weights, modules = Weights(seed), []
    for index, (_, outgoing, kernel, stride, dilation) in enumerate(COMPLETION):
        fields: dict[str, Any] = {name: t.numpy().copy() for name, t in weights.completion(index, n).items()}
        fields |= {"gradWeight": np.zeros_like(fields["weight"]), "kW": kernel, "kH": kernel, "dW": stride}
        fields |= {"dH": stride, "padW": dilation * (kernel - 1) // 2, "padH": dilation * (kernel - 1) // 2}
        kind = "SpatialConvolution"
        if index in UPWARDS:
            kind, fields = "SpatialFullConvolution", fields | {"adjW": 0, "adjH": 0}
        elif dilation > 1:
            kind, fields = "SpatialDilatedConvolution", fields | {"dilationW": dilation, "dilationH": dilation}
        modules.append(Object(f"nn.{kind}", fields))
        if index < 16:
            norm = weights.norm(narrow(outgoing, n))
            del norm["num_batches_tracked"]
            fields = {name: tensor.numpy().copy() for name, tensor in norm.items()} | {"eps": eps, "momentum": 0.1}
            modules += [Object("nn.SpatialBatchNormalization", fields), Object("nn.ReLU", {"inplace": True})]
    modules.append(Object("nn.Sigmoid", {}))
    return {"model": Object("nn.Sequential", {"modules": modules, "train": False}), "mean": MEAN}


def official(folder: Path, n: int = 2, eps: float = 1e-5) -> list[Path]:
    """The authors' one file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "completionnet_places2.t7"
    path.write_bytes(dumps(official_content(n, eps)))
    return [path]


# --- partial convolutions --------------------------------------------------------------------------------------------


def partial_layers(n: int, levels: int = 7) -> list[tuple[str, int, int, int, int]]:
    """Of the U-Net: 'enc' or 'dec', level, channels in and out, and the kernel."""
    counts = [3, *(narrow(min(64 * 2**level, 512), n) for level in range(levels))]
    encoder = [("enc", i, counts[i - 1], counts[i], {1: 7, 2: 5, 3: 5}.get(i, 3)) for i in range(1, levels + 1)]
    return encoder + [("dec", i, counts[i] + counts[i - 1], counts[i - 1], 3) for i in range(levels, 0, -1)]


def naoto0804_state(n: int = 2, levels: int = 7, seed: int = 5) -> dict[str, Tensor]:
    """The 'model' of naoto0804's file: weights of sums, and the ones that count valid entries."""
    weights, state = Weights(seed), OrderedDict()
    for network, level, incoming, outgoing, kernel in partial_layers(n, levels):
        stem = f"{network}_{level}"
        last = (network, level) == ("dec", 1)
        layer = weights.layer(outgoing, incoming, kernel, kernel, bias=last)
        layer["weight"] *= layer["weight"][0].numel()
        state |= prefixed(f"{stem}.conv.input_conv", layer)
        state[f"{stem}.conv.mask_conv.weight"] = torch.ones_like(layer["weight"])
        if level > 1:
            state |= prefixed(f"{stem}.bn", weights.norm(outgoing))
    return state


def naoto0804(folder: Path, n: int = 2, zipped: bool = True) -> list[Path]:
    """naoto0804's one file, with what Adam kept."""
    state = naoto0804_state(n)
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 5e-5, "params": [0]}]}
    return [save(folder / "1000000.pth", {"n_iter": 1_000_000, "model": state, "optimizer": optimizer}, zipped)]


def mmagic_pconv_state(n: int = 2, seed: int = 6) -> dict[str, Tensor]:
    """The 'state_dict' of mmagic's file; its first layer has a bias."""
    weights, state = Weights(seed), OrderedDict()
    for network, level, incoming, outgoing, kernel in partial_layers(n):
        stem = f"generator.{network}oder.{network}{level}"
        layer = weights.layer(outgoing, incoming, kernel, kernel, bias=level == 1)
        state |= prefixed(f"{stem}.conv", layer)
        state[f"{stem}.conv.weight_mask_updater"] = torch.ones_like(layer["weight"])
        if level > 1:
            state |= prefixed(f"{stem}.bn", weights.norm(outgoing))
    return state | {"loss_percep.vgg.vgg_layers.0.weight": torch.ones(2, 3, 3, 3)}


def mmagic_pconv(folder: Path, n: int = 2, zipped: bool = True) -> list[Path]:
    """mmagic's one file."""
    content = {"meta": {"mmedit_version": "0.5.0"}, "state_dict": mmagic_pconv_state(n)}
    return [save(folder / "pconv_256x256_stage2_4x2_places.pth", content, zipped)]


# --- Context Encoder -------------------------------------------------------------------------------------------------

CENTRE = [3, 64, 64, 128, 256, 512, -1, 512, 256, 128, 64, 3]
"""Channels between the layers of the network for the centre; -1 are the bottleneck's features."""


def centre_layers(n: int, features: int, bias: bool = False, seed: int = 8) -> list[dict[str, dict[str, Tensor]]]:
    """Of each layer of the generator its 'convolution', and its 'norm' where it has one."""
    weights, layers = Weights(seed), []
    counts = [features if count < 0 else narrow(count, n) for count in CENTRE]
    for index, (incoming, outgoing) in enumerate(pairwise(counts)):
        upwards = index >= 6
        shape = (incoming, outgoing, 4, 4) if upwards else (outgoing, incoming, 4, 4)
        layers.append({"convolution": weights.layer(*shape, bias=bias, transposed=upwards)})
        if index not in (0, 10):
            layers[-1]["norm"] = weights.norm(outgoing)
    return layers


def boyuanjiang_state(n: int = 2, features: int = 5, seed: int = 8) -> dict[str, Tensor]:
    """The 'state_dict' of BoyuanJiang's file."""
    state, place = OrderedDict(), 0
    for layer in centre_layers(n, features, seed=seed):
        state |= prefixed(f"main.{place}", layer["convolution"])
        if "norm" in layer:
            state |= prefixed(f"main.{place + 1}", layer["norm"])
        place += 3 if "norm" in layer else 2
    return state


def boyuanjiang(folder: Path, n: int = 2, zipped: bool = True) -> list[Path]:
    """BoyuanJiang's one file."""
    return [save(folder / "netG_streetview.pth", {"epoch": 200, "state_dict": boyuanjiang_state(n)}, zipped)]


def centre_content(n: int = 2, features: int = 5, std: bool = False, bias: bool = True, seed: int = 8) -> Object:
    """The authors' network: the encoder is a module of its own.

    Args:
        n: channels of the first convolution.
        features: of the bottleneck.
        std: the old form of batch norm, with 1 / sqrt(variance + eps).
        bias: whether biases are other than 0, as after a step of Adam.
        seed: of the weights.
    """
    encoder: list[Object] = []
    decoder: list[Object] = []
    for index, layer in enumerate(centre_layers(n, features, bias=True, seed=seed)):
        stride = 1 if index in (5, 6) else 2
        fields: dict[str, Any] = {name: t.numpy().copy() for name, t in layer["convolution"].items()}
        fields["bias"] *= bias
        fields |= {f"{key}{axis}": v for key, v in (("k", 4), ("d", stride), ("pad", stride // 2)) for axis in "WH"}
        kind = "SpatialFullConvolution" if index >= 6 else "SpatialConvolution"
        fields |= {"adjW": 0, "adjH": 0} if index >= 6 else {}
        modules = [Object(f"nn.{kind}", fields)]
        if "norm" in layer:
            norm = {name: t.numpy().copy() for name, t in layer["norm"].items() if name != "num_batches_tracked"}
            if std:
                norm["running_std"] = 1 / np.sqrt(norm.pop("running_var") + np.float32(1e-5))
            modules.append(Object("nn.SpatialBatchNormalization", norm | {"eps": 1e-5, "momentum": 0.1}))
        if index < 6:
            modules.append(Object("nn.LeakyReLU", {"negval": 0.2, "inplace": True}))
        else:
            modules.append(Object("nn.Tanh", {}) if index == 10 else Object("nn.ReLU", {"inplace": True}))
        (encoder if index < 6 else decoder).extend(modules)
    inner = Object("nn.Sequential", {"modules": encoder[:15]})
    return Object("nn.Sequential", {"modules": [inner, *encoder[15:], *decoder]})


def centre(folder: Path, n: int = 2) -> list[Path]:
    """The authors' one file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "paris_inpaintCenter.t7"
    path.write_bytes(dumps(centre_content(n)))
    return [path]


# --- EdgeConnect -----------------------------------------------------------------------------------------------------


@final
class ResidualBlock(nn.Module):
    """Two convolutions, the first dilated by 2; no bias under spectral norm, no ReLU behind the sum."""

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else _as_it_is
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(2),
            wrap(nn.Conv2d(channels, channels, 3, dilation=2, bias=not spectral)),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            wrap(nn.Conv2d(channels, channels, 3, bias=not spectral)),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


@final
class Generator(nn.Module):
    """The generators of the release; what comes before the sigmoid or tanh."""

    def __init__(self, incoming: int, outgoing: int, n: int, spectral: bool) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else _as_it_is
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            wrap(nn.Conv2d(incoming, n, 7)),
            nn.InstanceNorm2d(n),
            nn.ReLU(),
            wrap(nn.Conv2d(n, 2 * n, 4, 2, 1)),
            nn.InstanceNorm2d(2 * n),
            nn.ReLU(),
            wrap(nn.Conv2d(2 * n, 4 * n, 4, 2, 1)),
            nn.InstanceNorm2d(4 * n),
            nn.ReLU(),
        )
        self.middle = nn.Sequential(*(ResidualBlock(4 * n, spectral) for _ in range(8)))
        self.decoder = nn.Sequential(
            wrap(nn.ConvTranspose2d(4 * n, 2 * n, 4, 2, 1)),
            nn.InstanceNorm2d(2 * n),
            nn.ReLU(),
            wrap(nn.ConvTranspose2d(2 * n, n, 4, 2, 1)),
            nn.InstanceNorm2d(n),
            nn.ReLU(),
            nn.ReflectionPad2d(3),
            nn.Conv2d(n, outgoing, 7),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.middle(self.encoder(x)))


@final
class Discriminator(nn.Module):
    """The discriminators of the release, whose first layer has two names; the outputs of the five layers."""

    def __init__(self, incoming: int, n: int) -> None:
        super().__init__()
        self.conv1 = self.features = self.layer(incoming, n, 2)
        self.conv2 = self.layer(n, 2 * n, 2)
        self.conv3 = self.layer(2 * n, 4 * n, 2)
        self.conv4 = self.layer(4 * n, 8 * n, 1)
        self.conv5 = nn.Sequential(spectral_norm(nn.Conv2d(8 * n, 1, 4, 1, 1, bias=False)))

    @staticmethod
    def layer(incoming: int, outgoing: int, stride: int) -> nn.Sequential:
        return nn.Sequential(spectral_norm(nn.Conv2d(incoming, outgoing, 4, stride, 1, bias=False)), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            found.append(x := layer(x))
        return found


def _as_it_is(layer: nn.Module) -> nn.Module:
    return layer


def released(n: int = 2) -> dict[str, nn.Module]:
    """The release's four networks by our names, in evaluation mode, as after three batches of training."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        networks: dict[str, nn.Module] = {
            "edge_generator": Generator(3, 1, n, True),
            "inpaint_generator": Generator(4, 3, n, False),
            "edge_discriminator": Discriminator(2, n),
            "inpaint_discriminator": Discriminator(3, n),
        }
        planes = {"edge_generator": 3, "inpaint_generator": 4, "edge_discriminator": 2, "inpaint_discriminator": 3}
        with torch.no_grad():
            for name, network in networks.items():
                for _ in range(3):
                    network(torch.rand(1, planes[name], 32, 32))
    return {name: network.eval() for name, network in networks.items()}


FILES = {
    "edge_generator": "EdgeModel_gen.pth",
    "inpaint_generator": "InpaintingModel_gen.pth",
    "edge_discriminator": "EdgeModel_dis.pth",
    "inpaint_discriminator": "InpaintingModel_dis.pth",
}


def edgeconnect_contents(n: int = 2) -> dict[str, dict[str, Any]]:
    """The content of each of the four files by our names."""
    contents = {}
    for name, network in released(n).items():
        stage, kind = name.split("_")
        iteration = {"iteration": {"edge": 11, "inpaint": 12}[stage]} if kind == "generator" else {}
        contents[name] = iteration | {kind: network.state_dict()}
    return contents


def edgeconnect(folder: Path, n: int = 2, zipped: bool = True) -> list[Path]:
    """EdgeConnect's four files."""
    return [save(folder / FILES[name], content, zipped) for name, content in edgeconnect_contents(n).items()]


# --- HED -------------------------------------------------------------------------------------------------------------


def hed(path: Path, widths: Sequence[int], seed: int = 8) -> dict[str, np.ndarray]:
    """HED's file, with five blocks of these widths; returns its arrays by their names in it."""
    generator = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {}
    incoming = 3
    for block, (count, width) in enumerate(zip((2, 2, 3, 3, 3), widths, strict=True), start=1):
        for layer in range(count):
            shapes[f"block{block}/layers/conv2d{f'_{layer}' if layer else ''}"] = (3, 3, incoming, width)
            incoming = width
        shapes[f"dsn{block}"] = (1, 1, width, 1)
    shapes["fuse"] = (1, 1, 5, 1)
    arrays: dict[str, np.ndarray] = {}
    for place, shape in shapes.items():
        kernel = generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[:3])))
        arrays |= {f"{place}/vars/0": kernel, f"{place}/vars/1": generator.standard_normal(shape[3:], np.float32)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return arrays


NARROW = ((2, 4), (2, 6), (3, 8), (3, 5), (3, 7))
"""The blocks of a narrow HED: convolutions and their widths."""


def narrow_hed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Let a narrow HED be the published one, in a folder of weights of the test's own; returns its arrays by name."""
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(folder / "weights"))
    path = folder / "weights/hed/hed.h5"
    arrays = hed(path, [width for _, width in NARROW])
    file = File("hed.h5", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr("inpaintlab.published.hed.HED", Published("hed", "", None, "", "", (file,)))
    monkeypatch.setattr(HED, "BLOCKS", NARROW)
    monkeypatch.setattr(HEDNetwork.BODY, "BLOCKS", NARROW)
    return arrays


# --- Contextual Attention --------------------------------------------------------------------------------------------

# Of each convolution the authors' name, channels in and out, and mmagic's name behind its stage; all kernels are 3 but
# those of the first layers, of 5.
_COARSE = [
    ("conv1", 5, 32, "encoder.enc1"),
    ("conv2_downsample", 32, 64, "encoder.enc2"),
    ("conv3", 64, 64, "encoder.enc3"),
    ("conv4_downsample", 64, 128, "encoder.enc4"),
    ("conv5", 128, 128, "encoder.enc5"),
    ("conv6", 128, 128, "encoder.enc6"),
    ("conv7_atrous", 128, 128, "dilation_neck.dilation_convs.0"),
    ("conv8_atrous", 128, 128, "dilation_neck.dilation_convs.1"),
    ("conv9_atrous", 128, 128, "dilation_neck.dilation_convs.2"),
    ("conv10_atrous", 128, 128, "dilation_neck.dilation_convs.3"),
    ("conv11", 128, 128, "decoder.dec1"),
    ("conv12", 128, 128, "decoder.dec2"),
    ("conv13_upsample", 128, 64, "decoder.dec3"),
    ("conv14", 64, 64, "decoder.dec4"),
    ("conv15_upsample", 64, 32, "decoder.dec5"),
    ("conv16", 32, 16, "decoder.dec6"),
    ("conv17", 16, 3, "decoder.dec7"),
]
_REFINEMENT = [
    ("xconv1", 5, 32, "encoder_conv.enc1"),
    ("xconv2_downsample", 32, 32, "encoder_conv.enc2"),
    ("xconv3", 32, 64, "encoder_conv.enc3"),
    ("xconv4_downsample", 64, 64, "encoder_conv.enc4"),
    ("xconv5", 64, 128, "encoder_conv.enc5"),
    ("xconv6", 128, 128, "encoder_conv.enc6"),
    ("xconv7_atrous", 128, 128, "dilation_neck.dilation_convs.0"),
    ("xconv8_atrous", 128, 128, "dilation_neck.dilation_convs.1"),
    ("xconv9_atrous", 128, 128, "dilation_neck.dilation_convs.2"),
    ("xconv10_atrous", 128, 128, "dilation_neck.dilation_convs.3"),
    ("pmconv1", 5, 32, "encoder_attention.enc1"),
    ("pmconv2_downsample", 32, 32, "encoder_attention.enc2"),
    ("pmconv3", 32, 64, "encoder_attention.enc3"),
    ("pmconv4_downsample", 64, 128, "encoder_attention.enc4"),
    ("pmconv5", 128, 128, "encoder_attention.enc5"),
    ("pmconv6", 128, 128, "encoder_attention.enc6"),
    ("pmconv9", 128, 128, "contextual_attention_neck.conv1"),
    ("pmconv10", 128, 128, "contextual_attention_neck.conv2"),
    ("allconv11", 256, 128, "decoder.dec1"),
    ("allconv12", 128, 128, "decoder.dec2"),
    ("allconv13_upsample", 128, 64, "decoder.dec3"),
    ("allconv14", 64, 64, "decoder.dec4"),
    ("allconv15_upsample", 64, 32, "decoder.dec5"),
    ("allconv16", 32, 16, "decoder.dec6"),
    ("allconv17", 16, 3, "decoder.dec7"),
]


def _narrow32(channels: int, n: int) -> int:
    """A channel count where 32 become ``n``; those of planes, 5 and 3, stay."""
    return channels if channels in (3, 5) else max(1, channels * n // 32)


def ca_convolutions(n: int = 2, seed: int = 9) -> dict[str, dict[str, Tensor]]:
    """The generator's convolutions by the authors' names."""
    weights = Weights(seed)
    return {
        name: weights.layer(_narrow32(o, n), _narrow32(i, n), *2 * (5 if name.endswith("conv1") else 3,))
        for name, i, o, _ in (*_COARSE, *_REFINEMENT)
    }


def ca_critics(n: int = 2, image: int = 64, patch: int = 32, widest: int = 512, seed: int = 10) -> dict[str, Tensor]:
    """Both critics under daa233's names, whose dense layers take channels, rows and columns."""
    state = OrderedDict()
    for branch, side, last in (("localD", patch, widest), ("globalD", image, 256)):
        weights = Weights(seed + side)
        counts = [3, *(_narrow32(count, n) for count in (64, 128, 256, last))]
        for number in range(1, 5):
            layer = weights.layer(counts[number], counts[number - 1], 5, 5)
            state |= prefixed(f"{branch}.dis_conv_module.conv{number}.conv", layer)
        state |= prefixed(f"{branch}.linear", weights.layer(1, counts[4] * (side // 16) ** 2))
    return state


def ca_official_state(n: int = 2, critics: bool = True, **sizes: int) -> dict[str, np.ndarray]:
    """The variables of the authors' snapshot, with what Adam kept."""
    arrays: dict[str, np.ndarray] = {}
    for name, layer in ca_convolutions(n).items():
        stem = f"inpaint_net/{name}" + (f"/{name}_conv" if name.endswith("_upsample") else "")
        arrays[f"{stem}/kernel"] = layer["weight"].permute(2, 3, 1, 0).numpy()
        arrays[f"{stem}/bias"] = layer["bias"].numpy()
    if critics:
        for key, tensor in ca_critics(n, **sizes).items():
            branch, _, rest = key.partition("D.")
            kind = "kernel" if key.endswith("weight") else "bias"
            if rest.startswith("linear"):
                if kind == "kernel":
                    channels = _narrow32(512 if branch == "local" else 256, n)
                    side = int((tensor.shape[1] // channels) ** 0.5)
                    tensor = tensor.view(channels, side, side).permute(1, 2, 0).reshape(-1, 1)
                arrays[f"discriminator/dout_{branch}_fc/{kind}"] = tensor.numpy()
            else:
                number = rest.split(".")[1]
                tensor = tensor.permute(2, 3, 1, 0) if kind == "kernel" else tensor
                arrays[f"discriminator/discriminator_{branch}/{number}/{kind}"] = tensor.numpy()
    slots = {f"{name}/{slot}": np.ones_like(array) for name, array in arrays.items() for slot in ("Adam", "Adam_1")}
    numbers = {"lr": 1e-4, "beta1_power": 0.25, "beta2_power": 0.81}
    arrays |= slots | {name: np.array(number, np.float32) for name, number in numbers.items()}
    return arrays | {"global_step": np.array(1_000_000, np.int32)}


def ca_official(folder: Path, n: int = 2, critics: bool = True) -> list[Path]:
    """The authors' folder, whose file 'checkpoint' the download calls checkpoint.txt."""
    write_tensorflow1(folder, ca_official_state(n, critics))
    (folder / "checkpoint").rename(folder / "checkpoint.txt")
    return [folder]


def ca_daa233_state(n: int = 2, prefix: str = "") -> dict[str, Tensor]:
    """The content of gen_*.pt; with the prefix 'netG.' that of torch_model.p."""
    state = OrderedDict()
    coarse = {name for name, *_ in _COARSE}
    for name, layer in ca_convolutions(n).items():
        stage = "coarse_generator" if name in coarse else "fine_generator"
        own = name.replace("_upsample", "").replace("xconv", "conv")
        state |= prefixed(f"{prefix}{stage}.{own}.conv", layer)
    return state


def ca_daa233_critics(n: int = 2) -> dict[str, dict[str, Tensor]]:
    """The content of dis_*.pt."""
    contents: dict[str, dict[str, Tensor]] = {"localD": {}, "globalD": {}}
    for key, tensor in ca_critics(n, widest=256).items():
        branch, _, rest = key.partition(".")
        contents[branch][rest] = tensor
    return contents


def ca_daa233(folder: Path, n: int = 2, zipped: bool = True) -> list[Path]:
    """daa233's two files."""
    return [
        save(folder / "gen_00430000.pt", ca_daa233_state(n), zipped),
        save(folder / "dis_00430000.pt", ca_daa233_critics(n), zipped),
    ]


def ca_mmagic_state(n: int = 2, **sizes: int) -> dict[str, Tensor]:
    """The 'state_dict' of mmagic's file."""
    state, convolutions = OrderedDict(), ca_convolutions(n)
    for stage, rows in (("stage1", _COARSE), ("stage2", _REFINEMENT)):
        for name, _, _, theirs in rows:
            state |= prefixed(f"generator.{stage}.{theirs}.conv", convolutions[name])
    fuse = "generator.stage2.contextual_attention_neck.contextual_attention.fuse_kernel"
    state[fuse] = torch.eye(3).view(1, 1, 3, 3)
    for key, tensor in ca_critics(n, **sizes).items():
        branch, _, rest = key.partition("D.")
        rest = rest.replace("dis_conv_module.", "").replace("linear", "fc.linear")
        state[f"disc.{branch}_disc.{rest}"] = tensor
    return state


def ca_mmagic(folder: Path, n: int = 2, zipped: bool = True, **sizes: int) -> list[Path]:
    """mmagic's one file."""
    content = {"meta": {"mmedit_version": "0.5.0"}, "state_dict": ca_mmagic_state(n, **sizes)}
    return [save(folder / "deepfillv1_256x256_8x2_places.pth", content, zipped)]
