"""What came of pushing, machine by machine: as JSON, as a page, as a verdict.

A check that could not be made is NOT MEASURED; it never counts as passed.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from edgewright.fleet.push.checks import Check
from edgewright.fleet.push.downtime import Downtime

Action = Literal[
    "pushed", "installed", "rolled back", "returned", "nothing to do", "refused", "failed"
]
"""Installed: the package alone. Returned: pushed, found unhealthy, and taken back. Refused: nothing
was changed.
"""

_GOOD: frozenset[Action] = frozenset({"pushed", "installed", "rolled back", "nothing to do"})


class HostReport(msgspec.Struct, frozen=True, kw_only=True):
    """One machine."""

    host: str
    action: Action
    host_key: str = ""
    model: str = ""
    before: str = ""
    after: str = ""
    checks: tuple[Check, ...] = ()
    downtime: Downtime | None = None
    seconds: float = 0.0
    error: str = ""
    exit_code: int = 0

    @property
    def is_passed(self) -> bool:
        """Whether it is as it was wanted, by what was measured."""
        return self.action in _GOOD and not any(c.status == "FAILED" for c in self.checks)


class PushReport(msgspec.Struct, frozen=True, kw_only=True):
    """All machines."""

    bundle_id: str
    model: str
    version: str
    started: str
    hosts: tuple[HostReport, ...]
    passed: int
    failed: int

    @classmethod
    def of(
        cls, hosts: Sequence[HostReport], *, bundle_id: str, text: tuple[str, str], started: str
    ) -> "PushReport":
        """Count what came of it."""
        passed = sum(host.is_passed for host in hosts)
        return cls(
            bundle_id=bundle_id,
            model=text[0],
            version=text[1],
            started=started,
            hosts=tuple(hosts),
            passed=passed,
            failed=len(hosts) - passed,
        )

    @property
    def exit_code(self) -> int:
        """0 when all passed, otherwise the first failure's."""
        codes = [host.exit_code or 6 for host in self.hosts if not host.is_passed]
        return codes[0] if codes else 0


def render(report: PushReport) -> str:
    """The page."""
    return _ENVIRONMENT.get_template("push.html").render(report=report)


_ENVIRONMENT = Environment(
    loader=PackageLoader("edgewright.fleet.push"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
