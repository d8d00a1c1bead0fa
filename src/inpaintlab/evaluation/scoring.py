"""The scores and pictures of an evaluation, stored so that a killed one can go on, and the result folder made of them.

An unfinished result is a folder LABEL.partial beside the final one:

    inputs.json     everything that decides the scores
    parts/*.parquet some rows each: the item's position in the manifest, its scores, its features; written whole, and
                    named by a hash of its content
    completed/      pictures; each is written before the part that holds its row

Every process of an evaluation writes parts of its own items, so nothing is gathered between processes. A lock keeps
other evaluations out; it is released when the processes end, even if they are killed. While a result replaces an older
one, the older one lies in .LABEL.before.
"""

import hashlib
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import torch
from jaxtyping import Float

from inpaintlab.evaluation.drawn_edges import DENSITY, DRAWN, drawn_edges, edge_density
from inpaintlab.evaluation.record import write_record
from inpaintlab.evaluation.results import means_by_bin
from inpaintlab.imaging import blend
from inpaintlab.machine import Lock, file_sha256, read_json, remove_partials, whole, write_json
from inpaintlab.metrics import FeatureNetwork, Meaning, PerImageMetric, score
from inpaintlab.shapes import Images
from inpaintlab.testsets import Manifest

POSITION = "position"


ROWS_A_PART = 256


_HASH = 16  # digits of the hash of a part in its name


