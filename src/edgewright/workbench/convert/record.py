"""What a conversion left behind."""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec


class ExportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One engine file: its format, its content and the names a caller needs to feed it.

    `max_abs` is the largest difference to the model that the comparison met; `parity` says whether
    one could be made on this machine. `files` are all its parts, where there are several, and
    `contract` is the file beside it that says what it takes and gives.
    """

    path: str
    format: str
    sha256: str
    size_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int | None = None
    files: tuple[str, ...] = ()
    parity: Literal["verified", "unverified"] = "verified"
    max_abs: float | None = None
    notes: tuple[str, ...] = ()
    contract: str = ""


def record_of(
    path: Path,
    content: bytes,
    *,
    format_name: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    opset: int | None = None,
) -> ExportRecord:
    """The record of a file whose content is at hand."""
    return ExportRecord(
        path=str(path),
        format=format_name,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        inputs=inputs,
        outputs=outputs,
        opset=opset,
    )
