import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgewright.errors import InputError
from edgewright.workbench.convert import check_file
from edgewright.workbench.convert.gates import GATES
from edgewright.workbench.convert.xxh3 import xxh3_64


def hef(payload: bytes, *, version: int = 2, digest: int | None = None, ccws: int = 100) -> bytes:
    header = struct.pack(
        ">IIIQQ",
        0x01484546,
        version,
        len(payload) - ccws,
        xxh3_64(payload) if digest is None else digest,
        ccws,
    )
    return header.ljust(44, b"\0") + payload


def flatbuffer(identifier: bytes, tail: bytes = b"") -> bytes:
    vtable = struct.pack("<HHHH", 8, 8, 4, 0)
    root_at = 12 + len(vtable)
    return (
        struct.pack("<I", root_at)
        + identifier
        + bytes(4)
        + vtable
        + struct.pack("<ii", 8, 1)
        + tail
    )


def library(*, kind: int = 3, text: bytes = b"__tvm_ffi_main") -> bytes:
    """An ELF header, one function's name, and a table of one section."""
    at = 64 + len(text)
    header = struct.pack("<HHIQQQIHHHHHH", kind, 62, 1, 0, 0, at, 0, 64, 56, 0, 64, 1, 0)
    return b"\x7fELF\x02\x01".ljust(16, b"\0") + header + text + bytes(64)


Write = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> Write:
    def write(content: bytes, name: str = "model.bin") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("format_name", sorted(GATES))
def test_a_text_file_is_no_model_of_any_format(file: Write, format_name: str) -> None:
    with pytest.raises(InputError):
        check_file(file(b'{"model": "hef", "note": "not one"}\n' * 20), format_name)


@pytest.mark.parametrize("format_name", sorted(GATES))
def test_an_empty_file_is_no_model_of_any_format(file: Write, format_name: str) -> None:
    with pytest.raises(InputError):
        check_file(file(b""), format_name)


def test_a_whole_hef_passes(file: Write) -> None:
    check_file(file(hef(bytes(range(256)) * 8)), "hailo")


@pytest.mark.parametrize(
    "broken",
    [
        hef(bytes(2048), version=1),
        hef(bytes(2048), digest=1),
        hef(bytes(2048))[:-1],
        b"FEH" + hef(bytes(2048))[3:],
        hef(bytes(2048))[:100],
        hef(bytes(2048))[:20] + b"\x7f" + hef(bytes(2048))[21:],
    ],
)
def test_a_hef_with_one_broken_promise_is_refused(file: Write, broken: bytes) -> None:
    with pytest.raises(InputError, match="no real HEF file"):
        check_file(file(broken), "hailo")


@pytest.mark.parametrize(
    ("format_name", "identifier"), [("litert", b"TFL3"), ("executorch", b"ET12")]
)
def test_a_flatbuffer_passes_and_its_first_half_does_not(
    file: Write, format_name: str, identifier: bytes
) -> None:
    content = flatbuffer(identifier)
    check_file(file(content), format_name)
    with pytest.raises(InputError):
        check_file(file(content[: len(content) // 2]), format_name)


def test_a_litert_file_without_the_compiled_operator_is_no_edge_tpu_file(file: Write) -> None:
    with pytest.raises(InputError, match="nothing was compiled"):
        check_file(file(flatbuffer(b"TFL3")), "edgetpu")
    check_file(file(flatbuffer(b"TFL3", b"edgetpu-custom-op")), "edgetpu")


def test_openvino_weights_must_reach_the_last_constant(file: Write, tmp_path: Path) -> None:
    layers = '<layers><layer type="Const"><data offset="0" size="64"/></layer></layers>'
    path = file(f"<net>{layers}</net>".encode(), "m.xml")
    with pytest.raises(InputError, match="64 are needed"):
        check_file(path, "openvino")
    (tmp_path / "m.bin").write_bytes(bytes(64))
    check_file(path, "openvino")


def test_an_archive_needs_its_members(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/models/other.json", "{}")
    with pytest.raises(InputError, match=r"no member ...models/model.json"):
        check_file(path, "torch-export")


def test_an_unknown_format_is_named(file: Write) -> None:
    with pytest.raises(InputError, match="no gate for format 'abc'"):
        check_file(file(b""), "abc")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (library()[:-1], "its sections end at 142, the file at 141"),
        (library(kind=2), "ELF type 2, expected 3"),
        (library(text=b"main"), "no function that TVM compiled"),
        (b"\x7fELF\x01\x01" + library()[6:], "no 64-bit ELF file"),
    ],
)
def test_a_library_that_is_cut_off_or_not_tvms_is_refused(
    file: Write, content: bytes, why: str
) -> None:
    check_file(file(library()), "tvm")
    with pytest.raises(InputError, match=why):
        check_file(file(content), "tvm")
