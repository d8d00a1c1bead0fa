"""Files of ours that somebody has edited or a disk has damaged: a sound answer or one sentence, never a traceback."""

import contextlib
import copy
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from inpaintlab.comparison import check, costs_csv, costs_notes, seed_groups, table_markdown, tabulate
from inpaintlab.data.shard_lists import parse_index, parse_list
from inpaintlab.evaluation import Result, Study
from inpaintlab.evaluation.record import write_record
from inpaintlab.inpainting.checkpoints import load_checkpoint, rebuild, require_resumable
from inpaintlab.runs import Progress, changes, digest, require_same_settings, state_of
from inpaintlab.runs.trained_on import Entry
from inpaintlab.survival.resuming import starting_point
from inpaintlab.sweeps import SweepFolder, overview
from inpaintlab.testsets import Manifest
from stand_ins.results import rewrite, write_result

VALUES: tuple[Any, ...] = (None, "x", "1", True, -1, 0.5, 10**400, float("nan"), [], {})

FEWER: tuple[Any, ...] = (None, "x", True, -1, [], {})
"""For files that take milliseconds."""


def edits(content: Any, values: Sequence[Any] = VALUES) -> Iterator[tuple[str, Any]]:
    """Each way to take away or replace one value of nested dicts and lists; of a list, its first two."""
    places: list[tuple[tuple[Any, ...], Any]] = []

    def collect(value: Any, place: tuple[Any, ...]) -> None:
        inner = list(value.items()) if isinstance(value, dict) else list(enumerate(value[:2]))
        for key, entry in inner:
            places.append(((*place, key), entry))
            if isinstance(entry, (dict, list)):
                collect(entry, (*place, key))

    collect(content, ())
    for place, old in places:
        for new in ("delete", "add", *values):
            if type(new) is type(old) and new == old:
                continue
            changed = copy.deepcopy(content)
            inner = changed
            for key in place[:-1]:
                inner = inner[key]
            if new == "delete":
                del inner[place[-1]]
            elif new == "add":
                if not isinstance(old, dict):
                    continue
                inner[place[-1]]["added"] = 1
            else:
                inner[place[-1]] = copy.deepcopy(new)
            yield f"{'.'.join(map(str, place))} = {new!r}"[:80], changed


def accepted(
    content: Any, write: Callable[[Any], Any], read: Callable[[], Any], name: str, values: Sequence[Any] = VALUES
) -> set[str]:
    """The edits that a reader takes; every other one must end in one sentence that names the file."""
    write(content)
    read()
    taken, wrong = set(), []
    for edit, changed in edits(content, values):
        write(changed)
        try:
            read()
            taken.add(edit)
        except ValueError as error:
            sentence = str(error)
            if not (sentence.isprintable() and name in sentence and 20 < len(sentence) < 1000):
                wrong.append(f"{edit}: {sentence!r}")
        except Exception as error:
            wrong.append(f"{edit}: {type(error).__name__}: {error}")
    assert not wrong, f"{len(wrong)} of them:\n" + "\n".join(wrong[:20])
    return taken


def at(path: Path) -> Callable[[Any], Any]:
    return lambda content: path.write_text(json.dumps(content))


def test_the_progress_of_a_run(tmp_path: Path) -> None:
    Progress(2, 4, "val/psnr_rgb", True, [(1, 20.0), (2, None)], 3.5).save(tmp_path)
    path = tmp_path / "progress.json"

    def read() -> None:
        progress = Progress.load(tmp_path)
        assert progress is not None
        assert progress.best is None or abs(progress.best) < 1e9
        state_of(tmp_path)

    taken = accepted(json.loads(path.read_text()), at(path), read, "progress.json")
    assert {edit for edit in taken if edit.startswith(("iterations", "higher", "monitor"))} == {
        *(f"monitor = {text!r}" for text in ("x", "1")),
    }


