"""Many kills at random moments: ``make test-slow``."""

import collections
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inpaintlab.runs import Progress
from stand_ins.commands import PHASES, checkpoint, environment, same_weights, tiny

KILLS = 14  # of each run
BATCHES = 48
PARALLEL = ["trainer.devices=2", "trainer.strategy=ddp_fork_find_unused_parameters_true"]
STEPS = ["accumulate=2", "average=0.9", "clip_gradients=0.5"]


@pytest.mark.endurance
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("model", PHASES)
def test_a_run_killed_again_and_again_ends_bit_for_bit_like_an_unbroken_one(
    tmp_path: Path, record_property: Any, capsys: pytest.CaptureFixture[str], model: str, processes: int
) -> None:
    settings = [*tiny(model, BATCHES // len(PHASES[model])), *STEPS, *(PARALLEL if processes == 2 else [])]
    settings += ["every.checkpoint=2", "every.validation=4", "every.panel=16", "data.batch_size=3", "data.workers=0"]
    seed = 10 * processes + len(model)
    plan = {"settings": settings, "kills": KILLS, "batches": BATCHES, "accumulate": 2, "seed": seed}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parents[1] / "stand_ins/killed.py"), str(tmp_path), json.dumps(plan)],
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
    )
    output = tmp_path / "output.txt"
    assert done.returncode == 0, done.stderr + (output.read_text()[-3000:] if output.is_file() else "")
    hits = json.loads(done.stdout.splitlines()[-1])
    assert len(hits) == KILLS

    broken, unbroken = tmp_path / "runs/broken", tmp_path / "runs/unbroken"
    for name in ("last.ckpt", "best.ckpt"):
        first, second = checkpoint(broken, name), checkpoint(unbroken, name)
        assert first["inpaintlab"] == second["inpaintlab"]
        assert same_weights(first, second)
        assert same_values(first["optimizer_states"], second["optimizer_states"])
    assert checkpoint(broken)["inpaintlab"]["iterations"] == BATCHES
    whole, parts = Progress.load(unbroken), Progress.load(broken)
    assert whole is not None
    assert parts is not None
    assert [at for at, _ in whole.validations] == list(range(4, BATCHES + 1, 4))
    assert parts.validations == whole.validations
    assert not list(broken.rglob("*.partial"))

    report = ", ".join(f"{hit['stage']} {hit['batch']}" for hit in hits)
    counts = collections.Counter(hit["stage"] for hit in hits)
    with capsys.disabled():
        print(f"\n{model}, {processes} process(es): {KILLS} kills {dict(counts)}: {report}")
    record_property("kills", report)


def same_values(one: Any, other: Any) -> bool:
    """Whether two states hold the same, bit for bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_values(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same_values(*pair) for pair in zip(one, other, strict=True))
    return bool((one == other).all()) if hasattr(one, "shape") else one == other
