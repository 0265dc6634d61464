"""What the load generator itself costs, and whether its open loop keeps its schedule.

The server is a process of its own that answers every request with the
same ready bytes. The cost of a request is the generator's CPU time; what it adds is that minus the
CPU time of the least client possible (write, count the bytes that come back) under the same load.
Three cases: one question; sixteen in turn; and a server whose every answer has a head of its own,
so that no two answers are the same bytes.
"""

import asyncio
import subprocess
import sys
import time

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
    poisson_arrivals,
)

CONNECTIONS = 32
ROUNDS = 5
ROUND_S = 3.0
OPEN_RPS = 5000
OPEN_S = 20.0
INPUTS = ",".join("0.123" for _ in range(16))
QUESTION = (
    f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,16],"data":[{INPUTS}]}}]}}'.encode()
)

PAYLOADS = 16

SERVER = """
import asyncio, sys, uvloop
BODY = b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[1,2]}]}'
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n" % len(BODY)
REPLY = HEAD + b"\\r\\n" + BODY
numbers = iter(range(10**8, 10**9))
class Same(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(REPLY)
class Numbered(Same):
    def data_received(self, data):
        self.transport.write(b"%sx-request: %d\\r\\n\\r\\n%s" % (HEAD, next(numbers), BODY))
async def main():
    loop, ports = asyncio.get_running_loop(), []
    for kind in (Same, Numbered):
        server = await loop.create_server(kind, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""


class LeastClient(asyncio.Protocol):
    """Writes a request whenever anything came back."""

    def __init__(self, request: bytes, counter: list[int], end_s: float) -> None:
        self._request = request
        self._counter = counter
        self._end_s = end_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._counter[0] += 1
        if time.perf_counter() < self._end_s:
            self._transport.write(self._request)
        else:
            self._transport.close()


async def least_cost_us(target: LoadTarget, request: bytes) -> float:
    counter = [0]
    cpu_s = time.process_time()
    end_s = time.perf_counter() + ROUND_S
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(
            lambda: LeastClient(request, counter, end_s), target.host, target.port
        )
    await asyncio.sleep(ROUND_S + 0.2)
    return (time.process_time() - cpu_s) / counter[0] * 1e6


def run() -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    same, numbered = (LoadTarget(port=int(port)) for port in server.stdout.readline().split())
    request = encode_request("POST", "/v2/models/m/infer", target=same, body=QUESTION)
    try:
        with Recording("validate-generator") as recording:
            measure(recording, same, numbered, request, server.pid)
    finally:
        server.kill()
        server.wait()


def ours_cost_us(target: LoadTarget, requests: list[bytes]) -> tuple[float, float]:
    result = uvloop.run(
        closed_loop(target, requests, LoadLimits(seconds=ROUND_S), connections=CONNECTIONS)
    )
    return result.client_cpu_s / result.answered * 1e6, result.throughput_rps


def added(cost_us: list[float], least_us: list[float]) -> float:
    """The median of the rounds, each against the least client just before it."""
    return round(float(np.median(np.array(cost_us) - np.array(least_us))), 2)


def measure(
    recording: Recording, target: LoadTarget, numbered: LoadTarget, request: bytes, pid: int
) -> None:
    least, ours, rates, many, least_numbered, differing = [], [], [], [], [], []
    before = read_noise(pid)
    for _ in range(ROUNDS):
        least.append(uvloop.run(least_cost_us(target, request)))
        cost_us, rate = ours_cost_us(target, [request])
        ours.append(cost_us)
        rates.append(rate)
        many.append(ours_cost_us(target, [request] * PAYLOADS)[0])
        least_numbered.append(uvloop.run(least_cost_us(numbered, request)))
        differing.append(ours_cost_us(numbered, [request])[0])
    arrivals_s = poisson_arrivals(OPEN_RPS, OPEN_S, rng=np.random.default_rng(0))
    opened = uvloop.run(
        open_loop(target, [request], LoadLimits(seconds=OPEN_S), arrivals_s=arrivals_s)
    )
    noise = noise_between(before, read_noise(pid))
    recording.raw |= {
        "cpu_us_per_request": ours,
        "cpu_us_per_request_of_the_least_client": least,
        "cpu_us_per_request_with_16_questions": many,
        "cpu_us_per_request_when_no_answer_repeats": differing,
        "cpu_us_per_request_of_the_least_client_when_no_answer_repeats": least_numbered,
        "closed_loop_rps": rates,
        "open_loop_errors": opened.errors,
        "others_share": noise.others_share,
        "wait_share": noise.wait_share,
    }
    recording.figures |= {
        "generator_cpu_us_per_request": round(float(np.median(ours)), 2),
        "generator_adds_us_per_request": added(ours, least),
        "generator_adds_us_with_16_questions": added(many, least),
        "generator_adds_us_when_no_answer_repeats": added(differing, least_numbered),
        "closed_loop_rps": round(float(np.median(rates))),
        "open_loop_offered_rps": OPEN_RPS,
        "open_loop_answered_rps": round(opened.answered / OPEN_S, 1),
        "open_loop_cores_busy": round(opened.client_share, 3),
        "open_loop_lag_p50_us": round(float(np.quantile(opened.lag_s, 0.5)) * 1e6, 1),
        "open_loop_lag_p99_us": round(float(np.quantile(opened.lag_s, 0.99)) * 1e6, 1),
        "open_loop_latency_p50_us": round(float(np.quantile(opened.latencies_s(), 0.5)) * 1e6, 1),
        "open_loop_latency_p99_us": round(float(np.quantile(opened.latencies_s(), 0.99)) * 1e6, 1),
    }
    for name, value in recording.figures.items():
        print(f"{name:32} {value}")
