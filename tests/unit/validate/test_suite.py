"""Several validations together: one outcome, one page, and the keys of the earlier files."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from edgewright.chain.suite import FULL, QUICK, obstacle
from edgewright.chain.validation import Subject, ValidationOrder
from edgewright.evidence import Interval, Verdict
from edgewright.measure.load import LoadTarget
from edgewright.validate import Report, Served, encode_report
from edgewright.validate.earlier import earlier_json
from edgewright.validate.html import html_page
from edgewright.validate.junit import junit_xml
from edgewright.validate.report import LeftOut, SuiteReport, outcome_of

Make = Callable[..., Report]
SLOW = Interval(60.0, 58.0, 62.0)


def failed(report: Make) -> Report:
    from edgewright.evidence import Gate, decide

    return report(SLOW, verdict=decide([Gate.at_most("latency p95", SLOW, 50.0, unit="ms")]))


def test_one_miss_fails_all_and_one_doubt_makes_all_doubtful(
    report: Make, invalid: Verdict
) -> None:
    good, bad, noisy = report(), failed(report), report(verdict=invalid)
    assert outcome_of([good, good]) == "VALID-PASS"
    assert outcome_of([good, noisy]) == "INVALID"
    assert outcome_of([noisy, bad, good]) == "VALID-FAIL"
    assert outcome_of([]) == "INVALID"


def test_a_suite_is_written_and_shown_whole(report: Make) -> None:
    left = LeftOut(scenario="swap", reason="no administrator's socket")
    reports = (report(), failed(report))
    suite = SuiteReport(outcome="VALID-FAIL", seconds=3.0, reports=reports, left_out=(left,))
    assert suite.exit_code == 7
    assert msgspec.json.decode(encode_report(suite), type=SuiteReport) == suite
    page = html_page(suite.all_reports, left_out=suite.left_out)
    assert page.count("<article>") == 2
    assert page.count("<h1>") == 1
    assert "not run: swap" in page
    root = ET.fromstring(junit_xml(suite.all_reports))
    assert [one.get("failures") for one in root] == ["0", "1"]


def test_the_earlier_keys_hold_what_was_measured_and_null_for_the_rest(
    report: Make, invalid: Verdict
) -> None:
    document = json.loads(earlier_json([failed(report)]))
    assert set(document) == {
        "validation_info",
        "health_check",
        "latency_benchmark",
        "throughput_benchmark",
        "output_quality",
        "overall_assessment",
    }
    latency = document["latency_benchmark"]
    assert latency["latency_stats"]["p95_ms"] == 60.0
    assert latency["latency_stats"]["min_ms"] is None
    assert latency["p95_target_met"] is False
    assert document["overall_assessment"]["throughput_target_met"] is None
    assert document["overall_assessment"]["production_ready"] is False
    noisy = json.loads(earlier_json([report(verdict=invalid)]))
    assert noisy["latency_benchmark"]["p95_target_met"] is None


def test_a_bare_url_is_not_put_through_what_it_cannot_do() -> None:
    asked = ValidationOrder(target="http://h", scenario="server")
    bare = Subject(served=Served(LoadTarget(port=1)))
    left = {name for name, _ in FULL if obstacle(name, asked, bare)}
    assert left == {"server", "soak", "stream", "find-peak", "cold-start", "swap"}
    full = msgspec.structs.replace(asked, rate_rps=9.0, p95_ms=5.0)
    reachable = Subject(served=Served(LoadTarget(port=1), admin=Path("/a")))
    left = {name for name, _ in FULL if obstacle(name, full, reachable)}
    assert left == {"stream", "cold-start"}


@pytest.mark.parametrize(("scenes", "limit_s"), [(QUICK, 15.0), (FULL, 200.0)])
def test_suites_have_room_for_their_promise(scenes: object, limit_s: float) -> None:
    assert sum(seconds for _, seconds in scenes) < limit_s  # type: ignore[attr-defined]
