"""Lines of a pseudo terminal: what a serial device is to its reader."""

import asyncio
import os
import pty
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from edgewright.errors import TransportError

serial_line: Any = pytest.importorskip(
    "edgewright.transports.serial_line", reason="absent: pyserial (extra serial)"
)


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """A device's own end, and the port that it is plugged into."""
    ours, theirs = pty.openpty()
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def lines(terminal: tuple[int, str], said: list[bytes], count: int) -> list[bytes]:
    """The first lines that are read of what a device says."""
    ours, name = terminal

    async def read() -> list[bytes]:
        found: list[bytes] = []
        with serial_line.open_port(name, baud=115_200) as port:
            async with aclosing(serial_line.lines_of(port)) as batches:
                for part in said:
                    os.write(ours, part)
                async for batch in batches:
                    found += batch
                    if len(found) >= count:
                        return found
        return found

    return asyncio.run(read())


def test_first_line_is_left_out_because_it_may_be_half_of_one(terminal: tuple[int, str]) -> None:
    assert lines(terminal, [b"2,3\n4,5\n", b"6,7\n"], 2) == [b"4,5", b"6,7"]


def test_line_that_comes_in_parts_is_one_and_empty_ones_are_none(
    terminal: tuple[int, str],
) -> None:
    assert lines(terminal, [b"\n1", b"2\r\n\r\n  \n", b"3\n"], 2) == [b"12", b"3"]


def test_port_that_is_absent_is_named_beside_those_that_are_there() -> None:
    with pytest.raises(TransportError, match=r"port /dev/ttyNONE.*ports on this machine"):
        serial_line.open_port("/dev/ttyNONE", baud=9600)


def test_port_that_somebody_reads_is_taken(terminal: tuple[int, str]) -> None:
    with serial_line.open_port(terminal[1], baud=9600), pytest.raises(TransportError):
        serial_line.open_port(terminal[1], baud=9600)


def test_device_that_is_unplugged_ends_the_lines() -> None:
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)

    async def read() -> None:
        with serial_line.open_port(name, baud=9600) as port:
            os.close(theirs)
            os.close(ours)
            async with aclosing(serial_line.lines_of(port)) as batches:
                await anext(batches)

    with pytest.raises(TransportError, match="is gone"):
        asyncio.run(read())
