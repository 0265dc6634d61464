"""Every tensor that a file makes on the way, in the order of execution, whatever its format; and
where two such traces part.

Two files of one format are paired node by node. Files of different formats are paired by value: a
converter fuses, splits and transposes, but what is right appears on both sides.
"""

import difflib
from collections.abc import Mapping

import msgspec
import numpy as np

from edgewright.runtimes.base import Array
from edgewright.workbench.verify.report import Divergence

EXACT_RELATIVE = 1e-4
VALUE_RELATIVE = 1e-3
_MOVERS = frozenset(
    {
        "BROADCAST", "CONCAT", "CONCATENATION", "EXPANDDIMS", "EXPAND_DIMS", "PAD", "PADV2",
        "RESHAPE", "SQUEEZE", "TRANSPOSE", "UNSQUEEZE",
    }
)  # fmt: skip


class TracedNode(msgspec.Struct, frozen=True):
    """One node that ran: tensors by name."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Trace(msgspec.Struct, frozen=True):
    """One pass: the nodes in order, and what each tensor held."""

    nodes: tuple[TracedNode, ...]
    values: dict[str, Array]


def parting_by_order(reference: Trace, candidate: Trace) -> Divergence | None:
    """The first node of the candidate that differs from the one at its place in the reference."""
    matcher = difflib.SequenceMatcher(
        None,
        [node.operator for node in reference.nodes],
        [node.operator for node in candidate.nodes],
        autojunk=False,
    )
    partners = {
        other_start + offset: start + offset
        for start, other_start, length in matcher.get_matching_blocks()
        for offset in range(length)
    }
    for position, node in enumerate(candidate.nodes):
        if position not in partners:
            return _divergence(node, float("inf"), float("inf"))
        theirs = reference.nodes[partners[position]]
        for ours, other in zip(node.outputs, theirs.outputs, strict=False):
            if ours not in candidate.values or other not in reference.values:
                continue
            max_abs, max_rel = _distance(reference.values[other], candidate.values[ours])
            if max_rel > EXACT_RELATIVE:
                return _divergence(node, max_abs, max_rel)
    return None


def parting_by_value(reference: Trace, candidate: Trace) -> Divergence | None:
    """The first node of the candidate whose result the reference never holds, and that leads to no
    result that it holds. Values that only changed places look held; then it is the last node.
    """
    known = [np.sort(array, axis=None) for array in reference.values.values() if _judged(array)]
    agreed = {
        name for name, array in candidate.values.items() if _judged(array) and _held(array, known)
    }
    right = _ancestors(candidate, agreed)
    fine: set[str] = set(agreed)
    for node in candidate.nodes:
        judged = [name for name in node.outputs if _judged(candidate.values.get(name))]
        if not judged or set(node.outputs) & (agreed | right):
            fine.update(node.outputs)
            continue
        if _moves(node, candidate.values) and all(
            name in fine or name not in candidate.values for name in node.inputs
        ):
            fine.update(node.outputs)
            continue
        return _divergence(node, float("inf"), float("inf"))
    return _divergence(candidate.nodes[-1], float("inf"), float("inf")) if known else None


def _ancestors(trace: Trace, wanted: set[str]) -> set[str]:
    """Every tensor that a wanted one is made of."""
    found = set(wanted)
    for node in reversed(trace.nodes):
        if found & set(node.outputs):
            found.update(node.inputs)
    return found


def _judged(array: Array | None) -> bool:
    """Whether a tensor tells anything: small or constant ones look like each other."""
    if array is None or array.dtype.kind != "f" or array.size < 4:
        return False
    return bool(np.isfinite(array).all()) and float(np.ptp(array)) > 0


def _held(array: Array, known: list[Array]) -> bool:
    ours = np.sort(array, axis=None).astype(np.float64)
    scale = max(float(np.abs(ours).max()), 1e-6)
    return any(
        other.size == ours.size and float(np.abs(other - ours).max()) <= VALUE_RELATIVE * scale
        for other in known
    )


def _moves(node: TracedNode, values: Mapping[str, Array]) -> bool:
    """Whether a node only moved values, and filled up with zeros."""
    if node.operator.upper().replace("V2", "") not in _MOVERS:
        return False
    sources = [values[name] for name in node.inputs if _judged(values.get(name))]
    if not sources:
        return False
    before = np.sort(np.concatenate([array[array != 0] for array in sources]), axis=None)
    after = values[node.outputs[0]]
    return np.array_equal(before, np.sort(after[after != 0], axis=None))


def _distance(expected: Array, got: Array) -> tuple[float, float]:
    if expected.shape != got.shape:
        return float("inf"), float("inf")
    if not expected.size:
        return 0.0, 0.0
    left, right = expected.astype(np.float64), got.astype(np.float64)
    if not np.array_equal(np.isfinite(left), np.isfinite(right)):
        return float("inf"), float("inf")
    finite = np.isfinite(left)
    if not finite.any():
        return 0.0, 0.0
    max_abs = float(np.abs(left[finite] - right[finite]).max())
    return max_abs, max_abs / max(float(np.abs(left[finite]).max()), 1e-6)


def _divergence(node: TracedNode, max_abs: float, max_rel: float) -> Divergence:
    return Divergence(
        node=node.name,
        operator=node.operator,
        tensor=node.outputs[0] if node.outputs else "",
        max_abs=max_abs,
        max_rel=max_rel,
        suspects=(node.name,),
    )
