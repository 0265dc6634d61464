"""Core ML packages by the traced path (the torch.export path fails on U-Nets)."""

import contextlib
import io
import json
import tempfile
import uuid
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import coremltools as ct
import numpy as np
from onnx import helper

from edgewright import _fs
from edgewright.errors import UnavailableError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert._quiet import quiet
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.onnx_file import input_names, output_names
from edgewright.workbench.convert.prepare import with_batch
from edgewright.workbench.convert.torch_files import traced

_LIMIT_BYTES = 2**31 - 1
_MANIFEST = "Manifest.json"
_IDS = uuid.UUID("6a5f3a0e-8a52-5a43-9d5a-0d4f7f3b1c55")
"""Names of items in a package are drawn from this one, so that they repeat."""


def coreml_artefact(job: Job) -> Artefact:
    """`net.mlpackage` (ML Program, float32) for one sample.

    Raises:
        UnavailableError: torch or coremltools cannot take the graph.
    """
    model = with_batch(job.model)
    shapes = {
        value.name: (
            tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
            helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
        )
        for value in model.graph.input
    }
    module = traced(model)
    try:
        with (
            warnings.catch_warnings(),
            quiet("coremltools"),
            contextlib.redirect_stderr(io.StringIO()),  # bars, one a pass
        ):
            warnings.simplefilter("ignore")
            package = ct.convert(
                module,
                source="pytorch",
                convert_to="mlprogram",
                inputs=[
                    ct.TensorType(name=name, shape=shapes[name][0], dtype=_fed(shapes[name][1]))
                    for name in input_names(model)
                ],
                outputs=[ct.TensorType(name=name) for name in output_names(model)],
                compute_precision=ct.precision.FLOAT32,
                minimum_deployment_target=ct.target.iOS16,
            )
    except (RuntimeError, ValueError, NotImplementedError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UnavailableError(
            f"coremltools cannot take this graph: {reason[0][:300]}", hint="try another format"
        ) from error
    name = f"{job.stem}.mlpackage"
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / name
        package.save(str(path))
        files = {
            f"{name}/{file.relative_to(path).as_posix()}": _fs.read_limited(
                file, limit_bytes=_LIMIT_BYTES
            )
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }
    files[f"{name}/{_MANIFEST}"] = _repeatable(files[f"{name}/{_MANIFEST}"])
    return Artefact(name, files, ("one sample per call",))


def _fed(dtype: np.dtype[np.generic]) -> type:
    """Core ML takes floats and 32-bit integers."""
    return np.int32 if dtype.kind in "iub" else np.float32


def _repeatable(manifest: bytes) -> bytes:
    """The manifest with names of items that depend on their paths alone."""
    read = json.loads(manifest)
    names = {
        old: str(uuid.uuid5(_IDS, entry["path"])).upper()
        for old, entry in read["itemInfoEntries"].items()
    }
    entries = {names[old]: entry for old, entry in read["itemInfoEntries"].items()}
    read["itemInfoEntries"] = dict(sorted(entries.items()))
    read["rootModelIdentifier"] = names[read["rootModelIdentifier"]]
    return json.dumps(read, indent=4, sort_keys=True).encode()


def coreml_answer(
    path: Path, outputs: tuple[str, ...]
) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """A package as a function of arrays, row by row; macOS only."""
    model = ct.models.MLModel(str(path))

    def answer(arrays: Mapping[str, Array]) -> dict[str, Array]:
        rows = len(next(iter(arrays.values())))
        parts = [
            model.predict({name: array[row : row + 1] for name, array in arrays.items()})
            for row in range(rows)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs}

    return answer
