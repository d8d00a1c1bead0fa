"""Networks fitted to a device and a precision: the same functions, names and parameters, computed another way."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inpaintlab.inpainting import Steps, fit
from inpaintlab.layers import (
    ChannelsLastInstanceNorm,
    ChannelsLastReflectionPad2d,
    FewOutputsConv2d,
    Float32Conv2d,
    Float32ConvTranspose2d,
    Float32Linear,
    InstanceNorm,
    ReflectionPad2d,
    RoundedGradientConv2d,
    RoundedGradientConvTranspose2d,
    SpectralNorm,
    UnbiasedConv2d,
    UnbiasedConvTranspose2d,
)
from inpaintlab.losses import VGG19
from inpaintlab.training.averaging import Averaging
from stand_ins.building import Builder, toy_data
from stand_ins.building import fit as train
from stand_ins.models import PHASES, only

MODELS = sorted(PHASES)
OURS = (
    *(FewOutputsConv2d, RoundedGradientConv2d, RoundedGradientConvTranspose2d, Float32Linear),
    *(InstanceNorm, ReflectionPad2d, SpectralNorm, ChannelsLastInstanceNorm, ChannelsLastReflectionPad2d),
    *(Float32Conv2d, Float32ConvTranspose2d, UnbiasedConv2d, UnbiasedConvTranspose2d),
)
ON_GPU = {ChannelsLastInstanceNorm, ChannelsLastReflectionPad2d, SpectralNorm, UnbiasedConv2d, UnbiasedConvTranspose2d}
PRECISIONS = ["32-true", "64-true", "bf16-mixed", "16-mixed"]


def kinds(model: Any) -> set[type[nn.Module]]:
    """The classes of ours in the model's networks."""
    return {type(module) for network in model.networks() for module in network.modules()} & set(OURS)


def inputs(name: str, dtype: torch.dtype = torch.float32, model: str = "") -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    rgb, plane = torch.rand(2, 3, 32, 32, generator=generator), torch.rand(2, 1, 32, 32, generator=generator)
    given = {
        "edge_generator": (plane, plane, plane),
        "edge_discriminator": (rgb[:, :2],),
        "inpaint_generator": (rgb, plane, plane),
        "inpaint_discriminator": (rgb,),
        "completion": (rgb, plane, torch.full((3,), 0.5)),
        "discriminator": (rgb, rgb[..., :16, :16]),
        "network": (rgb, plane.round()),
        "generator": (rgb, plane.round()),
        "critics": (rgb, rgb[..., :16, :16]),
    }
    given |= {"discriminator": (rgb,)} if model.startswith("context_encoder") else {}
    return tuple(tensor.to(dtype) for tensor in given[name])


