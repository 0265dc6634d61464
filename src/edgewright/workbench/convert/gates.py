"""Is this file real and whole? One gate per engine format, without any vendor's software.

A gate reads what the format itself promises (header, hash, root offset, members of the archive) and
refuses text files, truncated files and files of another format. It does not say that the model is
right: parity does.
"""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from edgewright import _fs
from edgewright.errors import InputError
from edgewright.workbench.convert.onnx_file import LIMIT_BYTES, read_onnx
from edgewright.workbench.convert.xxh3 import MIN_BYTES, xxh3_64

HEF_MAGIC = 0x01484546
HEF_VERSION = 2
HEF_HEADER_BYTES = 44
_SMALLEST_BINARY_BYTES = 512
_TEXT_BYTES = frozenset(range(32, 127)) | {9, 10, 13}
_ELF_64_LITTLE = b"\x7fELF\x02\x01"
_ELF_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_ELF_SHARED = 3


def check_file(path: Path, format_name: str) -> None:
    """Pass silently when the file is a whole file of its format.

    Raises:
        InputError: it is not; the message says which promise is broken.
    """
    gate = GATES.get(format_name)
    if gate is None:
        raise InputError(f"no gate for format {format_name!r}; known: {', '.join(sorted(GATES))}")
    gate(path)


def _refused(path: Path, kind: str, why: str) -> InputError:
    return InputError(f"{path} is no real {kind} file: {why}", hint="make it again from its model")


def _content(path: Path) -> bytes:
    return _fs.read_limited(path, limit_bytes=LIMIT_BYTES)


def _onnx(path: Path) -> None:
    read_onnx(path)


def _flatbuffer(identifier: bytes, kind: str) -> Callable[[Path], None]:
    def gate(path: Path) -> None:
        content = _content(path)
        if content[4:8] != identifier:
            raise _refused(
                path, kind, f"bytes 4 to 8 are {content[4:8]!r}, expected {identifier!r}"
            )
        root = int.from_bytes(content[:4], "little")
        if not 8 <= root <= len(content) - 4:
            raise _refused(path, kind, f"its root lies at {root}, the file ends at {len(content)}")
        _check_table(path, content, root, kind)

    return gate


def _check_table(path: Path, content: bytes, root: int, kind: str) -> None:
    """The root table's field list lies inside the file, and so does every field it lists."""
    (back,) = struct.unpack_from("<i", content, root)
    vtable = root - back
    if not 0 <= vtable <= len(content) - 4:
        raise _refused(path, kind, "its root table points outside the file")
    vtable_bytes, table_bytes = struct.unpack_from("<HH", content, vtable)
    if vtable + vtable_bytes > len(content) or root + table_bytes > len(content):
        raise _refused(path, kind, "the file is cut off")
    if vtable_bytes < 4 or vtable_bytes % 2:
        raise _refused(path, kind, "its root table is malformed")


def _flatbuffer_with(marker: bytes, kind: str) -> Callable[[Path], None]:
    plain = _flatbuffer(b"TFL3", kind)

    def gate(path: Path) -> None:
        plain(path)
        if marker not in _content(path):
            raise _refused(path, kind, f"no operator {marker.decode()!r}: nothing was compiled")

    return gate


def _hef(path: Path) -> None:
    content = _content(path)
    if len(content) < HEF_HEADER_BYTES + MIN_BYTES:
        raise _refused(path, "HEF", f"{len(content)} bytes are less than a header and a graph")
    magic, version, proto_bytes, digest, ccws_bytes = struct.unpack_from(">IIIQQ", content)
    if magic != HEF_MAGIC or version != HEF_VERSION:
        raise _refused(
            path,
            "HEF",
            f"magic {magic:#010x} version {version}, expected {HEF_MAGIC:#010x} {HEF_VERSION}",
        )
    payload = content[HEF_HEADER_BYTES:]
    if proto_bytes + ccws_bytes > len(payload):
        raise _refused(
            path, "HEF", f"its parts need {proto_bytes + ccws_bytes} bytes, it has {len(payload)}"
        )
    if xxh3_64(payload) != digest:
        raise _refused(path, "HEF", "the XXH3 of its content differs from its header")


def _openvino(path: Path) -> None:
    try:
        root = ET.fromstring(_content(path))  # noqa: S314  # our own converter's file; expat refuses entity bombs
    except ET.ParseError as error:
        raise _refused(path, "OpenVINO", f"not XML: {error}") from error
    if root.tag != "net" or root.find("layers") is None:
        raise _refused(path, "OpenVINO", "no <net> with <layers>")
    weights = path.with_suffix(".bin")
    needed = max(
        (
            int(data.get("offset", "0")) + int(data.get("size", "0"))
            for data in root.iterfind("./layers/layer[@type='Const']/data")
        ),
        default=0,
    )
    held = weights.stat().st_size if weights.is_file() else 0
    if held < needed:
        raise _refused(path, "OpenVINO", f"{weights.name} holds {held} bytes, {needed} are needed")


