"""What a completion costs, against convolutions and tensors that are counted by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from inpaintlab.evaluation import cost
from inpaintlab.inpainting import Inpainter
from inpaintlab.machine import Clocks
from inpaintlab.machine import memory as peak_memory
from inpaintlab.machine.load import Work
from inpaintlab.shapes import Images, Planes
from stand_ins.building import Builder, state_of

CPU = torch.device("cpu")
KEYS = {"parameters", "gmac", "milliseconds", "peak_memory_bytes", "batch_size", "size"}
KEYS |= {"rounds", "load_of_others", "cores"}
MEBIBYTE = 2**20


class Convolutions(Inpainter):
    """3 to 8 features at stride 2, a transposed convolution back, a spectrally normalised 1 x 1; and a critic."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, bias=False)
        self.out = spectral_norm(nn.Conv2d(4, 3, 1))
        self.norm = nn.BatchNorm2d(4)
        self.critic = nn.Linear(1000, 1000)

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        return self.out(self.norm(self.up(self.down(visible)))).sigmoid()


class Scripted(Inpainter):
    """Takes so many seconds of a clock of its own for one completion after the other, and two seconds of work each."""

    def __init__(self, *rounds: float) -> None:
        super().__init__()
        self.rounds = [100.0, *rounds]  # the first is that of the count
        self.now = self.worked = 0.0

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        self.now += self.rounds.pop(0)
        self.worked += 2
        return visible

    def clocks(self, others: float | None = 0.0, cores: int = 4) -> Clocks:
        """Of a machine on which others keep so many cores busy; None: that does not tell."""
        told = (lambda: None) if others is None else (lambda: Work(self.worked + others * self.now, cores))
        return Clocks(wall=lambda: self.now, own=lambda: self.worked, machine=told)


class Hoarder(Inpainter):
    """Holds this many mebibytes while it completes, whatever the pictures."""

    def __init__(self, mebibytes: int, pieces: int = 1, outside_torch: bool = False) -> None:
        super().__init__()
        self.bytes = mebibytes * MEBIBYTE // pieces
        self.pieces = pieces
        self.outside_torch = outside_torch

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        if self.outside_torch:
            held: list[bytearray | Tensor] = [bytearray(b"1") * self.bytes for _ in range(self.pieces)]
        else:
            held = [torch.ones(self.bytes, dtype=torch.uint8) for _ in range(self.pieces)]
        return visible * (len(held) > 0)


