"""Laws of the image sources, the cuts and the order of training."""

import hashlib
import multiprocessing
import struct
import sys
import unicodedata
import warnings
import zlib
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lightning import Callback
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from inpaintlab.config import CONF
from inpaintlab.data import (
    CentreSquare,
    DataModule,
    Folder,
    Photos,
    PictureFormat,
    RandomCrop,
    Source,
    Toy,
    TrainingSet,
    batch_as_floats,
    edge_bytes,
    image_tensor,
    in_unit_range,
    plan_shards,
    read_rgb,
    write_shards,
)
from inpaintlab.data.crops import Cut
from inpaintlab.data.order import Part, Positions
from inpaintlab.masks import Mask, MaskFolder, Rectangle, WithHoleRatio
from inpaintlab.randomness import sample_generator
from stand_ins.building import build_model, fit
from stand_ins.commands import run

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def pixels(path: Path) -> list[tuple[int, ...]]:
    """All pixels of a picture in reading order."""
    picture = read_rgb(path)
    assert picture.mode == "RGB"
    return [tuple(pixel) for pixel in np.asarray(picture).reshape(-1, 3).tolist()]


def rectangle() -> Mask:
    return Rectangle(height=(0.25, 0.5), width=(0.25, 0.5))


def samples(flip: float = 0.5, source: Source | None = None) -> TrainingSet:
    return TrainingSet(source or Toy(count=6, size=40), RandomCrop(32), rectangle(), seed=1, flip=flip)


def module(**changes: object) -> DataModule:
    arguments = {"source": Toy(6, 40), "crop": RandomCrop(32), "mask": rectangle(), "size": 32, "batch_size": 2}
    return DataModule(**(arguments | {"seed": 1, "workers": 0} | changes))


# ---------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "tiff", "webp"])
def test_lossless_formats_keep_their_pixels(tmp_path: Path, ending: str) -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = tmp_path / f"picture.{ending}"
    Image.fromarray(array).save(path, **({"lossless": True} if ending == "webp" else {}))
    np.testing.assert_array_equal(np.asarray(read_rgb(path)), array)


def test_jpeg_keeps_a_flat_colour(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / "a.jpeg", quality=100)
    np.testing.assert_allclose(np.asarray(read_rgb(tmp_path / "a.jpeg"))[8, 8], (200, 100, 50), atol=2)


def test_grey_and_one_bit_pictures_repeat_their_value(tmp_path: Path) -> None:
    grey = Image.new("L", (2, 1))
    grey.putdata([0, 130])
    grey.save(tmp_path / "grey.png")
    assert pixels(tmp_path / "grey.png") == [(0, 0, 0), (130, 130, 130)]

    bits = Image.new("1", (2, 1))
    bits.putdata([0, 255])
    bits.save(tmp_path / "bits.png")
    assert pixels(tmp_path / "bits.png") == [(0, 0, 0), WHITE]


def test_transparent_parts_are_composited_on_white(tmp_path: Path) -> None:
    colour = Image.new("RGBA", (3, 1))
    colour.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 51)])  # 51 / 255 = 0.2 of black on white: 204
    colour.save(tmp_path / "rgba.png")
    assert pixels(tmp_path / "rgba.png") == [RED, WHITE, (204, 204, 204)]

    grey = Image.new("LA", (2, 1))
    grey.putdata([(100, 255), (100, 0)])
    grey.save(tmp_path / "la.png")
    assert pixels(tmp_path / "la.png") == [(100, 100, 100), WHITE]


def test_palette_pictures_show_their_colours_and_white_where_they_are_transparent(tmp_path: Path) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([*RED, *GREEN, *BLUE])
    picture.putdata([0, 1, 2])
    picture.save(tmp_path / "plain.png")
    assert pixels(tmp_path / "plain.png") == [RED, GREEN, BLUE]
    picture.save(tmp_path / "one.png", transparency=1)
    assert pixels(tmp_path / "one.png") == [RED, WHITE, BLUE]
    picture.save(tmp_path / "each.png", transparency=bytes([255, 0, 255]))
    assert pixels(tmp_path / "each.png") == [RED, WHITE, BLUE]


def test_a_transparent_colour_of_an_rgb_picture_is_white(tmp_path: Path) -> None:
    picture = Image.new("RGB", (2, 1))
    picture.putdata([RED, GREEN])
    picture.save(tmp_path / "key.png", transparency=GREEN)
    assert pixels(tmp_path / "key.png") == [RED, WHITE]


