"""Methods by what names them: a run, a file of weights, published weights, or a choice of conf/model."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, SupportsFloat, SupportsIndex

import torch

from inpaintlab.completion import MEMORY
from inpaintlab.config import CONF
from inpaintlab.importers import import_checkpoint
from inpaintlab.inpainting import WHOLE, build_method
from inpaintlab.programs.completing import Method
from inpaintlab.programs.composing import composed, in_one_sentence, own_hydra
from inpaintlab.published import CATALOGUE, STARTERS, files_to_import, look_up
from inpaintlab.recipes import nearest, overrides
from inpaintlab.trust import trusted_by, trusting

_UNUSED = {"image": "-", "holes": "-", "out": "-"}
"""The settings of `inpaintlab complete` that have no default: files, of which a program has none."""


def load(
    what: str | Path,
    *,
    which: Literal["best", "last"] | None = None,
    label: str | None = None,
    device: str = "auto",
    precision: str | None = WHOLE,
    fit: Literal["refuse", "resize"] = "refuse",
    memory: SupportsFloat = MEMORY,
    window: SupportsIndex | Literal["auto", "whole"] = "auto",
    trust: Sequence[str] = (),
    **settings: Any,
) -> Method:
    """A method with its weights, ready to complete images.

    Args:
        what: a run's folder ("runs/NAME"), a checkpoint's file, or a name of `inpaintlab weights list`, which must have
            been fetched (starter weights are in the package).
        which: of a run's folder, "best" or "last"; None takes the best where there is one.
        label: its name; None takes that of the run or the file.
        device: "auto" takes a GPU where there is one; or "cpu", "cuda", "cuda:1".
        precision: "32-true", "bf16-mixed", or None for the faster one that the device has.
        fit: of a model of one size and hole (Context Encoder): "refuse" others, or "resize" the hole and its
            surroundings.
        memory: gigabytes that the networks may take for an image, beside weights and pictures, by an estimate; what
            takes more is completed in windows around its holes, and `Method.notes` tells of it.
        window: "auto" takes windows where they save work and give the same pixels, or where memory asks for them;
            "whole" never does; a number is how many pixels around each hole a window holds.
        trust: packages of your own whose classes the file may name.
        settings: of the model, which replace those of the checkpoint, as `+model.KEY=VALUE` on the command line; and
            ``edges="drawn"`` or another source of edges.

    Raises:
        ValueError: no such file, no checkpoint, weights that are not fetched, or a setting that is wrong.
    """
    origin = "inpaintlab.load"
    how = {"device": device, "precision": precision, "fit": fit, "memory": memory, "window": window}
    chosen = {f"+{key}": value for key, value in _of_model(settings).items()}
    if not isinstance(what, str | Path):
        raise ValueError(f"inpaintlab.load takes a run's folder, a file or a name, not a {type(what).__name__}.")
    checkpoint = str(what)
    here = Path(checkpoint).exists()
    if not here and (CONF / "model" / f"{checkpoint}.yaml").is_file():
        raise ValueError(
            f"{checkpoint} names a method and no checkpoint: give inpaintlab.method({checkpoint!r}), or a run's folder."
        )
    if not _is_published(checkpoint):
        named = {"checkpoint": checkpoint} | ({} if which is None else {"which": which})
        method = _built(named, chosen, origin, label, trust, how)
        if here:  # also from another working folder
            method.settings = {**(method.settings or {}), "checkpoint": str(Path(checkpoint).absolute())}
        return method
    entry = look_up(checkpoint)
    if entry.layout is None:
        raise ValueError(f"{checkpoint} is {entry.purpose}: no method that completes images; it has nothing to load.")
    with tempfile.TemporaryDirectory(prefix="inpaintlab-") as folder:
        file = Path(folder, f"{entry.name}.ckpt")
        with own_hydra():
            import_checkpoint(files_to_import(entry.name), entry.layout, file)
        named = {"checkpoint": str(file)} | ({} if which is None else {"which": which})
        method = _built(named, chosen, origin, label, trust, how)
    method.settings = None  # the file is gone
    return method


def method(
    name: str,
    *,
    label: str | None = None,
    device: str = "auto",
    precision: str | None = WHOLE,
    fit: Literal["refuse", "resize"] = "refuse",
    memory: SupportsFloat = MEMORY,
    window: SupportsIndex | Literal["auto", "whole"] = "auto",
    untrained: bool = False,
    weights_seed: int = 1,
    trust: Sequence[str] = (),
    **settings: Any,
) -> Method:
    """A method of conf/model by its name, such as "telea" or "patchmatch".

    Args:
        name: as in `model=NAME` on the command line.
        label: its name in tables; None takes ``name``.
        device: see `load`.
        precision: see `load`.
        fit: see `load`.
        memory: see `load`.
        window: see `load`.
        untrained: whether a method that learns may come as it was born, as a floor.
        weights_seed: from which the weights of an untrained method are drawn.
        trust: packages of your own whose classes the settings may name.
        settings: of the model, as `model.KEY=VALUE` on the command line. Text in them is text: nothing is resolved.

    Raises:
        ValueError: no such method, a setting that is wrong, or a method that learns without ``untrained``.
    """
    if not isinstance(name, str):
        raise ValueError(f"inpaintlab.method takes a name of conf/model such as 'telea', not a {type(name).__name__}.")
    how = {"device": device, "precision": precision, "fit": fit, "memory": memory, "window": window}
    born = {"untrained": untrained, "seed": weights_seed} if untrained or weights_seed != 1 else {}
    return _built({"model": name} | born, _of_model(settings), "inpaintlab.method", label, trust, how)


def _built(
    named: Mapping[str, Any],
    chosen: Mapping[str, Any],
    origin: str,
    label: str | None,
    trust: Sequence[str],
    how: Mapping[str, Any],
) -> Method:
    if not isinstance(label, str | None):
        raise ValueError(f"label is a {type(label).__name__}; give a text.")
    settings = {**named, **chosen}
    cfg = composed("complete", settings | _UNUSED, origin, overrides({"trust": list(trust)}) if trust else ())
    with (
        trusting(trusted_by(cfg)),
        in_one_sentence(),
        torch.random.fork_rng(devices=[]),
    ):  # weights are drawn on the CPU
        torch.manual_seed(cfg.seed)
        inpainter, identity = build_method(
            cfg.get("model"),
            cfg.checkpoint,
            named=cfg.hydra.runtime.choices.get("model"),
            overrides=overrides(chosen),
            label=label,
            seed=cfg.seed,
            untrained=cfg.untrained,
            which=cfg.which,
        )
    return Method(
        inpainter,
        identity["label"],
        identity=identity,
        settings=settings,
        **how,
    )


def _of_model(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a model as the command line names them: choices of its groups, such as edges, and single ones."""
    groups = {path.name for path in (CONF / "model").iterdir() if path.is_dir()}
    return {
        f"model/{key}" if key in groups and isinstance(value, str) else f"model.{key}": value
        for key, value in settings.items()
    }


def _is_published(what: str) -> bool:
    """Whether a name is that of published weights, and no path on this machine.

    Raises:
        ValueError: it is neither, but nearly the name of some.
    """
    names = [entry.name for entry in CATALOGUE]
    if Path(what).exists() or Path(what).parent != Path():
        return False
    guess = nearest(what, [*names, *(starter.name for starter in STARTERS)])
    if guess and what not in names and what not in {starter.name for starter in STARTERS}:
        raise ValueError(f"There is no file and no folder {what}, and no weights of this name.{guess}")
    return what in names
