"""One suite for every queue: order, confirmation, the bound and its count."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.stores import DiskQueue, MemoryQueue, Queue

LIMIT = 100
Make = Callable[[], Queue]


@pytest.fixture(params=["memory", "disk"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    made: Queue = (
        MemoryQueue(limit=LIMIT)
        if request.param == "memory"
        else DiskQueue(tmp_path / "queue", key=b"k" * 32, limit_bytes=16 << 10)
    )
    yield made
    made.close()


def numbered(first: int, count: int, *, size: int = 10) -> list[bytes]:
    return [f"{number:0{size}d}".encode() for number in range(first, first + count)]


def test_messages_stay_until_they_are_confirmed_and_keep_their_order(queue: Queue) -> None:
    queue.push(numbered(0, 5))
    queue.push(numbered(5, 5))
    first = queue.oldest(4)
    assert [each.payload for each in first] == numbered(0, 4)
    assert queue.oldest(4) == first
    queue.confirm(first[-1].sequence)
    assert [each.payload for each in queue.oldest(100)] == numbered(4, 6)
    assert (len(queue), queue.dropped) == (6, 0)


def test_the_oldest_go_first_when_the_bound_is_reached_and_are_counted(queue: Queue) -> None:
    for at in range(100):
        queue.push(numbered(at * 10, 10, size=200))
    kept = [each.payload for each in queue.oldest(10_000)]
    assert kept == numbered(1000 - len(kept), len(kept), size=200)
    assert queue.dropped == 1000 - len(kept)
    assert 0 < len(kept) <= LIMIT


@given(st.lists(st.one_of(st.integers(1, 30), st.just(-1), st.integers(-20, -2)), max_size=40))
def test_any_order_of_pushes_and_confirmations_loses_nothing(moves: list[int]) -> None:
    queue = MemoryQueue(limit=10_000)
    pushed = taken = 0
    for move in moves:
        if move > 0:
            queue.push(numbered(pushed, move))
            pushed += move
        else:
            found = queue.oldest(-move)
            assert [each.payload for each in found] == numbered(taken, len(found))
            taken += len(found)
            if found:
                queue.confirm(found[-1].sequence)
    assert len(queue) == pushed - taken


def test_what_is_delivered_though_it_was_pushed_out_meanwhile_is_not_lost() -> None:
    queue = MemoryQueue(limit=2)
    queue.push([b"a", b"b"])
    (*_, last) = queue.oldest(9)
    queue.push([b"c"])
    assert queue.dropped == 1
    queue.confirm(last.sequence)
    assert ([each.payload for each in queue.oldest(9)], queue.dropped) == ([b"c"], 0)
    queue.push([b"d", b"e"])  # c may be on its way, and then is not: who asks again has it no more
    assert [each.payload for each in queue.oldest(9)] == [b"d", b"e"]
    queue.confirm(queue.oldest(9)[-1].sequence)
    assert (len(queue), queue.dropped) == (0, 1)


def test_a_queue_in_memory_is_bounded_in_bytes_as_well() -> None:
    queue = MemoryQueue(limit=1000, limit_bytes=100)
    queue.push(numbered(0, 25, size=10))
    assert ([each.payload for each in queue.oldest(99)], queue.dropped) == (numbered(15, 10), 15)
    queue.confirm(queue.oldest(5)[-1].sequence)
    queue.push(numbered(25, 5, size=10))
    assert (len(queue), queue.dropped) == (10, 15)
    assert queue.takes(b"x" * 100)
    assert not queue.takes(b"x" * 101)
