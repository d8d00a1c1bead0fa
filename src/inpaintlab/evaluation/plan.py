"""The plan of an evaluation: everything is built and checked, and compared with existing results, before it runs."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from inpaintlab.evaluation.results import ALL, Result
from inpaintlab.evaluation.scoring import Scores
from inpaintlab.imaging import NAME as BLENDING
from inpaintlab.inpainting import WHOLE, Inpainter, build_method, completing_precision, extents
from inpaintlab.machine import code_sha256, versions
from inpaintlab.metrics import (
    LPIPS,
    EdgeMetric,
    FeatureNetwork,
    MAERelativeGray,
    Meaning,
    PerImageMetric,
    SetMetric,
    require_called_by_its_name,
    require_fitting,
)
from inpaintlab.runs import NAME_RULE, is_name
from inpaintlab.shapes import height_width, in_pixels
from inpaintlab.testsets import Manifest, ManifestDataset, picture_names
from inpaintlab.trust import modules_of

LABEL_RULE = f"a label is {NAME_RULE}"

_LONGEST_PATH = 4096  # bytes with the one at its end, on Linux; more than on other systems

_LONGEST_KIND = 40  # bytes of the name of a method's inner pictures


_SCORING = {part.__module__ for part in (Scores, MAERelativeGray, EdgeMetric, SetMetric, LPIPS)}
"""The modules that compute scores from pictures; tables report where their versions differ between methods."""


@dataclass(frozen=True)
class Plan:
    """The work of one evaluation.

    Args:
        model: the method, with its weights.
        manifest: the test set.
        set_metrics: metrics of whole sets, by name.
        precision: in which the networks compute, as Lightning names it.
        compiled: whether the networks are compiled.
        finished: folders of results that exist already and are of the same inputs.
        missing: the results that are yet to be scored.
        is_finished: whether one of ``missing`` has been finished meanwhile, by another evaluation.
        checkpoint: the origin of the weights, see `build_method`; None without a checkpoint.
    """

    model: Inpainter
    manifest: Manifest
    set_metrics: dict[str, SetMetric]
    precision: str
    compiled: bool
    finished: list[Path]
    missing: list[Scores]
    is_finished: Callable[[Scores], bool]
    checkpoint: dict[str, Any] | None = None

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Lock the missing results against other evaluations, and look again which of them are missing.

        Another evaluation may have finished one since the plan was made. All processes of this one must see the same
        results as missing, or some would wait for ever for others that have nothing to do; so the first one does this
        before it starts them.

        Raises:
            ValueError: another evaluation writes one of these results.
        """
        reserved = list(self.missing)
        try:
            for scores in reserved:
                scores.reserve()
                if self.is_finished(scores):
                    scores.release()
                    self.missing.remove(scores)
                    self.finished.append(scores.folder)
            yield
        finally:
            for scores in reserved:
                scores.release()


def plan_evaluation(cfg: DictConfig, named: str | None, overrides: Sequence[str]) -> Plan:
    """Build the method and the metrics, and find which of the wanted results exist already.

    Args:
        cfg: the settings of ``inpaintlab evaluate``.
        named: the chosen file of conf/model, see `build_method`.
        overrides: the settings on the command line.

    Raises:
        ValueError: a method, checkpoint, manifest or metric cannot be built; the label cannot name a folder; or the
            result's folder holds a damaged result or one of other inputs.
    """
    manifest = Manifest.load(Path(cfg.manifest))
    model, identity, precision, compiled = _method(cfg, named, overrides)
    if resized := _resized(model, identity["label"], cfg, manifest):
        of = f"resize ({resized} of {len(manifest.items)} images)"
        identity["switches"] = {**identity["switches"], "fit": of}
    _require_edge_maps(model, cfg, manifest)
    metrics, set_metrics = _metrics(cfg, manifest)
    meanings = {name: metric.meaning for name, metric in (metrics | set_metrics).items()}
    of_method = (model, *model.sources)
    parts = {type(part) for part in (*of_method, *metrics.values(), *set_metrics.values())} | {Scores, Manifest}
    common = {
        "manifest": manifest.sha256,
        "code": code_sha256({part.__module__ for part in parts} | modules_of(model.recipe)),
        "metrics": {name: asdict(meaning) for name, meaning in meanings.items()},
        "versions": versions() | {"scoring code": code_sha256(_SCORING)[:12]},
    }
    pictures = picture_names(item.name for item in manifest.items)

    def is_finished(scores: Scores) -> bool:
        if scores.was_interrupted() and rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # Lightning sets it
            scores.reserve()  # which tidies up
            scores.release()
        return _is_finished(scores.folder, scores.inputs, meanings, cfg.resamples, overwrite=cfg.overwrite)

    finished, missing = [], []
    for wanted in _wanted(cfg, identity):
        if not is_name(wanted["label"]):
            raise ValueError(f"label={wanted['label']} cannot name a result: {LABEL_RULE}; give another label=...")
        folder = Path(cfg.results, wanted["label"])
        blended = wanted["post_processing"] is not None
        raw = cfg.raw and not blended
        inputs = json.loads(json.dumps({"identity": deciding(wanted), "raw": raw, **common}))
        networks = networks_of(set_metrics)
        scores = Scores(folder, wanted, inputs, pictures, deepcopy(metrics), networks, blended=blended, raw=raw)
        if is_finished(scores):
            finished.append(folder)
            continue
        _require_room(folder, pictures.values())
        missing.append(scores)
    origin = identity["checkpoint"]
    return Plan(model, manifest, set_metrics, precision, compiled, finished, missing, is_finished, origin)


