"""A report of `edgewright validate` as the gate before a rollout's first wave: which bundle it is
about, what it said, where. Values in, values out; who starts the rollout vouches for it.
"""

import hashlib

import msgspec

from edgewright.contract import decode_json
from edgewright.errors import InputError
from edgewright.evidence import Outcome

REPORT_LIMIT_BYTES = 16 << 20

_HINT = "write one: edgewright validate X.ewb --out report.json"


class ReleaseReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rollout keeps of a report; `sha256` is the file's, which is kept elsewhere."""

    bundle_id: str
    outcome: Outcome
    scenarios: tuple[str, ...]
    started: str
    where: str
    sha256: str


class _Verdict(msgspec.Struct, frozen=True):
    outcome: Outcome


class _Machine(msgspec.Struct, frozen=True):
    cpu: str = ""
    board: str = ""


class _One(msgspec.Struct, frozen=True):
    scenario: str = ""
    bundle_id: str = ""
    started: str = ""
    verdict: _Verdict | None = None
    machine: _Machine = _Machine()


class _Document(_One, frozen=True):
    kind: str = ""
    reports: tuple[_One, ...] = ()


def summary_of(content: bytes, *, source: str) -> ReleaseReport:
    """What counts of a report's file.

    Raises:
        InputError: no report, or one that does not say which bundle it is about.
    """
    document = decode_json(content, _Document, source=source)
    if document.kind not in ("validation", "validation-suite"):
        raise InputError(f"{source}: not a report of a validation", hint=_HINT)
    reports = document.reports if document.kind == "validation-suite" else (document,)
    bundles = {one.bundle_id for one in reports}
    outcomes = [one.verdict.outcome for one in reports if one.verdict is not None]
    if len(bundles) != 1 or "" in bundles or len(outcomes) != len(reports):
        raise InputError(
            f"{source}: it does not say which bundle it is about",
            hint="validate the bundle itself, or give --bundle beside a server's URL",
        )
    return ReleaseReport(
        bundle_id=bundles.pop(),
        outcome=_together(outcomes),
        scenarios=tuple(one.scenario for one in reports),
        started=reports[0].started,
        where=reports[0].machine.board or reports[0].machine.cpu,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def check_report(report: ReleaseReport, *, bundle_id: str, release: str) -> None:
    """Pass when the report is about this release and says VALID-PASS.

    Raises:
        InputError: it is about another bundle, or says something else.
    """
    if report.bundle_id != bundle_id:
        raise InputError(
            f"the report is about bundle {report.bundle_id[:12]}, {release} is {bundle_id[:12]}",
            hint="validate the bundle that was published",
        )
    if report.outcome != "VALID-PASS":
        raise InputError(
            f"{release} was not validated: its report says {report.outcome}, expected VALID-PASS",
            hint="see the report's reasons; INVALID wants a quieter machine",
        )


def _together(outcomes: list[Outcome]) -> Outcome:
    """One miss fails them all; without one, one unsound measurement makes them unsound."""
    if "VALID-FAIL" in outcomes:
        return "VALID-FAIL"
    return "INVALID" if "INVALID" in outcomes or not outcomes else "VALID-PASS"
