"""A report survives its file, and its other forms say the same."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edgewright.errors import InputError
from edgewright.evidence import Interval, Verdict
from edgewright.validate import encode_report, read_report
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
