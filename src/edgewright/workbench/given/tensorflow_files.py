"""Keras files and SavedModel folders, converted in an environment of their own: TensorFlow pins
packages that clash with this one's.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgewright._fs import read_limited
from edgewright._npz import decode_npz, encode_npz
from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.child_venv import Child, run_child
from edgewright.workbench.convert.onnx_file import LIMIT_BYTES, cleaned, onnx_bytes, parse_onnx
from edgewright.workbench.given.model_file import ModelFile
from edgewright.workbench.given.same_answers import check_same_answers

TENSORFLOW = Child(
    name="tensorflow",
    module="tensorflow",
    packages=("tensorflow-cpu==2.21.0", "tf2onnx==1.17.0", "onnx==1.23.2"),
)
TIMEOUT_S = 600.0
PARITY_ROWS = 8

_SCRIPT = "onnx_from_tensorflow.py"


def is_saved_model(path: Path) -> bool:
    """Whether a folder holds one."""
    return (path / "saved_model.pb").is_file()


def read_keras(path: Path, arrays: Mapping[str, Array]) -> ModelFile:
    """A Keras file (`.h5`, `.keras`) as ONNX.

    Raises:
        UnavailableError: no TensorFlow environment; the message says how to make one.
    """
    content = read_limited(path, limit_bytes=LIMIT_BYTES)
    return _converted(
        {f"model{path.suffix.lower()}": content}, f"model{path.suffix.lower()}", path, arrays
    )


def read_saved_model(path: Path, arrays: Mapping[str, Array]) -> ModelFile:
    """The serving signature of a SavedModel folder as ONNX."""
    files = {
        f"model/{file.relative_to(path).as_posix()}": read_limited(file, limit_bytes=LIMIT_BYTES)
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }
    return _converted(files, "model", path, arrays)


def _converted(
    files: dict[str, bytes], name: str, path: Path, arrays: Mapping[str, Array]
) -> ModelFile:
    if not arrays:
        raise InputError(
            f"{path}: sample inputs are needed to compare the conversion",
            hint="add --data samples.npz",
        )
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(files[file])
    rows = {key: array[:PARITY_ROWS] for key, array in arrays.items() if key not in {"y", "group"}}
    made = run_child(
        TENSORFLOW,
        _SCRIPT,
        {**files, "samples.npz": encode_npz({key or "_": array for key, array in rows.items()})},
        arguments=(name,),
        timeout_s=TIMEOUT_S,
    )
    content = onnx_bytes(cleaned(parse_onnx(made["model.onnx"], source=str(path))))
    answers = decode_npz(made["answers.npz"], source="TensorFlow's answers")
    fed = {key.removeprefix("in:"): a for key, a in answers.items() if key.startswith("in:")}
    expected = {key.removeprefix("out:"): a for key, a in answers.items() if key.startswith("out:")}
    check_same_answers(content, fed, expected, source=str(path))
    count = len(next(iter(fed.values()))) if fed else 0
    return ModelFile(
        engine="onnx",
        content=content,
        how=f"TensorFlow, converted to ONNX; same answers on {np.int64(count)} samples",
        source=path.name,
        source_sha256=digest.hexdigest(),
    )