def test_cmyk_is_converted(tmp_path: Path) -> None:
    ink = Image.new("CMYK", (2, 1))
    ink.putdata([(0, 255, 255, 0), (0, 0, 0, 255)])  # magenta and yellow give red; black gives black
    ink.save(tmp_path / "ink.tif")
    assert pixels(tmp_path / "ink.tif") == [RED, (0, 0, 0)]


@pytest.mark.parametrize(("ending", "order"), [("png", "<u2"), ("tif", "<u2"), ("tif", ">u2")])
def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path, ending: str, order: str) -> None:
    values = np.array([[0, 255, 256, 257, 32768, 65535]], dtype=order)
    picture = Image.fromarray(values)
    picture.save(tmp_path / f"deep.{ending}")
    expected = [round(int(value) * 255 / 65535) for value in values[0]]
    assert expected == [0, 1, 1, 1, 128, 255]
    assert pixels(tmp_path / f"deep.{ending}") == [(value, value, value) for value in expected]


def test_sixteen_bit_colour_keeps_black_and_white(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">6H", 0, 0, 0, 65535, 65535, 65535)  # filter 0, a black and a white pixel
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    (tmp_path / "deep.png").write_bytes(data)
    assert pixels(tmp_path / "deep.png") == [(0, 0, 0), WHITE]


def test_numbers_of_undefined_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match=r"float\.tif holds floating-point numbers .* save it with 8 or 16 bits"):
        read_rgb(tmp_path / "float.tif")


@pytest.mark.parametrize(("orientation", "first_row"), [(1, [RED, GREEN]), (3, [WHITE, BLUE]), (6, [BLUE, RED])])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_exif_orientation_is_honoured(
    tmp_path: Path, orientation: int, first_row: list[tuple[int, ...]], ending: str
) -> None:
    picture = Image.new("RGB", (2, 2))
    picture.putdata([RED, GREEN, BLUE, WHITE])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"turned.{ending}", exif=exif)
    assert pixels(tmp_path / f"turned.{ending}")[:2] == first_row


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "bmp"])
def test_a_truncated_file_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"half.{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"half\.{ending} (cannot be decoded|is not a readable image)"):
        read_rgb(path)


def test_a_file_that_is_no_picture_and_a_missing_one_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.jpg is not a readable image .* replace it or remove it"):
        read_rgb(tmp_path / "text.jpg")
    with pytest.raises(ValueError, match=r"gone\.jpg does not exist; restore it"):
        read_rgb(tmp_path / "gone.jpg")


def test_a_decompression_bomb_gets_one_sentence_and_no_warning(tmp_path: Path) -> None:
    # A header that promises 200 000 x 200 000 pixels: nothing may be decoded for the answer.
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT")
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"bomb\.png is 200000 x 200000 pixels, more than max_pixels"):
            read_rgb(tmp_path / "bomb.png")
    assert limit == Image.MAX_IMAGE_PIXELS


def test_max_pixels_is_the_only_limit(tmp_path: Path) -> None:
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png", max_pixels=100).size == (10, 10)
    with pytest.raises(ValueError, match="more than max_pixels=99"):
        read_rgb(tmp_path / "a.png", max_pixels=99)


