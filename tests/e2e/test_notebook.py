"""The notebooks run from their first cell to their last, as on a hosted machine."""

from pathlib import Path

import pytest

FIGURES = {
    "train": ("edgewright-notebook", "accuracy: ", "serves worst"),
    "svg_quality": ("edgewright-svg", "pick: SSIM ", "pearson"),
}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", FIGURES)
def test_a_notebook_runs(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="absent: nbclient (extra notebook)")
    nbformat = pytest.importorskip("nbformat", reason="absent: nbformat (extra notebook)")
    if name == "svg_quality":
        pytest.importorskip("vtracer", reason="absent: vtracer (extra svg)")
    folder, figure, told = FIGURES[name]
    monkeypatch.setenv("EDGEWRIGHT_NOTEBOOK", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = project_root / "notebooks" / f"{name}.ipynb"
    assert not any(
        cell.outputs for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    )
    book = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(book, timeout=400, kernel_name="python3").execute()
    printed = "".join(
        output["text"]
        for cell in book.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    )
    assert figure in printed
    assert told in (tmp_path / folder / "report.html").read_text()
