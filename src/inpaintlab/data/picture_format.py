"""How a picture and its edge map are stored in a shard."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import final

from PIL import Image

from inpaintlab.data.pictures import read_rgb, require_same_size
from inpaintlab.imaging import picture_bytes


@final
@dataclass(frozen=True)
class PictureFormat:
    """How pictures are stored in shards.

    A picture whose longest side is at most ``longest_side`` keeps its file, byte for byte, and so does its edge map. A
    larger picture is read as in training, resized with Lanczos' filter, and saved as JPEG. Its edge map is averaged to
    the same size, so that a grey value is the share of edge in a pixel, and saved as PNG.

    Args:
        longest_side: in pixels; None keeps every file as it is.
        quality: of the JPEG files, 1 to 100.

    Raises:
        ValueError: a number out of range.
    """

    longest_side: int | None
    quality: int

    def __post_init__(self) -> None:
        if self.longest_side is not None and self.longest_side < 1:
            raise ValueError(f"longest_side={self.longest_side} leaves no pixel; give a positive number, or null.")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality={self.quality} is not a JPEG quality; give a number from 1 to 100.")

    def pack(self, path: Path, edges: Path | None, max_pixels: int) -> tuple[tuple[str, bytes], bytes | None]:
        """Ending and bytes of a picture, and the bytes of its edge map; None without one.

        Args:
            path: the picture's file.
            edges: the edge map's file, if there is one.
            max_pixels: see `read_rgb`.

        Raises:
            ValueError: one of them cannot be read, or they differ in size.
        """
        content = picture_bytes(path, max_pixels)
        picture = read_rgb(path, max_pixels, content)  # even if its bytes are kept: training must be able to read them
        edge_map = None if edges is None else self._edges(edges, picture, max_pixels)
        size = self._size(picture)
        if size == picture.size:
            return (path.suffix.lower(), content), edge_map
        file = io.BytesIO()
        picture.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=self.quality)
        return (".jpg", file.getvalue()), edge_map

    def _edges(self, path: Path, picture: Image.Image, max_pixels: int) -> bytes:
        content = picture_bytes(path, max_pixels)
        edges = read_rgb(path, max_pixels, content).convert("L")
        require_same_size(edges, picture, path)
        size = self._size(edges)
        if size == edges.size:
            return content
        file = io.BytesIO()
        edges.resize(size, Image.Resampling.BOX).save(file, "PNG")
        return file.getvalue()

    def _size(self, picture: Image.Image) -> tuple[int, int]:
        longest = max(picture.size)
        if self.longest_side is None or longest <= self.longest_side:
            return picture.size
        width, height = (max(1, round(side * self.longest_side / longest)) for side in picture.size)
        return width, height
