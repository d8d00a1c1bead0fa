"""Completions in the photograph's own format: known pixels as it can hold them, and what stands beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import get_sampling
from PIL.PngImagePlugin import PngInfo

from inpaintlab.completion import made_of, pair_photographs
from inpaintlab.completion.formats import require_held, save_picture, told_of
from inpaintlab.completion.originals import XMP, filled, read_original

SHAPE = (40, 56)
HOLE = np.zeros(SHAPE, bool)
HOLE[8:24, 16:32] = True
FILL = np.broadcast_to(np.array([1.0, 0.5, 0.0], np.float32), (*SHAPE, 3))
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PACKET = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><t>Brücke</t></x:xmpmeta>'
LOSSLESS = ["done.png", "done.webp", "done.tif", "done.TIFF"]


def smooth(*channels: int) -> np.ndarray:
    """Colours that a JPEG holds well."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    plane = 40 + 3 * rows + columns
    return (np.stack([plane] * channels[0], axis=-1) if channels else plane).astype(np.uint8)


def photograph(path: Path, pixels: np.ndarray, **beside: Any) -> Path:
    exif = Image.Exif()
    exif[271], exif[274] = "Camera", 1
    exif.get_ifd(34665)[33434] = 0.01  # exposure
    xmp: Mapping[str, Any] = {"xmp": PACKET.encode()}
    if path.suffix == ".png":
        info = PngInfo()
        info.add_itxt(XMP, PACKET)
        xmp = {"pnginfo": info}
    elif path.suffix == ".tif":
        exif[700] = PACKET.encode()
        xmp = {}
    Image.fromarray(pixels).save(path, exif=exif, dpi=(300, 300), icc_profile=PROFILE, **xmp, **beside)
    return path


def completed(source: Path, name: str) -> tuple[Image.Image, list[str], list[str]]:
    """The completion as it is read back, and what is told of its pixels and of what was lost."""
    original = read_original(source)
    path = source.with_name(name)
    require_held(original, path)
    save_picture(filled(original, FILL, HOLE), original, "a hash", path)
    assert made_of(path) == "a hash"
    assert [other.name for other in source.parent.iterdir() if "partial" in other.name] == []
    with Image.open(path) as done:
        done.load()
        return done, *told_of(original, path)


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)], ids=str)
def test_a_lossless_file_keeps_each_known_pixel_and_says_nothing(
    tmp_path: Path, name: str, channels: tuple[int, ...]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*SHAPE, *channels), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    done, of_pixels, lost = completed(tmp_path / "a.png", name)
    mode = Image.fromarray(pixels).mode
    assert (np.asarray(done.convert(mode))[~HOLE] == pixels[~HOLE]).all()
    assert not (np.asarray(done.convert(mode))[HOLE] == pixels[HOLE]).all()
    assert (of_pixels, lost) == ([], [])


@pytest.mark.parametrize("source", ["a.png", "a.jpg", "a.tif", "a.webp"])
@pytest.mark.parametrize("name", [*LOSSLESS, "done.jpg"])
def test_profile_camera_resolution_and_xmp_go_along(tmp_path: Path, source: str, name: str) -> None:
    done, _, lost = completed(photograph(tmp_path / source, smooth(3)), name)
    found = done.getexif()
    assert lost == []
    assert done.info["icc_profile"] == PROFILE
    assert found[271] == "Camera"
    if source != "a.tif":  # where Pillow writes no such part
        assert found.get_ifd(34665)[33434] == pytest.approx(0.01)
    packet = done.info.get("xmp") or done.info[XMP]
    assert (packet.decode() if isinstance(packet, bytes) else packet) == PACKET
    if "webp" not in name + source:  # which has no resolution
        assert tuple(map(float, done.info["dpi"])) == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("channels", [(), (3,)], ids=str)
def test_a_jpeg_is_encoded_with_its_own_tables_and_that_is_told(
    tmp_path: Path, sampling: int, channels: tuple[int, ...]
) -> None:
    Image.fromarray(smooth(*channels)).save(tmp_path / "a.jpg", quality=71, subsampling=sampling, progressive=True)
    done, of_pixels, lost = completed(tmp_path / "a.jpg", "done.jpeg")
    with Image.open(tmp_path / "a.jpg") as source:
        assert done.quantization == source.quantization  # type: ignore[attr-defined]
        assert get_sampling(done) == get_sampling(source)
        assert done.mode == source.mode
        off = np.abs(np.asarray(done).astype(int) - np.asarray(source))
    assert done.info["progressive"]
    assert off[28:].max() <= 4  # a few grey levels, away from the hole's blocks
    assert of_pixels == ["known pixels are encoded again, as JPEG with the photograph's own tables"]
    assert lost == []


