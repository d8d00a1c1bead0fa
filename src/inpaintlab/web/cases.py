"""A case as a folder that the command line reads: the photograph, its mask and edges, and the results."""

import io
import json
import re
import time
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from inpaintlab import __version__
from inpaintlab.machine import whole
from inpaintlab.web.visits import Finished, Scene

_NAME = "photograph"
"""What the files are called; the visitor's own name reaches no disk."""

_DEVICES = re.compile("con|prn|aux|nul|(com|lpt)[0-9¹²³]", re.IGNORECASE)
"""Names that no file of Windows can have, whatever its ending."""

_README = """This folder is a case of inpaintlab's page: a photograph, its hole, and what methods made of it.

    photographs/  the photograph as it was given
    masks/        its hole, white
    edges/        the edges that were given for the hole, white (only where they were edited)
    results/      a folder for each method
    case.json     the methods, the time each took, whether results were blended

Complete it again:

    inpaintlab complete image=photographs holes=masks{drawing} checkpoint=starter-edgeconnect out=again

Make it a test set ({side} is a multiple of 4 that the photograph holds; evaluation takes its largest central square):

    inpaintlab manifest import layout=names images=photographs masks=masks size={side} out=test.json
"""


def case_files(scene: Scene, finished: Finished | None) -> Mapping[str, bytes]:
    """The files of a case, by their paths in its folder.

    Args:
        scene: what is to be completed.
        finished: what was completed, which is the case then; None before that.
    """
    scene = finished.scene if finished else scene
    photo = scene.photo
    side = max(4, min(512, photo.width, photo.height) // 4 * 4)
    drawing = " drawing=edges" if scene.edges is not None else ""
    files = {
        "README.txt": _README.format(drawing=drawing, side=side).encode(),
        f"photographs/{_NAME}{photo.suffix}": photo.content,
    }
    if scene.mask is not None:
        files[f"masks/{_NAME}.png"] = scene.mask
    if scene.edges is not None:
        files[f"edges/{_NAME}.png"] = scene.edges
    names: dict[str, str] = {}
    for made in finished.made if finished else ():
        names[made.method] = _folder(made.method, set(names.values()))
        files[f"results/{names[made.method]}/{_NAME}.png"] = made.png
    facts = {
        "inpaintlab": __version__,
        "case": finished.kept if finished else "",  # as the log of choices names it
        "width": photo.width,
        "height": photo.height,
        "blend": finished.blend if finished else None,
        "edges": "given" if scene.edges is not None else "the methods' own",
        "results": [
            {"method": made.method, "folder": names[made.method], "seconds": made.seconds, "notes": list(made.notes)}
            for made in (finished.made if finished else ())
        ],
    }
    files["case.json"] = (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()
    return files


def _folder(label: str, taken: set[str]) -> str:
    """A label as the name of a folder on every system."""
    name = re.sub(r"[^\w.-]+", "_", label).strip("._")[:60] or "method"
    if _DEVICES.fullmatch(name.partition(".")[0]):
        name = f"_{name}"
    while name.lower() in {other.lower() for other in taken}:
        name += "_"
    return name


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip file with a folder ``case``; pictures are compressed already.

    Args:
        files: by their paths in the folder.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(f"case/{path}", time.localtime()[:6])
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def keep_case(folder: Path, finished: Finished) -> Path:
    """Write a case below a folder of the server's owner.

    Args:
        folder: where cases are kept.
        finished: the case.

    Returns:
        The case's folder.

    Raises:
        OSError: it cannot be written.
    """
    case = folder / time.strftime("%Y-%m-%d_%H.%M.%S")
    number = 1
    while True:
        try:
            case.mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
            case = case.with_name(f"{case.name.partition('~')[0]}~{number}")
    for path, content in case_files(finished.scene, replace(finished, kept=case.name)).items():
        file = case / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as partial:
            partial.write_bytes(content)
    return case
