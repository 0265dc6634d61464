"""What a reader makes of a model that somebody brings."""

from typing import Literal

import msgspec

from edgewright.contract import Step

Engine = Literal["onnx", "litert"]
SUFFIX: dict[Engine, str] = {"onnx": ".onnx", "litert": ".tflite"}


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """One engine file with what came along: class names, steps that belong in front of it, remarks
    for the reader, and what its maker claims about it (nobody here measured that).
    """

    engine: Engine
    content: bytes
    how: str
    source: str
    source_sha256: str
    labels: tuple[str, ...] = ()
    preprocess: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    claims: dict[str, str] = {}

    @property
    def file_name(self) -> str:
        """Under which name a project keeps it."""
        return f"given{SUFFIX[self.engine]}"
