"""What OpenVINO computes on the way through an IR file, or through an ONNX file read by it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov

from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.workbench.verify.traces import Trace, TracedNode

_SILENT = frozenset({"Constant", "Parameter", "Result"})
_LOSSY = (b'"FakeQuantize"', b'element_type="i8"', b'element_type="u8"', b'element_type="f16"')


def openvino_trace(path: Path, arrays: Mapping[str, Array]) -> Trace:
    """Every tensor of one pass in float32; inputs are taken in the order of the file.

    Raises:
        InputError: OpenVINO cannot load the file, or not with its tensors exposed.
    """
    try:
        core = ov.Core()
        model = core.read_model(path)
        order = [one for one in model.get_ordered_ops() if one.get_type_name() not in _SILENT]
        floats = [
            (node, output)
            for node in order
            for output in node.outputs()
            if output.get_element_type() in {ov.Type.f32, ov.Type.f64}
        ]
        exposed = ov.Model([output for _, output in floats], model.get_parameters(), "exposed")
        compiled = core.compile_model(exposed, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        feeds = dict(zip(range(len(compiled.inputs)), arrays.values(), strict=True))
        results = compiled(feeds)
    except RuntimeError as error:
        raise InputError(
            f"{path}: OpenVINO cannot show its inner tensors: {str(error).splitlines()[0][:200]}"
        ) from error
    values = {
        _name(node.get_friendly_name(), output.get_index()): np.array(results[place])
        for place, (node, output) in enumerate(floats)
    }
    nodes = tuple(
        TracedNode(
            node.get_friendly_name(),
            node.get_type_name(),
            tuple(
                _name(source.get_node().get_friendly_name(), source.get_index())
                for source in (port.get_source_output() for port in node.inputs())
            ),
            tuple(_name(node.get_friendly_name(), out.get_index()) for out in node.outputs()),
        )
        for node in order
    )
    return Trace(nodes, values)


def is_lossy_ir(content: bytes) -> bool:
    """Whether an IR file computes in integers somewhere, or stores rounded weights."""
    return any(mark in content for mark in _LOSSY)


def _name(node: str, index: int) -> str:
    return f"{node}:{index}" if index else node