def _archive_with(*members: str, kind: str) -> Callable[[Path], None]:
    def gate(path: Path) -> None:
        with _fs.file_errors(path, doing="reading"):
            try:
                with zipfile.ZipFile(path) as archive:
                    names = archive.namelist()
                    damaged = archive.testzip()
            except zipfile.BadZipFile as error:
                raise _refused(path, kind, "not a whole archive") from error
        if damaged:
            raise _refused(path, kind, f"its member {damaged} is damaged")
        for member in members:
            if not any(name.endswith(member) for name in names):
                raise _refused(path, kind, f"no member ...{member}")

    return gate


def _starts_with(*magics: bytes, kind: str) -> Callable[[Path], None]:
    def gate(path: Path) -> None:
        head = _content(path)[:16]
        if not head.startswith(magics):
            raise _refused(path, kind, f"it starts with {head[:8]!r}")

    return gate


def _sized(kind: str) -> Callable[[Path], None]:
    """For formats whose makers document no magic: binary, and larger than a message."""

    def gate(path: Path) -> None:
        content = _content(path)
        if len(content) < _SMALLEST_BINARY_BYTES:
            raise _refused(path, kind, f"{len(content)} bytes are less than a header and weights")
        head = content[:256]
        if all(byte in _TEXT_BYTES for byte in head):
            raise _refused(path, kind, "it is text")

    return gate


def _tvm(path: Path) -> None:
    """A shared library as 64-bit machines load it, whose last table (the sections) is inside."""
    content = _content(path)
    if len(content) < _ELF_HEADER.size or not content.startswith(_ELF_64_LITTLE):
        raise _refused(path, "TVM", f"no 64-bit ELF file, it starts with {content[:8]!r}")
    kind, *_, table, _, _, _, _, entry_bytes, entries, _ = _ELF_HEADER.unpack_from(content)
    if kind != _ELF_SHARED:
        raise _refused(path, "TVM", f"ELF type {kind}, expected {_ELF_SHARED} (a shared library)")
    end = table + entries * entry_bytes
    if not table or end > len(content):
        raise _refused(path, "TVM", f"its sections end at {end}, the file at {len(content)}")
    if b"__tvm_ffi_" not in content:
        raise _refused(path, "TVM", "no function that TVM compiled is inside")


def _coreml(path: Path) -> None:
    manifest = path / "Manifest.json"
    models = list(path.glob("Data/**/model.mlmodel"))
    if not manifest.is_file() or not models or not models[0].stat().st_size:
        raise _refused(path, "CoreML", "no Manifest.json with Data/.../model.mlmodel")


def _tflm(path: Path) -> None:
    header, array = path / "model_data.h", path / "model_data.c"
    if not header.is_file() or not array.is_file():
        raise _refused(path, "TFLM project", "no model_data.h with model_data.c")
    if b"MODEL_ARENA_BYTES" not in _content(header):
        raise _refused(path, "TFLM project", "no arena size in model_data.h")
    GATES["litert"](path / "model.tflite")
    held = _content(array).count(b"0x")
    wanted = len(_content(path / "model.tflite"))
    if held != wanted:
        raise _refused(path, "TFLM project", f"the array holds {held} bytes, expected {wanted}")


GATES: dict[str, Callable[[Path], None]] = {
    "coreml": _coreml,
    "edgetpu": _flatbuffer_with(b"edgetpu-custom-op", "Edge TPU"),
    "ethos-u": _flatbuffer_with(b"ethos-u", "Ethos-U"),
    "executorch": _flatbuffer(b"ET12", "ExecuTorch"),
    "hailo": _hef,
    "litert": _flatbuffer(b"TFL3", "LiteRT"),
    "onnx": _onnx,
    "openvino": _openvino,
    "qnn": _sized("QNN context"),
    "qualcomm-ai-hub": _sized("QNN context"),
    "rknn": _starts_with(b"RKNN", kind="RKNN"),
    "tensorrt": _starts_with(b"ptrt", b"ftrt", kind="TensorRT"),
    "tflm-c": _tflm,
    "torch-export": _archive_with("models/model.json", kind="torch.export"),
    "torchscript": _archive_with("constants.pkl", "data.pkl", kind="TorchScript"),
    "tvm": _tvm,
    "vitis-ai": _sized("Vitis AI"),
}
