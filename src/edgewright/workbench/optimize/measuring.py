"""Measurements of models on this machine, kept in a file that predictions are drawn from.

`calibrate` runs networks of many shapes that are made up from a seed, all in the same interleaved
rounds as the yardstick; `check` does it for one model of yours and says whether the prediction,
made before, held.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx

from edgewright import _fs
from edgewright.errors import InputError
from edgewright.evidence import Interval
from edgewright.measure import describe_machine
from edgewright.measure.latency import LatencySamples, interleaved
from edgewright.runtimes import Runtime
from edgewright.runtimes.base import Array, Session
from edgewright.workbench.convert import onnx_bytes, read_onnx
from edgewright.workbench.optimize.engines import Weigh
from edgewright.workbench.optimize.made_up import made_up_networks, yardstick
from edgewright.workbench.optimize.predicting import EDITION, Measured, Prediction, predict
from edgewright.workbench.optimize.trial import caller
from edgewright.workbench.optimize.work import work_of

SITTINGS = 3
"""Where its memory happens to lie makes a session a few percent quicker or slower, for good: each
network and the yardstick are opened so many times.
"""
ROUNDS = 20
FASTEST = 0.05
"""Which share of calls nothing disturbed: neighbours take caches away, also from a call that keeps
its core.
"""
WEIGHED = 24
_SECONDS = 12.0
_WARM_UP_ROUNDS = 4
_LIMIT_BYTES = 64 << 20

Tell = Callable[[float, str], None]


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What measures: the engine of ONNX files and a scale for processes."""

    runtime: Runtime
    weigh: Weigh | None = None
    precision: str = "fp32"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction and what was measured afterwards; `left_out` kept measurements are of an earlier
    edition.
    """

    prediction: Prediction
    latency_ms: float
    memory_mb: float | None
    latency_held: bool
    memory_held: bool | None
    left_out: int = 0


def read_measurements(path: Path) -> list[Measured]:
    """All that the file keeps; none where there is no file.

    Raises:
        InputError: a line is no measurement.
    """
    if not path.exists():
        return []
    lines = _fs.read_limited(path, limit_bytes=_LIMIT_BYTES).splitlines()
    try:
        return [msgspec.json.decode(line, type=Measured) for line in lines if line.strip()]
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InputError(
            f"{path}: not a file of measurements: {error}", hint="remove it and calibrate again"
        ) from error


def keep_measurements(path: Path, new: Sequence[Measured]) -> None:
    """Add to the file; a model of the same name is replaced."""
    everything = (*read_measurements(path), *new)
    kept = {(one.machine, one.engine, one.precision, one.name): one for one in everything}
    _fs.write_atomic(path, b"".join(msgspec.json.encode(one) + b"\n" for one in kept.values()))


def of_this_machine(
    measured: Sequence[Measured], engine: str, precision: str = "fp32"
) -> list[Measured]:
    """Those that a prediction for here may be drawn from."""
    return [one for one in _measured_here(measured, engine, precision) if one.edition == EDITION]


def left_out_here(measured: Sequence[Measured], engine: str, precision: str = "fp32") -> int:
    """How many of this machine's are of another edition, and so of no use."""
    here = _measured_here(measured, engine, precision)
    return sum(one.edition != EDITION for one in here)


def calibrate(bench: Bench, *, tell: Tell = lambda *_: None) -> list[Measured]:
    """Measure the made-up networks; about a minute."""
    networks = made_up_networks()
    found: list[Measured] = []
    for name, network in networks.items():
        tell(len(found) / len(networks), f"measuring {len(found) + 1} of {len(networks)}")
        # Beside the yardstick alone, as `check` does it: a large neighbour would empty the caches.
        found += measure({name: network}, bench)
    return _weighed(found, networks, bench, tell)


