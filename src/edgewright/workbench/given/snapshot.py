"""A local Hugging Face snapshot: the ONNX file that lies in it, with the class names of its
`config.json`.
"""

from pathlib import Path

import msgspec

from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.given.engine_files import read_onnx_file
from edgewright.workbench.given.json_file import read_json
from edgewright.workbench.given.model_file import ModelFile

_PLACES = ("onnx/model.onnx", "model.onnx")


def is_snapshot(path: Path) -> bool:
    """Whether a folder holds one."""
    return (path / "config.json").is_file()


def read_snapshot(path: Path) -> ModelFile:
    """The network with its class names.

    Raises:
        InputError: several ONNX files and none of the usual name.
        UnavailableError: weights of another framework only.
    """
    config = read_json(path / "config.json")
    found = [path / place for place in _PLACES if (path / place).is_file()]
    found = found or sorted(path.rglob("*.onnx"))
    if not found:
        weights = sorted(
            file.name
            for file in path.iterdir()
            if file.suffix in {".safetensors", ".bin", ".h5", ".msgpack"}
        )
        raise UnavailableError(
            f"{path}: holds {', '.join(weights) or 'no weights'} and no ONNX file",
            hint="where its framework is installed: optimum-cli export onnx --model FOLDER OUT, "
            "then name OUT",
        )
    if len(found) > 1 and found[0].name != "model.onnx":
        raise InputError(
            f"{path}: several ONNX files ({', '.join(file.name for file in found[:5])})",
            hint="name one of them",
        )
    model = read_onnx_file(found[0])
    names = config.get("id2label")
    labels: tuple[str, ...] = ()
    if isinstance(names, dict) and all(key.isdigit() for key in names):
        labels = tuple(str(names[key]) for key in sorted(names, key=int))
    return msgspec.structs.replace(
        model,
        how=f"Hugging Face snapshot, its {found[0].relative_to(path).as_posix()}",
        source=path.name,
        labels=labels,
        claims={"architectures": ", ".join(map(str, config.get("architectures") or []))},
    )
