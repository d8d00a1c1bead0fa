"""What ``test_compile.py`` runs in a process whose signatures are not checked.

Compiled networks learn and complete like others. torch's compiler mostly runs with the backends eager and aot_eager,
which trace alike and take seconds; aot_eager, which traces the backward pass too, takes twice as long. What the default
one, Inductor, generates is seen where minutes are asked for.
"""

import io
import re
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from PIL import Image
from rich.console import Console
from torch import Tensor
from torch._dynamo.utils import counters

from inpaintlab.evaluation import Result
from inpaintlab.evaluation.cost import measure_cost
from inpaintlab.inpainting import CompileTimer, Compiling, Inpainter, compile_generators, computing
from inpaintlab.losses import VGG19
from inpaintlab.models.edgeconnect import PatchDiscriminator
from stand_ins.building import Builder, fit, state_of
from stand_ins.commands import checkpoint, run_here, tiny

QUIET = Console(quiet=True)
LIMIT = 600.0


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Nothing compiled before the test, nothing counted."""
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


class Watched(Callback):
    """Of each batch the losses and how many graphs there are; the gradient of each step of an optimizer."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.graphs: list[int] = []
        self.gradients: list[Tensor] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.gradients.append(torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).clone())

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append({name: loss.item() for name, loss in outputs.items()})
        self.graphs.append(counters["stats"]["unique_graphs"])


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def phases(model: Inpainter, batches: int) -> list[str]:
    return [f"model.schedule.phases.{name}.batches={batches}" for name in model.PHASES]  # type: ignore[attr-defined]


def inputs(name: str) -> tuple[Tensor, ...]:
    """What a network is called with."""
    rgb, plane = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    return {
        "edge_generator": (plane, plane, plane),
        "edge_discriminator": (torch.rand(2, 2, 32, 32),),
        "inpaint_generator": (rgb, plane, plane),
        "inpaint_discriminator": (rgb,),
        "vgg": (rgb,),
    }[name]


@pytest.mark.endurance
def test_each_network_becomes_one_graph(built: Builder) -> None:
    """Of EdgeConnect, which has the most; GLCIC's are counted below, in each run of the tests."""
    model = built("edgeconnect")
    model.vgg = (VGG19("random", 0.0625),)
    Compiling(QUIET, LIMIT, "eager").on_fit_start(None, model)  # type: ignore[arg-type]
    names = {id(network): name for name, network in model.named_children()} | {id(model.vgg[0]): "vgg"}
    networks = [*model.networks(), *model.constants()]
    assert len(networks) == 5
    for number, network in enumerate(networks, start=1):
        network(*inputs(names[id(network)]))
        assert counters["stats"]["unique_graphs"] == number, names[id(network)]
    assert not counters["graph_break"]


@pytest.mark.parametrize(
    ("name", "backend", "graphs"),
    [
        ("glcic", "eager", 4),
        pytest.param("glcic", "aot_eager", 4, marks=pytest.mark.endurance),
        pytest.param("edgeconnect", "aot_eager", 11, marks=pytest.mark.endurance),
        pytest.param("contextual_attention", "aot_eager", 4, marks=pytest.mark.endurance),
        pytest.param("partial_convolution", "aot_eager", 4, marks=pytest.mark.endurance),
        pytest.param("context_encoder", "aot_eager", 4, marks=pytest.mark.endurance),
    ],
)
def test_compiled_steps_have_the_losses_and_gradients_of_uncompiled_ones(
    built: Builder, name: str, backend: str, graphs: int
) -> None:
    """In every phase, in float64, as steps of Adam turn roundings of zero into whole steps.

    A network that learns, judges or stands still is a graph of its own, all within torch's limit. The time is told once
    for each phase that compiles something.
    """
    seen, told = [], io.StringIO()
    for more in ([], [Compiling(Console(file=told, width=500), LIMIT, backend)]):
        model = built(name, *phases(built(name), 2))
        fit(model, *more, steps := Watched(), settings=["trainer.precision=64-true"])
        seen.append((steps, state_of(model)))
    (plain, before), (compiled, after) = seen
    assert compiled.graphs[-1] == graphs
    assert compiled.graphs[::2] == compiled.graphs[1::2], "the second batch of a phase compiled something"
    assert not counters["graph_break"]
    begun = zip(model.PHASES, compiled.graphs[::2], [0, *compiled.graphs[1:-1:2]], strict=True)
    assert re.sub(r"\d+\.\d s", "N s", told.getvalue()).splitlines() == [
        f"compiled for phase '{phase}': N s" for phase, graphs, graphs_before in begun if graphs > graphs_before
    ]
    assert before.keys() == after.keys()
    assert len(plain.losses) == len(compiled.losses) == 2 * len(model.PHASES)
    for one, other in zip(compiled.losses, plain.losses, strict=True):
        assert one == pytest.approx(other, rel=1e-6)
    assert len(plain.gradients) == len(compiled.gradients) >= len(plain.losses)
    for one, other in zip(compiled.gradients, plain.gradients, strict=True):
        assert distance(one, other) < 1e-6


