"""The work around a training step (edges, masks, loading, metrics, completion), beside that of the published code."""

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from jaxtyping import Float
from PIL import Image
from skimage.feature import canny as canny_of_scikit_image
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks import photographs
from benchmarks.plain import loader
from benchmarks.settings import Settings, compiled, precision_of
from benchmarks.sides import Case, build_ours
from benchmarks.timing import Pairs, seconds, summary, take_turns
from inpaintlab.config import CONF
from inpaintlab.data import batch_as_floats
from inpaintlab.edges import canny
from inpaintlab.imaging import rgb_to_gray
from inpaintlab.inpainting import Inpainter, compile_generators, computing, fit
from inpaintlab.layers import fuse_spectral_norm
from inpaintlab.machine import Load
from inpaintlab.masks import Mask
from inpaintlab.metrics import PSNRGray, SSIMUniform51Gray, score
from inpaintlab.randomness import sample_generator

TOGETHER = 8  # pictures of a batch
ROUNDS = 7  # of short work; more than of steps

SEARCHING = ("patchmatch", "image_melding", "planar_structure")
"""Methods that search for patches, those of them that are here; PyPatchMatch is beside each."""


@dataclass(frozen=True)
class Work:
    """Something to time: one call processes ``count`` pictures."""

    name: str
    count: int
    ours: Callable[[], object]
    reference: Callable[[], object] | None = None
    against: str = ""
    one_core: bool = True
    on_device: bool = False
    rounds: int = ROUNDS


def names(settings: Settings) -> dict[str, list[str]]:
    """The names of all cases, by their families, without building any."""
    size = _size(settings)
    endings = ["" if variant == "float32" else f"/{variant}" for variant in settings.variants]
    return {
        "edges": [f"edges/{size}x{count}{ending}" for ending in ("", "/masked") for count in (1, TOGETHER)],
        "masks": [f"masks/{file.stem}" for file in sorted((CONF / "mask").glob("*.yaml"))],
        "loader": [f"loader/{name}" for name in ("block", "reduced decoding", "irregular")],
        "metrics": ["metrics/psnr and ssim51"],
        "completion": [
            f"completion/{model}/{size}x{count}{ending}"
            for model in ("edgeconnect", "glcic")
            for ending in endings
            for count in (1, TOGETHER)
        ],
        "searching": [
            f"searching/{model}/{side} hole {side // 2}"
            for side in _searched(settings)
            for model in SEARCHING
            if (CONF / f"model/{model}.yaml").is_file()
        ],
    }


def rows(root: Path, folder: Path, settings: Settings, family: str) -> Iterator[dict[str, Any]]:
    """The rows of the wanted cases of a family, each built when its turn comes.

    Args:
        root: the folder of photographs.
        folder: for files that some cases need.
        settings: of the benchmark.
        family: a key of `names`.
    """
    for item in cases(root, folder, settings, family):
        if settings.wants(item.name):
            yield measure(item, settings)


def cases(root: Path, folder: Path, settings: Settings, family: str) -> Iterator[Work]:
    """All cases of a family, built one by one as they are requested."""
    size = _size(settings)
    batch = photographs.batch(root, size, TOGETHER)
    if family == "edges":
        return edges(batch["gray"], strokes(size, TOGETHER), settings.torch_device)
    if family == "masks":
        return masks(folder, size)
    if family == "loader":
        return loading(root, folder, size)
    if family == "metrics":
        return metrics(batch["image"], batch["mask"])
    if family == "searching":
        return searching(root, settings)
    return completion(batch["image"], batch["mask"], settings)


def _searched(settings: Settings) -> list[int]:
    return [64] if settings.quick else [256, 512]


def _size(settings: Settings) -> int:
    return 64 if settings.quick else 256