@pytest.fixture
def three_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as there can be, where no test looks at the time."""
    monkeypatch.setattr(cost, "SECONDS", 0.0)


def test_multiply_accumulates_are_those_counted_by_hand() -> None:
    found = cost.measure_cost(Convolutions(), 16, 2, CPU)
    down = 8 * 8 * 8 * 3 * 3 * 3  # pixels out, features out, features in, taps
    up = 8 * 8 * 8 * 4 * 4 * 4  # pixels in, features in, features out, taps
    out = 16 * 16 * 4 * 3
    assert found["gmac"] == pytest.approx((down + up + out) / 1e9, rel=1e-12)


def test_the_parameters_are_those_that_take_part_in_a_completion() -> None:
    model = Convolutions()
    down, up, out, norm = 8 * 3 * 9 + 8, 8 * 4 * 16, 4 * 3 + 3, 2 * 4
    assert cost.measure_cost(model, 16, 1, CPU)["parameters"] == down + up + out + norm
    assert sum(p.numel() for p in model.parameters()) > 1_000_000


@pytest.mark.usefixtures("three_rounds")
@pytest.mark.parametrize(("name", "parts"), [("glcic", ["completion"]), ("edgeconnect", ["edge_", "inpaint_"])])
def test_a_papers_discriminator_costs_nothing_when_images_are_completed(
    built: Builder, name: str, parts: list[str]
) -> None:
    model = built(name)
    generators = [p for key, p in model.named_parameters() if "discriminator" not in key]
    found = cost.measure_cost(model, 32, 1, CPU)
    assert found["parameters"] == sum(p.numel() for p in generators)
    assert found["gmac"] > 0


@pytest.mark.usefixtures("three_rounds")
def test_an_untrained_network_under_spectral_norm_is_counted_in_inference_mode(built: Builder) -> None:
    """Which an evaluation is in; a trained one has its weights divided before."""
    model = built("edgeconnect")
    expected = cost.measure_cost(model, 32, 1, CPU)
    with torch.inference_mode():
        found = cost.measure_cost(model, 32, 1, CPU)
    assert (found["parameters"], found["gmac"]) == (expected["parameters"], expected["gmac"])


def test_the_batch_size_changes_neither_parameters_nor_multiply_accumulates() -> None:
    one, three = (cost.measure_cost(Convolutions(), 16, batch_size, CPU) for batch_size in (1, 3))
    assert (one["parameters"], one["gmac"]) == (three["parameters"], three["gmac"])
    assert (three["batch_size"], three["size"]) == (3, 16)


@pytest.mark.usefixtures("three_rounds")
@pytest.mark.parametrize("name", ["telea", "navier_stokes", "biharmonic", "mean_colour"])
def test_a_classical_method_has_a_time_but_no_parameters(built: Builder, name: str) -> None:
    found = cost.measure_cost(built(name), 32, 2, CPU)
    assert found.keys() == KEYS
    assert found["parameters"] is None
    assert found["gmac"] is None
    assert found["milliseconds"] > 0


def test_the_time_is_the_least_of_the_rounds_and_an_images_share_of_it() -> None:
    model = Scripted(0.9, 0.25, 0.9, 0.8)
    found = cost.measure_cost(model, 16, 2, CPU, clocks=model.clocks())
    assert found["milliseconds"] == pytest.approx(125)
    assert found["rounds"] == 3  # in which the 2 s are over


def test_rounds_are_few_where_they_are_long_and_many_where_they_are_short() -> None:
    rounds = {}
    for seconds in (0.005, 0.01, 0.02, 0.05, 0.5, 4.0, 30.0):
        model = Scripted(*[seconds] * 60)
        rounds[seconds] = cost.measure_cost(model, 16, 1, CPU, clocks=model.clocks())["rounds"]
    # the quickest: a quarter second, below which no load is told; the last: one, which is measured well enough
    assert rounds == {
        0.005: pytest.approx(50, abs=1),
        0.01: pytest.approx(25, abs=1),
        0.02: 20,
        0.05: 20,
        0.5: 4,
        4.0: 2,
        30.0: 1,
    }


@pytest.mark.parametrize("others", [0.0, 1.3])
def test_the_load_of_others_stands_beside_the_time(others: float) -> None:
    model = Scripted(*[0.5] * 4)
    found = cost.measure_cost(model, 16, 1, CPU, clocks=model.clocks(others))
    assert found["load_of_others"] == pytest.approx(others)
    assert found["cores"] == 4


def test_where_the_system_does_not_tell_its_load_none_is_told() -> None:
    model = Scripted(*[0.5] * 4)
    found = cost.measure_cost(model, 16, 1, CPU, clocks=model.clocks(None))
    assert found["load_of_others"] is found["cores"] is None
    assert found["milliseconds"] == pytest.approx(500)


@pytest.mark.usefixtures("three_rounds")
@pytest.mark.skipif(not peak_memory.CLEAR_REFS.exists(), reason="only Linux tells the peak of a process")
@pytest.mark.parametrize("outside_torch", [False, True])
def test_peak_memory_is_what_a_batch_holds_at_most(outside_torch: bool) -> None:
    found = cost.measure_cost(Hoarder(200, outside_torch=outside_torch), 16, 1, CPU)
    assert found["peak_memory_bytes"] == pytest.approx(200 * MEBIBYTE, rel=0.05)


@pytest.mark.usefixtures("three_rounds")
@pytest.mark.skipif(not peak_memory.CLEAR_REFS.exists(), reason="only Linux tells the peak of a process")
def test_what_was_held_before_does_not_count() -> None:
    before = torch.ones(400 * MEBIBYTE, dtype=torch.uint8)
    del before
    found = cost.measure_cost(Hoarder(1), 16, 1, CPU)
    assert found["peak_memory_bytes"] < 50 * MEBIBYTE


@pytest.mark.usefixtures("three_rounds")
@pytest.mark.skipif(not peak_memory.CLEAR_REFS.exists(), reason="only Linux tells the peak of a process")
def test_memory_that_was_freed_before_is_counted_when_it_is_used_again() -> None:
    large = torch.ones(30 * MEBIBYTE, dtype=torch.uint8)
    del large  # from now on the C library keeps freed blocks up to this size
    kept = [torch.ones(MEBIBYTE, dtype=torch.uint8) for _ in range(100)][::2]
    found = cost.measure_cost(Hoarder(30, pieces=30), 16, 1, CPU)
    assert len(kept) == 50
    assert found["peak_memory_bytes"] == pytest.approx(30 * MEBIBYTE, rel=0.1)


def test_a_system_that_does_not_tell_the_peak_gives_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_memory, "CLEAR_REFS", Path("/nowhere/clear_refs"))
    assert cost.measure_cost(Hoarder(1), 16, 1, CPU)["peak_memory_bytes"] is None


def test_measuring_changes_nothing_of_the_model_and_draws_nothing() -> None:
    model = Convolutions()
    model.critic.eval()
    state, modes = state_of(model), [module.training for module in model.modules()]
    random = torch.get_rng_state()
    cost.measure_cost(model, 16, 2, CPU)
    assert all(torch.equal(value, state[key]) for key, value in state_of(model).items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("size", [1, 2, 31, 32])
def test_the_hole_is_a_quarter_of_the_scene(size: int) -> None:
    image, mask = cost.scene(size, 2)
    assert image.shape == (2, 3, size, size)
    assert mask.sum() == 2 * ((size + 1) // 2) ** 2
    assert torch.equal(image, cost.scene(size, 2)[0])


def test_post_processing_counts_where_it_is_asked_for(built: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = built("mean_colour")
    asked = []
    complete = model.complete
    monkeypatch.setattr(model, "complete", lambda *a, blended=False: (asked.append(blended), complete(*a))[1])
    cost.measure_cost(model, 16, 1, CPU, blended=True)
    assert True in asked
    asked.clear()
    cost.measure_cost(model, 16, 1, CPU)
    assert True not in asked


@pytest.mark.parametrize("sizes", [(0, 1), (16, 0)])
def test_nothing_to_complete_is_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"is no size|leaves nothing to complete"):
        cost.measure_cost(Convolutions(), *sizes, CPU)