def test_of_another_format_a_jpeg_is_encoded_well(tmp_path: Path) -> None:
    Image.fromarray(smooth(3)).save(tmp_path / "a.png")
    done, of_pixels, _ = completed(tmp_path / "a.png", "done.jpg")
    assert "at quality 95" in of_pixels[0]
    assert get_sampling(done) == 0
    assert np.abs(np.asarray(done).astype(int) - smooth(3))[28:].max() <= 3


@pytest.mark.parametrize(
    ("mode", "name", "missing"),
    [
        ("RGBA", "done.jpg", "transparency"),
        ("LA", "done.jpg", "transparency"),
        ("I;16", "done.jpg", "16 bits of grey"),
        ("I;16", "done.webp", "16 bits of grey"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_in_a_sentence(tmp_path: Path, mode: str, name: str, missing: str) -> None:
    kind = np.uint16 if mode == "I;16" else np.uint8
    pixels = np.zeros((*SHAPE, *((len(mode),) if mode[-1] == "A" else ())), kind)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=rf"{name} cannot be written: a \w+ has no place for .*{missing}.*\.png"):
        completed(tmp_path / "a.png", name)
    assert completed(tmp_path / "a.png", "done.tif")[0].mode == mode


def test_a_side_that_is_too_long_for_a_format_is_refused(tmp_path: Path) -> None:
    Image.new("L", (16_384, 1)).save(tmp_path / "a.png")
    original = read_original(tmp_path / "a.png")
    with pytest.raises(ValueError, match="at most 16383 pixels a side, and the photograph 16384"):
        require_held(original, tmp_path / "done.webp")
    require_held(original, tmp_path / "done.jpg")


def test_what_is_too_long_or_has_no_place_is_told(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_itxt(XMP, PACKET + " " * 70_000)
    info.add_itxt("Title", "Brücke")
    Image.fromarray(smooth()).save(tmp_path / "a.png", pnginfo=info, icc_profile=_gray_profile())
    done, _, lost = completed(tmp_path / "a.png", "done.jpg")
    assert "its XMP data, longer than a JPEG holds" in lost
    assert "its texts" in lost
    assert "xmp" not in done.info
    done, _, lost = completed(tmp_path / "a.png", "done.webp")
    assert lost == ["its texts and comments", "its colour profile, which is for grey"]
    assert "icc_profile" not in done.info


def _gray_profile() -> bytes:
    """A profile whose header says that it is for grey, which is all that is read of it."""
    return PROFILE[:16] + b"GRAY" + PROFILE[20:]


def test_the_hash_of_a_completion_is_not_that_of_a_photograph_made_of_it(tmp_path: Path) -> None:
    Image.fromarray(smooth(3)).save(tmp_path / "a.png")
    assert made_of(tmp_path / "a.png") is None
    completed(tmp_path / "a.png", "done.jpg")
    completed(tmp_path / "done.jpg", "again.png")
    with Image.open(tmp_path / "again.png") as again:
        assert 65_000 not in again.getexif()
    (tmp_path / "b.jpg").write_bytes((tmp_path / "done.jpg").read_bytes()[:200])
    assert made_of(tmp_path / "b.jpg") is None
    (tmp_path / "c.webp").write_bytes(b"RIFF")
    assert made_of(tmp_path / "c.webp") is None


def test_a_folder_keeps_the_formats_that_can_be_written(tmp_path: Path) -> None:
    names = ["a.jpg", "b.JPEG", "c.webp", "d.tif", "e.png", "f.gif", "g.bmp"]
    (tmp_path / "photos").mkdir()
    for name in names:
        Image.fromarray(smooth(3)).save(tmp_path / "photos" / name)
    Image.fromarray(smooth()).save(tmp_path / "mask.png")
    kept, png = (
        [
            one.out.name
            for one in pair_photographs(tmp_path / "photos", tmp_path / "mask.png", None, tmp_path / "out", kept=kept)[
                0
            ]
            if one.out is not None
        ]
        for kept in (True, False)
    )
    assert kept == [*names[:5], "f.png", "g.png"]
    assert png == [f"{letter}.png" for letter in "abcdefg"]
    single = tmp_path / "photos" / "a.jpg"
    with pytest.raises(ValueError, match=r"ends in png, tif, webp or jpg"):
        pair_photographs(single, tmp_path / "mask.png", None, tmp_path / "a.gif")
    (tmp_path / "there").mkdir()
    found, _ = pair_photographs(single, tmp_path / "mask.png", None, tmp_path / "there", kept=True)
    assert found[0].out == tmp_path / "there" / "a.jpg"