def test_a_run_goes_on_compiled_or_not_from_the_others_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inpaintlab.inpainting.compiling.require_compiler", lambda device: None)
    monkeypatch.setattr("inpaintlab.training.callbacks.Compiling", partial(Compiling, backend="eager"))

    def trained(folder: str, batches: int, compiled: bool) -> dict[str, Any]:
        settings = [*tiny("glcic", 0), f"model.schedule.phases.completion.batches={batches}", f"name={folder}"]
        settings += ["every.validation=1", "every.panel=100"]
        ended = run_here("train", *settings, "average=0.9", f"compile={str(compiled).lower()}", cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        return checkpoint(tmp_path / "runs" / folder)

    plain = trained("plain", 3, False)
    assert not counters["stats"]
    trained("mixed", 1, True)
    assert counters["stats"]["unique_graphs"] == 1  # not of the validation, nor of the average that it completes with
    trained("mixed", 2, False)
    mixed = trained("mixed", 3, True)
    assert mixed["inpaintlab"]["iterations"] == 3
    assert mixed["state_dict"].keys() == plain["state_dict"].keys()
    for key, value in plain["state_dict"].items():
        if isinstance(value, Tensor) and value.is_floating_point():
            assert torch.allclose(mixed["state_dict"][key], value, atol=1e-3), key


def test_images_of_any_size_are_completed_by_the_uncompiled_networks(built: Builder) -> None:
    model = built("glcic")
    image, mask = torch.rand(1, 3, 36, 40), torch.zeros(1, 1, 36, 40)
    mask[..., 8:20, 8:20] = 1
    expected = model.complete(image, mask)
    Compiling(QUIET, LIMIT, "eager").on_fit_start(None, model)  # type: ignore[arg-type]
    assert torch.equal(model.complete(image, mask), expected)
    assert torch.equal(model.complete(image[..., :32, :], mask[..., :32, :])[..., :8], image[..., :32, :8])
    assert not counters["stats"]
    model(image, mask)
    assert counters["stats"]["unique_graphs"] == 1  # and learning is compiled again


# --- completion ------------------------------------------------------------------------------------------------------


def hole(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A random image with a hole."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., 8:20, 8:20] = 1
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height)), mask


SIZES = [(36, 40), (32, 32), (29, 51), (64, 28)]


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("glcic", "bf16-mixed"),
        pytest.param("edgeconnect", "bf16-mixed", marks=pytest.mark.endurance),
        pytest.param("partial_convolution", "32-true", marks=pytest.mark.endurance),
    ],
)
def test_compiled_generators_complete_like_uncompiled_ones_at_every_size(
    built: Builder, name: str, precision: str
) -> None:
    """The graph that the compiler captures, run as it is: kernels generated from it are seen below."""
    plain, model = built(name), built(name)
    compile_generators(model, "cpu", "eager")
    for size in SIZES:
        image, mask = hole(*size)
        with computing(precision, model.device):
            expected, completed = plain.complete(image, mask), model.complete(image, mask)
        known = (mask == 0).expand_as(image)
        assert torch.equal(completed[known], image[known])
        assert completed.dtype == torch.float32
        assert 0 <= completed.min() <= completed.max() <= 1
        assert torch.allclose(completed, expected, rtol=0, atol=1e-5)
    assert not counters["graph_break"]
    # for any size, and for squares where these came first; a generator each, whatever the number of sizes
    assert counters["stats"]["unique_graphs"] <= 2 * len(model.generators())
    assert counters["frames"]["ok"] == counters["frames"]["total"] >= len(model.generators())


@pytest.mark.endurance
def test_generated_kernels_complete_like_the_network(built: Builder) -> None:
    plain, model = built("glcic"), built("glcic")
    with CompileTimer() as watch:
        compile_generators(model, "cpu")
        watch.taken()
        for size in SIZES[:3]:
            image, mask = hole(*size)
            expected, completed = plain.complete(image, mask), model.complete(image, mask)
            assert (completed - expected).abs().max() < 1e-5
            known = (mask == 0).expand_as(image)
            assert torch.equal(completed[known], image[known])
            assert (watch.taken() > 0.1) is (size == SIZES[0])
    assert counters["frames"]["ok"] == counters["frames"]["total"]


