"""Servers under load: started on loopback, held while others are measured, metered, ended."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np
import uvloop

from _results import ROOT
from edgewright.measure.clocks import usable_cores
from edgewright.measure.load import LoadLimits, LoadTarget, closed_loop, encode_request
from edgewright.measure.load_result import LoadResult
from edgewright.measure.procfs import descendants

_CPU_CLOCK = 2
_SERVE = "from edgewright.cli import main; main()"
_END_S = 10.0
_NATIVE = ROOT / "build" / "native"
_KEEPS_CODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""As installers do: no server should compile itself at every start."""
SHAPES = {"mlp-16": (1, 16), "tcn-bench": (1, 100, 9), "tcn-bench-int8": (1, 100, 9)}
BARE = [sys.executable, str(ROOT / "bench" / "_bare_server.py")]
NULL = [sys.executable, str(ROOT / "bench" / "_null_server.py")]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One server under load once."""

    cpu_us: float
    throughput_rps: float
    p50_us: float
    p99_us: float
    failed: int
    generator_share: float


class Server:
    """A server's process tree and where it listens."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str) -> None:
        self.process = process
        self.target = LoadTarget.from_url(address)

    @property
    def pids(self) -> list[int]:
        return [self.process.pid, *descendants(self.process.pid)]

    def cpu_s(self) -> float:
        """CPU time of the process and its children, to a nanosecond."""
        return sum(time.clock_gettime(((~pid) << 3) | _CPU_CLOCK) for pid in self.pids)

    def pss_mb(self) -> float:
        """Memory of the tree; what several processes share is counted once."""
        total = 0
        for pid in self.pids:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            total += int(text.split("\nPss:")[1].split()[0])
        return total * 1024 / 1e6

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run here, and nowhere else: a server that is not measured takes no time."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.rest()

    def rest(self) -> None:
        self.signal(signal.SIGSTOP)

    def signal(self, number: int) -> None:
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def started(
    command: list[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    is_mute: bool = False,
    keeps_stderr: bool = False,
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process group of its own, ended with all of its children. One that says a line a request is
    mute: nobody reads them, and a full pipe would hold it up. What is said on stderr is lost,
    unless the caller wants to read it.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL if is_mute else subprocess.PIPE,
        stderr=subprocess.PIPE if keeps_stderr else subprocess.DEVNULL,
        env={**os.environ, **_KEEPS_CODE, **(environment or {})},
        cwd=folder,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        pids = [process.pid, *descendants(process.pid)]
        for number in (signal.SIGCONT, signal.SIGTERM):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def running(command: list[str]) -> Iterator[Server]:
    """A server that tells its address, or its port, in its first line."""
    with started(command) as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        address = line["address"] if isinstance(line, dict) else f"http://127.0.0.1:{line}"
        yield Server(process, address)


def edgewright(*words: str | Path, in_c: bool = False) -> list[str]:
    """The command that serves these paths on a free port, its hot path in Python or in C (see
    `build_native`).
    """
    path = os.pathsep.join(filter(None, (str(_NATIVE), os.environ.get("PYTHONPATH"))))
    settings = ["EDGEWRIGHT_HOT_PATH=python"]
    if in_c:
        settings = ["EDGEWRIGHT_HOT_PATH=native", f"PYTHONPATH={path}"]
    serve = ["env", *settings, sys.executable, "-c", _SERVE, "serve"]
    return [*serve, *map(str, words), "--http", "127.0.0.1:0", "--json"]


_SPIN = """
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
print("ready", flush=True)
while True:
    pass
"""


@contextmanager
def cores_awake() -> Iterator[None]:
    """No core halts meanwhile: on each runs something that gives way to everything else. To wake a
    halted core of a virtual machine takes longer than a tiny answer, now more and now less.
    """
    with ExitStack() as stack:
        for _ in range(usable_cores()):
            spinner = stack.enter_context(started([sys.executable, "-c", _SPIN]))
            assert spinner.stdout is not None
            spinner.stdout.readline()
        yield


@contextmanager
def on_one_core(servers: Iterable[Server]) -> Iterator[None]:
    """This process and the servers on one core, where they take turns: nothing is woken across
    cores, which in a virtual machine takes longer than a tiny answer, now more and now less.
    """
    pids = [os.getpid(), *(pid for server in servers for pid in server.pids)]
    before = os.sched_getaffinity(0)
    _keep_to({min(before)}, pids)
    try:
        yield
    finally:
        _keep_to(before, pids)


def _keep_to(cores: set[int], pids: Iterable[int]) -> None:
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)


def add_hot_path(parser: argparse.ArgumentParser) -> None:
    """The option that measures the hot path in C instead of the one in Python."""
    parser.add_argument("--in-c", action="store_true", help="the hot path in C, built first")


def suite_of(name: str, *, in_c: bool) -> str:
    """What its record is called; the part in C is made where it is needed."""
    if in_c:
        build_native()
    return f"{name}-c" if in_c else name


def build_native() -> None:
    """Make the part in C, as `make native` does."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    subprocess.run([*pip, "--target", str(_NATIVE), str(ROOT / "native")], check=True)


def values_of(model: str) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, SHAPES[model]).astype(np.float32)


def infer_request(target: LoadTarget, model: str, *, name: str = "") -> bytes:
    values = values_of(model)
    tensor = {
        "name": "x",
        "shape": values.shape,
        "datatype": "FP32",
        "data": values.ravel().tolist(),
    }
    body = json.dumps({"inputs": [tensor]}).encode()
    return post(target, f"/v2/models/{name or model}/infer", body)


def binary_request(target: LoadTarget, model: str) -> bytes:
    """The same values as raw bytes behind a JSON header, and the answer asked for like that."""
    values = values_of(model)
    content = values.tobytes()
    tensor = {
        "name": "x",
        "shape": values.shape,
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(content)},
    }
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return encode_request(
        "POST",
        f"/v2/models/{model}/infer",
        target=target,
        body=header + content,
        headers={"inference-header-content-length": str(len(header))},
    )


def bare_request(target: LoadTarget, model: str) -> bytes:
    """The values alone, for a server that asks nothing."""
    return encode_request("POST", "/", target=target, body=values_of(model).tobytes(), headers={})


def post(target: LoadTarget, path: str, body: bytes) -> bytes:
    headers = {"content-type": "application/json"}
    return encode_request("POST", path, target=target, body=body, headers=headers)


def one_round(server: Server, request: bytes, connections: int, seconds: float) -> Round:
    before_s = server.cpu_s()
    limits = LoadLimits(seconds=seconds)
    result = uvloop.run(closed_loop(server.target, [request], limits, connections=connections))
    return round_of(result, server.cpu_s() - before_s)


def round_of(result: LoadResult, cpu_s: float) -> Round:
    p50, p99 = np.quantile(result.latencies_s(), [0.5, 0.99]) * 1e6
    return Round(
        cpu_us=cpu_s / max(result.answered, 1) * 1e6,
        throughput_rps=result.throughput_rps,
        p50_us=float(p50),
        p99_us=float(p99),
        failed=result.failed,
        generator_share=result.client_share,
    )
