"""Each figure that the docs claim stands in a committed result file (see docs/testing.md)."""

import json
from pathlib import Path

import pytest

import claims

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))
FIELDS = {"schema_version", "suite", "command", "commit", "duration_s", "machine", "figures", "raw"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_cited_figures_are_those_of_the_result_files(page: Path) -> None:
    assert [fault for claim in claims.claims(page) if (fault := claims.fault(claim))] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "adr"], ids=named)
def test_figures_said_to_be_measured_cite_a_result_file(page: Path) -> None:
    assert claims.uncited(page) == []


@pytest.mark.parametrize("file", RESULTS, ids=named)
def test_result_file_says_what_ran_where(file: Path) -> None:
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result.keys() >= FIELDS
    assert result["suite"] == file.stem
    # A suite of several protocols (`har`) keeps one file for each: `har-hapt6.json`.
    assert (ROOT / "bench" / f"{file.stem.partition('-')[0]}.py").is_file()
