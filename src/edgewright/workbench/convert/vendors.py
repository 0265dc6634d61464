"""Vendors' compilers, driven by the calls that their makers document. None of them runs here: what
is tested is the model that they get and what happens when they are absent; not verified on
hardware.

Each gets one sample, fixed shapes, four dimensions, and the part of the graph between `--start` and
`--end`; what was cut off stays a pre- or postprocessing step.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from edgewright import _fs
from edgewright._npz import encode_npz
from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.child_venv import HAILO, QAI_HUB, RKNN, TENSORRT, Child, run_child
from edgewright.workbench.convert.fitting import fitting
from edgewright.workbench.convert.litert_file import litert_bytes
from edgewright.workbench.convert.onnx_file import cleaned, onnx_bytes
from edgewright.workbench.convert.prepare import cut, with_batch, with_four_dimensions
from edgewright.workbench.convert.tool_run import run_tool

_LIMIT_BYTES = 2**31 - 1
_NOTE = "written by the vendor's tool; not verified on hardware"


def vendor_graph(job: Job) -> onnx.ModelProto:
    """The model as a vendor's compiler wants it.

    Raises:
        InputError: a free axis beside the batch, or no such tensor to cut at.
    """
    whole = with_four_dimensions(with_batch(job.model))
    return cleaned(cut(whole, start=job.wishes.start, end=job.wishes.end))


def hailo_artefact(job: Job) -> Artefact:
    """`net.hef` through the Hailo Dataflow Compiler (translate, optimize, compile)."""
    arch = job.wishes.arch or "hailo8"
    return _by_child(job, HAILO, "hailo_from_onnx.py", ".hef", (job.stem, arch), calibrated=True)


def rknn_artefact(job: Job) -> Artefact:
    """`net.rknn` through rknn-toolkit2."""
    arch = job.wishes.arch or "rk3588"
    return _by_child(job, RKNN, "rknn_from_onnx.py", ".rknn", (arch,), calibrated=False)


def tensorrt_artefact(job: Job) -> Artefact:
    """`net.engine` for this very machine: engines do not travel."""
    return _by_child(job, TENSORRT, "tensorrt_from_onnx.py", ".engine", (), calibrated=False)


def qualcomm_ai_hub_artefact(job: Job) -> Artefact:
    """`net_qai_hub.bin` by a compile job in Qualcomm's cloud, for one of its devices."""
    if not job.wishes.arch:
        raise InputError(
            "Qualcomm AI Hub compiles for one device, none was named",
            hint="--arch 'Samsung Galaxy S24 (Family)'; qai-hub list-devices names them",
        )
    arguments = (job.wishes.arch,)
    return _by_child(
        job, QAI_HUB, "qai_hub_from_onnx.py", "_qai_hub.bin", arguments, calibrated=False
    )


