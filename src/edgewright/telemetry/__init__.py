"""The small typed records that come back from devices; they carry a schema version each.

A batch is JSON lines, one record a line, so that a device appends while offline and a torn last
line is the only thing a power cut can spoil. A reader skips kinds it does not know yet and says how
many.

    >>> record = UpdateRecord(device="d1", sequence=1, at_s=0.0, bundle="b" * 64, state="commit")
    >>> decode_batch(encode_batch([record])).records == (record,)
    True
"""

from edgewright.telemetry.batch import Batch, decode_batch, encode_batch
from edgewright.telemetry.probe_report import ProbeReport
from edgewright.telemetry.records import (
    DriftRecord,
    Figure,
    HealthRecord,
    Record,
    ServingRecord,
    UpdateRecord,
    ValidationRecord,
)

__all__ = [
    "Batch",
    "DriftRecord",
    "Figure",
    "HealthRecord",
    "ProbeReport",
    "Record",
    "ServingRecord",
    "UpdateRecord",
    "ValidationRecord",
    "decode_batch",
    "encode_batch",
]