def test_tensors_hold_the_pixels_in_zero_to_one() -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    tensor = image_tensor(Image.fromarray(array))
    np.testing.assert_array_equal(tensor.numpy(), array.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    edges = in_unit_range(edge_bytes(Image.fromarray(array[..., 0])))
    assert edges.shape == (1, 3, 5)
    assert edges[0, 2, 1] == np.float32(array[2, 1, 0]) / np.float32(255)


# ---------------------------------------------------------------------------------------------------------- sources


def test_the_bundled_photographs_give_few_training_items_and_enough_tiles() -> None:
    photos = Photos()
    assert len(photos.names("train")) == 6
    assert 8 <= len(photos.names("val")) <= 12
    assert 20 <= len(photos.names("test")) <= 24
    assert "coffee_r0_c1" in photos.names("test")
    for split in ("train", "val", "test"):
        assert photos.names(split) == sorted(set(photos.names(split)))


def test_photograph_splits_share_no_file_and_no_item_twice() -> None:
    photos = Photos()
    origin: dict[str, str] = {}
    for split in ("train", "val", "test"):
        for path in photos.files(split):
            digest = hashlib.sha256(np.asarray(read_rgb(path)).tobytes()).hexdigest()
            assert origin.setdefault(digest, split) == split
    hashes = [photos.sha256(split, name) for split in ("train", "val", "test") for name in photos.names(split)]
    assert len(set(hashes)) == len(hashes)


def test_tiles_are_parts_of_the_photograph_and_reach_its_corners() -> None:
    photos = Photos()
    coffee = np.asarray(read_rgb(next(path for path in photos.files("test") if path.name == "coffee.png")))
    np.testing.assert_array_equal(np.asarray(photos.read("test", "coffee_r0_c0")), coffee[:200, :200])
    np.testing.assert_array_equal(np.asarray(photos.read("test", "coffee_r0_c1")), coffee[:200, 100:300])
    np.testing.assert_array_equal(np.asarray(photos.read("test", "coffee_r2_c4")), coffee[200:, 400:])


def test_the_stereo_pair_stays_in_one_split() -> None:
    assert {"motorcycle_left", "motorcycle_right"} <= set(Photos().names("train"))


def test_an_unknown_split_or_item_is_named() -> None:
    for source in (Photos(), Toy(1, 8), Folder("/nowhere")):
        with pytest.raises(ValueError, match="no split 'valid'; it is one of train, val, test"):
            source.names("valid")
    with pytest.raises(ValueError, match="no 'dog' in the split 'test'"):
        Photos().read("test", "dog")
    with pytest.raises(ValueError, match="no 'train_0001' in the split 'train'"):
        Toy(1, 8).read("train", "train_0001")


def fill(folder: Path, *names: str) -> None:
    for shade, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(folder / name)


def test_a_folder_is_searched_recursively_in_a_fixed_order_with_any_case(tmp_path: Path) -> None:
    fill(tmp_path / "train", "b.png", "sub/deep/c.JPG", "a.WebP", "d.TIFF", ".hidden.png", ".cache/e.png")
    (tmp_path / "train" / "notes.txt").write_text("not a picture")
    folder = Folder(str(tmp_path))
    assert folder.names("train") == ["a.WebP", "b.png", "d.TIFF", "sub/deep/c.JPG"]
    assert folder.files("train")[-1] == tmp_path / "train" / "sub" / "deep" / "c.JPG"
    expected = hashlib.sha256((tmp_path / "train" / "b.png").read_bytes()).hexdigest()
    assert folder.sha256("train", "b.png") == expected
    assert folder.read("train", "b.png").getpixel((0, 0)) == (0, 0, 0)


def test_a_list_file_names_pictures_relative_to_the_root_or_absolute(tmp_path: Path) -> None:
    fill(tmp_path / "root" / "all", "a.png", "b.png")
    fill(tmp_path / "else", "c.png")
    lines = ["all/b.png", "", f"{tmp_path}/else/c.png", "./all/a.png"]
    (tmp_path / "root" / "train.txt").write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    folder = Folder(str(tmp_path / "root"), train="train.txt")
    assert folder.names("train") == [f"{tmp_path}/else/c.png", "all/a.png", "all/b.png"]
    assert folder.read("train", "all/b.png").getpixel((0, 0)) == (1, 0, 0)
    assert folder.read("train", f"{tmp_path}/else/c.png").size == (8, 8)


def test_faulty_lists_are_named(tmp_path: Path) -> None:
    (tmp_path / "twice.txt").write_text("a.png\n./a.png\n")
    with pytest.raises(ValueError, match=r"twice\.txt names a\.png more than once"):
        Folder(str(tmp_path), train="twice.txt").names("train")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"empty\.txt is empty; write one image path per line"):
        Folder(str(tmp_path), train="empty.txt").names("train")
    Image.new("RGB", (1, 1)).save(tmp_path / "picture.png")
    with pytest.raises(ValueError, match=r"picture\.png is not a text file"):
        Folder(str(tmp_path), train="picture.png").names("train")


def test_a_missing_root_is_told_with_its_path_and_near_names(tmp_path: Path) -> None:
    (tmp_path / "places365").mkdir()
    with pytest.raises(ValueError, match=rf"{tmp_path}/places356 is not a folder \(did you mean places365\?\)"):
        Folder(str(tmp_path / "places356")).names("train")


