"""Which node is to blame: both ONNX graphs run with every inner tensor exposed, and the tensors are
compared in the order of execution.
"""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx

from edgewright import _fs
from edgewright.runtimes.base import Array, Session
from edgewright.workbench.verify.graph import (
    Pairing,
    inner_tensors,
    node_name,
    pair_graphs,
    region_before,
)
from edgewright.workbench.verify.report import Divergence
from edgewright.workbench.verify.rows import check_arrays, run_rows
from edgewright.workbench.verify.traces import Trace, TracedNode

LIMIT_BYTES = 2**31 - 1
MAX_ROWS = 16

EXACT_RELATIVE = 1e-4
"""Two engines of the same precision differ by far less in one node."""

LOSSY_RELATIVE = 0.1
"""Where precisions differ, a node is to blame only when it is off by this much of its scale."""

_LOSSY_OPERATORS = frozenset(
    {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger"}
)

OpenFile = Callable[[Path], Session]


def first_divergence(
    reference: Path, candidate: Path, arrays: Mapping[str, Array], *, open_file: OpenFile
) -> Divergence | None:
    """The first node of `candidate` whose output differs from its counterpart; None when every
    tensor that both have agrees.

    Raises:
        InputError: one of the files cannot be loaded with its inner tensors exposed.
    """
    ours, theirs = _load(candidate), _load(reference)
    pairing = pair_graphs(theirs.graph, ours.graph)
    few = {name: array[:MAX_ROWS] for name, array in arrays.items()}
    limit = LOSSY_RELATIVE if _is_lossy(ours) != _is_lossy(theirs) else EXACT_RELATIVE
    got = _inner_values(ours, few, open_file)
    expected = _inner_values(theirs, few, open_file)
    agreed = {entry.name for entry in ours.graph.input}
    for node in ours.graph.node:
        for name in node.output:
            partner = pairing.tensors.get(name)
            if partner is None or name not in got or partner not in expected:
                continue
            max_abs, max_rel = _distance(expected[partner], got[name])
            if max_rel > limit:
                parting = _Parting(node, name, max_abs, max_rel, frozenset(agreed))
                return _blame(parting, ours.graph, theirs.graph, pairing)
            agreed.add(name)
    return None


class _Parting(msgspec.Struct, frozen=True):
    """The first tensor that differs, and the candidate's tensors that agreed before it."""

    node: onnx.NodeProto
    tensor: str
    max_abs: float
    max_rel: float
    agreed: frozenset[str]


def _blame(
    parting: _Parting, candidate: onnx.GraphProto, reference: onnx.GraphProto, pairing: Pairing
) -> Divergence:
    """A node that only the candidate has is to blame before one that both have."""
    region = region_before(candidate, parting.node, parting.agreed)
    known = {node_name(candidate.node[position]) for position in pairing.nodes}
    own = [other for other in region if node_name(other) not in known]
    blamed = own[0] if own else parting.node
    return Divergence(
        node=node_name(blamed),
        operator=blamed.op_type,
        tensor=parting.tensor,
        max_abs=parting.max_abs,
        max_rel=parting.max_rel,
        suspects=tuple(node_name(other) for other in region),
        missing=_missing(reference, pairing, parting.tensor, parting.agreed),
    )


def _missing(
    reference: onnx.GraphProto, pairing: Pairing, tensor: str, agreed: frozenset[str]
) -> tuple[str, ...]:
    """Nodes of the reference on the way to the tensor that the candidate lacks."""
    partner = pairing.tensors[tensor]
    node = next((other for other in reference.node if partner in other.output), None)
    if node is None:
        return ()
    known = frozenset(pairing.tensors[name] for name in agreed if name in pairing.tensors)
    paired = set(pairing.tensors.values())
    region = region_before(reference, node, known)
    return tuple(node_name(other) for other in region if not paired & set(other.output))


def onnx_trace(path: Path, arrays: Mapping[str, Array], *, open_file: OpenFile) -> Trace:
    """Every tensor of one pass through an ONNX file.

    Raises:
        InputError: it cannot be loaded with its inner tensors exposed.
    """
    model = _load(path)
    nodes = tuple(
        TracedNode(node_name(node), node.op_type, tuple(node.input), tuple(node.output))
        for node in model.graph.node
    )
    return Trace(nodes, _inner_values(model, arrays, open_file))


def is_lossy_file(path: Path) -> bool:
    """Whether an ONNX file computes in integers somewhere, or stores rounded weights."""
    return _is_lossy(_load(path))


def _load(path: Path) -> onnx.ModelProto:
    return onnx.load_model_from_string(_fs.read_limited(path, limit_bytes=LIMIT_BYTES))


def _is_lossy(model: onnx.ModelProto) -> bool:
    if any(node.op_type in _LOSSY_OPERATORS for node in model.graph.node):
        return True
    rounded = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT16}
    return any(tensor.data_type in rounded for tensor in model.graph.initializer)


def _inner_values(
    model: onnx.ModelProto, arrays: Mapping[str, Array], open_file: OpenFile
) -> dict[str, Array]:
    """Every tensor that a node makes, for these inputs."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    listed = {entry.name for entry in exposed.graph.output}
    exposed.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in inner_tensors(model.graph) if name not in listed
    )
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / "exposed.onnx"
        _fs.write_atomic(path, exposed.SerializeToString(deterministic=True))
        session = open_file(path)
        try:
            return _run_exposed(session, check_arrays(arrays, session.inputs, source="golden data"))
        finally:
            session.close()


def _run_exposed(session: Session, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Inner tensors need not have rows: one run where the batch is free, row by row else."""
    if all(tensor.shape and tensor.shape[0] is None for tensor in session.inputs):
        return session.run(arrays)
    return run_rows(session, arrays)


def _distance(expected: Array, got: Array) -> tuple[float, float]:
    """The largest difference, absolute and in units of the expected tensor's scale."""
    if expected.shape != got.shape:
        return float("inf"), float("inf")
    if not expected.size:
        return 0.0, 0.0
    left, right = expected.astype(np.float64), got.astype(np.float64)
    same_gaps = np.isfinite(left) == np.isfinite(right)
    if not same_gaps.all():
        return float("inf"), float("inf")
    finite = np.isfinite(left)
    if not finite.any():
        return 0.0, 0.0
    max_abs = float(np.abs(left[finite] - right[finite]).max())
    scale = max(float(np.abs(left[finite]).max()), 1e-6)
    return max_abs, max_abs / scale


def locate_with(
    reference: Path, candidate: Path, *, open_file: OpenFile
) -> Callable[[Mapping[str, Array]], Divergence | None]:
    """`first_divergence` for one pair of files, in the shape that `verify` takes."""
    return partial(first_divergence, reference, candidate, open_file=open_file)
