"""The benchmark compares equal work, counts right, and writes what it measured; how fast anything is, is not tested."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks import __main__ as main_module
from benchmarks import (
    apart,
    cases,
    counting,
    folders,
    photographs,
    reach,
    running,
    settings,
    sides,
    steps,
    tables,
    timing,
    work,
)
from benchmarks.cases import Task
from benchmarks.checks import exactness, runs
from benchmarks.settings import Settings
from benchmarks.sides import Batch, Case
from inpaintlab.inpainting import Inpainter
from stand_ins import benchmark_cases
from stand_ins.models import MODELS, only

SIZE, COUNT, WIDTH = 32, 2, 0.0625
STEPS = [Case(model, phase, SIZE, COUNT) for model, phases in sides.PHASES.items() for phase in phases]
ORDINARY = [
    case for case in STEPS if case.phase == {"glcic": "joint", "edgeconnect": "inpaint"}.get(case.model, "train")
]

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


@pytest.mark.parametrize("case", only(*ORDINARY, of=STEPS), ids=lambda case: case.name)
def test_a_plain_step_has_our_losses_and_gradients(case: Case, batch: Batch) -> None:
    rates = {"discriminator_ratio": 0.0} if case.model == "edgeconnect" else {}
    ours, plain = both(case, batch, rates, settled=True)
    assert ours.losses[0] == pytest.approx(plain.losses[0], rel=1e-6)
    assert len(ours.gradients) == len(plain.gradients) > 0
    for one, other in zip(ours.gradients, plain.gradients, strict=True):
        assert [gradient.shape for gradient in one] == [gradient.shape for gradient in other]
        assert distance(one, other) < 1e-5


@pytest.mark.parametrize(
    "case", only(*ORDINARY, of=[case for case in STEPS if case.model == "edgeconnect"]), ids=lambda case: case.name
)
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
    assert min(row["ours"]["operators"], row["plain"]["operators"]) > 100
    assert row["compiled"] is None
    assert row["images_per_second"] == COUNT / row["ours"]["median"]


@pytest.mark.slow
def test_a_compiled_step_is_counted_uncompiled_and_tells_its_graphs(pictures: Path) -> None:
    chosen = settings.read(["device=cpu", "threads=1", f"width={WIDTH}", "rounds=2"])
    # in a process whose signatures are not checked, which the compiler could not trace
    arguments = (Case("glcic", "completion", SIZE, COUNT), pictures, chosen)
    [row] = apart.rows(benchmark_cases.compiled_step, arguments, 300, 1)
    assert row["compiled"]["graphs"] >= 1
    assert set(row["compiled"]) == {"graphs", "breaks", "recompilations", "later"}
    assert row["ours"]["gflop"] == row["plain"]["gflop"] > 0
    assert len(row["ours"]["seconds"]) == len(row["plain"]["seconds"]) == 2


def test_operators_are_counted_without_views_and_allocations() -> None:
    with counting.Operators() as counted:
        (torch.ones(4).view(2, 2).t() + 1).relu().detach().clone(memory_format=torch.contiguous_format)
    assert counted.calls == {"ones": 1, "add": 1, "relu": 1, "clone": 1}


def test_graphs_their_breaks_and_what_is_compiled_again_are_counted() -> None:
    def broken(x: Tensor) -> Tensor:
        y = x + 1
        torch._dynamo.graph_break()
        return y * 2

    torch._dynamo.reset()
    graphs = counting.Graphs()
    assert graphs.counts() == {"graphs": 0, "breaks": 0, "recompilations": 0}
    step = torch.compile(broken, backend="eager", dynamic=False)
    step(torch.ones(2))
    assert graphs.counts() == {"graphs": 2, "breaks": 1, "recompilations": 0}
    step(torch.ones(3))
    assert graphs.counts()["graphs"] == 4
    assert graphs.counts()["recompilations"] == 2


@pytest.mark.slow
def test_a_process_of_its_own_tells_the_memory_of_a_side(pictures: Path) -> None:
    chosen = settings.read(["device=cpu", "threads=1", "width=0.25"])
    found = []
    for size in (32, 128):
        arguments = (Case("edgeconnect", "edge", size, 1), pictures, chosen)
        found += apart.rows(benchmark_cases.plain_alone, arguments, 300, 1)
    small, large = found
    assert len(large["seconds"]) == 1
    # G1 alone keeps its first layers' 16 channels on 128 x 128 pixels, twice: 2 MB in float32
    assert large["peak_bytes"] - small["peak_bytes"] > 2e6


# ---------------------------------------------------------------------------------------------------- settings


def test_a_name_that_no_case_holds_is_told_and_writes_nothing(here: Path) -> None:
    with pytest.raises(SystemExit, match=r"no case's name holds one of edgs; give parts of names such as"):
        main_module.main(["cases=[edgs]", "quick=true", "device=cpu", f"out={here}"])
    assert not list(here.glob("*.json"))


def test_settings_name_what_they_do_not_understand() -> None:
    with pytest.raises(ValueError, match=r"speed=1 is not understood .* there are quick, minutes, cases"):
        settings.read(["speed=1"])
    with pytest.raises(ValueError, match="shapes holds '30x1'"):
        settings.read(["shapes=[30x1]"])
    with pytest.raises(ValueError, match=r"variants holds 'int8'; there are float32, bf16"):
        settings.read(["variants=[float32,bf16+int8]"])
    with pytest.raises(ValueError, match="images is '/nowhere', which is no folder"):
        settings.read(["images=/nowhere"])
    with pytest.raises(ValueError, match=r"minutes is -1.0; give a number above 0"):
        settings.read(["minutes=-1"])
    with pytest.raises(ValueError, match="device is 'abacus'"):
        settings.read(["device=abacus"])


def test_only_a_run_of_everything_at_full_width_is_whole() -> None:
    assert settings.read(["device=cpu"]).whole
    for part in ("quick=true", "cases=[edges]", "width=0.5", "minutes=6"):
        assert not settings.read(["device=cpu", part]).whole
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
    listed = [name.replace("256x", f"{SIZE}x") for name in work.names(chosen)["completion"]]
    assert list(made) == [name for name in listed if "glcic" in name]
    exact, rounded = made[names[0]].ours(), made[f"{names[0]}/bf16"].ours()
    assert isinstance(exact, torch.Tensor)
    assert isinstance(rounded, torch.Tensor)
    assert 0 < (exact - rounded).abs().max() < 1e-2
    single = settings.read([*arguments, f"cases=[{names[0]}/bf16]"])
    assert names[0] in [item.name.removesuffix("/bf16") for item in work.completion(*given, single)]
    assert not list(work.completion(*given, settings.read([*arguments, "cases=[edges]"])))


def test_searches_are_measured_beside_pypatchmatch_those_that_are_here(pictures: Path) -> None:
    chosen = settings.read(["device=cpu", "quick=true", "rounds=1", "cases=[searching/patchmatch]"])
    listed = work.names(chosen)["searching"]
    assert {name.split("/")[1] for name in listed} == {name for name in work.SEARCHING if name in MODELS}
    (item,) = work.searching(pictures, chosen)
    row = work.measure(item, chosen)
    assert (row["name"], row["against"], row["threads"]) == ("searching/patchmatch/64 hole 32", "PyPatchMatch", 1)
    assert row["ratio"]["median"] > 0


def test_completions_that_cannot_be_compiled_here_are_told_and_left_out(batch: Batch, capsys: Any) -> None:
    chosen = settings.read(["device=cpu", f"width={WIDTH}", "cases=[completion/glcic]", "variants=[compile,float32]"])
    with torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        made = [item.name for item in work.completion(batch["image"], batch["mask"], chosen)]
    assert made == [f"completion/glcic/{SIZE}x{count}" for count in (1, work.TOGETHER)]
    assert "completion/glcic in compile left out: There is nothing to compile with" in capsys.readouterr().err


def test_a_variant_says_whether_it_is_compiled() -> None:
    assert settings.settings_of("bf16") == ["trainer.precision=bf16-mixed", "compile=false"]
    assert settings.settings_of("float32+compile") == ["trainer.precision=32-true", "compile=true"]
    assert [settings.precision_of(variant) for variant in ("compile", "bf16+compile")] == ["float32", "bf16"]


def test_work_has_the_names_that_it_is_listed_by(pictures: Path, batch: Batch, tmp_path: Path) -> None:
    chosen = settings.read(["device=cpu", "quick=true", f"width={WIDTH}"])
    listed = work.names(chosen)
    assert [item.name for item in work.edges(batch["gray"], batch["mask"], torch.device("cpu"))] == [
        name.replace("64x", f"{SIZE}x") for name in listed["edges"]
    ]
    assert [item.name for item in work.masks(tmp_path, SIZE)] == listed["masks"]
    assert [item.name for item in work.loading(pictures, tmp_path, SIZE)] == listed["loader"]
    assert [item.name for item in work.metrics(batch["image"], batch["mask"])] == listed["metrics"]


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
    names = "steps/glcic/joint,edges/64x8,masks/block,loader/block,growth/glcic/joint/64x2"
    before = (here / "performance.md").read_text()
    arguments = ["quick=true", "device=cpu", "threads=1", "rounds=1", f"width={WIDTH}", f"out={here}"]
    main_module.main([f"cases=[{names}]", *arguments])
    results = json.loads((here / "cpu-quick.json").read_text())
    assert set(results) == {
        *("format", "date", "command", "commit", "machine", "device", "versions", "settings", "seconds"),
        *("ceilings", "steps", "left_out", "work", "growth", "checks"),
    }
    assert [(row["model"], row["phase"], row["variant"]) for row in results["steps"]] == [
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
    assert "| glcic joint | 64, 2 | bf16 |" in capsys.readouterr().out

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
                **{"first_step_seconds": 9.0, "load_of_others": load, "images_per_second": 0.5, "compiled": None},
                "plain": side | {"median": 4.0, "gflop": 600.0, "operators": 2000, "peak_bytes": 1_600_000_000},
                "ours": side | {"gflop": 500.0, "operators": 1500, "peak_bytes": 1_500_000_000},
                "ratio": {"median": 2.0, "low": 1.9, "high": 2.1, "count": 5},
            }
        ],
        "left_out": [{"name": f"steps/glcic/{phase}/256x1/bf16", "reason": "It drifts."} for phase in ("a", "b")],
        "checks": [{"name": "checks/edges", "passed": True, "measured": "0 of 9", "limit": "none differs"}],
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
        "| edgeconnect inpaint | 256, 1 | bf16 | 4,000 (1,500 to 2,500) | 2,000 (1,500 to 2,500) | 2.00 (1.90 to 2.10) "
        "| 0.500 | 1.60 → 1.50 | 600 → 500 | 75 % → 62 % |"  # 600 / 4 / 200 in float32, 500 / 2 / 400 in bfloat16
    ) in text
    assert (
        "| edges/256x8 | 1 | 4.00 (3.90 to 4.10) | 250 | 12.0 (11.0 to 13.0), scikit-image | 3.00 (2.90 to 3.10) |"
        in text
    )
    assert "| edgeconnect inpaint | 256, 1 | bf16 | 2,000 → 1,500 | 9.00 |  |  |  |  |" in text
    assert "- steps/glcic/a/256x1/bf16, steps/glcic/b/256x1/bf16: It drifts." in text
    assert "| edges | 0 of 9 | none differs | yes |" in text
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
    monkeypatch.setattr(main_module, "measure", lambda *_: results_of(load))
    arguments = ["device=cpu", f"out={here}", f"force={force}"]
    if written:
        main_module.main(arguments)
    else:
        with pytest.raises(SystemExit, match="stays as it is"):
            main_module.main(arguments)
    assert ("old cpu" not in (here / "performance.md").read_text()) is written


def test_a_check_that_fails_ends_the_run_in_an_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = results_of(0.1)
    results["checks"].append(results["checks"][0] | {"name": "checks/resuming", "passed": False})
    monkeypatch.setattr(main_module, "measure", lambda *_: results)
    with pytest.raises(SystemExit, match=r"1 of 2 checks fail: checks/resuming\."):
        main_module.main(["device=cpu", f"out={here}", "quick=true"])


def test_small_numbers_keep_three_digits() -> None:
    assert [tables._three(x) for x in (1234.5, 12.34, 1.234, 0.1234, 0.0001234, 0.0)] == [
        *("1,234", "12.3", "1.23", "0.123", "0.000123", "0"),
    ]


# ---------------------------------------------------------------------------------------------------- bounded in time


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def task(name: str, rows: Any = benchmark_cases.well, arguments: tuple[Any, ...] = (), sure: bool = False) -> Task:
    return Task(name, "checks", rows, arguments, sure)


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of processes imports torch alone, since these cases need no more."""
    monkeypatch.setattr(apart, "PRELOADED", "benchmarks.apart")


