"""The command for one's own photographs: pairs, sizes, masks, and what it says."""

import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stand_ins.commands import run_here, tiny

Done = subprocess.CompletedProcess[str]
SIZE = (31, 46)  # height, width: no multiple of anything


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = run_here("train", *tiny("edgeconnect", 1), "name=edges", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "edges"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A photograph, its mask, and masks that are empty, full, of another size and inverted."""
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    hole = np.zeros(SIZE, np.uint8)
    hole[5:20, 30:46] = 255
    pictures = {"photo": pixels, "hole": hole, "none": 0 * hole, "all": 0 * hole + 255, "black": 255 - hole}
    pictures["small"] = hole[:-1]
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    return tmp_path


def complete(folder: Path, *settings: str) -> Done:
    return run_here("complete", *settings, cwd=folder)


def succeeded(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(done: Done) -> str:
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_where_no_method_is_named_the_starter_weights_complete_and_a_line_says_so(here: Path) -> None:
    told = succeeded(complete(here, "image=photo.png", "holes=hole.png", "out=done.png"))
    assert "completing with starter-edgeconnect, see inpaintlab weights list" in told
    assert np.array_equal(
        read(here / "done.png")[read(here / "hole.png") == 0], read(here / "photo.png")[read(here / "hole.png") == 0]
    )
    for setting in ("drawing=hole.png", "+model.hole_edges=none"):
        succeeded(complete(here, "image=photo.png", "holes=hole.png", setting, "out=other.png", "overwrite=true"))
        assert not np.array_equal(read(here / "other.png"), read(here / "done.png"))


@pytest.mark.parametrize("blend", ["false", "true"])
def test_known_pixels_are_the_photographs_and_the_hole_is_filled(here: Path, run: Path, blend: str) -> None:
    told = succeeded(
        complete(here, f"checkpoint={run}", "image=photo.png", "holes=hole.png", "out=done.png", f"blend={blend}")
    )
    done, photo, known = read(here / "done.png"), read(here / "photo.png"), read(here / "hole.png") == 0
    assert done.shape == photo.shape
    assert (done[known] == photo[known]).all()
    assert (done[~known] != photo[~known]).any()
    assert "16.8% filled" in told


def test_bfloat16_rounds_what_is_filled_in(here: Path, run: Path) -> None:
    for precision in ("32-true", "bf16-mixed"):
        settings = (f"checkpoint={run}", "image=photo.png", "holes=hole.png", f"precision={precision}")
        succeeded(complete(here, *settings, f"out={precision}.png"))
    exact, rounded = (read(here / f"{name}.png").astype(int) for name in ("32-true", "bf16-mixed"))
    known = read(here / "hole.png") == 0
    assert (rounded[known] == exact[known]).all()
    assert 0 < np.abs(rounded - exact).max() <= 5


def test_blending_changes_the_hole(here: Path) -> None:
    for blend in ("false", "true"):
        succeeded(
            complete(
                here, "model=mean_colour", "image=photo.png", "holes=hole.png", f"out={blend}.png", f"blend={blend}"
            )
        )
    assert (read(here / "true.png") != read(here / "false.png")).any()


def test_a_drawing_of_edges_changes_what_is_painted(here: Path, run: Path) -> None:
    drawing = np.zeros(SIZE, np.uint8)
    drawing[12, 30:46] = 255
    Image.fromarray(drawing).save(here / "drawing.png")
    settings = (f"checkpoint={run}", "image=photo.png", "holes=hole.png")
    succeeded(complete(here, *settings, "out=alone.png"))
    succeeded(complete(here, *settings, "out=drawn.png", "drawing=drawing.png"))
    assert (read(here / "alone.png") != read(here / "drawn.png")).any()


def test_a_source_of_files_needs_them_and_takes_what_is_drawn(here: Path, run: Path) -> None:
    settings = (f"checkpoint={run}", "image=photo.png", "holes=hole.png", "+model/edges=files")
    told = refused(complete(here, *settings, "out=done.png"))
    assert "edges reads an edge map for each photograph (files (trained on canny, sigma 2)); give drawing=FILE" in told
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(here / "drawing.png")
    succeeded(complete(here, *settings, "out=done.png", "drawing=drawing.png"))


def test_a_mask_without_a_hole_gives_the_photograph_and_says_so(here: Path) -> None:
    told = succeeded(complete(here, "model=telea", "image=photo.png", "holes=none.png", "out=done.png"))
    assert "the mask has no hole" in told
    assert (read(here / "done.png") == read(here / "photo.png")).all()


def test_a_mask_that_is_all_hole_gives_a_networks_output_and_a_classical_methods_error(here: Path, run: Path) -> None:
    told = succeeded(complete(here, f"checkpoint={run}", "image=photo.png", "holes=all.png", "out=done.png"))
    assert "all hole" in told
    assert "known pixels" in refused(complete(here, "model=telea", "image=photo.png", "holes=all.png", "out=telea.png"))
    assert not (here / "telea.png").exists()


def test_the_holes_colour_can_be_black(here: Path) -> None:
    for name, settings in {"white": ["holes=hole.png"], "black": ["holes=black.png", "hole_colour=black"]}.items():
        succeeded(complete(here, "model=mean_colour", "image=photo.png", *settings, f"out={name}_hole.png"))
    assert (read(here / "white_hole.png") == read(here / "black_hole.png")).all()


def test_folders_are_paired_by_name_whatever_the_order_and_suffix(here: Path) -> None:
    for folder in ("photos", "masks"):
        (here / folder).mkdir()
    photo, hole = Image.open(here / "photo.png"), Image.open(here / "hole.png")
    for name in ("b", "a"):
        photo.save(here / "photos" / f"{name}.bmp")
        hole.save(here / "masks" / f"{name}.png")
    succeeded(complete(here, "model=mean_colour", "image=photos", "holes=masks", "out=done"))
    assert sorted(path.name for path in (here / "done").iterdir()) == ["a.png", "b.png"]
    (here / "masks" / "b.png").rename(here / "masks" / "c.png")
    told = refused(complete(here, "model=mean_colour", "image=photos", "holes=masks", "out=again"))
    assert "in photos alone: b" in told
    assert "in masks alone: c" in told
    assert not (here / "again").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["holes=small.png"], "46 x 30 pixels, photo.png 46 x 31"),
        (["holes=missing.png"], "missing.png does not exist"),
        (["holes=hole.png", "image=nowhere.png"], "nowhere.png does not exist"),
        (["holes=hole.png", "out=done.gif"], "ends in png, tif, webp or jpg"),
        (["holes=hole.png", "hole_colour=red"], "'white' or 'black'"),
        (["holes=hole.png", "threshold=1"], "threshold is 1"),
        (["holes=hole.png", "precision=16-mixed"], "'32-true' or 'bf16-mixed'"),
        (["holes=hole.png", "precision=bf16-mixed"], "telea has no network, so precision=bf16-mixed would be ignored"),
        (["holes=hole.png", "compile=true"], "telea has no network, so compile=true would be ignored"),
        (["holes=hole.png", "compile=yes"], "compile is 'yes'; it must be true or false."),
        (["holes=."], "holes is a folder"),
        (["holes=hole.png", "out=photo.png"], "photo.png exists"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_and_nothing_is_written(here: Path, settings: list[str], told: str) -> None:
    before = sorted(here.iterdir())
    given = {setting.partition("=")[0] for setting in settings}
    defaults = [
        f"{key}={value}" for key, value in {"image": "photo.png", "out": "done.png"}.items() if key not in given
    ]
    assert told in refused(complete(here, "model=telea", *defaults, *settings))
    assert sorted(here.iterdir()) == before


def test_an_existing_file_is_replaced_only_where_that_is_asked_for(here: Path) -> None:
    settings = ("model=mean_colour", "image=photo.png", "holes=hole.png", "out=photo.png")
    before = read(here / "photo.png")
    refused(complete(here, *settings))
    assert (read(here / "photo.png") == before).all()
    succeeded(complete(here, *settings, "overwrite=true"))
    assert (read(here / "photo.png") != before).any()


def test_a_folder_with_one_wrong_size_is_refused_before_anything_is_written(here: Path) -> None:
    for folder in ("photos", "masks"):
        (here / folder).mkdir()
    for name, mask in {"a": "hole", "b": "small"}.items():
        (here / "photos" / f"{name}.png").write_bytes((here / "photo.png").read_bytes())
        (here / "masks" / f"{name}.png").write_bytes((here / f"{mask}.png").read_bytes())
    told = refused(complete(here, "model=mean_colour", "image=photos", "holes=masks", "out=done"))
    assert "masks/b.png is 46 x 30 pixels" in told
    assert not (here / "done").exists()


def test_white_strokes_on_a_transparent_ground_are_a_hole(here: Path) -> None:
    hole = read(here / "hole.png")
    Image.fromarray(np.stack([hole] * 4, axis=-1)).save(here / "strokes.png")
    for name in ("hole", "strokes"):
        succeeded(complete(here, "model=mean_colour", "image=photo.png", f"holes={name}.png", f"out={name}_done.png"))
    assert (read(here / "strokes_done.png") == read(here / "hole_done.png")).all()


@pytest.mark.parametrize("name", ["photo[edited]", "photo[a"])
def test_names_are_told_as_they_are(here: Path, name: str) -> None:
    (here / "photo.png").rename(here / f"{name}.png")
    done = complete(here, "model=mean_colour", f"image='{name}.png'", "holes=hole.png", "out='done[/b].png'")
    assert f"{name}.png -> done[/b].png" in succeeded(done)


def test_an_untrained_network_paints_the_same_each_time(here: Path) -> None:
    settings = ("model=glcic", "model.width=0.0625", "untrained=true", "image=photo.png", "holes=hole.png")
    for name in ("once", "again"):
        succeeded(complete(here, *settings, f"out={name}.png"))
    assert (read(here / "once.png") == read(here / "again.png")).all()


# ------------------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def folders(here: Path) -> Path:
    """Photographs and masks in folders of folders, and a text among them."""
    for name in ("top", "day1/a", "day1/é"):
        for folder, picture in (("photos", "photo"), ("masks", "hole")):
            file = here / folder / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((here / f"{picture}.png").read_bytes())
    (here / "photos" / "notes.txt").write_text("mine")
    return here


FOLDERS = ("model=mean_colour", "image=photos", "holes=masks")


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_folders_below_are_completed_and_what_is_left_out_is_told(folders: Path) -> None:
    done = complete(folders, *FOLDERS, "out=done")
    succeeded(done)
    assert names(folders / "done") == ["day1/a.png", "day1/é.png", "top.png"]
    assert "1 file is left out, because of the ending: 1 .txt (notes.txt)" in done.stderr


def test_a_second_run_does_what_is_missing_and_says_so(folders: Path) -> None:
    succeeded(complete(folders, *FOLDERS, "out=photos/done"))  # inside the photographs: not completed again
    before = {name: (folders / "photos/done" / name).stat().st_mtime_ns for name in names(folders / "photos/done")}
    (folders / "photos/done/top.png").unlink()
    told = succeeded(complete(folders, *FOLDERS, "out=photos/done"))
    assert "2 of 3 are there already" in told
    assert told.count("->") == 1
    after = {name: (folders / "photos/done" / name).stat().st_mtime_ns for name in names(folders / "photos/done")}
    assert {name for name in before if before[name] != after[name]} == {"top.png"}
    assert "3 of 3" in succeeded(complete(folders, *FOLDERS, "out=photos/done"))


def test_completions_of_other_settings_or_files_are_not_taken_for_these(folders: Path) -> None:
    succeeded(complete(folders, *FOLDERS, "out=done"))
    done = complete(folders, *FOLDERS, "out=done", "hole_colour=black")
    assert done.returncode == 1
    assert "was made of other files or with other settings" in done.stderr
    (folders / "masks/top.png").write_bytes((folders / "black.png").read_bytes())
    done = complete(folders, *FOLDERS, "out=done")
    assert "done/top.png exists, and was made of other files" in done.stderr
    assert "16.8% filled" in succeeded(complete(folders, *FOLDERS, "out=done", "overwrite=true"))


def test_one_mask_serves_a_whole_folder(folders: Path) -> None:
    (folders / "photos/top.bmp").write_bytes((folders / "photos/top.png").read_bytes())
    succeeded(complete(folders, "model=mean_colour", "image=photos", "holes=hole.png", "out=done"))
    assert names(folders / "done") == ["day1/a.png", "day1/é.png", "top.bmp.png", "top.png.png"]


def test_names_pair_in_every_unicode_form(folders: Path) -> None:
    (folders / "masks/day1/é.png").rename(folders / "masks/day1" / f"{unicodedata.normalize('NFD', 'é')}.png")
    succeeded(complete(folders, *FOLDERS, "out=done"))
    assert "day1/é.png" in names(folders / "done")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("all hole", "masks/top.png covers all of photos/top.png; telea needs known pixels"),
        ("another size", "masks/top.png is 46 x 30 pixels"),
        ("no mask", "in photos alone: top"),
        ("a damaged mask", "masks/top.png"),
        ("two photographs", "photos holds top.jpg and top.png, which differ in their ending alone"),
    ],
)
def test_a_fault_in_one_file_is_named_before_anything_is_written(folders: Path, change: str, told: str) -> None:
    match change:
        case "all hole":
            (folders / "masks/top.png").write_bytes((folders / "all.png").read_bytes())
        case "another size":
            (folders / "masks/top.png").write_bytes((folders / "small.png").read_bytes())
        case "no mask":
            (folders / "masks/top.png").unlink()
        case "a damaged mask":
            (folders / "masks/top.png").write_bytes((folders / "masks/top.png").read_bytes()[:60])
        case "two photographs":
            Image.new("RGB", (3, 3)).save(folders / "photos/top.jpg")
    done = complete(folders, "model=telea", "image=photos", "holes=masks", "out=done")
    assert done.returncode == 1
    assert told in done.stderr.splitlines()[-1]
    assert not (folders / "done").exists()


def test_a_name_that_cannot_be_written_is_told_before(here: Path) -> None:
    told = refused(complete(here, "model=telea", "image=photo.png", "holes=hole.png", f"out={'é' * 130}.png"))
    assert "has 264 bytes, more than a file's name may have" in told


@pytest.mark.parametrize(
    ("image", "told"), [("hole", "Are image= and holes= swapped?"), ("photo", "Give a picture in")]
)
def test_a_photograph_is_refused_as_a_mask(here: Path, image: str, told: str) -> None:
    sentence = refused(complete(here, "model=mean_colour", f"image={image}.png", "holes=photo.png", "out=done.png"))
    assert "grey values between black and white, and a mask has none: it is a photograph" in sentence
    assert told in sentence
    assert not (here / "done.png").exists()


def test_a_mask_with_many_greys_is_told(here: Path) -> None:
    soft = read(here / "hole.png").copy()
    soft[0, :40] = np.arange(100, 140)
    Image.fromarray(soft).save(here / "soft.png")
    done = complete(here, "model=mean_colour", "image=photo.png", "holes=soft.png", "out=done.png")
    succeeded(done)
    assert "soft.png has 40 grey values between black and white" in done.stderr
    assert "above threshold=0.5" in done.stderr


def test_transparent_and_known_pixels_come_back_with_alpha(here: Path) -> None:
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[:, :7] = 0
    pixels = np.dstack([read(here / "photo.png"), alpha])
    Image.fromarray(pixels).save(here / "alpha.png")
    succeeded(complete(here, "model=mean_colour", "image=alpha.png", "holes=hole.png", "out=done.png"))
    known = read(here / "hole.png") == 0
    assert (read(here / "done.png")[known] == pixels[known]).all()


def test_a_large_photograph_is_completed_in_windows_and_in_its_own_format(here: Path) -> None:
    pixels = np.full((600, 800, 3), 120, np.uint8)
    hole = np.zeros((600, 800), np.uint8)
    hole[300:310, 400:420] = 255
    Image.fromarray(pixels).save(here / "large.jpg", quality=80)
    Image.fromarray(hole).save(here / "mask.png")
    large = ("image=large.jpg", "holes=mask.png", "out=large_done.jpg")
    told = succeeded(complete(here, "checkpoint=starter-glcic", *large))
    assert "completed in a window with 153 pixels around each hole: the pixels of the whole image" in told
    assert "known pixels are encoded again, as JPEG with the photograph's own tables" in told
    assert "are there already" in succeeded(complete(here, "checkpoint=starter-glcic", *large))
    for setting in ("window=200", "memory=1.5"):
        assert "with other settings" in refused(complete(here, "checkpoint=starter-glcic", *large, setting))
    assert "the photograph's own" not in succeeded(complete(here, "model=telea", *large[:2], "out=large_done.tif"))
    told = succeeded(complete(here, "model=telea", *large[:2], "out=near.png", "window=30"))
    assert "with 30 pixels around each hole; other pixels than those of the whole image" in told


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("window=0", "window is 0; it must be auto, whole, or a whole number of pixels, at least 1"),
        ("window=some", "it must be auto, whole, or a whole number of pixels"),
        ("memory=0", "memory is 0; it must be a number, above 0"),
        ("memory=much", "memory is 'much'; it must be a number, above 0"),
        ("format=jpg", "format is 'jpg'"),
        ("out=done.bmp", "give a file that ends in png, tif, webp or jpg"),
    ],
)
def test_settings_of_large_photographs_and_formats_are_checked(here: Path, setting: str, sentence: str) -> None:
    settings = {"model": "telea", "image": "photo.png", "holes": "hole.png", "out": "done.png"}
    key, value = setting.split("=")
    settings[key] = value
    assert sentence in refused(complete(here, *(f"{name}={given}" for name, given in settings.items())))


def test_a_folder_of_own_formats_is_not_refused_for_one_that_its_name_cannot_hold(here: Path) -> None:
    photos = here / "photos"
    photos.mkdir()
    colours = np.zeros((*SIZE, 4), np.uint8)
    Image.fromarray(colours[..., :3]).save(photos / "photo.jpg")
    for name, picture in {"logo.jpg": colours, "deep.webp": np.full(SIZE, 40_000, np.uint16)}.items():
        Image.fromarray(picture).save(photos / name, format="PNG")
    settings = ["model=mean_colour", "image=photos", "holes=hole.png", "out=done", "format=input"]
    Image.fromarray(colours).save(here / "logo.png")
    (here / "done").mkdir()
    (here / "logo.png").rename(here / "done" / "logo.png")
    assert "logo.png exists" in refused(complete(here, *settings))
    (here / "done" / "logo.png").unlink()
    told = succeeded(complete(here, *settings))
    assert sorted(path.name for path in (here / "done").iterdir()) == ["deep.png", "logo.png", "photo.jpg"]
    assert "a PNG, for a JPEG has no place for its transparency" in told
    assert "a PNG, for a WebP has no place for 16 bits of grey" in told
    assert read(here / "done" / "deep.png").dtype == np.uint16
    assert "3 of 3 are there already" in succeeded(complete(here, *settings))


def test_settings_that_decide_nothing_do_not_hinder_going_on(here: Path) -> None:
    for method, first, second in (
        (["checkpoint=starter-glcic"], "memory=2", "memory=2.0"),
        (["model=mean_colour"], "memory=2", "memory=3"),
        (["checkpoint=starter-glcic", "window=whole"], "memory=2", "memory=3"),
    ):
        settings = [*method, "image=photo.png", "holes=hole.png", f"out={len(method)}{method[0][-4:]}.png"]
        succeeded(complete(here, *settings, first))
        assert "1 of 1 are there already" in succeeded(complete(here, *settings, second))
