"""Every format that `convert --to` knows: what writes it, or what must be installed first."""

import importlib
import importlib.util
import shutil
from collections.abc import Callable
from typing import Literal

import msgspec

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.child_venv import (
    HAILO,
    LITERT,
    QAI_HUB,
    RKNN,
    TENSORRT,
    TVM,
    Child,
    find_python,
)
from edgewright.workbench.convert.onnx_file import cleaned, onnx_bytes

EVERY = "all"
"""The word for every format whose toolchain is here; in a report, for every one there is."""

Write = Callable[[Job], Artefact]


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A file format of some engine. `needs` are the modules or programs of its toolchain, `child`
    is a converter that may live in an environment of its own.
    """

    name: str
    suffix: str
    what: str
    needs: tuple[str, ...] = ()
    kind: Literal["module", "program"] = "module"
    install: str = ""
    child: Child | None = None
    from_litert: bool = False
    everyday: bool = True


def _later(module: str, function: str) -> Write:
    """A writer whose file is imported when it writes: each needs another toolchain."""

    def write(job: Job) -> Artefact:
        found = importlib.import_module(f"edgewright.workbench.convert.{module}")
        artefact: Artefact = getattr(found, function)(job)
        return artefact

    return write


def _onnx(job: Job) -> Artefact:
    name = f"{job.stem}.onnx"
    return Artefact(name, {name: onnx_bytes(cleaned(job.model))})


WRITERS: dict[str, Write] = {
    "coreml": _later("coreml_package", "coreml_artefact"),
    "edgetpu": _later("vendors", "edgetpu_artefact"),
    "ethos-u": _later("ethosu_file", "ethosu_artefact"),
    "executorch": _later("executorch_file", "executorch_artefact"),
    "hailo": _later("vendors", "hailo_artefact"),
    "litert": _later("litert_file", "litert_artefact"),
    "onnx": _onnx,
    "openvino": _later("openvino_files", "openvino_artefact"),
    "qnn": _later("vendors", "qnn_artefact"),
    "qualcomm-ai-hub": _later("vendors", "qualcomm_ai_hub_artefact"),
    "rknn": _later("vendors", "rknn_artefact"),
    "tensorrt": _later("vendors", "tensorrt_artefact"),
    "tflm-c": _later("tflm_project", "tflm_artefact"),
    "torch-export": _later("torch_files", "torch_export_artefact"),
    "torchscript": _later("torch_files", "torchscript_artefact"),
    "tvm": _later("tvm_file", "tvm_artefact"),
    "vitis-ai": _later("vendors", "vitis_ai_artefact"),
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
            needs=("ai_edge_litert",),
            install="pip install 'edgewright[litert]'",
            child=LITERT,
            from_litert=True,
        ),
        Format(
            name="executorch",
            suffix=".pte",
            what="ExecuTorch",
            needs=("executorch", "torch"),
            install="pip install 'edgewright[executorch]'",
        ),
        Format(
            name="coreml",
            suffix=".mlpackage",
            what="Core ML",
            needs=("coremltools", "torch"),
            install="pip install 'edgewright[coreml]'",
        ),
        Format(
            name="tvm",
            suffix=".so",
            what="Apache TVM library",
            needs=("cc",),
            kind="program",
            install="a C compiler (Debian package gcc): it links what TVM compiled",
            child=TVM,
        ),
        Format(
            name="tflm-c",
            suffix="_tflm",
            what="C project for TensorFlow Lite Micro",
            needs=("ai_edge_litert", "tflite_micro"),
            install="pip install 'edgewright[litert,mcu]'",
            child=LITERT,
            from_litert=True,
        ),
        Format(
            name="ethos-u",
            suffix="_vela.tflite",
            what="LiteRT for Arm Ethos-U",
            needs=("ai_edge_litert", "ethosu.vela"),
            install="pip install 'edgewright[litert,mcu]'",
            child=LITERT,
            from_litert=True,
            everyday=False,
        ),
        Format(
            name="hailo",
            suffix=".hef",
            what="Hailo executable",
            child=HAILO,
            everyday=False,
        ),
        Format(
            name="tensorrt",
            suffix=".engine",
            what="TensorRT engine",
            child=TENSORRT,
            everyday=False,
        ),
        Format(
            name="edgetpu",
            suffix="_edgetpu.tflite",
            what="LiteRT for the Edge TPU",
            from_litert=True,
            everyday=False,
            needs=("edgetpu_compiler",),
            kind="program",
            install="Coral's Debian package edgetpu-compiler",
        ),
        Format(
            name="rknn",
            suffix=".rknn",
            what="Rockchip NPU",
            child=RKNN,
            everyday=False,
        ),
        Format(
            name="qnn",
            suffix="_qnn.bin",
            what="Qualcomm AI Engine Direct",
            needs=(
                "qnn-onnx-converter",
                "qnn-model-lib-generator",
                "qnn-context-binary-generator",
            ),
            everyday=False,
            kind="program",
            install="the Qualcomm AI Engine Direct SDK",
        ),
        Format(
            name="qualcomm-ai-hub",
            suffix="_qai_hub.bin",
            what="Qualcomm AI Hub compile job",
            child=QAI_HUB,
            everyday=False,
        ),
        Format(
            name="vitis-ai",
            suffix=".xmodel",
            what="AMD Vitis AI DPU",
            needs=("vai_c_xir",),
            everyday=False,
            kind="program",
            install="the Vitis AI container of AMD",
        ),
    )
}

CUT = frozenset({"hailo", "qnn", "qualcomm-ai-hub", "rknn", "tensorrt", "vitis-ai"})
"""Formats whose compilers get a part of the graph where one is asked for."""

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


def check_available(entry: Format, *, from_litert: bool = False) -> None:
    """Refuse a format whose toolchain is absent. A LiteRT source needs no child to make it one.

    Raises:
        UnavailableError: the message names what is missing and how to get it.
    """
    missing = [need for need in entry.needs if not _is_here(need, entry.kind)]
    if missing:
        raise UnavailableError(
            f"{entry.what} files need {' and '.join(missing)}, not installed here",
            hint=_how(entry),
        )
    if entry.child and not from_litert and find_python(entry.child) is None:
        raise UnavailableError(
            f"{entry.what} files need {entry.child.module}, which is not installed here and has "
            f"no environment .venv-convert-{entry.child.name}",
            hint=entry.child.install,
        )
    if entry.name not in WRITERS:
        raise UnavailableError(
            f"edgewright does not write {entry.what} files in this version yet",
            hint=f"formats that can be written here: {', '.join(sorted(WRITERS))}",
        )


def _how(entry: Format) -> str:
    if not entry.install:
        return ""
    return entry.install if entry.install.startswith("pip ") else f"install {entry.install}"


def _is_here(need: str, kind: str) -> bool:
    if kind == "program":
        return shutil.which(need) is not None
    try:
        return importlib.util.find_spec(need) is not None
    except ModuleNotFoundError:
        return False
