"""The pictures of the report: read from result folders and the test set, and encoded as text for the page."""

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from inpaintlab.evaluation import Result
from inpaintlab.imaging import read_picture
from inpaintlab.testsets import Manifest, ManifestDataset

HOLE_COLOUR = (0.90, 0.0, 0.49)  # a magenta that is rare in photographs


LARGEST_SIDE = 256  # pixels; larger pictures are shown reduced


_SIDES = (256, 192, 160, 128, 96, 64, 48)


_QUALITIES = (90, 80, 65, 50, 30)


BYTES_PER_PIXEL = 0.12  # of a photograph as WebP at a medium quality; the search for a size starts from it


_RIM_SIDE = 128


@dataclass(frozen=True)
class Original:
    """A photograph of the test set.

    Args:
        image: the photograph.
        painted: the photograph with its hole painted over.
        hole: the mask; white is the hole.
    """

    image: Image.Image
    painted: Image.Image
    hole: Image.Image


def originals(folder: Path, names: list[str], root: str | None, mask_root: str | None = None) -> dict[str, Original]:
    """The photographs of test images, by name.

    Args:
        folder: a result folder, whose manifest says where the photographs are.
        names: of the test images.
        root: the folder of the photographs on this machine, if they have moved since the manifest was frozen.
        mask_root: the same of the mask files.

    Raises:
        ValueError: the manifest or a photograph cannot be read, or differs from the frozen one.
        OSError: likewise.
    """
    manifest = Manifest.load(folder / "manifest.json")
    dataset = ManifestDataset(manifest, root, mask_root, with_edges=False)
    positions = {item.name: position for position, item in enumerate(manifest.items)}
    unknown = [name for name in names if name not in positions]
    if unknown:
        raise ValueError(f"{folder / 'manifest.json'} does not list the image {unknown[0]}")
    pictures = {}
    for name in names:
        item = dataset[positions[name]]
        image, mask = item["image"], item["mask"]
        pictures[name] = Original(_picture(image), _picture(painted(image, mask)), _picture(mask))
    return pictures


def painted(
    image: Float[Tensor, "3 height width"], mask: Float[Tensor, "1 height width"]
) -> Float[Tensor, "3 height width"]:
    """The image in [0, 1] with its hole (mask 1) in one flat colour."""
    colour = image.new_tensor(HOLE_COLOUR).view(3, 1, 1)
    return image * (1 - mask) + colour * mask


def _picture(image: Float[Tensor, "colours height width"]) -> Image.Image:
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels if len(image) == 3 else pixels[..., 0]))


def kinds(result: Result) -> dict[str, Path]:
    """The folders of a result's further pictures: "raw", then the intermediate outputs by their names.

    Evaluations write them on request.
    """
    raw, inside = result.folder / "raw", result.folder / "inside"
    found = {"raw": raw} if raw.is_dir() else {}
    if inside.is_dir():
        found |= {folder.name: folder for folder in sorted(inside.iterdir()) if folder.is_dir()}
    return found


def completion(result: Result, name: str) -> Image.Image:
    """The method's completion of an image.

    Raises:
        ValueError: it is missing or no picture.
    """
    return read(result, name, result.picture(name).parent)


def read(result: Result, name: str, folder: Path) -> Image.Image:
    """Read the picture of an image from one of a result's folders, gray or RGB as it was written.

    Args:
        result: the method.
        name: of the test image.
        folder: see `kinds`, or the folder of completions.

    Raises:
        ValueError: it is missing or no picture, or a completion is not the one that was scored.
    """
    path = folder / result.pictures[name]
    if not path.is_file():
        what = folder.relative_to(result.folder)
        raise ValueError(f"{result.label} has no {what} picture of {name} ({path} is missing): evaluate it again.")
    content = path.read_bytes()
    if path == result.picture(name) and hashlib.sha256(content).hexdigest() != result.picture_sha256(name):
        raise ValueError(f"{path} was changed after it was written: its hash differs; evaluate {result.label} again.")
    try:
        picture = read_picture(path, content=content)
    except ValueError as error:
        raise ValueError(f"{path} is not a readable picture: evaluate {result.label} again.") from error
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def data_uri(picture: Image.Image, most_bytes: int) -> str:
    """The picture as a data URI: PNG if that fits into ``most_bytes``, else the best WebP that does.

    Pictures larger than 256 pixels are reduced, and so are those for which ``most_bytes`` is too small. If not even the
    smallest encoding fits, that one is returned.
    """
    largest = max(picture.size)
    start = min(LARGEST_SIDE, largest)
    smaller = [side for side in _SIDES if side < start]
    sides = [start, *smaller]
    if picture.mode != "L":  # a gray picture is a drawing of edges, which may be small at any size
        sides = [side for side in sides if side * side * BYTES_PER_PIXEL <= most_bytes] or sides[-1:]
    for side in sides:
        for kind, data in _encodings(_scaled(picture, side / largest), most_bytes):
            if len(data) <= most_bytes:
                return _uri(data, kind)
    return _uri(data, kind)


def _encodings(picture: Image.Image, most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Encodings of the picture in decreasing size, starting with PNG if that may fit into ``most_bytes``."""
    # a PNG seldom takes less than a fifth of a photograph, much less of a drawing
    if picture.mode == "L" or picture.width * picture.height * 3 <= 5 * most_bytes:
        yield "png", _encoded(picture, "PNG")
    for quality in _QUALITIES:
        yield "webp", _encoded(picture, "WebP", quality=quality, method=2)


def rim(hole: Image.Image) -> str:
    """The hole's outline in the hole's colour, as the data URI of a transparent picture that is laid over others."""
    reduced = hole.resize(_scaled(hole, min(1.0, _RIM_SIDE / max(hole.size))).size, Image.Resampling.NEAREST)
    outline = ImageChops.subtract(reduced, reduced.filter(ImageFilter.MinFilter(3))).point(lambda value: value > 0)
    outline.putpalette([255, 255, 255, *(round(255 * part) for part in HOLE_COLOUR)])
    return _uri(_encoded(outline, "PNG", transparency=0, bits=1), "png")


def _scaled(picture: Image.Image, factor: float) -> Image.Image:
    if factor == 1:
        return picture
    return picture.resize([max(1, round(n * factor)) for n in picture.size], Image.Resampling.LANCZOS)


def _encoded(picture: Image.Image, file_format: str, **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
