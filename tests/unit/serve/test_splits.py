import json
import math
import random
from typing import Any

import pytest

from edgewright.device.serve.splits import Shares, check_order, parameters_of
from edgewright.errors import InputError
from edgewright.wire.admin import SplitOrder

KEYS = [f"device-{number}" for number in range(10_000)]


def shares(order: SplitOrder | None = None, draw: float = 0.5, **weights: float) -> Shares:
    named = {name.removeprefix("v"): weight for name, weight in weights.items()}
    return Shares("har", named, order or SplitOrder(), draw=lambda: draw)


def versions_of_keys(found: Shares) -> list[str]:
    return [found.version({"x-sticky-key": key}, dict) for key in KEYS]


def test_keys_are_shared_by_weight() -> None:
    chosen = versions_of_keys(shares(v1=8, v2=1, v3=1))
    assert chosen.count("1") / len(KEYS) == pytest.approx(0.8, abs=0.02)
    assert chosen.count("2") / len(KEYS) == pytest.approx(0.1, abs=0.02)


def test_when_weights_change_only_keys_of_the_grown_version_move() -> None:
    before = versions_of_keys(shares(v1=9, v2=1, v3=1))
    after = versions_of_keys(shares(v1=9, v2=4, v3=1))
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {new for _, new in moved} == {"2"}
    assert {old for old, _ in moved} == {"1", "3"}


def test_a_key_keeps_its_version_everywhere_and_for_ever() -> None:
    """Other names or another hash would send every client elsewhere after an update."""
    assert versions_of_keys(shares(v1=1, v2=1))[:8] == EXPECTED


EXPECTED = ["1", "1", "1", "2", "2", "2", "2", "1"]


def test_requests_without_a_key_are_drawn_by_weight() -> None:
    generator = random.Random(1)
    found = Shares("har", {"1": 3.0, "2": 1.0}, SplitOrder(), draw=generator.random)
    chosen = [found.version({}, dict) for _ in range(4000)]
    assert chosen.count("2") / 4000 == pytest.approx(0.25, abs=0.03)
    assert shares(draw=math.nextafter(1.0, 0.0), v1=1, v2=1).version({}, dict) == "2"


def test_header_goes_before_parameter_and_numbers_are_keys() -> None:
    order = SplitOrder(header="X-User", parameter="user")
    found = shares(order, v1=1, v2=1)
    by_header = [found.version({"x-user": key}, lambda: {"user": "other"}) for key in KEYS[:50]]
    by_parameter = [found.version({}, lambda key=key: {"user": key}) for key in KEYS[:50]]
    assert by_header == by_parameter
    assert len(set(by_header)) == 2
    assert found.version({}, lambda: {"user": 7}) == found.version({"x-user": "7"}, dict)
    assert found.version({}, lambda: {"user": ""}) == found.version({}, dict)


def test_a_key_of_any_language_is_the_same_in_header_and_parameter() -> None:
    found = shares(v1=1, v2=1)
    keys = [f"Gerät-{number}" for number in range(50)]
    by_header = [
        found.version({"x-sticky-key": key.encode().decode("latin-1")}, dict) for key in keys
    ]
    assert by_header == [found.version({}, lambda key=key: {"sticky_key": key}) for key in keys]
    assert len(set(by_header)) == 2


@pytest.mark.parametrize("key", [True, 1.5])
def test_key_that_is_neither_text_nor_whole_number_is_refused(key: Any) -> None:
    with pytest.raises(InputError, match="parameter sticky_key is"):
        shares(v1=1, v2=1).version({}, lambda: {"sticky_key": key})


def test_parameters_are_read_from_json_before_binary_tensors() -> None:
    text = json.dumps({"inputs": [], "parameters": {"sticky_key": "a"}}).encode()
    assert parameters_of(text, None) == {"sticky_key": "a"}
    assert parameters_of(text + b"\0\1\2", len(text)) == {"sticky_key": "a"}
    for body in (b"", b"[]", b"\xff", b"[" * 9000, b'{"parameters": 3}', b'{"a": 1}'):
        assert parameters_of(body, None) == {}


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        (SplitOrder(weights={"1": -1.0}), "weight -1.0 is not 0 or more"),
        (SplitOrder(weights={"1": math.nan}), "weight nan"),
        (SplitOrder(weights={"1": 0.0, "2": 0.0}), "every weight is 0"),
        (SplitOrder(weights={"1": 1.0, "4": 1.0}), r"no version '4'; loaded are \['1', '2'\]"),
        (SplitOrder(shadows=("4",)), "no version '4'"),
        (SplitOrder(weights={"1": 1.0, "2": 1.0}, shadows=("2",)), "'2' cannot be a shadow"),
        (SplitOrder(shadows=("1", "2")), "cannot be a shadow: it is the one that answers"),
        (SplitOrder(header=""), "keys come in header ''"),
        (SplitOrder(header="a b"), "keys come in header 'a b'"),
        (SplitOrder(parameter=""), "or parameter ''"),
    ],
)
def test_order_that_fits_no_versions_is_refused(order: SplitOrder, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        check_order("har", order, ["1", "2"])