def test_the_cost_of_a_compiled_completion_has_its_operations_and_leaves_it_compiled(
    built: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inpaintlab.evaluation.cost.SECONDS", 0.0)
    plain, model = built("glcic"), built("glcic")
    compile_generators(model, "cpu", "eager")
    counters.clear()
    told = [measure_cost(m, 32, 1, torch.device("cpu")) for m in (plain, model)]
    assert told[0]["gmac"] == told[1]["gmac"]
    assert told[0]["parameters"] == told[1]["parameters"]
    assert counters["frames"]["ok"] == counters["frames"]["total"] == 1


def test_a_folder_is_completed_compiled_and_the_time_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.verbs.complete.compile_generators", partial(compile_generators, backend="eager"))
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    for number, size in enumerate(SIZES):
        for folder, plane in zip(("photos", "masks"), hole(*size), strict=True):
            pixels = (plane[0] * 255).byte().expand(3, -1, -1).permute(1, 2, 0).numpy()
            Image.fromarray(pixels.copy()).save(tmp_path / folder / f"{number}.png")
    settings = ("model=glcic", "model.width=0.0625", "untrained=true", "image=photos", "holes=masks", "compile=true")
    done = run_here("complete", *settings, "out=done", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert re.fullmatch(r"compiled for them: \d+\.\d s", lines[4])
    assert len(list((tmp_path / "done").iterdir())) == 4


def test_numbers_of_compiled_networks_are_another_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "inpaintlab.programs.evaluating.compile_generators", partial(compile_generators, backend="eager")
    )
    test = ("data=toy", "data.size=32", "images=2", "out=test.json")
    assert run_here("manifest", *test, cwd=tmp_path).returncode == 0
    settings = ("manifest=test.json", "trainer=cpu", "workers=0", "label=a")
    settings += ("model=glcic", "model.width=0.0625", "model.patch_size=16", "untrained=true", "data.size=32")
    assert run_here("evaluate", *settings, cwd=tmp_path).returncode == 0
    assert not counters["frames"]
    refused = run_here("evaluate", *settings, "compile=true", cwd=tmp_path)
    assert refused.returncode == 1
    assert "holds a result of another switches" in refused.stderr
    done = run_here("evaluate", *settings, "compile=true", "precision=bf16-mixed", "overwrite=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"compiled the networks: \d+\.\d s", done.stdout)
    assert counters["frames"]["ok"] == counters["frames"]["total"] == 1  # its cost is taken of what is compiled already
    switches = Result.load(tmp_path / "results/a").switches
    assert switches["compile"] is True
    assert switches["precision"] == "bf16-mixed"


# --- time and failures -----------------------------------------------------------------------------------------------


def broken(graph: Any, inputs: Any) -> Any:
    raise RuntimeError("the compiler has a fault")


def hanging(graph: Any, inputs: Any) -> Any:
    signal.setitimer(signal.ITIMER_REAL, 0.1, 5)  # the rest of its time is over
    time.sleep(60)


@pytest.mark.parametrize(
    ("backend", "reason"),
    [(broken, "the compiler has a fault"), (hanging, "the compiler took more than 600 s (compile_limit)")],
)
def test_a_network_whose_compiler_fails_or_hangs_goes_on_uncompiled(built: Builder, backend: Any, reason: str) -> None:
    """With the losses of an uncompiled run, bit for bit, since nothing was computed before the failure."""
    seen, told = [], io.StringIO()
    for more in ([], [Compiling(Console(file=told, width=500), LIMIT, backend)]):
        model = built("glcic", *phases(built("glcic"), 1))
        fit(model, *more, steps := Watched())
        seen.append(steps.losses)
    assert seen[0] == seen[1]
    failures = [line for line in told.getvalue().splitlines() if "uncompiled" in line]
    assert len(failures) == 2
    for line, network in zip(failures, ("completion", "discriminator"), strict=True):
        assert line.startswith(f"{network} goes on uncompiled: ")
        assert reason in line


def breaking(x: Tensor) -> Tensor:
    torch._dynamo.graph_break()
    return x


def test_a_network_that_is_not_one_graph_goes_on_uncompiled(built: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    model = built("glcic", *phases(built("glcic"), 1))
    model.discriminator.joint.register_forward_pre_hook(lambda layer, inputs: breaking(inputs[0]))
    fit(model, Compiling(Console(file=told, width=500), LIMIT, "eager"))
    failures = [line for line in told.getvalue().splitlines() if "uncompiled" in line]
    assert len(failures) == 1
    assert failures[0].startswith("discriminator goes on uncompiled: ")


@pytest.mark.endurance
def test_generated_kernels_have_the_gradients_and_the_power_iteration_of_the_network() -> None:
    torch.manual_seed(0)
    plain, compiled = PatchDiscriminator(3, 0.03125), PatchDiscriminator(3, 0.03125)
    compiled.load_state_dict(plain.state_dict())
    compiled.compile(dynamic=False)
    image = torch.rand(2, 3, 32, 32)
    for network in (plain, compiled):
        torch.stack([feature.square().mean() for feature in network(image)]).sum().backward()
    assert counters["frames"]["ok"] == counters["frames"]["total"] == 1
    for (name, one), other in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert distance(one.grad, other.grad) < 1e-4, name
    for (name, moved), other in zip(compiled.named_buffers(), plain.buffers(), strict=True):
        assert torch.allclose(moved, other, atol=1e-5), name
