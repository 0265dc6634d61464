"""Server CPU per request and latency of `edgewright serve`, interleaved with a null uvloop reply.

    python bench/serving.py [--rounds 7] [--seconds 2] [--swaps 1000]

CPU is the kernel's own count for the server's process tree; each round runs both servers, so that
what else the machine does hits both. Swaps run at half of the measured peak, without and with a
loader beside it.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
import uvloop

from _models import BUILDERS
from _results import ROOT, Recording
from edgewright.measure.load import (
    LoadLimits,
    LoadTarget,
    closed_loop,
    encode_request,
    even_arrivals,
    open_loop,
)
from edgewright.measure.load_result import LoadResult
from edgewright.measure.procfs import descendants, read_process
from edgewright.transports.http1 import Client

_CPU_CLOCK = 2
_SERVE = "from edgewright.cli import main; main()"
_SHAPES = {"mlp-16": (1, 16), "tcn-bench": (1, 100, 9)}


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One server under load once."""

    cpu_us: float
    throughput_rps: float
    p50_us: float
    p99_us: float
    failed: int
    generator_share: float


class Server:
    """A server process and where it listens."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str) -> None:
        self.process = process
        self.target = LoadTarget.from_url(address)

    def cpu_s(self) -> float:
        """CPU time of the process and its children, to a nanosecond."""
        pids = [self.process.pid, *descendants(self.process.pid)]
        return sum(time.clock_gettime(((~pid) << 3) | _CPU_CLOCK) for pid in pids)


@contextmanager
def running(command: list[str]) -> Iterator[Server]:
    """A server that tells its address, or its port, in its first line."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        address = line["address"] if isinstance(line, dict) else f"http://127.0.0.1:{line}"
        yield Server(process, address)
    finally:
        process.terminate()
        process.wait(30)


def edgewright(*words: str | Path) -> list[str]:
    """The command that serves these paths on a free port."""
    serve = [sys.executable, "-c", _SERVE, "serve"]
    return [*serve, *map(str, words), "--http", "127.0.0.1:0", "--json"]


def infer_request(target: LoadTarget, model: str) -> bytes:
    shape = _SHAPES[model]
    values = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    tensor = {"name": "x", "shape": shape, "datatype": "FP32", "data": values.ravel().tolist()}
    body = json.dumps({"inputs": [tensor]}).encode()
    return encode_request(
        "POST",
        f"/v2/models/{model}/infer",
        target=target,
        body=body,
        headers={"content-type": "application/json"},
    )


def one_round(server: Server, model: str, connections: int, seconds: float) -> Round:
    requests = [infer_request(server.target, model)]
    before_s = server.cpu_s()
    result = uvloop.run(
        closed_loop(server.target, requests, LoadLimits(seconds=seconds), connections=connections)
    )
    return _round(result, server.cpu_s() - before_s)


def _round(result: LoadResult, cpu_s: float) -> Round:
    p50, p99 = np.quantile(result.latencies_s(), [0.5, 0.99]) * 1e6
    return Round(
        cpu_us=cpu_s / max(result.answered, 1) * 1e6,
        throughput_rps=result.throughput_rps,
        p50_us=float(p50),
        p99_us=float(p99),
        failed=result.failed,
        generator_share=result.client_share,
    )


def overhead(recording: Recording, model: Path, options: argparse.Namespace) -> float:
    """`mlp-16` against a null reply; returns the highest throughput that was seen."""
    null = [sys.executable, str(ROOT / "bench" / "_null_server.py")]
    best_rps = 0.0
    with running(null) as floor, running(edgewright(model)) as ours:
        for connections in (32, 1):
            pairs = [
                tuple(
                    one_round(server, "mlp-16", connections, options.seconds)
                    for server in (floor, ours)
                )
                for _ in range(options.rounds)
            ]
            name = f"mlp16_{connections}"
            recording.raw[name] = msgspec.to_builtins(pairs)
            figures = recording.figures
            figures[f"{name}_null_cpu_us"] = _median(pair[0].cpu_us for pair in pairs)
            figures[f"{name}_cpu_us"] = _median(pair[1].cpu_us for pair in pairs)
            figures[f"{name}_cpu_ratio_to_null"] = _median(
                pair[1].cpu_us / pair[0].cpu_us for pair in pairs
            )
            figures[f"{name}_p50_us"] = _median(pair[1].p50_us for pair in pairs)
            figures[f"{name}_null_p50_us"] = _median(pair[0].p50_us for pair in pairs)
            figures[f"{name}_failed"] = sum(pair[1].failed for pair in pairs)
            best_rps = max(best_rps, *(pair[1].throughput_rps for pair in pairs))
        figures["mlp16_peak_rps"] = round(best_rps)
        figures["mlp16_memory_mb"] = round(read_process(ours.process.pid).memory_bytes / 1e6, 1)
    return best_rps


