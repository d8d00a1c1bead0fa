"""Pictures as an enemy makes them."""

import io
import struct

from PIL import Image


def one_colour_webp(side: int) -> bytes:
    """A lossless WebP of one colour, which takes 34 bytes at any size: the size stands in 14 bits each."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (9, 9, 9)).save(file, "WEBP", lossless=True)
    content = bytearray(file.getvalue())
    bits = (side - 1) | (side - 1) << 14
    assert content[12:16] == b"VP8L"
    content[21:25] = struct.pack("<I", bits | struct.unpack("<I", content[21:25])[0] & ~0xFFFFFFF)
    return bytes(content)
