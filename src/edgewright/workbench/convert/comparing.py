"""A written file answers again, through its own engine, and is held against the model."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort

from edgewright import _fs
from edgewright.errors import EdgewrightError, GateError, InputError, UnavailableError
from edgewright.runtimes.base import Array, EngineTensor, Runtime, Session, first_line
from edgewright.workbench.convert.artefact import Artefact
from edgewright.workbench.convert.fitting import fitting
from edgewright.workbench.convert.onnx_file import input_names, onnx_bytes, output_names
from edgewright.workbench.verify import STRICT, Answer, run_rows, verify

OpenEngine = Callable[[str], Runtime]
"""The engine for a format's name; `chain` knows which."""

_PARITY_ROWS = 3
_BY_ENGINE = frozenset({"executorch", "litert", "openvino"})
_UNVERIFIED = {
    "coreml": "Core ML predicts on macOS only",
    "edgetpu": "the Edge TPU is needed to run it",
    "ethos-u": "an Ethos-U or its simulator is needed to run it",
    "hailo": "the Hailo chip is needed to run it",
    "qnn": "the Qualcomm chip is needed to run it",
    "qualcomm-ai-hub": "the Qualcomm chip is needed to run it",
    "rknn": "the Rockchip NPU is needed to run it",
    "tensorrt": "it is compared by `edgewright verify` on the device",
    "vitis-ai": "the FPGA board is needed to run it",
}


class Compared(msgspec.Struct, frozen=True):
    """What the comparison found; `max_abs` is None where none could be made here."""

    rows: int = 0
    max_abs: float | None = None
    note: str = ""


class Comparison:
    """One model and the rows that it and its conversions are asked."""

    def __init__(
        self,
        model: onnx.ModelProto,
        *,
        golden: Mapping[str, Array] | None,
        reference: Answer | None,
        open_engine: OpenEngine | None,
    ) -> None:
        self._model = model
        self._golden = fitting(golden, model, what="golden data") if golden else random_rows(model)
        self._reference = reference or unoptimised(model)
        self._open_engine = open_engine

    def check_reference(self, source: str) -> None:
        """Refuse a model that does not answer, or not with numbers.

        Raises:
            InputError: it gives NaN or infinity, or it does not run.
        """
        with refusing(source):
            answers = self._reference(self._golden)
        for name, answer in answers.items():
            if answer.dtype.kind == "f" and not np.isfinite(answer).all():
                bad = int(np.count_nonzero(~np.isfinite(answer)))
                raise InputError(
                    f"{source}: output {name!r} holds NaN or infinity "
                    f"({bad} of {answer.size} values), nothing can be compared to that",
                    hint="look for a division by zero, a log of zero, or weights that diverged",
                )

    def compare(self, format_name: str, artefact: Artefact, folder: Path) -> Compared:
        """The largest difference over golden rows and edge inputs.

        Raises:
            GateError: the file answers otherwise than the model.
        """
        with ExitStack() as stack:
            path, where = folder / artefact.main, ""
            if format_name in _BY_ENGINE:
                session = self._session(format_name, path)
                stack.callback(session.close)
                where = session.placement.text
                answer = by_position(session, self._model)
            elif format_name == "tvm":
                answer = stack.enter_context(_tvm(path, self._model))
            elif format_name in _OWN:
                answer = _OWN[format_name](path, self._model)
            elif format_name == "coreml" and sys.platform == "darwin":
                answer = _coreml(path, self._model)
            else:
                return Compared(note=f"unverified here: {_UNVERIFIED[format_name]}")
            report = verify(self._reference, answer, self._golden, order=STRICT)
        if not report.ok:
            raise GateError(
                f"parity of the {format_name} file ({report.reasons[0]}): checks missed",
                measured=len(report.reasons),
                limit=0,
                hint="no file was written; please report the model that shows this",
            )
        outputs = [one for case in report.cases for one in case.outputs]
        return Compared(
            rows=sum(case.rows for case in report.cases),
            max_abs=max((one.max_abs for one in outputs), default=0.0),
            note=where,
        )

    def _session(self, format_name: str, path: Path) -> Session:
        if self._open_engine is None:
            raise _no_engine(format_name)
        return self._open_engine(format_name).open(path)