def test_a_missing_split_is_told_with_what_is_there(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b.jpg", "training/c.png")
    sentence = rf"'train' was looked for at {tmp_path}/train, .*did you mean training.* itself holds 2 images"
    with pytest.raises(ValueError, match=sentence):
        Folder(str(tmp_path)).names("train")
    assert Folder(str(tmp_path), train="training").names("train") == ["c.png"]
    assert Folder(str(tmp_path), train="training", test=".").names("train") == ["c.png"]


def test_an_empty_split_is_told_with_the_endings(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.heic").write_text("")
    with pytest.raises(ValueError, match=rf"{tmp_path}/train holds no image ending in \.jpg, .* \(and 1 other files\)"):
        Folder(str(tmp_path)).names("train")


def test_a_split_inside_another_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "val/b.png")
    with pytest.raises(ValueError, match=r"'val' .* is part of the split 'train'"):
        Folder(str(tmp_path), train=".").names("train")


def test_names_are_found_in_any_unicode_form(tmp_path: Path) -> None:
    one, other = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    fill(tmp_path / "root", f"train/{one}.png")
    (tmp_path / "edges" / "train").mkdir(parents=True)
    Image.new("L", (8, 8), 99).save(tmp_path / "edges" / "train" / f"{other}.png")
    (tmp_path / "root" / "list.txt").write_text(f"train/{other}.png")
    source = Folder(str(tmp_path / "root"), val="list.txt", edges=str(tmp_path / "edges"))
    for split, name in (("train", f"{one}.png"), ("val", f"train/{other}.png")):
        assert source.names(split) == [name]
        assert source.read(split, name).size == (8, 8)
        edges = source.edges(split, name)
        assert edges is not None
        assert edges.getpixel((0, 0)) == 99


def test_files_that_are_left_out_are_told_for_training(tmp_path: Path) -> None:
    fill(tmp_path, "train/a.png", "val/b.png", "masks/c.png")
    for name in ("train/d.heic", "val/e.jp2", "masks/f.svg"):
        (tmp_path / name).write_bytes(b"0")
    mask = WithHoleRatio(MaskFolder(tmp_path / "masks"), 0, 1)
    told = module(source=Folder(str(tmp_path)), mask=mask).left_out()
    assert [next(end for end in (".heic", ".jp2", ".svg") if f"1 {end}" in line) for line in told] == [
        ".heic",
        ".jp2",
        ".svg",
    ]
    assert module().left_out() == []


def test_a_strip_is_refused_before_it_is_resized(tmp_path: Path) -> None:
    for crop in (RandomCrop(256), CentreSquare(256)):
        crop.require_memory(Image.new("1", (600, 1)), "a strip")  # 230,400 x 384 pixels are 88 million
    with pytest.raises(ValueError, match=r"a\.png is 20000 x 1 pixels, a strip that would be resized to 7680000 x 384"):
        RandomCrop(256).require_memory(Image.new("1", (20_000, 1)), "a.png")
    CentreSquare(256).require_memory(Image.new("1", (20_000, 1)), "its square alone is resized")
    RandomCrop(256).require_memory(Image.new("1", (20_000, 20_000)), "a picture that becomes smaller")


def test_edge_maps_are_found_under_the_same_path(tmp_path: Path) -> None:
    fill(tmp_path / "root", "train/sub/a.jpg", "train/b.png")
    (tmp_path / "edges" / "train" / "sub").mkdir(parents=True)
    Image.new("L", (8, 8), 51).save(tmp_path / "edges" / "train" / "sub" / "a.png")
    folder = Folder(str(tmp_path / "root"), edges=str(tmp_path / "edges"))
    edges = folder.edges("train", "sub/a.jpg")
    assert edges is not None
    assert edges.mode == "L"
    assert torch.equal(edge_bytes(edges), torch.full((1, 8, 8), 51, dtype=torch.uint8))
    with pytest.raises(ValueError, match=rf"looked for at {tmp_path}/edges/train/b\.png, which does not exist"):
        folder.edges("train", "b.png")
    assert Folder(str(tmp_path / "root")).edges("train", "b.png") is None


def test_toy_pictures_are_the_same_in_another_process(tmp_path: Path) -> None:
    toy = Toy(count=2, size=24)
    assert toy.names("val") == ["val_0000", "val_0001"]
    script = tmp_path / "script.py"
    script.write_text("from inpaintlab.data import Toy; print(Toy(2, 24).sha256('val', 'val_0001'))")
    answer = run(sys.executable, str(script), cwd=tmp_path, home=tmp_path / "home")
    assert answer.stdout.strip() == toy.sha256("val", "val_0001")


def test_toy_pictures_differ_by_name_and_have_structure() -> None:
    toy = Toy(count=4, size=32)
    hashes = {toy.sha256(split, name) for split in ("train", "val", "test") for name in toy.names(split)}
    assert len(hashes) == 12
    assert all(np.asarray(toy.read("train", name)).std() > 5 for name in toy.names("train"))
    assert toy.files("train") == []
    with pytest.raises(ValueError, match="makes no pictures"):
        Toy(0, 32)


# ------------------------------------------------------------------------------------------------------------ crops


def test_the_centre_square_has_the_geometry_of_the_released_edgeconnect() -> None:
    # CelebA's 178 x 218: the square is 178 wide and starts (218 - 178) / 2 = 20 rows down.
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (218, 178, 3), dtype=np.uint8))
    cut = CentreSquare(256).evaluate(picture)
    assert cut == Cut((0, 20, 178, 198), (256, 256), (0, 0, 256, 256))
    expected = picture.crop((0, 20, 178, 198)).resize((256, 256), Image.Resampling.BILINEAR)
    assert cut(picture).tobytes() == expected.tobytes()
    assert CentreSquare(256).train(picture, sample_generator("any")) == cut


