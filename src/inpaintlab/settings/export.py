"""The settings of ``inpaintlab export``, a table as in `schema`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from inpaintlab.settings import kinds as k


@dataclass(frozen=True)
class OnlySize:
    """What an untrained model's discriminator is built for."""

    size: k.Size


@dataclass(frozen=True)
class Export:
    """``inpaintlab export``."""

    checkpoint: k.PathOrNull
    which: k.Which
    format: Literal["onnx", "torch_export"]
    out: k.PathOrNull
    overwrite: k.Flag
    label: k.Text
    licence: k.Text
    opset: Annotated[int, k.Range(least=18, most=23)]
    trust: k.Texts
    data: OnlySize
    model: k.ModelOrChanges = field(default_factory=dict)
