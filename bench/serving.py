"""Server CPU per request and latency of `edgewright serve` beside a null uvloop reply and other
servers of the same model, interleaved in one run.

    python bench/serving.py [--rounds 7] [--seconds 2] [--venvs DIR]

The model is a signed bundle whose contract has a range for every channel. The server runs twice:
its hot path in Python, which everybody has, and in C (`native/`), which is built first.

A lone client is measured twice: as it is, and on one core with every server, so that servers are
compared and not how long this machine takes to wake another core.

CPU is the kernel's own count for the server's process tree. A round measures every server once,
and those that are not measured are stopped meanwhile, so that what else the machine does hits all.
Other servers are installed into venvs of their own; one that cannot be is named with the reason.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack, nullcontext
from pathlib import Path

import msgspec
import uvloop

from _mlp_bundle import build_mlp_bundle
from _results import ROOT, Recording
from _serving_peers import PEERS, install, request_of, serving
from _serving_servers import (
    NULL,
    Round,
    Server,
    build_native,
    edgewright,
    infer_request,
    on_one_core,
    one_round,
    running,
)
from edgewright.measure.load import LoadLimits, closed_loop

_OURS, _IN_C, _FLOOR = "edgewright", "edgewright_c", "null"
_WARM_UP_S = 0.5


def start_up(recording: Recording, model: Path, rounds: int, *, in_c: bool) -> None:
    """From starting the process to the first answer, and what it holds then."""
    taken_s: list[float] = []
    pss_mb: list[float] = []
    for _ in range(rounds):
        started_s = time.perf_counter()
        with running(edgewright(model, in_c=in_c)) as server:
            request = infer_request(server.target, "mlp-16")
            limits = LoadLimits(seconds=5, requests=1)
            result = uvloop.run(closed_loop(server.target, [request], limits))
            taken_s.append(time.perf_counter() - started_s)
            assert (result.answered, result.failed) == (1, 0)
            time.sleep(0.5)
            pss_mb.append(server.pss_mb())
    prefix = "c_" if in_c else ""
    recording.raw[f"{prefix}start_up_s"], recording.raw[f"{prefix}idle_pss_mb"] = taken_s, pss_mb
    recording.figures[f"{prefix}start_to_first_answer_s"] = _median(taken_s)
    recording.figures[f"{prefix}idle_pss_mb"] = _median(pss_mb)


def side_by_side(
    recording: Recording, model: Path, venvs: Path, options: argparse.Namespace
) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers: dict[str, tuple[Server, bytes]] = {}
        commands = {_FLOOR: NULL, _OURS: edgewright(model), _IN_C: edgewright(model, in_c=True)}
        for name, command in commands.items():
            server = stack.enter_context(running(command))
            servers[name] = server, infer_request(server.target, "mlp-16")
        servers |= _peers(recording, model.with_suffix(".onnx"), venvs, Path(folder), stack)
        for server, _ in servers.values():
            server.rest()
        _round(servers, 8, _WARM_UP_S)
        everyone = [server for server, _ in servers.values()]
        for name, connections in (("32", 32), ("1", 1), ("1_one_core", 1)):
            with on_one_core(everyone) if name.endswith("core") else nullcontext():
                rounds = [
                    _round(servers, connections, options.seconds) for _ in range(options.rounds)
                ]
            recording.raw[f"connections_{name}"] = msgspec.to_builtins(rounds)
            _tell(recording, f"mlp16_{name}", rounds)


def _peers(
    recording: Recording, model: Path, venvs: Path, folder: Path, stack: ExitStack
) -> dict[str, tuple[Server, bytes]]:
    found: dict[str, tuple[Server, bytes]] = {}
    told: dict[str, object] = {}
    for peer in PEERS:
        try:
            version = install(peer, venvs)
            server, start_s = stack.enter_context(serving(peer, venvs, model, folder / peer.name))
        except (RuntimeError, OSError) as error:
            told[peer.name] = {"left_out": str(error)}
            print(f"{peer.name}: left out: {error}")
            continue
        found[peer.name] = server, request_of(peer, server.target)
        told[peer.name] = {"version": version}
        recording.figures[f"{peer.name}_start_to_first_answer_s"] = round(start_s, 2)
        recording.figures[f"{peer.name}_pss_mb"] = round(server.pss_mb(), 1)
        server.rest()
        print(f"{peer.name} {version}: ready in {start_s:.1f} s")
    recording.raw["peers"] = told
    return found


def _round(
    servers: dict[str, tuple[Server, bytes]], connections: int, seconds: float
) -> dict[str, Round]:
    found: dict[str, Round] = {}
    for name, (server, request) in servers.items():
        with server.awake():
            found[name] = one_round(server, request, connections, seconds)
    return found


def _tell(recording: Recording, name: str, rounds: list[dict[str, Round]]) -> None:
    figures = recording.figures
    for server in rounds[0]:
        prefix = {_OURS: name, _IN_C: f"{name}_c"}.get(server, f"{name}_{server}")
        figures[f"{prefix}_cpu_us"] = _median(each[server].cpu_us for each in rounds)
        figures[f"{prefix}_p50_us"] = _median(each[server].p50_us for each in rounds)
        figures[f"{prefix}_rps"] = round(_median(each[server].throughput_rps for each in rounds))
        figures[f"{prefix}_failed"] = sum(each[server].failed for each in rounds)
    peers = [server for server in rounds[0] if server not in (_OURS, _IN_C, _FLOOR)]
    for ours, prefix in ((_OURS, name), (_IN_C, f"{name}_c")):
        figures[f"{prefix}_cpu_ratio_to_null"] = _median(
            each[ours].cpu_us / each[_FLOOR].cpu_us for each in rounds
        )
        if peers:
            figures[f"{prefix}_best_peer_cpu_ratio"] = _median(
                min(each[peer].cpu_us for peer in peers) / each[ours].cpu_us for each in rounds
            )
            figures[f"{prefix}_best_peer_p50_ratio"] = _median(
                min(each[peer].p50_us for peer in peers) / each[ours].p50_us for each in rounds
            )


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--venvs", type=Path, default=ROOT / ".venv-peers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Recording("serving") as recording:
        recording.raw["options"] = {"rounds": options.rounds, "seconds": options.seconds}
        build_native()
        model = build_mlp_bundle(Path(folder))
        for in_c in (False, True):
            start_up(recording, model, options.rounds, in_c=in_c)
        side_by_side(recording, model, options.venvs.absolute(), options)
        for name, figure in recording.figures.items():
            print(f"{name:42} {figure}")


if __name__ == "__main__":
    main()
