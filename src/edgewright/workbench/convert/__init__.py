"""From a model to the file an engine loads, and the proof that the file is real.

Invariants: a file written here is self-contained, has the same bytes every time, holds no path of
the machine that made it, and has passed the gate of its format. What cannot be made here raises
`UnavailableError` and leaves no file. `edgewright.workbench.verify` says whether it is right.

`export_onnx` lives in `edgewright.workbench.convert.torch_onnx`: that file imports torch, this
room's other files do not.

    >>> import pathlib, tempfile
    >>> from edgewright.errors import InputError
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.hef"
    >>> _ = path.write_text('{"accuracy": 0.72}')
    >>> try:
    ...     check_file(path, "hailo")
    ... except InputError as error:
    ...     "no real HEF file" in str(error)
    True
"""

from edgewright.workbench.convert.artefact import Wishes
from edgewright.workbench.convert.converting import Given, convert
from edgewright.workbench.convert.formats import FORMATS, Format, check_available, find_format
from edgewright.workbench.convert.gates import check_file
from edgewright.workbench.convert.onnx_file import (
    cleaned,
    input_names,
    onnx_bytes,
    opset_of,
    output_names,
    parse_onnx,
    read_onnx,
    whole_onnx,
    write_onnx,
)
from edgewright.workbench.convert.record import ExportRecord

__all__ = [
    "FORMATS",
    "ExportRecord",
    "Format",
    "Given",
    "Wishes",
    "check_available",
    "check_file",
    "cleaned",
    "convert",
    "find_format",
    "input_names",
    "onnx_bytes",
    "opset_of",
    "output_names",
    "parse_onnx",
    "read_onnx",
    "whole_onnx",
    "write_onnx",
]
