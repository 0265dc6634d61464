"""What `convert` takes: an ONNX file, a LiteRT file, or a finished run."""

from pathlib import Path

import msgspec
import onnx

from edgewright import _fs
from edgewright.contract import Contract
from edgewright.errors import InputError
from edgewright.workbench.convert.onnx_file import LIMIT_BYTES, read_onnx

RUN_FILE = "run.json"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A model to convert. A LiteRT source has no graph: only formats made of LiteRT take it."""

    stem: str
    model: onnx.ModelProto | None = None
    lite: bytes = b""
    contract: Contract | None = None


def read_source(path: Path) -> Source:
    """The model behind a path.

    Raises:
        InputError: nothing that can be converted lies there.
    """
    if path.is_dir():
        if not (path / RUN_FILE).is_file():
            raise InputError(
                f"{path}: a folder without {RUN_FILE}", hint="give an .onnx file or a finished run"
            )
        return _of_run(path)
    if path.suffix == ".tflite":
        return Source(stem=path.stem, lite=_fs.read_limited(path, limit_bytes=LIMIT_BYTES))
    return Source(stem=path.stem, model=read_onnx(path))


def _of_run(folder: Path) -> Source:
    from edgewright.workbench.convert.run_source import (  # noqa: PLC0415  # only runs need torch
        onnx_of_run,
    )

    model, contract = onnx_of_run(folder)
    return Source(stem=folder.resolve().name, model=model, contract=contract)
