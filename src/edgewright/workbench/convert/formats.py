"""Every format that `convert --to` knows: what writes it, or what must be installed first."""

import importlib.util
import shutil
from collections.abc import Callable
from typing import Literal

import msgspec
import onnx

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.convert.onnx_file import cleaned, onnx_bytes

Write = Callable[[onnx.ModelProto], bytes]


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A file format of some engine. `needs` are the modules or programs of its toolchain."""

    name: str
    suffix: str
    what: str
    needs: tuple[str, ...] = ()
    kind: Literal["module", "program"] = "module"
    install: str = ""


def _torchscript(model: onnx.ModelProto) -> bytes:
    from edgewright.workbench.convert.torch_files import (  # noqa: PLC0415  # only this format needs torch
        torchscript_bytes,
    )

    return torchscript_bytes(model)


def _torch_export(model: onnx.ModelProto) -> bytes:
    from edgewright.workbench.convert.torch_files import (  # noqa: PLC0415  # only this format needs torch
        torch_export_bytes,
    )

    return torch_export_bytes(model)


WRITERS: dict[str, Write] = {
    "onnx": lambda model: onnx_bytes(cleaned(model)),
    "torch-export": _torch_export,
    "torchscript": _torchscript,
}

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format(name="onnx", suffix=".onnx", what="ONNX, cleaned"),
        Format(name="torchscript", suffix=".pt", what="TorchScript", needs=("torch",)),
        Format(name="torch-export", suffix=".pt2", what="torch.export", needs=("torch",)),
        Format(
            name="openvino",
            suffix=".xml",
            what="OpenVINO IR",
            needs=("openvino",),
            install="pip install 'edgewright[openvino]'",
        ),
        Format(
            name="litert",
            suffix=".tflite",
            what="LiteRT (TensorFlow Lite)",
            needs=("litert_torch",),
            install="pip install 'edgewright[litert-convert]' in a venv of its own",
        ),
        Format(
            name="executorch",
            suffix=".pte",
            what="ExecuTorch",
            needs=("executorch",),
            install="pip install 'edgewright[executorch]'",
        ),
        Format(
            name="coreml",
            suffix=".mlpackage",
            what="Core ML",
            needs=("coremltools",),
            install="pip install 'edgewright[coreml]'",
        ),
        Format(
            name="tvm",
            suffix=".so",
            what="Apache TVM library",
            needs=("tvm",),
            install="pip install 'edgewright[tvm]'",
        ),
        Format(
            name="tflm-c",
            suffix=".c",
            what="C array for TensorFlow Lite Micro",
            needs=("litert_torch", "tflite_micro"),
            install="pip install 'edgewright[litert-convert,mcu]' in a venv of its own",
        ),
        Format(
            name="ethos-u",
            suffix=".tflite",
            what="LiteRT for Arm Ethos-U",
            needs=("litert_torch", "ethosu.vela"),
            install="pip install 'edgewright[litert-convert,mcu]' in a venv of its own",
        ),
        Format(
            name="hailo",
            suffix=".hef",
            what="Hailo executable",
            needs=("hailo_sdk_client",),
            install="the Hailo Dataflow Compiler from the Hailo developer zone",
        ),
        Format(
            name="tensorrt",
            suffix=".engine",
            what="TensorRT engine",
            needs=("tensorrt",),
            install="TensorRT on the device itself (part of JetPack), engines do not travel",
        ),
        Format(
            name="edgetpu",
            suffix=".tflite",
            what="LiteRT for the Edge TPU",
            needs=("edgetpu_compiler",),
            kind="program",
            install="Coral's Debian package edgetpu-compiler",
        ),
        Format(
            name="rknn",
            suffix=".rknn",
            what="Rockchip NPU",
            needs=("rknn",),
            install="pip install rknn-toolkit2 in a venv of its own",
        ),
        Format(
            name="qnn",
            suffix=".bin",
            what="Qualcomm AI Engine Direct",
            needs=("qnn-onnx-converter",),
            kind="program",
            install="the Qualcomm AI Engine Direct SDK",
        ),
        Format(
            name="qualcomm-ai-hub",
            suffix=".bin",
            what="Qualcomm AI Hub compile job",
            needs=("qai_hub",),
            install="pip install qai-hub in a venv of its own, and an account",
        ),
        Format(
            name="vitis-ai",
            suffix=".xmodel",
            what="AMD Vitis AI DPU",
            needs=("vai_c_xir",),
            kind="program",
            install="the Vitis AI container of AMD",
        ),
    )
}

REASONED: dict[str, str] = {
    "pytorch-mobile": "PyTorch Mobile is discontinued; ExecuTorch replaces it: --to executorch",
    "stablehlo": "no engine of a device loads StableHLO; it is a compiler's input, not a result",
    "xla": "no engine of a device loads XLA's own format; compile to a device's format instead",
}


def find_format(name: str) -> Format:
    """The format of a name.

    Raises:
        InputError: there is none, or it is one that no device loads.
    """
    if name in REASONED:
        raise InputError(f"format {name!r}: {REASONED[name]}")
    if name not in FORMATS:
        raise InputError(f"unknown format {name!r}", hint=suggestion(name, list(FORMATS)))
    return FORMATS[name]


def check_available(entry: Format) -> None:
    """Refuse a format whose toolchain is absent.

    Raises:
        UnavailableError: the message names what is missing and how to get it.
    """
    missing = [need for need in entry.needs if not _is_here(need, entry.kind)]
    if missing:
        raise UnavailableError(
            f"{entry.what} files need {' and '.join(missing)}, not installed here",
            hint=f"install {entry.install}" if entry.install else "",
        )
    if entry.name not in WRITERS:
        raise UnavailableError(
            f"edgewright does not write {entry.what} files in this version yet",
            hint=f"formats that can be written here: {', '.join(sorted(WRITERS))}",
        )


def _is_here(need: str, kind: str) -> bool:
    if kind == "program":
        return shutil.which(need) is not None
    try:
        return importlib.util.find_spec(need) is not None
    except ModuleNotFoundError:
        return False
