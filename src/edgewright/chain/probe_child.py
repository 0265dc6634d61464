"""The probe's own process: `python -m edgewright.chain.probe_child [--allow-hooks] FOLDER`.

Opens the unpacked bundle's engine, replays its golden vectors from raw requests, measures latency
and memory against the contract's budgets, and prints one JSON verdict. It dies with its parent.

The bundle was verified by the agent just before; here only its behaviour is judged.
"""

import os
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec

from edgewright.bundle import Bundle, open_bundle
from edgewright.bundle.golden import Golden, check_golden, decode_golden
from edgewright.chain.child import die_with_parent
from edgewright.chain.engines import open_model_of
from edgewright.contract import Budgets
from edgewright.device.agent.ports import ProbeReport
from edgewright.errors import DeviceError, EdgewrightError, GateError, UnavailableError
from edgewright.evidence.intervals import quantile_interval
from edgewright.evidence.parity import compare
from edgewright.measure import read_process
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import LoadedModel

WARM_UP_RUNS = 5
TIMED_RUNS_LEAST = 60
TIMED_RUNS_MOST = 400
TIMED_S = 2.0
BYTES_PER_MIB = 1 << 20
ALLOW_HOOKS = "--allow-hooks"


def probe(folder: Path, *, allow_hooks: bool = False) -> ProbeReport:
    """The verdict on an unpacked bundle; every failure is a verdict too."""
    try:
        bundle = open_bundle(folder)
        with closing(open_model_of(bundle, allow_hooks=allow_hooks)) as model:
            golden = decode_golden(bundle.read(bundle.blob("golden")))
            check_golden(golden, model.contract)
            error = _replay(model, golden)
            return _measured(bundle, model, golden, error)
    except UnavailableError as error:
        return ProbeReport(passed=False, reason=f"cannot run here: {error}")
    except EdgewrightError as error:
        return ProbeReport(passed=False, reason=str(error))


def _replay(model: LoadedModel, golden: Golden) -> float:
    """Answer the golden requests; the largest absolute error.

    Raises:
        DeviceError: an answer is not the promised one.
    """
    answers = model.predict(golden.inputs)
    comparison = compare(golden.outputs, answers, model.contract.tolerances)
    if not comparison.ok:
        raise DeviceError(f"golden vectors: {'; '.join(comparison.reasons[:3])}")
    return max(output.max_abs for output in comparison.outputs.values())


def _measured(
    bundle: Bundle, model: LoadedModel, golden: Golden, max_abs_error: float
) -> ProbeReport:
    """Latency of single requests and memory, against the budgets."""
    budgets = bundle.manifest.contract.budgets
    samples_ms = _time_requests(model, _one_row(model, golden))
    p50, p95 = quantile_interval(samples_ms, 0.5), quantile_interval(samples_ms, 0.95)
    memory_mb = read_process(os.getpid()).peak_rss_bytes / BYTES_PER_MIB
    report = ProbeReport(
        passed=True,
        reason=f"golden answers agree, p95 {p95.value:.3g} ms of {len(samples_ms)} requests",
        cases=max(len(array) if array.ndim else 1 for array in golden.inputs.values()),
        max_abs_error=max_abs_error,
        latency_p50_ms=p50.value,
        latency_p95_ms=p95.value,
        memory_mb=round(memory_mb, 1),
    )
    p95_low_ms = p95.value if p95.low is None else p95.low
    refusal = _over_budget(budgets, p95_low_ms=p95_low_ms, memory_mb=memory_mb)
    return msgspec.structs.replace(report, passed=not refusal, reason=refusal or report.reason)


def _over_budget(budgets: Budgets, *, p95_low_ms: float, memory_mb: float) -> str:
    """Which budget was missed beyond doubt: of the p95 the lower end of its interval counts."""
    for what, measured, limit, unit in (
        ("latency p95", p95_low_ms, budgets.latency_p95_ms, "ms"),
        ("memory", memory_mb, budgets.memory_mb, "MB"),
    ):
        if limit is not None and measured > limit:
            return str(GateError(what, measured=round(measured, 3), limit=limit, unit=unit))
    return ""


def _time_requests(model: LoadedModel, request: dict[str, Array]) -> list[float]:
    for _ in range(WARM_UP_RUNS):
        model.predict(request)
    samples_ms: list[float] = []
    start_s = time.perf_counter()
    while len(samples_ms) < TIMED_RUNS_MOST:
        before_s = time.perf_counter()
        model.predict(request)
        after_s = time.perf_counter()
        samples_ms.append(1e3 * (after_s - before_s))
        if len(samples_ms) >= TIMED_RUNS_LEAST and after_s - start_s > TIMED_S:
            break
    return samples_ms


def _one_row(model: LoadedModel, golden: Golden) -> dict[str, Array]:
    """The first golden request alone, as a client sends it."""
    batched = {tensor.name for tensor in model.contract.inputs if tensor.has_batch}
    return {name: a[:1] if name in batched else a for name, a in golden.inputs.items()}


def main() -> None:
    """Print the verdict on the folder that the command line names."""
    die_with_parent()
    *flags, folder = sys.argv[1:]
    report = probe(Path(folder), allow_hooks=ALLOW_HOOKS in flags)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    main()
