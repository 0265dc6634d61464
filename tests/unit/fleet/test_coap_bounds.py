"""What strangers may hold of a fleet's memory over CoAP."""

import asyncio
from types import SimpleNamespace

import pytest

from edgewright.testing import FakeClock

aiocoap = pytest.importorskip("aiocoap", reason="absent: aiocoap (extra coap)")
bounds = pytest.importorskip("edgewright.fleet.coap_bounds")
blockwise = pytest.importorskip("aiocoap.blockwise")

LIMIT = 4096
BLOCK = 64
EXPONENT = 2  # 2 ** (2 + 4) bytes


def request(number: int, *, more: bool, port: int = 1, host: str = "10.0.0.1") -> "aiocoap.Message":
    made = aiocoap.Message(code=aiocoap.POST, payload=bytes([number % 256]) * BLOCK)
    made.opt.uri_path = ("d1", "telemetry")
    made.opt.block1 = (number, more, EXPONENT)
    made.remote = SimpleNamespace(blockwise_key=(host, port), hostinfo=f"{host}:{port}")
    return made


def feed(uploads: "bounds.Uploads", *numbers: int, last: int = -1, **where: object) -> bytes:
    """The whole request, or nothing when more is expected."""
    for number in numbers:
        block = request(number, more=number != last, **where)
        try:
            return bytes(uploads.feed_and_take(block).payload)
        except blockwise.ContinueException:
            continue
    return b""


def test_blocks_become_one_request_and_nothing_is_left() -> None:
    uploads = bounds.Uploads(FakeClock(), limit_bytes=LIMIT)
    whole = feed(uploads, 0, 1, 2, last=2)
    assert whole == b"".join(bytes([number]) * BLOCK for number in (0, 1, 2))
    assert (uploads.count, uploads.held_bytes) == (0, 0)
    plain = aiocoap.Message(code=aiocoap.POST, payload=b"short")
    assert uploads.feed_and_take(plain) is plain


@pytest.mark.parametrize("numbers", [(1,), (0, 2), (0, 1, 1)])
def test_a_block_that_does_not_follow_begins_anew(numbers: tuple[int, ...]) -> None:
    uploads = bounds.Uploads(FakeClock(), limit_bytes=LIMIT)
    with pytest.raises(blockwise.IncompleteException):
        feed(uploads, *numbers)
    assert (uploads.count, uploads.held_bytes) == (0, 0)


def test_a_request_longer_than_any_is_refused_as_soon_as_that_is_known() -> None:
    uploads = bounds.Uploads(FakeClock(), limit_bytes=LIMIT)
    with pytest.raises(aiocoap.error.RequestEntityTooLarge):
        feed(uploads, *range(LIMIT // BLOCK + 1))
    assert (uploads.count, uploads.held_bytes) == (0, 0)


def test_strangers_hold_so_many_requests_and_bytes_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uploads = bounds.Uploads(FakeClock(), limit_bytes=LIMIT)
    for number in range(2000):
        feed(uploads, 0, host=f"10.0.{number // 250}.{number % 250}")
    assert uploads.count == bounds.UPLOADS
    for port in range(200):
        feed(uploads, 0, port=port, host="10.9.9.9")
    mine = [one for one in uploads._open.values() if one.address == "10.9.9.9"]
    assert len(mine) == bounds.UPLOADS_OF_ONE
    monkeypatch.setattr(bounds, "UPLOADS_BYTES", 10 * BLOCK)
    feed(uploads, 0, host="10.8.8.8")
    assert uploads.held_bytes == 10 * BLOCK
    assert feed(uploads, 1, last=1, host="10.8.8.8")  # the newest is not the one to give way


def test_a_request_that_does_not_grow_is_forgotten() -> None:
    clock = FakeClock()
    uploads = bounds.Uploads(clock, limit_bytes=LIMIT)
    feed(uploads, 0)
    clock.advance(bounds.UPLOAD_IDLE_S)
    feed(uploads, 0, host="10.0.0.2")
    assert uploads.count == 1
    with pytest.raises(blockwise.IncompleteException):
        feed(uploads, 1)


def test_answers_are_not_kept_for_those_who_fetch_them_in_pieces() -> None:
    async def build() -> "aiocoap.Message":
        return aiocoap.Message(code=aiocoap.CHANGED, payload=b"x" * 100)

    def ask(*block2: int) -> "aiocoap.Message":
        wish = aiocoap.Message(code=aiocoap.POST)
        if block2:
            wish.opt.block2 = block2
        return asyncio.run(bounds.WholeAnswers().extract_or_insert(wish, build))

    assert len(ask().payload) == len(ask(0, False, 6).payload) == 100
    with pytest.raises(aiocoap.error.BadOption):
        ask(0, False, 0)
    with pytest.raises(blockwise.IncompleteException):
        ask(1, False, 6)


def test_observers_give_way_and_expire_unless_they_ask_anew() -> None:
    observers: bounds.Observers[str] = bounds.Observers()
    assert [list(observers.add("d1", name, now_s=0.0)) for name in "abcd"] == [[]] * 4
    assert list(observers.add("d1", "e", now_s=100.0)) == ["a"]
    observers.remove("a")  # it goes after it was told
    observers.remove("c")
    assert observers.of("d1") == ("b", "d", "e")
    assert list(observers.expired(bounds.OBSERVED_S)) == ["b", "d"]
    assert (observers.of("d1"), len(observers)) == (("e",), 1)
    observers.remove("e")
    assert (observers.of("d1"), len(observers)) == ((), 0)


def test_the_oldest_of_all_observers_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "OBSERVERS", 3)
    observers: bounds.Observers[str] = bounds.Observers()
    given = [list(observers.add(f"d{name}", name, now_s=0.0)) for name in "abcde"]
    assert given == [[], [], [], ["a"], ["b"]]
    assert (observers.of("da"), observers.of("de"), len(observers)) == ((), ("e",), 3)
