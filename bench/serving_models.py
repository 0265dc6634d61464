"""`tcn-bench` behind `edgewright serve` beside raw onnxruntime, and latency at half load.

    python bench/serving_models.py [--rounds 7] [--seconds 1.5] [--in-c]

Raw onnxruntime runs in this process, one thread a session and as many sessions as the server has
workers, interleaved with the server's rounds; the server's clients are on the same machine, so its
share of raw includes what their requests cost there. Both forms of the protocol are asked, JSON and
binary. With one connection a bare uvloop server around the same session runs beside: it reads
nothing and checks nothing, and shows what of the share is the machine's and the client's; once more
on cores that are kept awake, since between two requests a core halts, and raw onnxruntime's never.
"""

import argparse
import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort

from _models import build_mlp_16, build_tcn_bench, build_tcn_bench_int8
from _results import Recording
from _serving_servers import (
    BARE,
    Round,
    Server,
    add_hot_path,
    bare_request,
    binary_request,
    cores_awake,
    edgewright,
    infer_request,
    one_round,
    round_of,
    running,
    suite_of,
    values_of,
)
from edgewright.measure.clocks import usable_cores
from edgewright.measure.load import LoadLimits, even_arrivals, open_loop

_HALF_LOAD_S = 4.0
_HALF_LOAD_ROUNDS = 3


class Raw:
    """One-thread sessions of one model, each in a thread."""

    def __init__(self, model: Path, sessions: int) -> None:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._sessions = [
            ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
            for _ in range(sessions)
        ]
        self._feed = {"x": values_of(model.stem)}

    def rps(self, seconds: float) -> float:
        passes = [0] * len(self._sessions)
        end_s = time.perf_counter() + seconds

        def work(place: int, session: Any) -> None:
            while time.perf_counter() < end_s:
                session.run(None, self._feed)
                passes[place] += 1

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(self._sessions)]
        started_s = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(passes) / (time.perf_counter() - started_s)


def share_of_raw(
    recording: Recording,
    model: Path,
    *,
    threads: int,
    connections: int,
    options: Any,
    is_awake: bool = False,
) -> float:
    """Interleaved; returns the median throughput of the binary form."""
    raw = Raw(model, threads)
    name = f"{model.stem.replace('-', '_')}_{connections}{'_awake' if is_awake else ''}"
    bare_words = [str(model), str(values_of(model.stem).nbytes), _shape_of(model)]
    with (
        running(edgewright(model, "--threads", str(threads), in_c=options.in_c)) as server,
        running([*BARE, *bare_words]) as bare,
        cores_awake() if is_awake else nullcontext(),
    ):
        asked = {
            "json": (server, infer_request(server.target, model.stem)),
            "binary": (server, binary_request(server.target, model.stem)),
        }
        if connections == 1:
            asked["bare"] = (bare, bare_request(bare.target, model.stem))
        rounds: dict[str, list[tuple[Round, float]]] = {form: [] for form in asked}
        for one, request in asked.values():
            one_round(one, request, connections, 0.3)
        for _ in range(options.rounds):
            for form, (one, request) in asked.items():
                served = one_round(one, request, connections, options.seconds)
                rounds[form].append((served, raw.rps(options.seconds)))
        recording.figures[f"{name}_pss_mb"] = round(server.pss_mb(), 1)
    recording.raw[name] = msgspec.to_builtins(rounds)
    figures = recording.figures
    for form, found in rounds.items():
        figures[f"{name}_{form}_share_of_raw"] = _median(
            each.throughput_rps / raw_rps for each, raw_rps in found
        )
        figures[f"{name}_{form}_rps"] = round(_median(each.throughput_rps for each, _ in found), 1)
        figures[f"{name}_{form}_p50_ms"] = _median(each.p50_us / 1e3 for each, _ in found)
        figures[f"{name}_{form}_failed"] = sum(each.failed for each, _ in found)
    if "bare" in rounds:
        pairs = zip(rounds["binary"], rounds["bare"], strict=True)
        figures[f"{name}_share_of_bare"] = _median(
            ours.throughput_rps / least.throughput_rps for (ours, _), (least, _) in pairs
        )
    return float(figures[f"{name}_binary_rps"])


def _shape_of(model: Path) -> str:
    return ",".join(map(str, values_of(model.stem).shape))


def half_load(recording: Recording, model: Path, peak_rps: float, *, in_c: bool) -> None:
    """Requests that arrive evenly at half of the peak, whether the last is answered or not."""
    name = f"{model.stem.replace('-', '_')}_half_load"
    with running(edgewright(model, "--threads", "1", in_c=in_c)) as server:
        found = [
            asyncio.run(_arriving(server, model.stem, peak_rps / 2))
            for _ in range(_HALF_LOAD_ROUNDS)
        ]
    recording.raw[name] = msgspec.to_builtins(found)
    figures = recording.figures
    figures[f"{name}_rps"] = round(peak_rps / 2, 1)
    figures[f"{name}_p50_ms"] = _median(each.p50_us / 1e3 for each in found)
    figures[f"{name}_p99_ms"] = _median(each.p99_us / 1e3 for each in found)
    figures[f"{name}_p99_to_p50"] = _median(each.p99_us / each.p50_us for each in found)
    figures[f"{name}_failed"] = sum(each.failed for each in found)


async def _arriving(server: Server, model: str, rate_rps: float) -> Round:
    before_s = server.cpu_s()
    result = await open_loop(
        server.target,
        [infer_request(server.target, model)],
        LoadLimits(seconds=_HALF_LOAD_S),
        arrivals_s=even_arrivals(rate_rps, _HALF_LOAD_S),
        connections=16,
    )
    return round_of(result, server.cpu_s() - before_s)


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    add_hot_path(parser)
    options = parser.parse_args()
    suite = suite_of("serving_models", in_c=options.in_c)
    with tempfile.TemporaryDirectory() as name, Recording(suite) as recording:
        folder = Path(name)
        tcn = build_tcn_bench(folder / "tcn-bench.onnx")
        calibration = np.random.default_rng(1).uniform(-1, 1, (64, 100, 9)).astype(np.float32)
        small = build_tcn_bench_int8(tcn, folder / "tcn-bench-int8.onnx", calibration)
        recording.raw["options"] = vars(options)
        cores = usable_cores()
        alone_rps = share_of_raw(recording, tcn, threads=1, connections=1, options=options)
        share_of_raw(recording, tcn, threads=1, connections=1, options=options, is_awake=True)
        share_of_raw(recording, tcn, threads=cores, connections=16, options=options)
        share_of_raw(recording, small, threads=1, connections=4, options=options)
        half_load(recording, tcn, alone_rps, in_c=options.in_c)
        mlp = build_mlp_16(folder / "mlp-16.onnx")
        with running(edgewright(mlp, in_c=options.in_c)) as server:
            request = infer_request(server.target, "mlp-16")
            peak_rps = max(one_round(server, request, 16, 1.0).throughput_rps for _ in range(3))
        half_load(recording, mlp, peak_rps, in_c=options.in_c)
        for figure, value in recording.figures.items():
            print(f"{figure:42} {value}")


if __name__ == "__main__":
    main()