def test_evaluation_of_the_random_crop_is_the_centre_of_the_fitted_picture() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 100, 3), dtype=np.uint8))
    cut = RandomCrop(20).evaluate(picture)
    assert cut == Cut((0, 0, 100, 40), (50, 20), (15, 0, 35, 20))
    expected = picture.resize((50, 20), Image.Resampling.BILINEAR).crop((15, 0, 35, 20))
    assert cut(picture).tobytes() == expected.tobytes()


def test_random_crops_stay_inside_and_reach_every_length_and_edge() -> None:
    crop = RandomCrop(8, shortest_edge=(1.0, 1.5))
    picture = Image.new("RGB", (30, 20))
    cuts = [crop.train(picture, sample_generator(draw)) for draw in range(800)]
    assert {cut.resized for cut in cuts} == {(12, 8), (14, 9), (15, 10), (16, 11), (18, 12)}
    for cut in cuts:
        left, top, right, bottom = cut.after
        assert (right - left, bottom - top) == (8, 8)
        assert left >= 0 <= top
        assert right <= cut.resized[0]
        assert bottom <= cut.resized[1]
    largest = [cut.after[:2] for cut in cuts if cut.resized == (18, 12)]
    assert {left for left, _ in largest} == set(range(11))
    assert {top for _, top in largest} == set(range(5))


@settings(max_examples=80, deadline=None)
@given(width=st.integers(1, 400), height=st.integers(1, 400), size=st.integers(1, 60), draw=st.integers(0, 1000))
def test_a_random_crop_is_the_part_of_the_resized_picture(width: int, height: int, size: int, draw: int) -> None:
    array = np.random.default_rng(draw).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(array)
    cut = RandomCrop(size, (1.0, 3.0)).train(picture, sample_generator(draw))
    assume(min(cut.resized) > 0)
    expected = picture.resize(cut.resized, Image.Resampling.BILINEAR).crop(cut.after)
    np.testing.assert_allclose(np.asarray(cut(picture), int), np.asarray(expected, int), atol=2)


def test_a_cut_returns_the_same_square_of_a_grey_map() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50), dtype=np.uint8))
    cut = RandomCrop(16).train(picture, sample_generator("cut"))
    stacked = Image.merge("RGB", [picture] * 3)
    np.testing.assert_array_equal(np.asarray(cut(stacked))[..., 0], np.asarray(cut(picture)))