def compare_lite(
    format_name: str,
    artefact: Artefact,
    folder: Path,
    *,
    source: bytes,
    open_engine: OpenEngine | None,
) -> Compared:
    """A file that was made of a LiteRT file, held against that file in LiteRT's own kernels.

    Raises:
        GateError: it answers otherwise.
        UnavailableError: no engine was handed in that runs both.
    """
    if format_name in _UNVERIFIED:
        return Compared(note=f"unverified here: {_UNVERIFIED[format_name]}")
    if format_name != "tflm-c":
        if open_engine is None:
            raise _no_engine(format_name)
        _fs.write_atomic(folder / "source.tflite", source)
        with ExitStack() as stack:
            theirs, ours = (
                stack.enter_context(closing(open_engine("litert").open(path)))
                for path in (folder / "source.tflite", folder / artefact.main)
            )
            return _same(theirs, ours)
    from edgewright.workbench.convert.tflm_project import (  # noqa: PLC0415  # only TFLM needs it
        difference_to_litert,
    )

    worst, unit = difference_to_litert(
        (folder / artefact.main / "model.tflite").read_bytes(), rows=_PARITY_ROWS
    )
    limit = 1.0 if unit else 1e-4
    if not worst <= limit:
        raise GateError(
            "difference between TensorFlow Lite Micro and LiteRT",
            measured=worst,
            limit=limit,
            unit=unit,
        )
    return Compared(rows=_PARITY_ROWS, max_abs=worst, note=f"max abs is in {unit}" if unit else "")


def _no_engine(format_name: str) -> UnavailableError:
    return UnavailableError(
        f"no engine was handed in to compare the {format_name} file",
        hint="call it through edgewright.chain, or pass open_engine",
    )


def _same(source: Session, made: Session) -> Compared:
    """Both hold the same tables, so that their answers are the same to the last bit."""
    rng = np.random.default_rng(0)
    for _ in range(_PARITY_ROWS):
        feeds = {tensor.name: _drawn(rng, tensor) for tensor in source.inputs}
        expected, got = source.run(feeds), made.run(feeds)
        for name, array in expected.items():
            if not np.array_equal(array, got[name], equal_nan=array.dtype.kind == "f"):
                raise GateError(
                    f"difference of output {name!r} between the file and its source",
                    measured=float(np.max(np.abs(array.astype(float) - got[name]))),
                    limit=0.0,
                    hint="no file was written; please report the model that shows this",
                )
    return Compared(rows=_PARITY_ROWS, max_abs=0.0, note="weights inside; held against the source")


def _drawn(rng: np.random.Generator, tensor: EngineTensor) -> Array:
    """What any model takes, as `random_rows`."""
    drawn = rng.normal(size=[size or 1 for size in tensor.shape])
    kind = np.dtype(tensor.dtype)
    return np.where(drawn > 0, drawn, 0).astype(kind) if kind.kind in "iub" else drawn.astype(kind)


@contextmanager
def refusing(source: str) -> Iterator[None]:
    """ONNX Runtime's own exceptions have no common root.

    Raises:
        InputError: it does not take the model, or the model not its rows.
    """
    try:
        yield
    except EdgewrightError:
        raise
    except Exception as error:
        raise InputError(
            f"{source} does not answer: {first_line(error)}",
            hint="check operators and opset, and that golden data are what the model takes",
        ) from error


def by_position(session: Session, model: onnx.ModelProto) -> Answer:
    """A session whose tensors are called like the model's: some formats keep no names."""
    inputs = dict(zip(input_names(model), session.inputs, strict=True))
    outputs = dict(
        zip((tensor.name for tensor in session.outputs), output_names(model), strict=True)
    )

    def answer(arrays: Mapping[str, Array]) -> dict[str, Array]:
        feeds = {
            tensor.name: arrays[name].astype(tensor.dtype, copy=False)
            for name, tensor in inputs.items()
        }
        return {outputs[name]: array for name, array in run_rows(session, feeds).items()}

    return answer


