import msgspec
import pytest

from edgewright.errors import InputError
from edgewright.fleet.push import HostReport, PushReport, parse_target, read_inventory, render
from edgewright.fleet.push.checks import Check, Facts, Need, prechecks

NEED = Need(format="onnx", file_size_mb=10, memory_mb=50)
GOOD = Facts(
    arch="aarch64",
    clock_s=1000.0,
    disk_free_mb=500.0,
    memory_free_mb=500.0,
    edgewright="edgewright",
    version="edgewright, version 1",
    home="/var/lib/edgewright",
    is_enrolled=True,
)


def failed(facts: Facts, *, formats: tuple[str, ...] | None = ("onnx",)) -> list[str]:
    found = prechecks(facts, NEED, formats=formats, now_s=1000.0)
    return [check.name for check in found if check.status == "FAILED"]


def test_a_good_machine_passes() -> None:
    assert failed(GOOD) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"arch": "mips"}, "architecture"),
        ({"clock_s": 2000.0}, "clock"),
        ({"disk_free_mb": 93.0}, "disk"),
        ({"memory_free_mb": 145.0}, "memory"),
        ({"version": ""}, "edgewright"),
        ({"is_enrolled": False}, "enrolled"),
    ],
)
def test_what_a_machine_lacks_is_named(change: dict[str, object], name: str) -> None:
    assert failed(msgspec.structs.replace(GOOD, **change)) == [name]


def test_an_engine_that_is_not_there_is_named() -> None:
    assert failed(GOOD, formats=("reference",)) == ["runtime"]


def test_what_was_not_measured_did_not_pass() -> None:
    silent = msgspec.structs.replace(GOOD, disk_free_mb=-1.0, clock_s=-1.0)
    found = {c.name: c.status for c in prechecks(silent, NEED, formats=None, now_s=1000.0)}
    assert [name for name, status in found.items() if status == "NOT MEASURED"] == [
        "disk",
        "runtime",
        "clock",
    ]


@pytest.mark.parametrize(
    "url",
    ["host", "http://host", "ssh://", "ssh://u:secret@h", "ssh://h/path", "ssh://h:x", "ssh://-oX"],
)
def test_what_is_no_machine_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="ssh://user@host"):
        parse_target(url)


def test_an_inventory_names_each_machine_once(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "machines.toml"
    path.write_text('[[hosts]]\nurl = "ssh://a"\nhome = "/h"\n[[hosts]]\nurl = "ssh://b:22"\n')
    assert [(t.host, t.port, t.home) for t in read_inventory(path)] == [
        ("a", 0, "/h"),
        ("b", 22, ""),
    ]
    path.write_text('[[hosts]]\nurl = "ssh://a"\n[[hosts]]\nurl = "ssh://a"\n')
    with pytest.raises(InputError, match="in it twice"):
        read_inventory(path)


def test_a_page_says_failed_when_a_check_failed_and_escapes() -> None:
    host = HostReport(
        host="<b>h</b>",
        action="pushed",
        checks=(Check(name="disk", status="FAILED", measured="1 MB"),),
    )
    report = PushReport.of([host], bundle_id="a" * 64, text=("m", "1"), started="now")
    assert (report.passed, report.failed, report.exit_code) == (0, 1, 6)
    page = render(report)
    assert "&lt;b&gt;h&lt;/b&gt;: FAILED" in page
    assert "Downtime was not measured" in page
