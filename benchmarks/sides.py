"""The two sides of a training step: our model under Lightning's trainer, and the plain reference with its weights."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from lightning import Callback, LightningDataModule, Trainer
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.plain import context_encoder, contextual_attention, edgeconnect, glcic, partial_convolution
from benchmarks.settings import Settings, settings_of
from inpaintlab.config import CONF
from inpaintlab.inpainting import Compiling, Learner, build, chosen_compilation, chosen_precision, device_type
from inpaintlab.recipes import plain as plain_values
from inpaintlab.training import chosen_steps, training_trainer

PHASES = {
    "edgeconnect": edgeconnect.STAGES,
    "glcic": glcic.PHASES,
    "contextual_attention": contextual_attention.PHASES,
    "partial_convolution": partial_convolution.PHASES,
    "context_encoder": context_encoder.PHASES,
}
MEAN_PIXEL = [0.5, 0.5, 0.5]  # GLCIC's, given so that it is not measured on the training set

Plain = (
    context_encoder.ContextEncoder
    | contextual_attention.ContextualAttention
    | edgeconnect.EdgeConnect
    | glcic.GLCIC
    | partial_convolution.PartialConvolution
)
Batch = dict[str, Any]


FOR_ONE_SIZE = {"context_encoder": (16, 32, 64, 128)}
"""Sides of the pictures that a model takes where it is not made for all; their batches hold two at least."""


@dataclass(frozen=True)
class Case:
    """A phase of a model on pictures of ``size`` pixels."""

    model: str
    phase: str
    size: int
    batch: int

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return f"{self.model}/{self.phase}/{self.size}x{self.batch}"

    @property
    def possible(self) -> bool:
        """Whether the model learns from such batches."""
        return self.model not in FOR_ONE_SIZE or (self.size in FOR_ONE_SIZE[self.model] and self.batch > 1)


def build_ours(case: Case, settings: Settings, variant: str, batches: int, *more: str) -> tuple[Learner, Any]:
    """Our model as `inpaintlab train` makes it for this phase alone, and a function that makes its trainer.

    VGG-19 has random weights: the time of a step does not depend on them.

    Args:
        case: model, phase and shape.
        settings: of the benchmark.
        variant: precision and compilation.
        batches: length of the phase.
        more: further settings of `inpaintlab train`.

    Raises:
        ValueError: the model does not train in this precision, or there is nothing to compile it with.
    """
    lengths = {phase: batches if phase == case.phase else 0 for phase in PHASES[case.model]}
    own = {
        "context_encoder": [f"model.bottleneck={context_encoder.FEATURES}"],
        "contextual_attention": [],
        "edgeconnect": ["model.vgg=random"],
        "glcic": [f"model.mean_pixel={MEAN_PIXEL}"],
        "partial_convolution": ["model.vgg=random", f"model.levels={partial_convolution.LEVELS}"],
    }[case.model]
    overrides = [
        f"model={case.model}",
        *own,
        f"model.width={settings.width}",
        *(f"model.schedule.phases.{phase}.batches={length}" for phase, length in lengths.items()),
        "data=folder",
        "data.root=.",
        f"data.size={case.size}",
        f"data.batch_size={case.batch}",
        f"trainer={'gpu' if settings.device == 'cuda' else 'cpu'}",
        "every.log=1_000_000",
        *settings_of(variant),
        *more,
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = compose("train", overrides=overrides)
    torch.manual_seed(0)
    model = build(cfg.model, chosen_steps(plain_values(cfg)))
    assert isinstance(model, Learner)
    chosen_precision(cfg.trainer.precision, cfg.trainer.accelerator)  # refuses the same settings as a training
    added = []
    if chosen_compilation(cfg.compile, device_type(cfg.trainer.accelerator), model.schedule.total).on:
        added.append(compiling(cfg.compile_limit))

    def build_trainer(callbacks: Sequence[Callback], **given: Any) -> Trainer:
        return training_trainer(cfg.trainer, cfg.every, [*added, *callbacks], **given)

    return model, build_trainer


def fit(
    model: Learner,
    build_trainer: Callable[..., Trainer],
    batch: Batch | list[Batch],
    size: int,
    *callbacks: Callback,
) -> None:
    """Train to the end of the schedule on one batch, or on one after the other, without logs, files and validation."""
    batches = batch if isinstance(batch, list) else [batch] * model.schedule.total
    trainer = build_trainer(callbacks=callbacks, limit_val_batches=0)
    with product_switches():
        trainer.fit(model, datamodule=Given(batches, size))


def compiling(limit: int | float) -> Compiling:
    """What compiles a model's networks for training. That a compiler fails is told, since then it is not measured."""
    return Compiling(Console(stderr=True), limit)