def check(model: Path, measured: Sequence[Measured], bench: Bench) -> tuple[Checked, Measured]:
    """Predict, then measure.

    Raises:
        InputError: not an ONNX model, or one whose inputs have more than one free size.
        UnavailableError: too few models were measured here.
    """
    graph = read_onnx(model)
    name = model.name
    work = work_of(graph, file_bytes=len(onnx_bytes(graph)))
    asked = (measured, bench.runtime.name, bench.precision)
    left_out = left_out_here(*asked)
    known = of_this_machine(*asked)
    predict(work, known, left_out=left_out)
    (seen,) = _weighed(measure({name: graph}, bench), {name: graph}, bench, lambda *_: None)
    # How fast the machine is at this moment, the yardstick knows.
    prediction = predict(work, known, yardstick_ms=seen.yardstick_ms)
    latency_ms = seen.ratio * seen.yardstick_ms
    memory_mb = seen.peak_bytes / 2**20 if seen.peak_bytes else None
    memory_held = None
    if memory_mb is not None and prediction.memory_mb is not None:
        memory_held = _holds(prediction.memory_mb, memory_mb)
    return (
        Checked(
            prediction=prediction,
            latency_ms=latency_ms,
            memory_mb=memory_mb,
            latency_held=_holds(prediction.latency_ms, latency_ms),
            memory_held=memory_held,
            left_out=left_out,
        ),
        seen,
    )


def measure(networks: Mapping[str, onnx.ModelProto], bench: Bench) -> list[Measured]:
    """How long an undisturbed call of each network takes, as a multiple of the yardstick's in the
    same rounds: time on a core, so that it holds for a call that has a core to itself, whoever else
    was busy meanwhile.
    """
    machine = describe_machine().cpu
    graphs = {"": yardstick(), **networks}
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        sittings = [_sitting(graphs, Path(folder), bench, seed) for seed in range(SITTINGS)]
    fastest_s = {
        name: float(np.quantile(np.concatenate([one.seconds[name] for one in sittings]), FASTEST))
        for name in graphs
    }
    return [
        Measured(
            name=name,
            machine=machine,
            engine=bench.runtime.name,
            precision=bench.precision,
            work=work_of(graph, file_bytes=len(onnx_bytes(graph))),
            ratio=fastest_s[name] / fastest_s[""],
            yardstick_ms=fastest_s[""] * 1e3,
            edition=EDITION,
        )
        for name, graph in networks.items()
    ]


def _sitting(
    graphs: Mapping[str, onnx.ModelProto], folder: Path, bench: Bench, seed: int
) -> LatencySamples:
    """Rounds of sessions that are opened for them."""
    sessions = {
        name: _open(graph, folder / f"{at}.onnx", bench.runtime)
        for at, (name, graph) in enumerate(graphs.items())
    }
    try:
        return interleaved(
            {name: caller(one, _feeds(one)) for name, one in sessions.items()},
            rounds=ROUNDS,
            seconds=_SECONDS / SITTINGS,
            warm_up_rounds=_WARM_UP_ROUNDS,
            rng=np.random.default_rng(seed),
            clock=time.thread_time,
        )
    finally:
        for session in sessions.values():
            session.close()


def _weighed(
    found: Sequence[Measured],
    networks: Mapping[str, onnx.ModelProto],
    bench: Bench,
    tell: Tell,
) -> list[Measured]:
    """With the memory of some: spread over file sizes."""
    if bench.weigh is None:
        return list(found)
    ordered = sorted(found, key=lambda one: one.work.file_bytes)
    places = np.linspace(0, len(ordered) - 1, min(WEIGHED, len(ordered))).astype(int)
    chosen = {ordered[place].name for place in places}
    made: list[Measured] = []
    for one in found:
        if one.name in chosen:
            tell(len(made) / len(found), f"weighing {one.name}")
            with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
                path = Path(folder) / "model.onnx"
                session = _open(networks[one.name], path, bench.runtime)
                feeds = _feeds(session)
                session.close()
                peak = bench.weigh("onnx", path, inputs=feeds, threads=1)
            made.append(msgspec.structs.replace(one, peak_bytes=peak))
        else:
            made.append(one)
    return made


def _measured_here(measured: Sequence[Measured], engine: str, precision: str) -> list[Measured]:
    wanted = (describe_machine().cpu, engine, precision)
    return [one for one in measured if (one.machine, one.engine, one.precision) == wanted]


def _open(graph: onnx.ModelProto, path: Path, runtime: Runtime) -> Session:
    _fs.write_atomic(path, onnx_bytes(graph))
    return runtime.open(path, threads=1)


def _feeds(session: Session) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {
        tensor.name: rng.normal(size=[size or 1 for size in tensor.shape]).astype(tensor.dtype)
        for tensor in session.inputs
    }


def _holds(interval: Interval, value: float) -> bool:
    low, high = interval.low, interval.high
    return low is not None and high is not None and low <= value <= high
