"""What docs/ tells of Python runs as it stands there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from docs.hooks import notebooks

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOK = DOCS / "notebook.ipynb"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (DOCS / "python.md").read_text(encoding="utf-8"), re.M | re.S)


def test_the_examples_of_the_page_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("inpaintlab.evaluation.cost.SECONDS", 0.0)
    monkeypatch.setattr("inpaintlab.report.page.plot", lambda table, metric: "<svg></svg>")  # takes most of the time
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"block {number} of docs/python.md", "exec"), names)  # as a reader pastes them
    told = capsys.readouterr().out
    for promised in re.findall(r"print\(.*?\)  # (.*)", "".join(BLOCKS)):
        assert re.search(re.escape(promised).replace(r"\.\.\.", ".*").replace("2 images", r"\d+ images"), told), (
            promised
        )
    assert (tmp_path / "comparison" / "report.html").is_file()


@pytest.mark.slow
def test_the_notebook_runs_and_gives_outputs_of_the_kinds_that_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / "place"
    place.mkdir()
    now = outputs_of(json.loads(notebooks.stored(notebooks.executed(NOTEBOOK, place))))
    assert [kinds(output) for output in now] == [kinds(output) for output in outputs_of(kept())]
    assert all(output["output_type"] != "error" and output.get("name") != "stderr" for output in now)


def kept() -> dict[str, Any]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def outputs_of(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", ())]


def kinds(output: dict[str, Any]) -> tuple[str, list[str]]:
    return output["output_type"], sorted(kind.partition("/")[0] for kind in output.get("data", {}))


def test_the_notebook_is_stored_with_what_it_gave_and_nothing_of_the_machine() -> None:
    assert [cell["execution_count"] for cell in kept()["cells"] if cell["cell_type"] == "code"] == list(range(1, 11))
    outputs = outputs_of(kept())
    assert all(output["output_type"] in ("execute_result", "display_data") for output in outputs)
    shown = [kind for output in outputs for kind in output["data"]]
    assert sum(kind.startswith("image/") for kind in shown) >= 4
    assert NOTEBOOK.stat().st_size < 700_000
    text = re.sub(r"base64,[^\"']*|<[^>]*>", " ", json.dumps([output["data"].get("text/html") for output in outputs]))
    text += json.dumps([output["data"]["text/plain"] for output in outputs])
    assert not re.search(r"(?<![\w.])/\w+/|[A-Za-z]:\\\\|Warning", text)
    assert all(not cell["metadata"] for cell in kept()["cells"])
    assert kept()["metadata"].keys() == {"kernelspec", "language_info"}
    tables = ["".join(output["data"]["text/html"]) for output in outputs if "text/html" in output["data"]]
    assert any('<div class="inpaintlab">' in table and "data:image/" in table for table in tables)
