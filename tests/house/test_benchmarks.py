"""The benchmark compares equal work, counts right, and writes what it measured; how fast anything is, is not tested."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks import __main__ as main_module
from benchmarks import alone, photographs, settings, sides, steps, tables, timing, work
from benchmarks.sides import Batch, Case
from inpaintlab.inpainting import Inpainter

SIZE, COUNT, WIDTH = 32, 2, 0.0625
STEPS = [Case(model, phase, SIZE, COUNT) for model, phases in sides.PHASES.items() for phase in phases]

Gradients = list[list[Tensor]]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark's photographs, small."""
    return photographs.write(tmp_path_factory.mktemp("photographs") / "root", side=40)


@pytest.fixture(scope="session")
def batch(pictures: Path) -> Batch:
    return photographs.batch(pictures, SIZE, COUNT)


# ---------------------------------------------------------------------------------------------------- equal work


class Seen(Callback):
    """Losses of a training's batches, and the gradients with which each of its optimizers steps."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.gradients: Gradients = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        for optimizer in trainer.optimizers:
            watch(optimizer, self.gradients)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append({name: float(loss) for name, loss in outputs.items()})


def watch(optimizer: Optimizer, gradients: Gradients) -> None:
    """Keep the gradients of each step of an optimizer."""

    def keep(stepping: Optimizer, *_: Any) -> None:
        parameters = (p for group in stepping.param_groups for p in group["params"] if p.grad is not None)
        gradients.append([p.grad.detach().clone() for p in parameters])

    optimizer.register_step_pre_hook(keep)


def both(case: Case, batch: Batch, rates: dict[str, float], settled: bool) -> tuple[Seen, Seen]:
    """What our step and the plain one do from the same weights on the same batch, in float64.

    ``settled``: spectral norm's power iterations have converged before, so that one more changes nothing.
    """
    chosen = settings.read(["device=cpu", f"width={WIDTH}"])
    more = [f"model.{name}={value}" for name, value in rates.items()]
    ours, build_trainer = sides.build_ours(case, chosen, "float32", 1, "trainer.precision=64-true", *more)
    ours.double().setup("fit")
    for vgg in getattr(ours, "vgg", ()):
        vgg.double()
    if settled:
        settle(ours)
    plain = sides.build_plain(case, WIDTH, **rates).double()
    sides.copy_weights(ours, plain)
    plain.prepare()
    theirs, seen = Seen(), Seen()
    for optimizer in plain.optimizers.values():
        watch(optimizer, theirs.gradients)
    doubled = {name: value.double() if isinstance(value, Tensor) else value for name, value in batch.items()}
    theirs.losses.append(plain.step(case.phase, doubled))
    sides.fit(ours, build_trainer, doubled, SIZE, seen)
    return seen, theirs


@torch.no_grad()
def settle(model: Inpainter) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and hasattr(layer, "parametrizations"):
            for _ in range(500):
                _ = layer.weight  # each look is a power iteration


def distance(one: list[Tensor], other: list[Tensor]) -> float:
    """The norm of the difference in units of the norm."""
    first, second = (torch.cat([gradient.flatten() for gradient in gradients]) for gradients in (one, other))
    return float((first - second).norm() / first.norm())


@pytest.mark.parametrize("case", STEPS, ids=lambda case: case.name)
def test_a_plain_step_has_our_losses_and_gradients(case: Case, batch: Batch) -> None:
    rates = {"discriminator_ratio": 0.0} if case.model == "edgeconnect" else {}
    ours, plain = both(case, batch, rates, settled=True)
    assert ours.losses[0] == pytest.approx(plain.losses[0], rel=1e-6)
    assert len(ours.gradients) == len(plain.gradients) > 0
    for one, other in zip(ours.gradients, plain.gradients, strict=True):
        assert [gradient.shape for gradient in one] == [gradient.shape for gradient in other]
        assert distance(one, other) < 1e-5


@pytest.mark.parametrize("case", [case for case in STEPS if case.model == "edgeconnect"], ids=lambda case: case.name)
def test_a_third_power_iteration_and_older_features_move_the_plain_step_little(case: Case, batch: Batch) -> None:
    ours, plain = both(case, batch, {}, settled=False)
    assert ours.losses[0] == pytest.approx(plain.losses[0], rel=2e-2)
    assert ours.losses[0] != plain.losses[0]


def test_the_plain_networks_have_the_papers_numbers_of_weights() -> None:
    plain = sides.build_plain(Case("edgeconnect", "joint", 256, 1), 1.0)
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in plain.networks()}
    assert counts == {
        "edge_generator": 10_761_089,
        "edge_discriminator": 2_762_752,
        "inpaint_generator": 10_774_595,
        "inpaint_discriminator": 2_763_776,
    }
    glcic = sides.build_plain(Case("glcic", "joint", 256, 1), 1.0)
    assert [sum(p.numel() for p in network.parameters()) for _, network in glcic.networks()] == [6_072_131, 45_063_681]


# ---------------------------------------------------------------------------------------------------- times


def test_a_summary_is_the_median_and_the_quartiles() -> None:
    assert timing.summary([5.0, 1.0, 3.0, 2.0, 4.0]) == timing.Summary(median=3.0, low=2.0, high=4.0, count=5)
    assert timing.summary([1.0, 2.0]) == timing.Summary(median=1.5, low=1.25, high=1.75, count=2)
    assert timing.summary([7.0]) == timing.Summary(7.0, 7.0, 7.0, 1)


def test_the_ratio_is_taken_pair_by_pair() -> None:
    # twice as fast throughout, while the machine slows both down tenfold in the last round
    pairs = timing.Pairs(ours=[1.0, 1.5, 10.0], plain=[2.0, 3.0, 20.0])
    assert pairs.ratio == timing.Summary(2.0, 2.0, 2.0, 3)


def test_sides_take_turns_and_who_begins_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SHORTEST", 0.0)
    ran: list[str] = []
    pairs = timing.take_turns(lambda: ran.append("ours"), lambda: ran.append("plain"), rounds=3)
    assert ran[-6:] == ["plain", "ours", "ours", "plain", "plain", "ours"]
    assert len(pairs.ours) == len(pairs.plain) == 3


def test_work_that_is_too_short_to_time_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SHORTEST", 0.01)
    runs = 0

    def count() -> None:
        nonlocal runs
        runs += 1

    timing.take_turns(count, lambda: None, rounds=1)
    assert runs > 100


def test_our_step_and_the_plain_one_take_turns_in_one_training(batch: Batch) -> None:
    chosen = settings.read(["device=cpu", "threads=1", f"width={WIDTH}", "rounds=3"])
    row = steps.measure(Case("glcic", "completion", SIZE, COUNT), "float32", batch, chosen)
    assert len(row["ours"]["seconds"]) == len(row["plain"]["seconds"]) == 3
    assert row["ratio"]["count"] == 3
    # the same convolutions, counted on either side by torch
    assert row["ours"]["gflop"] == row["plain"]["gflop"] > 0
    assert row["images_per_second"] == COUNT / row["ours"]["median"]


@pytest.mark.slow
def test_a_process_of_its_own_tells_the_memory_of_a_side(pictures: Path) -> None:
    chosen = settings.read(["device=cpu", "threads=1", "width=0.25"])
    small, large = (
        alone.measure(Case("edgeconnect", "edge", size, 1), None, 1, pictures, chosen) for size in (32, 128)
    )
    assert len(large["seconds"]) == 1
    # G1 alone keeps its first layers' 16 channels on 128 x 128 pixels, twice: 2 MB in float32
    assert large["peak_bytes"] - small["peak_bytes"] > 2e6


# ---------------------------------------------------------------------------------------------------- settings


def test_a_name_that_no_case_holds_is_told_and_writes_nothing(here: Path) -> None:
    with pytest.raises(SystemExit, match=r"no case's name holds one of edgs; give parts of names such as"):
        main_module.main(["cases=[edgs]", "quick=true", "device=cpu", f"out={here}"])
    assert not list(here.glob("*.json"))


def test_settings_name_what_they_do_not_understand() -> None:
    with pytest.raises(ValueError, match=r"speed=1 is not understood .* there are quick, cases"):
        settings.read(["speed=1"])
    with pytest.raises(ValueError, match="shapes holds '30x1'"):
        settings.read(["shapes=[30x1]"])
    with pytest.raises(ValueError, match=r"variants holds 'int8'; there are float32, bf16"):
        settings.read(["variants=[float32,bf16+int8]"])
    with pytest.raises(ValueError, match="images is '/nowhere', which is no folder"):
        settings.read(["images=/nowhere"])
    with pytest.raises(ValueError, match="device is 'abacus'"):
        settings.read(["device=abacus"])


def test_only_a_run_of_everything_at_full_width_is_whole() -> None:
    assert settings.read(["device=cpu"]).whole
    assert not any(settings.read(["device=cpu", part]).whole for part in ("quick=true", "cases=[edges]", "width=0.5"))
    assert settings.read(["device=cpu"]).shapes == ["256x1", "128x4"]


def test_a_case_is_wanted_by_any_part_of_its_name() -> None:
    chosen = settings.read(["device=cpu", "cases=[glcic/joint,edges]"])
    assert chosen.wants("steps/glcic/joint/256x1")
    assert chosen.wants("edges/256x8")
    assert not chosen.wants("steps/glcic/completion/256x1")


def test_completions_are_measured_in_every_variant_and_wanted_one_by_one(batch: Batch) -> None:
    given = batch["image"][:1], batch["mask"][:1]
    arguments = ["device=cpu", f"width={WIDTH}"]
    chosen = settings.read([*arguments, "cases=[completion/glcic]"])
    names = [f"completion/glcic/{SIZE}x{count}" for count in (1, work.TOGETHER)]
    made = {item.name: item for item in work.completion(*given, chosen)}
    assert list(made) == [*names, *(f"{name}/bf16" for name in names)]
    exact, rounded = made[names[0]].ours(), made[f"{names[0]}/bf16"].ours()
    assert isinstance(exact, torch.Tensor)
    assert isinstance(rounded, torch.Tensor)
    assert 0 < (exact - rounded).abs().max() < 1e-2
    single = settings.read([*arguments, f"cases=[{names[0]}/bf16]"])
    assert names[0] in [item.name.removesuffix("/bf16") for item in work.completion(*given, single)]
    assert not list(work.completion(*given, settings.read([*arguments, "cases=[edges]"])))


def test_completions_that_cannot_be_compiled_here_are_told_and_left_out(batch: Batch, capsys: Any) -> None:
    chosen = settings.read(["device=cpu", f"width={WIDTH}", "cases=[completion/glcic]", "variants=[compile,float32]"])
    with torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        made = [item.name for item in work.completion(batch["image"], batch["mask"], chosen)]
    assert made == [f"completion/glcic/{SIZE}x{count}" for count in (1, work.TOGETHER)]
    assert "completion/glcic in compile left out: compile=true finds nothing" in capsys.readouterr().err


def test_photographs_are_ordinary_jpeg_files_of_the_side(pictures: Path) -> None:
    files = sorted((pictures / "train").iterdir())
    assert {file.suffix for file in files} == {".jpg"}
    assert len(files) >= 5
    for file in files:
        with Image.open(file) as picture:
            assert (picture.format, picture.mode, min(picture.size)) == ("JPEG", "RGB", 40)


# ---------------------------------------------------------------------------------------------------- results


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of docs/, with a document that has its marks."""
    monkeypatch.setattr(main_module, "DOCS", tmp_path)
    marks = "".join(
        f"<!-- measured on {d}: begin -->\nold {d}\n<!-- measured on {d}: end -->\n" for d in ("cpu", "cuda")
    )
    (tmp_path / "performance.md").write_text(f"above\n{marks}below\n")
    return tmp_path