@pytest.mark.parametrize("edge", [(0.9, 1.5), (1.5, 1.0), (1.0,)])
def test_a_shortest_edge_below_the_crop_is_refused(edge: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must be two numbers, lowest and highest, of at least 1"):
        RandomCrop(64, shortest_edge=edge)


# --------------------------------------------------------------------------------------------------------- training


def test_a_sample_has_the_promised_shapes_and_ranges() -> None:
    sample = samples()[0, 3]
    assert set(sample) == {"image", "mask", "name"}
    assert sample["name"] == "train_0003"
    assert sample["image"].shape == (3, 32, 32)
    assert sample["image"].dtype == torch.uint8
    assert 0 <= sample["image"].min() < sample["image"].max() <= 255
    assert sample["mask"].shape == (1, 32, 32)
    assert sample["mask"].dtype == torch.bool
    assert 0 < sample["mask"].sum() < 32 * 32


def test_a_sample_follows_from_epoch_and_index_alone() -> None:
    first, second = samples(), samples()
    for position in [(2, 1), (0, 0), (2, 1)]:
        assert torch.equal(first[position]["image"], second[position]["image"])
        assert torch.equal(first[position]["mask"], second[position]["mask"])
    assert not torch.equal(first[0, 1]["mask"], first[1, 1]["mask"])


def test_a_sample_has_a_quarter_of_the_bytes_that_models_see() -> None:
    sample = TrainingSet(Drawn(), RandomCrop(32), rectangle(), seed=1)[0, 0]
    tensors = {key: value for key, value in sample.items() if key != "name"}
    seen = batch_as_floats(tensors)
    assert sum(value.nbytes for value in seen.values()) == 32 * 32 * 5 * 4
    assert sum(value.nbytes for value in tensors.values()) == 32 * 32 * 5


def test_bytes_become_the_floats_of_a_true_division() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    batch = batch_as_floats({"image": torch.from_numpy(grey), "name": ["a"]})
    assert batch["name"] == ["a"]
    for value, found in zip(grey.ravel(), batch["image"].ravel(), strict=True):
        assert float(found) == np.float32(Fraction(int(value), 255))
    product = grey.astype(np.float32) * np.float32(1 / 255)  # which CUDA makes of a division by a number
    assert (product != batch["image"].numpy()).sum() == 126


def test_masks_become_zero_and_one_and_floats_stay_as_they_are() -> None:
    soft = torch.tensor([0.0, 0.3, 1.0, float("nan")])
    batch = batch_as_floats({"mask": torch.tensor([True, False]), "image": soft, "position": torch.tensor([7])})
    assert batch["mask"].dtype == torch.float32
    assert batch["mask"].tolist() == [1.0, 0.0]
    assert batch["image"] is soft
    assert batch["position"].dtype == torch.int64


class Divisions(TorchDispatchMode):
    """Keeps the divisors of all divisions."""

    def __init__(self) -> None:
        super().__init__()
        self.divisors: list[object] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "div" in str(func):
            self.divisors.append(args[1])
        return func(*args, **(kwargs or {}))


def test_the_conversion_divides_on_the_device_and_reads_nothing_from_it() -> None:
    bytes_ = torch.zeros(2, 3, 4, 4, dtype=torch.uint8, device="meta")  # a device that cannot be read from
    with Divisions() as seen:
        found = batch_as_floats({"image": bytes_})["image"]
    assert (found.device.type, found.dtype) == ("meta", torch.float32)
    [divisor] = seen.divisors
    assert isinstance(divisor, torch.Tensor)
    assert divisor.device.type == "meta"


def test_models_and_callbacks_see_the_floats_of_the_workers_bytes() -> None:
    class Seen(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: dict, batch_idx: int) -> None:
            batches.append(batch)

    batches: list[dict] = []
    data = module(source=Drawn())
    model = build_model("glcic", "model.mean_pixel=[0.5,0.5,0.5]", *(f"model.schedule.phases.{p}" for p in LENGTHS))
    fit(model, Seen(), data=data)
    samples = data.training_set()
    assert len(batches) == 2
    for number, batch in enumerate(batches):
        # of one picture, a batch of two has two epochs
        made = [samples[2 * number + place, 0] for place in range(2)]
        for key in ("image", "edges"):
            expected = np.stack([one[key].numpy() for one in made]).astype(np.float32) / np.float32(255)
            assert batch[key].dtype == torch.float32
            np.testing.assert_array_equal(batch[key].numpy(), expected)
        assert torch.equal(batch["mask"], torch.stack([one["mask"] for one in made]).float())


LENGTHS = ("completion.batches=2", "discriminator.batches=0", "joint.batches=0")


class Drawn(Source):
    """One picture whose edge map marks the same pixels as its red channel; a hole on the left half of the crop."""

    def names(self, split: str) -> list[str]:
        return ["one"]

    def _map(self) -> Image.Image:
        return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8))

    def read(self, split: str, name: str) -> Image.Image:
        return Image.merge("RGB", [self._map()] * 3)

    def sha256(self, split: str, name: str) -> str:
        return "0"

    def edges(self, split: str, name: str) -> Image.Image | None:
        return self._map()


def test_the_flip_is_shared_by_picture_mask_and_edges() -> None:
    never = TrainingSet(Drawn(), RandomCrop(16), rectangle(), seed=1, flip=0.0)
    always = TrainingSet(Drawn(), RandomCrop(16), rectangle(), seed=1, flip=1.0)
    asymmetric = 0
    for epoch in range(8):
        plain, flipped = never[epoch, 0], always[epoch, 0]
        for key in ("image", "mask", "edges"):
            assert torch.equal(plain[key].flip(-1), flipped[key]), key
        assert torch.equal(flipped["image"][:1], flipped["edges"])
        asymmetric += not torch.equal(plain["mask"], flipped["mask"])
    assert asymmetric > 0


def test_half_of_the_samples_are_flipped() -> None:
    plain, mixed = samples(flip=0.0), samples(flip=0.5)
    flipped = sum(not torch.equal(plain[epoch, 0]["image"], mixed[epoch, 0]["image"]) for epoch in range(100))
    assert 30 < flipped < 70
    with pytest.raises(ValueError, match=r"flip=1\.5 is not a probability"):
        samples(flip=1.5)


