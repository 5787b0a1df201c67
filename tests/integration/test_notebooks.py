"""The notebooks run from a fresh clone, with nothing else running, and are stored without what they print."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "forecasting" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LIMIT = 100  # seconds that one cell may take


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["compare_branches"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert not [cell for cell in cells if cell.outputs or cell.execution_count]


def test_the_comparison_of_two_branches_runs_and_ends_in_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("REDIS_URL", "PIPELINE_STORE_URL", "PIPELINE_VERSION", "PIPELINE_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(FOLDER / "compare_branches.ipynb", as_version=4)
    client = NotebookClient(
        notebook, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    verdict = r"told( is (better|worse) than main|: no difference from main can be told): its error is \d"
    assert re.search(verdict, said)
    assert "minutes, " in said
    assert not list(tmp_path.glob("*.rdb"))
