"""`verify` for files: engine files and bundles, each with its engine and its contract."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from edgewright._fs import read_limited
from edgewright._npz import decode_npz
from edgewright.bundle import Bundle, open_bundle, unpack
from edgewright.chain.engines import (
    FORMAT_BY_SUFFIX,
    engine_for_format,
    open_engine_file,
    open_model_of,
)
from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import LoadedModel
from edgewright.workbench.verify import (
    EXACT,
    LOSSY,
    Divergence,
    Locate,
    ParityOrder,
    ParityReport,
    locate_in_stages,
    run_rows,
    verify,
)
from edgewright.workbench.verify.bisection import (
    is_lossy_file,
    locate_with,
    onnx_trace,
)
from edgewright.workbench.verify.traces import Trace, parting_by_order, parting_by_value

_DATA_LIMIT_BYTES = 4 << 30
_BUNDLE_SUFFIX = ".ewb"
_INPUT_PREFIX = "in:"
_ONNX, _OPENVINO, _LITERT = "onnx", "openvino", "litert"
_TRACED_ROWS = 8


class ParityRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` was asked for. Limits that are None follow the files' precisions."""

    reference: Path
    candidate: Path
    data: Path
    max_abs: float | None = None
    max_drop: float | None = None
    metric: str | None = None
    seed: int = 0


