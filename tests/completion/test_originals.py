"""What a photograph's file holds comes back in its completion, or its loss is told."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from inpaintlab.completion import made_of
from inpaintlab.completion.formats import save_picture
from inpaintlab.completion.originals import MADE, XMP, Original, _resolution, filled, read_original

SHAPE = (12, 17)
HOLE = np.zeros(SHAPE, bool)
HOLE[3:7, 5:11] = True
FILL = np.broadcast_to(np.array([1.0, 0.5, 0.0], np.float32), (*SHAPE, 3))


def pixels(*channels: int, high: int = 256, kind: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, (*SHAPE, *channels)).astype(kind)


def completed(path: Path) -> tuple[Original, Image.Image]:
    """The photograph, and its completion as it is read back."""
    original = read_original(path)
    save_picture(filled(original, FILL, HOLE), original, "hash", path.with_name("done.png"))
    with Image.open(path.with_name("done.png")) as done:
        done.load()
        return original, done


@pytest.mark.parametrize(
    ("mode", "channels", "painted"),
    [
        ("L", (), 150),  # 0.299 * 255 + 0.587 * 128
        ("LA", (2,), [150, 255]),
        ("RGB", (3,), [255, 128, 0]),
        ("RGBA", (4,), [255, 128, 0, 255]),
    ],
)
def test_known_pixels_keep_mode_and_value_and_the_hole_is_opaque(
    tmp_path: Path, mode: str, channels: tuple[int, ...], painted: Any
) -> None:
    source = pixels(*channels)
    if mode[-1] == "A":
        source[:, :4, -1] = 0  # transparent pixels keep their hidden colour
    Image.fromarray(source).save(tmp_path / "a.png")
    original, done = completed(tmp_path / "a.png")
    assert done.mode == mode
    assert original.lost == ()
    assert (np.asarray(done)[~HOLE] == source[~HOLE]).all()
    assert np.abs(np.asarray(done)[HOLE].astype(int) - painted).max() <= 1


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_of_grey_stay_16_bits(tmp_path: Path, name: str) -> None:
    source = pixels(high=65536, kind=np.uint16)
    Image.fromarray(source).save(tmp_path / name)
    original, done = completed(tmp_path / name)
    assert original.lost == ()
    assert (np.asarray(done)[~HOLE] == source[~HOLE]).all()
    grey = (0.299 + 0.587 * 0.5) * 65535
    assert np.abs(np.asarray(done)[HOLE] - grey).max() <= 1


@pytest.mark.parametrize(
    ("mode", "told"),
    [("P", "palette"), ("1", "1 bit"), ("CMYK", "CMYK colours"), ("YCbCr", "YCbCr colours")],
)
def test_a_mode_that_cannot_be_kept_is_told(tmp_path: Path, mode: str, told: str) -> None:
    source = Image.fromarray(pixels(3)).convert(mode)
    source.save(tmp_path / "a.tif")
    original, done = completed(tmp_path / "a.tif")
    assert told in " ".join(original.lost)
    colours = np.asarray(source.convert(done.mode))
    assert (np.asarray(done)[~HOLE] == colours[~HOLE]).all()


def test_transparent_colours_of_a_palette_stay_transparent(tmp_path: Path) -> None:
    source = Image.fromarray(pixels(3)).quantize(8)
    source.save(tmp_path / "a.png", transparency=3)
    _, done = completed(tmp_path / "a.png")
    assert (np.asarray(done)[..., 3][~HOLE] == np.where(np.asarray(source) == 3, 0, 255)[~HOLE]).all()


def test_16_bits_of_colour_and_further_pictures_are_told(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), pixels(3, high=65536, kind=np.uint16))
    assert "16 bits a colour" in " ".join(read_original(tmp_path / "a.png").lost)
    page = Image.fromarray(pixels(3))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    assert "all but the first of its pictures" in read_original(tmp_path / "a.tif").lost


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_profile_resolution_and_camera_are_kept(tmp_path: Path, name: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[271], exif[274] = "Camera", 6  # maker, orientation
    exif.get_ifd(34665)[33434] = 0.01  # exposure
    Image.fromarray(pixels(3)).save(tmp_path / name, icc_profile=profile, exif=exif, dpi=(300, 300))
    original, done = _upright(tmp_path / name)
    assert done.info["icc_profile"] == profile
    if name != "a.webp":  # which has no resolution
        assert done.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    found = done.getexif()
    assert (found[271], found.get(274, 1)) == ("Camera", 1)  # turned once, not again by the viewer
    if name != "a.tif":  # where Pillow writes no such part
        assert found.get_ifd(34665)[33434] == pytest.approx(0.01)
    assert original.lost == ()
    assert done.size == SHAPE  # width and height have changed places


def _upright(path: Path) -> tuple[Original, Image.Image]:
    original = read_original(path)
    turned = np.zeros(SHAPE[::-1], bool)
    save_picture(filled(original, FILL.transpose(1, 0, 2), turned), original, "hash", path.with_name("done.png"))
    with Image.open(path.with_name("done.png")) as done:
        done.load()
        return original, done


def test_a_profile_for_other_colours_is_left_out_and_told(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels()).save(tmp_path / "a.png", icc_profile=profile)
    original, done = completed(tmp_path / "a.png")
    assert "icc_profile" not in done.info
    assert "its colour profile, which is for other colours" in original.lost


def test_the_small_copy_inside_exif_does_not_show_what_was_removed(tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.fromarray(pixels(3)).save(small, "JPEG")
    exif = Image.Exif()
    exif[271] = "Camera"
    plain = exif.tobytes()
    # a second directory behind the first, with the offset and the length of a JPEG (TIFF 6.0, JEITA CP-3451)
    body, at = plain[6:], len(plain) - 6
    order = "little" if body[:2] == b"II" else "big"
    start = at + 2 + 24 + 4
    second = (2).to_bytes(2, order)
    for tag, value in ((513, start), (514, len(small.getvalue()))):
        second += tag.to_bytes(2, order) + (4).to_bytes(2, order) + (1).to_bytes(4, order) + value.to_bytes(4, order)
    first = int.from_bytes(body[4:8], order)
    link = first + 2 + 12 * int.from_bytes(body[first : first + 2], order)
    body = body[:link] + at.to_bytes(4, order) + body[link + 4 :]
    Image.fromarray(pixels(3)).save(
        tmp_path / "a.jpg", exif=b"Exif\0\0" + body + second + (0).to_bytes(4, order) + small.getvalue()
    )
    assert small.getvalue() in (tmp_path / "a.jpg").read_bytes()
    completed(tmp_path / "a.jpg")
    assert small.getvalue() not in (tmp_path / "done.png").read_bytes()
    with Image.open(tmp_path / "done.png") as done:
        assert done.getexif()[271] == "Camera"


def xmp_with(preview: bytes | None) -> bytes:
    """XMP data as Adobe's programs write them, with a preview or without one."""
    image = "" if preview is None else f'<rdf:li xmpGImg:image="{base64.b64encode(preview).decode()}"/>'
    spaces = "" if preview is None else ' xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/"'
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/"{spaces} xmp:CreatorTool="Tool">'
        f"<xmp:Thumbnails><rdf:Alt>{image}</rdf:Alt></xmp:Thumbnails></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_the_preview_inside_xmp_does_not_show_what_was_removed(tmp_path: Path, name: str) -> None:
    small = io.BytesIO()
    Image.fromarray(pixels(3)).save(small, "JPEG")
    inside = base64.b64encode(small.getvalue())
    for preview in (small.getvalue(), None):
        xmp = xmp_with(preview)
        texts = PngInfo()
        texts.add_itxt(XMP, xmp.decode())
        tags = Image.Exif()
        tags[700] = xmp
        beside = {"a.png": {"pnginfo": texts}, "a.tif": {"exif": tags}}.get(name, {"xmp": xmp})
        Image.fromarray(pixels(3)).save(tmp_path / name, **beside)
        assert (inside in (tmp_path / name).read_bytes()) == (preview is not None)
        original = read_original(tmp_path / name)
        for ending in ("png", "jpg", "tif", "webp"):
            out = tmp_path / f"done.{ending}"
            save_picture(filled(original, FILL, HOLE), original, "hash", out)
            assert inside not in out.read_bytes()
            assert (b"CreatorTool" in out.read_bytes()) == (preview is None)
        assert ("its XMP data, which hold a preview" in original.lost) == (preview is not None)