@pytest.mark.slow
def test_a_small_run_writes_its_numbers_and_leaves_the_documentation(here: Path, capsys: Any) -> None:
    names = "steps/glcic/joint,steps/edgeconnect/inpaint,edges/64x8,masks/block,loader/block,growth/glcic/joint/64x2"
    before = (here / "performance.md").read_text()
    main_module.main([f"cases=[{names}]", "quick=true", "device=cpu", "threads=1", f"width={WIDTH}", f"out={here}"])
    results = json.loads((here / "cpu-quick.json").read_text())
    assert set(results) == {
        *("format", "date", "command", "commit", "machine", "device", "versions", "settings", "seconds"),
        *("ceilings", "steps", "left_out", "work", "growth"),
    }
    assert [(row["model"], row["phase"], row["variant"]) for row in results["steps"]] == [
        ("edgeconnect", "inpaint", "float32"),
        ("edgeconnect", "inpaint", "bf16"),
        ("glcic", "joint", "float32"),
        ("glcic", "joint", "bf16"),
    ]
    assert results["left_out"] == []
    names_of_work = ["edges/64x8", "edges/64x8/masked", "masks/block", "loader/block"]
    assert [row["name"] for row in results["work"]] == names_of_work
    assert [row["size"] for row in results["growth"]] == [64]
    for row in results["steps"]:
        assert min(row["ours"]["peak_bytes"], row["plain"]["peak_bytes"], row["ours"]["gflop"]) > 0
    assert set(results["ceilings"]) == {"gemm", "convolution"}
    assert (here / "performance.md").read_text() == before
    assert "| edgeconnect inpaint | 64, 2 | bf16 |" in capsys.readouterr().out

    main_module.main([f"render={here / 'cpu-quick.json'}"])
    assert (here / "growth_cpu.png").read_bytes().startswith(b"\x89PNG")
    assert "](growth_cpu.png)" in (here / "performance.md").read_text()