def unoptimised(model: onnx.ModelProto) -> Answer:
    """The graph node by node as it is written, without any fusion."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(onnx_bytes(model), options, providers=["CPUExecutionProvider"])
    names = list(output_names(model))

    def answer(arrays: Mapping[str, Array]) -> dict[str, Array]:
        results = session.run(names, dict(arrays))
        return {name: np.asarray(a) for name, a in zip(names, results, strict=True)}

    return in_fixed_batches(model, answer)


def random_rows(model: onnx.ModelProto, rows: int = _PARITY_ROWS) -> dict[str, Array]:
    """Inputs that any model takes; integer inputs may be indices, so they stay small."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Array] = {}
    for entry in model.graph.input:
        if entry.name in input_names(model):
            kind = onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
            shape = [dim.dim_value or 1 for dim in entry.type.tensor_type.shape.dim]
            drawn = rng.normal(size=((_fixed_batch(model) or 1) * rows, *shape[1:]))
            arrays[entry.name] = (
                np.where(drawn > 0, drawn, 0).astype(kind)
                if (kind.kind in "iub")
                else drawn.astype(kind)
            )
    return arrays


def in_fixed_batches(model: onnx.ModelProto, answer: Answer) -> Answer:
    """Feed a model with a fixed batch in pieces of that size, repeating the last row to fill."""
    batch = _fixed_batch(model)
    if batch is None:
        return answer
    size = batch

    def in_batches(arrays: Mapping[str, Array]) -> dict[str, Array]:
        rows = len(next(iter(arrays.values())))
        parts = []
        for start in range(0, rows, size):
            picked = np.minimum(np.arange(start, start + size), rows - 1)
            parts.append(dict(answer({name: a[picked] for name, a in arrays.items()})))
        return {name: np.concatenate([part[name] for part in parts])[:rows] for name in parts[0]}

    return in_batches


def _fixed_batch(model: onnx.ModelProto) -> int | None:
    weights = {tensor.name for tensor in model.graph.initializer}
    for entry in model.graph.input:
        dims = entry.type.tensor_type.shape.dim
        if entry.name not in weights and dims and dims[0].dim_value:
            return int(dims[0].dim_value)
    return None


def _onnx(path: Path, _: onnx.ModelProto) -> Answer:
    return unoptimised(onnx.load(path))


def _torchscript(path: Path, model: onnx.ModelProto) -> Answer:
    from edgewright.workbench.convert.torch_answers import (  # noqa: PLC0415  # only torch formats need torch
        torchscript_answer,
    )

    answer = torchscript_answer(path.read_bytes(), input_names(model), output_names(model))
    return in_fixed_batches(model, answer)


def _torch_export(path: Path, model: onnx.ModelProto) -> Answer:
    from edgewright.workbench.convert.torch_answers import (  # noqa: PLC0415  # only torch formats need torch
        torch_export_answer,
    )

    answer = torch_export_answer(path.read_bytes(), input_names(model), output_names(model))
    return in_fixed_batches(model, answer)


def _coreml(path: Path, model: onnx.ModelProto) -> Answer:
    from edgewright.workbench.convert.coreml_package import (  # noqa: PLC0415  # only Core ML needs it
        coreml_answer,
    )

    return coreml_answer(path, output_names(model))


def _tflm(path: Path, model: onnx.ModelProto) -> Answer:
    from edgewright.workbench.convert.tflm_project import (  # noqa: PLC0415  # only TFLM needs it
        tflm_answer,
    )

    content = (path / "model.tflite").read_bytes()
    answer: Answer = tflm_answer(content, input_names(model), output_names(model))
    return answer


def _tvm(path: Path, model: onnx.ModelProto) -> AbstractContextManager[Answer]:
    from edgewright.workbench.convert.tvm_file import (  # noqa: PLC0415  # only TVM needs it
        tvm_answering,
    )

    return tvm_answering(path, input_names(model), output_names(model))


_OWN: dict[str, Callable[[Path, onnx.ModelProto], Answer]] = {
    "onnx": _onnx,
    "tflm-c": _tflm,
    "torch-export": _torch_export,
    "torchscript": _torchscript,
}