def edgetpu_artefact(job: Job) -> Artefact:
    """`net_edgetpu.tflite` through Coral's compiler; it takes integers only."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        folder = Path(name)
        _fs.write_atomic(folder / f"{job.stem}.tflite", litert_bytes(job))
        command = ["edgetpu_compiler", "--show_operations", "--out_dir", ".", f"{job.stem}.tflite"]
        said = _run(command, folder, job)
        compiled = folder / f"{job.stem}_edgetpu.tflite"
        content = _fs.read_limited(compiled, limit_bytes=_LIMIT_BYTES)
    counts = [line.strip() for line in said.splitlines() if "Number of operations" in line]
    return Artefact(compiled.name, {compiled.name: content}, (*counts, _NOTE))


def qnn_artefact(job: Job) -> Artefact:
    """`net_qnn.bin`, a context binary: convert, build the library, generate for the HTP backend.

    Raises:
        InputError: the calibration does not fit the graph's inputs, or a tool took too long.
        UnavailableError: a tool refuses the model.
    """
    stem = f"{job.stem}_qnn"
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        folder = Path(name)
        graph = vendor_graph(job)
        _fs.write_atomic(folder / "model.onnx", onnx_bytes(graph))
        quantise: list[str] = []
        if job.calibration:
            arrays = fitting(job.calibration, graph, what="calibration")
            quantise = ["--input_list", _write_raw_rows(folder, arrays)]
            quantise += ["--act_bitwidth", "8", "--weights_bitwidth", "8"]
            if any(array.dtype != np.float32 for array in arrays.values()):
                quantise += ["--use_native_input_files"]  # else every file is read as float32
        convert = ["qnn-onnx-converter", "--input_network", "model.onnx"]
        _run([*convert, "--output_path", "model.cpp", *quantise], folder, job)
        library = ["qnn-model-lib-generator", "-c", "model.cpp", "-b", "model.bin", "-o", "lib"]
        _run([*library, "-t", "x86_64-linux-clang"], folder, job)
        binary = ["qnn-context-binary-generator", "--backend", "libQnnHtp.so"]
        model = ["--model", "lib/x86_64-linux-clang/libmodel.so", "--binary_file", stem]
        _run([*binary, *model, "--output_dir", "out"], folder, job)
        made = folder / "out" / f"{stem}.bin"
        content = _fs.read_limited(made, limit_bytes=_LIMIT_BYTES)
    return Artefact(made.name, {made.name: content}, (_NOTE,))


def vitis_ai_artefact(job: Job) -> Artefact:
    """`net.xmodel` for a DPU; the graph must be quantised by Vitis AI's own quantiser before."""
    arch = job.wishes.arch or "/opt/vitis_ai/compiler/arch/DPUCZDX8G/KV260/arch.json"
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        folder = Path(name)
        _fs.write_atomic(folder / "model.onnx", onnx_bytes(vendor_graph(job)))
        _run(
            ["vai_c_xir", "-x", "model.onnx", "-a", arch, "-o", "out", "-n", job.stem], folder, job
        )
        made = folder / "out" / f"{job.stem}.xmodel"
        content = _fs.read_limited(made, limit_bytes=_LIMIT_BYTES)
    return Artefact(made.name, {made.name: content}, (_NOTE,))


def _by_child(
    job: Job,
    child: Child,
    script: str,
    suffix: str,
    arguments: tuple[str, ...],
    *,
    calibrated: bool,
) -> Artefact:
    if calibrated and not job.calibration:
        raise InputError(
            f"{child.module} fits integer ranges on typical inputs, none were given",
            hint="--calib CALIB.npz with one array per input",
        )
    graph = vendor_graph(job)
    files = {"model.onnx": onnx_bytes(graph)}
    if job.calibration:
        files["calib.npz"] = encode_npz(fitting(job.calibration, graph, what="calibration"))
    made = run_child(child, script, files, arguments=arguments, timeout_s=job.wishes.timeout_s)
    kind = Path(f"model{suffix}").suffix
    wanted = [name for name in made if name.endswith(kind)]
    if not wanted:
        raise UnavailableError(f"{child.module} ended without a {kind} file")
    name = f"{job.stem}{suffix}"
    return Artefact(name, {name: made[wanted[0]]}, (*arguments, _NOTE))


def _write_raw_rows(folder: Path, arrays: Mapping[str, Array]) -> str:
    """QNN reads raw files and a list of them, one sample a line."""
    lines = []
    for row in range(len(next(iter(arrays.values())))):
        named = []
        for place, (name, array) in enumerate(arrays.items()):
            file = f"input{place}_{row}.raw"
            _fs.write_atomic(folder / file, array[row : row + 1].tobytes())
            named.append(f"{name}:={file}")
        lines.append(" ".join(named))
    _fs.write_atomic(folder / "rows.txt", "\n".join(lines).encode())
    return "rows.txt"


def _run(command: list[str], folder: Path, job: Job) -> str:
    done = run_tool(command, folder, timeout_s=job.wishes.timeout_s)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise UnavailableError(
            f"{command[0]} cannot take this model: {said[-1][:300]}",
            hint="`edgewright convert --report` says which nodes it will not like",
        )
    return done.stdout
