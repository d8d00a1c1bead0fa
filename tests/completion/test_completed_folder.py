"""Laws of completing a folder: the same pixels as one by one, in order, whole or not at all, within memory."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor, nn

from inpaintlab.completion import Checked, check_photographs, complete_folder, folder, pair_photographs
from inpaintlab.completion.checking import _Room
from inpaintlab.completion.footprint import footprint_of
from inpaintlab.completion.photographs import read_photograph
from inpaintlab.completion.windows import GB
from inpaintlab.data import read_rgb
from inpaintlab.inpainting import Classical, Inpainter
from inpaintlab.layers import Context
from inpaintlab.machine import ending_tidily

SIZES = [(31, 46), (32, 48), (33, 40), (30, 48), (32, 47), (64, 64)]
"""Heights and widths: in multiples of 16, all but the third and the last are 32 x 48."""

PIXELS = [height * width for height, width in SIZES]


class Painter(Inpainter):
    """A network that computes each pixel by itself, so that its numbers do not depend on the batch."""

    stride = 16

    def __init__(self, most: int = 100) -> None:
        super().__init__()
        self.network = nn.Conv2d(1, 1, 1)
        self.most = most
        self.batches: list[int] = []

    def generators(self) -> list[nn.Module]:
        return [self.network]

    def forward(self, visible: Tensor, mask: Tensor, edges: Tensor | None = None) -> Tensor:
        assert not visible.shape[-1] % 16
        assert not visible.shape[-2] % 16
        if len(visible) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.batches.append(len(visible))
        rows = torch.linspace(0, 1, visible.shape[-2]).view(1, 1, -1, 1)
        return visible / 2 + mask * torch.cat([rows.expand(mask.shape), mask * 0.3, mask], dim=1)


@pytest.fixture
def cfg() -> DictConfig:
    given = {"hole_colour": "white", "threshold": 0.5, "blend": False, "memory": 2, "window": "auto"}
    return OmegaConf.create(given | {"trainer": {"precision": "32-true"}})


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photographs of these sizes, each with a hole; as many threads as on a machine with four cores."""
    random = np.random.default_rng(0)
    for number, (height, width) in enumerate(SIZES):
        hole = np.zeros((height, width), np.uint8)
        hole[5:20, 10 + number : 30] = 255
        pictures = {"photos": random.integers(0, 256, (height, width, 3), dtype=np.uint8), "masks": hole}
        for name, picture in pictures.items():
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    monkeypatch.setattr(folder, "THREADS", 4)
    return tmp_path


def checked(root: Path, cfg: DictConfig) -> list[tuple[Checked, str]]:
    found, _ = pair_photographs(root / "photos", root / "masks", None, root / "out")
    return [(one, "hash") for one in check_photographs(found, cfg)]


def run(root: Path, cfg: DictConfig, **settings: Any) -> list[str]:
    """Complete all; the names that were told, in order."""
    told: list[str] = []
    complete_folder(Painter(), checked(root, cfg), cfg, lambda line: told.append(name_in(line)), **settings)
    return told


def name_in(line: str) -> str:
    return Path(line.split(" -> ")[1].split(":")[0]).stem


def written(root: Path) -> list[str]:
    """The names of all files that are there, unfinished ones too."""
    return sorted(path.name for path in (root / "out").iterdir()) if (root / "out").exists() else []


def files(count: int) -> list[str]:
    return [f"{number}.png" for number in range(count)]


@pytest.mark.parametrize("together", [0, 5 * 32 * 48])
@pytest.mark.parametrize("blended", [False, True])
def test_each_photograph_is_what_the_model_makes_of_it_alone(
    photos: Path, cfg: DictConfig, together: int, blended: bool
) -> None:
    cfg.blend = blended
    assert run(photos, cfg, together=together) == list("012345")
    for one, _ in checked(photos, cfg):
        contents = read_photograph(one.photograph, cfg)
        image, mask = contents.image.float() / 255, contents.mask.float()
        expected = Painter().complete(image, mask, blended=blended)[0].permute(1, 2, 0).numpy()
        done = np.asarray(Image.open(one.photograph.out))
        np.testing.assert_array_equal(done, (expected * 255).round().astype(np.uint8))


