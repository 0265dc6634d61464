"""OpenVINO IR from ONNX: weights stay float32, the free batch stays free."""

import tempfile
from pathlib import Path

import openvino as ov

from edgewright import _fs
from edgewright.errors import UnavailableError
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.onnx_file import cleaned, onnx_bytes

_LIMIT_BYTES = 2**31 - 1


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
        files = {
            path.name: _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
            for path in (target, target.with_suffix(".bin"))
        }
    return Artefact(target.name, files)


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check "))]
    return (told or lines or ["it said nothing"])[0][:300]
