"""Ensembles from their files: a TOML that names parts, opened like any model.

name = "gait"

[contract]
inputs = [{ name = "x", dtype = "float32", shape = ["batch", 100, 6] }]
outputs = [{ name = "risk", dtype = "float32", shape = ["batch", 1] }]

[[stages]]
model = "encoder.ewb"
outputs = { z = "embedding" }

[[stages]]
model = "risk.onnx"
inputs = { x = "embedding" }
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from edgewright._fs import read_limited
from edgewright.bundle.golden import Golden, decode_golden
from edgewright.bundle.manifest import check_name
from edgewright.contract import decode_toml
from edgewright.contract.ensemble import Ensemble
from edgewright.device.serve import Servable
from edgewright.errors import InputError
from edgewright.runtimes.ensemble import EnsembleModel

SUFFIX = ".toml"
PLATFORM = "ensemble"
_FILE_LIMIT_BYTES = 1 << 20
_GOLDEN_LIMIT_BYTES = 256 << 20


def open_ensemble(path: Path, open_part: Callable[[Path], Servable]) -> Servable:
    """The ensemble of this file, with all of its parts loaded.

    Raises:
        InputError: not an ensemble, a part is missing, or tensors do not fit together.
        EdgewrightError: a part cannot be opened.
    """
    content = read_limited(path, limit_bytes=_FILE_LIMIT_BYTES)
    ensemble = decode_toml(content, Ensemble, source=str(path))
    try:
        check_name("name", ensemble.name)
        check_name("version", ensemble.version)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    parts: list[Servable] = []
    try:
        for stage in ensemble.stages:
            file = path.parent / stage.model
            if file.suffix == SUFFIX:
                raise InputError(f"{path}: part {stage.model!r} is an ensemble itself")
            parts.append(open_part(file))
        model = _wired(path, ensemble, parts)
        golden = _golden(path.parent / ensemble.golden) if ensemble.golden else None
    except BaseException:
        for part in parts:
            part.model.close()
        raise
    return Servable(
        name=ensemble.name,
        version=ensemble.version,
        platform=PLATFORM,
        identity=_identity(content, parts),
        model=model,
        golden=golden,
    )


def _wired(path: Path, ensemble: Ensemble, parts: list[Servable]) -> EnsembleModel:
    try:
        return EnsembleModel(ensemble, [part.model for part in parts])
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error


def _golden(path: Path) -> Golden:
    return decode_golden(read_limited(path, limit_bytes=_GOLDEN_LIMIT_BYTES))


def _identity(content: bytes, parts: list[Servable]) -> str:
    """Changes with the file and with every part."""
    digest = hashlib.sha256(content)
    for part in parts:
        digest.update(part.identity.encode())
    return digest.hexdigest()
