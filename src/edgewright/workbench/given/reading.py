"""Which reader a model needs: told by what lies there, never by trust in a name alone."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.workbench.given.artefacts import is_artefact_set, read_artefact_set
from edgewright.workbench.given.edge_impulse import (
    is_edge_impulse,
    read_edge_impulse,
)
from edgewright.workbench.given.engine_files import read_onnx_file, read_tflite_file
from edgewright.workbench.given.model_file import ModelFile
from edgewright.workbench.given.snapshot import is_snapshot, read_snapshot
from edgewright.workbench.given.tensorflow_files import (
    is_saved_model,
    read_keras,
    read_saved_model,
)

KNOWN = (
    ".onnx, .tflite, TorchScript (.pt), .pt2, Keras (.h5, .keras), a SavedModel folder, "
    "a Hugging Face snapshot folder, an Edge Impulse export (.zip or folder), or a folder with "
    "an .onnx and its model_config.json"
)


def read_model(path: Path, arrays: Mapping[str, Array]) -> ModelFile:
    """The model of a file or folder as one engine file. `arrays` are sample inputs; readers that
    must run the model need them.

    Raises:
        InputError: nothing known, or a broken file.
        UnavailableError: what its conversion needs is not installed.
        GateError: the converted file does not answer like its source.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder", hint="check the path")
    if path.is_dir():
        return _read_folder(path, arrays)
    match path.suffix.lower():
        case ".onnx":
            return read_onnx_file(path)
        case ".tflite" | ".lite":
            return read_tflite_file(path)
        case ".pt2" | ".pt" | ".pth" | ".ts" | ".torchscript":
            return _read_torch(path, arrays)
        case ".h5" | ".keras" | ".hdf5":
            return read_keras(path, arrays)
        case ".zip" if zipfile.is_zipfile(path) and is_edge_impulse(path):
            return read_edge_impulse(path)
    raise InputError(f"{path}: no kind of model that is known", hint=f"known: {KNOWN}")


def _read_torch(path: Path, arrays: Mapping[str, Array]) -> ModelFile:
    from edgewright.workbench.given.torch_files import (  # noqa: PLC0415  # only these need torch
        read_exported_program,
        read_torchscript,
    )

    read = read_exported_program if path.suffix.lower() == ".pt2" else read_torchscript
    return read(path, arrays)


def _read_folder(path: Path, arrays: Mapping[str, Array]) -> ModelFile:
    if is_edge_impulse(path):
        return read_edge_impulse(path)
    if is_saved_model(path):
        return read_saved_model(path, arrays)
    if is_artefact_set(path):
        return read_artefact_set(path)
    if is_snapshot(path):
        return read_snapshot(path)
    raise InputError(f"{path}: no kind of model folder that is known", hint=f"known: {KNOWN}")