def test_the_record_of_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    content = {"fixed": ["model=glcic"], "jobs": {"seed-1": ["seed=1", "model=glcic"], "seed-2": ["seed=2"]}}
    taken = accepted(content, at(path), lambda: overview(SweepFolder.load(tmp_path)), "sweep.json")
    assert {edit for edit in taken if edit.endswith(("None", "True", "{}", "-1"))} == {"jobs = {}"}


@pytest.mark.parametrize("name", ["../up", "/tmp/a", "", ".", "..", "a\nb"])
def test_a_sweep_names_no_folder_elsewhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps({"fixed": [], "jobs": {name: []}}))
    with pytest.raises(ValueError, match=r"sweep\.json: jobs has the name .*, which cannot be a folder's"):
        SweepFolder.load(tmp_path)


def test_what_a_resumed_run_is_held_against(tmp_path: Path) -> None:
    settings = {"seed": 1, "data": {"size": 32}, "model": {"schedule": {"phases": {"a": {"batches": 5, "rate": 0.1}}}}}
    files = {"pictures": {"a": Entry(300, "ab")}}
    content = {"settings": settings, "trained_on": digest(files), "changed_after": [2]}

    def write(run: Any) -> None:
        torch.save(of_lightning() | {"inpaintlab": record(run=run)}, tmp_path / "last.ckpt")

    def read() -> None:
        before = starting_point(tmp_path)
        assert before is not None
        require_same_settings(tmp_path, before["run"]["settings"], settings)
        changes(tmp_path, before["run"]["trained_on"], files)

    taken = accepted(content, write, read, str(tmp_path), FEWER)
    free = ("settings.model.schedule.phases.a.batches", "trained_on", "changed_after")
    assert {edit for edit in taken if not edit.startswith(free)} <= {"settings.seed = True"}
    assert not {edit for edit in taken if edit.startswith(free[1:]) and edit.endswith(("'x'", "True", "-1"))}


