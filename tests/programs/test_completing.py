"""Pictures of any kind in, completed pictures of the same kind out: known pixels, kinds, batches, what is refused."""

import io
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

import inpaintlab
from inpaintlab.completion.footprint import Footprint
from inpaintlab.inpainting import Classical, Inpainter
from inpaintlab.models import EdgeConnect
from inpaintlab.programs import Method
from inpaintlab.programs.cases import cases_of
from stand_ins.commands import run_here

SIZE = (37, 46)  # height, width: no multiple of anything
RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
HOLE = np.zeros(SIZE, bool)
HOLE[5:20, 30:46] = True
Kind = tuple[Callable[[], Any], Callable[[Any], np.ndarray]]
"""What makes a picture of a kind, and what tells its pixels, (height, width, colours)."""


@pytest.fixture(scope="module")
def edgeconnect() -> Method:
    return inpaintlab.load("starter-edgeconnect")


@pytest.fixture(scope="module")
def glcic() -> Method:
    return inpaintlab.load("starter-glcic")


@pytest.fixture(scope="module")
def mean() -> Method:
    return inpaintlab.method("mean_colour")


def planes(tensor: Tensor) -> np.ndarray:
    return tensor.movedim(-3, -1).numpy()


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).reshape(*SIZE, -1)


def with_alpha() -> Image.Image:
    picture = Image.fromarray(COLOURS).convert("RGBA")
    picture.putalpha(Image.fromarray(COLOURS[..., 0]))
    return picture


FLOATS = RNG.random((*SIZE, 3))
KINDS: dict[str, Kind] = {
    "Pillow RGB": (lambda: Image.fromarray(COLOURS), pixels),
    "Pillow L": (lambda: Image.fromarray(COLOURS[..., 0]), pixels),
    "Pillow RGBA": (with_alpha, pixels),
    "Pillow LA": (lambda: with_alpha().convert("LA"), pixels),
    "Pillow I;16": (lambda: Image.fromarray(COLOURS[..., 0].astype(np.uint16) * 257 + 3), pixels),
    "uint8": (lambda: COLOURS.copy(), np.asarray),
    "uint8 grey": (lambda: COLOURS[..., 0].copy(), lambda array: array[..., None]),
    "uint8 one colour": (lambda: COLOURS[..., :1].copy(), np.asarray),
    "uint8 with alpha": (lambda: np.asarray(with_alpha()), np.asarray),
    "uint8 backwards": (lambda: COLOURS[::-1, ::-1], np.asarray),
    "float64": (lambda: FLOATS.copy(), np.asarray),
    "float64 of the other byte order": (lambda: FLOATS.astype(">f8"), np.asarray),
    "float64 read-only": (lambda: np.broadcast_to(FLOATS, FLOATS.shape), np.asarray),
    "uint8 read-only": (lambda: np.broadcast_to(COLOURS, COLOURS.shape), np.asarray),
    "float32 grey": (lambda: FLOATS[..., 0].astype(np.float32), lambda array: array[..., None]),
    "float16 with alpha": (lambda: RNG.random((*SIZE, 4)).astype(np.float16), np.asarray),
    "tensor float32": (lambda: torch.from_numpy(FLOATS).float().movedim(-1, 0), planes),
    "tensor float64 grey": (lambda: torch.from_numpy(FLOATS[..., :1]).movedim(-1, 0), planes),
    "tensor bfloat16": (lambda: torch.from_numpy(FLOATS).movedim(-1, 0).bfloat16(), lambda x: planes(x.float())),
    "tensor uint8": (lambda: torch.from_numpy(COLOURS).movedim(-1, 0), planes),
    "tensor with alpha": (lambda: torch.rand(4, *SIZE, generator=torch.manual_seed(0)), planes),
}


