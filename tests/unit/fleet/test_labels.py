import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.labels import check_labels, parse_labels, parse_query
from edgewright.fleet.office import Office


@pytest.fixture
def fleet(office: Office) -> Office:
    token = office.devices.create_token(TokenOrder(uses=4), by="ada").token
    for name, labels in {
        "a": {"site": "berlin", "tier": "prod"},
        "b": {"site": "berlin", "tier": "test", "camera": "yes"},
        "c": {"site": "rome"},
        "d": {},
    }.items():
        office.devices.enrol(token, name, labels)
    return office


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "abcd"),
        ("site=berlin", "ab"),
        ("site=berlin|rome", "abc"),
        ("site=berlin,tier!=prod", "b"),
        ("tier!=prod", "bcd"),
        ("camera", "b"),
        ("!site", "d"),
        (" site , !camera ", "ac"),
        ("device=a|d", "ad"),
        ("device!=a|d", "bc"),
        ("site=paris", ""),
    ],
)
def test_a_query_finds_its_devices(fleet: Office, query: str, names: str) -> None:
    assert "".join(device.name for device in fleet.devices.find(parse_query(query))) == names


@pytest.mark.parametrize("text", ["site=", "=x", "!site=x", "a b", "device", "site=a,,b", "x;y"])
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="label query"):
        parse_query(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (",".join(["a"] * 33), "33 clauses, at most 32"),
        (",".join(f"!k{number}" for number in range(5_000)), "5000 clauses"),
        (",".join(["a=" + "|".join("x" * 101), "b!=" + "|".join("y" * 100)]), "201 values"),
    ],
)
def test_a_query_that_would_take_the_database_gigabytes_is_refused(text: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        parse_query(text)


def test_the_largest_query_is_answered(fleet: Office) -> None:
    largest = ",".join(["device=" + "|".join("abcd" * 42), *["site=berlin"] * 31])
    assert [device.name for device in fleet.devices.find(parse_query(largest))] == ["a", "b"]


@given(st.text(max_size=40))
def test_any_text_is_a_query_or_an_input_error(text: str) -> None:
    with contextlib.suppress(InputError):
        parse_query(text)


@pytest.mark.parametrize(
    "labels", [{"device": "x"}, {"a b": "x"}, {"a": ""}, {"a": "<script>"}, {"a": "x" * 64}]
)
def test_labels_are_safe_names(labels: dict[str, str]) -> None:
    with pytest.raises(InputError):
        check_labels(labels)


def test_labels_are_written_with_an_equals_sign() -> None:
    with pytest.raises(InputError, match="KEY=VALUE"):
        parse_labels(["site"])
