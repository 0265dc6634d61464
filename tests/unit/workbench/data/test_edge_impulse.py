import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.workbench.data import SourceMapping, read_edge_impulse, read_source
from edgewright.workbench.data.sources._cbor import decode_cbor

EVE = SourceMapping(subject_is="eve")


def acquisition(**changes: Any) -> dict[str, Any]:
    payload = {
        "device_name": "ac:87",
        "device_type": "WATCH",
        "interval_ms": 20,
        "sensors": [
            {"name": "acc_x", "units": "m/s2"},
            {"name": "acc_y", "units": "m/s2"},
            {"name": "acc_z", "units": "m/s2"},
        ],
        "values": [[0.0, 0.5, 9.80665 + n] for n in range(60)],
        **changes,
    }
    return {
        "protected": {"ver": "v1", "alg": "none", "iat": 1_700_000_000},
        "signature": "0" * 64,
        "payload": {key: value for key, value in payload.items() if value is not None},
    }


def encode_cbor(value: Any) -> bytes:
    """The reference for the reader: the plainest encoder of the same kinds."""
    match value:
        case None | False | True:
            encoded = {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
        case int():
            encoded = _head(0, value) if value >= 0 else _head(1, -1 - value)
        case float():
            encoded = b"\xfb" + struct.pack(">d", value)
        case bytes():
            encoded = _head(2, len(value)) + value
        case str():
            encoded = _head(3, len(value.encode())) + value.encode()
        case list():
            encoded = _head(4, len(value)) + b"".join(map(encode_cbor, value))
        case _:
            pairs = [encode_cbor(key) + encode_cbor(each) for key, each in value.items()]
            encoded = _head(5, len(value)) + b"".join(pairs)
    return encoded


def _head(major: int, size: int) -> bytes:
    for info, count in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if size < 24:
            return bytes([major << 5 | size])
        if size < 1 << 8 * count:
            return bytes([major << 5 | info]) + size.to_bytes(count, "big")
    raise AssertionError(size)


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    encoded = encode_cbor(content) if name.endswith(".cbor") else json.dumps(content).encode()
    path.write_bytes(encoded)
    return path


@pytest.mark.parametrize("suffix", ["json", "cbor"])
def test_sensors_units_interval_and_label_are_read(tmp_path: Path, suffix: str) -> None:
    dataset = read_edge_impulse(write(tmp_path, f"walk.3b2f.{suffix}", acquisition()), EVE)
    (recording,) = dataset.recordings
    assert dataset.rate_hz == 50.0
    assert dataset.label_names == ("walk",)
    assert [channel.unit for channel in dataset.channels] == ["g"] * 3
    assert recording.samples[0, 2] == pytest.approx(1.0)
    assert (recording.subject, recording.name, len(recording)) == ("eve", "walk.3b2f", 60)


def test_the_device_may_stand_for_the_person(tmp_path: Path) -> None:
    mapping = SourceMapping(subject="device_name")
    path = write(tmp_path, "walk.1.json", acquisition())
    assert read_edge_impulse(path, mapping).subjects == ("ac:87",)


def test_without_a_person_the_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "walk.1.json", acquisition())
    with pytest.raises(InputError, match="subject_is"):
        read_edge_impulse(path, SourceMapping())


def test_one_sensor_may_come_as_plain_numbers(tmp_path: Path) -> None:
    content = acquisition(sensors=[{"name": "acc_x", "units": "g"}], values=[0.5, 1.5])
    dataset = read_edge_impulse(write(tmp_path, "walk.1.json", content), EVE)
    assert dataset.recordings[0].samples[:, 0].tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": [[1, 2]]}, "row 1 of values is no list of 3 numbers"),
        ({"values": [[1, 2, "x"]]}, "row 1 of values"),
        ({"values": []}, "no rows"),
        ({"values": None}, "values"),
        ({"interval_ms": 0}, "interval_ms is 0"),
        ({"sensors": [{"name": n, "units": "furlong"} for n in "xyz"]}, "unit 'furlong'"),
        ({"sensors": [{"name": "acc_x", "units": "m/s2"}] * 3}, "'acc_x'.* there twice"),
        ({"interval_ms": 1e-9}, "rate_hz is 1e.12, expected above 0 and at most"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, "walk.1.json", acquisition(**changes))
    with pytest.raises(InputError, match=message):
        read_edge_impulse(path, EVE)


@pytest.mark.parametrize("suffix", ["json", "cbor"])
@pytest.mark.parametrize("cut", [0, 1, 40, 200])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, cut: int) -> None:
    path = write(tmp_path, f"walk.1.{suffix}", acquisition())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"walk\.1"):
        read_edge_impulse(path, EVE)


def test_a_folder_of_files_is_one_dataset(tmp_path: Path) -> None:
    for name in ("walk.1.json", "sit.2.cbor", "deeper/walk.3.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path, name, acquisition())
    (tmp_path / "notes.txt").write_text("not a recording")
    dataset = read_source(".", EVE, folder=tmp_path)
    found = {r.name: dataset.label_names[r.label[0]] for r in dataset.recordings}
    assert found == {"walk.1": "walk", "sit.2": "sit", "deeper/walk.3": "walk"}


def test_files_that_disagree_are_named(tmp_path: Path) -> None:
    write(tmp_path, "walk.1.json", acquisition())
    write(tmp_path, "walk.2.json", acquisition(interval_ms=10))
    with pytest.raises(InputError, match="disagree on channels or rate"):
        read_source(".", EVE, folder=tmp_path)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file in it is of a known kind"):
        read_source(".", EVE, folder=tmp_path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.text()
    | st.binary()
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(VALUES)
def test_cbor_comes_back(value: Any) -> None:
    assert decode_cbor(encode_cbor(value)) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(InputError):
        decode_cbor(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x9f\x01\xff", "indefinite length"),
        (b"\x81" * 40 + b"\x01", "deeper than 32"),
        (b"\x01\x01", "1 bytes follow"),
        (b"\xa1\x01\x01", "a map key is int"),
        (b"\x62\xff\xfe", "not UTF-8"),
        (b"\x9b" + b"\xff" * 8, "in the middle of a value"),
        (b"\xf8\x20", "simple value"),
    ],
)
def test_cbor_that_is_not_read_says_why(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_cbor(content)


def test_small_floats_are_read() -> None:
    half, single = b"\xf9" + struct.pack(">e", 1.5), b"\xfa" + struct.pack(">f", 0.25)
    assert decode_cbor(half) == 1.5
    assert decode_cbor(single) == 0.25
    assert np.isnan(decode_cbor(b"\xf9\x7e\x00"))
