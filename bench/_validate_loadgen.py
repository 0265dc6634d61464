"""One server under MLPerf LoadGen and under our generator, in turn, alone and in an overload.

The server answers one request after the other, each after a fixed time, so that what differs is the
generator. Its queue makes an overload. LoadGen counts from its schedule, and its thread may be late
to hand a query over; "at the sockets" is the same run counted from the handing over. Its schedule
is learnt from a first run (same seeds, same schedule) and given to our open loop, so that both
offer the same arrivals.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import uvloop

from _results import Recording
from edgewright.measure import noise_between, read_noise
from edgewright.measure.load import (
    LoadLimits,
    LoadTarget,
    closed_loop,
    encode_request,
    open_loop,
)
from edgewright.measure.load_result import LoadResult
from edgewright.measure.loadgen import LoadgenPlan, LoadgenScenario, run_loadgen

ROUNDS = 4
SERVICE_MS = 5.0
CONNECTIONS = 512
CASES: dict[str, tuple[LoadgenScenario, float, float]] = {
    "single_stream": ("single-stream", 0.0, 5.0),
    "server": ("server", 120.0, 10.0),
    "overload": ("server", 240.0, 6.0),
}
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
WORDS = {
    "p50": "result_50.00_percentile_latency_ns",
    "p90": "result_90.00_percentile_latency_ns",
    "p99": "result_99.00_percentile_latency_ns",
}

SERVER = """
import asyncio, uvloop
BODY = b'{"outputs":[]}'
REPLY = b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(BODY) + BODY
class Queue(asyncio.Protocol):
    free_s = 0.0
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data):
        loop = asyncio.get_running_loop()
        Queue.free_s = max(Queue.free_s, loop.time()) + SERVICE_S
        loop.call_at(Queue.free_s, self.transport.write, REPLY)
async def main():
    server = await asyncio.get_running_loop().create_server(Queue, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
uvloop.run(main())
"""


def run() -> None:
    source = SERVER.replace("SERVICE_S", str(SERVICE_MS / 1e3))
    server = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    target = LoadTarget(port=int(server.stdout.readline()))
    request = encode_request("POST", "/v2/models/m/infer", target=target, body=b"{}")
    try:
        with Recording("validate-loadgen") as recording, tempfile.TemporaryDirectory() as folder:
            before = read_noise(server.pid)
            for name, case in CASES.items():
                _compare(recording, name, Contest(case, target, request, Path(folder) / name))
            noise = noise_between(before, read_noise(server.pid))
            recording.raw |= {"service_ms": SERVICE_MS, "rounds": ROUNDS, "cases": CASES}
            recording.raw |= {"others_share": noise.others_share, "wait_share": noise.wait_share}
    finally:
        server.kill()
        server.wait()
    for name, value in recording.figures.items():
        print(f"{name:44} {value}")


class Contest(msgspec.Struct, frozen=True):
    case: tuple[LoadgenScenario, float, float]
    target: LoadTarget
    request: bytes
    logs: Path


def _compare(
    recording: Recording,
    name: str,
    contest: "Contest",
) -> None:
    target, request = contest.target, contest.request
    scenario, rate_rps, seconds = contest.case
    plan = LoadgenPlan(
        scenario=scenario,
        seconds=seconds,
        logs=contest.logs,
        rate_rps=rate_rps or 100.0,
        expected_ms=SERVICE_MS,
        connections=CONNECTIONS,
    )
    arrivals_s = run_loadgen(target, [request], plan).result.scheduled_s
    arrivals_s = arrivals_s - arrivals_s[0]

    def theirs() -> dict[str, float]:
        found = run_loadgen(target, [request], plan)
        latencies = {key: float(found.words[word]) / 1e6 for key, word in WORDS.items()}
        seen_ms = 1e3 * found.result.latencies_s()
        seen = {f"{key}_sockets": float(np.quantile(seen_ms, q)) for key, q in QUANTILES.items()}
        return {**latencies, **seen, "throughput": _throughput(found.result)}

    def ours() -> dict[str, float]:
        limits = LoadLimits(seconds=seconds * 1.5, drain_s=60.0, timeout_s=60.0)
        if scenario == "single-stream":
            limits = LoadLimits(seconds=seconds)
            result = uvloop.run(closed_loop(target, [request], limits))
        else:
            result = uvloop.run(
                open_loop(target, [request], limits, arrivals_s=arrivals_s, connections=CONNECTIONS)
            )
        milliseconds = 1e3 * result.latencies_s()
        latencies = {key: float(np.quantile(milliseconds, q)) for key, q in QUANTILES.items()}
        return {**latencies, "throughput": _throughput(result)}

    rounds = []
    for number in range(ROUNDS):
        pair = (theirs(), ours()) if number % 2 else tuple(reversed((ours(), theirs())))
        rounds.append(pair)
        print(name, pair, flush=True)
    recording.raw[name] = [{"loadgen": one, "ours": two} for one, two in rounds]
    for key in (*QUANTILES, "throughput"):
        ratio = float(np.median([two[key] / one[key] for one, two in rounds]))
        recording.figures[f"{name}_{key}_ours_over_loadgen"] = round(ratio, 4)
    for key in QUANTILES:
        ratio = float(np.median([two[key] / one[f"{key}_sockets"] for one, two in rounds]))
        recording.figures[f"{name}_{key}_ours_over_loadgen_at_the_sockets"] = round(ratio, 4)


def _throughput(result: LoadResult) -> float:
    """Answers over the time from the first request to the last answer, the same for both."""
    return result.answered / float(np.nanmax(result.done_s) - np.nanmin(result.scheduled_s))
