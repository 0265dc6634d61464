"""Files that an engine opens as they are."""

import hashlib
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no types

from edgewright._fs import read_limited
from edgewright.errors import InputError
from edgewright.workbench.convert.onnx_file import LIMIT_BYTES, onnx_bytes, parse_onnx
from edgewright.workbench.given.model_file import ModelFile

_TFLITE = b"TFL3"


def read_onnx_file(path: Path) -> ModelFile:
    """An ONNX file as it is; weights that lie beside it are taken in.

    Raises:
        InputError: no ONNX model, or one whose outputs no contract can describe.
    """
    content = read_limited(path, limit_bytes=LIMIT_BYTES)
    digest = hashlib.sha256(content).hexdigest()
    notes: tuple[str, ...] = ()
    if whole := _with_outside_weights(path, content):
        content, notes = whole, ("weights that lay in other files were taken in",)
    model = parse_onnx(content, source=str(path))
    for value in model.graph.output:
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            raise InputError(
                f"{path}: output {value.name!r} is a {kind.removesuffix('_type')}, "
                "expected a tensor",
                hint="scikit-learn converters do this by default: convert with "
                "options={'zipmap': False}",
            )
    return ModelFile(
        engine="onnx",
        content=content,
        how="ONNX, taken as it is",
        source=path.name,
        source_sha256=digest,
        notes=notes,
    )


def read_tflite_file(path: Path) -> ModelFile:
    """A TensorFlow Lite file as it is."""
    content = read_limited(path, limit_bytes=LIMIT_BYTES)
    return tflite_model(content, source=path.name, how="TensorFlow Lite, taken as it is")


def tflite_model(content: bytes, *, source: str, how: str) -> ModelFile:
    """The same for bytes at hand.

    Raises:
        InputError: they are no TensorFlow Lite model.
    """
    if content[4:8] != _TFLITE:
        raise InputError(
            f"{source}: not a TensorFlow Lite file", hint="its bytes 4 to 8 must be TFL3"
        )
    return ModelFile(
        engine="litert",
        content=content,
        how=how,
        source=source,
        source_sha256=hashlib.sha256(content).hexdigest(),
    )


def _with_outside_weights(path: Path, content: bytes) -> bytes:
    """The model with all weights inside; empty when they are inside already, or it is none."""
    try:
        model = onnx.load_model_from_string(content)
        outside = [
            tensor
            for tensor in model.graph.initializer
            if tensor.data_location == onnx.TensorProto.EXTERNAL
        ]
        if not outside:
            return b""
        onnx.load_external_data_for_model(model, str(path.parent))
        return onnx_bytes(model)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: its weights lie in another file that is absent ({error.filename})",
            hint="put that file beside it",
        ) from error
    except (ValueError, OSError, onnx.checker.ValidationError) as error:
        raise InputError(
            f"{path}: its weights in other files cannot be read: {error}", hint="save it whole"
        ) from error
    except DecodeError:  # no model at all: parse_onnx says it better
        return b""