def _method(
    cfg: DictConfig, named: str | None, overrides: Sequence[str]
) -> tuple[Inpainter, dict[str, Any], str, bool]:
    """The method, its identity in results, the precision of its networks, and whether they are compiled."""
    model, identity = build_method(
        cfg.get("model"),
        cfg.checkpoint,
        named=named,
        overrides=overrides,
        label=cfg.label,
        seed=cfg.seed,
        untrained=cfg.untrained,
        which=cfg.which,
    )
    precision, compiled = _kernels(cfg, model)
    if precision != WHOLE:
        identity["switches"] = {**identity["switches"], "precision": precision}
    if compiled:
        identity["switches"] = {**identity["switches"], "compile": True}
    return model, identity, precision, compiled


def _kernels(cfg: DictConfig, model: Inpainter) -> tuple[str, bool]:
    """The precision of the networks, and whether they are compiled.

    Both settings are ignored for a classical method, which has no network: a study may set them for all its methods.

    Raises:
        ValueError: a precision in which images cannot be completed.
    """
    precision = completing_precision(cfg.trainer.get("precision", WHOLE), cfg.trainer.accelerator)
    return (precision, bool(cfg.compile)) if model.generators() else (WHOLE, False)


def _resized(model: Inpainter, label: str, cfg: DictConfig, manifest: Manifest) -> int:
    """How many images are resized to what the model takes, where that is one size and hole.

    Raises:
        ValueError: some would be, and ``fit`` is not 'resize'.
    """
    if (made_for := model.made_for) is None:
        return 0
    if made_for.misfits(size := height_width(manifest.size)):
        misfits, first = len(manifest.items), f"all are {in_pixels(size)} pixels"
    else:
        pairs = ManifestDataset(manifest, cfg.root, cfg.mask_root)
        found = ((item.name, made_for.misfit(extents(pairs.mask(item)[None])[0])) for item in manifest.items)
        faults = [(name, fault) for name, fault in found if fault]
        misfits, first = len(faults), f"'{faults[0][0]}' {faults[0][1]}" if faults else ""
    if misfits and cfg.fit != "resize":
        raise ValueError(
            f"{label} completes images of {made_for}; {misfits} of {len(manifest.items)} images of {cfg.manifest} are "
            f"others ({first}): give another manifest, or fit=resize, which resizes them and says so in the result."
        )
    return misfits


def _require_edge_maps(model: Inpainter, cfg: DictConfig, manifest: Manifest) -> None:
    """Raise a ValueError if the model reads edge maps from files and an image has none in the manifest."""
    without = [item.image for item in manifest.items if item.edges_sha256 is None] if model.reads_edges else []
    if without:
        raise ValueError(
            f"The method reads an edge map for each image, and {cfg.manifest} has none of '{without[0]}'; freeze the "
            "test set with data.source.edges=DIR, or give another model/edges=..."
        )