def test_a_manifest(tmp_path: Path) -> None:
    sound = Manifest.create(
        source={"_target_": "inpaintlab.data.Toy", "count": 2, "size": 16},
        crop={"_target_": "inpaintlab.data.CentreSquare", "size": 16},
        bins={"block": {"_target_": "inpaintlab.masks.Center", "fraction": 0.25}},
        split="test",
        size=16,
        seed=3,
    )
    sound.save(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    taken = accepted(content, at(tmp_path / "a.json"), lambda: Manifest.load(tmp_path / "a.json"), "a.json")
    assert {edit.partition(" ")[0].partition(".")[0] for edit in taken} == {"source", "bins", "split", "seed"}

    def sealed(changed: Any) -> None:
        """Write it with a hash that fits, as somebody would who means harm."""
        (tmp_path / "a.json").write_text(json.dumps(changed))
        try:
            Manifest.load(tmp_path / "a.json")
        except ValueError as error:
            if "does not match its hash" in str(error):
                items = [{key: value for key, value in item.items() if value is not None} for item in changed["items"]]
                hashed = asdict(sound) | changed | {"items": items}
                at(tmp_path / "a.json")(changed | {"sha256": _sha256(hashed)})

    def _sha256(changed: Any) -> str:
        text = json.dumps({key: changed[key] for key in ("size", "crop", "items")}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    taken = accepted(content, sealed, lambda: Manifest.load(tmp_path / "a.json"), "a.json")
    assert not {edit for edit in taken if edit.startswith("items") and edit.endswith(("None", "True", "-1", "{}"))} - {
        *(f"items.{number}.mask_file{of} = None" for number in (0, 1) for of in ("", "_sha256"))
    }


def entry() -> dict[str, Any]:
    return {"name": "a", "offset": 512, "bytes": 9, "sha256": "0" * 64}


def test_the_lists_of_shards() -> None:
    shard = {"file": "train-0.tar", "pictures": 1, "bytes": 9, "sha256": "0" * 64, "index_sha256": "1" * 64}
    kept: dict[str, bytes] = {}

    def write(content: Any) -> None:
        kept["bytes"] = json.dumps(content).encode()

    listed = {"format": 1, "splits": {"train": [shard], "val": []}}
    taken = accepted(listed, write, lambda: parse_list(kept["bytes"], "shards.json"), "shards.json")
    assert not {edit for edit in taken if edit.startswith("splits.train.0.") and edit.endswith(("None", "'x'", "-1"))}
    index = {"format": 1, "file": "train-0.tar", "bytes": 9, "sha256": "0" * 64, "origin": "1" * 64}
    index |= {"skipped": [{"name": "b", "reason": "it is cut off"}], "items": [entry(), entry() | {"edges_bytes": 2}]}
    taken = accepted(index, write, lambda: parse_index(kept["bytes"], "train-0.json"), "train-0.json")
    assert not {edit for edit in taken if edit.startswith("items.0.") and edit.endswith(("None", "True", "-1"))}


def record(**changes: Any) -> dict[str, Any]:
    """The record of a checkpoint of a method that is built at once."""
    training = {"data": {}, "mask": {"_target_": "inpaintlab.masks.Center"}, "seed": 1, "precision": "32-true"}
    facts = {"format": 1, "model": {"_target_": "inpaintlab.models.MeanColour"}, "iterations": 3, "images_seen": 6}
    facts["imported"] = {"layout": "edgeconnect", "files": [{"name": "a.pth", "sha256": "0" * 64}]}
    files = {"pictures": {"files": 2, "bytes": 300, "sha256": "0" * 64}}
    facts["run"] = {"settings": {"seed": 1}, "trained_on": files, "changed_after": [2]}
    return facts | {"training": training, "average": None, "processes": 1} | changes


def of_lightning() -> dict[str, Any]:
    progress = {"total": {"ready": 3}, "current": {"ready": 3}, "is_last_batch": True}
    return {
        "epoch": 0,
        "global_step": 3,
        "pytorch-lightning_version": "2.6.0",
        "state_dict": {"schedule._extra_state": {"iteration": 3}},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_loop.batch_progress": progress}},
        "callbacks": {"Checkpoints": {"best": {"infinite": 1, "mean": 20.0}}},
        "optimizer_states": [],
        "lr_schedulers": [],
        "inpaintlab": record(),
    }


def test_the_record_of_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"

    def read() -> None:
        checkpoint = load_checkpoint(path)
        require_resumable(checkpoint, path)

    taken = accepted(of_lightning(), lambda content: torch.save(content, path), read, "last.ckpt", FEWER)
    telling = ("inpaintlab.iterations", "inpaintlab.model =", "inpaintlab.training.seed", "inpaintlab.processes")
    for edit in taken:
        assert not (edit.startswith(telling) and edit.endswith(("'x'", "True", "[]", "0.5"))), edit

    def write(content: Any) -> None:
        torch.save({"state_dict": {}, "inpaintlab": content}, path)

    accepted(record(), write, lambda: rebuild(path), "last.ckpt", FEWER)


OLD = {
    "of Lightning 1": (of_lightning() | {"pytorch-lightning_version": "1.9.5"}, "written by Lightning 1.9.5"),
    "without loops": ({key: value for key, value in of_lightning().items() if key != "loops"}, "has no loops"),
    "without optimizers": (of_lightning() | {"optimizer_states": None}, "has no optimizer_states"),
    "of other batches": (of_lightning() | {"inpaintlab": record(iterations=4)}, "contradicts itself about the batches"),
    "an imported one": ({"state_dict": {}, "inpaintlab": record(training=None)}, "has no loops"),
    "of another project": (
        {"state_dict": {}, "pytorch-lightning_version": "1.5.0", "hyper_parameters": {}},
        "one that another project trained with Lightning 1.5.0; a training run writes one as last.ckpt",
    ),
    "bare weights": ({"conv.weight": torch.ones(1)}, "but the weights of a network alone; a training run writes"),
    "a tensor": (torch.ones(1), "is not a checkpoint of inpaintlab; a training run"),
    "a pickled class": ({"hyper_parameters": Path("x")}, "holds more than tensors and plain values; a training run"),
}


@pytest.mark.parametrize(("content", "sentence"), OLD.values(), ids=OLD.keys())
def test_an_old_or_foreign_checkpoint_is_told_as_what_it_is(tmp_path: Path, content: Any, sentence: str) -> None:
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt") as error:
        require_resumable(load_checkpoint(tmp_path), tmp_path / "last.ckpt")
    assert sentence in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "last.ckpt"))


