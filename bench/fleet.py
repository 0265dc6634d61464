"""How many polls a fleet answers: authenticated, with nothing to do, each read from the database.

    python bench/fleet.py --seconds 20

One server process on loopback, plain HTTP. Every device holds one kept connection and asks for its
desired state with the ETag it has, one request after the other; the generator is this process. The
latencies are those of every answer; CPU is the server's own user and system time.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _results import Recording
from edgewright.chain.fleet import open_fleet, trust
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.rollout import Limits
from edgewright.fleet.rollouts import RolloutOrder
from edgewright.testing.fleet import SIGNER, release_file
from edgewright.wire import device_api as wire

EDGEWRIGHT = [sys.executable, "-c", "from edgewright.cli import main; main()"]


def prepare(folder: Path, registered: int) -> list[str]:
    """A fleet with a release that every device is to run; returns the devices' secrets."""
    home = folder / "home"
    (folder / "key.pub").write_text(SIGNER.public.public_hex)
    trust(home, [folder / "key.pub"], threshold=1, by="bench")
    release_file(folder / "1.ewb", version="1")
    with open_fleet(home) as office:
        office.registry.publish(folder / "1.ewb", by="bench")
        token = office.devices.create_token(TokenOrder(uses=registered), by="bench").token
        names = [f"device-{number:06}" for number in range(registered)]
        secrets = [office.devices.enrol(token, name, {"site": "bench"}) for name in names]
        order = RolloutOrder(release="tiny@1", waves="100%", limits=Limits(soak_s=0))
        office.rollouts.start(order, by="bench")
        office.rollouts.tick(here=names)
        office.rollouts.abort(1, returns=False, reason="nothing left to do", by="bench")
    return secrets


def serve(home: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A fleet process and where its devices go."""
    process = subprocess.Popen(
        [
            *(*EDGEWRIGHT, "fleet", "serve", "--json", "--home", str(home)),
            *("--listen", "127.0.0.1:0", "--devices", "127.0.0.1:0"),
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    text = b""
    while not text.rstrip().endswith(b"}"):
        text += process.stdout.readline()
    return process, json.loads(text)["devices"].removeprefix("http://")


async def poll(address: str, secret: str, until_s: float, latencies_s: list[float]) -> int:
    """One device: asks again and again; returns how many answers were not 304."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"GET {wire.DESIRED} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\n"
    etag, others = "", 0
    while (start_s := time.perf_counter()) < until_s:
        writer.write(f"{head}{etag}\r\n".encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if not etag:
            body = int(answer.split("content-length: ")[1].split("\r\n")[0])
            await reader.readexactly(body)
            etag = f"if-none-match: {answer.split('etag: ')[1].split(chr(13))[0]}\r\n"
            continue
        latencies_s.append(time.perf_counter() - start_s)
        others += " 304 " not in answer[:16]
    writer.close()
    return others


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def load(address: str, secrets: list[str], seconds: float) -> tuple[list[float], int]:
    latencies_s: list[float] = []
    until_s = time.perf_counter() + seconds
    polls = (poll(address, secret, until_s, latencies_s) for secret in secrets)
    return latencies_s, sum(await asyncio.gather(*polls))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--registered", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Recording("fleet") as recording:
        secrets = prepare(Path(folder), arguments.registered)
        process, address = serve(Path(folder) / "home")
        try:
            asyncio.run(load(address, secrets[: arguments.connections], 1.0))
            server_s, own_s, start_s = cpu_s(process.pid), time.process_time(), time.perf_counter()
            latencies_s, others = asyncio.run(
                load(address, secrets[: arguments.connections], arguments.seconds)
            )
            passed_s = time.perf_counter() - start_s
            server_s, own_s = cpu_s(process.pid) - server_s, time.process_time() - own_s
            memory_mb = resident_mb(process.pid)
        finally:
            process.terminate()
            process.wait()
        ranked = sorted(latencies_s)
        figures = {
            "polls_per_s": round(len(ranked) / passed_s),
            "latency_p50_ms": round(1000 * ranked[len(ranked) // 2], 2),
            "latency_p99_ms": round(1000 * ranked[int(0.99 * len(ranked))], 2),
            "latency_max_ms": round(1000 * ranked[-1], 2),
            "server_cpu_us_per_poll": round(1e6 * server_s / len(ranked)),
            "server_cpu_cores": round(server_s / passed_s, 2),
            "generator_cpu_cores": round(own_s / passed_s, 2),
            "server_memory_mb": round(memory_mb),
            "wrong_answers": others,
        }
        recording.figures.update(figures)
        recording.raw.update(vars(arguments), polls=len(ranked))
        for name, value in figures.items():
            print(f"{name}: {value}")
        if others:
            raise SystemExit(f"{others} answers were not 304")


if __name__ == "__main__":
    main()