def test_an_edge_map_of_another_size_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "root", "train/a.png")
    (tmp_path / "edges" / "train").mkdir(parents=True)
    Image.new("L", (9, 8)).save(tmp_path / "edges" / "train" / "a.png")
    source = Folder(str(tmp_path / "root"), edges=str(tmp_path / "edges"))
    with pytest.raises(ValueError, match=r"edge map of a\.png is 9 x 8 pixels, its picture 8 x 8"):
        TrainingSet(source, CentreSquare(8), rectangle(), seed=1)[0, 0]


def test_the_number_of_workers_changes_nothing() -> None:
    def batches(workers: int) -> list[dict]:
        positions = Positions(6, Part(batch_size=4, seed=3, total=5, start=1))
        return list(DataLoader(samples(), batch_sampler=positions, num_workers=workers))

    for alone, shared in zip(batches(0), batches(2), strict=True):
        assert alone["name"] == shared["name"]
        assert torch.equal(alone["image"], shared["image"])
        assert torch.equal(alone["mask"], shared["mask"])
    assert not multiprocessing.active_children()


plans = st.tuples(st.integers(1, 12), st.integers(1, 5), st.integers(0, 3), st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(plan=plans, epochs=st.integers(1, 3))
def test_the_ranks_together_see_each_sample_of_an_epoch_once(plan: tuple[int, int, int, int], epochs: int) -> None:
    count, batch_size, seed, world = plan
    total = -(-epochs * count // (batch_size * world))
    parts = [Part(batch_size, seed, total, rank=rank, world_size=world) for rank in range(world)]
    ranks = [list(Positions(count, part)) for part in parts]
    assert all(len(batch) == batch_size for batches in ranks for batch in batches)
    # Read batch by batch and rank by rank, the run is one row of positions.
    row = [sample for batches in zip(*ranks, strict=True) for batch in batches for sample in batch]
    for epoch in range(epochs):
        assert sorted(index for where, index in row[: epochs * count] if where == epoch) == list(range(count))
    assert len(set(row)) == len(row)
    assert [epoch for epoch, _ in row] == [position // count for position in range(len(row))]


@settings(max_examples=60, deadline=None)
@given(plan=plans, total=st.integers(0, 9), start=st.integers(0, 9))
def test_a_start_in_the_middle_gives_the_tail(plan: tuple[int, int, int, int], total: int, start: int) -> None:
    count, batch_size, seed, world = plan
    for rank in range(world):
        whole = Positions(count, Part(batch_size, seed, total, 0, rank, world))
        tail = Positions(count, Part(batch_size, seed, total, start, rank, world))
        assert list(tail) == list(whole)[start:]
        assert len(tail) == len(whole) == total


def test_epochs_and_seeds_have_their_own_order() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [index for where, index in next(iter(Positions(30, Part(60, seed, 1)))) if where == epoch]

    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    with pytest.raises(ValueError, match="no batches of 4 from 0 training items"):
        Positions(0, Part(4, 1, 1))


def test_the_data_module_continues_at_the_schedules_batch() -> None:
    def names(iteration: int, rank: int = 0, world_size: int = 1) -> list[list[str]]:
        data = module()
        schedule = SimpleNamespace(iteration=iteration, total=5)
        data.trainer = SimpleNamespace(
            lightning_module=SimpleNamespace(schedule=schedule), global_rank=rank, world_size=world_size
        )
        loader = data.train_dataloader()
        assert len(loader) == 5
        return [batch["name"] for batch in loader]

    assert names(3) == names(0)[3:]
    assert sorted(name for rank in range(3) for name in names(4, rank, 3)[0]) == sorted(Toy(6, 40).names("train"))


def jpegs(root: Path, count: int) -> Folder:
    (root / "train").mkdir()
    for number in range(count):
        ramp = Image.linear_gradient("L").resize((128, 96)).rotate(180 * number)
        Image.merge("RGB", [ramp, ramp, ramp]).save(root / "train" / f"{number}.jpg", quality=95)
    return Folder(str(root))


def test_a_jpeg_is_decoded_no_smaller_than_asked(tmp_path: Path) -> None:
    path = jpegs(tmp_path, 1).files("train")[0]
    assert read_rgb(path).size == (128, 96)
    sizes = {edge: read_rgb(path, shortest_edge=edge).size for edge in (1, 12, 13, 24, 25, 48, 49, 96, 200)}
    eighth, quarter, half, full = (16, 12), (32, 24), (64, 48), (128, 96)
    assert list(sizes.values()) == [eighth, eighth, quarter, quarter, half, half, full, full, full]
    read_rgb(path).save(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png", shortest_edge=12).size == full


def test_reduced_decoding_is_for_training_and_keeps_the_picture(tmp_path: Path) -> None:
    source = jpegs(tmp_path, 2)
    arguments = {"source": source, "crop": CentreSquare(16), "mask": rectangle(), "seed": 1}
    exact, reduced = (TrainingSet(**arguments, decode=decode) for decode in ("exact", "reduced"))
    for index in range(2):
        one, other = exact[0, index]["image"], reduced[0, index]["image"]
        assert not torch.equal(one, other)
        torch.testing.assert_close(one.float(), other.float(), atol=0.02 * 255, rtol=0)
        assert torch.equal(exact[0, index]["mask"], reduced[0, index]["mask"])
    assert source.read("train", "0.jpg").size == (128, 96)
    with pytest.raises(ValueError, match=r"data\.decode=fast is not known; it is exact or reduced"):
        TrainingSet(**arguments, decode="fast")


def test_a_picture_with_an_edge_map_is_decoded_in_full(tmp_path: Path) -> None:
    jpegs(tmp_path, 1)
    (tmp_path / "edges/train").mkdir(parents=True)
    Image.new("L", (128, 96), 255).save(tmp_path / "edges/train/0.png")
    source = Folder(str(tmp_path), edges=str(tmp_path / "edges"))
    exact, reduced = (
        TrainingSet(source, CentreSquare(16), rectangle(), 1, decode=decode) for decode in ("exact", "reduced")
    )
    assert torch.equal(exact[0, 0]["image"], reduced[0, 0]["image"])
    assert reduced[0, 0]["edges"].min() == 255


def test_validation_is_what_the_caller_sets_in_order() -> None:
    data = module(batch_size=4)
    assert data.val_dataloader() == []
    data.validation = [{"image": torch.zeros(3, 4, 4), "name": str(item)} for item in range(6)]  # type: ignore[assignment]
    assert [batch["name"] for batch in data.val_dataloader()] == [["0", "1", "2", "3"], ["4", "5"]]


def test_the_mean_pixel_is_the_mean_of_the_pictures_means(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 256, (height, 9, 3), dtype=np.uint8) for height in (4, 30, 11)]
    (tmp_path / "train").mkdir()
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / "train" / f"{number}.png")
    data = module(source=Folder(str(tmp_path)))
    expected = np.mean([array.reshape(-1, 3).mean(axis=0) for array in arrays], axis=0) / 255
    np.testing.assert_allclose(data.mean_pixel().numpy(), expected, rtol=1e-6)
    (tmp_path / "train" / "0.png").unlink()
    assert data.mean_pixel() is data.mean_pixel()


def test_the_mean_pixel_takes_at_most_a_thousand_pictures() -> None:
    class Counted(Drawn):
        read_names: list[str] = []  # noqa: RUF012

        def names(self, split: str) -> list[str]:
            return [str(item) for item in range(1500)]

        def read(self, split: str, name: str) -> Image.Image:
            self.read_names.append(name)
            return Image.new("RGB", (1, 1), (51, 102, 255))

    data = module(source=Counted())
    torch.testing.assert_close(data.mean_pixel(), torch.tensor([0.2, 0.4, 1.0]))
    assert len(set(Counted.read_names)) == len(Counted.read_names) == 1000


def test_check_finds_a_damaged_picture_before_training(tmp_path: Path) -> None:
    fill(tmp_path / "train", "a.png")
    module(source=Folder(str(tmp_path))).check()
    (tmp_path / "train" / "a.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.png is not a readable image"):
        module(source=Folder(str(tmp_path))).check()
    with pytest.raises(ValueError, match="is not a folder"):
        module(source=Folder(str(tmp_path / "gone"))).check()


def test_crop_and_data_agree_on_the_size() -> None:
    with pytest.raises(ValueError, match=r"data\.crop\.size=32 differs from data\.size=64; set data\.size only"):
        module(size=64)


@pytest.mark.parametrize("crop", sorted(path.stem for path in (CONF / "data/crop").glob("*.yaml")))
@pytest.mark.parametrize("data", sorted(path.stem for path in (CONF / "data").glob("*.yaml")))
def test_every_data_config_builds_a_working_module(tmp_path: Path, data: str, crop: str) -> None:
    fill(tmp_path / "train", "a.png")
    overrides = [f"data={data}", f"data/crop={crop}", "data.size=16"]
    packed = tmp_path / "packed"
    if data == "shards":
        write_shards(
            {"train": plan_shards(Folder(str(tmp_path)), "train", packed, PictureFormat(None, 90), 1, seed=0)}, packed
        )
    roots = {"folder": tmp_path, "shards": packed}
    overrides += [f"data.root={roots[data]}"] if data in roots else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", overrides)
        built = instantiate(cfg.datamodule, mask=cfg.mask)
    assert built.crop.size == (16, 16)
    assert built.workers <= 8
    built.check()