def last(output: Any) -> Tensor:
    return output[-1] if isinstance(output, list | tuple) else output


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", only("bf16-mixed", of=PRECISIONS))
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_names_and_parameters_stay_and_states_load_both_ways(
    built: Builder, name: str, precision: str, device: str
) -> None:
    plain, fitted = built(name), built(name)
    before = dict(fitted.named_parameters())
    fit(fitted.networks(), device, precision)
    after = dict(fitted.named_parameters())
    assert before.keys() == after.keys()
    assert all(after[key] is parameter for key, parameter in before.items())  # so an optimizer does not notice
    with torch.no_grad():
        for parameter in fitted.parameters():
            parameter.add_(1)
    plain.load_state_dict(fitted.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(plain.parameters(), fitted.parameters(), strict=True))
    fitted.load_state_dict(built(name).state_dict())
    assert all(
        torch.equal(one, other) for one, other in zip(built(name).parameters(), fitted.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_fitted_network_is_the_same_function_with_the_same_gradients(
    built: Builder, name: str, training: bool, device: str
) -> None:
    plain, fitted = built(name).double().train(training), built(name).double().train(training)
    """What fits a GPU is seen on the CPU; a bias in front of an instance norm has the gradient zero, and there none."""
    fit(fitted.networks(), device, "64-true")
    for part, network in plain.named_networks().items():
        sides = [(side, inputs(part, torch.float64, name)) for side in (network, fitted.get_submodule(part))]
        outputs = [last(side(*(tensor.requires_grad_() for tensor in given))) for side, given in sides]
        torch.testing.assert_close(outputs[1], outputs[0], atol=1e-10, rtol=0)
        upstream = torch.rand(outputs[0].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        gradients = [
            torch.autograd.grad(output, [given[0], *side.parameters()], upstream, allow_unused=True)
            for output, (side, given) in zip(outputs, sides, strict=True)
        ]
        for ours, theirs in zip(gradients[1], gradients[0], strict=True):
            assert ((0 if ours is None else ours) - theirs).norm() <= 1e-8 * theirs.norm() + 1e-10
        for ours, theirs in zip(sides[1][0].buffers(), network.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("name", "device", "precision", "expected"),
    [
        ("edgeconnect", "cpu", "32-true", {FewOutputsConv2d, InstanceNorm, SpectralNorm}),
        ("edgeconnect", "cpu", "bf16-mixed", {FewOutputsConv2d, InstanceNorm, SpectralNorm, ReflectionPad2d}),
        ("edgeconnect", "cuda", "32-true", ON_GPU),
        ("edgeconnect", "cuda", "16-mixed", ON_GPU),
        ("glcic", "cpu", "32-true", set()),
        ("glcic", "cpu", "bf16-mixed", {RoundedGradientConv2d, RoundedGradientConvTranspose2d, Float32Linear}),
        ("glcic", "cuda", "32-true", set()),
        ("glcic", "cuda", "16-mixed", {Float32Conv2d, Float32ConvTranspose2d, Float32Linear}),
    ],
)
def test_what_is_replaced_follows_from_the_networks_structure(
    built: Builder, name: str, device: str, precision: str, expected: set[type[nn.Module]]
) -> None:
    model = built(name)
    assert kinds(model) == set()
    fit(model.networks(), device, precision)
    assert kinds(model) == expected


def test_another_kind_of_norm_or_convolution_is_left_to_torch() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1),
        nn.Conv2d(3, 3, 3, stride=2),
        nn.InstanceNorm2d(3, affine=True),
        nn.InstanceNorm2d(3, track_running_stats=True),
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 3, 1, dilation=2), n_power_iterations=3),
    )
    before = [type(module) for module in network.modules()]
    fit([network], "cpu", "bf16-mixed")
    assert [type(module) for module in network.modules()] == before


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_fitting_again_changes_nothing(built: Builder, name: str, device: str) -> None:
    model = built(name)
    fit(model.networks(), device, "bf16-mixed")
    once = [(type(m), len(m._forward_hooks)) for m in model.modules()]
    fit(model.networks(), device, "bf16-mixed")
    assert [(type(m), len(m._forward_hooks)) for m in model.modules()] == once


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_in_mixed_precision_networks_end_in_float32(built: Builder, name: str, training: bool, device: str) -> None:
    """Also those of batch norm where they learn no more, and convolve in 16 bits."""
    model = built(name).train(training)
    fit(model.networks(), device, "bf16-mixed")
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(training):
        assert {last(network(*inputs(part, model=name))).dtype for part, network in model.named_networks().items()} == {
            torch.float32
        }


def test_without_batch_norm_feature_maps_lie_in_channels_last_in_mixed_precision(built: Builder) -> None:
    model, seen = built("edgeconnect"), []
    fit(model.networks(), "cpu", "bf16-mixed")
    generator = model.inpaint_generator
    for layer in generator.body:
        layer.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.autocast("cpu", torch.bfloat16):
        generator(*inputs("inpaint_generator")).sum().backward()
    after_the_first_convolution = [x for x in seen[1:] if x.shape[1] > 3]
    assert len(after_the_first_convolution) > 15
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in after_the_first_convolution)
    assert {x.dtype for x in after_the_first_convolution} == {torch.bfloat16}
    assert all(p.grad.stride() == p.stride() for p in generator.parameters() if p.grad.dim() == 4)


