"""What a device's step of an update tells a rollout.

The words are those of the agent (`edgewright.device.agent.machine`): `state` is the state that was
entered, `reason` begins with the event that led there. What blames the release ("refused") is
final; what blames the circumstances ("failed", "timed_out", "cancelled", a cut) is not: the device
tries again, and the deadline decides. "kept" is the word of a device that ran the release already
when it was ordered.

    >>> from edgewright.telemetry import UpdateRecord
    >>> step = UpdateRecord(
    ...     device="d1", sequence=7, at_s=0.0, bundle="b" * 64, state="idle",
    ...     reason="refused: probe: output 3 differs",
    ... )
    >>> event_of(step)
    Failed(device='d1', reason='probe: output 3 differs')
"""

from edgewright.fleet.rollout_terms import Acknowledged, Committed, Failed, Told, Validated
from edgewright.telemetry import UpdateRecord, ValidationRecord

_COMMITTED = frozenset({"commit"})
_WENT_BACK = frozenset({"rollback"})
_FAILED = frozenset({"failed", "refused"})


def event_of(record: UpdateRecord | ValidationRecord) -> Told:
    """The event for the rollout of this record's bundle."""
    if isinstance(record, ValidationRecord):
        return Validated(record.device, record.outcome, record.reason)
    word, _, text = record.reason.partition(": ")
    if record.state in _COMMITTED or (record.state == "idle" and word == "kept"):
        return Committed(record.device)
    if record.state in _WENT_BACK:
        return Failed(record.device, record.reason or "the device went back")
    if record.state in _FAILED:
        return Failed(record.device, record.reason or record.state)
    if record.state == "idle" and word == "refused":
        return Failed(record.device, text or "refused")
    return Acknowledged(record.device)
