"""OpenVINO's two files (`.xml` and `.bin`) as one, for where one file is all that travels: a stored
zip with `model.xml` and `model.bin`, the same bytes for the same model.
"""

import io
import zipfile
from pathlib import Path

from edgewright._fs import read_limited
from edgewright.errors import InputError

MODEL_LIMIT_BYTES = 2 << 30

_GRAPH, _WEIGHTS = "model.xml", "model.bin"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def read_parts(path: Path) -> tuple[bytes, bytes]:
    """Graph and weights of an `.xml` with its `.bin` beside it, or of a packed file.

    Raises:
        InputError: the file or its weights are absent, or it is no such archive.
    """
    content = read_limited(path, limit_bytes=MODEL_LIMIT_BYTES)
    if content.startswith(b"PK"):
        return _unpacked(content, path)
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise InputError(
            f"{path}: its weights {weights.name} are not beside it",
            hint="an OpenVINO model is two files; keep them together",
        )
    return content, read_limited(weights, limit_bytes=MODEL_LIMIT_BYTES)


def pack_parts(graph: bytes, weights: bytes) -> bytes:
    """The one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in ((_GRAPH, graph), (_WEIGHTS, weights)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return buffer.getvalue()


def _unpacked(content: bytes, path: Path) -> tuple[bytes, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = [archive.getinfo(name) for name in (_GRAPH, _WEIGHTS)]
            if sum(info.file_size for info in infos) > MODEL_LIMIT_BYTES:
                raise InputError(f"{path}: larger than {MODEL_LIMIT_BYTES >> 20} MB when unpacked")
            return archive.read(_GRAPH), archive.read(_WEIGHTS)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(
            f"{path}: no OpenVINO model inside: {error}",
            hint=f"a packed model is a zip with {_GRAPH} and {_WEIGHTS}",
        ) from error
