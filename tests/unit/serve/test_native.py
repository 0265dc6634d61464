"""The part in C gives what its reference in Python gives, on the same bytes.

`make test-native` builds it and runs these, and the server's other tests on top of it.
"""

import asyncio
import gc
import importlib.util
import itertools
import json
import random
import struct
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright import _native
from edgewright.contract import Tensor
from edgewright.device.serve import gathering as gathering_now
from edgewright.device.serve import tensors
from edgewright.errors import InputError, UnavailableError
from edgewright.transports import _http1_house, _http1_quick
from edgewright.transports.base import Frame, Head

if _native.part is None:
    pytest.skip("`make test-native` builds the part in C and runs these", allow_module_level=True)

CODES = {
    "f": "FP32",
    "e": "FP16",
    "d": "FP64",
    "B": "UINT8",
    "b": "INT8",
    "h": "INT16",
    "i": "INT32",
    "q": "INT64",
}
BEFORE, AFTER = b'{"data":[', b"]}"


def reference_of(module: ModuleType) -> Any:
    """The module as it is where the part in C is absent."""
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    kept, _native.part = _native.part, None
    try:
        spec.loader.exec_module(found)
    finally:
        _native.part = kept
    return found


PURE = reference_of(gathering_now)


def shape_of(code: str, count: int) -> Any:
    return gathering_now.Shape(
        BEFORE,
        AFTER,
        shape=(1, count),
        count=count,
        code=code,
        pack=struct.Struct(f"<{count}{code}").pack,
    )


def gathered(kind: Any, code: str, count: int, texts: list[str]) -> Any:
    """What the model would read of each text alone; None where it is left to be read with care."""

    class Kept(kind):  # type: ignore[misc]  # either class
        def _answer(self, batch: Any) -> None:
            try:
                found.append(batch.content())
            except Exception:  # noqa: BLE001 - as a lane does
                found.append(None)
            assert [body for _, body, _ in batch.requests()] == [sent]

    found: list[bytes | None] = []
    lane = Kept(shape_of(code, count), 8, itertools.count(0.0).__next__, lambda: True, print)
    for text in texts:
        sent = BEFORE + text.encode() + AFTER
        if not lane.take(object(), sent):
            found.append(None)
    return found


def test_this_runs_on_the_part_in_c() -> None:
    assert _native.name() == "native"
    assert gathering_now.Gathering is _native.part.Gathering is not PURE.Gathering
    assert _http1_quick.QuickConnection is _native.part.QuickConnection
    assert _http1_house.Known is _native.part.Known
    assert gathering_now.Door is _native.part.Door


def between_floats(chance: random.Random) -> str:
    """Halfway between two floats, or next to it."""
    bits = chance.randrange(0x00000001, 0x7F7FFFFF)
    low, high = (struct.unpack("<f", struct.pack("<I", n))[0] for n in (bits, bits + 1))
    return f"{(low + high) / 2:.{chance.randint(8, 40)}e}"


def large(chance: random.Random) -> int:
    return chance.randint(0, 2 ** chance.randint(1, 70))


ODD_NUMBERS: list[Callable[[random.Random], str]] = [
    lambda chance: repr(chance.uniform(-2, 2)),
    lambda chance: repr(float(np.float32(chance.uniform(-2, 2)))),
    lambda chance: repr(struct.unpack("<d", chance.randbytes(8))[0]),
    lambda chance: repr(struct.unpack("<f", chance.randbytes(4))[0]),
    lambda chance: f"{chance.choice(['', '-'])}{large(chance)}",
    lambda chance: f"{chance.choice(['', '-'])}{chance.choice('017')}.{large(chance):030d}",
    lambda chance: f"{large(chance)}{chance.choice(['e', 'E+', 'e-'])}{chance.randint(0, 60)}",
    between_floats,
    lambda chance: "".join(chance.choices('0123456789+-.eE [],tn"\\\t', k=chance.randint(0, 12))),
]
"""Numbers as they come, and as nobody should write them."""


@pytest.mark.parametrize("code", CODES)
def test_every_number_is_packed_as_by_python(code: str) -> None:
    chance = random.Random(f"{code} numbers")
    texts = [chance.choice(ODD_NUMBERS)(chance) for _ in range(20_000)]
    native = gathered(gathering_now.Gathering, code, 1, texts)
    pure = gathered(PURE.Gathering, code, 1, texts)
    taken = 0
    for text, ours, theirs in zip(texts, native, pure, strict=True):
        # What one of them leaves is read with care, which decides alike for both.
        if ours is not None and theirs is not None:
            assert ours == theirs, text
        if ours is not None:
            assert theirs is not None, text
        taken += ours is not None
    assert taken > (10_000 if code in "fde" else 100)


