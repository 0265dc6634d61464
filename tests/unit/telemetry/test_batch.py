import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.telemetry import (
    DriftRecord,
    HealthRecord,
    Record,
    ServingRecord,
    UpdateRecord,
    decode_batch,
    encode_batch,
)
from edgewright.telemetry.batch import BATCH_LIMIT_BYTES
from edgewright.telemetry.records import LINE_LIMIT

SERVED = (
    b'{"kind":"serving","device":"d","sequence":3,"at_s":0.0,"model":"m","bundle":"b",'
    b'"requests":1,"errors":0,"latency_p50_ms":1.0,"latency_p95_ms":2.0}'
)
UPDATE = UpdateRecord(device="d", sequence=1, at_s=1.5, bundle="b", state="commit")


FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 1 << 53)
NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\Z")
NUMBERED = {"device": NAMES, "sequence": COUNTS, "at_s": FINITE}
RECORDS = st.one_of(
    st.builds(
        UpdateRecord,
        bundle=NAMES,
        state=NAMES,
        model=NAMES,
        version=NAMES,
        reason=st.text(),
        **NUMBERED,
    ),
    st.builds(HealthRecord, memory_free_mb=FINITE, disk_free_mb=FINITE, **NUMBERED),
    st.builds(
        DriftRecord,
        model=NAMES,
        channel=st.text(max_size=99),
        cause=st.text(),
        score=FINITE,
        limit=FINITE,
        **NUMBERED,
    ),
)


@given(st.lists(RECORDS))
def test_records_survive_a_batch(records: list[Record]) -> None:
    assert decode_batch(encode_batch(records)).records == tuple(records)


def test_every_kind_is_known_to_the_reader() -> None:
    kinds = [
        UPDATE,
        HealthRecord(device="d", sequence=2, at_s=0, memory_free_mb=1, disk_free_mb=1),
        msgspec.json.decode(SERVED, type=ServingRecord),
        DriftRecord(
            device="d", sequence=4, at_s=0, model="m", channel="c", cause="gain", score=3, limit=2
        ),
    ]
    assert decode_batch(encode_batch(kinds)).unknown == 0


@pytest.mark.parametrize("field", ["model", "version", "bundle", "state", "device"])
@pytest.mark.parametrize("name", ["x" * 129, "a\\u0000", "a b", "a\\n"])
def test_a_name_that_no_database_should_have_as_a_key_is_refused(field: str, name: str) -> None:
    fields = {"device": "d", "bundle": "b", "state": "s", "model": "m", "version": "1"}
    texts = ",".join(f'"{key}":"{name if key == field else fields[key]}"' for key in fields)
    line = f'{{"kind":"update","sequence":1,"at_s":0,{texts}}}'
    with pytest.raises(InputError, match="line 1"):
        decode_batch(line.encode())


def test_a_long_reason_is_cut_and_not_a_reason_to_lose_the_record() -> None:
    told = msgspec.structs.replace(UPDATE, reason="why\0" + "y" * 100_000)
    (record,) = decode_batch(encode_batch([told])).records
    assert isinstance(record, UpdateRecord)
    assert record.reason == "why\N{REPLACEMENT CHARACTER}" + "y" * (LINE_LIMIT - 4)


def test_kinds_of_a_newer_version_are_counted_not_lost_in_silence() -> None:
    content = encode_batch([UPDATE]) + b'{"kind":"weather","sky":"blue"}\n'
    batch = decode_batch(content)
    assert batch.records == (UPDATE,)
    assert batch.unknown == 1


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'{"kind":"update"}',
        b'{"kind":3}',
        b'"\xff"',
        b"{}",
        SERVED.replace(b'"errors":0', b'"errors":1' + b"0" * 400),
        SERVED.replace(b'"requests":1', b'"requests":-1'),
        SERVED.replace(b'"sequence":3', b'"sequence":9007199254740993'),
        b'{"kind":"x","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=[
        "open",
        "list",
        "no-fields",
        "number",
        "no-text",
        "empty",
        "huge",
        "negative",
        "large",
        "nested",
    ],
)
def test_a_spoiled_line_is_named_by_its_number(line: bytes) -> None:
    with pytest.raises(InputError, match="line 2"):
        decode_batch(encode_batch([UPDATE]) + line + b"\n")


def test_a_batch_has_a_size_limit() -> None:
    with pytest.raises(InputError, match="send it in parts"):
        decode_batch(b"\n" * (BATCH_LIMIT_BYTES + 1))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_batch_or_an_input_error(content: bytes) -> None:
    with contextlib.suppress(InputError):
        assert decode_batch(content).unknown >= 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_carry_is_refused_where_it_is_made(value: float) -> None:
    with pytest.raises(ValueError, match="at_s is"):
        UpdateRecord(device="d", sequence=1, at_s=value, bundle="b", state="commit")