_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class Scores:
    """The scores and pictures of one result: of the completed images, or with ``blended`` of these after blending.

    Scores are computed from the pictures as they are stored, rounded to 8 bits, so anyone can recompute them from the
    files.

    Args:
        folder: the final result folder.
        identity: what the result records of the method.
        inputs: everything that decides the scores, as plain JSON; parts of other inputs are dropped.
        pictures: the file name of each image's pictures (see `picture_names`).
        metrics: of single images, by name.
        networks: their features of the completed images are stored, for metrics of whole sets.
        blended: score the images after GLCIC's post-processing.
        raw: score the raw output too, as ``<metric>_raw``, and store its pictures and the intermediate outputs.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        inputs: dict[str, Any],
        pictures: Mapping[str, str],
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
        self.pictures = pictures
        self.metrics = metrics
        self.networks = networks
        self.blended = blended
        self.raw = raw
        self.rows: list[dict[str, Any]] = []
        self._lock = Lock(folder.with_name(f".{folder.name}.lock"))

    def prepare(self) -> str:
        """Make the partial folder, or continue one of the same inputs.

        Only the first process calls this, before the others `join`. Parts that cannot be read are dropped.

        Returns:
            A note on what was there; empty for a new folder.

        Raises:
            ValueError: another evaluation writes this result.
        """
        exists = self.partial.exists()
        if not exists or self._inputs_of_partial() != self.inputs:
            if exists:
                shutil.rmtree(self.partial)
            for name in ("completed", "parts"):
                (self.partial / name).mkdir(parents=True)
            write_json(self.partial / "inputs.json", self.inputs)
            note = f"begun anew, because {self.partial.name} was of other inputs" if exists else ""
        else:
            remove_partials(self.partial, below=True)
            self._drop_damaged()
            done = len(self.done())
            note = f"going on after {done} images that are done" if done else ""
        self._take_lock(alone=False)
        return note

    def reserve(self) -> None:
        """Lock the result against other evaluations; the first process calls this before it starts others.

        What a killed evaluation left in or beside a finished result is removed, and a result that it was about to
        replace gets its name back.

        Raises:
            ValueError: another evaluation writes this result.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._take_lock(alone=True)
        before = _before_of(self.folder)
        if before.exists() and not self.folder.exists():
            before.rename(self.folder)
        for remains in _remains(self.folder):
            if remains.is_dir():
                shutil.rmtree(remains)
            else:
                remains.unlink(missing_ok=True)
        remove_partials(self.folder)

    def release(self) -> None:
        """Let other evaluations write this result."""
        self._lock.remove()

    def was_interrupted(self) -> bool:
        """Whether an evaluation was killed while it put the finished result into its place."""
        return bool(_remains(self.folder))

    def join(self) -> None:
        """Share the lock with the other processes of this evaluation, after the first has prepared the folder.

        Raises:
            ValueError: another evaluation writes this result.
        """
        self._take_lock(alone=False)

    def done(self) -> set[int]:
        """Positions of the items that are scored and stored."""
        return {position for part in self._parts([POSITION]) for position in part[POSITION]}

    def add(self, batch: dict[str, Any], outputs: dict[str, Any], inside: Mapping[str, Any]) -> None:
        """Score a batch and write its pictures; its rows are written by ``flush``.

        Args:
            batch: from `ManifestDataset`: ``image``, ``mask``, ``name`` and ``position``.
            outputs: ``completed`` and, with ``raw``, the raw output: (B, 3, H, W) in [0, 1]; the ``notes`` of each;
                and of a method that draws edges ``drawn_edges`` and ``true_edges``.
            inside: the intermediate outputs by name, for ``raw``.
        """
        image, mask = batch["image"], batch["mask"]
        completed = in_8_bits(blend(outputs["completed"], mask) if self.blended else outputs["completed"])
        columns: dict[str, Any] = score(self.metrics, completed, image, mask)
        columns[DENSITY] = edge_density(image, mask)
        if "drawn_edges" in outputs:
            columns |= drawn_edges(outputs["drawn_edges"], outputs["true_edges"], mask)
        pictures = self._store("completed", batch["name"], completed)
        if self.raw:
            raw = in_8_bits(outputs["raw"])
            columns |= {f"{name}_raw": values for name, values in score(self.metrics, raw, image, mask).items()}
            self._store("raw", batch["name"], raw)
            for name, drawn in inside.items():
                self._store(f"inside/{name}", batch["name"], drawn.clamp(0, 1))
        columns = {name: values.double().cpu().tolist() for name, values in columns.items()}
        columns |= {network.name: network(completed).float().cpu().tolist() for network in self.networks}
        columns["note"] = outputs["notes"]
        columns["picture_sha256"] = pictures
        columns[POSITION] = batch["position"].tolist()
        self.rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        if len(self.rows) >= ROWS_A_PART:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not written yet as one part, whole or not at all."""
        if not self.rows:
            return
        frame = pl.DataFrame(self.rows, schema_overrides={n.name: pl.List(pl.Float32) for n in self.networks})
        content = _parquet(frame)
        digest = hashlib.sha256(content).hexdigest()[:_HASH]
        _write(content, self.partial / "parts" / f"{self.rows[0][POSITION]:08d}-{len(self.rows)}-{digest}.parquet")
        self.rows = []

    def tables(self, manifest: Manifest) -> tuple[pl.DataFrame, dict[str, Float[np.ndarray, "items width"]]]:
        """One row per image in the manifest's order, and the features by network.

        Raises:
            ValueError: items are missing, because a process wrote to another folder.
        """
        rows = pl.concat(self._parts()).unique(POSITION, keep="last", maintain_order=True).sort(POSITION)
        if rows[POSITION].to_list() != list(range(len(manifest.items))):
            raise ValueError(
                f"{self.partial} holds {rows.height} of {len(manifest.items)} images: do all processes write to one "
                "folder?"
            )
        of_items = ("name", "image", "bin", "hole_ratio", "mask_sha256")
        columns = {key: [getattr(item, key) for item in manifest.items] for key in of_items}
        features = {
            network.name: rows[network.name].list.to_array(network.width).to_numpy().astype(np.float64)
            for network in self.networks
        }
        scores = rows.drop(POSITION, *features)
        return pl.DataFrame(columns).hstack(scores), features

    def meanings(self) -> dict[str, Meaning]:
        """The meaning of each metric of images, including those of the raw output; drawn edges are not among them."""
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
        """Complete the partial folder and rename it, replacing an older result.

        Args:
            manifest: the test set.
            per_image: see `tables`.
            set_metrics: the meaning of each metric of whole sets.
            set_means: their values by bin.
            facts: the other entries of result.json.
        """
        drawn = {name: meaning for name, meaning in DRAWN.items() if name in per_image.columns}
        metrics = self.meanings() | drawn
        means = means_by_bin(per_image, metrics)
        for bin_name, values in set_means.items():
            means[bin_name] |= values
        _write(_parquet(per_image), self.partial / "per_image.parquet")
        manifest.save(self.partial / "manifest.json")
        meanings = {name: asdict(metric) for name, metric in (metrics | set_metrics).items()}
        write_record(self.partial, {**facts, "metrics": meanings, "means": means})
        before = _before_of(self.folder)
        if self.folder.exists():
            shutil.rmtree(before, ignore_errors=True)
            self.folder.rename(before)
        self.partial.rename(self.folder)
        # deleted last, because an evaluation that is killed before needs them to go on
        shutil.rmtree(self.folder / "parts")
        (self.folder / "inputs.json").unlink()
        shutil.rmtree(before, ignore_errors=True)
        self.release()

    def _take_lock(self, *, alone: bool) -> None:
        """Lock the result against other evaluations, and with ``alone`` against this one's other processes too."""
        if not self._lock.take(shared=not alone):
            raise ValueError(
                f"Another process is writing {self.partial} at this moment: wait for it, or give another label=..."
            )

    def _inputs_of_partial(self) -> Any:
        """The inputs of the partial folder; None if they cannot be read."""
        try:
            return read_json(self.partial / "inputs.json", "the inputs of an evaluation")
        except (OSError, ValueError):
            return None

    def _drop_damaged(self) -> None:
        for path in self._part_files():
            if not path.stem.endswith(file_sha256(path)[:_HASH]):
                path.unlink()

    def _part_files(self) -> list[Path]:
        return sorted((self.partial / "parts").glob("[0-9]*.parquet"))

    def _parts(self, columns: list[str] | None = None) -> list[pl.DataFrame]:
        return [pl.read_parquet(path, columns=columns) for path in self._part_files()]

    def _store(self, kind: str, names: list[str], pictures: Images | torch.Tensor) -> list[str]:
        """Write pictures; returns the hashes of their files."""
        hashes = []
        folder = self.partial / kind
        folder.mkdir(parents=True, exist_ok=True)
        for name, pixels in zip(names, (pictures * 255).round().byte().cpu(), strict=True):
            array = pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy()
            # OpenCV's lowest compression: files are 4 % larger, but take a quarter of Pillow's time
            _, png = cv2.imencode(".png", array[..., ::-1] if array.ndim == 3 else array, _PNG)
            content = png.tobytes()
            (folder / self.pictures[name]).write_bytes(content)
            hashes.append(hashlib.sha256(content).hexdigest())
        return hashes


def _before_of(folder: Path) -> Path:
    """The folder of an older result while a new one replaces it."""
    return folder.with_name(f".{folder.name}.before")


def _remains(folder: Path) -> list[Path]:
    """What an evaluation that was killed at its very end left behind, beside or in a finished result.

    A folder without a result.json is not ours to tidy.
    """
    inside = [folder / "parts", folder / "inputs.json"] if (folder / "result.json").is_file() else []
    return [path for path in (_before_of(folder), *inside) if path.exists()]


def in_8_bits(images: Images) -> Images:
    """Images in [0, 1] rounded to 8 bits, as they are read back from a file."""
    return (images * 255).round().clamp(0, 255) / 255


def _of_raw(meaning: Meaning) -> Meaning:
    pooled = tuple((f"{above}_raw", f"{below}_raw") for above, below in meaning.pooled)
    definition = f"of the raw output, before the known pixels are put back: {meaning.definition}"
    return replace(meaning, definition=definition, pooled=pooled)


def _parquet(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def _write(content: bytes, path: Path) -> None:
    """Write a file, whole or not at all; Polars would turn the error of a full disk into its own."""
    with whole(path) as unfinished:
        unfinished.write_bytes(content)
