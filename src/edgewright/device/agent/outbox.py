"""Telemetry that the fleet has not taken yet: kept on disk, bounded, delivered in order.

Steps of updates are copied from the journal, each with its line number, so that a cut between the
two files loses none: `catch_up` copies what is missing. The newest delivered record stays in the
file as the place in both numberings.

What was delivered is not noted by itself: after a start the oldest records here are sent, of which
the fleet may have some or all. It refuses what ends before its newest record, so whatever is sent
is among the first `BATCH` records of the file: then so is all that may have arrived, and the first
batch after a start reaches as far.
"""

from collections.abc import Callable, Iterable

import msgspec

from edgewright.device.agent.journal import Line
from edgewright.device.agent.numbers import Numbers
from edgewright.errors import InputError
from edgewright.stores import Log
from edgewright.telemetry import Record, UpdateRecord

KEEP = 2000
BATCH = 200

_encoder = msgspec.json.Encoder()


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    record: Record
    journal: int = 0


_decoder = msgspec.json.Decoder(_Kept)


class Outbox:
    """The records of one device, numbered without a gap as long as the disk loses nothing; after a
    loss the numbers go on above all that were ever used.
    """

    def __init__(self, log: Log, numbers: Numbers, *, device: str) -> None:
        self._log = log
        self._numbers = numbers
        log.skip_to(numbers.first_free(log))
        self._device = device
        self._sent = 0
        self._journal = max((_kept(entry.payload).journal for entry in log.entries), default=0)

    def __len__(self) -> int:
        """How many records may still have to be sent."""
        return sum(entry.sequence > self._sent for entry in self._log.entries)

    def add(self, make: Callable[[str, int], Record], *, journal: int = 0) -> None:
        """Keep one record, made with this device's name and the record's number."""
        self._numbers.reserve(self._log.next_sequence)
        record = make(self._device, self._log.next_sequence)
        self._journal = max(self._journal, journal)
        self._log.append(_encoder.encode(_Kept(record=record, journal=self._journal)))
        if len(self._log.entries) > KEEP:
            self._log.trim(before=self._log.entries[KEEP // 4].sequence)

    def catch_up(self, lines: Iterable[Line]) -> None:
        """Copy the journal's lines that are not here yet."""
        for line in lines:
            if line.sequence > self._journal:
                self.add_step(line)

    def add_step(self, line: Line) -> None:
        """Keep one step of an update."""
        progress = line.progress
        release = progress.release

        def make(device: str, sequence: int) -> Record:
            return UpdateRecord(
                device=device,
                sequence=sequence,
                at_s=progress.at_s,
                bundle=release.bundle_id if release else "",
                version=release.version if release else "",
                model=progress.model,
                state=progress.state.value,
                reason=": ".join(part for part in (progress.event, progress.reason) if part),
            )

        self.add(make, journal=line.sequence)

    def waiting(self) -> tuple[Record, ...]:
        """The next records to send, oldest first."""
        if self._sent and len(self._log.entries) > BATCH:
            self._log.trim(before=self._sent)
        entries = [entry for entry in self._log.entries[:BATCH] if entry.sequence > self._sent]
        return tuple(_kept(entry.payload).record for entry in entries)

    def delivered(self, sequence: int) -> None:
        """The fleet took everything up to this number."""
        self._sent = max(self._sent, sequence)
        if len(self._log.entries) > BATCH and sequence > self._log.entries[0].sequence:
            self._log.trim(before=sequence)

    def number_anew(self, *, above: int) -> None:
        """Number what waits, and whatever comes, above a number that the fleet knows already: its
        records are another outbox's, of which this is an older copy. A cut in the middle has some
        records told twice.

        Raises:
            ResourceError: the outbox cannot be written.
        """
        kept = [_kept(e.payload) for e in self._log.entries if e.sequence > self._sent]
        self._numbers.reserve(above + 1)
        self._log.skip_to(above + 1)
        first = self._log.next_sequence
        for one in kept:
            self._numbers.reserve(self._log.next_sequence)
            record = msgspec.structs.replace(one.record, sequence=self._log.next_sequence)
            self._log.append(_encoder.encode(_Kept(record=record, journal=one.journal)))
        if kept:
            self._log.trim(before=first)


def _kept(payload: bytes) -> _Kept:
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise InputError(f"outbox: {error}", hint="a newer agent wrote it; install it") from error
