"""Which targets suit a model and its budgets, and why the others do not.

A catalogue's latency is estimated: arithmetic over what the data sheet allows, with the share of it
that small models reach in practice as an interval. It ranks devices and rules out hopeless ones;
what is close must be measured there. This machine's own is predicted from other models that were
measured on it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import onnx

from edgewright.evidence import Interval
from edgewright.workbench.convert import onnx_bytes, read_onnx
from edgewright.workbench.convert.formats import FORMATS
from edgewright.workbench.optimize.catalogue import CatalogueTarget
from edgewright.workbench.optimize.predicting import (
    MIN_MEASURED,
    Measured,
    Prediction,
    predict,
)
from edgewright.workbench.optimize.work import work_of

# Multiply-adds a cycle and core that good float kernels reach, by the widest instructions.
_MACS_PER_CYCLE = (
    ("avx512f", 16.0),
    ("avx2", 8.0),
    ("asimddp", 8.0),
    ("asimd", 4.0),
)
_SCALAR_MACS_PER_CYCLE = 0.5
# int8 over float, where the instructions for it exist.
_INT8_GAIN = {"avx512_vnni": 3.0, "avx_vnni": 3.0, "asimddp": 3.0}
_DEFAULT_INT8_GAIN = 1.6
# Small models reach this share of an accelerator's or a core's nominal arithmetic.
_ACCELERATOR_SHARE = (0.01, 0.05, 0.3)
_CPU_SHARE = (0.2, 0.45, 0.9)
_CALL_MS = 0.05
HERE = "this-machine"
_RUNTIME_BYTES = {"tflm-c": 60_000, "ethos-u": 60_000}
_DEFAULT_RUNTIME_BYTES = 60_000_000
_PRICE_TOP = {
    "below 20": 20.0,
    "20 to 100": 100.0,
    "100 to 300": 300.0,
    "300 to 1000": 1000.0,
    "above 1000": float("inf"),
}


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that a device must keep; None means nobody asked."""

    p95_ms: float | None = None
    memory_mb: float | None = None
    power_w: float | None = None
    max_price_usd: float | None = None


class ModelSize(msgspec.Struct, frozen=True, kw_only=True):
    """What a model asks of a device for one sample."""

    macs: int
    parameters: int
    largest_activation: int


class TargetAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """One target's row; `latency_ms` is an estimate with its interval. "Predicted" ones are drawn
    from measurements of other models on that very machine.
    """

    target: str
    suits: bool
    format: str
    reasons: tuple[str, ...]
    latency_ms: Interval | None = None
    memory_mb: float | None = None
    method: Literal["estimated", "predicted"] = "estimated"


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """All targets, suitable ones first. `left_out` measurements of this machine are of an earlier
    edition: nothing was predicted from them.
    """

    model: ModelSize
    targets: tuple[TargetAdvice, ...]
    left_out: int = 0


def recommend_targets(
    model: Path,
    needs: Needs,
    targets: tuple[CatalogueTarget, ...],
    *,
    measured: Sequence[Measured] = (),
    left_out: int = 0,
) -> Advice:
    """Judge every target for a model, and this machine when enough was `measured` on it and not
    `left_out`.

    Raises:
        InputError: the file is no ONNX model.
    """
    graph = read_onnx(model)
    size = size_of(graph)
    rows = [advise(target, size, needs) for target in targets]
    if len(measured) >= MIN_MEASURED:
        work = work_of(graph, file_bytes=len(onnx_bytes(graph)))
        rows.append(advise_here(predict(work, measured), needs))
    return Advice(
        model=size,
        targets=tuple(
            sorted(
                rows, key=lambda row: (not row.suits, row.latency_ms.value if row.latency_ms else 0)
            )
        ),
        left_out=left_out,
    )


def advise(target: CatalogueTarget, size: ModelSize, needs: Needs) -> TargetAdvice:
    """One target's row, with every reason against it and the facts that speak for it."""
    format_name = target.formats[0]
    latency = estimated_latency_ms(target, size)
    memory_bytes = size.parameters + 2 * size.largest_activation + _runtime_bytes(target)
    against = _reasons_against(target, needs, latency, memory_bytes)
    return TargetAdvice(
        target=target.name,
        suits=not against,
        format=format_name,
        reasons=tuple(against) or _reasons_for(target, latency),
        latency_ms=latency,
        memory_mb=memory_bytes / 2**20,
    )