def start_up(recording: Recording, model: Path, rounds: int) -> None:
    """From starting the process to the first correct answer."""
    taken: list[float] = []
    for _ in range(rounds):
        started_s = time.perf_counter()
        with running(edgewright(model)) as server:
            uvloop.run(
                closed_loop(
                    server.target,
                    [infer_request(server.target, "mlp-16")],
                    LoadLimits(seconds=5, requests=1),
                )
            )
            taken.append(time.perf_counter() - started_s)
    recording.raw["start_up_s"] = taken
    recording.figures["start_to_first_answer_s"] = _median(taken)


def swaps(recording: Recording, model: Path, count: int, rate_rps: float) -> None:
    """Load the same model again and again while requests arrive evenly."""
    with tempfile.TemporaryDirectory() as folder:
        admin = Path(folder) / "admin"
        with running(edgewright(model, "--admin", admin)) as server:
            quiet, _ = asyncio.run(_swap_under_load(server, admin, model, 0, rate_rps))
            loaded, done = asyncio.run(_swap_under_load(server, admin, model, count, rate_rps))
    recording.raw["swaps"] = {
        "rate_rps": rate_rps,
        "quiet": msgspec.to_builtins(quiet),
        "swapping": msgspec.to_builtins(loaded),
    }
    figures = recording.figures
    figures["swaps"] = done
    figures["swaps_failed_requests"] = loaded.failed
    figures["swaps_added_p99_ms"] = round((loaded.p99_us - quiet.p99_us) / 1e3, 3)


async def _swap_under_load(
    server: Server, admin: Path, model: Path, count: int, rate_rps: float
) -> tuple[Round, int]:
    """With `count` 0 nothing is swapped, for five seconds; else for as long as the swaps last."""
    requests = [infer_request(server.target, "mlp-16")]
    done = 0
    seconds = 5.0
    before_s = server.cpu_s()
    if count:
        seconds = max(5.0, count * await _swap_s(admin, model) * 1.5)

    async def swap() -> None:
        nonlocal done
        async with Client(uds=admin) as client:
            while done < count:
                await _swap(client, model)
                done += 1

    swapping = asyncio.create_task(swap())
    result = await open_loop(
        server.target,
        requests,
        LoadLimits(seconds=seconds),
        arrivals_s=even_arrivals(rate_rps, seconds),
        connections=64,
    )
    await swapping
    return _round(result, server.cpu_s() - before_s), done


async def _swap(client: Client, model: Path) -> None:
    order = json.dumps({"path": str(model)}).encode()
    answer = await client.request("POST", "/v2/repository/models/mlp-16/load", body=order)
    if answer.status != 200:
        raise SystemExit(f"a swap failed: {answer.body.decode()}")


async def _swap_s(admin: Path, model: Path) -> float:
    async with Client(uds=admin) as client:
        started_s = time.perf_counter()
        for _ in range(5):
            await _swap(client, model)
        return (time.perf_counter() - started_s) / 5


def heavy(recording: Recording, model: Path, options: argparse.Namespace) -> None:
    """`tcn-bench` against raw one-thread onnxruntime, 1 connection, interleaved."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    raw = ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
    feed = {"x": np.zeros(_SHAPES["tcn-bench"], np.float32)}
    ratios: list[float] = []
    with running(edgewright(model, "--threads", "1")) as server:
        for _ in range(options.rounds):
            served = one_round(server, "tcn-bench", 1, options.seconds).throughput_rps
            ratios.append(served / _raw_rps(raw, feed, options.seconds))
    recording.raw["tcn_bench_ratios"] = ratios
    recording.figures["tcn_bench_1_share_of_raw_onnxruntime"] = _median(ratios)


def _raw_rps(session: Any, feed: dict[str, Any], seconds: float) -> float:
    passes, started_s = 0, time.perf_counter()
    while (taken_s := time.perf_counter() - started_s) < seconds:
        session.run(None, feed)
        passes += 1
    return passes / taken_s


def _median(values: Any) -> float:
    return round(statistics.median(values), 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--swaps", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Recording("serving") as recording:
        files = {name: build(Path(folder) / f"{name}.onnx") for name, build in BUILDERS.items()}
        recording.raw["options"] = vars(options)
        start_up(recording, files["mlp-16"], options.rounds)
        peak_rps = overhead(recording, files["mlp-16"], options)
        heavy(recording, files["tcn-bench"], options)
        swaps(recording, files["mlp-16"], options.swaps, peak_rps / 2)
        for name, figure in recording.figures.items():
            print(f"{name:42} {figure}")


if __name__ == "__main__":
    main()
