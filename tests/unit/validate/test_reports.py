"""A report survives its file, and its other forms say the same."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from edgewright.errors import InputError
from edgewright.evidence import Gate, Interval, Verdict, decide
from edgewright.validate import SuiteReport, encode_report, read_any_report, read_report
from edgewright.validate.difference import compare_reports
from edgewright.validate.html import html_page
from edgewright.validate.junit import junit_xml
from edgewright.validate.report import Report

Make = Callable[..., Report]


def test_a_report_is_read_back_as_it_was_written(report: Make, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(encode_report(report()))
    assert read_report(path) == report()


@pytest.mark.parametrize("text", [b"{}", b"[]", b"", b'{"kind":"validation","schema_version":99}'])
def test_other_files_are_no_reports(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"x\.json"):
        read_report(path)


def test_junit_counts_missed_limits_as_failures(report: Make) -> None:
    suite = ET.fromstring(junit_xml([report(Interval(60.0, 58.0, 62.0))]))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "latency p95: 60 ms" in failure.get("message", "")


def test_junit_shows_an_unsound_measurement_as_an_error(report: Make, invalid: Verdict) -> None:
    suite = ET.fromstring(junit_xml([report(verdict=invalid)]))
    error = suite.find("testcase/error")
    assert suite.get("errors") == "1"
    assert error is not None
    assert error.text == "steal time 40 % & more"


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href") and value]


def test_the_html_page_needs_nothing_from_elsewhere(report: Make) -> None:
    text = html_page([report()])
    page = Page(text)
    assert page.outside == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_html_page_shows_verdict_gates_pictures_and_origin(report: Make) -> None:
    text = html_page([report()])
    assert "VALID-PASS" in text
    assert text.count('role="img" aria-label=') == 3
    assert "Test CPU (avx2)" in text
    assert re.search(r"at most\s+50 ms", text)
    assert "har&lt;tcn&gt;" in text
    assert "har<tcn>" not in text


def test_a_partial_report_is_marked_so(report: Make, invalid: Verdict) -> None:
    text = html_page([report(verdict=invalid, is_partial=True, timeline=(), memory=())])
    assert "Partial: the run was interrupted." in text


def test_a_clear_change_is_told_with_its_direction(report: Make) -> None:
    difference = compare_reports(report(), report(Interval(18.0, 17.5, 18.5)))
    (p95,) = (one for one in difference.changes if one.name == "latency p95")
    assert p95.direction == "worse"
    assert difference.is_worse
    (p95,) = (
        one
        for one in compare_reports(report(Interval(18.0, 17.5, 18.5)), report()).changes
        if one.name == "latency p95"
    )
    assert p95.direction == "better"


def test_a_change_within_what_runs_differ_by_is_not_called_one(report: Make) -> None:
    difference = compare_reports(report(), report(Interval(12.4, 12.2, 12.6)))
    (p95,) = (one for one in difference.changes if one.name == "latency p95")
    assert p95.direction in ("same", "unclear")
    assert p95.ratio_low < 1 < p95.ratio_high
    assert not difference.is_worse


def test_unsound_reports_and_other_scenarios_do_not_compare(report: Make, invalid: Verdict) -> None:
    difference = compare_reports(report(verdict=invalid), report(Interval(99.0, 98.0, 100.0)))
    assert difference.doubts
    assert not difference.is_worse
    with pytest.raises(InputError, match="compare like with like"):
        compare_reports(report(), report(scenario="offline"))


def suite(*reports: Report) -> SuiteReport:
    return SuiteReport(outcome="VALID-PASS", seconds=1.0, reports=reports)


def test_suites_are_compared_scenario_by_scenario(report: Make, tmp_path: Path) -> None:
    path = tmp_path / "suite.json"
    path.write_bytes(encode_report(suite(report(), report(scenario="offline"))))
    before = read_any_report(path)
    slow = report(Interval(18.0, 17.5, 18.5), scenario="offline")
    difference = compare_reports(before, suite(slow, report()))
    worse = [(c.scenario, c.name) for c in difference.changes if c.direction == "worse"]
    assert worse == [("offline", "latency p95")]
    assert difference.is_worse
    assert not difference.doubts
    with pytest.raises(InputError, match="whole suite, expected that of one scenario"):
        read_report(path)


def test_a_scenario_without_its_like_is_doubted(report: Make) -> None:
    difference = compare_reports(suite(report(), report(scenario="soak")), report())
    assert difference.doubts == ("scenario soak is in the first report only",)
    difference = compare_reports(report(), suite(report(), report()))
    assert difference.doubts == ("scenario single-stream is in the second report only",)


def with_wrong(report: Make, wrong: int, *, unsound: tuple[str, ...] = ()) -> Report:
    gate = Gate.at_most("wrong answers", wrong, 0, timed=False)
    return report(verdict=decide([gate], unsound=unsound))


def test_answers_that_became_wrong_are_a_loss_even_on_a_busy_machine(report: Make) -> None:
    sound = with_wrong(report, 0)
    for busy in ((), ("others used the cores",)):
        difference = compare_reports(sound, with_wrong(report, 7, unsound=busy))
        assert difference.losses == ("wrong answers: 7, allowed at most 0: missed",)
        assert difference.is_worse
    assert not compare_reports(with_wrong(report, 7), with_wrong(report, 7)).is_worse


def test_a_limit_of_time_is_lost_only_when_it_is_the_same_and_the_machine_was_quiet(
    report: Make, invalid: Verdict
) -> None:
    def limited(p95: float, limit: float) -> Verdict:
        return decide([Gate.at_most("latency p95", p95, limit, unit="ms")])

    kept = report(verdict=limited(12.0, 20.0))
    assert compare_reports(kept, report(verdict=limited(21.0, 20.0))).losses
    assert not compare_reports(kept, report(verdict=limited(12.0, 10.0))).losses
    assert not compare_reports(report(verdict=invalid), report(verdict=limited(21.0, 20.0))).losses


def test_a_server_that_ended_is_a_loss(report: Make) -> None:
    ended = report(verdict=decide([Gate.at_most("servers that ended", 1, 0, timed=False)]))
    assert compare_reports(report(), ended).is_worse
    assert not compare_reports(ended, ended).is_worse


def test_loads_that_differ_are_doubted_and_longer_runs_are_not(report: Make) -> None:
    def under(how: str) -> Report:
        figures = tuple(msgspec.structs.replace(one, how=how) for one in report().figures)
        return report(figures=figures)

    slow, fast = (f"open loop at {rate} requests/s, 8 s, seed 0; JSON" for rate in (100, 250))
    assert compare_reports(under(slow), under(fast)).doubts == (
        "the loads differ: open loop at 100 requests/s; JSON | open loop at 250 requests/s; JSON",
    )
    assert not compare_reports(
        under(slow), under(slow.replace("8 s, seed 0", "20 s, seed 1"))
    ).doubts


def test_accuracy_is_compared_without_what_machines_add(report: Make) -> None:
    def accurate(value: float) -> Report:
        usual = report()
        one = msgspec.structs.replace(
            usual.figures[0], name="accuracy", unit="%", value=value, low=value - 1, high=value + 1
        )
        return msgspec.structs.replace(usual, figures=(*usual.figures, one))

    assert compare_reports(accurate(95.0), accurate(92.0)).is_worse
    assert not compare_reports(accurate(95.0), accurate(94.5)).is_worse
