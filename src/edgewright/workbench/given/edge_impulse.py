"""An Edge Impulse export: the C++ library (zip or folder), or a zip with the `.tflite` or `.lite`.

The network is taken as it is; the signal processing before it (a *DSP block*) is C++ and is not:
samples are the features that this block gives.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright.errors import InputError
from edgewright.workbench.given.engine_files import tflite_model
from edgewright.workbench.given.model_file import ModelFile

FILE_LIMIT_BYTES = 256 << 20
MEMBER_LIMIT = 20_000

_PARAMETERS = "model-parameters/"
_NETWORK = "tflite-model/"
_LABELS = re.compile(r"inferencing_categories[^=]*=\s*\{([^}]*)\}")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PROJECT = re.compile(r'EI_CLASSIFIER_PROJECT_NAME\s+"([^"]*)"')
_DSP = re.compile(r"(ei_dsp_config_\w+?)_t\b")
_ARRAY = re.compile(r"(?:unsigned char|uint8_t)\s+\w+\s*\[[^\]]*\][^=;]*=\s*\{([^}]*)\}")
_BYTE = re.compile(rb"0[xX][0-9a-fA-F]{1,2}|\d{1,3}")


def is_edge_impulse(path: Path) -> bool:
    """Whether a folder or zip looks like one."""
    return any(
        f"/{_PARAMETERS}" in f"/{name}" or name.endswith((".tflite", ".lite"))
        for name in _names(path)
    )


def read_edge_impulse(path: Path) -> ModelFile:
    """The network of an export, with its class names.

    Raises:
        InputError: no network that another engine can read is inside.
    """
    labels: tuple[str, ...] = ()
    notes: list[str] = []
    for name in _names(path):
        if f"/{_PARAMETERS}" in f"/{name}" and name.endswith((".h", ".cpp")):
            text = _read(path, name).decode("utf-8", errors="replace")
            if found := _LABELS.search(text):
                labels = tuple(_TEXT.findall(found[1]))
            if found := _PROJECT.search(text):
                notes.append(f"Edge Impulse project {found[1]!r}")
            blocks = sorted(set(_DSP.findall(text)))
            if blocks:
                notes.append(
                    f"its signal processing ({', '.join(blocks)}) stays with whoever sends features"
                )
    content = _network(path)
    model = tflite_model(content, source=path.name, how="Edge Impulse export, its TensorFlow Lite")
    return msgspec.structs.replace(model, labels=labels, notes=tuple(dict.fromkeys(notes)))


def _network(path: Path) -> bytes:
    names = _names(path)
    for name in names:
        if name.endswith((".tflite", ".lite")):
            return _read(path, name)
    is_compiled = False
    for name in names:
        if f"/{_NETWORK}" not in f"/{name}" or not name.endswith((".h", ".cpp", ".c")):
            continue
        is_compiled |= "_compiled" in name
        text = _read(path, name).decode("latin-1")
        for found in _ARRAY.finditer(text):
            content = bytes(int(each, 0) for each in _BYTE.findall(found[1].encode("latin-1")))
            if content[4:8] == b"TFL3":
                return content
    why = "the EON compiler turned it into C++" if is_compiled else "there is none"
    raise InputError(
        f"{path}: no TensorFlow Lite network inside: {why}",
        hint="export it again with the engine 'TensorFlow Lite', or download the .lite file from "
        "the dashboard",
    )


def _names(path: Path) -> list[str]:
    names = list(_all_names(path))
    if len(names) > MEMBER_LIMIT:
        raise InputError(f"{path}: {len(names)} files, expected at most {MEMBER_LIMIT}")
    return sorted(names)


def _all_names(path: Path) -> Iterator[str]:
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file())
        yield from (file.relative_to(path).as_posix() for file in files)
        return
    with zipfile.ZipFile(path) as archive:
        yield from archive.namelist()


def _read(path: Path, name: str) -> bytes:
    if path.is_dir():
        return read_limited(path / name, limit_bytes=FILE_LIMIT_BYTES)
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(name).file_size > FILE_LIMIT_BYTES:
            raise InputError(f"{path}: {name} is larger than {FILE_LIMIT_BYTES} bytes")
        return archive.read(name)