@pytest.mark.usefixtures("light")
def test_a_case_that_hangs_is_killed_with_all_it_started_and_the_next_is_measured(tmp_path: Path) -> None:
    note = tmp_path / "processes"
    chosen = replace(settings.read(["device=cpu", "threads=1"]), images=str(tmp_path))
    hanging = task("hangs", benchmark_cases.hangs, (note,))
    todo = [
        task("first", arguments=("first",)),
        hanging,
        task("refuses", benchmark_cases.refuses),
        task("fails", benchmark_cases.fails),
        task("dies", benchmark_cases.dies),
        task("last", arguments=("last",)),
    ]
    results: dict[str, Any] = {"checks": [], "left_out": []}
    saved: list[list[str]] = []
    clock = Limited(hanging, 6.0)
    running.measure(todo, chosen, results, lambda: saved.append([row["name"] for row in results["checks"]]), clock)
    assert [row["name"] for row in results["checks"]] == ["first", "before it hangs", "last"]
    assert {case["name"]: case["reason"] for case in results["left_out"]} == {
        "hangs": "ended after 6 s",
        "refuses": "nothing compiles here",
        "fails": "KeyError: 'lost'",
        "dies": "its process died (exit code -9)",
    }
    # what was measured before is on the disk while it hangs
    assert saved[:2] == [["first"], ["first", "before it hangs"]]
    assert all(ended(int(process)) for process in note.read_text().split())


