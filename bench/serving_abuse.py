"""Bad neighbours: clients that are killed, garbage, half bodies, wrong lengths, a gigabyte of
headers, ten thousand connections. A good client asks all the while and must be answered; memory
must return.

    python bench/serving_abuse.py [--clients 500] [--connections 10000]
"""

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from _models import build_mlp_16
from _results import Recording
from _serving_servers import (
    Server,
    add_hot_path,
    edgewright,
    infer_request,
    running,
    suite_of,
)

_GIGABYTE = 1 << 30
_GONE_TRIES = 20
_RETURNED_S = 3.0
"""The server looks after its peers once a second, and gives memory back then."""
_WATCH = [sys.executable, str(Path(__file__).with_name("_serving_watch.py"))]


class Neighbourhood:
    """A server and its bad clients."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.request = infer_request(server.target, "mlp-16")

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.server.target.host, self.server.target.port)

    async def many(self, count: int, act: Callable[[int], Awaitable[None]]) -> None:
        """So many bad clients, a hundred at a time."""

        async def one(number: int) -> None:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(10):
                    await act(number)

        for first in range(0, count, 100):
            await asyncio.gather(*(one(number) for number in range(first, min(count, first + 100))))

    async def killed(self, number: int) -> None:
        """Leave in the middle of a request, or right before its answer."""
        _, writer = await self.open()
        writer.write(self.request if number % 2 else self.request[: -1 - number % 90])
        await writer.drain()
        writer.transport.abort()

    async def garbage(self, number: int) -> None:
        reader, writer = await self.open()
        writer.write(random.Random(number).randbytes(1 + number * 37 % 5000))
        writer.write_eof()
        await reader.read()
        writer.close()

    async def half_body(self, number: int) -> None:
        """Send a part, and no more."""
        reader, writer = await self.open()
        writer.write(self.request[: len(self.request) - 1 - number % 200])
        writer.write_eof()
        await reader.read()
        writer.close()

    async def wrong_length(self, number: int) -> None:
        reader, writer = await self.open()
        lengths = (b"7", b"-1", b"9999999999999999999999", b"1e3", b"0x10", b"10, 10", b"", b"5 5")
        right = b"content-length: %d" % len(self.request.partition(b"\r\n\r\n")[2])
        wrong = b"content-length: " + lengths[number % len(lengths)]
        writer.write(self.request.replace(right, wrong))
        writer.write_eof()
        await reader.read()
        writer.close()

    async def headers_without_end(self) -> int:
        """A gigabyte of headers; returns how many bytes were taken before the door was shut."""
        _, writer = await self.open()
        sent, chunk = 0, b"x-more: " + b"a" * 65528
        writer.write(b"GET /v2 HTTP/1.1\r\nhost: h\r\n")
        with suppress(OSError):
            while sent < _GIGABYTE and not writer.transport.is_closing():
                writer.write(chunk)
                await asyncio.wait_for(writer.drain(), 10)
                sent += len(chunk)
        writer.transport.abort()
        return sent

    async def crowd(self, count: int) -> tuple[int, int]:
        """So many connections at once: how many opened, how many got an answer when they asked."""
        opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

        async def join() -> None:
            with suppress(OSError, TimeoutError):
                opened.append(await asyncio.wait_for(self.open(), 30))

        for _ in range(0, count, 200):
            await asyncio.gather(*(join() for _ in range(200)))

        async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                writer.write(self.request)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
                return head.startswith(b"HTTP/1.1 200 ")
            return False

        answers = await asyncio.gather(*(ask(*pair) for pair in opened))
        for _, writer in opened:
            writer.transport.abort()
        return len(opened), sum(answers)


async def abuse(recording: Recording, server: Server, options: argparse.Namespace) -> None:
    place, figures = Neighbourhood(server), recording.figures
    await place.many(options.clients, place.half_body)  # so that buffers are as large as they get
    await asyncio.sleep(0.5)
    figures["pss_before_mb"] = round(server.pss_mb(), 1)
    files = server.open_files()
    for name, act in (
        ("killed", place.killed),
        ("garbage", place.garbage),
        ("half_body", place.half_body),
        ("wrong_length", place.wrong_length),
    ):
        await place.many(options.clients, act)
        figures[f"{name}_clients"] = options.clients
    figures["header_bytes_sent"] = await place.headers_without_end()
    opened, answered = await place.crowd(options.connections)
    figures["connections_opened"], figures["connections_answered"] = opened, answered
    figures["pss_crowded_mb"] = round(server.pss_mb(), 1)
    await _left(server, files)
    await asyncio.sleep(_RETURNED_S)
    figures["pss_after_mb"] = round(server.pss_mb(), 1)
    figures["file_descriptors_left_over"] = server.open_files() - files


async def _left(server: Server, files: int) -> None:
    """Until the server has seen that the crowd is gone, on a busy machine as well."""
    for _ in range(_GONE_TRIES):
        if server.open_files() <= files:
            break
        await asyncio.sleep(_RETURNED_S)


class GoodClient:
    """One that asks all the while, in a process of its own."""

    def __init__(self, server: Server) -> None:
        target = server.target
        self._process = subprocess.Popen(
            [*_WATCH, target.host, str(target.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        request = infer_request(target, "mlp-16")
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n%b" % (len(request), request))
        self._process.stdin.flush()

    def tell(self, recording: Recording) -> None:
        """End it, and say how it fared."""
        told = json.loads(self._process.communicate(timeout=30)[0])
        figures = recording.figures
        figures["good_client_answered"] = told["answered"]
        figures["good_client_missed"] = len(told["missed"])
        figures["good_client_slowest_ms"] = round(told["slowest_s"] * 1e3, 1)
        recording.raw["missed"] = told["missed"][:20]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--connections", type=int, default=10_000)
    add_hot_path(parser)
    options = parser.parse_args()
    suite = suite_of("serving_abuse", in_c=options.in_c)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with tempfile.TemporaryDirectory() as folder, Recording(suite) as recording:
        recording.raw["options"] = vars(options)
        recording.raw["file_descriptor_limit"] = most
        options.connections = min(options.connections, most - 200)
        model = build_mlp_16(Path(folder) / "mlp-16.onnx")
        words = ("--connections", str(options.connections + 100))
        with running(edgewright(model, *words, in_c=options.in_c)) as server:
            good = GoodClient(server)
            asyncio.run(abuse(recording, server, options))
            good.tell(recording)
        for figure, value in recording.figures.items():
            print(f"{figure:32} {value}")


if __name__ == "__main__":
    main()
