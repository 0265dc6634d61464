"""A thousand swaps of a model while requests arrive evenly at half of the peak, and a quarter as
many at a quarter of the peak and near it; fewer where the time does not suffice, and the figures
say how many.

    python bench/serving_swaps.py [--swaps 1000] [--in-c]

Short blocks take turns: quiet; swapping, one swap after the other; and a control, where nothing is
swapped but a process of the lowest priority burns as much CPU beside the server, at the same pace:
what it adds is the machine's share of what swaps add. Rounds in which others used the machine are
left out of the latencies and counted; failed requests count in every round.
"""

import argparse
import asyncio
import json
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
import uvloop

from _models import build_mlp_16
from _results import Recording
from _serving_servers import (
    Server,
    add_hot_path,
    edgewright,
    infer_request,
    one_round,
    running,
    suite_of,
)
from edgewright.measure.load import LoadLimits, LoadResult, even_arrivals, open_loop
from edgewright.measure.noise import noise_between, read_noise
from edgewright.measure.procfs import read_process
from edgewright.transports.http1 import Client

_BLOCK_S = 1.5
_MOST_S = 300.0
_OTHERS_SHARE = 0.05
"""Of the machine; a round with more is left out."""
_CALIBRATION_SWAPS = 30
_LOADS = {"quarter": 0.25, "half": 0.5, "full": 0.9}
_BLOCKS = ("quiet", "swapping", "control")
_BURN = """
import os, sys, time
os.setpriority(os.PRIO_PROCESS, 0, 19)
burst_s, pace_s = map(float, sys.argv[1:])
print("ready", flush=True)
due_s = time.monotonic()
while True:
    end_s = time.thread_time() + burst_s
    while time.thread_time() < end_s:
        pass
    due_s = max(due_s + pace_s, time.monotonic())
    time.sleep(max(0.0, due_s - time.monotonic()))
"""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A moment under load, with or without something else."""

    kind: str
    seconds: float
    swaps: int
    failed: int
    p50_ms: float
    p99_ms: float
    server_share: float
    generator_share: float
    burnt_share: float
    others_share: float


class Bench:
    """One server, and what a swap of its model costs it."""

    def __init__(self, server: Server, admin: Path, model: Path) -> None:
        self._server = server
        self._admin = admin
        self._requests = [infer_request(server.target, "mlp-16")]
        self._order = json.dumps({"path": str(model)}).encode()
        self.swap_cpu_s = 0.0

    def peak_rps(self) -> float:
        request = self._requests[0]
        return max(one_round(self._server, request, 32, 1.5).throughput_rps for _ in range(3))

    def calibrate(self) -> None:
        """What a swap costs where nobody asks anything."""

        async def swaps() -> None:
            async with Client(uds=self._admin) as client:
                for _ in range(_CALIBRATION_SWAPS):
                    await self._swap(client)

        asyncio.run(swaps())
        before_s = self._server.cpu_s()
        asyncio.run(swaps())
        self.swap_cpu_s = (self._server.cpu_s() - before_s) / _CALIBRATION_SWAPS

    def block(self, kind: str, rate_rps: float, pace_s: float) -> tuple[Block, LoadResult]:
        server_pid = self._server.process.pid
        with _burning(self.swap_cpu_s, pace_s if kind == "control" else 0.0) as burners:
            before_s, burnt_s = self._server.cpu_s(), _cpu_s(burners)
            before = read_noise(server_pid, *burners)
            result, swaps = uvloop.run(self._under_load(rate_rps, is_swapping=kind == "swapping"))
            noise = noise_between(before, read_noise(server_pid, *burners))
            server_s, burnt_s = self._server.cpu_s() - before_s, _cpu_s(burners) - burnt_s
        p50_ms, p99_ms = np.quantile(result.latencies_s(), [0.5, 0.99]) * 1e3
        block = Block(
            kind=kind,
            seconds=noise.seconds,
            swaps=swaps,
            failed=result.failed,
            p50_ms=float(p50_ms),
            p99_ms=float(p99_ms),
            server_share=server_s / noise.seconds,
            generator_share=result.client_share,
            burnt_share=burnt_s / noise.seconds,
            others_share=noise.others_share,
        )
        return block, result

    async def _under_load(self, rate_rps: float, *, is_swapping: bool) -> tuple[LoadResult, int]:
        done = 0

        async def swap() -> None:
            nonlocal done
            end_s = time.monotonic() + _BLOCK_S
            async with Client(uds=self._admin) as client:
                while time.monotonic() < end_s:
                    await self._swap(client)
                    done += 1

        swapping = asyncio.create_task(swap()) if is_swapping else None
        result = await open_loop(
            self._server.target,
            self._requests,
            LoadLimits(seconds=_BLOCK_S, requests=10_000_000),
            arrivals_s=even_arrivals(rate_rps, _BLOCK_S),
            connections=64,
        )
        if swapping is not None:
            await swapping
        return result, done

    async def _swap(self, client: Client) -> None:
        load = "/v2/repository/models/mlp-16/load"
        answer = await client.request("POST", load, body=self._order)
        if answer.status != 200:
            raise SystemExit(f"a swap failed: {answer.body.decode()}")


@contextmanager
def _burning(burst_s: float, pace_s: float) -> Iterator[list[int]]:
    """The number of a process that burns `burst_s` every `pace_s`; none where there is no pace."""
    if not pace_s:
        yield []
        return
    command = [sys.executable, "-c", _BURN, str(burst_s), str(pace_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield [process.pid]
        process.kill()


def _cpu_s(pids: list[int]) -> float:
    return sum(read_process(pid).cpu_s for pid in pids)


def under(bench: Bench, rate_rps: float, count: int) -> dict[str, Any]:
    """Rounds of quiet, swapping and control blocks, until that many swaps were seen."""
    kept: list[list[Block]] = []
    everything: list[Block] = []
    latencies_s: dict[str, list[np.ndarray]] = {kind: [] for kind in _BLOCKS}
    end_s = time.monotonic() + _MOST_S
    pace_s, number = 0.1, 0
    while time.monotonic() < end_s and sum(b.swaps for b in everything) < count:
        first = number % len(_BLOCKS)
        number += 1
        blocks, results = [], []
        for kind in (*_BLOCKS[first:], *_BLOCKS[:first]):
            block, result = bench.block(kind, rate_rps, pace_s)
            blocks.append(block)
            results.append(result)
            pace_s = block.seconds / block.swaps if block.swaps else pace_s
        everything += blocks
        if max(block.others_share for block in blocks) <= _OTHERS_SHARE:
            kept.append(blocks)
            for block, result in zip(blocks, results, strict=True):
                latencies_s[block.kind].append(result.latencies_s())
    if not kept:
        raise SystemExit("others used the machine in every round; measure again when it is quiet")
    p99_ms = {
        kind: float(np.quantile(np.concatenate(each), 0.99)) * 1e3
        for kind, each in latencies_s.items()
    }
    return {
        "rate_rps": rate_rps,
        "swaps": sum(block.swaps for block in everything),
        "failed_requests": sum(block.failed for block in everything),
        "rounds": len(kept),
        "rounds_left_out": number - len(kept),
        "p99_ms": p99_ms,
        "blocks": [msgspec.to_builtins(block) for block in everything],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--swaps", type=int, default=1000)
    add_hot_path(parser)
    options = parser.parse_args()
    suite = suite_of("serving_swaps", in_c=options.in_c)
    with tempfile.TemporaryDirectory() as name, Recording(suite) as recording:
        folder = Path(name)
        model, admin = build_mlp_16(folder / "mlp-16.onnx"), folder / "admin"
        figures = recording.figures
        with running(edgewright(model, "--admin", admin, in_c=options.in_c)) as server:
            bench = Bench(server, admin, model)
            peak_rps = bench.peak_rps()
            bench.calibrate()
            figures["peak_rps"] = round(peak_rps)
            figures["swap_cpu_ms"] = round(bench.swap_cpu_s * 1e3, 2)
            for load, share in _LOADS.items():
                count = options.swaps if load == "half" else options.swaps // 4
                found = recording.raw[load] = under(bench, share * peak_rps, count)
                p99_ms = found["p99_ms"]
                figures |= {
                    f"{load}_load_swaps": found["swaps"],
                    f"{load}_load_failed_requests": found["failed_requests"],
                    f"{load}_load_rounds": found["rounds"],
                    f"{load}_load_rounds_left_out": found["rounds_left_out"],
                    f"{load}_load_quiet_p99_ms": round(p99_ms["quiet"], 3),
                    f"{load}_load_swapping_p99_ms": round(p99_ms["swapping"], 3),
                    f"{load}_load_control_p99_ms": round(p99_ms["control"], 3),
                    f"{load}_load_added_p99_ms": round(p99_ms["swapping"] - p99_ms["quiet"], 3),
                    f"{load}_load_control_added_p99_ms": round(
                        p99_ms["control"] - p99_ms["quiet"], 3
                    ),
                }
            figures["pss_after_mb"] = round(server.pss_mb(), 1)
        for figure, value in figures.items():
            print(f"{figure:42} {value}")


if __name__ == "__main__":
    main()
