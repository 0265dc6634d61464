"""Batches of records as JSON lines."""

from collections.abc import Iterable

import msgspec

from edgewright.errors import InputError
from edgewright.telemetry.records import Record

BATCH_LIMIT_BYTES = 1 << 20

_decoder = msgspec.json.Decoder(Record)


class _Kind(msgspec.Struct):
    kind: str


_KNOWN = frozenset({"update", "health", "serving", "drift", "validation"})


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one batch, and how many lines were of a kind this version does not know."""

    records: tuple[Record, ...]
    unknown: int = 0


def encode_batch(records: Iterable[Record]) -> bytes:
    """One record a line."""
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def decode_batch(content: bytes) -> Batch:
    """The records of a batch.

    Raises:
        InputError: a line is not a record, or the batch is larger than `BATCH_LIMIT_BYTES`.
    """
    if len(content) > BATCH_LIMIT_BYTES:
        raise InputError(
            f"telemetry batch of {len(content)} bytes, at most {BATCH_LIMIT_BYTES} are taken",
            hint="send it in parts",
        )
    records: list[Record] = []
    unknown = 0
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            if msgspec.json.decode(line, type=_Kind).kind not in _KNOWN:
                unknown += 1
                continue
            records.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"telemetry batch, line {number}: {error}") from error
    return Batch(records=tuple(records), unknown=unknown)