aten = torch.ops.aten
LOSING = {
    *(aten.reflection_pad2d.default, aten.reflection_pad2d_backward.default),
    *(aten.native_group_norm.default, aten.native_group_norm_backward.default),
}
"""What gives another memory format than channels_last on CUDA, though not on a CPU (torch 2.11)."""


class Layouts(TorchDispatchMode):
    """The operators that copy feature maps, or give them in another memory format than they get them in."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        places = {x.untyped_storage().data_ptr() for x in tree_leaves(args) if isinstance(x, Tensor)}
        maps = [x for x in tree_leaves(result) if self._is_map(x)]
        made = [x for x in maps if x.untyped_storage().data_ptr() not in places]  # no views, nothing in place
        copies = func in (aten.clone.default, aten.contiguous.default) or func in LOSING
        if made and (copies or not all(x.is_contiguous(memory_format=torch.channels_last) for x in made)):
            self.seen.append(str(func))
        return result

    def _is_map(self, x: object) -> bool:
        return isinstance(x, Tensor) and x.dim() == 4 and x.shape[1] >= 8 and x.shape[2] > 8


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    ("name", "part"),
    [("edgeconnect", "edge_generator"), ("edgeconnect", "inpaint_generator"), ("glcic", "completion")],
)
def test_on_a_gpu_no_feature_map_changes_its_memory_format(
    built: Builder, name: str, part: str, precision: str
) -> None:
    """From the first convolution to the last and back: seen on the CPU, of operators that keep formats on both."""
    model = built(name, "model.width=0.25")
    network = model.get_submodule(part)
    fit([network], "cuda", precision)
    body = network.body if name == "edgeconnect" else network.layers
    given = torch.rand(2, 16, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"), Layouts() as layouts:
        middle = nn.Sequential(*list(body.children())[4 if name == "edgeconnect" else 1 : -3])
        output = middle(given)
        output.backward(torch.rand_like(output))
    assert layouts.seen == []
    assert given.grad is not None
    assert given.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", MODELS)
def test_in_full_precision_weights_and_with_batch_norm_all_lie_as_torch_has_them(built: Builder, name: str) -> None:
    for precision in ("32-true", "bf16-mixed") if name == "glcic" else ("32-true",):
        model = built(name)
        fit(model.networks(), "cpu", precision)
        assert all(parameter.is_contiguous() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("32-true", torch.float32),
        ("64-true", torch.float64),
        ("bf16-mixed", torch.bfloat16),
        ("16-mixed", torch.float16),
    ],
)
def test_what_never_learns_is_rounded_once(precision: str, dtype: torch.dtype) -> None:
    vgg, image = VGG19("random", 0.25, normalised=True), torch.rand(1, 3, 32, 32)
    plain = copy.deepcopy(vgg)(image)
    fit([], "cpu", precision, [vgg])
    assert {parameter.dtype for parameter in vgg.parameters()} == {dtype}
    assert {buffer.dtype for buffer in vgg.buffers()} == {torch.float32}  # the input is normalised before it is rounded
    with torch.autocast("cpu", dtype, enabled="mixed" in precision):
        features = vgg(image.double() if precision == "64-true" else image)
    for name, expected in plain.items():
        assert features[name].is_contiguous(memory_format=torch.channels_last), name
        assert (features[name].float() - expected).norm() < (0.03 if "mixed" in precision else 1e-5) * expected.norm()


def test_a_training_fits_networks_averages_and_vgg_to_its_precision(built: Builder) -> None:
    lengths = [
        f"model.schedule.phases.{phase}.batches={int(phase == 'joint')}" for phase in built("edgeconnect").PHASES
    ]
    model = built("edgeconnect", *lengths, steps=Steps(average=0.5))
    train(model, Averaging(), data=toy_data())
    assert kinds(model) == {FewOutputsConv2d, InstanceNorm, SpectralNorm}
    averages = [type(module) for module in model.averages.modules()]
    assert averages.count(InstanceNorm) == 2 * 21
    (vgg,) = model.vgg
    assert vgg.layers["conv1_2"].weight.is_contiguous(memory_format=torch.channels_last)
