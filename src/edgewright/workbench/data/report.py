"""What `check_dataset` says: typed values that a page, a table and JSON are made from."""

from typing import Literal

import msgspec

Severity = Literal["error", "warning", "info"]


class Finding(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One thing that is wrong or worth knowing: where, and how much of it there is. `start_s` is
    where in the recording it begins, or is worst.
    """

    code: str
    severity: Severity
    message: str
    recording: str = ""
    channel: str = ""
    count: int = 0
    start_s: float | None = None


class ChannelSummary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel over all recordings; the quantiles are of the finite samples."""

    name: str
    unit: str
    low: float
    q01: float
    median: float
    q99: float
    high: float
    std: float


class Balance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labelled seconds of one class or one person, and the share of all."""

    name: str
    seconds: float
    share: float
    recordings: int


class DataReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The health of a dataset."""

    content_hash: str
    source: str
    recordings: int
    samples: int
    seconds: float
    rate_hz: float
    channels: tuple[ChannelSummary, ...]
    classes: tuple[Balance, ...]
    subjects: tuple[Balance, ...]
    findings: tuple[Finding, ...]
    schema_version: int = 1

    @property
    def worst(self) -> Severity:
        """The gravest severity found; "info" when nothing is wrong."""
        found = {finding.severity for finding in self.findings}
        return "error" if "error" in found else "warning" if "warning" in found else "info"