def test_a_run_is_told_which_checkpoint_it_can_go_on_from(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "inpaintlab": record(iterations=None)}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt \(readable\)\. To begin anew, delete the folder"):
        starting_point(tmp_path)
    torch.save(of_lightning(), tmp_path / "best.ckpt")
    with pytest.raises(ValueError, match=r"To go on from best\.ckpt, copy it to last\.ckpt; to begin anew"):
        starting_point(tmp_path)
    torch.save(of_lightning(), tmp_path / "last.ckpt")
    assert starting_point(tmp_path) == record() | {"validated": None}


def test_a_pickle_of_torch_before_zip_files_is_told_as_one(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "last.ckpt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"last\.ckpt is a pickle, .* `inpaintlab weights import` makes one"):
        load_checkpoint(tmp_path)


def test_a_study(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    content = {
        "manifest": "a.json",
        "results": "results",
        "evaluate": {"batch_size": 2, "trainer": "cpu"},
        "methods": {"telea": {"model": "telea"}, "ours": {"checkpoint": "runs/a", "model.radius": 2}},
        "compare": {"pictures": 2, "published": ["edgeconnect_table1"]},
    }

    def read() -> None:
        study = Study.load(path)
        for label in study.methods:
            study.of_method(label)

    taken = accepted(content, lambda changed: path.write_text(yaml.safe_dump(changed)), read, "study.yaml")
    # settings have their own checks where they are composed; what says which methods there are is checked here
    assert {edit for edit in taken if edit.startswith(("manifest", "results"))} == {
        *("manifest = '1'", "manifest = 'x'", "results = '1'", "results = 'x'"),
        *("results = 'delete'", "results = None"),
    }
    named = ("methods.ours.checkpoint", "methods.telea.model")
    assert {edit for edit in taken if edit.startswith(named)} == {
        f"{key} = '{value}'" for key in named for value in "1x"
    }
    assert {edit for edit in taken if re.match(r"(methods|compare|evaluate) ", edit)} == {
        *("compare = 'add'", "compare = 'delete'", "compare = None", "compare = {}"),
        *("evaluate = 'add'", "evaluate = 'delete'", "evaluate = None", "evaluate = {}"),
    }


# --- results ---------------------------------------------------------------------------------------------------------

PSNR = [20.0, 21.0, 14.0, 20.0, 20.0, 20.0]


@pytest.fixture
def result(tmp_path: Path) -> Path:
    training = {"seed": 1, "size": 32, "data": {"_target_": "inpaintlab.data.Toy"}, "mask": {}}
    imported = {"layout": "edgeconnect", "files": [{"name": "a.pth", "sha256": "0" * 64}]}
    weights = {"iterations": 1200, "images_seen": 19200, "imported": imported, "training": training}
    return write_result(tmp_path / "ours", PSNR, checkpoint=weights)


def test_every_edit_of_a_result_is_noticed(result: Path) -> None:
    path = result / "result.json"
    content = json.loads(path.read_text())
    assert accepted(content, at(path), lambda: Result.load(result), str(result), ("x", 7, None)) == set()


def test_an_edited_result_whose_hashes_fit_makes_a_table_or_a_sentence(result: Path, tmp_path: Path) -> None:
    content = json.loads((result / "result.json").read_text())
    other = Result.load(write_result(tmp_path / "other", PSNR))

    def sealed(changed: Any) -> None:
        try:
            write_record(result, {key: value for key, value in changed.items() if key != "files"})
        except ValueError:  # no JSON at all
            at(result / "result.json")(changed)

    def read() -> None:
        read = [Result.load(result), other]
        check(read)
        seed_groups(read)
        assert costs_csv(read) + "".join(costs_notes(read))
        for each in read:
            assert each.means["all"].get("psnr_rgb") in (None, sum(PSNR) / 6)

    taken = accepted(content, sealed, read, "", FEWER)
    telling = ("oracle", "trained", "manifest", "means", "cost.batch_size", "metrics.mae.higher_is_better")
    for edit in taken:
        assert not (edit.startswith(telling) and edit.endswith(("'x'", "[]"))), edit
    rewrite(result, **content)
    assert table_markdown(tabulate([Result.load(result), other]))


def test_every_flipped_bit_of_the_scores_is_noticed(result: Path) -> None:
    path = result / "per_image.parquet"
    sound = path.read_bytes()
    for number in range(0, 8 * len(sound), 307):
        harmed = bytearray(sound)
        harmed[number // 8] ^= 1 << number % 8
        path.write_bytes(harmed)
        with pytest.raises(ValueError, match=r"per_image\.parquet was changed after it was written"):
            Result.load(result)


def test_a_flipped_bit_in_a_result_changes_nothing_that_is_read(result: Path) -> None:
    path = result / "result.json"
    sound, facts = path.read_bytes(), json.loads(path.read_text())
    for number in range(0, 8 * len(sound), 211):
        harmed = bytearray(sound)
        harmed[number // 8] ^= 1 << number % 8
        path.write_bytes(harmed)
        with contextlib.suppress(ValueError):
            Result.load(result)
            assert json.loads(harmed) == facts  # the flip made a blank of another one


TABLES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "no name": lambda table: table.drop("name"),
    "no score": lambda table: table.drop("psnr_rgb"),
    "no hash of pictures": lambda table: table.drop("picture_sha256"),
    "scores as text": lambda table: table.cast({"psnr_rgb": pl.String}),
    "scores as lists": lambda table: table.with_columns(psnr_rgb=pl.concat_list("psnr_rgb")),
    "scores as whole numbers": lambda table: table.cast({"psnr_rgb": pl.Int64}),
    "a missing score": lambda table: table.with_columns(mae=pl.when(pl.col("mae") > 0.5).then(None).otherwise("mae")),
    "names as numbers": lambda table: table.with_columns(name=pl.int_range(6)),
    "bins as categories": lambda table: table.cast({"bin": pl.Categorical}),
    "a ratio as text": lambda table: table.cast({"hole_ratio": pl.String}),
    "no rows": lambda table: table.clear(),
    "fewer rows": lambda table: table.head(5),
    "more rows": lambda table: pl.concat([table, table]),
    "no columns": lambda table: pl.DataFrame(),
    "others' scores": lambda table: table.with_columns(pl.col("psnr_rgb") + 1),
    "a bin called all": lambda table: table.with_columns(bin=pl.lit("all")),
}


@pytest.mark.parametrize("change", TABLES.values(), ids=TABLES.keys())
def test_another_table_is_refused_also_where_its_hash_fits(
    result: Path, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    path = result / "per_image.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    rewrite(result)
    with pytest.raises(ValueError, match=f'{result}|A mask bin is called "all"') as error:
        Result.load(result)
    assert str(error.value).isprintable()


def test_a_table_that_polars_panics_on_is_a_sentence(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object) -> None:
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr(pl, "read_parquet", panic)
    with pytest.raises(ValueError, match=r"per_image\.parquet cannot be read \(called .*\); evaluate it again"):
        Result.load(result)


def test_a_manifest_beside_the_scores_is_the_one_that_was_evaluated(result: Path) -> None:
    (result / "manifest.json").write_text("{}")
    rewrite(result)
    Result.load(result)
    (result / "manifest.json").write_text("{ }")
    with pytest.raises(ValueError, match=r"manifest\.json was changed after it was written"):
        Result.load(result)
    (result / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"manifest\.json is missing; evaluate it again with overwrite=true"):
        Result.load(result)
