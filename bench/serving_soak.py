"""Half an hour at a modest rate: several models, swaps, clients that come, go and are cut off, and
streams beside them. Every request must be answered; memory, file descriptors and threads must not
grow.

    python bench/serving_soak.py [--minutes 30] [--rps 200]

Two processes are watched: `edgewright serve` with two models, one of which is swapped every few
seconds, and `edgewright stream`, which replays a recording of several sensors at its own pace and
serves its model. Growth is the median slope of the samples after the warm-up (Theil-Sen, bounded by
resampling blocks); the verdict is passed when even the upper bound is below the limit, failed when
even the lower one is above it, else undecided. Anonymous memory decides: what a process has in
common with others changes when those come and go. Files and threads are told without a verdict.
"""

import argparse
import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from _models import build_mlp_16, build_tcn_bench
from _results import Recording
from _serving_servers import (
    Server,
    add_hot_path,
    edgewright,
    infer_request,
    started,
    suite_of,
)
from edgewright.evidence import Interval
from edgewright.measure.load import LoadLimits, even_arrivals, open_loop
from edgewright.transports.http1 import Client
from edgewright.validate.resources import slope_interval

SAMPLE_EVERY_S = 5.0
SWAP_EVERY_S = 5.0
CUT_EVERY_S = 7.0
SEGMENT_S = 30.0
"""So long every connection of the good clients lives."""
PATIENCE_S = 60.0
"""An answer that is late is no lost one; the quantiles tell of it."""
WARM_UP_SHARE = 0.2
MOST_GROWTH_MB_PER_HOUR = 4.0
TCN_EVERY = 10
"""Every so manieth request is one of the heavy model."""
SENSORS = ("left", "right")
RATE_HZ = 50


class Watch:
    """What one process uses, sampled."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.samples: list[dict[str, float]] = []

    def sample(self, at_s: float) -> None:
        pid = self.server.process.pid
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        fields = dict(line.split(":") for line in rollup.splitlines()[1:])
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        self.samples.append(
            {
                "at_s": round(at_s, 2),
                "anonymous_mb": _megabytes(fields["Anonymous"]),
                "pss_mb": _megabytes(fields["Pss"]),
                "rss_mb": _megabytes(fields["Rss"]),
                "open_files": self.server.open_files(),
                "threads": int(status.split("\nThreads:")[1].split()[0]),
            }
        )

    def settled(self, seconds: float) -> list[dict[str, float]]:
        """The samples after the warm-up."""
        return [each for each in self.samples if each["at_s"] >= WARM_UP_SHARE * seconds]


class Asking:
    """Good clients, swaps and clients that are cut off, and what became of them."""

    def __init__(self, server: Server, streaming: Server, admin: Path, models: list[Path]) -> None:
        self.server, self.streaming = server, streaming
        self._admin = admin
        self._models = models
        self.answered = self.failed = self.swaps = self.cut = 0
        self.errors: dict[str, int] = {}
        self.failures: list[dict[str, object]] = []
        """When, beside what else, so that a cause can be told."""
        self.p99_ms: list[float] = []

    async def ask(self, rps: float, seconds: float) -> None:
        """At an even rate, on connections that are new every half minute."""
        light = infer_request(self.server.target, "mlp-16")
        heavy = infer_request(self.server.target, "tcn-bench")
        began_s = time.monotonic()
        end_s = began_s + seconds
        while (left_s := end_s - time.monotonic()) > 1:
            length_s = min(SEGMENT_S, left_s)
            result = await open_loop(
                self.server.target,
                [*[light] * (TCN_EVERY - 1), heavy],
                LoadLimits(seconds=length_s, timeout_s=PATIENCE_S, drain_s=PATIENCE_S),
                arrivals_s=even_arrivals(rps, length_s),
                connections=16,
            )
            self.answered += result.answered
            self.failed += result.failed
            for error, count in result.errors.items():
                self.errors[error] = self.errors.get(error, 0) + count
            self.p99_ms.append(round(float(np.quantile(result.latencies_s(), 0.99)) * 1e3, 3))
            if result.failed:
                self.failures.append(
                    {
                        "until_s": round(time.monotonic() - began_s, 1),
                        "errors": dict(result.errors),
                        "reconnects": result.reconnects,
                        "swaps": self.swaps,
                        "cut_off": self.cut,
                        "p99_ms": self.p99_ms[-1],
                    }
                )

    async def swap(self) -> None:
        """Two versions of one model, in turns."""
        async with Client(uds=self._admin) as client:
            while True:
                await asyncio.sleep(SWAP_EVERY_S)
                path = self._models[self.swaps % len(self._models)]
                answer = await client.request(
                    "POST",
                    "/v2/repository/models/mlp-16/load",
                    body=json.dumps({"path": str(path)}).encode(),
                )
                if answer.status != 200:
                    raise SystemExit(f"a swap failed: {answer.body.decode()}")
                self.swaps += 1

    async def cut_off(self) -> None:
        """Clients of both servers that leave in the middle of a request."""
        request = infer_request(self.server.target, "mlp-16")
        while True:
            await asyncio.sleep(CUT_EVERY_S)
            for target in (self.server.target, self.streaming.target):
                _, writer = await asyncio.open_connection(target.host, target.port)
                writer.write(request[: -1 - self.cut % 90])
                await writer.drain()
                writer.transport.abort()
                self.cut += 1


async def soak(watches: dict[str, Watch], asking: Asking, *, rps: float, seconds: float) -> None:
    began_s = time.monotonic()
    beside = [asyncio.create_task(work) for work in (asking.swap(), asking.cut_off())]
    answering = asyncio.create_task(asking.ask(rps, seconds))
    told_s = 0.0
    while not answering.done():
        at_s = time.monotonic() - began_s
        for watch in watches.values():
            watch.sample(at_s)
        if at_s >= told_s:
            told_s += 60
            now = {name: watch.samples[-1]["anonymous_mb"] for name, watch in watches.items()}
            print(f"{at_s:6.0f} s: {asking.answered} answered, {asking.failed} failed, "
                  f"{asking.swaps} swaps, anonymous {now}", flush=True)  # fmt: skip
        for task in beside:
            if task.done():
                task.result()
        await asyncio.wait([answering], timeout=SAMPLE_EVERY_S)
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    answering.result()


def tell(recording: Recording, name: str, watch: Watch, seconds: float) -> None:
    samples, figures = watch.settled(seconds), recording.figures
    hours = np.array([each["at_s"] for each in samples]) / 3600
    growths = {
        what: slope_interval(
            hours, np.array([each[what] for each in samples]), rng=np.random.default_rng(0)
        )
        for what in ("anonymous_mb", "pss_mb", "open_files", "threads")
    }
    for what, growth in growths.items():
        figures[f"{name}_{what}_per_hour"] = round(growth.value, 3)
        figures[f"{name}_{what}_per_hour_low"] = round(growth.low, 3)
        figures[f"{name}_{what}_per_hour_high"] = round(growth.high, 3)
        figures[f"{name}_{what}_first"] = samples[0][what]
        figures[f"{name}_{what}_last"] = samples[-1][what]
    figures[f"{name}_verdict"] = verdict(growths["anonymous_mb"], MOST_GROWTH_MB_PER_HOUR)
    recording.raw[name] = watch.samples


def _megabytes(kilobytes: str) -> float:
    """A line of the kernel's, "  5120 kB"."""
    return round(int(kilobytes.split(maxsplit=1)[0]) * 1024 / 1e6, 3)


