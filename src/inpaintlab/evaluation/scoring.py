"""What an evaluation keeps of each image, in parts that outlive a kill, and the result folder that they become.

A result in the making is a folder LABEL.partial beside the one that it will be:

    inputs.json     what the parts were made of
    parts/*.parquet some rows each: the item's position in the manifest, its scores, its features; written whole
    completed/      pictures, each there before the part that holds its row

Every process of an evaluation writes parts of its own items, so nothing is gathered between processes. A lock keeps
every other evaluation out; it goes with the processes, however they end. While a result replaces another one, that one
lies in .LABEL.before.
"""

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import torch
from jaxtyping import Float

from inpaintlab.evaluation.results import FORMAT, means_by_bin
from inpaintlab.imaging import blend
from inpaintlab.machine import Lock, whole, write_json
from inpaintlab.metrics import FeatureNetwork, Meaning, PerImageMetric, score
from inpaintlab.shapes import Images
from inpaintlab.testsets import Manifest, picture_name

POSITION = "position"


ROWS_A_PART = 256


_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class Scores:
    """Scores and pictures of one kind of result: the completed images, or with ``blended`` these after blending.

    Scores are of the pictures as they are stored, rounded to 8 bits, so that anyone can take them again from the files.

    Args:
        folder: the result folder that is to be.
        identity: what the result says of the method.
        inputs: all that decides the scores, as plain JSON; parts of other inputs are dropped.
        metrics: of each image, by name.
        networks: whose features of the completed images are kept, for metrics of whole sets.
        blended: score the images after GLCIC's post-processing.
        raw: score the raw output too, as ``<metric>_raw``, and keep its pictures and what the method drew on its way.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        inputs: dict[str, Any],
        metrics: Mapping[str, PerImageMetric],
        networks: Sequence[FeatureNetwork] = (),
        *,
        blended: bool = False,
        raw: bool = False,
    ) -> None:
        self.folder = folder
        self.partial = folder.with_name(folder.name + ".partial")
        self.identity = identity
        self.inputs = inputs
        self.metrics = metrics
        self.networks = networks
        self.blended = blended
        self.raw = raw
        self.rows: list[dict[str, Any]] = []
        self._lock = Lock(folder.with_name(f".{folder.name}.lock"))

    def prepare(self) -> str:
        """Make the partial folder, or take up one of the same inputs; return what there is to say of it, or "".

        Only the first process calls this, before the others `join`. Parts that cannot be read are dropped.
        """
        begun = self.partial.exists()
        if not begun or self._begun() != self.inputs:
            if begun:
                shutil.rmtree(self.partial)
            for name in ("completed", "parts"):
                (self.partial / name).mkdir(parents=True)
            write_json(self.partial / "inputs.json", self.inputs)
            told = f"begun anew, because {self.partial.name} was of other inputs" if begun else ""
        else:
            self._drop_damaged()
            done = len(self.done())
            told = f"going on after {done} images that are done" if done else ""
        self._take_lock(alone=False)
        return told

    def reserve(self) -> None:
        """Keep other evaluations out; the first process does so before it starts others.

        Raises:
            ValueError: another evaluation writes this result.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._take_lock(alone=True)

    def join(self) -> None:
        """Keep other evaluations out while this process writes, once the first one has prepared the folder."""
        self._take_lock(alone=False)

    def done(self) -> set[int]:
        """Positions of the items that are scored and stored."""
        return {position for part in self._parts([POSITION]) for position in part[POSITION]}

    def add(self, batch: dict[str, Any], outputs: dict[str, Images], inside: Mapping[str, Any]) -> None:
        """Score a batch and write its pictures; its rows reach the disk with ``flush``."""
        image, mask = batch["image"], batch["mask"]
        completed = in_8_bits(blend(outputs["completed"], mask) if self.blended else outputs["completed"])
        columns: dict[str, Any] = score(self.metrics, completed, image, mask)
        self._store("completed", batch["name"], completed)
        if self.raw:
            raw = in_8_bits(outputs["raw"])
            columns |= {f"{name}_raw": values for name, values in score(self.metrics, raw, image, mask).items()}
            self._store("raw", batch["name"], raw)
            for name, pictures in inside.items():
                self._store(f"inside/{name}", batch["name"], pictures.clamp(0, 1))
        columns = {name: values.double().cpu().tolist() for name, values in columns.items()}
        columns |= {network.name: network(completed).float().cpu().tolist() for network in self.networks}
        columns[POSITION] = batch["position"].tolist()
        self.rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        if len(self.rows) >= ROWS_A_PART:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not on the disk yet as one part, whole or not at all."""
        if not self.rows:
            return
        part = self.partial / "parts" / f"{self.rows[0][POSITION]:08d}-{len(self.rows)}.parquet"
        _write(pl.DataFrame(self.rows, schema_overrides={n.name: pl.List(pl.Float32) for n in self.networks}), part)
        self.rows = []

    def tables(self, manifest: Manifest) -> tuple[pl.DataFrame, dict[str, Float[np.ndarray, "items width"]]]:
        """One row an image in the manifest's order, and the features by network.

        Raises:
            ValueError: items are missing, which a process that wrote elsewhere would cause.
        """
        rows = pl.concat(self._parts()).unique(POSITION, keep="last", maintain_order=True).sort(POSITION)
        if rows[POSITION].to_list() != list(range(len(manifest.items))):
            raise ValueError(
                f"{self.partial} holds {rows.height} of {len(manifest.items)} images: do all processes write to one "
                "folder?"
            )
        of_items = ("name", "image", "bin", "hole_ratio", "mask_sha256")
        columns = {key: [getattr(item, key) for item in manifest.items] for key in of_items}
        features = {network.name: np.array(rows[network.name].to_list(), dtype=np.float64) for network in self.networks}
        scores = rows.drop(POSITION, *features)
        return pl.DataFrame(columns).hstack(scores), features

    def meanings(self) -> dict[str, Meaning]:
        """What each metric of an image means, with those of the raw output."""
        meanings = {name: metric.meaning for name, metric in self.metrics.items()}
        return meanings | ({f"{name}_raw": _of_raw(meaning) for name, meaning in meanings.items()} if self.raw else {})

    def finish(
        self,
        manifest: Manifest,
        per_image: pl.DataFrame,
        set_metrics: dict[str, Meaning],
        set_means: dict[str, dict[str, Any]],
        facts: dict[str, Any],
    ) -> None:
        """Fill the partial folder and give it its name, in place of a result that lay there."""
        metrics = self.meanings()
        means = means_by_bin(per_image, metrics)
        for bin_name, values in set_means.items():
            means[bin_name] |= values
        _write(per_image, self.partial / "per_image.parquet")
        manifest.save(self.partial / "manifest.json")
        told = {name: _plain(metric) for name, metric in (metrics | set_metrics).items()}
        write_json(self.partial / "result.json", {"format": FORMAT, **facts, "metrics": told, "means": means})
        before = before_of(self.folder)
        if self.folder.exists():
            shutil.rmtree(before, ignore_errors=True)
            self.folder.rename(before)
        self.partial.rename(self.folder)
        # only now, because without them an evaluation that is killed before would begin anew
        shutil.rmtree(self.folder / "parts")
        (self.folder / "inputs.json").unlink()
        shutil.rmtree(before, ignore_errors=True)
        self._lock.path.unlink(missing_ok=True)

    def _take_lock(self, *, alone: bool) -> None:
        """Lock the result against other evaluations; with ``alone`` against the processes of this one too."""
        if not self._lock.take(shared=not alone):
            raise ValueError(
                f"Another process is writing {self.partial} at this moment: wait for it, or give another label=..."
            )

    def _begun(self) -> Any:
        """What the partial folder was made of; None where that cannot be read."""
        try:
            return json.loads((self.partial / "inputs.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _drop_damaged(self) -> None:
        for path in self._part_files():
            try:
                pl.read_parquet(path)
            except (pl.exceptions.PolarsError, OSError):
                path.unlink()

    def _part_files(self) -> list[Path]:
        return sorted((self.partial / "parts").glob("[0-9]*.parquet"))

    def _parts(self, columns: list[str] | None = None) -> list[pl.DataFrame]:
        return [pl.read_parquet(path, columns=columns) for path in self._part_files()]

    def _store(self, kind: str, names: list[str], pictures: Images | torch.Tensor) -> None:
        folder = self.partial / kind
        folder.mkdir(parents=True, exist_ok=True)
        for name, pixels in zip(names, (pictures * 255).round().byte().cpu(), strict=True):
            array = pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy()
            # OpenCV's lowest compression: 4 % larger files in a quarter of Pillow's time, which a fast method waits for
            _, png = cv2.imencode(".png", array[..., ::-1] if array.ndim == 3 else array, _PNG)
            (folder / picture_name(name)).write_bytes(png.tobytes())


def before_of(folder: Path) -> Path:
    """Where a result lies while another one takes its name."""
    return folder.with_name(f".{folder.name}.before")


def in_8_bits(images: Images) -> Images:
    """The images as a file of 8 bits gives them back."""
    return (images * 255).round().clamp(0, 255) / 255


def _of_raw(meaning: Meaning) -> Meaning:
    pooled = tuple((f"{above}_raw", f"{below}_raw") for above, below in meaning.pooled)
    definition = f"of the raw output, before the known pixels are put back: {meaning.definition}"
    return Meaning(
        definition, meaning.unit, meaning.higher_is_better, meaning.undefined_allowed, pooled, backend=meaning.backend
    )


def _write(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file, whole or not at all."""
    content = io.BytesIO()  # because Polars makes an error of its own of a full disk
    frame.write_parquet(content)
    with whole(path) as unfinished:
        unfinished.write_bytes(content.getbuffer())


def _plain(metric: Meaning) -> dict[str, Any]:
    return {key: getattr(metric, key) for key in metric.__dataclass_fields__}
