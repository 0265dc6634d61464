"""`convert` for files: the model, its data and its contract from disk, engines from here."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright._npz import decode_npz
from edgewright.chain.contract_file import read_contract
from edgewright.chain.engines import engine_for_format
from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert import ExportRecord, Given, Wishes, convert
from edgewright.workbench.convert.readiness import Readiness, readiness
from edgewright.workbench.convert.source import read_source

_DATA_LIMIT_BYTES = 4 << 30
_INPUT_PREFIX = "in:"


class ConvertOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `edgewright convert` was asked for."""

    model: Path
    formats: tuple[str, ...]
    out: Path
    data: Path | None = None
    calibration: Path | None = None
    contract: Path | None = None
    wishes: Wishes = Wishes()


def convert_file(
    order: ConvertOrder, *, tell: Callable[[str], None] = lambda _: None
) -> tuple[ExportRecord, ...]:
    """Write a model in other formats; see `edgewright.workbench.convert.convert`.

    Raises:
        InputError: a file is absent or not what it should be.
        UnavailableError: a format's toolchain is absent.
        GateError: a written file does not answer like the model.
    """
    return convert(
        order.model,
        order.formats,
        order.out,
        given=Given(
            golden=_arrays(order.data),
            calibration=_arrays(order.calibration),
            contract=read_contract(order.contract) if order.contract else None,
            wishes=order.wishes,
        ),
        open_engine=engine_for_format,
        tell=tell,
    )


def report_file(model: Path, formats: tuple[str, ...]) -> tuple[Readiness, ...]:
    """What stands between a model and each format; needs no toolchain.

    Raises:
        InputError: not an ONNX model, or no such format.
    """
    source = read_source(model)
    if source.model is None:
        raise InputError(f"{model}: the report reads ONNX graphs, this is a LiteRT file")
    return readiness(source.model, formats)


def _arrays(path: Path | None) -> dict[str, Array]:
    if path is None:
        return {}
    raw = decode_npz(read_limited(path, limit_bytes=_DATA_LIMIT_BYTES), source=str(path))
    return {name.removeprefix(_INPUT_PREFIX): array for name, array in raw.items()}