def results_of(load: float) -> dict[str, Any]:
    """A run with hand-made numbers."""
    side = {"median": 2.0, "low": 1.5, "high": 2.5, "count": 5, "seconds": [2.0]}
    return {
        **{"date": "2026-11-21", "commit": "abc", "command": "python -m benchmarks", "seconds": 120.0},
        **{"machine": "a machine, 2 threads", "device": "cpu", "versions": {"torch": "2"}, "settings": {"width": 1.0}},
        "ceilings": {"gemm": {"float32": 180.0, "bf16": 400.0}, "convolution": {"float32": 200.0, "bf16": 400.0}},
        "steps": [
            {
                **{"model": "edgeconnect", "phase": "inpaint", "size": 256, "batch": 1, "variant": "bf16"},
                **{"first_step_seconds": 9.0, "load_of_others": load, "images_per_second": 0.5},
                "plain": side | {"median": 4.0, "gflop": 600.0, "peak_bytes": 1_600_000_000},
                "ours": side | {"gflop": 500.0, "peak_bytes": 1_500_000_000},
                "ratio": {"median": 2.0, "low": 1.9, "high": 2.1, "count": 5},
            }
        ],
        "left_out": [
            {"model": "glcic", "phase": phase, "size": 256, "batch": 1, "variant": "bf16", "reason": "It drifts."}
            for phase in ("completion", "joint")
        ],
        "work": [
            {
                **{"name": "edges/256x8", "against": "scikit-image", "threads": 1, "load_of_others": 0.0},
                "ours": {"median": 4.0, "low": 3.9, "high": 4.1, "count": 7},
                "reference": {"median": 12.0, "low": 11.0, "high": 13.0, "count": 7},
                "ratio": {"median": 3.0, "low": 2.9, "high": 3.1, "count": 7},
            }
        ],
        "growth": [],
    }