@pytest.mark.parametrize("blended", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_comes_back_in_its_kind_with_every_known_pixel_untouched(
    kind: str, blended: bool, edgeconnect: Method
) -> None:
    make, told = KINDS[kind]
    given = make()
    before = told(given).copy()
    done = edgeconnect.complete(given, HOLE, blended=blended)
    assert type(done) is type(given)
    for attribute in ("mode", "size") if isinstance(given, Image.Image) else ("dtype", "shape"):
        assert getattr(done, attribute) == getattr(given, attribute)
    after = told(done)
    assert np.array_equal(after[~HOLE], before[~HOLE])
    assert (after[HOLE] != before[HOLE]).mean() > 0.9
    assert np.array_equal(told(given), before), "the argument itself was changed"


@pytest.mark.parametrize("kind", ["Pillow RGBA", "Pillow LA", "uint8 with alpha", "float16 with alpha"])
def test_what_is_filled_is_opaque(kind: str, mean: Method) -> None:
    make, told = KINDS[kind]
    filled = told(mean.complete(make(), HOLE))[HOLE][:, -1]
    assert (filled == (1 if kind.startswith("float") else 255)).all()


def test_all_kinds_of_one_picture_are_filled_alike(edgeconnect: Method) -> None:
    bytes_ = edgeconnect.complete(COLOURS, HOLE)
    floats = edgeconnect.complete(COLOURS / 255, HOLE)
    tensor = edgeconnect.complete(torch.from_numpy(COLOURS).movedim(-1, 0).float() / 255, HOLE)
    assert np.array_equal(np.asarray(edgeconnect.complete(Image.fromarray(COLOURS), HOLE)), bytes_)
    assert np.array_equal((floats * 255).round().astype(np.uint8), bytes_)
    assert np.abs(planes(tensor) - floats).max() < 1e-6


def test_a_palette_comes_back_as_its_colours(mean: Method) -> None:
    palette = Image.fromarray(COLOURS).quantize(16)
    done = mean.complete(palette, HOLE)
    assert done.mode == "RGB"
    assert np.array_equal(np.asarray(done)[~HOLE], np.asarray(palette.convert("RGB"))[~HOLE])


def test_a_picture_that_lies_on_its_side_is_turned_upright(mean: Method) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(COLOURS).save(file, format="PNG", exif=exif)
    lying = Image.open(file)
    done = mean.complete(lying, np.rot90(HOLE, -1))
    assert done.size == (SIZE[0], SIZE[1])
    assert np.array_equal(np.asarray(done)[~np.rot90(HOLE, -1)], np.rot90(COLOURS, -1)[~np.rot90(HOLE, -1)])
    with pytest.raises(ValueError, match="EXIF orientation is turned upright"):
        mean.complete(lying, HOLE)


@pytest.mark.parametrize("setting", ["starter-edgeconnect", "starter-glcic", "telea"])
def test_the_pixels_are_those_of_the_command(setting: str, tmp_path: Path) -> None:
    drawing = np.zeros(SIZE, np.uint8)
    drawing[12, 30:46] = 255
    for name, picture in {"photo": COLOURS, "mask": HOLE.astype(np.uint8) * 255, "edges": drawing}.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    edges = setting == "starter-edgeconnect"
    named = f"checkpoint={setting}" if "starter" in setting else f"model={setting}"
    more = ["drawing=edges.png"] * edges
    ours = inpaintlab.load(setting) if "starter" in setting else inpaintlab.method(setting)
    for blend in (False, True):
        command = [named, "image=photo.png", "holes=mask.png", f"out={blend}.png", f"blend={str(blend).lower()}", *more]
        done = run_here("complete", *command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        picture = ours.complete(COLOURS, HOLE, drawing if edges else None, blended=blend)
        assert np.array_equal(picture, np.asarray(Image.open(tmp_path / f"{blend}.png")))


LARGE = (300, 260)
HOLES = np.zeros(LARGE, bool)
HOLES[30:60, 40:80] = HOLES[230:250, 200:230] = True


@pytest.mark.parametrize("checkpoint", ["starter-glcic", "starter-edgeconnect"])
def test_windows_are_those_of_the_command(checkpoint: str, tmp_path: Path) -> None:
    photo = RNG.integers(0, 256, (*LARGE, 3), dtype=np.uint8)
    for name, picture in {"photo": photo, "mask": HOLES.astype(np.uint8) * 255}.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    settings = ["image=photo.png", "holes=mask.png", "out=done.png", "window=32", "blend=true"]
    done = run_here("complete", f"checkpoint={checkpoint}", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    method = inpaintlab.load(checkpoint, window=32)
    picture = method.complete(photo, HOLES, blended=True)
    assert np.array_equal(picture, np.asarray(Image.open(tmp_path / "done.png")))
    assert len(method.notes) == 1
    assert "2 windows with 32 pixels around each hole" in method.notes[0]
    assert method.notes[0] in done.stdout
    heard: list[float] = []
    both = method.complete([photo, photo / 255], [HOLES, HOLES], progress=heard.append)
    assert np.array_equal((both[1] * 255).round(), method.complete(photo, HOLES))
    assert np.array_equal(both[1][~HOLES], (photo / 255)[~HOLES])
    assert heard == sorted(heard)
    assert heard[-1] == 1


def test_memory_bounds_what_a_large_picture_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.completion.windows.SMALL", 0)
    photo, hole = RNG.random((420, 424, 3)), np.zeros((420, 424), bool)
    hole[200:208, 204:216] = True
    with pytest.raises(ValueError, match=r"memory=1e-05 gigabytes do not suffice.*give memory="):
        inpaintlab.load("starter-glcic", memory=1e-5).complete(photo, hole)
    in_windows, whole = inpaintlab.load("starter-glcic"), inpaintlab.load("starter-glcic", window="whole")
    assert np.abs(in_windows.complete(photo, hole) - whole.complete(photo, hole)).max() < 1e-5
    assert "the pixels of the whole image" in in_windows.notes[0]
    assert whole.notes == []


# ------------------------------------------------------------------------------------------------------------- several


def test_several_are_each_as_one_alone(edgeconnect: Method) -> None:
    others = [COLOURS, Image.fromarray(COLOURS[:30, :41]), torch.from_numpy(FLOATS[:, :40]).movedim(-1, 0), FLOATS]
    masks = [HOLE, HOLE[:30, :41], HOLE[:, :40], np.zeros(SIZE, bool)]
    drawing = HOLE & (np.arange(SIZE[1]) % 4 == 0)
    edges = [drawing, None, drawing[:, :40], None]
    together = edgeconnect.complete(others, masks, edges)
    assert isinstance(together, list)
    for done, image, mask, drawn in zip(together, others, masks, edges, strict=True):
        alone = edgeconnect.complete(image, mask, drawn)
        assert type(done) is type(alone) is type(image)
        assert np.array_equal(np.asarray(done), np.asarray(alone))
    assert np.array_equal(together[3], FLOATS)
    assert together[3] is not FLOATS


@pytest.mark.parametrize("mask", ["one", "each", "with an axis of colours", "list"])
@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_a_batch_comes_back_as_a_batch(kind: str, mask: str, glcic: Method) -> None:
    images: Any = np.stack([COLOURS, 255 - COLOURS])
    holes: Any = np.stack([HOLE, HOLE[:, ::-1] | HOLE])
    if kind == "tensor":
        images, holes = torch.from_numpy(images).movedim(-1, 1), torch.from_numpy(holes)
    given = {"one": holes[0], "each": holes, "list": list(holes)}
    given["with an axis of colours"] = holes[..., None] if kind == "array" else holes[:, None]
    done = glcic.complete(images, given[mask])
    assert type(done) is type(images)
    assert done.shape == images.shape
    for at in (0, 1):
        alone = glcic.complete(images[at], holes[0] if mask == "one" else holes[at])
        assert np.array_equal(np.asarray(done[at]), np.asarray(alone))


def test_batches_on_an_accelerator_are_of_one_size_and_within_its_memory(
    glcic: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU completes one by one; here it is made to plan as a GPU would."""
    device = torch.device("cuda")
    monkeypatch.setattr(Method, "device", property(lambda _: device))
    monkeypatch.setattr("inpaintlab.completion.windows.TOGETHER", 2 * 40 * 48)
    sizes = [(37, 46), (37, 46), (37, 46), (64, 64), (38, 47)]
    pictures = [(np.zeros((*size, 3)), np.ones(size)) for size in sizes]
    cases, _ = cases_of(*map(list, zip(*pictures, strict=True)), None)
    assert sorted(glcic._batches(cases)) == [[0, 1], [2, 4], [3]]


def test_threads_take_turns(edgeconnect: Method) -> None:
    alone = edgeconnect.complete(COLOURS, HOLE)
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(edgeconnect.complete(COLOURS, HOLE, HOLE))) for _ in range(2)
    ] + [threading.Thread(target=lambda: found.append(edgeconnect.complete(COLOURS, HOLE))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(np.array_equal(one, alone) for one in found) == 2


def test_progress_rises_to_one_and_can_end_the_work(glcic: Method) -> None:
    heard: list[float] = []
    glcic.complete([COLOURS, COLOURS, COLOURS], [HOLE, 0 * HOLE, HOLE], progress=heard.append)
    assert heard == [0.5, 1.0]
    slow, heard = Method(Slow(), "slow"), []
    slow.complete([COLOURS, COLOURS], HOLE, progress=heard.append)
    assert heard == [0.25, 0.5, 0.75, 1.0]
    with pytest.raises(ZeroDivisionError):
        slow.complete(COLOURS, HOLE, progress=lambda share: 1 / 0)


class Slow(Classical):
    """Tells that it is half done, and a note."""

    def fill(
        self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "height width 3"]:
        self.progress(0.5)
        self.notes.append("painted white")
        return np.ones_like(image)


def test_a_method_tells_how_it_filled_the_holes_of_the_last_call() -> None:
    slow = Method(Slow(), "slow")
    done = slow.complete([COLOURS, COLOURS], HOLE)
    assert slow.notes == ["painted white"]
    assert (done[1][HOLE] == 255).all()
    slow.complete(COLOURS, 0 * HOLE)
    assert slow.notes == []


# --------------------------------------------------------------------------------------------------------------- masks

WHITE = HOLE.astype(np.uint8) * 255


def strokes() -> Image.Image:
    """Red strokes on a transparent ground."""
    picture = np.zeros((*SIZE, 4), np.uint8)
    picture[HOLE] = (255, 0, 0, 255)
    return Image.fromarray(picture)


MASKS: dict[str, Any] = {
    "bool": HOLE,
    "0 and 1": HOLE.astype(np.uint8),
    "0 and 255": WHITE,
    "int64": HOLE.astype(np.int64),
    "uint16": HOLE.astype(np.uint16),
    "uint64 of the other byte order": WHITE.astype(">u8"),
    "read-only": np.broadcast_to(HOLE, SIZE),
    "float32": HOLE.astype(np.float32),
    "float of 255": WHITE.astype(np.float64),
    "an axis of colours": HOLE[..., None],
    "an axis in front": HOLE[None],
    "three colours": np.stack([WHITE] * 3, -1),
    "not contiguous": np.asfortranarray(HOLE),
    "Pillow L": Image.fromarray(WHITE),
    "Pillow 1": Image.fromarray(WHITE).convert("1"),
    "Pillow RGB": Image.fromarray(WHITE).convert("RGB"),
    "Pillow of 0 and 1": Image.fromarray(HOLE.astype(np.uint8)),
    "tensor bool": torch.from_numpy(HOLE),
    "tensor float": torch.from_numpy(HOLE).float()[None],
    "tensor of a batch": torch.from_numpy(HOLE)[None, None],
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_means_the_same_in_every_kind(name: str, mean: Method) -> None:
    assert np.array_equal(mean.complete(COLOURS, MASKS[name]), mean.complete(COLOURS, HOLE))


def test_strokes_on_a_transparent_ground_are_the_hole_and_it_is_said(mean: Method) -> None:
    with pytest.warns(UserWarning, match="dark strokes on a transparent ground"):
        done = mean.complete(COLOURS, strokes())
    assert np.array_equal(done, mean.complete(COLOURS, HOLE))


def test_a_soft_mask_of_pillow_is_cut_at_half_and_it_is_said(mean: Method) -> None:
    soft = WHITE.copy()
    soft[5:20, 10:30] = np.linspace(10, 240, 20).astype(np.uint8)  # between known and hole
    with pytest.warns(UserWarning, match="what is above half is taken as the hole"):
        done = mean.complete(COLOURS, Image.fromarray(soft))
    assert np.array_equal(done, mean.complete(COLOURS, soft > 127))


def test_one_without_a_hole_and_one_that_is_all_hole(edgeconnect: Method, mean: Method) -> None:
    assert np.array_equal(edgeconnect.complete(COLOURS, 0 * HOLE), COLOURS)
    assert edgeconnect.complete(COLOURS, HOLE | True).shape == COLOURS.shape
    with pytest.raises(ValueError, match="covers all of the image; mean_colour needs known pixels"):
        mean.complete(COLOURS, HOLE | True)


def test_what_lies_in_the_hole_may_be_anything_and_is_not_seen(edgeconnect: Method) -> None:
    spoiled = FLOATS.copy()
    spoiled[HOLE] = np.nan
    assert np.array_equal(edgeconnect.complete(spoiled, HOLE), edgeconnect.complete(FLOATS, HOLE))


# --------------------------------------------------------------------------------------------------------------- edges


def test_edges_are_known_around_the_hole_and_predicted_in_it(edgeconnect: Method) -> None:
    step = np.zeros((*SIZE, 3))
    step[:, 23:] = 1
    found = edgeconnect.edges(step, HOLE)
    assert found.known[1:-1, 22:24].max(1).all(), "Canny sees the step"
    assert not found.known[HOLE].any()
    assert not found.predicted[~HOLE].any()
    assert found.predicted[HOLE].max() <= 1
    assert found.known.dtype == step.dtype


@pytest.mark.parametrize(
    ("kind", "shape"), [("Pillow RGB", None), ("uint8", SIZE), ("float64", SIZE), ("tensor float32", (1, *SIZE))]
)
def test_edges_come_in_the_kind_of_the_image_and_go_back_in(
    kind: str, shape: tuple[int, ...] | None, edgeconnect: Method
) -> None:
    given = KINDS[kind][0]()
    found = edgeconnect.edges(given, HOLE)
    for plane in (found.known, found.predicted):
        assert type(plane) is type(given)
        assert getattr(plane, "shape", None) == shape
    told = KINDS[kind][1]
    again, alone = (told(edgeconnect.complete(given, HOLE, edges)).astype(float) for edges in (found.predicted, None))
    # where an image is padded its hole is, and the network draws there what no drawing says
    assert np.abs(again - alone).max() <= (0.01 if "float" in kind else 3)
    assert np.abs(again - alone)[HOLE].mean() < (2e-3 if "float" in kind else 0.5)


def test_a_drawing_takes_the_place_of_predicted_edges(edgeconnect: Method) -> None:
    drawing = np.zeros(SIZE, np.uint8)
    drawing[12, 20:] = 255
    assert np.array_equal(edgeconnect.edges(COLOURS, HOLE, drawing).predicted, drawing * HOLE)
    done = edgeconnect.complete(COLOURS, HOLE, drawing)
    assert not np.array_equal(done, edgeconnect.complete(COLOURS, HOLE))
    for same in (drawing > 0, drawing // 255, drawing / 255, Image.fromarray(drawing), torch.from_numpy(drawing)[None]):
        assert np.array_equal(edgeconnect.complete(COLOURS, HOLE, same), done)


def test_of_a_generator_that_is_used_everywhere_the_known_edges_are_still_those_that_it_saw(
    edgeconnect: Method,
) -> None:
    raw = inpaintlab.load("starter-edgeconnect", test_composite=False)
    assert np.array_equal(raw.edges(COLOURS, HOLE).known, edgeconnect.edges(COLOURS, HOLE).known)


def test_premultiplied_grey_is_completed_and_numbers_of_numpy_are_taken(mean: Method) -> None:
    grey = Image.fromarray(COLOURS[..., :2]).convert("La")
    assert mean.complete(grey, HOLE).mode == "LA"
    assert inpaintlab.method("mean_colour", window=np.int64(7)).windowing.window == 7


def test_edges_are_found_in_the_windows_in_which_the_image_is_completed(edgeconnect: Method) -> None:
    image = np.random.default_rng(1).random((600, 640, 3)).astype(np.float32)
    hole = np.zeros((600, 640), bool)
    hole[300:330, 310:350] = True
    few = inpaintlab.load("starter-edgeconnect", memory=edgeconnect.windowing.footprint.of(300 * 300) / 1e9)
    seen: list[Tensor] = []
    model = few.inpainter
    assert isinstance(model, EdgeConnect)
    few.complete(image, hole)  # which finds the memory that it takes
    watching = model.inpaint_generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    few.complete(image, hole)
    watching.remove()
    assert len(seen) == 1
    assert seen[0].shape[-2] * seen[0].shape[-1] <= 300 * 300
    drawn: list[Tensor] = []
    watching = model.edge_generator.register_forward_pre_hook(lambda _, inputs: drawn.append(inputs[1]))
    found = few.edges(image, hole)
    watching.remove()
    assert [one.shape for one in drawn] == [one.shape for one in seen]
    used = seen[0][0, 0].numpy()
    places = np.flatnonzero(found.predicted[hole])
    assert len(places)
    assert found.predicted[hole].max() in used
    assert set(found.predicted[hole].tolist()) <= set(used.ravel().tolist())
    assert not found.known[:50].any()  # far from the hole nothing is looked at


def test_the_memory_is_measured_in_the_precision_of_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    precisions: list[bool] = []

    def measured(_: Inpainter) -> Footprint:
        precisions.append(torch.is_autocast_enabled("cpu"))
        return Footprint(0.0, 1.0)

    monkeypatch.setattr("inpaintlab.completion.windows.footprint_of", measured)
    image, hole = np.zeros((520, 520, 3), np.uint8), np.zeros((520, 520), bool)
    hole[10:12, 10:12] = True
    inpaintlab.load("starter-glcic", precision="bf16-mixed").complete(image, hole)
    assert precisions == [True]


# -------------------------------------------------------------------------------------------------------------- hostile

BAD_IMAGES = {
    "a path": ("photo.png", r"the image is a str; give an image of Pillow \(which reads a file\)"),
    "nothing": (None, "the image is a NoneType"),
    "an empty list": ([], "image is an empty list"),
    "a list of lists": ([[1, 2], [3, 4]], "image 0 is a list"),
    "colours first": (COLOURS.transpose(2, 0, 1), r"array of 3 x 37 x 46; .* give array.transpose\(1, 2, 0\)"),
    "colours last": (torch.from_numpy(COLOURS), r"tensor of 37 x 46 x 3; .* give tensor.permute\(2, 0, 1\)"),
    "two colours": (COLOURS[..., :2], "1, 3 or 4 colours"),
    "five axes": (COLOURS[None, None], "image is an array of 1 x 1 x 37 x 46 x 3"),
    "one number": (np.float32(1), "the image is a float32"),
    "no pixel": (COLOURS[:0], "has no pixel: its size is 0 x 46"),
    "int64": (COLOURS.astype(np.int64), "array of int64; give uint8 from 0 to 255, or floats from 0 to 1"),
    "complex": (FLOATS.astype(complex), "array of complex128"),
    "objects": (COLOURS.astype(object), "array of object"),
    "a long tensor": (torch.from_numpy(COLOURS).movedim(-1, 0).long(), "tensor of int64; give floats from 0 to 1"),
    "floats of bytes": (
        COLOURS * np.float32(1),
        r"from 0 to 255 outside its hole; give 0 to 1 \(divide by 255",
    ),
    "floats around zero": (FLOATS * 2 - 1, r"give \(image \+ 1\) / 2"),
    "an overshoot": (FLOATS * 1.1 - 0.05, "clip it"),
    "NaN": (FLOATS + np.where(np.arange(46) == 0, np.nan, 0)[:, None], "has a NaN outside its hole"),
    "infinity": (torch.full((3, *SIZE), torch.inf), "values from inf to inf"),
    "32 bits": (Image.fromarray(COLOURS[..., 0].astype(np.int32)), "whole numbers of 32 bits"),
    "a damaged file": (lambda: damaged(), "the image cannot be decoded"),
}


def damaged() -> Image.Image:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, format="JPEG")
    return Image.open(io.BytesIO(file.getvalue()[:-800]))


def refused(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as error:  # and no warning, which is an error in tests
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_what_is_no_image_is_told_in_one_sentence(name: str, mean: Method) -> None:
    given, sentence = BAD_IMAGES[name]
    given = given() if callable(given) else given
    refused(lambda: mean.complete(given, HOLE), sentence)


BAD_MASKS = {
    "nothing": (None, "the mask is a NoneType"),
    "a path": ("mask.png", "the mask is a str"),
    "another size": (HOLE[:-1], "the mask is 46 x 36 pixels, the image 46 x 37; make them the same size"),
    "turned": (HOLE.T, "the same size .*turned against each other"),
    "soft": (HOLE * 0.7, r"values from 0 to 0.7, and a mask has two: .* give mask > 0.5"),
    "grey bytes": (COLOURS[..., 0], "give mask > 127"),
    "negative": (-HOLE.astype(int), "values from -1 to 0"),
    "0, 1 and 255": (np.where(HOLE, WHITE, np.eye(*SIZE, dtype=np.uint8)), "a mask has two"),
    "NaN": (np.where(HOLE, np.nan, 0), "values from nan to nan"),
    "a photograph": (Image.fromarray(COLOURS), "it is a photograph, .* are image and mask swapped"),
    "three planes": (torch.zeros(3, *SIZE), "give one plane"),
    "two for one image": ([HOLE, HOLE], "mask holds 2 and image 1"),
    "text": (np.full(SIZE, "a"), "array of <U1"),
}


@pytest.mark.parametrize("name", BAD_MASKS)
def test_what_is_no_mask_is_told_in_one_sentence(name: str, mean: Method) -> None:
    given, sentence = BAD_MASKS[name]
    refused(lambda: mean.complete(COLOURS, given), sentence)


BAD_EDGES = {
    "another size": (HOLE[:-1], "the drawing of edges is 46 x 36 pixels"),
    "too bright": (HOLE * 2.0, "values from 0 to 2; give uint8, 255 on an edge"),
    "negative": (HOLE * -1.0, "values from -1 to 0"),
    "NaN": (np.where(HOLE, np.nan, 0), "values from nan to nan"),
    "a colour picture": (COLOURS, "give one plane"),
    "too many": ([HOLE, HOLE], "edges holds 2 and image 1"),
}


@pytest.mark.parametrize("name", BAD_EDGES)
def test_what_is_no_drawing_is_told_in_one_sentence(name: str, edgeconnect: Method) -> None:
    given, sentence = BAD_EDGES[name]
    refused(lambda: edgeconnect.complete(COLOURS, HOLE, given), sentence)


def test_a_method_without_edges_takes_and_shows_none(glcic: Method, mean: Method) -> None:
    for method in (glcic, mean):
        refused(partial(method.complete, COLOURS, HOLE, HOLE), "a drawing would be ignored; leave edges out")
        refused(partial(method.edges, COLOURS, HOLE), "completes without edges")


def test_the_one_of_several_that_is_wrong_is_named(mean: Method) -> None:
    refused(lambda: mean.complete([FLOATS, FLOATS * 9], HOLE), "image 1 has values")
    refused(lambda: mean.complete([FLOATS, FLOATS], [HOLE, HOLE * 3]), "mask 1 has values")
    refused(lambda: mean.complete([FLOATS, FLOATS[1:]], HOLE), "the mask is 46 x 37 pixels, image 1 46 x 36")
