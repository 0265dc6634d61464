"""The record of one validation: what was asked, what was measured, what follows."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright.contract import Evidence, decode_json, encode_json
from edgewright.errors import InputError
from edgewright.evidence import Outcome, Verdict, exit_code_of
from edgewright.measure import Machine, Noise
from edgewright.validate.answers import AnswerCheck
from edgewright.validate.figures import Histogram, Slice

SCHEMA_VERSION = 1
REPORT_LIMIT_BYTES = 16 << 20


class MemorySample(msgspec.Struct, frozen=True, kw_only=True):
    """The server's memory at one moment of the run."""

    at_s: float
    mb: float


class Discarded(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that the machine spoilt, and how."""

    attempt: int
    doubts: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One validation. Every figure is an `Evidence`: how, where, when and on what it was measured.

    `is_partial` marks a run that was interrupted; its verdict is INVALID.
    """

    schema_version: int = SCHEMA_VERSION
    kind: str = "validation"
    scenario: str
    model: str
    subject: str
    bundle_id: str = ""
    verdict: Verdict
    started: str
    seconds: float
    machine: Machine
    figures: tuple[Evidence, ...]
    requests: int
    answered: int
    failed: int
    errors: dict[str, int]
    answers: AnswerCheck
    notes: tuple[str, ...] = ()
    noise: Noise | None = None
    discarded: tuple[Discarded, ...] = ()
    histogram: Histogram = Histogram(edges_ms=(), counts=())
    timeline: tuple[Slice, ...] = ()
    memory: tuple[MemorySample, ...] = ()
    is_partial: bool = False

    @property
    def all_reports(self) -> tuple["Report", ...]:
        """Itself: a single validation is read like a suite of one."""
        return (self,)

    @property
    def left_out(self) -> tuple["LeftOut", ...]:
        return ()

    @property
    def outcome(self) -> Outcome:
        return self.verdict.outcome

    @property
    def exit_code(self) -> int:
        return self.verdict.exit_code

    def figure(self, name: str) -> Evidence | None:
        """The figure of that name, None when it was not measured."""
        return next((one for one in self.figures if one.name == name), None)


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario of a suite that this subject cannot be put through, and why."""

    scenario: str
    reason: str


class SuiteReport(msgspec.Struct, frozen=True, kw_only=True):
    """Several validations of one subject, and what follows from them together."""

    schema_version: int = SCHEMA_VERSION
    kind: str = "validation-suite"
    outcome: Outcome
    seconds: float
    reports: tuple[Report, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def all_reports(self) -> tuple[Report, ...]:
        return self.reports

    @property
    def is_partial(self) -> bool:
        return any(report.is_partial for report in self.reports)

    @property
    def exit_code(self) -> int:
        return exit_code_of(self.outcome)


def outcome_of(reports: Sequence[Report]) -> Outcome:
    """One miss fails them all; without one, one unsound measurement makes them unsound."""
    outcomes = [report.verdict.outcome for report in reports]
    if "VALID-FAIL" in outcomes:
        return "VALID-FAIL"
    return "INVALID" if "INVALID" in outcomes or not outcomes else "VALID-PASS"


def encode_report(report: Report | SuiteReport) -> bytes:
    """The one JSON text of a report."""
    return encode_json(report)


def read_report(path: Path) -> Report:
    """A report of one scenario that was written before.

    Raises:
        InputError: no such file, not a report, one of a suite, or one of a newer schema.
    """
    report = read_any_report(path)
    if isinstance(report, SuiteReport):
        raise InputError(
            f"{path}: the report of a whole suite, expected that of one scenario",
            hint="write one: edgewright validate X.ewb --scenario NAME --out FILE",
        )
    return report


def read_any_report(path: Path) -> Report | SuiteReport:
    """A report that was written before, of one scenario or of a suite.

    Raises:
        InputError: no such file, not a report, or one of a newer schema.
    """
    content = read_limited(path, limit_bytes=REPORT_LIMIT_BYTES)
    head = decode_json(content, _Head, source=str(path))
    kinds: dict[str, type[Report | SuiteReport]] = {
        "validation": Report,
        "validation-suite": SuiteReport,
    }
    if head.kind not in kinds or head.schema_version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: kind {head.kind!r} version {head.schema_version}, expected "
            f"{' or '.join(map(repr, kinds))} version {SCHEMA_VERSION}",
            hint="give a file that `edgewright validate --out` wrote",
        )
    return decode_json(content, kinds[head.kind], source=str(path))


class _Head(msgspec.Struct):
    kind: str = ""
    schema_version: int = 0