def measure(work: Work, settings: Settings) -> dict[str, Any]:
    """Measure a row of the table: milliseconds per picture of both sides, and how many times as fast ours is."""
    device = settings.torch_device if work.on_device else None
    rounds = settings.rounds if settings.quick else work.rounds
    assert settings.threads is not None
    assert rounds is not None
    load = Load()
    with threads(1 if work.one_core else settings.threads), load.watched():
        if work.reference is None:
            work.ours()
            times = Pairs([seconds(work.ours, device) for _ in range(rounds)], [])
        else:
            times = take_turns(work.ours, work.reference, rounds, device)
    row: dict[str, Any] = {
        "name": work.name,
        "against": work.against,
        "threads": 1 if work.one_core else settings.threads,
        "load_of_others": load.others,
        "ours": None,
        "reference": None,
        "ratio": asdict(times.ratio) if times.plain else None,
    }
    for side, taken in {"ours": times.ours, "reference": times.plain}.items():
        row[side] = asdict(summary([1000 * t / work.count for t in taken])) if taken else None
    return row


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the number of threads of torch and OpenCV inside the ``with`` block."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def edges(gray: Tensor, holes: Tensor, device: torch.device) -> Iterator[Work]:
    """Canny's edges at sigma 2, of whole pictures and of the known region around irregular holes."""
    arrays = [picture[0].double().numpy() for picture in gray]
    for ending, known in (("", None), ("/masked", 1 - holes)):
        for count in (1, TOGETHER):
            usable = None if known is None else [one[0].numpy() > 0.5 for one in known[:count]]
            yield Work(
                f"edges/{gray.shape[-1]}x{count}{ending}",
                count,
                partial(canny, gray[:count].to(device), 2.0, None if known is None else known[:count].to(device)),
                partial(_each_edges, arrays[:count], usable or [None] * count),
                "scikit-image",
                on_device=True,
            )


def _each_edges(pictures: list[np.ndarray], usable: Sequence[np.ndarray | None]) -> None:
    for picture, mask in zip(pictures, usable, strict=True):
        canny_of_scikit_image(picture, sigma=2.0, mask=mask)


def masks(folder: Path, size: int) -> Iterator[Work]:
    """Every family of conf/mask."""
    count = 100
    for file in sorted((CONF / "mask").glob("*.yaml")):
        files = [f"mask.root={mask_files(folder)}"] if file.stem == "folder" else []
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            mask = instantiate(compose("train", overrides=[f"mask={file.stem}", *files]).mask)
        generators = [sample_generator("benchmark", number) for number in range(count)]
        yield Work(f"masks/{file.stem}", count, partial(_draw, mask, size, generators))


def _draw(mask: Mask, size: int, generators: list[torch.Generator]) -> None:
    for generator in generators:
        mask(size, size, generator)


def mask_files(folder: Path) -> Path:
    """Strokes of 512 pixels as PNG files."""
    kept = folder / "masks"
    if not kept.is_dir():
        kept.mkdir()
        for number, hole in enumerate(strokes(512, 16)):
            Image.fromarray((hole[0] * 255).byte().numpy()).save(kept / f"{number:02d}.png")
    return kept