def test_tables_hold_the_medians_the_quartiles_and_the_share_of_the_ceiling() -> None:
    text = tables.render(results_of(0.1), plot=None)
    assert (
        "| edgeconnect inpaint | 256, 1 | bf16 | 4.00 (1.50 to 2.50) | 2.00 (1.50 to 2.50) | 2.00 (1.90 to 2.10) "
        "| 0.500 | 1.60 → 1.50 | 600 → 500 | 75 % → 62 % |"  # 600 / 4 / 200 in float32, 500 / 2 / 400 in bfloat16
    ) in text
    assert (
        "| edges/256x8 | 1 | 4.00 (3.90 to 4.10) | 250 | 12.0 (11.0 to 13.0), scikit-image | 3.00 (2.90 to 3.10) |"
        in text
    )
    assert text.count("It drifts.") == 1
    assert "others kept at most 0.10 cores busy" in text


def test_only_what_stands_between_the_marks_is_replaced(here: Path) -> None:
    document = here / "performance.md"
    tables.insert(document, "cpu", "new")
    assert document.read_text() == (
        "above\n<!-- measured on cpu: begin -->\nnew\n<!-- measured on cpu: end -->\n"
        "<!-- measured on cuda: begin -->\nold cuda\n<!-- measured on cuda: end -->\nbelow\n"
    )
    with pytest.raises(ValueError, match="lacks the lines '<!-- measured on abacus: begin -->'"):
        tables.insert(document, "abacus", "new")


def test_the_documentation_has_the_marks() -> None:
    text = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    assert [text.count(f"<!-- measured on {d}: {w} -->") for d in ("cpu", "cuda") for w in ("begin", "end")] == [1] * 4


@pytest.mark.parametrize(("load", "force", "written"), [(0.1, False, True), (0.9, False, False), (0.9, True, True)])
def test_a_disturbed_run_is_kept_out_of_the_documentation_unless_forced(
    here: Path, monkeypatch: pytest.MonkeyPatch, load: float, force: bool, written: bool
) -> None:
    monkeypatch.setattr(main_module, "measure", lambda chosen, arguments: results_of(load))
    arguments = ["device=cpu", f"out={here}", f"force={force}"]
    if written:
        main_module.main(arguments)
    else:
        with pytest.raises(SystemExit, match="stays as it is"):
            main_module.main(arguments)
    assert ("old cpu" not in (here / "performance.md").read_text()) is written
    assert (here / "cpu.json").is_file()


def test_small_numbers_keep_three_digits() -> None:
    assert [tables._three(x) for x in (1234.5, 12.34, 1.234, 0.1234, 0.0001234, 0.0)] == [
        *("1,234", "12.3", "1.23", "0.123", "0.000123", "0"),
    ]
