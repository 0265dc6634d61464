"""Which targets suit a model and its budgets, and why the others do not.

A latency here is estimated, never measured: arithmetic over what the data sheet allows, with the
share of it that small models reach in practice as an interval. It ranks devices and rules out
hopeless ones; what is close must be measured there.
"""

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from edgewright.evidence import Interval
from edgewright.workbench.convert import read_onnx
from edgewright.workbench.convert.formats import FORMATS
from edgewright.workbench.optimize.catalogue import CatalogueTarget

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
    """One target's row; `latency_ms` is an estimate with its interval."""

    target: str
    suits: bool
    format: str
    reasons: tuple[str, ...]
    latency_ms: Interval | None = None
    memory_mb: float | None = None
    method: Literal["estimated"] = "estimated"


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """All targets, suitable ones first."""

    model: ModelSize
    targets: tuple[TargetAdvice, ...]


def recommend_targets(model: Path, needs: Needs, targets: tuple[CatalogueTarget, ...]) -> Advice:
    """Judge every target for a model.

    Raises:
        InputError: the file is no ONNX model.
    """
    size = size_of(read_onnx(model))
    rows = [advise(target, size, needs) for target in targets]
    return Advice(
        model=size,
        targets=tuple(
            sorted(
                rows, key=lambda row: (not row.suits, row.latency_ms.value if row.latency_ms else 0)
            )
        ),
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
    inferred = onnx.shape_inference.infer_shapes(model)
    values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    shapes = {value.name: _shape(value) for value in values}
    weights = {t.name: numpy_helper.to_array(t) for t in inferred.graph.initializer}
    macs = sum(_macs(node, shapes, weights) for node in inferred.graph.node)
    return ModelSize(
        macs=macs,
        parameters=sum(array.size for array in weights.values() if array.dtype.kind == "f"),
        largest_activation=max((int(np.prod(s)) for s in shapes.values() if s), default=0),
    )


def _macs(
    node: onnx.NodeProto,
    shapes: dict[str, tuple[int, ...]],
    weights: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]],
) -> int:
    out = shapes.get(node.output[0], ())
    weight = weights.get(node.input[1]) if len(node.input) > 1 else None
    match node.op_type:
        case "Conv" if weight is not None and out:
            return int(np.prod(out)) * int(np.prod(weight.shape[1:]))
        case "ConvTranspose" if weight is not None:
            inside = shapes.get(node.input[0], ())
            return int(np.prod(inside)) * int(np.prod(weight.shape[1:]))
        case "Gemm" if weight is not None:
            return weight.size
        case "MatMul" if out:
            inner = shapes.get(node.input[0], (0,))[-1]
            return int(np.prod(out)) * inner
        case "GRU" | "LSTM" | "RNN" if weight is not None:
            steps = shapes.get(node.input[0], (1,))[0]
            recurrent = weights.get(node.input[2])
            return steps * (weight.size + (recurrent.size if recurrent is not None else 0))
        case _:
            return 0


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Sizes with every free one as 1: one sample."""
    return tuple(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)


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