def test_what_exif_holds_of_a_maker_or_of_packets_does_not_show_what_was_removed(tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.fromarray(pixels(3)).save(small, "JPEG")
    exif = Image.Exif()
    exif[271], exif[700], exif[34377] = "Camera", xmp_with(small.getvalue()), small.getvalue()
    part = exif.get_ifd(34665)
    part[33434], part[37500] = 0.01, b"Maker" + small.getvalue()
    Image.fromarray(pixels(3)).save(tmp_path / "a.jpg", exif=exif)
    original, done = completed(tmp_path / "a.jpg")
    written = (tmp_path / "done.png").read_bytes()
    assert small.getvalue() not in written
    assert base64.b64encode(small.getvalue()) not in written
    assert done.getexif()[271] == "Camera"
    assert done.getexif().get_ifd(34665)[33434] == pytest.approx(0.01)
    assert "parts of its EXIF data that hold a preview" in original.lost


def test_texts_are_kept_but_for_the_hash_which_is_this_pictures(tmp_path: Path) -> None:
    texts = PngInfo()
    texts.add_itxt("Title", "Brücke")
    texts.add_itxt(MADE, "another")
    Image.fromarray(pixels(3)).save(tmp_path / "a.png", pnginfo=texts)
    _, done = completed(tmp_path / "a.png")
    assert done.info["Title"] == "Brücke"
    assert made_of(tmp_path / "done.png") == "hash"
    assert made_of(tmp_path / "a.png") == "another"
    Image.fromarray(pixels(3)).save(tmp_path / "other.png")
    assert made_of(tmp_path / "other.png") is None


@pytest.mark.parametrize("dpi", [(float("nan"), 300.0), (0, 0), (1e12, 300), (300,), "high", None])
def test_a_resolution_that_is_none_is_left_out(dpi: Any) -> None:
    image = Image.fromarray(pixels(3))
    assert _resolution(image) == {}
    image.info["dpi"] = (300, 72.5)
    assert _resolution(image) == {"dpi": (300.0, 72.5)}
    image.info["dpi"] = dpi
    assert _resolution(image) == {}


def test_damaged_exif_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: Image.Exif) -> bytes:
        raise TypeError("bad operand type for abs(): 'bytes'")

    exif = Image.Exif()
    exif[271] = "Camera"
    Image.fromarray(pixels(3)).save(tmp_path / "a.png", exif=exif)
    monkeypatch.setattr(Image.Exif, "tobytes", damaged)
    original, done = completed(tmp_path / "a.png")
    assert original.lost == ("its EXIF data, which are damaged",)
    assert "exif" not in done.info


@pytest.mark.parametrize("name", ["a.tif", "a.gif"])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    image = Image.fromarray(pixels(3))
    image.save(path, save_all=True, append_images=[Image.fromarray(255 - pixels(3))])
    content, refused = path.read_bytes(), []
    for length in range(10, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:length])
        try:
            read_original(path)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 5
    assert all(str(path) in sentence for sentence in refused)
