"""What makes a run this run: its settings, the files that it is trained on and the weights that it begins with."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from inpaintlab.data import DataModule
from inpaintlab.inpainting import Learner, chosen_file, load_checkpoint, load_weights
from inpaintlab.runs import Kinds, changes, digest, identity_of, lines_of_choice, look_at, weight_files


def trained_on(cfg: dict[str, Any], data: DataModule) -> Kinds:
    """The files that training reads: pictures and edge maps of its split, masks, and weights that settings name.

    Raises:
        ValueError: a picture or a mask is missing. Missing weights are told where they are read; of a resumed run those
            that it started from may be missing.
    """
    found = {kind: look_at(files) for kind, files in data.source.inventory("train").items()}
    found["masks"] = look_at(data.mask.files())
    weights = weight_files(cfg)
    if "init" in weights:
        with suppress(ValueError):  # without such a file: told where it is read, which a resumed run does not
            weights["init"] = chosen_file(weights["init"], cfg["which"])
    return found | {key: look_at([(key, path)], whole=True) for key, path in weights.items() if path.is_file()}


def run_record(
    cfg: dict[str, Any], run_dir: Path, before: dict[str, Any] | None, files: Kinds, console: Console
) -> dict[str, Any]:
    """What the checkpoints record of the run, after what a resumed one was trained on was held against ``files``.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.
        run_dir: the run's folder.
        before: the record in its last checkpoint; None at the beginning.
        files: see `trained_on`.
        console: told of a change that was accepted.

    Returns:
        ``settings`` (see `identity_of`), ``trained_on`` (see `digest`), and ``changed_after``: after how many batches
        other files were accepted, each time.

    Raises:
        ValueError: the files differ, and the setting ``data_changed`` does not accept it.
    """
    record = {"settings": identity_of(cfg), "trained_on": digest(files), "changed_after": []}
    if before is None:
        return record
    held = dict(before["run"]["trained_on"])
    if "init" in held and ("init" not in files or cfg["init"] == before["training"]["init"]):
        # read at the beginning alone: it may be gone, or trained further, where it lay
        files = {kind: of_kind for kind, of_kind in files.items() if kind != "init"}
        record["trained_on"] = {"init": held.pop("init"), **digest(files)}
    changed = changes(run_dir, held, files)
    accepted = list(before["run"]["changed_after"])
    if changed:
        told = f"{run_dir} was trained on other files until now: {'; '.join(changed)}."
        if cfg["data_changed"] != "accept":
            raise ValueError(
                f"{told} Put them back, give this training another name (name=...), or go on with what there is now: "
                "data_changed=accept."
            )
        console.print(f"{told} Going on with those of now.", markup=False, highlight=False)
        accepted.append(before["iterations"])
    return record | {"changed_after": accepted}


def begin_from(init: str | None, which: Any, model: Learner, console: Console) -> None:
    """Give a model the weights that its training begins with, if it does not begin with those it was drawn with.

    Args:
        init: a run's folder or a checkpoint's file.
        which: of a folder, see `chosen_file`.
        model: takes the weights.
        console: told which file of a folder is taken.

    Raises:
        ValueError: there is no such checkpoint, it does not fit, or ``which`` chooses among none.
    """
    if not init:
        if which is not None:
            raise ValueError(f"which={which} chooses among the checkpoints of a run's folder, but init names none.")
        return
    place = Path(init).expanduser()
    checkpoint = load_checkpoint(place, which)
    load_weights(model, checkpoint, init)
    taken = {"path": str(chosen_file(place, which)), "iterations": checkpoint["inpaintlab"]["iterations"]}
    for line in lines_of_choice(str(place), taken):
        console.print(f"weights: {line}", markup=False, highlight=False, soft_wrap=True)