def advise_here(prediction: Prediction, needs: Needs) -> TargetAdvice:
    """This machine's row: what other models took here, as float32 on one thread."""
    latency, memory = prediction.latency_ms, prediction.memory_mb
    against = []
    if needs.p95_ms is not None and latency.low is not None and latency.low > needs.p95_ms:
        against.append(f"{latency.text('ms')} predicted, {needs.p95_ms:g} ms are allowed")
    if needs.memory_mb is not None and memory is not None and memory.value > needs.memory_mb:
        against.append(f"{memory.text('MB')} predicted, {needs.memory_mb:g} MB are allowed")
    for_it = f"from {prediction.measured} models measured here; `targets check` measures this one"
    return TargetAdvice(
        target=HERE,
        suits=not against,
        format="onnx",
        reasons=tuple(against) or (for_it,),
        latency_ms=latency,
        memory_mb=None if memory is None else memory.value,
        method="predicted",
    )


def estimated_latency_ms(target: CatalogueTarget, size: ModelSize) -> Interval:
    """One sample as int8, on the accelerator where there is one."""
    if target.accelerator_tops:
        per_s = target.accelerator_tops * 1e12 / 2
        shares = _ACCELERATOR_SHARE
    else:
        per_s = _cpu_macs_per_s(target)
        shares = _CPU_SHARE
    low, middle, high = (size.macs / (per_s * share) * 1e3 + _CALL_MS for share in shares[::-1])
    return Interval(middle, low, high, 0.9)


def size_of(model: onnx.ModelProto) -> ModelSize:
    """Multiply-adds of one sample, weights, and the largest inner tensor, from inferred shapes."""
    work = work_of(model)
    return ModelSize(
        macs=work.over_time + work.over_area + work.grouped + work.matrix + work.recurrent,
        parameters=work.weights,
        largest_activation=work.largest,
    )


def _cpu_macs_per_s(target: CatalogueTarget) -> float:
    """One core at int8."""
    per_cycle = next(
        (macs for name, macs in _MACS_PER_CYCLE if name in target.instructions),
        _SCALAR_MACS_PER_CYCLE,
    )
    gains = [gain for name, gain in _INT8_GAIN.items() if name in target.instructions]
    vector = bool(target.instructions)
    gain = max(gains, default=_DEFAULT_INT8_GAIN if vector else 1.0)
    return max(target.ghz, 0.05) * 1e9 * per_cycle * gain


def _runtime_bytes(target: CatalogueTarget) -> int:
    return _RUNTIME_BYTES.get(target.formats[0], _DEFAULT_RUNTIME_BYTES)


def _reasons_against(
    target: CatalogueTarget, needs: Needs, latency: Interval, memory_bytes: int
) -> list[str]:
    reasons = []
    if memory_bytes > target.memory_bytes:
        reasons.append(
            f"needs about {memory_bytes / 2**20:.2f} MB with its engine, the device has "
            f"{target.memory_text}"
        )
    if needs.memory_mb is not None and memory_bytes > needs.memory_mb * 2**20:
        reasons.append(
            f"needs about {memory_bytes / 2**20:.1f} MB, {needs.memory_mb:g} MB are allowed"
        )
    if needs.p95_ms is not None and latency.low is not None and latency.low > needs.p95_ms:
        reasons.append(f"{latency.text('ms')} estimated, {needs.p95_ms:g} ms are allowed")
    if needs.power_w is not None and target.power_w and target.power_w[1] > needs.power_w:
        reasons.append(f"up to {target.power_w[1]:g} W, {needs.power_w:g} W are allowed")
    if needs.max_price_usd is not None:
        top = _PRICE_TOP.get(target.price_usd)
        if top is None or top > needs.max_price_usd:
            reasons.append(
                f"price class {target.price_usd or 'unknown'} USD, "
                f"{needs.max_price_usd:g} USD are allowed"
            )
    return reasons


def _reasons_for(target: CatalogueTarget, latency: Interval) -> tuple[str, ...]:
    entry = FORMATS.get(target.formats[0])
    tool = f"{target.formats[0]} files" if entry is None else entry.what
    where = target.accelerator or target.cpu
    return (f"about {latency.text('ms')} on {where}, as {tool}; measure there to be sure",)
