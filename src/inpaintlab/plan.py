"""An evaluation before it runs: built and checked, and held against the results that are there already."""

import json
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from inpaintlab import blending, provenance
from inpaintlab.features import FeatureNetwork
from inpaintlab.inpainter import Inpainter
from inpaintlab.method import build_method
from inpaintlab.metrics import PerImageMetric, require_called_by_its_name, require_fitting
from inpaintlab.results import Metric, Result
from inpaintlab.scoring import Scores
from inpaintlab.set_metrics import SetMetric
from inpaintlab.testset import Manifest


@dataclass(frozen=True)
class Plan:
    """What one evaluation has to do: ``there`` are finished results of the same inputs, ``missing`` is to be scored."""

    model: Inpainter
    manifest: Manifest
    set_metrics: dict[str, SetMetric]
    there: list[Path]
    missing: list[Scores]


def planned(cfg: DictConfig) -> Plan:
    """Build the method and the metrics of ``conf/evaluate.yaml``, and see which of the wanted results are there.

    Raises:
        ValueError: a method, checkpoint, manifest or metric that cannot be had, or a finished result of other inputs
            where the wanted one belongs.
    """
    manifest = Manifest.load(Path(cfg.manifest))
    model, identity = build_method(cfg)
    metrics, set_metrics = _metrics(cfg, manifest)
    modules = {type(part).__module__ for part in (model, *metrics.values(), *set_metrics.values())}
    code = provenance.code({*modules, "inpaintlab.scoring", "inpaintlab.testset"})
    meanings = {name: metric.meaning for name, metric in metrics.items()}
    meanings |= {name: metric.meaning for name, metric in set_metrics.items()}
    there, missing = [], []
    for wanted in _wanted(cfg, identity):
        folder = Path(cfg.results, wanted["label"])
        blended = wanted["post_processing"] is not None
        raw = cfg.raw and not blended
        inputs = {"identity": wanted, "manifest": manifest.sha256, "code": code, "raw": raw}
        changed = _differences(folder, inputs, meanings, raw) if folder.exists() else []
        if changed and not cfg.overwrite:
            raise ValueError(
                f"{folder} holds a result of another {' and '.join(changed)}; give another label=... or results=..., "
                "or overwrite=true."
            )
        if folder.exists() and not changed:
            there.append(folder)
            continue
        inputs |= {"metrics": {n: asdict(m) for n, m in meanings.items()}, "versions": provenance.versions()}
        inputs, networks = json.loads(json.dumps(inputs)), networks_of(set_metrics)
        missing.append(Scores(folder, inputs, deepcopy(metrics), networks, blended=blended, raw=raw))
    return Plan(model, manifest, set_metrics, there, missing)


def networks_of(set_metrics: dict[str, SetMetric]) -> list[FeatureNetwork]:
    """The networks whose features are needed, each once."""
    return list({metric.network.name: metric.network for metric in set_metrics.values()}.values())


def _wanted(cfg: DictConfig, identity: dict[str, Any]) -> list[dict[str, Any]]:
    """The identities of the results that are asked for."""
    if not cfg.blend:
        return [identity]
    return [identity, identity | {"label": f"{identity['label']}_blended", "post_processing": blending.NAME}]


def _differences(folder: Path, inputs: dict[str, Any], metrics: dict[str, Metric], raw: bool) -> list[str]:
    """What of the inputs of a finished result is not what is asked for now."""
    result = Result.load(folder)
    changed = [key for key, value in inputs["identity"].items() if getattr(result, key) != value]
    if result.manifest["sha256"] != inputs["manifest"]:
        changed.append("manifest")
    if result.code != inputs["code"]:
        changed.append("version of the code")
    if any(result.metrics.get(name) != metric for name, metric in metrics.items()):
        changed.append("set of metrics")
    if raw and not (folder / "raw").is_dir():
        changed.append("kind (without raw=true)")
    return changed


def _metrics(cfg: DictConfig, manifest: Manifest) -> tuple[dict[str, PerImageMetric], dict[str, SetMetric]]:
    """The metrics of each image and those of whole sets, checked before any work."""
    metrics = instantiate(cfg.metrics, _convert_="all")
    of_sets = {name: metric for name, metric in metrics.items() if isinstance(metric, SetMetric)}
    of_images = {name: metric for name, metric in metrics.items() if name not in of_sets}
    require_fitting(of_images, manifest.size)
    for name, metric in of_sets.items():
        require_called_by_its_name(name, metric.name)
        metric.require()
    return of_images, of_sets
