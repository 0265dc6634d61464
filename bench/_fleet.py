"""What the protocols of `fleet.py` share: a fleet process, its devices, and who measures them."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import uvloop

from edgewright.chain.fleet import open_fleet, trust
from edgewright.fleet.devices import TokenOrder
from edgewright.testing.fleet import SIGNER, release_file

OPEN_FILES = 65_536
EDGEWRIGHT = [sys.executable, "-c", "from edgewright.cli import main; main()"]


class Place(msgspec.Struct, frozen=True):
    """A fleet's folder with releases tiny@1, tiny@2, ... and a token for its devices."""

    home: Path
    token: str


class Process(msgspec.Struct, frozen=True):
    """A running fleet."""

    pid: int
    people: str
    devices: str


def allow_open_files() -> int:
    """Let this process and its children hold thousands of connections each; how many that is. Who
    is not root gets what the administrator allows.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, PermissionError):
        most = max(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return most
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def prepare(folder: Path, *, versions: int, uses: int) -> Place:
    """A fleet with releases and a token for so many devices."""
    home = folder / "home"
    (folder / "key.pub").write_text(SIGNER.public.public_hex)
    trust(home, [folder / "key.pub"], threshold=1, by="bench")
    with open_fleet(home) as office:
        for version in map(str, range(1, versions + 1)):
            release_file(folder / f"{version}.ewb", version=version)
            office.registry.publish(folder / f"{version}.ewb", by="bench")
        token = office.devices.create_token(TokenOrder(uses=uses), by="bench").token
    return Place(home, token)


@contextlib.contextmanager
def serving(home: Path, *flags: str, devices: str = "127.0.0.1:0") -> Iterator[Process]:
    """A fleet process until the block ends."""
    arguments = ["fleet", "serve", "--json", "--home", str(home), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*EDGEWRIGHT, *arguments, "--devices", devices, *flags], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        text = b""
        while not text.rstrip().endswith(b"}"):
            line = process.stdout.readline()
            assert line, "the fleet ended before it was ready"
            text += line
        ready = json.loads(text)
        yield Process(process.pid, ready["people"], ready["devices"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.stdout:
            process.stdout.close()


class Ask(msgspec.Struct, frozen=True):
    """One device's poll: the request's head without its end, and how it reaches the server."""

    head: str
    context: ssl.SSLContext | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a span of polls came to."""

    latencies_s: list[float]
    passed_s: float
    wrong: int

    @property
    def per_s(self) -> float:
        return len(self.latencies_s) / self.passed_s

    def percentile_ms(self, percent: float) -> float:
        ranked = sorted(self.latencies_s)
        return round(1000 * ranked[min(int(percent / 100 * len(ranked)), len(ranked) - 1)], 2)


def poll(address: str, asks: Sequence[Ask], *, seconds: float, expected: int) -> Load:
    """Every device asks again and again on a kept connection, one request after the other; it
    sends the ETag that it was given first, if it was.
    """
    latencies_s: list[float] = []

    async def one(ask: Ask, until_s: float) -> int:
        host, port = address.split(":")
        name = host if ask.context else None
        reader, writer = await asyncio.open_connection(
            host, int(port), ssl=ask.context, server_hostname=name
        )
        etag, wrong = "", 0
        while (start_s := time.perf_counter()) < until_s:
            writer.write(f"{ask.head}{etag}\r\n".encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if "content-length: " in answer and " 304 " not in answer[:16]:
                await reader.readexactly(int(answer.split("content-length: ")[1].split("\r\n")[0]))
            if not etag and "etag: " in answer:
                etag = f"if-none-match: {answer.split('etag: ')[1].split(chr(13))[0]}\r\n"
                continue
            latencies_s.append(time.perf_counter() - start_s)
            wrong += f" {expected} " not in answer[:16]
        writer.close()
        return wrong

    async def all_of_them() -> int:
        until_s = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(one(ask, until_s) for ask in asks)))

    start_s = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        wrong = runner.run(all_of_them())
    passed_s = time.perf_counter() - start_s
    return Load(latencies_s=latencies_s, passed_s=passed_s, wrong=wrong)


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid: int) -> int:
    """How many files and connections a process holds open now."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def resident_mb(pid: int) -> float:
    """Memory of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
