"""The slow, obvious engine that the fast ones are compared to: layers as data, plain numpy.

A model file (format "reference") is an `.npz` without pickles: `graph`, a JSON text with the
inputs, the outputs and an ordered list of layers, and one array per weight. Each layer reads
earlier values by name and writes one value. It shares no code with the engines it judges.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "double.npz"
    >>> graph = Graph(
    ...     inputs=(EngineTensor(name="x", dtype="float32", shape=(None, 2)),),
    ...     outputs=(EngineTensor(name="y", dtype="float32", shape=(None, 1)),),
    ...     layers=(Layer(op="linear", inputs=("x",), output="y", weights={"weight": "w"}),),
    ... )
    >>> write_reference(path, graph, {"w": np.array([[2.0, 0.0]], np.float32)})
    >>> session = ReferenceRuntime().open(path)
    >>> session.run({"x": np.array([[3.0, 1.0]], np.float32)})["y"].tolist()
    [[6.0]]
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from edgewright._fs import read_limited, write_atomic
from edgewright._npz import decode_npz, encode_npz
from edgewright.contract import decode_json, encode_json
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes._reference_ops import OPS, Call
from edgewright.runtimes.base import (
    Array,
    Availability,
    EngineTensor,
    Placement,
    checked_feeds,
)

MODEL_LIMIT_BYTES = 256 << 20

_GRAPH = "graph"


class Layer(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One operation: what it is, what it reads, what it writes, its weights and its numbers."""

    op: str
    inputs: tuple[str, ...]
    output: str
    weights: dict[str, str] = {}
    numbers: dict[str, int | float] = {}


class Graph(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole model without its weights."""

    inputs: tuple[EngineTensor, ...]
    outputs: tuple[EngineTensor, ...]
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        known = {tensor.name for tensor in self.inputs}
        for layer in self.layers:
            if layer.op not in OPS:
                raise ValueError(f"unknown layer {layer.op!r}; known: {', '.join(sorted(OPS))}")
            if missing := set(layer.inputs) - known:
                raise ValueError(f"layer {layer.output!r} reads {sorted(missing)} before it exists")
            known.add(layer.output)
        if missing := {tensor.name for tensor in self.outputs} - known:
            raise ValueError(f"no layer writes the outputs {sorted(missing)}")


class ReferenceRuntime:
    """The engine itself."""

    name = "reference"
    formats = ("reference",)

    def availability(self) -> Availability:
        """It needs numpy alone."""
        return Availability(available=True, version=np.__version__)

    def open(self, path: Path, *, threads: int = 1) -> "ReferenceSession":
        """Load a model file; see `Runtime.open`. It always runs on one thread."""
        content = read_limited(path, limit_bytes=MODEL_LIMIT_BYTES)
        loaded = decode_npz(content, source=str(path))
        if _GRAPH not in loaded:
            raise InputError(f"{path}: not a reference model: no graph", hint="export it again")
        text = loaded.pop(_GRAPH).tobytes()
        return ReferenceSession(decode_json(text, Graph, source=f"{path}: graph"), loaded)


class ReferenceSession:
    """A loaded reference model."""

    def __init__(self, graph: Graph, weights: Mapping[str, Array]) -> None:
        wanted = {name for layer in graph.layers for name in layer.weights.values()}
        if missing := wanted - set(weights):
            raise InputError(f"reference model: no arrays for {sorted(missing)}")
        self.inputs = graph.inputs
        self.outputs = graph.outputs
        self.placement = Placement(engine="reference", device="CPU", precision="as-is", threads=1)
        self._layers = graph.layers
        self._weights = weights

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass; see `Session.run`."""
        values: dict[str, Array] = dict(checked_feeds(feeds, self.inputs))
        for layer in self._layers:
            weights = {part: self._weights[name] for part, name in layer.weights.items()}
            call = Call([values[name] for name in layer.inputs], weights, layer.numbers)
            try:
                values[layer.output] = OPS[layer.op](call)
            except (ValueError, IndexError, KeyError) as error:
                raise DeviceError(f"layer {layer.output!r} ({layer.op}) failed: {error}") from error
        return {tensor.name: values[tensor.name] for tensor in self.outputs}

    def close(self) -> None:
        """Nothing to let go of but the object itself."""


def write_reference(path: Path, graph: Graph, weights: Mapping[str, Array]) -> None:
    """Write a model file; same input, same bytes."""
    arrays: dict[str, Array] = {_GRAPH: np.frombuffer(encode_json(graph), np.uint8), **weights}
    write_atomic(path, encode_npz(arrays))
