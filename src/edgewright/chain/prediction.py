"""Batch prediction: a file of requests in, a file of answers out."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from edgewright._fs import is_same_file, read_limited, write_atomic
from edgewright._npz import decode_npz, encode_npz
from edgewright.chain.streaming import Replay, opened_model, table_source
from edgewright.clock import Clock
from edgewright.contract import Contract
from edgewright.device.streams import Plan, Resampler, Ring, Wishes, plan_stream
from edgewright.device.streams.base import Predictor
from edgewright.device.streams.table_source import Columns, TableSource, read_header
from edgewright.errors import InputError
from edgewright.evidence.parity import compare
from edgewright.runtimes.base import Array

INPUT_LIMIT_BYTES = 4 << 30
_TRIED_ROWS = 4
_TABLES = (".csv", ".jsonl", ".ndjson")


class PredictOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `predict` was asked for; answers go to `out` (.npz or .jsonl), or are only returned."""

    model: Path
    requests: Path
    out: Path | None = None
    batch: int = 64
    source_rate_hz: float | None = None
    time_column: str = ""
    wishes: Wishes = Wishes()


def predict_file(order: PredictOrder, *, clock: Clock) -> dict[str, Array]:
    """The contract's outputs for every row of a file; one row out of contract refuses the file.

    Raises:
        InputError: the file does not hold what the model takes; the message names the place.
        DeviceError: the model cannot answer.
    """
    if order.out and order.out.suffix not in (".npz", ".jsonl"):
        raise InputError(
            f"{order.out}: unknown ending {order.out.suffix!r}", hint="known: .npz, .jsonl"
        )
    if order.out and is_same_file(order.out, order.requests):
        raise InputError(
            f"{order.out} holds the requests, and would be overwritten", hint="give another --out"
        )
    with opened_model(order.model) as (_, model):
        answers = predict_rows(model, _requests(order, model.contract, clock), batch=order.batch)
    if order.out:
        is_npz = order.out.suffix == ".npz"
        write_atomic(order.out, encode_npz(answers) if is_npz else json_rows(answers))
    return answers


