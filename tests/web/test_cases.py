"""A case of the page is what the command line reads, and its edges are what EdgeConnect completes along."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from inpaintlab.programs import Method, load
from inpaintlab.web import Offered
from stand_ins.commands import run_here
from stand_ins.served import Visitor, encoded, pixels, served

ROOT = Path(__file__).parents[2]
PHOTO = data.astronaut()[:180, 120:300]
HOLE = np.zeros((180, 180), bool)
HOLE[70:110, 60:120] = True


@pytest.fixture(scope="module")
def method() -> Method:
    return load("starter-edgeconnect", device="cpu")


@pytest.fixture(scope="module")
def visitor(method: Method) -> Iterator[Visitor]:
    """A visitor with a photograph and its hole, where EdgeConnect is served."""
    with served({"ours": Offered("ours", method.inpainter)}) as server, server.client() as client:
        here = Visitor(client)
        here.put("photograph", encoded(PHOTO, "JPEG", quality=95))
        here.put("mask", encoded(HOLE))
        yield here


def photo(visitor: Visitor) -> np.ndarray:
    return pixels(visitor.get("photograph").content)


def test_a_result_is_the_methods_own_completion(visitor: Visitor, method: Method) -> None:
    visitor.client.delete(f"{visitor.path}/edges")
    (made,) = visitor.run("complete", "ours")["results"]
    np.testing.assert_array_equal(visitor.result(made["result"]), method.complete(photo(visitor), HOLE))


def test_the_edges_that_are_shown_are_those_of_the_completion(visitor: Visitor, method: Method) -> None:
    (made,) = visitor.run("edges", "ours")["results"]
    shown = visitor.result(made["result"])
    assert shown.shape == HOLE.shape
    edges = method.edges(photo(visitor), HOLE)
    np.testing.assert_array_equal(shown[HOLE], np.asarray(edges.predicted)[HOLE])
    assert (shown[~HOLE] > 0).sum() > 100
    layer = pixels(visitor.get(f"results/{made['result']}.png", transparent="true").content)
    np.testing.assert_array_equal(layer[..., 1], shown)


def test_edges_that_a_visitor_draws_are_completed_along_in_the_hole_alone(visitor: Visitor, method: Method) -> None:
    drawn = np.zeros(HOLE.shape, np.uint8)
    drawn[90, :] = 255  # across the hole and far beyond
    assert visitor.put("edges", encoded(drawn)).status_code == 204
    (made,) = visitor.run("complete", "ours")["results"]
    result = visitor.result(made["result"])
    np.testing.assert_array_equal(result, method.complete(photo(visitor), HOLE, drawn))
    inside = np.where(HOLE, drawn, 0).astype(np.uint8)
    np.testing.assert_array_equal(result, method.complete(photo(visitor), HOLE, inside))
    assert (result != method.complete(photo(visitor), HOLE)).any()
    assert json.loads(
        Image.open(io.BytesIO(visitor.get(f"results/{made['result']}.png").content)).info["inpaintlab"]
    ) == {
        "blend": False,
        "edges": "the visitor's",
        "method": "ours",
    }


def test_a_case_is_completed_by_the_command_line_to_the_same_pixels(visitor: Visitor, tmp_path: Path) -> None:
    drawn = np.zeros(HOLE.shape, np.uint8)
    drawn[80:100, 90] = 255
    visitor.put("edges", encoded(drawn))
    (made,) = visitor.run("complete", "ours")["results"]
    zipfile.ZipFile(io.BytesIO(visitor.get("case.zip").content)).extractall(tmp_path)
    case = tmp_path / "case"
    done = run_here(
        "complete",
        "image=photographs",
        "holes=masks",
        "drawing=edges",
        "checkpoint=starter-edgeconnect",
        "out=again",
        cwd=case,
    )
    assert done.returncode == 0, done.stderr
    assert "image=photographs holes=masks drawing=edges" in (case / "README.txt").read_text()
    again = np.asarray(Image.open(case / "again" / "photograph.png"))
    kept = np.asarray(Image.open(case / "results" / "ours" / "photograph.png"))
    np.testing.assert_array_equal(again, kept)
    np.testing.assert_array_equal(kept, visitor.result(made["result"]))


def test_a_case_becomes_a_test_set(visitor: Visitor, tmp_path: Path) -> None:
    zipfile.ZipFile(io.BytesIO(visitor.get("case.zip").content)).extractall(tmp_path)
    case = tmp_path / "case"
    command = next(line.strip() for line in (case / "README.txt").read_text().splitlines() if "manifest import" in line)
    done = run_here("manifest", *command.split()[2:], cwd=case)
    assert done.returncode == 0, done.stderr
    (item,) = json.loads((case / "test.json").read_text())["items"]
    assert item["hole_ratio"] == pytest.approx(HOLE.mean())


def test_an_oracle_is_not_served() -> None:
    class Oracle(torch.nn.Module):
        oracle, reads_edges, made_for = True, None, None

    offered_one = Offered.__new__(Offered)
    offered_one.label, offered_one.model = "oracle", Oracle()  # type: ignore[assignment]
    with pytest.raises(ValueError, match="a page cannot give it"):
        offered_one.require_servable()


def test_the_program_of_the_documentation_works(
    visitor: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "serve.md").read_text(), re.DOTALL)
    code = code.replace("http://127.0.0.1:8642", str(visitor.client.base_url)).replace("starter-edgeconnect", "ours")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(encoded(PHOTO, "JPEG"))
    (tmp_path / "mask.png").write_bytes(encoded(HOLE))
    exec(compile(code, "docs/serve.md", "exec"), {})
    assert np.asarray(Image.open(tmp_path / "ours.png")).shape == PHOTO.shape