def test_photographs_of_one_padded_size_share_batches_up_to_so_many_pixels(photos: Path, cfg: DictConfig) -> None:
    cfg.window = "whole"

    def batches(**settings: Any) -> list[int]:
        model = Painter()
        complete_folder(model, checked(photos, cfg), cfg, lambda line: None, **settings)
        return model.batches

    assert batches() == [1] * 6  # on a CPU
    # 32 x 48 twice, then a photograph that is larger than a batch may be, then what is left
    assert sorted(batches(together=2 * 32 * 48)) == [1, 1, 2, 2]
    assert sorted(batches(together=4 * 32 * 48)) == [1, 1, 4]
    assert sorted(batches(together=100 * 64 * 64)) == [1, 1, 4]
    assert sorted(batches(together=4 * 32 * 48, at_once=1)) == [1] * 6  # with no memory to wait in


def test_batches_take_no_more_memory_than_there_may_be(photos: Path, cfg: DictConfig) -> None:
    model = Painter()
    cfg.memory = 2.5 * footprint_of(model).of(32 * 48) / GB  # of two photographs
    model.batches.clear()
    complete_folder(model, checked(photos, cfg), cfg, lambda line: None, together=100 * 64 * 64)
    assert sorted(model.batches[2:]) == [1, 1, 2, 2]  # after the two by which the memory is measured


def test_a_batch_that_finds_no_memory_is_completed_in_halves(photos: Path, cfg: DictConfig) -> None:
    cfg.window = "whole"
    model, told = Painter(most=1), []
    complete_folder(model, checked(photos, cfg), cfg, told.append, together=4 * 32 * 48)
    assert model.batches == [1] * 6
    assert len(told) == 6
    with pytest.raises(torch.OutOfMemoryError):
        complete_folder(Painter(most=0), checked(photos, cfg), cfg, told.append)


def wrap_writing(monkeypatch: pytest.MonkeyPatch, before: Callable[[str], None]) -> None:
    """Call ``before`` with a photograph's name before its file is written."""
    from inpaintlab.completion import completing

    whole = completing.save_picture

    def save(picture: Any, original: Any, made: str, path: Path) -> None:
        before(path.stem)
        whole(picture, original, made, path)

    monkeypatch.setattr(completing, "save_picture", save)


