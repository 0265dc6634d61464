"""OpenVINO IR from ONNX: weights stay float32, the free batch stays free."""

import re
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import openvino as ov

from edgewright import _fs
from edgewright.errors import UnavailableError
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.onnx_file import cleaned, onnx_bytes

_LIMIT_BYTES = 2**31 - 1
_NUMBERED = re.compile(r"_\d+$")


def openvino_artefact(job: Job) -> Artefact:
    """`net.xml` and `net.bin`; compressing to fp16 is the default of the tool and turned off.

    Raises:
        UnavailableError: OpenVINO has no counterpart for an operator.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        source, target = Path(name) / f"{job.stem}.onnx", Path(name) / f"{job.stem}.xml"
        _fs.write_atomic(source, onnx_bytes(cleaned(job.model)))
        try:
            model = ov.Core().read_model(source)
            ov.save_model(model, target, compress_to_fp16=False)
        except RuntimeError as error:
            raise UnavailableError(
                f"OpenVINO cannot take this graph: {_reason(error)}",
                hint="try another format, or cut the graph with --start and --end",
            ) from error
        table, weights = (
            _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
            for path in (target, target.with_suffix(".bin"))
        )
    known = {name for node in job.model.graph.node for name in (node.name, *node.output)}
    known |= {tensor.name for tensor in job.model.graph.initializer}
    known |= {value.name for value in (*job.model.graph.input, *job.model.graph.output)}
    return Artefact(
        target.name,
        {target.name: _repeatable(table, known), target.with_suffix(".bin").name: weights},
    )


def _repeatable(table: bytes, known: set[str]) -> bytes:
    """The table with layers that OpenVINO numbered through the life of the process called by their
    own kind and place.
    """
    root = ET.fromstring(table)  # noqa: S314  # OpenVINO wrote it just now
    for layer in root.iterfind("./layers/layer"):
        name = layer.get("name", "")
        if _NUMBERED.search(name) and name not in known:
            layer.set("name", f"{layer.get('type')}/{layer.get('id')}")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check "))]
    return (told or lines or ["it said nothing"])[0][:300]
