"""What must hold before a bundle goes to a machine: measured facts against limits, nothing else.

>>> facts = parse_facts(b"arch=aarch64" + bytes([10]) + b"disk_kb=1000")
>>> facts.arch, facts.disk_free_mb
('aarch64', 1.024)
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from edgewright.bundle import Manifest
from edgewright.errors import TransportError

Status = Literal["PASSED", "FAILED", "NOT MEASURED"]

ARCHITECTURES = ("x86_64", "aarch64")
CLOCK_LIMIT_S = 300.0
COPIES = 3
"""A bundle lies there as a download, unpacked, and beside the one before."""
DISK_RESERVE_MB = 64.0
MEMORY_RESERVE_MB = 96.0


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: what was found, what was needed."""

    name: str
    status: Status
    measured: str
    needed: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the other machine says of itself. Empty or negative means it did not say."""

    arch: str = ""
    clock_s: float = -1.0
    disk_free_mb: float = -1.0
    memory_free_mb: float = -1.0
    edgewright: str = ""
    version: str = ""
    home: str = ""
    is_enrolled: bool = False


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle asks of a machine."""

    format: str
    file_size_mb: float
    memory_mb: float

    @classmethod
    def of(cls, manifest: Manifest, file_size_bytes: int) -> "Need":
        """By the bundle's size and its declared memory budget."""
        size_mb = file_size_bytes / 1e6
        budget_mb = manifest.contract.budgets.memory_mb
        return cls(format=manifest.format, file_size_mb=size_mb, memory_mb=budget_mb or 2 * size_mb)


def parse_facts(text: bytes) -> Facts:
    """The lines KEY=VALUE that the probe printed.

    Raises:
        TransportError: a number is none.
    """
    lines = text.decode(errors="replace").splitlines()
    pairs = {key: value.strip() for key, _, value in (line.partition("=") for line in lines)}
    try:
        return Facts(
            arch=pairs.get("arch", ""),
            clock_s=float(pairs.get("clock") or -1),
            disk_free_mb=float(pairs.get("disk_kb") or -1) * 1.024e-3,
            memory_free_mb=float(pairs.get("memory_kb") or -1) * 1.024e-3,
            edgewright=pairs.get("edgewright", ""),
            version=pairs.get("version", ""),
            home=pairs.get("home", ""),
            is_enrolled=pairs.get("enrolled") == "yes",
        )
    except ValueError as error:
        raise TransportError(
            f"the machine's facts are not understood: {error}", hint="see its /proc and df"
        ) from error


def prechecks(
    facts: Facts, need: Need, *, formats: tuple[str, ...] | None, now_s: float
) -> Iterator[Check]:
    """Every check before the transfer. `formats` are those that its engines run, None: unasked."""
    yield _check(
        "edgewright",
        facts.version,
        facts.version or "not found",
        "an edgewright on the machine",
    )
    yield _check(
        "enrolled",
        facts.is_enrolled,
        facts.home or "no agent's home found",
        "a home with pinned keys",
    )
    yield _check(
        "architecture",
        facts.arch in ARCHITECTURES,
        facts.arch or "not said",
        " or ".join(ARCHITECTURES),
    )
    yield _amount("disk", facts.disk_free_mb, COPIES * need.file_size_mb + DISK_RESERVE_MB)
    yield _amount("memory", facts.memory_free_mb, need.memory_mb + MEMORY_RESERVE_MB)
    if formats is None:
        yield Check(name="runtime", status="NOT MEASURED", measured="", needed=need.format)
    else:
        yield _check("runtime", need.format in formats, ", ".join(formats) or "none", need.format)
    yield _clock(facts, now_s)


def _clock(facts: Facts, now_s: float) -> Check:
    needed = f"within {CLOCK_LIMIT_S:g} s of this machine's"
    if facts.clock_s < 0:
        return Check(name="clock", status="NOT MEASURED", measured="", needed=needed)
    off_s = facts.clock_s - now_s
    return _check("clock", abs(off_s) <= CLOCK_LIMIT_S, f"{off_s:+.0f} s", needed)


def _amount(name: str, measured_mb: float, needed_mb: float) -> Check:
    needed = f"{needed_mb:.0f} MB free"
    if measured_mb < 0:
        return Check(name=name, status="NOT MEASURED", measured="", needed=needed)
    return _check(name, measured_mb >= needed_mb, f"{measured_mb:.0f} MB free", needed)


def _check(name: str, holds: object, measured: str, needed: str) -> Check:
    return Check(
        name=name, status="PASSED" if holds else "FAILED", measured=measured, needed=needed
    )