def verdict(growth: Interval, limit: float) -> str:
    """
    >>> verdict(Interval(low=-1.0, value=0.0, high=1.0, confidence=0.95), 4.0)
    'passed'
    """
    if growth.high <= limit:
        return "passed"
    return "failed" if growth.low > limit else "undecided"


@contextlib.contextmanager
def streaming(folder: Path, model: Path, seconds: float, *, in_c: bool) -> Iterator[Server]:
    """`edgewright stream` with a server, and a source that lasts longer than the soak."""
    parts = []
    for number, sensor in enumerate(SENSORS):
        record(folder / f"{sensor}.csv", seconds + 60, seed=number)
        parts.append(
            f'[[stream]]\nmodel = "{model}"\nrate_hz = {RATE_HZ}\n[stream.source]\nkind = "file"\n'
            f'path = "{sensor}.csv"\ntime = "t"\nspeed = 1.0\n'
            f'[[stream.sinks]]\nkind = "file"\npath = "{sensor}.jsonl"\n'
        )
    file = folder / "stream.toml"
    file.write_text("\n".join(['[serve]\nhttp = "127.0.0.1:0"\n', *parts]), encoding="ascii")
    command = edgewright(model, in_c=in_c)
    command = [*command[: command.index("serve")], "stream", str(file)]
    with started(command, keeps_stderr=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(b"ready: serving on "):
                yield Server(process, line.decode().split()[-1])
                return
        raise SystemExit("the stream did not start")


def record(path: Path, seconds: float, *, seed: int) -> None:
    """A recording of nine channels."""
    count = int(seconds * RATE_HZ)
    values = np.random.default_rng(seed).normal(size=(count, 9))
    table = np.column_stack([np.arange(count) / RATE_HZ, values])
    header = ",".join(["t", *(f"channel{place}" for place in range(9))])
    np.savetxt(path, table, fmt="%.4f", delimiter=",", header=header, comments="")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rps", type=float, default=200.0)
    add_hot_path(parser)
    options = parser.parse_args()
    suite = suite_of("serving_soak", in_c=options.in_c)
    seconds = options.minutes * 60
    os.nice(5)
    with (
        tempfile.TemporaryDirectory() as name,
        Recording(suite) as recording,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        recording.raw["options"] = vars(options)
        models = []
        for seed, version in enumerate(("a", "b")):
            (folder / version).mkdir()
            models.append(build_mlp_16(folder / version / "mlp-16.onnx", seed=seed))
        tcn = build_tcn_bench(folder / "tcn-bench.onnx")
        words = (models[0], tcn, "--admin", folder / "admin.sock")
        served = stack.enter_context(started(edgewright(*words, in_c=options.in_c)))
        assert served.stdout is not None
        server = Server(served, json.loads(served.stdout.readline())["address"])
        streamed = stack.enter_context(streaming(folder, tcn, seconds, in_c=options.in_c))
        watches = {"serve": Watch(server), "stream": Watch(streamed)}
        asking = Asking(server, streamed, folder / "admin.sock", models)
        asyncio.run(soak(watches, asking, rps=options.rps, seconds=seconds))
        figures = recording.figures
        figures["minutes"] = options.minutes
        figures["answered"], figures["failed"] = asking.answered, asking.failed
        figures["requests_verdict"] = "failed" if asking.failed else "passed"
        figures["swaps"], figures["clients_cut_off"] = asking.swaps, asking.cut
        figures["windows_streamed"] = sum(
            len((folder / f"{sensor}.jsonl").read_bytes().splitlines()) for sensor in SENSORS
        )
        figures["half_minutes_median_p99_ms"] = float(np.median(asking.p99_ms))
        recording.raw["p99_ms"], recording.raw["errors"] = asking.p99_ms, asking.errors
        recording.raw["failures"] = asking.failures
        for each, watch in watches.items():
            tell(recording, each, watch, seconds)
        for figure, value in figures.items():
            print(f"{figure:40} {value}")


if __name__ == "__main__":
    main()
