"""Which bridges go in a circle."""

import pytest

from edgewright.contract.decoding import decode_toml
from edgewright.device.streams.circles import circle_in, overlap
from edgewright.device.streams.config import BridgePart, StreamFile
from edgewright.errors import InputError


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "+/b", True),
        ("a/+", "a", False),
        ("a/#", "a", True),
        ("#", "x/y/z", True),
        ("a/+/c", "a/b/d", False),
        ("a/b/c", "a/#", True),
    ],
)
def test_filters_meet_where_one_topic_matches_both(one: str, other: str, *, expected: bool) -> None:
    assert overlap(one, other) == overlap(other, one) == expected


def bridge(source: str, target: str, topic: str, prefix: str = "") -> BridgePart:
    return BridgePart(source=source, target=target, topics=(topic,), prefix=prefix)


NEAR, FAR = "mqtt://near", "mqtts://edge:secret@far:8883"


@pytest.mark.parametrize(
    ("there", "back", "is_circle"),
    [
        (("#", ""), ("#", ""), True),
        (("#", "a/"), ("#", "b/"), True),
        (("#", "site1/"), ("site1/#", ""), True),
        (("#", "site1/"), ("site1/cmd/#", ""), False),
        (("gym/+/activity", "site1/"), ("site1/cmd/#", ""), False),
        (("up/#", ""), ("down/#", ""), False),
        (("#", "up/"), ("down/#", ""), False),
    ],
)
def test_two_bridges_go_in_a_circle_or_not(
    there: tuple[str, str], back: tuple[str, str], *, is_circle: bool
) -> None:
    ways = [bridge(NEAR, FAR, *there), bridge("mqtts://far:8883/", NEAR, *back)]
    assert (circle_in(ways) is not None) == is_circle
    assert (circle_in(ways[::-1]) is not None) == is_circle
    assert circle_in([ways[0], ways[0]]) is None


def test_a_circle_is_refused_where_the_file_is_read() -> None:
    text = """
[[bridge]]
source = "mqtt://near"
target = "mqtt://far"
topics = ["#"]
[[bridge]]
source = "mqtt://far"
target = "mqtt://near"
topics = ["#"]
"""
    with pytest.raises(InputError, match=r"bridge\[0\] and bridge\[1\] hand each other's messages"):
        decode_toml(text.encode(), StreamFile, source="x.toml")
