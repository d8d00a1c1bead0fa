"""A folder of photographs completed by `inpaintlab complete`, beside a plain loop that goes file by file."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2gray
from skimage.feature import canny

from benchmarks import photographs
from benchmarks.plain import edgeconnect
from benchmarks.plain.loader import tensor
from benchmarks.process import command
from benchmarks.settings import Settings, settings_of
from benchmarks.sides import Case, Plain, build_plain, torch_defaults
from benchmarks.timing import seconds, summary
from inpaintlab.machine import Load

ROUNDS = {"cpu": 1, "cuda": 2}
COUNTS = {"cpu": 16, "cuda": 256}
PLAIN = 64  # so many of them are enough for the plain loop, which needs the same for each


def rows(root: Path, folder: Path, settings: Settings, model: str, variants: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a model, one a variant: milliseconds a photograph.

    Ours is the whole command in this process, reading, checking and writing included, less the same command for a
    single photograph: building the networks, and compiling them, is not what a folder's length costs.

    Args:
        root: the folder of photographs.
        folder: for files.
        settings: of the benchmark.
        model: edgeconnect or glcic.
        variants: precisions of ours.
    """
    size, count = (64, 12) if settings.quick else (256, COUNTS[settings.device])
    many, single = folder / f"{size}x{count}", folder / f"{size}x1"
    if not many.exists():
        _write(root, many, size, count)
        _write(root, single, size, 1)
    plain = build_plain(Case(model, "joint", size, 1), settings.width).to(settings.torch_device).eval()
    loop = _plain(plain, many, folder, settings.torch_device)
    for variant in variants:
        if settings.wants(f"completion/folder/{model}/{variant}"):
            name = f"completion/folder/{model}/{variant}/{size}x{count}"
            given = [f"model={model}", f"model.width={settings.width}", "untrained=true", *settings_of(variant)]
            yield {"name": name} | _measure(loop, many, single, folder, given, settings)


def _measure(
    plain: Callable[[], None], many: Path, single: Path, out: Path, given: list[str], settings: Settings
) -> dict[str, Any]:
    device = settings.torch_device
    count = len(list((many / "images").iterdir()))
    few = min(count, PLAIN)
    load = Load()
    ours, theirs, ratios = [], [], []
    with load.watched():
        _complete(single, out, given)  # so that what is loaded once is there
        plain()
        for _ in range(ROUNDS[settings.device]):
            one = seconds(lambda: _complete(single, out, given), device)
            whole = seconds(lambda: _complete(many, out, given), device)
            with torch_defaults():
                theirs.append(1000 * seconds(plain, device) / few)
            if whole <= one:
                raise ValueError(f"completing {count} photographs took no longer than completing one: {one:.1f} s")
            ours.append(1000 * (whole - one) / (count - 1))
            ratios.append(theirs[-1] / ours[-1])
    return {
        "against": "the plain generator in float32, file by file",
        "threads": settings.threads,
        "load_of_others": load.others,
        "ours": asdict(summary(ours)),
        "reference": asdict(summary(theirs)),
        "ratio": asdict(summary(ratios)),
    }


def _write(root: Path, folder: Path, size: int, count: int) -> None:
    """Photographs as PNG files, and their masks under the same names."""
    training = photographs.samples(root, size, "mask=strokes")
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        sample = training[divmod(number, len(training))]
        image, mask = ((sample[name] * 255).round().byte().permute(1, 2, 0).numpy() for name in ("image", "mask"))
        Image.fromarray(image).save(folder / "images" / f"{number:03d}.png")
        Image.fromarray(mask[..., 0]).save(folder / "masks" / f"{number:03d}.png")


def _complete(folder: Path, out: Path, given: list[str]) -> None:
    """`inpaintlab complete` of a folder, as a user runs it, but for the start of Python."""
    done = out / "ours"
    shutil.rmtree(done, ignore_errors=True)
    command("complete", [f"image={folder / 'images'}", f"holes={folder / 'masks'}", f"out={done}", *given])


def _plain(model: Plain, folder: Path, out: Path, device: torch.device) -> Callable[[], None]:
    """A function that completes the files of a folder one by one, as a script of a few lines does."""
    (out / "plain").mkdir(exist_ok=True)

    @torch.no_grad()
    def work() -> None:
        for file in sorted((folder / "images").iterdir())[:PLAIN]:
            pixels = np.array(Image.open(file).convert("RGB"))
            hole = np.array(Image.open(folder / "masks" / file.name).convert("L"))
            mask = tensor((hole > 127)[..., None]).to(device)[None]
            image = tensor(pixels).to(device)[None] / 255
            completed = _generate(model, pixels, image, mask) * mask + image * (1 - mask)
            filled = (completed[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
            Image.fromarray(filled).save(out / "plain" / file.name)

    return work


def _generate(model: Plain, pixels: np.ndarray, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    if not isinstance(model, edgeconnect.EdgeConnect):
        return model.completion(torch.cat([(image - model.mean_pixel) * (1 - mask), mask], dim=1))
    known = rgb2gray(pixels)
    gray, drawn = (tensor(plane[..., None]).to(image.device)[None] for plane in (known, canny(known, sigma=2.0)))
    edges = model.draw(gray, drawn, mask) * mask + drawn * (1 - mask)
    return model.paint(image, edges, mask)
