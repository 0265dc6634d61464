"""What a stream file may not say of its sinks."""

import pytest

from edgewright.contract.decoding import decode_toml
from edgewright.device.streams.config import CommandSinkOrder, StreamFile
from edgewright.errors import InputError

FILE = """
[[stream]]
model = "m.ewb"
source = {{ kind = "mqtt", broker = "mqtt://x", topics = ["gym/+/imu"]{key_part} }}
[[stream.sinks]]
kind = "command"
broker = "mqtt://x"
topic = "{topic}"
values = {{ up = 1 }}
safe = 0
low = 0
high = 1
{sensor}
"""


def read(*, key_part: str = "", sensor: str = "", topic: str = "fan") -> StreamFile:
    text = FILE.format(key_part=key_part, sensor=sensor, topic=topic)
    return decode_toml(text.encode(), StreamFile, source="x.toml")


@pytest.mark.parametrize("fields", [{}, {"key_part": ", key_part = 1", "sensor": 'sensor = "a"'}])
def test_one_sensor_drives_an_actuator(fields: dict[str, str]) -> None:
    (sink,) = read(**fields).stream[0].sinks
    assert isinstance(sink, CommandSinkOrder)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"key_part": ", key_part = 1"}, "would drive 'fan' in turn: say with `sensor` which one"),
        ({"sensor": 'sensor = "a"'}, "has no `key_part` to tell"),
        ({"topic": "gym/{key}/fan"}, "commands go to one actuator"),
    ],
)
def test_what_would_drive_it_otherwise_is_refused(fields: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(**fields)


@pytest.mark.parametrize("line", ["hop = 0", "max_gap_s = -1", "max_gap_s = inf", "rate_hz = 0"])
def test_a_number_that_no_stream_can_have_is_refused_where_it_stands(line: str) -> None:
    text = f'[[stream]]\nmodel = "m.ewb"\nsource = {{kind = "file", path = "a.csv"}}\n{line}\n'
    with pytest.raises(InputError, match=r"x\.toml: .*above 0"):
        decode_toml(text.encode(), StreamFile, source="x.toml")