class Limited(running.Clock):
    """Gives one task few seconds and the others as many as they like."""

    def __init__(self, limited: Task, seconds: float) -> None:
        super().__init__(None, 0.0)
        self.limited, self.seconds = limited, seconds

    def seconds_for(self, task: Task, later: Sequence[Task]) -> float:
        return self.seconds if task is self.limited else super().seconds_for(task, later)


def ended(process: int) -> bool:
    """Whether a process ends within seconds, or is a zombie that nobody has asked for."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_no_case_gets_more_than_a_third_of_a_bounded_run() -> None:
    clock = running.Clock(10, 1000.0, Time())
    assert clock.seconds_for(task("a"), []) == 200
    assert running.Clock(None, 1000.0, Time()).seconds_for(task("a"), []) == running.LONGEST


def test_time_is_kept_for_what_is_sure_and_a_case_without_time_is_not_started() -> None:
    now = Time()
    clock = running.Clock(10, 1000.0, now)  # ends at 1582
    long, sure = task("a+compile"), task("b", sure=True)
    clock.note(sure, 40.0)
    now.seconds = 1382.0
    assert clock.seconds_for(long, [sure, sure, task("c")]) == pytest.approx(120)  # 200 left, 80 kept
    assert clock.seconds_for(sure, [sure, sure]) == pytest.approx(200)
    assert clock.seconds_for(long, [sure] * 9) == pytest.approx(200 / 3)  # but a third is its own
    clock.note(long, 130.0)
    assert clock.seconds_for(long, [sure, sure]) == 0
    now.seconds = 1590.0
    assert clock.seconds_for(sure, []) == 0


def test_a_bounded_run_ends_in_time_and_tells_what_was_not_measured(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(running.apart, "rows", lambda *_: iter([]))
    arguments = ["device=cpu", "quick=true", f"out={here}", f"images={here}"]
    main_module.main([*arguments, "minutes=1"], started=time.monotonic() - 3600)
    results = json.loads((here / "cpu-quick.json").read_text())
    assert {case["reason"] for case in results["left_out"]} == {"not measured: no time left"}
    names = [case["name"] for case in results["left_out"]]
    assert names == [task.name for task in cases.tasks(settings.read([*arguments, "minutes=1"]))]
    assert f"{names[-1]}: not measured: no time left" in capsys.readouterr().err


def names_of(chosen: Settings) -> list[str]:
    return [task.name for task in cases.tasks(chosen)]


def test_a_gpu_begins_with_what_tells_most() -> None:
    shapes, variants = settings.GPU_SHAPES, settings.GPU_VARIANTS
    names = names_of(replace(settings.read(["device=cpu"]), device="cuda", shapes=shapes, variants=variants))
    assert names[:5] == [
        "ceilings",
        "steps/edgeconnect/inpaint/256x16/bf16",
        "steps/glcic/joint/256x16/bf16",
        "steps/edgeconnect/joint/256x16/bf16",
        "steps/edgeconnect/edge/256x16/bf16",
    ]
    assert [names[at] for at in (8, 15, 22, 29)] == [
        "steps/edgeconnect/inpaint/256x16/bf16+compile",
        "steps/edgeconnect/inpaint/256x16/float32+compile",
        "steps/edgeconnect/inpaint/256x16/float32",
        "checks/edges",
    ]
    order = ["checks/resuming", "completion/folder/glcic", "masks", "steps/glcic/joint/256x8/bf16"]
    assert [names.index(name) for name in order] == sorted(names.index(name) for name in order)
    assert len(names) == len(set(names))


def test_a_cpu_measures_what_it_did_and_the_checks_where_they_are_named() -> None:
    chosen = settings.read(["device=cpu"])
    names = names_of(chosen)
    steps_of = [name for name in names if name.startswith("steps/")]
    every = [Case(one.model, one.phase, *shape) for shape in chosen.training_shapes for one in STEPS]
    assert len(steps_of) == sum(case.possible for case in every) * 2  # precisions
    assert steps_of[:2] == ["steps/edgeconnect/edge/256x1/float32", "steps/edgeconnect/edge/256x1/bf16"]
    after = names.index("edges")
    assert names[after : after + 5] == ["edges", "masks", "loader", "metrics", "completion"]
    assert not any(name.startswith("checks") for name in names)
    assert names_of(settings.read(["device=cpu", "cases=[checks/edges]"])) == ["checks/edges"]
    one = settings.read(["device=cpu", "cases=[checks/numbers/glcic/joint/float64]"])
    assert names_of(one) == ["checks/numbers/glcic/joint"]
    assert names_of(settings.read(["device=cpu", "cases=[edges/256x8]"])) == ["edges"]


# ---------------------------------------------------------------------------------------------------- checks


def test_numbers_hold_and_a_layer_that_differs_on_the_device_fails_them(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings.read(["device=cpu", "threads=1", "shapes=[32x2]", f"width={WIDTH}"])
    numbers = partial(exactness.numbers, pictures, tmp_path, chosen, "glcic", "completion", ["float32"])
    sound = list(numbers(exact=True))
    assert [row["name"].rpartition("/")[2] for row in sound] == ["float64", "float32"]
    assert all(row["passed"] for row in sound), sound
    build = exactness.build_ours

    def bent(case: Case, chosen: Settings, variant: str, batches: int, *more: str) -> Any:
        model, trainer = build(case, chosen, variant, batches, *more)
        if not more:
            with torch.no_grad():
                next(model.parameters()).mul_(1.5)
        return model, trainer

    monkeypatch.setattr(exactness, "build_ours", bent)
    assert [row["passed"] for row in numbers(exact=False)] == [False]


def test_only_steps_that_are_the_same_keep_float64_exact() -> None:
    gradients = {"generator": torch.tensor([1.0, 2.0]).double()}
    truth = exactness.Seen([{"loss": 2.0}, {"loss": 1.0}], gradients)
    later = exactness.Seen([{"loss": 2.0}, {"loss": 1.001}], gradients)
    assert exactness.exactly("a", truth, truth)["passed"]
    row = exactness.exactly("a", later, truth)
    assert not row["passed"]
    assert row["losses"] == pytest.approx([0, 1e-3])
    assert exactness.compared("a", later, truth, 1e-6, 0.999)["passed"]  # its first batch is the same
    turned = exactness.Seen(truth.losses, {"generator": torch.tensor([2.0, 1.0]).double()})
    row = exactness.compared("a", turned, truth, 1e-6, 0.999)
    assert not row["passed"]
    assert row["cosines"] == pytest.approx({"generator": 0.8})


def test_edges_that_differ_in_a_pixel_fail_their_check(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings.read(["device=cpu", "threads=1", "quick=true"])
    [sound] = exactness.edges(pictures, tmp_path, chosen)
    assert sound["passed"]
    assert sound["measured"].startswith("0 of 48 maps differ, in 0 pixels")
    canny = exactness.canny

    def bent(gray: Tensor, *more: Any) -> Tensor:
        found: Tensor = canny(gray, *more)
        found[0, 0, 20, 20] = 1 - found[0, 0, 20, 20]
        return found

    monkeypatch.setattr(exactness, "canny", bent)
    [row] = exactness.edges(pictures, tmp_path, chosen)
    assert not row["passed"]
    assert row["measured"].startswith("6 of 48 maps differ, in 6 pixels")


def test_the_distance_of_two_trainings_is_that_of_all_their_tensors() -> None:
    one = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0])}
    assert runs._distance(one, one) == 0
    assert runs._distance(one | {"b": torch.tensor([4.5])}, one) == pytest.approx(0.1)
    assert runs._distance({"a": one["a"]}, one) == float("inf")


def test_a_folder_costs_what_it_takes_beyond_a_single_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings.read(["device=cpu", "threads=1"])
    for folder, count in (("many", 5), ("single", 1)):
        (tmp_path / folder / "images").mkdir(parents=True)
        for number in range(count):
            (tmp_path / folder / "images" / f"{number}.png").touch()
    taken = iter([0.0, 3.0, 1.0])  # one photograph, five, the plain loop
    monkeypatch.setattr(folders, "_complete", lambda *_: None)
    monkeypatch.setattr(folders, "seconds", lambda *_: next(taken))
    arguments = (lambda: None, tmp_path / "many", tmp_path / "single", tmp_path, [], chosen)
    row = folders._measure(*arguments)
    assert (row["ours"]["median"], row["reference"]["median"]) == (750, 200)
    assert row["ratio"]["median"] == pytest.approx(200 / 750)
    taken = iter([3.0, 2.9, 1.0])
    with pytest.raises(ValueError, match="completing 5 photographs took no longer than completing one"):
        folders._measure(*arguments)


def test_what_is_to_be_reached_is_told_beside_what_was_measured() -> None:
    results = results_of(0.1) | {"device": "cuda"}
    [row] = results["steps"]
    results["steps"] = [
        row | {"batch": 16, "phase": phase, "ratio": {"median": times, "low": times - 0.1, "high": 2.0}}
        for phase, times in (("edge", 1.05), ("inpaint", 1.62))
    ]
    lines = reach.lines(results)
    name = "times as fast, EdgeConnect's phases in bf16"
    between = "1.05 (edgeconnect edge bf16) to 1.62 (edgeconnect inpaint bf16)"
    assert f"| {name} | at least 1.5 | {between} | 1 of 2 |" in lines
    assert any("lower quartile" in line and line.endswith("| 1 of 2 |") for line in lines)
    assert any("peak memory" in line and "at most 1 | 0.9375" in line and "2 of 2" in line for line in lines)
    assert lines[2:] == [line for line in tables.render(results, plot=None).splitlines() if line in lines[2:]]
    assert reach.lines(results_of(0.1) | {"checks": []}) == []  # nothing at that shape


@pytest.mark.endurance
def test_whole_commands_are_checked_and_folders_completed(here: Path) -> None:
    names = "checks/resuming,checks/evaluation,completion/folder/glcic/float32"
    arguments = ["quick=true", "device=cpu", "threads=1", f"width={WIDTH}", f"out={here}", "minutes=10"]
    main_module.main([f"cases=[{names}]", *arguments])
    results = json.loads((here / "cpu-quick.json").read_text())
    assert {row["name"]: row["passed"] for row in results["checks"]} == {
        "checks/resuming": True,
        "checks/evaluation": True,
    }
    told = [row["name"] for row in results["work"]] + [row["name"] for row in results["left_out"]]
    assert [name.startswith("completion/folder/glcic") for name in told] == [True]
