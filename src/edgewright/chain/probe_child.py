"""The probe's own process: `python -m edgewright.chain.probe_child [--allow-hooks] SECONDS FOLDER`.

Opens the unpacked bundle's engine, replays its golden vectors from raw requests, measures latency
and memory, and prints one JSON verdict. It dies with its parent. Figures, budgets and verdict are
those of `edgewright validate`: VALID-FAIL refuses the bundle, and a measurement that stays INVALID
(a busy device) refuses nothing, since probation looks at latency again. SECONDS is how long the
agent waits for the verdict: a slow model is measured by fewer calls, and not once more, rather than
refused for want of time.

The bundle was verified by the agent just before; here only its behaviour is judged.
"""

import os
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np

from edgewright.bundle import Bundle, open_bundle
from edgewright.bundle.golden import Golden, check_golden, decode_golden
from edgewright.chain.child import ALLOW_HOOKS, die_with_parent
from edgewright.chain.engines import open_model_of
from edgewright.errors import DeviceError, EdgewrightError, UnavailableError
from edgewright.evidence import Interval, Verdict
from edgewright.evidence.parity import compare
from edgewright.measure import describe_machine, noise_between, read_noise, read_process
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import LoadedModel
from edgewright.telemetry import Figure, ProbeReport
from edgewright.validate.calls import Calls, judge_calls
from edgewright.validate.figures import UNITS
from edgewright.validate.soundness import noise_doubts

WARM_UP_RUNS = 5
TIMED_RUNS_LEAST = 80
TIMED_RUNS_MOST = 400
TIMED_S = 2.0
TIMED_LEAST_S = 0.2
ATTEMPTS = 3
MEASURED_SHARE = 0.5
"""Of the time that the agent gives; the rest is for loading the model on a device that is busy."""
BYTES_PER_MIB = 1 << 20
TOLD = ("latency min", "latency p50", "latency p95", "server memory peak")


def probe(folder: Path, *, allow_hooks: bool = False, within_s: float = 120.0) -> ProbeReport:
    """The verdict on an unpacked bundle; every failure is a verdict too."""
    until_s = time.perf_counter() + MEASURED_SHARE * within_s
    try:
        bundle = open_bundle(folder)
        with closing(open_model_of(bundle, allow_hooks=allow_hooks)) as model:
            golden = decode_golden(bundle.read(bundle.blob("golden")))
            check_golden(golden, model.contract)
            error = _replay(model, golden)
            calls, verdict = _measured(model, golden, bundle, until_s)
            return _report(golden, error, calls, verdict)
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
    model: LoadedModel, golden: Golden, bundle: Bundle, until_s: float
) -> tuple[Calls, Verdict]:
    """Latency of single requests and memory, held against the budgets. Noise has them measured
    again, if there is time to.
    """
    budgets = bundle.manifest.contract.budgets
    request = _one_row(model, golden)
    for _ in range(ATTEMPTS):
        began_s = time.perf_counter()
        calls = _timed_calls(model, request, until_s)
        verdict = judge_calls(calls, budgets)
        now_s = time.perf_counter()
        is_noisy = verdict.outcome == "INVALID" and noise_doubts(calls.noise, knows_server=True)
        if not is_noisy or now_s + (now_s - began_s) > until_s:
            break
    return calls, verdict


def _report(golden: Golden, max_abs_error: float, calls: Calls, verdict: Verdict) -> ProbeReport:
    figures = calls.figures
    return ProbeReport(
        passed=verdict.outcome != "VALID-FAIL",
        reason=_reason(verdict, figures["latency p95"], len(calls.latencies_s)),
        outcome=verdict.outcome,
        cases=max(len(array) if array.ndim else 1 for array in golden.inputs.values()),
        max_abs_error=max_abs_error,
        latency_p50_ms=figures["latency p50"].value,
        latency_p95_ms=figures["latency p95"].value,
        memory_mb=round(calls.memory_mb, 1),
        how=(
            f"agent's probe: {len(calls.latencies_s)} single requests in its own process, after "
            f"{WARM_UP_RUNS} and a warm-up"
        ),
        where=describe_machine().text,
        figures=tuple(
            Figure(
                name=name,
                value=figures[name].value,
                unit=UNITS[name],
                low=figures[name].low,
                high=figures[name].high,
            )
            for name in TOLD
        ),
    )


def _reason(verdict: Verdict, p95: Interval, calls: int) -> str:
    seen = f"golden answers agree, p95 {p95.value:.3g} ms of {calls} requests"
    if verdict.outcome == "VALID-PASS":
        return seen
    why = "; ".join(verdict.reasons)
    return why if verdict.outcome == "VALID-FAIL" else f"{seen}, which was INVALID: {why}"


def _timed_calls(model: LoadedModel, request: dict[str, Array], until_s: float) -> Calls:
    """One call at least, however late it is."""
    for _ in range(WARM_UP_RUNS):
        if time.perf_counter() < until_s:
            model.predict(request)
    samples_s: list[float] = []
    before, start_s = read_noise(), time.perf_counter()
    after_s = start_s
    while not samples_s or (
        after_s < until_s and not _is_enough(len(samples_s), after_s - start_s)
    ):
        before_s = time.perf_counter()
        model.predict(request)
        after_s = time.perf_counter()
        samples_s.append(after_s - before_s)
    return Calls(
        latencies_s=np.array(samples_s),
        memory_mb=read_process(os.getpid()).peak_rss_bytes / BYTES_PER_MIB,
        noise=noise_between(before, read_noise()),
    )


def _is_enough(calls: int, seconds: float) -> bool:
    """Enough for a p95, and long enough to see whether the machine was busy."""
    if calls < TIMED_RUNS_MOST:
        return calls >= TIMED_RUNS_LEAST and seconds > TIMED_S
    return seconds >= TIMED_LEAST_S


def _one_row(model: LoadedModel, golden: Golden) -> dict[str, Array]:
    """The first golden request alone, as a client sends it."""
    batched = {tensor.name for tensor in model.contract.inputs if tensor.has_batch}
    return {name: a[:1] if name in batched else a for name, a in golden.inputs.items()}


def main() -> None:
    """Print the verdict on the folder that the command line names."""
    die_with_parent()
    *flags, within_s, folder = sys.argv[1:]
    report = probe(Path(folder), allow_hooks=ALLOW_HOOKS in flags, within_s=float(within_s))
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    main()