class Given(LightningDataModule):
    """Given batches with their edges, so that the time of a step includes neither a loader nor Canny's edges."""

    def __init__(self, batches: list[Batch], size: int) -> None:
        super().__init__()
        self.rows = [{name: batch[name] for name in ("image", "mask", "edges")} for batch in batches]
        self.batch_size = len(batches[0]["image"])
        self.size = size

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches, already on their device."""
        return DataLoader(self.rows, batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> list[Any]:
        """No validation, which would add to the time."""
        return []


def build_plain(case: Case, width: float, **rates: float) -> Plain:
    """The plain reference of a case, on the CPU."""
    if case.model == "edgeconnect":
        return edgeconnect.EdgeConnect(width, **rates)
    if case.model == "contextual_attention":
        return contextual_attention.ContextualAttention(case.size, width)
    if case.model == "partial_convolution":
        return partial_convolution.PartialConvolution(width)
    if case.model == "context_encoder":
        return context_encoder.ContextEncoder(case.size, width)
    return glcic.GLCIC(case.size, MEAN_PIXEL, width)


def copy_weights(ours: Learner, plain: Plain) -> None:
    """Copy our weights into the plain networks, with the vectors of spectral norm and the statistics of batch norm."""
    for name, network in plain.networks():
        for source, target in zip(layers(ours.get_submodule(name)), layers(network), strict=True):
            given, taking = state(source), state(target)
            assert given.keys() == taking.keys(), f"{name}: {sorted(given)} and {sorted(taking)}"
            for key, value in taking.items():
                value.data.copy_(given[key].data)
    without_vgg = glcic.GLCIC | context_encoder.ContextEncoder | contextual_attention.ContextualAttention
    if not isinstance(plain, without_vgg):
        for vgg in getattr(ours, "vgg", ()):
            copies = (
                (plain.perceptual_vgg, plain.style_vgg) if isinstance(plain, edgeconnect.EdgeConnect) else (plain.vgg,)
            )
            for copy in copies:  # EdgeConnect's have more layers than ours
                for source, target in zip(layers(vgg), layers(copy), strict=False):
                    target.load_state_dict(source.state_dict())


def layers(network: nn.Module) -> Iterator[nn.Module]:
    """The layers of a network that hold weights, in the order in which they were made."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d)
    return (module for module in network.modules() if isinstance(module, kinds))


def state(layer: nn.Module) -> dict[str, Tensor]:
    """A layer's tensors by name, with the same names for the old and the new form of spectral norm."""
    names = {
        "parametrizations.weight.original": "weight",
        "parametrizations.weight.0._u": "u",
        "parametrizations.weight.0._v": "v",
        "weight_orig": "weight",
        "weight_u": "u",
        "weight_v": "v",
    }
    tensors = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
    return {names.get(name, name): value for name, value in tensors.items()}


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Set torch's default switches for the process while the plain side runs, which changes none of them."""
    precision, tuned = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.benchmark = tuned


@contextmanager
def product_switches() -> Iterator[None]:
    """Set the switches for matrix products as `inpaintlab train` does."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
