"""Laws of opening pictures: nothing waits, nothing starts, nothing takes more memory than the limit allows."""

import os
import socket
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from inpaintlab.imaging import FORMATS, SEVERAL, opened, picture_bytes, read_picture
from inpaintlab.machine import file_sha256, shown
from stand_ins.hostile_pictures import one_colour_webp

NOISE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_a_picture_of_another_format_is_refused_whatever_its_ending(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) = flush\n")
    for format_ in ("PPM", "TGA", "ICO", "DDS", None):
        if format_:
            Image.fromarray(NOISE).save(file, format_)
        with pytest.raises(ValueError, match=r"a\.png is not a readable image \(no JPEG, PNG, WEBP, BMP, TIFF, GIF\)"):
            read_picture(file)


def test_postscript_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    for name in ("Popen", "check_call", "run"):
        monkeypatch.setattr(subprocess, name, lambda *arguments, **_: started.append(arguments))
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    with pytest.raises(ValueError, match="is not a readable image"):
        read_picture(tmp_path / "a.png")
    assert not started


@pytest.mark.parametrize("format_", FORMATS)
def test_a_picture_is_known_by_its_bytes_and_not_by_its_ending(tmp_path: Path, format_: str) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.png", format_)
    picture = read_picture(tmp_path / "a.png")
    assert picture.format == format_
    assert picture.size == (8, 6)


@pytest.mark.parametrize("kind", ["FIFO", "folder", "socket", "device"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "FIFO":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "socket":
            listening.bind(str(path))
        else:
            path.symlink_to("/dev/zero")
        for read in (read_picture, picture_bytes):
            with pytest.raises(ValueError, match=rf"a\.png cannot be read \(it is a {kind}, not a regular file\)"):
                read(path)
        with pytest.raises(OSError, match="not a regular file"):
            file_sha256(path)


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"a\.png does not exist"):
        read_picture(tmp_path / "a.png")


def test_a_tiny_file_cannot_ask_for_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(one_colour_webp(9400))
    assert (tmp_path / "a.png").stat().st_size < 50
    decoded: list[str] = []
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.load", lambda _: decoded.append("decoded"))
    with pytest.raises(ValueError, match=r"9400 x 9400 pixels .a WebP's count twice"):
        read_picture(tmp_path / "a.png")
    assert not decoded


def test_a_small_picture_in_a_huge_tile_is_refused(tmp_path: Path) -> None:
    tags = [(256, 8), (257, 8), (258, 8), (259, 8), (262, 1), (322, 30_000), (323, 30_000), (324, 8), (325, 1)]
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = b"II*\0" + struct.pack("<I", 10) + b"\0\0" + struct.pack("<H", len(tags)) + fields + b"\0\0\0\0"
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ValueError, match="8 x 8 pixels in larger tiles, more than max_pixels"):
        read_picture(tmp_path / "a.tif")


def test_the_limit_is_exact_and_a_webp_has_half_of_it(tmp_path: Path) -> None:
    for format_, most in (("PNG", 48), ("WEBP", 96)):
        Image.fromarray(NOISE).save(tmp_path / "a", format_)
        assert read_picture(tmp_path / "a", most).size == (8, 6)
        with pytest.raises(ValueError, match=rf"8 x 6 pixels.*, more than max_pixels={most - 1}"):
            read_picture(tmp_path / "a", most - 1)


def test_a_file_larger_than_any_picture_is_not_read_into_memory(tmp_path: Path) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.webp")
    os.truncate(tmp_path / "a.webp", 2**30 + 1)  # a hole in the file, which takes no room on the disk
    for read in (read_picture, picture_bytes):
        with pytest.raises(ValueError, match="is a file of 1,073,741,825 bytes, more than a picture of max_pixels"):
            read(tmp_path / "a.webp", 1000)


def test_the_header_is_read_without_the_pixels(tmp_path: Path) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:60])
    with opened(tmp_path / "a.png") as header:
        assert (header.size, header.mode) == ((8, 6), "RGB")
    with pytest.raises(ValueError, match=r"a\.png cannot be decoded"):
        read_picture(tmp_path / "a.png")


def test_a_picture_keeps_its_mode_its_depth_and_what_else_was_in_the_file(tmp_path: Path) -> None:
    deep = np.array([[0, 65535, 300]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "deep.png")), deep)
    rgba = np.dstack([NOISE, NOISE[..., 0]])
    Image.fromarray(rgba).save(tmp_path / "a.png", icc_profile=b"profile", dpi=(300, 300))
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(picture), rgba)
    assert picture.info["icc_profile"] == b"profile"
    assert round(picture.info["dpi"][0]) == 300


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
def test_a_picture_is_upright_and_says_so(tmp_path: Path, format_: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(NOISE).save(tmp_path / "a", format_, exif=exif, lossless=True)
    picture = read_picture(tmp_path / "a")
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), np.rot90(NOISE, -1))
    assert picture.getexif().get(0x0112, 1) == 1


def test_the_first_of_several_frames_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for format_ in ("GIF", "WEBP", "TIFF", "PNG"):
        frames[0].save(tmp_path / "a", format_, save_all=True, append_images=frames[1:], lossless=True)
        picture = read_picture(tmp_path / "a")
        assert picture.convert("RGB").getpixel((4, 3)) == (255, 0, 0)
        assert SEVERAL in picture.info
        frames[0].save(tmp_path / "a", format_, lossless=True)
        assert SEVERAL not in read_picture(tmp_path / "a").info


def test_too_much_text_in_a_picture_is_a_sentence(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * (2 * PngImagePlugin.MAX_TEXT_CHUNK), zip=True)
    Image.fromarray(NOISE).save(tmp_path / "a.png", pnginfo=text)
    with pytest.raises(ValueError, match=r"a\.png (is not a readable image|cannot be decoded)"):
        read_picture(tmp_path / "a.png")


def test_memory_that_ends_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    Image.fromarray(NOISE).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.ImageOps.exif_transpose", no_memory)
    with pytest.raises(ValueError, match=r"not enough memory to decode .*a\.png with its 8 x 6 pixels"):
        read_picture(tmp_path / "a.png")


def test_names_are_shown_with_escapes_for_what_cannot_be_printed() -> None:
    assert shown(os.fsdecode(b"caf\xe9 \xc3\xa9\x1b[31m\n.png")) == r"caf\xe9 é\x1b[31m\n.png"
    assert shown(Path("a b/[1] 'x'.png")) == "a b/[1] 'x'.png"
