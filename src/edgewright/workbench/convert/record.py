"""What a conversion left behind."""

import hashlib
from pathlib import Path

import msgspec


class ExportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One engine file: its format, its content and the names a caller needs to feed it."""

    path: str
    format: str
    sha256: str
    size_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int | None = None


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
