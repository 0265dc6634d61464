"""Apache TVM from ONNX: one shared library with code and weights, compiled by LLVM for a CPU."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx
import onnxslim

from edgewright._fs import read_limited
from edgewright._npz import decode_npz, encode_npz
from edgewright.errors import UnavailableError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.child_venv import TVM, asked_child, run_child
from edgewright.workbench.convert.onnx_file import cleaned, onnx_bytes
from edgewright.workbench.convert.prepare import with_batch
from edgewright.workbench.verify import Answer

_LIMIT_BYTES = 2**31 - 1
_ANSWER_LIMIT_S = 300.0


def tvm_artefact(job: Job) -> Artefact:
    """`net.so` for one sample. `--arch` is a CPU by LLVM's name; without one the library runs on
    every CPU of this machine's architecture.

    Raises:
        UnavailableError: TVM is absent, or it cannot take the graph.
    """
    name, cpu = f"{job.stem}.so", job.wishes.arch
    made = run_child(
        TVM,
        "tvm_from_onnx.py",
        {"model.onnx": onnx_bytes(cleaned(_folded(with_batch(job.model))))},
        arguments=(cpu,) if cpu else (),
        timeout_s=job.wishes.timeout_s,
    )
    notes = ("one sample per call", f"not tuned; for {cpu or 'any CPU of its kind'}")
    return Artefact(name, {name: made["model.so"]}, notes)


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Shapes that the graph computes from its fixed inputs become numbers: TVM's importer takes no
    others.
    """
    try:
        slim: onnx.ModelProto = onnxslim.slim(model, verbose=False)
    except Exception as error:  # it names no errors of its own
        raise UnavailableError(
            f"onnxslim, which folds shapes for TVM, refused: {type(error).__name__}: {error}",
            hint="try another format",
        ) from error
    return slim


@contextlib.contextmanager
def tvm_answering(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Iterator[Answer]:
    """The library in TVM's own virtual machine, in a process that stays as long as it is asked."""
    library = read_limited(path, limit_bytes=_LIMIT_BYTES)
    with asked_child(
        TVM,
        "tvm_answers.py",
        {"model.so": library},
        arguments=tuple(inputs),
        timeout_s=_ANSWER_LIMIT_S,
    ) as ask:

        def answer(arrays: Mapping[str, Array]) -> dict[str, Array]:
            made = ask(encode_npz({name: arrays[name] for name in inputs}))
            results = decode_npz(made, source="TVM's answers")
            return {name: results[f"arr_{place}"] for place, name in enumerate(outputs)}

        yield answer