class _Side(msgspec.Struct, frozen=True):
    """One model, and the engine file it was opened from."""

    model: LoadedModel
    file: Path
    format: str

    def answer(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs for all rows, through the contract's steps where there are some."""
        contract = self.model.contract
        if contract.preprocess or contract.postprocess:
            return self.model.predict_checked(arrays)
        return run_rows(self.model.session, arrays)


def verify_files(request: ParityRequest) -> ParityReport:
    """Compare two files on the rows of an npz.

    Raises:
        InputError: a file is no model, or the data does not fit the reference.
    """
    with _opened(request.reference) as reference, _opened(request.candidate) as candidate:
        golden, labels = _golden(request.data, reference.model)
        is_lossy = _is_lossy(candidate) and not _is_lossy(reference)
        report = verify(
            reference.answer,
            partial(_answer_as, reference, candidate),
            golden,
            labels=labels,
            order=_order(request, is_lossy=is_lossy),
            locate=locate_in_stages(
                reference.model.contract,
                candidate.model.contract,
                lambda feeds: run_rows(reference.model.session, feeds),
                _in_graph(reference, candidate),
            ),
        )
        return msgspec.structs.replace(report, notes=(*report.notes, *_placed(candidate)))


def _answer_as(reference: _Side, candidate: _Side, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The candidate's answer under the reference's names, where its file kept none."""
    asked = {tensor.name for tensor in reference.model.contract.inputs}
    own = [tensor.name for tensor in candidate.model.contract.inputs]
    if set(own) != asked and len(own) == len(asked):
        arrays = dict(zip(own, arrays.values(), strict=True))
    answers = candidate.answer(arrays)
    wanted = [tensor.name for tensor in reference.model.contract.outputs]
    if not set(answers) & set(wanted) and len(answers) == len(wanted):
        return dict(zip(wanted, answers.values(), strict=True))
    return answers


def _placed(side: _Side) -> tuple[str, ...]:
    """Where the candidate really ran: what fell back to another place is said, never silent."""
    placement = side.model.session.placement
    fallen = sum(placement.elsewhere.values())
    told = f"the candidate ran as {placement.text}"
    return (told, f"silent fallback: {fallen} nodes") if fallen else (told,)


def _order(request: ParityRequest, *, is_lossy: bool) -> ParityOrder:
    tolerances = LOSSY if is_lossy else EXACT
    if request.max_abs is not None:
        tolerances = msgspec.structs.replace(tolerances, max_abs=request.max_abs)
    if request.max_drop is not None:
        tolerances = msgspec.structs.replace(tolerances, metric_drop_points=request.max_drop)
    return ParityOrder(
        tolerances=tolerances,
        metric=request.metric,
        relative=request.max_abs is None,
        edges_count=not is_lossy,
        seed=request.seed,
    )


@contextmanager
def _opened(path: Path) -> Iterator[_Side]:
    with ExitStack() as stack:
        if path.suffix == _BUNDLE_SUFFIX or path.is_dir():
            bundle = _bundle(path, stack)
            model = open_model_of(bundle)
            side = _Side(model, bundle.file(bundle.blob("model")), bundle.manifest.format)
        else:
            model = open_engine_file(path, None)
            side = _Side(model, path, FORMAT_BY_SUFFIX[path.suffix])
        stack.callback(model.close)
        yield side


def _bundle(path: Path, stack: ExitStack) -> Bundle:
    if path.is_dir():
        return open_bundle(path)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgewright-")))
    return unpack(path, folder / "bundle")


def _golden(path: Path, model: LoadedModel) -> tuple[dict[str, Array], Array | None]:
    """The requests of an npz (or of golden vectors), and labels if it has some."""
    raw = decode_npz(read_limited(path, limit_bytes=_DATA_LIMIT_BYTES), source=str(path))
    named = {name.removeprefix(_INPUT_PREFIX): array for name, array in raw.items()}
    wanted = [tensor.name for tensor in model.contract.inputs]
    if missing := [name for name in wanted if name not in named]:
        raise InputError(
            f"{path}: no array for input {missing[0]!r}, it has {sorted(raw)}",
            hint="name the arrays like the reference's inputs: " + ", ".join(wanted),
        )
    for name in wanted:
        if named[name].dtype.kind == "f" and not np.isfinite(named[name]).all():
            raise InputError(
                f"{path}: input {name!r} holds NaN or infinity", hint="drop these rows"
            )
    labels = named.get("y") if "y" not in wanted else None
    return {name: named[name] for name in wanted}, labels


def _in_graph(reference: _Side, candidate: _Side) -> Locate | None:
    """Graphs can be looked into where the candidate is ONNX, OpenVINO or LiteRT."""
    pair = (reference.format, candidate.format)
    if pair == (_ONNX, _ONNX):
        open_file = engine_for_format(_ONNX).open
        return locate_with(reference.file, candidate.file, open_file=open_file)
    if pair in {(_ONNX, _OPENVINO), (_OPENVINO, _OPENVINO)}:
        return partial(_in_openvino, reference, candidate)
    if pair in {(_ONNX, _LITERT), (_LITERT, _LITERT)}:
        return partial(_in_litert, reference, candidate)
    return None


def _in_openvino(
    reference: _Side, candidate: _Side, arrays: Mapping[str, Array]
) -> Divergence | None:
    """OpenVINO reads ONNX too, so both sides are its own graphs; a fault of its reader shows only
    against ONNX Runtime.
    """
    from edgewright.workbench.verify.openvino_trace import (  # noqa: PLC0415  # only where installed
        openvino_trace,
    )

    few = _few(arrays)
    ours = openvino_trace(candidate.file, few)
    found = parting_by_order(openvino_trace(reference.file, few), ours)
    if found or reference.format != _ONNX:
        return found
    return parting_by_value(_onnx_trace(reference, few), ours)


def _in_litert(
    reference: _Side, candidate: _Side, arrays: Mapping[str, Array]
) -> Divergence | None:
    from edgewright.workbench.verify.litert_trace import (  # noqa: PLC0415  # only where installed
        litert_trace,
    )

    few = _few(arrays)
    ours = litert_trace(candidate.file, few)
    if reference.format == _LITERT:
        return parting_by_order(litert_trace(reference.file, few), ours)
    return parting_by_value(_onnx_trace(reference, few), ours)


def _onnx_trace(side: _Side, arrays: Mapping[str, Array]) -> Trace:
    return onnx_trace(side.file, arrays, open_file=engine_for_format(_ONNX).open)


def _few(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array[:_TRACED_ROWS] for name, array in arrays.items()}


def _is_lossy(side: _Side) -> bool:
    match side.format:
        case "onnx":
            return is_lossy_file(side.file)
        case "openvino":
            from edgewright.workbench.verify.openvino_trace import (  # noqa: PLC0415  # only where installed
                is_lossy_ir,
            )

            return is_lossy_ir(read_limited(side.file, limit_bytes=_DATA_LIMIT_BYTES))
        case "litert":
            from edgewright.workbench.verify.litert_trace import (  # noqa: PLC0415  # only where installed
                is_lossy_lite,
            )

            return is_lossy_lite(side.file)
        case _:
            return False