@pytest.mark.parametrize(
    "text",
    [
        f"0.{'0' * 9999}1e100000",  # infinite, whatever a short look at the exponent says
        f"0.{'0' * 20000}1e20001",
        f"0.{'0' * 99}1e100",
        f"1{'0' * 300}e-300",
        "1e99999999999999999999",
        "1e-99999999999999999999",
    ],
)
def test_long_numbers_are_read_as_by_python_or_left(text: str) -> None:
    (ours,) = gathered(gathering_now.Gathering, "f", 1, [text])
    (theirs,) = gathered(PURE.Gathering, "f", 1, [text])
    assert ours is None or ours == theirs


def test_what_python_takes_of_plain_floats_is_taken() -> None:
    """Otherwise the quick way would be quick for nobody."""
    chance = random.Random("plain")
    texts = [repr(chance.uniform(-1000, 1000)) for _ in range(1000)]
    assert None not in gathered(gathering_now.Gathering, "f", 1, texts)


@settings(max_examples=300)
@given(text=st.text(alphabet='0123456789+-.eE [],tn"', max_size=24), count=st.integers(1, 3))
def test_lists_are_taken_as_python_takes_them(text: str, count: int) -> None:
    (ours,) = gathered(gathering_now.Gathering, "f", count, [text])
    (theirs,) = gathered(PURE.Gathering, "f", count, [text])
    assert ours is None or ours == theirs


def parsed(form: Any, text: str, shape: tuple[int, ...]) -> Any:
    """What a form makes of it, or why it refuses."""
    try:
        return form.parse(msgspec.Raw(text.encode()), shape)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "float64", "uint8", "int64", "bool", "string"]
)
def test_tensors_are_read_as_by_python(dtype: str) -> None:
    chance = random.Random(f"{dtype} tensors")
    tensor = Tensor(name="x", dtype=dtype, shape=("batch", 2, 3))  # type: ignore[arg-type]
    pure = reference_of(tensors)
    assert pure._IN_C is None is not tensors._IN_C
    ours, theirs = tensors.InputForm(tensor), pure.InputForm(tensor)
    one = [
        "1",
        "-0",
        "7",
        "0.25",
        "2e1",
        "1e400",
        "true",
        '"a"',
        "null",
        "[1]",
        "300",
        "9" * 30,
        "00",
    ]
    quick = 0
    for _ in range(3000):
        rows = chance.choice([1, 1, 2])
        numbers = [chance.choice(one[: chance.choice([1, 3, 5, 13])]) for _ in range(6 * rows)]
        if chance.random() < 0.1:
            numbers.pop()
        array: Any = numbers
        for size in chance.choice([(), (), (2, 3), (2, 3), (3,), (6,), (3, 2), (1,)]):
            array = [array[at : at + size] for at in range(0, len(array), size)]
        gap = chance.choice(["", " ", "\n\t"])
        text = f"{gap}{array}{gap}".replace("'", "").replace(", ", f"{gap},{gap}")
        try:
            json.loads(text)
        except ValueError:
            continue  # what is no JSON at all never gets there
        shape = (rows, 2, 3)
        expected = parsed(theirs, text, shape)
        assert parsed(ours, text, shape) == expected, text
        code = ours.code or "-"
        quick += _native.part.read_tensor(text.encode(), code, shape) is not None
    assert (quick > 50) == (dtype not in {"bool", "string"})


def test_tensor_that_is_declared_larger_than_what_was_sent_takes_no_memory() -> None:
    read = _native.part.read_tensor
    for shape in ((1 << 40,), (1 << 62, 1 << 62), (0, 1), (-1,), (1 << 70,), (), (1,) * 9, ("a",)):
        assert read(b"[1]", "f", shape) is None
    assert read(b"[1]", "f", (1,)) == struct.pack("<f", 1)
    with pytest.raises(TypeError):
        read(b"[1]", "f", [1])


