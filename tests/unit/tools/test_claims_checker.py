import json
from pathlib import Path

import pytest

import claims


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    figures = {"p95_ms": 3.24, "requests": 1213, "rank": "first"}
    results = tmp_path / "bench/results"
    results.mkdir(parents=True)
    (results / "serving.json").write_text(json.dumps({"figures": figures}), encoding="utf-8")
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def faults(docs: Path, text: str) -> list[str]:
    page = docs / "page.md"
    page.write_text(text, encoding="utf-8")
    return [fault for claim in claims.claims(page) if (fault := claims.fault(claim))]


def cited(text: str, key: str = "p95_ms", file: str = "serving") -> str:
    return f"An answer takes [{text}](../bench/results/{file}.json#{key})."


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("3.24 ms", "p95_ms"),
        ("3.2 ms", "p95_ms"),
        ("3 ms", "p95_ms"),
        ("1,213 requests", "requests"),
        ("first", "rank"),
    ],
)
def test_claim_holds_when_it_rounds_to_the_figure(docs: Path, text: str, key: str) -> None:
    assert faults(docs, cited(text, key)) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("3.3 ms", "p95_ms"),
        ("3.20 ms", "p95_ms"),
        ("4 ms", "p95_ms"),
        ("few ms", "p95_ms"),
        ("1,200 requests", "requests"),
        ("second", "rank"),
    ],
)
def test_claim_fails_when_the_figure_is_another(docs: Path, text: str, key: str) -> None:
    assert "should say" in faults(docs, cited(text, key))[0]


def test_claim_fails_when_its_file_is_absent(docs: Path) -> None:
    assert "absent.json, which is absent" in faults(docs, cited("3 ms", file="absent"))[0]


@pytest.mark.parametrize("key", ["p95", "figures.p95_ms"])
def test_claim_fails_when_its_figure_is_absent(docs: Path, key: str) -> None:
    assert "there are: p95_ms, rank, requests" in faults(docs, cited("3 ms", key))[0]


def test_claim_fails_when_it_names_no_figure(docs: Path) -> None:
    assert len(faults(docs, "[3 ms](../bench/results/serving.json)")) == 1


def test_code_blocks_are_no_claims(docs: Path) -> None:
    assert faults(docs, f"```markdown\n{cited('9 ms')}\n```\n") == []


@pytest.mark.parametrize(
    ("text", "is_uncited"),
    [
        ("We measured 3 ms.", True),
        ("Measured: 12 % less.\n\nAnother paragraph.", True),
        ("We measured it.", False),
        ("The limit is 3 ms.", False),
        ("We measured [3 ms](../bench/results/serving.json#p95_ms).", False),
        ("```\nmeasured 3 ms\n```", False),
    ],
)
def test_measured_figure_without_a_file_is_found(
    docs: Path, text: str, *, is_uncited: bool
) -> None:
    page = docs / "page.md"
    page.write_text(text, encoding="utf-8")
    assert bool(claims.uncited(page)) is is_uncited


@pytest.mark.parametrize(
    ("text", "key", "renewed"),
    [
        ("4.0 ms", "p95_ms", "3.2 ms"),
        ("3.2 ms", "p95_ms", "3.2 ms"),
        ("99 requests", "requests", "1213 requests"),
        ("4.0 ms", "unknown", "4.0 ms"),
        ("second", "rank", "second"),
    ],
)
def test_numbers_are_renewed_from_their_file(docs: Path, text: str, key: str, renewed: str) -> None:
    page = docs / "page.md"
    page.write_text(cited(text, key), encoding="utf-8")
    assert claims.renewed(page) == cited(renewed, key)
