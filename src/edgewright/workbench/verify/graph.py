"""Two ONNX graphs side by side: which tensor of one is which tensor of the other."""

import difflib
from collections.abc import Iterator

import msgspec
import onnx


class Pairing(msgspec.Struct, frozen=True):
    """Tensors and nodes of the candidate that have a counterpart in the reference."""

    tensors: dict[str, str]
    """Candidate's tensor name to the reference's."""
    nodes: frozenset[int]
    """Positions of the candidate's nodes that the reference has too."""


def pair_graphs(reference: onnx.GraphProto, candidate: onnx.GraphProto) -> Pairing:
    """Pair by equal tensor names first, then by the order of operators between them."""
    produced = {name for node in reference.node for name in node.output if name}
    given = {entry.name for entry in reference.input}
    tensors = {entry.name: entry.name for entry in candidate.input if entry.name in given}
    nodes: set[int] = set()
    for position, node in enumerate(candidate.node):
        same = [name for name in node.output if name in produced]
        tensors |= {name: name for name in same}
        if same:
            nodes.add(position)
    _pair_by_order(reference, candidate, tensors, nodes)
    return Pairing(tensors, frozenset(nodes))


def node_name(node: onnx.NodeProto) -> str:
    """What people call a node: its name, else its first output."""
    return node.name or node.output[0]


def region_before(
    graph: onnx.GraphProto, node: onnx.NodeProto, known: frozenset[str]
) -> list[onnx.NodeProto]:
    """The node and those above it up to tensors that are known, in order of execution."""
    producers = {name: other for other in graph.node for name in other.output}
    region: dict[str, onnx.NodeProto] = {}
    queue = [node]
    while queue:
        current = queue.pop()
        if node_name(current) in region:
            continue
        region[node_name(current)] = current
        above = [name for name in current.input if name in producers and name not in known]
        queue += [producers[name] for name in above]
    order = {id(other): position for position, other in enumerate(graph.node)}
    return sorted(region.values(), key=lambda other: order[id(other)])


def inner_tensors(graph: onnx.GraphProto) -> Iterator[str]:
    """Every tensor that a node makes."""
    for node in graph.node:
        yield from (name for name in node.output if name)


def _pair_by_order(
    reference: onnx.GraphProto,
    candidate: onnx.GraphProto,
    tensors: dict[str, str],
    nodes: set[int],
) -> None:
    taken = set(tensors.values())
    left = [node for node in reference.node if not taken & set(node.output)]
    right = [p for p in range(len(candidate.node)) if p not in nodes]
    matcher = difflib.SequenceMatcher(
        None,
        [node.op_type for node in left],
        [candidate.node[position].op_type for position in right],
        autojunk=False,
    )
    for start, other_start, length in matcher.get_matching_blocks():
        for offset in range(length):
            position = right[other_start + offset]
            theirs = left[start + offset].output
            ours = candidate.node[position].output
            if len(theirs) == len(ours):
                tensors |= dict(zip(ours, theirs, strict=True))
                nodes.add(position)