class Exchange:
    """A peer that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def reply_framed(self, frame: Frame, content: bytes) -> None:
        self.told.append(content)


def test_rows_that_are_not_as_many_answer_nobody() -> None:
    batches: list[Any] = []

    class Kept(gathering_now.Gathering):
        def _answer(self, batch: Any) -> None:
            batches.append(batch)

    turns: list[Any] = []
    timer = itertools.count(0.0).__next__
    lane = Kept(shape_of("f", 2), 8, timer, lambda: False, turns.append)
    peers = [Exchange() for _ in range(3)]
    assert all(lane.take(peer, BEFORE + b"1, 2" + AFTER) for peer in peers)
    assert (len(lane), len(turns)) == (3, 1)
    turns[0]()
    (batch,) = batches
    assert (batch.count, len(batch.arrived_s), len(lane)) == (3, 3, 0)
    for rows in (b"1,2],[3,4", b"1],[2],[3],[4", b""):
        with pytest.raises(ValueError, match="not one row each"):
            batch.reply(Frame(b""), rows)
    assert not any(peer.told for peer in peers)
    batch.reply(Frame(b""), b"1,2],[3,4],[5,6")
    assert [peer.told for peer in peers] == [[b"1,2"], [b"3,4"], [b"5,6"]]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_batch_is_larger_than_it_may_be(most: int) -> None:
    for module in (gathering_now, PURE):
        counts: list[int] = []

        class Kept(module.Gathering):  # type: ignore[misc, name-defined]  # either class
            def _answer(self, batch: Any) -> None:
                counts.append(batch.count)  # noqa: B023 - called at once

        turns: list[Any] = []
        timer = itertools.count(0.0).__next__
        lane = Kept(shape_of("f", 2), most, timer, lambda: False, turns.append)
        for _ in range(5):
            assert lane.take(Exchange(), BEFORE + b"1, 2" + AFTER)
        for turn in turns:
            turn()
        assert (max(counts), sum(counts)) == (most, 5)


class Model:
    def __init__(self, lanes: list[Any]) -> None:
        self.lanes = lanes


class Holder:
    def __init__(self, model: Any) -> None:
        self.model = model


def test_fault_at_the_door_is_handed_on() -> None:
    faults: list[Exception] = []

    def care(exchange: object, body: bytes) -> None:
        raise LookupError(body.decode())

    door = gathering_now.Door(Holder(None), care, lambda _, error: faults.append(error))
    door(Exchange(), b"abc")
    assert [repr(fault) for fault in faults] == ["LookupError('abc')"]
    assert faults[0].__traceback__ is not None

    def leave(exchange: object, body: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gathering_now.Door(Holder(Model([])), leave, lambda _, error: None)(Exchange(), b"")


HEAD = Head(
    method="POST", version="1.1", target="/", path="/", query={}, headers={},
    content_length=4, is_chunked=False, keeps_alive=True, expects_continue=False,
)  # fmt: skip


def test_wrong_arguments_are_refused() -> None:
    part = _native.part
    for make in (
        lambda: part.Known("text", HEAD, None),
        lambda: part.Known(b"", object(), None),
        part.QuickConnection,
        lambda: part.QuickConnection(object(), object()),
        lambda: part.Gathering(shape_of("f", 0), 8, print, print, print),
        lambda: part.Gathering(shape_of("f", 1), 0, print, print, print),
        lambda: part.Gathering(object(), 1, print, print, print),
        part.Batch,
        lambda: part.Door(1),
        lambda: part.Door(1, 2, 3)(1, "text"),
        lambda: part.Gathering.__new__(part.Gathering).take(1, "text"),
    ):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            make()
    assert part.Gathering.__new__(part.Gathering).take(1, b"text") is False


def test_nothing_is_kept_of_what_was_asked(make_bench: Any) -> None:
    """Tens of thousands of requests, taken, left and refused, leave no object behind."""
    from edgewright.testing.models import BindableFunctionSession

    bench = make_bench()
    model = bench.serve(BindableFunctionSession(lambda x: 2 * x), peers=2)
    body = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[%s]}]}'

    def ask(times: int) -> None:
        for _ in range(times):
            for numbers in (b"1, 2", b"3, 4.5", b"1e999, 1", b"7", b"5000, 1"):
                model.infer(bench.exchange(), body % numbers, None)
            bench.turn()

    ask(300)
    gc.collect()
    blocks = sys.getallocatedblocks()
    ask(3000)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 2000


def test_connection_is_let_go_with_its_peer() -> None:
    from edgewright.clock import SystemClock
    from edgewright.transports._http1_connection import Connection
    from edgewright.transports.http1 import start_application

    async def session() -> None:
        def application(exchange: Any, head: Head, body: bytes) -> None:
            exchange.reply(b"HTTP/1.1 200 OK\r\n", b"{}")

        server = await start_application(application, clock=SystemClock())
        host, _, port = server.address.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        assert b"200 OK" in await reader.readline()
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)
        await server.close()
        gc.collect()
        assert not [each for each in gc.get_objects() if type(each) is Connection]

    asyncio.run(session())


@pytest.mark.parametrize("wanted", ["", "native", "python", "fast"])
def test_which_one_is_wanted(
    wanted: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if wanted == "fast":
        with pytest.raises(UnavailableError, match="expected native or python"):
            _native.find_part(wanted)
        return
    assert (_native.find_part(wanted) is None) == (wanted == "python")
    monkeypatch.setattr(_native, "SEAM", 99)
    if wanted == "native":
        with pytest.raises(UnavailableError, match="has seam 1, expected 99"):
            _native.find_part(wanted)
    else:
        assert _native.find_part(wanted) is None
        assert ("has seam 1, expected 99" in caplog.text) == (wanted == "")
