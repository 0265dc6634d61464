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
    Work,
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
# What a call costs beside its arithmetic: from a lean engine in the process to a driver and a bus.
_CALL_MS = (0.01, 0.05, 0.5)
HERE = "this-machine"
_RUNTIME_BYTES = {"tflm-c": 60_000, "ethos-u": 60_000}
_DEFAULT_RUNTIME_BYTES = 60_000_000
# Where weights and code stay in flash, the interpreter keeps this much of its own in memory.
_INTERPRETER_BYTES = 20_000
# Engines take this many times what is said of them; a float is four times as large as an int8.
_RUNTIME_SHARE = (2 / 3, 2.0)
_FLOAT_OVER_INT8 = 4
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
    """What a model asks of a device for one sample; `file_bytes` is the ONNX file."""

    macs: int
    parameters: int
    largest_activation: int
    file_bytes: int = 0

    @property
    def structure_bytes(self) -> int:
        """What of the file is no float weight, and becomes no smaller."""
        return max(self.file_bytes - _FLOAT_OVER_INT8 * self.parameters, 0)


class TargetAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """One target's row; each figure is an estimate with its interval, of which `memory_mb` is the
    middle. "Predicted" ones are drawn from measurements of other models on that very machine.
    """

    target: str
    suits: bool
    format: str
    reasons: tuple[str, ...]
    latency_ms: Interval | None = None
    memory_mb: float | None = None
    memory_interval_mb: Interval | None = None
    size_mb: Interval | None = None
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
    work = work_of(graph, file_bytes=len(onnx_bytes(graph)))
    size = _size_of(work)
    rows = [advise(target, size, needs) for target in targets]
    if len(measured) >= MIN_MEASURED:
        rows.append(advise_here(predict(work, measured), needs, file_bytes=work.file_bytes))
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
    memory, file = estimated_memory(target, size), estimated_size(size)
    against = _reasons_against(target, needs, latency, memory_bytes=round(memory.value))
    against += _reasons_against_flash(target, file)
    return TargetAdvice(
        target=target.name,
        suits=not against,
        format=format_name,
        reasons=tuple(against) or _reasons_for(target, latency),
        latency_ms=latency,
        memory_mb=memory.value / 2**20,
        memory_interval_mb=_in_mb(memory),
        size_mb=_in_mb(file),
    )


def advise_here(
    prediction: Prediction, needs: Needs, *, file_bytes: int | None = None
) -> TargetAdvice:
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
        memory_interval_mb=memory,
        size_mb=None
        if file_bytes is None
        else _in_mb(Interval(file_bytes, file_bytes, file_bytes)),
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
    low, middle, high = (
        size.macs / (per_s * share) * 1e3 + call_ms
        for share, call_ms in zip(shares[::-1], _CALL_MS, strict=True)
    )
    return Interval(middle, low, high, 0.9)


def estimated_memory(target: CatalogueTarget, size: ModelSize) -> Interval:
    """Bytes while it runs, engine included: as int8, from a lean engine with one tensor alive to
    floats in one that takes twice as much. Weights stay in flash where a target tells of some.
    """
    weights = 0 if target.flash_kb else size.parameters
    runtime = _INTERPRETER_BYTES if target.flash_kb else _runtime_bytes(target)
    lean, lavish = _RUNTIME_SHARE
    alive = weights + 2 * size.largest_activation
    return Interval(
        alive + runtime,
        weights + size.largest_activation + lean * runtime,
        _FLOAT_OVER_INT8 * alive + lavish * runtime,
        0.9,
    )


def estimated_size(size: ModelSize) -> Interval:
    """Bytes of the engine file: as int8, from nothing but weights to all of them as floats."""
    structure = size.structure_bytes
    return Interval(
        size.parameters + structure,
        size.parameters,
        _FLOAT_OVER_INT8 * size.parameters + structure,
        0.9,
    )


def size_of(model: onnx.ModelProto) -> ModelSize:
    """Multiply-adds of one sample, weights, and the largest inner tensor, from inferred shapes."""
    return _size_of(work_of(model))


def _size_of(work: Work) -> ModelSize:
    return ModelSize(
        macs=work.over_time + work.over_area + work.grouped + work.matrix + work.recurrent,
        parameters=work.weights,
        largest_activation=work.largest,
        file_bytes=work.file_bytes,
    )


def _in_mb(size: Interval) -> Interval:
    low, high = (None if at is None else at / 2**20 for at in (size.low, size.high))
    return Interval(size.value / 2**20, low, high, size.confidence)


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
    target: CatalogueTarget, needs: Needs, latency: Interval, *, memory_bytes: int
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


def _reasons_against_flash(target: CatalogueTarget, file: Interval) -> list[str]:
    needed = file.value + _runtime_bytes(target)
    if not target.flash_kb or needed <= target.flash_kb * 2**10:
        return []
    text = f"needs about {needed / 2**10:.0f} kB of flash with its engine"
    return [f"{text}, the device has {target.flash_kb} kB"]


def _reasons_for(target: CatalogueTarget, latency: Interval) -> tuple[str, ...]:
    entry = FORMATS.get(target.formats[0])
    tool = f"{target.formats[0]} files" if entry is None else entry.what
    where = target.accelerator or target.cpu
    return (f"about {latency.text('ms')} on {where}, as {tool}; measure there to be sure",)
