"""Pictures of the report: which test images to show, and how they are put into the page."""

import base64
import io
import math
from pathlib import Path

import numpy as np
from hydra.errors import InstantiationException
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from inpaintlab.results import Result, bin_order

HOLE_COLOUR = (0.90, 0.0, 0.49)  # a magenta that photographs hardly contain
LARGEST_SIDE = 256  # pixels; larger completions are shown reduced
_SIDES = (256, 192, 128, 96, 64)
_QUALITIES = (92, 85, 75, 60)


def pick(result: Result, metric: str, higher_is_better: bool, count: int) -> dict[str, list[str]]:
    """Names of at most `count` images: a quarter "worst" (worst first), a quarter "best" (best first), then "rest".

    The rest takes from every mask bin in turn, spread evenly from the bin's worst to its best image.
    A value that is not a number counts as the worst of all.
    """
    sign = 1 if higher_is_better else -1
    values = dict(result.per_image.select("name", metric).iter_rows())
    scores = {name: -math.inf if value is None or math.isnan(value) else sign * value for name, value in values.items()}
    worst_first = sorted(scores, key=lambda name: (scores[name], name))

    count = min(count, len(worst_first))
    quarter = math.ceil(count / 4)
    worst = worst_first[:quarter]
    best = worst_first[max(quarter, len(worst_first) - min(quarter, count - quarter)) :][::-1]
    left = [name for name in worst_first if name not in {*worst, *best}]
    return {"worst": worst, "best": best, "rest": _spread(result, left, count - len(worst) - len(best))}


def _spread(result: Result, names: list[str], count: int) -> list[str]:
    bins = dict(result.per_image.select("name", "bin").iter_rows())
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(bins[name], []).append(name)
    shares = dict.fromkeys(sorted(groups, key=bin_order), 0)
    while sum(shares.values()) < min(count, len(names)):
        # the bin with the smallest share that still has images gets the next one
        shares[min((name for name in shares if shares[name] < len(groups[name])), key=shares.__getitem__)] += 1
    chosen = []
    for name, share in shares.items():
        group = groups[name]
        chosen += [group[int((i + 0.5) * len(group) / share)] for i in range(share)]
    return chosen


def originals(folder: Path, names: list[str], root: str | None) -> dict[str, tuple[Image.Image, Image.Image]]:
    """For each name, the photograph and the photograph with its hole painted over.

    `root` is where the photographs lie on this machine, if not where they lay when the manifest was frozen.
    Raises ValueError or OSError when the manifest or a photograph cannot be read on this machine.
    """
    # Imported here: a report without pictures needs no data code.
    from inpaintlab.testset import Manifest, ManifestDataset

    manifest = Manifest.load(folder / "manifest.json")
    try:
        dataset = ManifestDataset(manifest, root)
    except InstantiationException as error:
        # Hydra wraps what the constructor raised, such as a folder that is not on this machine.
        raise ValueError(str(error.__cause__ or error)) from error
    positions = {item.name: position for position, item in enumerate(manifest.items)}
    unknown = [name for name in names if name not in positions]
    if unknown:
        raise ValueError(f"{folder / 'manifest.json'} does not list the image {unknown[0]}")
    pictures = {}
    for name in names:
        item = dataset[positions[name]]
        pictures[name] = (_picture(item["image"]), _picture(painted(item["image"], item["mask"])))
    return pictures


def painted(
    image: Float[Tensor, "3 height width"], mask: Float[Tensor, "1 height width"]
) -> Float[Tensor, "3 height width"]:
    """The image in [0,1] with its hole (mask 1) in one flat colour."""
    colour = image.new_tensor(HOLE_COLOUR).view(3, 1, 1)
    return image * (1 - mask) + colour * mask


def _picture(image: Float[Tensor, "3 height width"]) -> Image.Image:
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels))


def completion(result: Result, name: str) -> Image.Image:
    """The method's completion of an image. Raises ValueError when the result folder does not have it."""
    path = result.picture(name)
    if not path.is_file():
        raise ValueError(f"{result.label} has no completed picture of {name} ({path} is missing): evaluate it again.")
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError as error:
        raise ValueError(f"{path} is not a readable picture: evaluate {result.label} again.") from error


def data_uri(picture: Image.Image, most_bytes: int) -> str:
    """The picture as text for an `src`: PNG where that fits into `most_bytes`, else the best JPEG that does.

    Pictures larger than 256 pixels are reduced; where even the worst JPEG is too large, they are reduced further.
    """
    largest = max(picture.size)
    for side in (min(LARGEST_SIDE, largest), *(side for side in _SIDES if side < min(LARGEST_SIDE, largest))):
        scaled = picture.resize([max(1, round(n * side / largest)) for n in picture.size], Image.Resampling.LANCZOS)
        data = _encoded(scaled, "PNG")
        kind = "png"
        for quality in _QUALITIES:
            if len(data) <= most_bytes:
                break
            data, kind = _encoded(scaled, "JPEG", quality=quality), "jpeg"
        if len(data) <= most_bytes:
            break
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _encoded(picture: Image.Image, file_format: str, **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, optimize=True, **options)
    return file.getvalue()