def strokes(size: int, count: int) -> Float[Tensor, "{count} 1 {size} {size}"]:
    """Irregular holes, the same in every run."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        mask = instantiate(compose("train", overrides=["mask=strokes"]).mask)
    return torch.stack([mask(size, size, sample_generator("benchmark's files", number)) for number in range(count)])


def loading(root: Path, folder: Path, size: int) -> Iterator[Work]:
    """Training samples with edges from JPEG files, collated into batches; our side computes edges batch by batch."""
    drawn = mask_files(folder)
    count = 4 * TOGETHER
    for name, mask_paths, settings in (
        ("block", None, ["mask=block"]),
        ("reduced decoding", None, ["mask=block", "data.decode=reduced"]),
        ("irregular", sorted(drawn.glob("*.png")), ["mask=folder", f"mask.root={drawn}", "mask.threshold=0"]),
    ):
        training = photographs.samples(root, size, *settings)
        files = training.source.files("train")
        yield Work(
            f"loader/{name}",
            count,
            partial(_our_batches, training, count),
            partial(_published_batches, files, mask_paths, size, count),
            "published pipeline",
        )


def _our_batches(training: Any, count: int) -> None:
    for start in range(0, count, TOGETHER):
        places = range(start, start + TOGETHER)
        batch = batch_as_floats(default_collate([training[divmod(place, len(training))] for place in places]))
        canny(rgb_to_gray(batch["image"]), 2.0)


def _published_batches(files: list[Path], mask_paths: list[Path] | None, size: int, count: int) -> None:
    random = np.random.default_rng(1)
    for start in range(0, count, TOGETHER):
        samples = []
        for place in range(start, start + TOGETHER):
            mask_file = mask_paths[random.integers(len(mask_paths))] if mask_paths else None
            samples.append(loader.sample(files[place % len(files)], size, random, mask_file))
        default_collate(samples)


def metrics(image: Tensor, mask: Tensor) -> Iterator[Work]:
    """PSNR and SSIM with a window of 51, both in gray, as in an evaluation."""
    generator = torch.Generator().manual_seed(1)
    output = torch.where(mask > 0.5, torch.rand(image.shape, generator=generator), image)
    pairs = [[picture.permute(1, 2, 0).double().numpy() for picture in side] for side in (output, image)]
    kinds = {kind.name: kind for kind in (PSNRGray(), SSIMUniform51Gray())}
    yield Work(
        "metrics/psnr and ssim51",
        len(image),
        lambda: score(kinds, output, image, mask),
        lambda: [loader.scores(ours, truth) for ours, truth in zip(*pairs, strict=True)],
        "scikit-image",
    )


def completion(image: Tensor, mask: Tensor, settings: Settings) -> Iterator[Work]:
    """Completed pictures in each variant, beside OpenCV's fast marching, with all threads.

    A variant is reported and left out if this machine has no compiler for it.
    """
    size, device = image.shape[-1], settings.torch_device
    pictures = [np.ascontiguousarray((picture * 255).round().byte().permute(1, 2, 0).numpy()) for picture in image]
    holes = [hole[0].byte().numpy() for hole in mask]
    for model_name, variant in itertools.product(("edgeconnect", "glcic"), settings.variants):
        suffix = "" if variant == "float32" else f"/{variant}"
        names = {count: f"completion/{model_name}/{size}x{count}{suffix}" for count in (1, TOGETHER)}
        if not any(settings.wants(name) for name in names.values()):
            continue
        try:
            complete = completer(Case(model_name, "joint", size, 1), settings, variant)
        except ValueError as error:
            print(f"completion/{model_name} in {variant} left out: {error}", file=sys.stderr)
            continue
        for count, name in names.items():
            yield Work(
                name,
                count,
                partial(complete, image[:count].to(device), mask[:count].to(device)),
                partial(_each_telea, pictures[:count], holes[:count]),
                "Telea, OpenCV",
                one_core=False,
                on_device=True,
            )


def searching(root: Path, settings: Settings) -> Iterator[Work]:
    """A photograph with a square hole of half its side, completed by each search, beside PyPatchMatch.

    PyPatchMatch is run as ``model=patchmatch_library``, in its process, which has started before.
    """
    library = method("patchmatch_library")
    for name in names(settings)["searching"]:
        if not settings.wants(name):
            continue
        _, model, words = name.split("/")
        side = int(words.split()[0])
        image = photographs.batch(root, side, 1)["image"]
        mask = torch.zeros(1, 1, side, side)
        mask[..., side // 4 : side // 4 + side // 2, side // 4 : side // 4 + side // 2] = 1
        search = method(model)
        for one in (library, search):  # starts a process, compiles
            one.complete(image[..., :32, :32], mask[..., side // 4 - 8 :, side // 4 - 8 :][..., :32, :32])
        ours, reference = partial(search.complete, image, mask), partial(library.complete, image, mask)
        yield Work(name, 1, ours, reference, "PyPatchMatch", rounds=3)


def method(name: str) -> Inpainter:
    """A method of conf/model that does not learn."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        model: Inpainter = instantiate(compose("train", overrides=[f"model={name}"]).model)
    return model


def completer(case: Case, settings: Settings, variant: str) -> Callable[[Tensor, Tensor], Tensor]:
    """A function that completes images as `inpaintlab complete` does, with fused spectral norm.

    Args:
        case: the model and its size.
        settings: of the benchmark.
        variant: precision and compilation.

    Raises:
        ValueError: this machine has no compiler.
    """
    model, _ = build_ours(case, settings, "float32", 1)
    fuse_spectral_norm(model)
    precision = "bf16-mixed" if precision_of(variant) == "bf16" else "32-true"
    fit(model.networks(), settings.device, precision)
    model.to(settings.torch_device)
    if compiled(variant):
        compile_generators(model, settings.device)

    def complete(image: Tensor, mask: Tensor) -> Tensor:
        with computing(precision, settings.torch_device):
            return model.complete(image, mask)

    return complete


def _each_telea(pictures: list[np.ndarray], holes: list[np.ndarray]) -> None:
    for picture, hole in zip(pictures, holes, strict=True):
        loader.telea(picture, hole)
