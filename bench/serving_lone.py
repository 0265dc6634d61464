"""Where a lone client's time goes: `mlp-16` behind one connection, beside a null reply of uvloop
and a server that does nothing but run the session, with the engine's plain call and with tensors
that stay where they are. All take turns in each round, the server with its hot path in Python and
in C, on cores that are kept awake.

    python bench/serving_lone.py [--rounds 9] [--seconds 1]

Then the steps of a request are timed one by one in this process, where nothing evicts its caches.
"""

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import orjson
import uvloop

from _models import build_mlp_16
from _results import Recording
from _serving_servers import (
    BARE,
    NULL,
    Round,
    Server,
    bare_request,
    build_native,
    cores_awake,
    edgewright,
    infer_request,
    one_round,
    running,
)
from edgewright.chain.serving import open_servable
from edgewright.clock import SystemClock
from edgewright.device.serve import InferenceServer, ServeOptions
from edgewright.device.serve.row import bind_row
from edgewright.transports._http1_connection import Connection

_MODEL = "mlp-16"
_FLOOR, _PLAIN, _BOUND, _OURS, _IN_C = "null", "bare", "bare_bound", "edgewright", "edgewright_c"
_REPEATS = 5000


def started(stack: ExitStack, model: Path) -> dict[str, tuple[Server, bytes]]:
    bare = [*BARE, str(model), "64", "1,16"]
    commands = {
        _FLOOR: NULL,
        _PLAIN: bare,
        _BOUND: [*bare, "bound"],
        _OURS: edgewright(model),
        _IN_C: edgewright(model, in_c=True),
    }
    servers: dict[str, tuple[Server, bytes]] = {}
    for name, command in commands.items():
        server = stack.enter_context(running(command))
        is_bare = name in {_PLAIN, _BOUND}
        ask = bare_request if is_bare else infer_request
        servers[name] = server, ask(server.target, _MODEL)
        server.rest()
    return servers


def one_of_each(servers: dict[str, tuple[Server, bytes]], seconds: float) -> dict[str, Round]:
    found: dict[str, Round] = {}
    for name, (server, request) in servers.items():
        with server.awake():
            found[name] = one_round(server, request, 1, seconds)
    return found


class Wire:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.answers = 0
        self.is_closing = bool

    def write(self, data: bytes) -> None:
        self.answers += data.startswith(b"HTTP/1.1 200 ")

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name == "peername" else None


async def stages(model: Path, request: bytes) -> dict[str, float]:
    """Medians of the steps of a request, one after the other in this process, without a network."""
    timer, options = time.perf_counter, ServeOptions(port=0)
    server = InferenceServer(open_servable, options, clock=SystemClock(), timer=timer)
    await server.start([model])
    connection, wire = Connection(server._servers[0]), Wire()  # noqa: SLF001 - no network here
    connection.connection_made(wire)  # type: ignore[arg-type]  # all that is asked of one
    for _ in range(_REPEATS // 10):
        connection.data_received(request)
        await asyncio.sleep(0)
    served = server.models.find(_MODEL)
    form = served.reader.forms[0]
    row, pack = bind_row(served.servable.model, form, (1, 16)), form.packer(16)
    assert row is not None
    numbers = b"[%b]" % request.rpartition(b"[")[2].partition(b"]")[0]
    spent_s: dict[str, list[float]] = {"whole": [], "read": [], "run": [], "text": []}
    before = wire.answers
    for _ in range(_REPEATS):
        moments_s = [timer()]
        connection.data_received(request)
        moments_s.append(timer())
        row.take(pack(*orjson.loads(numbers)))
        moments_s.append(timer())
        row.run()
        moments_s.append(timer())
        row.text()
        moments_s.append(timer())
        for times_s, (first, last) in zip(
            spent_s.values(), itertools.pairwise(moments_s), strict=True
        ):
            times_s.append(last - first)
    assert wire.answers - before == _REPEATS
    connection.connection_lost(None)
    await server.close(drain_s=0)
    return {name: statistics.median(times_s) * 1e6 for name, times_s in spent_s.items()}


def tell(recording: Recording, rounds: list[dict[str, Round]], steps: dict[str, float]) -> None:
    figures = recording.figures
    for name in rounds[0]:
        figures[f"{name}_cpu_us"] = _median(each[name].cpu_us for each in rounds)
        figures[f"{name}_p50_us"] = _median(each[name].p50_us for each in rounds)
        figures[f"{name}_failed"] = sum(each[name].failed for each in rounds)
    for other, (ours, prefix) in itertools.product(
        (_FLOOR, _PLAIN, _BOUND), ((_OURS, ""), (_IN_C, "c_"))
    ):
        figures[f"{prefix}cpu_ratio_to_{other}"] = _median(
            each[ours].cpu_us / each[other].cpu_us for each in rounds
        )
        figures[f"{prefix}p50_ratio_to_{other}"] = _median(
            each[ours].p50_us / each[other].p50_us for each in rounds
        )
    for step, spent_us in steps.items():
        figures[f"in_process_{step}_us"] = round(spent_us, 2)
    parts_us = [spent_us for step, spent_us in steps.items() if step != "whole"]
    figures["in_process_rest_us"] = round(steps["whole"] - sum(parts_us), 2)


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    build_native()
    with (
        tempfile.TemporaryDirectory() as folder,
        Recording("serving_lone") as recording,
        ExitStack() as stack,
    ):
        recording.raw["options"] = vars(options)
        model = build_mlp_16(Path(folder) / "mlp-16.onnx")
        servers = started(stack, model)
        with cores_awake():
            one_of_each(servers, 0.5)
            rounds = [one_of_each(servers, options.seconds) for _ in range(options.rounds)]
        recording.raw["rounds"] = msgspec.to_builtins(rounds)
        for server, _ in servers.values():
            server.rest()
        request = servers[_OURS][1]
        tell(recording, rounds, uvloop.run(stages(model, request)))
        for name, figure in recording.figures.items():
            print(f"{name:24} {figure}")


if __name__ == "__main__":
    main()