def _require_room(folder: Path, pictures: Iterable[str]) -> None:
    """Raise a ValueError if the system takes no path as long as a picture's in this folder."""
    longest = max((len(os.fsencode(picture)) for picture in pictures), default=0)
    inside = len(os.fsencode(folder.absolute())) + len(".partial/inside//") + _LONGEST_KIND + longest
    if inside >= _LONGEST_PATH:
        raise ValueError(
            f"{folder} is too deep: its pictures' paths would have {inside} bytes, and the system takes "
            f"{_LONGEST_PATH - 1}; give another results=... or a shorter label=..."
        )


def networks_of(set_metrics: dict[str, SetMetric]) -> list[FeatureNetwork]:
    """The feature networks of these metrics, each once."""
    return list({metric.network.name: metric.network for metric in set_metrics.values()}.values())


def _wanted(cfg: DictConfig, identity: dict[str, Any]) -> list[dict[str, Any]]:
    """The identities of the wanted results: the completed images, and with ``blend`` the blended ones too."""
    if not cfg.blend:
        return [identity]
    return [identity, identity | {"label": f"{identity['label']}_blended", "post_processing": BLENDING}]


def deciding(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity without what changes no score: a checkpoint counts by its hash, not by its path."""
    return identity | {"checkpoint": identity["checkpoint"] and identity["checkpoint"]["sha256"]}


def _is_finished(
    folder: Path, inputs: dict[str, Any], metrics: dict[str, Meaning], resamples: int, *, overwrite: bool
) -> bool:
    """Whether a folder holds the complete result of these inputs.

    Raises:
        ValueError: it holds a damaged result or one of other inputs and ``overwrite`` is not set, or other files.
    """
    if not folder.exists():
        return False
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "result.json").exists()):
        raise ValueError(f"{folder} is there already and is no result: give another label=... or results=...")
    try:
        changed = _differences(Result.load(folder), inputs, metrics, resamples)
    except ValueError as error:
        if overwrite:
            return False
        raise ValueError(f"{folder} is in the way and no whole result; overwrite=true replaces it ({error})") from error
    if changed and not overwrite:
        raise ValueError(
            f"{folder} holds a result of another {' and '.join(changed)}; give another label=... or results=..., "
            "or overwrite=true."
        )
    return not changed


def _differences(result: Result, inputs: dict[str, Any], metrics: dict[str, Meaning], resamples: int) -> list[str]:
    """The inputs of a finished result that differ from the wanted ones.

    Raises:
        ValueError: a picture is missing.
    """
    found = deciding({key: getattr(result, key) for key in inputs["identity"]})
    changed = [key for key, value in inputs["identity"].items() if found[key] != value]
    if result.manifest["sha256"] != inputs["manifest"]:
        changed.append("manifest")
    if result.code != inputs["code"]:
        changed.append("version of the code")
    if any(result.metrics.get(name) != metric for name, metric in metrics.items()):
        changed.append("set of metrics")
    if inputs["raw"] and not (result.folder / "raw").is_dir():
        changed.append("kind (without raw=true)")
    of_sets = [name for name, metric in metrics.items() if metric.of_set and not changed]
    made = max((len(draws) for name in of_sets for draws in result.replicates.get(name, {}).values()), default=0)
    photographs = result.per_image["image"].n_unique()  # a single one is not resampled
    if made < resamples and photographs > 1 and any(result.means[ALL][name] is not None for name in of_sets):
        changed.append(f"number of resamples ({made})")
    pictures = {path.name for path in (result.folder / "completed").glob("*.png")}
    if lost := [name for name in result.per_image["name"] if result.pictures[name] not in pictures]:
        raise ValueError(f"{result.picture(lost[0])} is missing.")
    return changed


def _metrics(cfg: DictConfig, manifest: Manifest) -> tuple[dict[str, PerImageMetric], dict[str, SetMetric]]:
    """The metrics of single images and those of whole sets, checked before any work."""
    metrics = instantiate(cfg.metrics, _convert_="all")
    of_sets = {name: metric for name, metric in metrics.items() if isinstance(metric, SetMetric)}
    of_images = {name: metric for name, metric in metrics.items() if name not in of_sets}
    require_fitting(of_images, manifest.size)
    for name, metric in of_sets.items():
        require_called_by_its_name(name, metric.name)
        metric.require()
    return of_images, of_sets
