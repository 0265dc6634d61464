"""A model as C for TensorFlow Lite Micro: the array, the operators it needs, the arena it takes,
and a small project around them that checks itself.

The arena is measured with the real interpreter, on this machine: pointers are wider here than on a
microcontroller, so the device needs no more.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter as LiteInterpreter
from ai_edge_litert.interpreter import OpResolverType
from tflite_micro.python.tflite_micro import runtime

from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.lite_file import LiteModel
from edgewright.workbench.convert.litert_file import litert_bytes

ARENA_STEP = 16
ARENA_LIMIT_BYTES = 256 << 20
_FNV_START, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
_PLAIN = ("CMakeLists.txt", "selftest.c", "main.cc")
# Where the method of the resolver is not the operator's words put together.
_METHODS = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}


def tflm_artefact(job: Job) -> Artefact:
    """`net_tflm/` with everything in it.

    Raises:
        UnavailableError: TFLM has no kernel for an operator, or the weights lie beside the table.
    """
    content = litert_bytes(job)
    lite = LiteModel(content)
    arena_bytes = smallest_arena(content)
    interpreter = _interpreter(content, arena_bytes)
    feed = _drawn_inputs(interpreter, len(lite.graph.inputs))
    answer = _run(interpreter, feed, outputs=len(lite.graph.outputs))
    folder = f"{job.stem}_tflm"
    texts = {
        "model_data.h": _header(content, arena_bytes),
        "model_data.c": _array("model_data", content, include="model_data.h"),
        "model_ops.h": _operators(lite),
        "golden.h": _golden(feed, answer),
        **{name: (files(__package__) / "tflm" / name).read_text() for name in _PLAIN},
    }
    made = {f"{folder}/{name}": text.encode() for name, text in texts.items()}
    made[f"{folder}/model.tflite"] = content
    return Artefact(
        folder, made, (f"arena {arena_bytes} bytes, measured with the TFLM interpreter",)
    )


def smallest_arena(content: bytes) -> int:
    """The fewest bytes, in steps of 16, that the interpreter allocates and runs in.

    Raises:
        UnavailableError: it does not run in any.
    """
    low, high = 0, ARENA_STEP * 64
    inputs = len(LiteModel(content).graph.inputs)
    while not _runs(content, high, inputs):
        low, high = high, high * 2
        if high > ARENA_LIMIT_BYTES:
            raise UnavailableError(
                f"TensorFlow Lite Micro does not run this model in {ARENA_LIMIT_BYTES} bytes; it "
                f"needs {', '.join(sorted(set(LiteModel(content).operators())))}",
                hint="it may lack a kernel: see --report",
            )
    while high - low > ARENA_STEP:
        middle = (low + high) // 2 // ARENA_STEP * ARENA_STEP
        low, high = (low, middle) if _runs(content, middle, inputs) else (middle, high)
    return high


def tflm_answer(content: bytes, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
    """The file in the TFLM interpreter as a function of arrays, row by row."""
    interpreter = _interpreter(content, smallest_arena(content))

    def answer(arrays: Mapping[str, Array]) -> dict[str, Array]:
        parts = []
        for row in range(len(next(iter(arrays.values())))):
            feed = [np.ascontiguousarray(arrays[name][row : row + 1]) for name in inputs]
            parts.append(_run(interpreter, feed, outputs=len(outputs)))
        return {
            name: np.concatenate([part[place] for part in parts])
            for place, name in enumerate(outputs)
        }

    return answer


def _interpreter(content: bytes, arena_bytes: int) -> Any:
    return runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)


def _runs(content: bytes, arena_bytes: int, inputs: int) -> bool:
    with _silent():
        try:
            interpreter = _interpreter(content, arena_bytes)
            _run(interpreter, _drawn_inputs(interpreter, inputs))
        except (RuntimeError, ValueError, IndexError):
            return False
    return True


def _run(interpreter: Any, feed: list[Array], *, outputs: int = 1) -> list[Array]:
    for place, array in enumerate(feed):
        interpreter.set_input(array, place)
    interpreter.invoke()
    return [np.array(interpreter.get_output(place)) for place in range(outputs)]


def _drawn_inputs(interpreter: Any, count: int, *, seed: int = 0) -> list[Array]:
    """Seeded values for every input."""
    rng = np.random.default_rng(seed)
    feed: list[Array] = []
    for place in range(count):
        details = interpreter.get_input_details(place)
        dtype = np.dtype(details["dtype"])
        drawn = rng.normal(size=tuple(details["shape"]))
        if dtype.kind in "iu":
            drawn = np.clip(drawn * 40, np.iinfo(dtype).min, np.iinfo(dtype).max)
        feed.append(drawn.astype(dtype))
    return feed


def difference_to_litert(content: bytes, *, rows: int) -> tuple[float, str]:
    """The largest difference to LiteRT's reference kernels, which TFLM's were ported from, and its
    unit: integer steps, or none. (XNNPACK rounds integers otherwise than both.)
    """
    graph = LiteModel(content).graph
    ours = _interpreter(content, smallest_arena(content))
    theirs = LiteInterpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    theirs.allocate_tensors()
    worst, whole = 0.0, True
    for row in range(rows):
        feed = _drawn_inputs(ours, len(graph.inputs), seed=row)
        for details, array in zip(theirs.get_input_details(), feed, strict=True):
            theirs.set_tensor(details["index"], array)
        theirs.invoke()
        got = _run(ours, feed, outputs=len(graph.outputs))
        for details, array in zip(theirs.get_output_details(), got, strict=True):
            expected = theirs.get_tensor(details["index"]).astype(np.float64)
            worst = max(worst, float(np.abs(expected - array.astype(np.float64)).max()))
            whole = whole and array.dtype.kind in "iu"
    return worst, "steps" if whole else ""


def _operators(lite: LiteModel) -> str:
    kinds = sorted(set(lite.operators()))
    return "\n".join(
        [
            "#pragma once",
            '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"',
            "",
            f"using ModelOps = tflite::MicroMutableOpResolver<{len(kinds)}>;",
            "",
            "inline TfLiteStatus AddModelOps(ModelOps& ops) {",
            *(f"  if (ops.{_method(kind)}() != kTfLiteOk) return kTfLiteError;" for kind in kinds),
            "  return kTfLiteOk;",
            "}",
            "",
        ]
    )


def _method(kind: str) -> str:
    if kind == "ethos-u":
        return "AddEthosU"
    if not kind.replace("_", "").isalnum() or kind != kind.upper():
        raise InputError(f"operator {kind!r} is a custom one, TensorFlow Lite Micro has no kernel")
    words = kind.split("_")
    plain = "Add" + "".join(word if word[0].isdigit() else word.capitalize() for word in words)
    return _METHODS.get(kind, plain)


def _header(content: bytes, arena_bytes: int) -> str:
    return f"""#pragma once
