"""The notebook runs from its first cell to its last, as on a hosted machine."""

from pathlib import Path

import pytest


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_training_notebook_runs(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="absent: nbclient (extra notebook)")
    nbformat = pytest.importorskip("nbformat", reason="absent: nbformat (extra notebook)")
    monkeypatch.setenv("EDGEWRIGHT_NOTEBOOK", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = nbformat.read(project_root / "notebooks" / "train.ipynb", as_version=4)
    nbclient.NotebookClient(book, timeout=400, kernel_name="python3").execute()
    printed = [
        output["text"]
        for cell in book.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    ]
    assert any(text.startswith("accuracy: ") for text in printed)
    assert "serves worst" in (tmp_path / "edgewright-notebook" / "report.html").read_text()
    assert all(
        not cell.outputs
        for cell in nbformat.read(project_root / "notebooks" / "train.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    )
