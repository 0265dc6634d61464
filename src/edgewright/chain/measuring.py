"""Model files against each other on this machine: latency, energy and memory. A workbench starts it
on a device too (`edgewright measure`), so it needs the base install and the files' engines only.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np

from edgewright._fs import read_limited
from edgewright._npz import decode_npz
from edgewright.chain.engines import FORMAT_BY_SUFFIX, engine_for_format
from edgewright.chain.weighing import fitting_feeds, weigh
from edgewright.errors import EdgewrightError, InputError
from edgewright.measure import describe_machine
from edgewright.measure.comparison import Comparison, FileMeasured
from edgewright.measure.latency import LatencySamples, interleaved
from edgewright.measure.pinning import pinned
from edgewright.measure.spending import EnergySamples, spent_in_turn
from edgewright.runtimes.base import Array, Session, core_clock

INPUTS_LIMIT_BYTES = 1 << 30

_WARM_UP_ROUNDS = 3

# An OpenVINO model as one file.
_FORMATS = {**FORMAT_BY_SUFFIX, ".zip": "openvino"}


class MeasureOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Files to compare with the first of them, fed with one call's arrays of an npz."""

    files: tuple[Path, ...]
    inputs: Path
    threads: int = 1
    rounds: int = 300
    seconds: float = 8.0
    seed: int = 0
    with_energy: bool = False
    with_memory: bool = False


def measure_files(order: MeasureOrder) -> Comparison:
    """Compare files in rounds that take turns, on one core where one thread was asked for. A file
    that no engine here can run has its reason in the answer.

    Raises:
        InputError: no such file, no inputs that suit it, or the same file twice.
        DeviceError: a file could run, but not in the process of its own that is weighed.
        EdgewrightError: the first file, to which all are compared, cannot run here.
    """
    if len(set(order.files)) != len(order.files):
        raise InputError("a file is named twice", hint="name each once; the first is the baseline")
    given = decode_npz(
        read_limited(order.inputs, limit_bytes=INPUTS_LIMIT_BYTES), source=str(order.inputs)
    )
    with ExitStack() as stack:
        core = stack.enter_context(pinned()) if order.threads == 1 else None
        sessions, reasons = _opened(order, given, stack)
        calls = {
            name: _caller(session, fitting_feeds(session, given))
            for name, session in sessions.items()
        }
        samples = interleaved(
            calls,
            rounds=order.rounds,
            seconds=order.seconds,
            warm_up_rounds=_WARM_UP_ROUNDS,
            rng=np.random.default_rng(order.seed),
            clock=(
                {name: core_clock(session) for name, session in sessions.items()}
                if order.threads == 1
                else time.perf_counter
            ),
        )
        spent = _spent(sessions, calls, order)
        placements = {name: session.placement.text for name, session in sessions.items()}
    rows = _rows(order, samples, spent, reasons)
    return Comparison(
        files=tuple(
            msgspec.structs.replace(
                row,
                placement=placements.get(row.file, ""),
                memory_bytes=_memory(path, given, order) if not row.reason else None,
            )
            for path, row in zip(order.files, rows, strict=True)
        ),
        machine=describe_machine(),
        threads=order.threads,
        clock="time on a core" if order.threads == 1 else "time that passes",
        core=core,
        energy=spent.how if spent else "",
    )


def _opened(
    order: MeasureOrder, given: Mapping[str, Array], stack: ExitStack
) -> tuple[dict[str, Session], dict[str, str]]:
    """Sessions by file, each asked once, and why others have none."""
    sessions: dict[str, Session] = {}
    reasons: dict[str, str] = {}
    for path in order.files:
        try:
            session = engine_for_format(_format_of(path)).open(path, threads=order.threads)
            stack.callback(session.close)
            session.run(fitting_feeds(session, given))
        except EdgewrightError as error:
            if path == order.files[0]:
                raise
            reasons[str(path)] = error.message
        else:
            sessions[str(path)] = session
    return sessions, reasons


def _format_of(path: Path) -> str:
    if path.suffix not in _FORMATS:
        raise InputError(
            f"{path}: unknown kind of model file {path.suffix!r}",
            hint=f"known: {', '.join(sorted(_FORMATS))}",
        )
    return _FORMATS[path.suffix]


def _caller(session: Session, feeds: dict[str, Array]) -> Callable[[], object]:
    return lambda: session.run(feeds)


def _spent(
    sessions: Mapping[str, Session],
    calls: Mapping[str, Callable[[], object]],
    order: MeasureOrder,
) -> EnergySamples | None:
    if not order.with_energy:
        return None
    clocks = {name: core_clock(one, time.process_time) for name, one in sessions.items()}
    return spent_in_turn(calls, cpu_clocks=clocks, rng=np.random.default_rng(order.seed))


def _rows(
    order: MeasureOrder,
    samples: LatencySamples,
    spent: EnergySamples | None,
    reasons: Mapping[str, str],
) -> Sequence[FileMeasured]:
    rng, base = np.random.default_rng(order.seed), str(order.files[0])
    rows = []
    for path in order.files:
        name, size = str(path), path.stat().st_size
        if name in reasons:
            rows.append(FileMeasured(file=name, size_bytes=size, reason=reasons[name]))
            continue
        rows.append(
            FileMeasured(
                file=name,
                size_bytes=size,
                latency_ms=samples.median_ms(name),
                latency_ratio=samples.ratio(name, base, rng=rng),
                rounds=samples.rounds,
                energy_ratio=spent.ratio(name, base, rng=rng) if spent else None,
            )
        )
    return rows


def _memory(path: Path, given: Mapping[str, Array], order: MeasureOrder) -> int | None:
    if not order.with_memory:
        return None
    return weigh(_format_of(path), path, inputs=given, threads=order.threads)
