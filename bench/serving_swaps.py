"""A thousand swaps of a model while requests arrive evenly, at half of the peak, and a quarter as
many at a quarter of the peak and near it; fewer where four minutes do not suffice, and the figures
say how many.

    python bench/serving_swaps.py [--swaps 1000]

Added latency is against the same load without swaps, on the same server, right before.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

import msgspec

from _models import build_mlp_16
from _results import Recording
from _serving_servers import Round, Server, edgewright, infer_request, one_round, round_of, running
from edgewright.measure.load import LoadLimits, even_arrivals, open_loop
from edgewright.transports.http1 import Client

_QUIET_S = 5.0
_MOST_S = 240.0
_LOADS = {"quarter": 0.25, "half": 0.5, "full": 0.9}


async def under_load(
    server: Server, admin: Path, model: Path, count: int, rate_rps: float
) -> tuple[Round, int]:
    """With `count` 0 nothing is swapped, for five seconds; else for as long as the swaps last."""
    requests = [infer_request(server.target, "mlp-16")]
    done = 0
    seconds, before_s = _QUIET_S, server.cpu_s()
    if count:
        seconds = min(_MOST_S, max(_QUIET_S, count * await _swap_s(admin, model) * 1.5))

    async def swap() -> None:
        nonlocal done
        end_s = asyncio.get_running_loop().time() + seconds
        async with Client(uds=admin) as client:
            while done < count and asyncio.get_running_loop().time() < end_s:
                await _swap(client, model)
                done += 1

    swapping = asyncio.create_task(swap())
    result = await open_loop(
        server.target,
        requests,
        LoadLimits(seconds=seconds, requests=20_000_000),
        arrivals_s=even_arrivals(rate_rps, seconds),
        connections=64,
    )
    await swapping
    return round_of(result, server.cpu_s() - before_s), done


async def _swap(client: Client, model: Path) -> None:
    order = json.dumps({"path": str(model)}).encode()
    answer = await client.request("POST", "/v2/repository/models/mlp-16/load", body=order)
    if answer.status != 200:
        raise SystemExit(f"a swap failed: {answer.body.decode()}")


async def _swap_s(admin: Path, model: Path) -> float:
    async with Client(uds=admin) as client:
        started_s = asyncio.get_running_loop().time()
        for _ in range(5):
            await _swap(client, model)
        return (asyncio.get_running_loop().time() - started_s) / 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--swaps", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Recording("serving_swaps") as recording:
        folder = Path(name)
        model, admin = build_mlp_16(folder / "mlp-16.onnx"), folder / "admin"
        figures = recording.figures
        with running(edgewright(model, "--admin", admin)) as server:
            request = infer_request(server.target, "mlp-16")
            peak_rps = max(one_round(server, request, 32, 1.5).throughput_rps for _ in range(3))
            figures["peak_rps"] = round(peak_rps)
            for load, share in _LOADS.items():
                count = options.swaps if load == "half" else options.swaps // 4
                rate_rps = share * peak_rps
                quiet, _ = asyncio.run(under_load(server, admin, model, 0, rate_rps))
                swapping, done = asyncio.run(under_load(server, admin, model, count, rate_rps))
                recording.raw[load] = {
                    "rate_rps": rate_rps,
                    "quiet": msgspec.to_builtins(quiet),
                    "swapping": msgspec.to_builtins(swapping),
                }
                figures[f"{load}_load_swaps"] = done
                figures[f"{load}_load_failed_requests"] = swapping.failed
                figures[f"{load}_load_quiet_p99_ms"] = round(quiet.p99_us / 1e3, 3)
                figures[f"{load}_load_swapping_p99_ms"] = round(swapping.p99_us / 1e3, 3)
                added_us = swapping.p99_us - quiet.p99_us
                figures[f"{load}_load_added_p99_ms"] = round(added_us / 1e3, 3)
            figures["pss_after_mb"] = round(server.pss_mb(), 1)
        for figure, value in figures.items():
            print(f"{figure:42} {value}")


if __name__ == "__main__":
    main()