def test_lines_come_in_order_though_files_do_not(
    photos: Path, cfg: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = threading.Event()
    order: list[str] = []

    def before(name: str) -> None:
        if name == "0":
            assert second.wait(20)
        order.append(name)
        if name == "1":
            second.set()

    wrap_writing(monkeypatch, before)
    assert run(photos, cfg) == list("012345")
    assert order.index("0") > order.index("1")


def test_a_file_that_can_be_read_no_more_stops_after_those_before_it(photos: Path, cfg: DictConfig) -> None:
    for together in (0, 8 * 32 * 48):
        todo, told = checked(photos, cfg), []
        (photos / "masks/3.png").rename(photos / "gone.png")
        with pytest.raises(ValueError, match=r"masks/3\.png does not exist"):
            complete_folder(Painter(), todo, cfg, told.append, together)
        assert [name_in(line) for line in told] == list("012")
        assert written(photos) == files(3)
        (photos / "gone.png").rename(photos / "masks/3.png")


def test_a_file_that_cannot_be_written_stops_after_those_before_it(
    photos: Path, cfg: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def before(name: str) -> None:
        if name == "2":
            raise OSError("no room")

    wrap_writing(monkeypatch, before)
    told: list[str] = []
    with pytest.raises(OSError, match="no room"):
        complete_folder(Painter(), checked(photos, cfg), cfg, told.append)
    assert [name_in(line) for line in told] == list("01")
    assert {"0.png", "1.png"} <= set(written(photos)) <= set(files(6)) - {"2.png"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_whole_files_alone(photos: Path, cfg: DictConfig, number: signal.Signals) -> None:
    def tell(line: str) -> None:
        signal.raise_signal(number)

    before = signal.getsignal(number)
    with pytest.raises((SystemExit, KeyboardInterrupt)) as raised, ending_tidily():
        complete_folder(Painter(), checked(photos, cfg), cfg, tell, at_once=PIXELS[0])
    if number == signal.SIGTERM:
        assert raised.value.code == 128 + signal.SIGTERM  # type: ignore[union-attr]
    assert signal.getsignal(number) == before
    assert written(photos) == files(1)  # of one in memory
    assert read_rgb(photos / "out/0.png").size == (46, 31)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


@pytest.mark.parametrize(("at_once", "together"), [(2 * 32 * 48, 0), (3 * 32 * 48, 2 * 32 * 48), (10, 0)])
def test_photographs_in_memory_have_so_many_pixels_or_there_is_one(
    photos: Path, cfg: DictConfig, monkeypatch: pytest.MonkeyPatch, at_once: int, together: int
) -> None:
    held: dict[str, int] = {}
    most: list[tuple[int, int]] = []
    change = threading.Lock()

    def read(photograph: Any, cfg: DictConfig) -> Any:
        contents = read_photograph(photograph, cfg)
        with change:
            held[photograph.image.stem] = contents.mask.numel()
            most.append((sum(held.values()), len(held)))
        return contents

    def tell(line: str) -> None:
        with change:
            del held[name_in(line)]

    monkeypatch.setattr(folder, "read_photograph", read)
    complete_folder(Painter(), checked(photos, cfg), cfg, tell, together, at_once)
    assert len(most) == 6
    assert all(pixels <= at_once or count == 1 for pixels, count in most)


def test_the_first_fault_of_a_folder_is_told(photos: Path, cfg: DictConfig) -> None:
    for name in ("4", "2"):
        (photos / f"masks/{name}.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"masks/2\.png"):
        checked(photos, cfg)


def test_threads_hold_no_more_than_there_is_room_for() -> None:
    room, held, most = _Room(10), [0], [0]
    change = threading.Lock()

    def hold(pixels: int) -> None:
        with room.taken(pixels):
            with change:
                held[0] += min(pixels, 10)
                most[0] = max(most[0], held[0])
            with change:
                held[0] -= min(pixels, 10)

    threads = [threading.Thread(target=hold, args=(pixels,)) for pixels in (4, 30, 6, 5, 10, 3) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert most[0] <= 10
    assert room.free == 10


def test_large_photographs_are_completed_in_windows_among_small_ones(photos: Path, cfg: DictConfig) -> None:
    class Near(Painter):
        """Sees each pixel alone, and its row as a share of what it sees: only its windows show where they begin."""

        @property
        def context(self) -> Context:
            return Context(16, 16)

    height, width = 700, 900
    hole = np.zeros((height, width), np.uint8)
    hole[400:420, 500:540] = 255
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for folder_name, picture in (("photos", pixels), ("masks", hole)):
        Image.fromarray(picture).save(photos / folder_name / "2large.png")
    told: list[str] = []
    model = Near()
    shares: list[float] = []
    complete_folder(model, checked(photos, cfg), cfg, told.append, together=5 * 32 * 48, progress=shares.append)
    assert [name_in(line) for line in told] == ["0", "1", "2", "2large", "3", "4", "5"]
    assert shares == [0]  # of the large one alone, whose network is not asked in this stand-in
    assert "completed in a window with 16 pixels around each hole: the pixels of the whole image" in told[3]
    assert not any("window" in line for line in [*told[:3], *told[4:]])
    done = np.asarray(Image.open(photos / "out" / "2large.png"))
    assert (done[hole == 0] == pixels[hole == 0]).all()
    rows = np.linspace(0, 1, 80 - 16)[16:36]  # of a window of rows 384 to 448
    assert (done[400:420, 520, 0] == (rows * 255).round()).all()


def test_memory_that_does_not_suffice_is_told_before_anything_is_written(photos: Path, cfg: DictConfig) -> None:
    class Near(Painter):
        @property
        def context(self) -> Context:
            return Context(16, 16)

    Image.new("RGB", (900, 700)).save(photos / "photos" / "9.png")
    Image.fromarray(np.pad(np.full((9, 9), 255, np.uint8), ((300, 391), (300, 591)))).save(photos / "masks" / "9.png")
    cfg.memory = 1e-6
    with pytest.raises(ValueError, match="memory=1e-06 gigabytes do not suffice"):
        complete_folder(Near(), checked(photos, cfg), cfg, lambda line: None)
    assert written(photos) == []


@pytest.mark.parametrize("window", ["whole", 5])
def test_progress_counts_photographs_that_take_seconds(photos: Path, cfg: DictConfig, window: str | int) -> None:
    class Slow(Classical):
        def fill(
            self, image: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"]
        ) -> Float[np.ndarray, "height width 3"]:
            for share in (0.5, 1.0):
                self.progress(share)
            return image

    cfg.window = window
    shares: list[float] = []
    complete_folder(Slow(), checked(photos, cfg), cfg, lambda line: None, progress=shares.append)
    assert [share for share in shares if share % 1 != 0] == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert shares[-1] == 6
