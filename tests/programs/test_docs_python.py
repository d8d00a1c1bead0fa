"""What docs/ tells of Python runs as it stands there."""

import json
import re
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[2] / "docs"
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
def test_the_notebook_runs_and_is_kept_without_what_it_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbclient
    import nbformat

    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    monkeypatch.setenv("HOME", str(tmp_path))
    path = DOCS / "notebook.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in content["cells"])
    notebook = nbformat.reads(json.dumps(content), as_version=4)
    nbformat.validate(notebook)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("image/png") >= 4
    tables = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert any('<div class="inpaintlab">' in table and "data:image/" in table for table in tables)
