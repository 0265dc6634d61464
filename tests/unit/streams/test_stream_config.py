"""What a stream file may not say."""

import codecs
from pathlib import Path

import pytest

from edgewright.chain.stream_tools import Tools
from edgewright.contract import Contract, Tensor
from edgewright.contract.decoding import decode_toml
from edgewright.device.streams.command import CommandOrder, check_command
from edgewright.device.streams.config import CommandSinkOrder, Login, StreamFile
from edgewright.device.streams.plan import Wishes, plan_stream
from edgewright.errors import InputError
from edgewright.testing import FakeClock

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


SOURCES = {
    "file": 'kind = "file", path = "a.csv"',
    "mqtt": 'kind = "mqtt", broker = "mqtt://x", topics = ["a"]',
    "serial": 'kind = "serial", port = "/dev/ttyS0"',
}


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        decode_toml(text.encode(), StreamFile, source="x.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "field", "words"),
    [
        ("file", "speed = 0", "speed is 0, expected above 0 at 'stream[0].source'"),
        ("file", "speed = nan", "speed is nan, expected above 0"),
        ("file", "rate_hz = -5", "rate_hz is -5, expected above 0"),
        ("file", 'time_unit = "min"', "time_unit is 'min', expected one of ['s', 'ms'"),
        ("mqtt", "rate_hz = inf", "rate_hz is inf, expected above 0"),
        ("mqtt", 'login = {key = "a"}', "`key` without the `cert` that it belongs to"),
        ("serial", "baud = -3", "baud is -3, expected above 0"),
    ],
)
def test_a_value_that_no_source_can_have_is_refused_where_it_stands(
    kind: str, field: str, words: str
) -> None:
    text = f'[[stream]]\nmodel = "m.ewb"\nsource = {{{SOURCES[kind]}, {field}}}\n'
    assert words in refused(text)


HTTP = 'sinks = [{kind = "http", url = "u", queue = {folder = "", key_file = "", limit_mb = inf}}]'
STREAM = f'[[stream]]\nmodel = "m.ewb"\nsource = {{{SOURCES["file"]}}}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patience_s = nan\n" + STREAM, "patience_s is nan, expected 0 or more"),
        ("patience_s = -1\n" + STREAM, "patience_s is -1, expected 0 or more"),
        (STREAM + "sensors = 0\n", "sensors is 0, expected 1 or more"),
        (STREAM.replace('"file"', '"fil"'), "'stream[0].source.kind'; did you mean 'file'?"),
        (STREAM.replace("[[stream]]", "[stream]"), "write [[stream]] above it"),
        (STREAM.replace(SOURCES["file"], 'kind = "mqtt", topics = "a", broker = "b"'),
         'at \'stream[0].source.topics\'; write topics = ["..."]'),
        (STREAM + 'sinks = [{kind = "kafka"}]\n', "sinks[0].kind'; known: amqp, command"),
        (STREAM + HTTP, "limit_mb is inf, expected above 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_what_is_known(text: str, words: str) -> None:
    assert words in refused(text)


def test_a_file_of_an_editor_that_marks_utf8_is_read() -> None:
    file = decode_toml(codecs.BOM_UTF8 + STREAM.encode(), StreamFile, source="x.toml")
    assert file.stream[0].model == "m.ewb"


def test_a_session_is_held_by_one_part_only() -> None:
    part = f'[[stream]]\nmodel = "m.ewb"\nsource = {{{SOURCES["mqtt"]}, session = "s"}}\n'
    bridge = '[[bridge]]\nsource = "mqtt://x"\ntarget = "mqtt://y"\ntopics = ["a"]\nsession = "s"\n'
    assert "two parts hold the session 's' at one broker" in refused(part + part)
    assert "two parts hold the session 's' at one broker" in refused(part + bridge)
    decode_toml((part + bridge.replace("mqtt://x", "mqtt://z")).encode(), StreamFile, source="x")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"p\xe4ss", "not UTF-8 text"), (b"", "has 0 lines"), (b"a\nb\n", "has 2 lines")],
)
def test_a_secret_is_one_line_of_text(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "password").write_bytes(content)
    tools = Tools(tmp_path, clock=FakeClock(), patience_s=0)
    with pytest.raises(InputError, match=f"{words}.*, expected one line with a password or token"):
        tools.secret("password")
    (tmp_path / "password").write_bytes(codecs.BOM_UTF8 + b" secret\r\n")
    assert tools.secret("password") == "secret"


def test_certificates_do_not_go_with_an_address_that_has_no_tls(tmp_path: Path) -> None:
    tools = Tools(tmp_path, clock=FakeClock(), patience_s=0)
    with pytest.raises(InputError, match="mqtt:// has none; write mqtts://"):
        tools.login(Login(ca="ca.pem"), "mqtt://broker")


def contract(*, size: int, labels: tuple[str, ...] = ()) -> Contract:
    shape = ("batch", 4, 1)
    return Contract(
        inputs=(Tensor(name="x", dtype="float32", shape=shape),),
        outputs=(Tensor(name="speed", dtype="float32", shape=("batch", size)),),
        labels=labels,
        rate_hz=10.0,
    )


@pytest.mark.parametrize(
    ("made", "fields", "words"),
    [
        (contract(size=2, labels=("down", "up")), {"values": {"upp": 1.0}}, "did you mean 'up'"),
        (contract(size=2, labels=("down", "up")), {"output": "speed"}, "say `values` for them"),
        (contract(size=1), {"values": {"up": 1.0}}, "name an `output` instead"),
        (contract(size=1), {"output": "sped"}, "did you mean 'speed'"),
        (contract(size=3), {"output": "speed"}, "a command is one number"),
    ],
)
def test_a_command_that_no_result_can_give_is_refused(
    made: Contract, fields: dict[str, object], words: str
) -> None:
    order = CommandOrder(safe=0.0, low=0.0, high=1.0, **fields)  # type: ignore[arg-type]  # a table
    with pytest.raises(InputError, match=words):
        check_command(order, made, plan_stream(made, Wishes()))


def test_a_command_that_a_result_can_give_is_taken() -> None:
    given = {"safe": 0.0, "low": 0.0, "high": 1.0}
    number, states = contract(size=1), contract(size=2, labels=("down", "up"))
    check_command(CommandOrder(**given, output="speed"), number, plan_stream(number, Wishes()))
    order = CommandOrder(**given, values={"up": 1.0})
    check_command(order, states, plan_stream(states, Wishes()))