#ifdef __cplusplus
extern "C" {{
#endif

/* Bytes that the interpreter needs for this model, measured; round up, never down. */
#define MODEL_ARENA_BYTES {arena_bytes}
#define MODEL_FNV1A {_fnv1a(content):#x}u

extern const unsigned char model_data[];
extern const unsigned int model_data_size;

#ifdef __cplusplus
}}
#endif
"""


def _array(name: str, content: bytes, *, include: str) -> str:
    lines = [
        "  " + " ".join(f"0x{byte:02x}," for byte in content[start : start + 16])
        for start in range(0, len(content), 16)
    ]
    return "\n".join(
        [
            f'#include "{include}"',
            "",
            f"_Alignas(16) const unsigned char {name}[] = {{",
            *lines,
            "};",
            f"const unsigned int {name}_size = sizeof({name});",
            "",
        ]
    )


def _golden(feed: list[Array], answer: list[Array]) -> str:
    lines = [
        "#pragma once",
        "#include <cstddef>",
        "",
        "struct GoldenTensor {",
        "  const unsigned char* data;",
        "  size_t bytes;",
        "};",
    ]
    for name, arrays in (("input", feed), ("output", answer)):
        for place, array in enumerate(arrays):
            body = ", ".join(f"0x{byte:02x}" for byte in np.ascontiguousarray(array).tobytes())
            lines.append(
                f"alignas(16) static const unsigned char golden_{name}_{place}[] = {{{body}}};"
            )
        entries = ", ".join(
            f"{{golden_{name}_{place}, sizeof(golden_{name}_{place})}}"
            for place in range(len(arrays))
        )
        lines.append(f"static const GoldenTensor golden_{name}s[] = {{{entries}}};")
    return "\n".join([*lines, ""])


def _fnv1a(content: bytes) -> int:
    value = _FNV_START
    for byte in content:
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The interpreter says on the process's own stderr that an arena was too small: expected."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
