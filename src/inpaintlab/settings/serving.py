"""The settings of ``inpaintlab serve`` and what each can be, as `schema` has those of the other verbs."""

from dataclasses import dataclass
from typing import Annotated

from inpaintlab.machine import Said
from inpaintlab.settings import kinds as k


@dataclass(frozen=True)
class Serve:
    """``inpaintlab serve``."""

    checkpoint: k.Paths
    models: k.Texts
    host: Annotated[str, Said("an address or a name of this machine")]
    port: Annotated[int, k.Range(least=0, most=65535)]
    open: k.Flag
    token: k.Text
    keep: k.PathOrNull
    minutes: Annotated[float, k.Range(above=0)]
    memory: Annotated[float, k.Range(above=0)]
    window: k.Window
    # above the second bound no picture is opened
    most_pixels: Annotated[int, k.Range(least=1, most=89_478_485)]
    most_bytes: Annotated[int, k.Range(least=1024, most=2**30)]
    study: k.Paths
    seed: k.Seed
    trust: k.Texts