def predict_rows(
    model: Predictor, requests: Mapping[str, Array], *, batch: int
) -> dict[str, Array]:
    """All rows through the model, some at a time where its contract leaves their number open."""
    contract = model.contract
    if not all(tensor.shape and tensor.shape[0] == 1 for tensor in contract.inputs):
        if not all(tensor.has_batch for tensor in contract.inputs):
            return model.predict(requests)
    else:
        batch = 1
    counts = {name: array.shape[:1] for name, array in requests.items()}
    if len(set(counts.values())) != 1 or () in counts.values() or (0,) in counts.values():
        raise InputError(
            f"inputs have { ({name: list(n) for name, n in counts.items()}) } rows, expected the "
            "same number in each, and at least one"
        )
    rows = next(iter(counts.values()))[0]
    _check_rows_are_apart(model, requests, min(rows, batch, _TRIED_ROWS))
    parts = [
        _predict_part(model, requests, slice(start, start + batch))
        for start in range(0, rows, batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def json_rows(answers: Mapping[str, Array]) -> bytes:
    """One JSON object a row."""
    names = list(answers)
    columns = zip(*(answers[name].tolist() for name in names), strict=True)
    lines = (
        msgspec.json.encode({"row": row, **dict(zip(names, values, strict=True))})
        for row, values in enumerate(columns)
    )
    return b"".join(line + b"\n" for line in lines)


def _check_rows_are_apart(model: Predictor, requests: Mapping[str, Array], rows: int) -> None:
    """Refuse to answer rows together whose answers depend on their company."""
    together = _predict_part(model, requests, slice(0, rows)) if rows > 1 else {}
    for row in range(rows if together else 0):
        alone = _predict_part(model, requests, slice(row, row + 1))
        same = {name: answer[row : row + 1] for name, answer in together.items()}
        if not compare(alone, same, model.contract.tolerances).ok:
            raise InputError(
                f"the answer to row {row} depends on the rows that are asked beside it",
                hint="--batch 1 asks each by itself",
            )


def _predict_part(model: Predictor, requests: Mapping[str, Array], rows: slice) -> dict[str, Array]:
    asked = {name: array[rows] for name, array in requests.items()}
    try:
        answers = model.predict(asked)
    except InputError as error:
        raise InputError(
            f"in the rows from {rows.start}: {error.message}", hint=error.hint
        ) from error
    count = len(next(iter(asked.values())))
    if others := sorted(name for name, one in answers.items() if one.shape[:1] != (count,)):
        raise InputError(
            f"outputs {others} are not one a row: they speak of all rows together",
            hint="leave them out of the model, or ask a server (`edgewright serve`)",
        )
    return answers


def _requests(order: PredictOrder, contract: Contract, clock: Clock) -> dict[str, Array]:
    path = order.requests
    if path.suffix in _TABLES:
        return _requests_from_table(order, contract, clock)
    arrays = decode_npz(read_limited(path, limit_bytes=INPUT_LIMIT_BYTES), source=str(path))
    names = [tensor.name for tensor in contract.inputs]
    if missing := [name for name in names if name not in arrays]:
        raise InputError(
            f"{path}: no array for input(s) {missing}, it has {sorted(arrays)}",
            hint="name the arrays like the contract's inputs",
        )
    return {
        tensor.name: _as_declared(arrays[tensor.name], tensor.name, tensor.dtype)
        for tensor in contract.inputs
    }


def _as_declared(array: Array, name: str, dtype: str) -> Array:
    """Numbers of a file in the contract's type, which few files have: numpy's own is float64.

    Raises:
        InputError: a value that the type cannot hold.
    """
    wanted = np.dtype(object if dtype == "string" else dtype)
    if array.dtype == wanted or array.dtype.kind not in "iuf" or wanted.kind not in "iuf":
        return array
    with np.errstate(all="ignore"):
        cast: Array = array.astype(wanted)
        kept = cast == array if wanted.kind in "iu" else np.isfinite(cast) | ~np.isfinite(array)
    if not kept.all():
        place = tuple(int(at) for at in np.argwhere(~kept)[0])
        raise InputError(
            f"input {name!r}{list(place)} is {array[place]:g}, which {dtype} cannot hold",
            hint="check sensor and unit, or build the model for another type",
        )
    return cast


def _requests_from_table(order: PredictOrder, contract: Contract, clock: Clock) -> dict[str, Array]:
    """Each row of a table as a request, or windows of its samples for a model that takes
    windows.
    """
    tensor = contract.inputs[0]
    if len(contract.inputs) == 1 and len(tensor.shape) == 2:
        header = read_header(order.requests)
        names = tuple(channel.name for channel in tensor.channels) or header
        columns = Columns(channels=names, rate_hz=1.0)
        samples = asyncio.run(_collect(TableSource(order.requests, columns, clock=clock)))
        return {tensor.name: _as_declared(samples[:, 1:], tensor.name, tensor.dtype)}
    plan = plan_stream(contract, order.wishes)
    source = table_source(
        Replay(
            path=order.requests,
            time_column=order.time_column,
            rate_hz=order.source_rate_hz,
        ),
        plan,
        clock=clock,
    )
    windows = list(asyncio.run(_windows(source, plan)))
    if not windows:
        raise InputError(
            f"{order.requests}: no {plan.length} samples at {plan.rate_hz:g} Hz without a gap",
            hint="send a longer recording, or raise --max-gap-s",
        )
    return {plan.tensor: _as_declared(np.stack(windows), plan.tensor, plan.dtype)}


async def _collect(source: TableSource) -> Array:
    tables = [
        np.column_stack([samples.time_s, samples.values]) async for samples in source.chunks()
    ]
    return np.concatenate(tables) if tables else np.empty((0, 1))


async def _windows(source: TableSource, plan: Plan) -> Iterator[Array]:
    resampler = Resampler(rate_hz=plan.rate_hz, max_gap_s=plan.max_gap_s)
    ring = Ring(length=plan.length, hop=plan.hop, channels=len(plan.channels), rate_hz=plan.rate_hz)
    windows = [
        ring.push(stretch)
        async for samples in source.chunks()
        for stretch in resampler.push(samples)
    ]
    return (window.values for window in itertools.chain.from_iterable(windows))
