"""What `edgewright measure` finds of model files on one machine. It travels from devices as JSON:
fields are added, never changed.
"""

import msgspec

from edgewright.evidence.interval import Interval
from edgewright.measure.machine import Machine

SCHEMA_VERSION = 1


class FileMeasured(msgspec.Struct, frozen=True, kw_only=True):
    """One file. What was not measured is None; a file that could not be measured at all has a
    `reason`. Ratios are to the first file, from rounds that took turns.
    """

    file: str
    size_bytes: int
    placement: str = ""
    latency_ms: Interval | None = None
    latency_ratio: Interval | None = None
    rounds: int = 0
    energy_ratio: Interval | None = None
    memory_bytes: int | None = None
    reason: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Files in the order in which they were given, and how they were measured. `core` is the one
    that the measurement was kept on, None where it was not.
    """

    files: tuple[FileMeasured, ...]
    machine: Machine
    threads: int
    clock: str
    core: int | None = None
    energy: str = ""
    schema_version: int = SCHEMA_VERSION
