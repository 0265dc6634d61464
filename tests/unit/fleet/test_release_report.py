"""A report of validate as the gate before a rollout's first wave."""

from pathlib import Path

import msgspec
import pytest

from edgewright.errors import InputError
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.release_report import summary_of
from edgewright.fleet.rollout_options import RolloutOptions
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.testing.fleet import release_file


def one(bundle_id: str, outcome: str, scenario: str = "server") -> dict[str, object]:
    return {
        "kind": "validation",
        "scenario": scenario,
        "bundle_id": bundle_id,
        "started": "2026-01-01T00:00:00Z",
        "verdict": {"outcome": outcome, "gates": [], "reasons": []},
        "machine": {"cpu": "a core", "board": "a board"},
        "figures": [],
    }


def suite(*reports: dict[str, object]) -> dict[str, object]:
    return {"kind": "validation-suite", "outcome": "VALID-PASS", "reports": list(reports)}


def order(document: dict[str, object]) -> RolloutOrder:
    report = summary_of(msgspec.json.encode(document), source="report.json")
    return RolloutOrder(release="tiny@1", waves="100%", options=RolloutOptions(report=report))


@pytest.fixture
def bundle_id(office: Office, tmp_path: Path) -> str:
    found = release_file(tmp_path / "1.ewb", version="1")
    office.registry.publish(tmp_path / "1.ewb", by="ada")
    token = office.devices.create_token(TokenOrder(), by="ada").token
    office.devices.enrol(token, "d1", {})
    return found


def test_a_report_of_the_release_that_passed_lets_it_start(office: Office, bundle_id: str) -> None:
    both = suite(one(bundle_id, "VALID-PASS"), one(bundle_id, "VALID-PASS", "offline"))
    started = office.rollouts.start(order(both), by="ada")
    kept = office.rollouts.status(started.number).options.report
    assert kept is not None
    assert (kept.scenarios, kept.where) == (("server", "offline"), "a board")


@pytest.mark.parametrize("outcome", ["VALID-FAIL", "INVALID"])
def test_one_that_did_not_pass_starts_nothing(office: Office, bundle_id: str, outcome: str) -> None:
    bad = suite(one(bundle_id, "VALID-PASS"), one(bundle_id, outcome))
    for do in (office.rollouts.plan, lambda asked: office.rollouts.start(asked, by="ada")):
        with pytest.raises(InputError, match=f"says {outcome}, expected VALID-PASS"):
            do(order(bad))
    assert office.rollouts.list() == ()


def test_a_report_of_another_bundle_counts_for_nothing(office: Office, bundle_id: str) -> None:
    with pytest.raises(InputError, match="about bundle cccc"):
        office.rollouts.start(order(one("c" * 64, "VALID-PASS")), by="ada")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (one("", "VALID-PASS"), "which bundle"),
        (suite(one("a" * 64, "VALID-PASS"), one("b" * 64, "VALID-PASS")), "which bundle"),
        (suite(), "which bundle"),
        ({"kind": "optimize"}, "not a report"),
        ({"kind": "validation", "bundle_id": 3}, "expected `str`"),
    ],
)
def test_what_is_no_report_of_one_bundle_is_refused(
    document: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        summary_of(msgspec.json.encode(document), source="report.json")
