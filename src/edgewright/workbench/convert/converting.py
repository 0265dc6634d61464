"""`convert`: one model, several engine formats, each file real, repeatable and the same model."""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
import onnx

from edgewright import _fs
from edgewright.contract import Contract
from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.artefact import Artefact, Job, Wishes
from edgewright.workbench.convert.comparing import (
    Compared,
    Comparison,
    OpenEngine,
    compare_lite,
    refusing,
)
from edgewright.workbench.convert.contract_file import SUFFIX, contract_bytes
from edgewright.workbench.convert.formats import (
    CUT,
    EVERY,
    FORMATS,
    WRITERS,
    Format,
    check_available,
    find_format,
)
from edgewright.workbench.convert.gates import check_file
from edgewright.workbench.convert.onnx_file import input_names, opset_of, output_names
from edgewright.workbench.convert.record import ExportRecord
from edgewright.workbench.convert.source import Source, read_source
from edgewright.workbench.verify import Answer

Tell = Callable[[str], None]


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversion may know beside the model: real inputs to compare on, inputs to fit ranges
    of integers on, the contract, and what a vendor's tool wants to be told.
    """

    golden: Mapping[str, Array] = {}
    calibration: Mapping[str, Array] = {}
    contract: Contract | None = None
    wishes: Wishes = Wishes()


def convert(
    model: Path,
    formats: Iterable[str],
    out: Path,
    *,
    given: Given | None = None,
    open_engine: OpenEngine | None = None,
    reference: Answer | None = None,
    tell: Tell = lambda _: None,
) -> tuple[ExportRecord, ...]:
    """Write `out/<model's stem>.<suffix>` for each format, checked and compared to the model.

    `model` is an ONNX file, a finished run, or a LiteRT file for the formats that are made of one.
    `open_engine` runs the files whose engine is an adapter. `reference` answers for the model;
    without one ONNX Runtime does, with no optimisation. Nothing is written unless every format can
    be.

    Raises:
        InputError: no such format, or not a model.
        UnavailableError: a format's toolchain is absent; the message says what to install.
        GateError: a written file does not answer like the model; no file is left.
    """
    wanted = wanted_formats(formats)
    source, known = read_source(model), given or Given()
    _check_source(source, wanted)
    _check_cuts(known.wishes, wanted)
    for entry in wanted:
        check_available(entry, from_litert=bool(source.lite))
    job = _job(source, known)
    promise = b""
    if job.contract is not None and source.model is not None:
        promise = contract_bytes(job.contract, source.model, source=str(model))
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        desk = Path(name)
        comparison = None
        if source.model is not None:
            with refusing(str(model)):
                comparison = Comparison(
                    source.model, golden=known.golden, reference=reference, open_engine=open_engine
                )
            comparison.check_reference(str(model))
        made = []
        for entry in wanted:
            tell(f"{entry.name}: writing")
            artefact = WRITERS[entry.name](job)
            folder = desk / entry.name
            check_file(artefact.write(folder), entry.name)
            tell(f"{entry.name}: comparing")
            if comparison is None:
                compared = compare_lite(
                    entry.name, artefact, folder, source=source.lite, open_engine=open_engine
                )
            else:
                compared = comparison.compare(entry.name, artefact, folder)
            made.append((entry, artefact, compared))
    _check_names([(entry, artefact) for entry, artefact, _ in made])
    for _, artefact, _ in made:
        _check_source_stays(model, out, artefact)
    records = [
        _record(entry, artefact, compared, artefact.write(out), job)
        for entry, artefact, compared in made
    ]
    if promise:
        path = out / f"{job.stem}{SUFFIX}"
        _fs.write_atomic(path, promise)
        records = [msgspec.structs.replace(record, contract=str(path)) for record in records]
    return tuple(records)


def _check_source_stays(model: Path, out: Path, artefact: Artefact) -> None:
    for name in artefact.files:
        if _fs.is_same_file(out / name, model):
            raise InputError(
                f"{out / name} is the model itself, and would be overwritten",
                hint="give another --out",
            )


def wanted_formats(names: Iterable[str]) -> list[Format]:
    """The formats of some names; `all` stands for those that can be written here.

    Raises:
        InputError: there is no such format, or none was named.
    """
    listed = list(dict.fromkeys(names))
    if EVERY in listed:
        here = [entry.name for entry in FORMATS.values() if entry.everyday and _can(entry)]
        listed = list(dict.fromkeys(here + [name for name in listed if name != EVERY]))
    if not listed:
        raise InputError("no format was named", hint=f"known: {', '.join(FORMATS)}")
    return [find_format(name) for name in listed]


def _can(entry: Format) -> bool:
    try:
        check_available(entry)
    except UnavailableError:
        return False
    return True


def _job(source: Source, given: Given) -> Job:
    return Job(
        stem=source.stem,
        model=source.model if source.model is not None else onnx.ModelProto(),
        contract=given.contract or source.contract,
        calibration=given.calibration,
        wishes=given.wishes,
        lite=source.lite,
    )


def _check_source(source: Source, wanted: list[Format]) -> None:
    if source.model is not None:
        return
    wrong = [entry.name for entry in wanted if not entry.from_litert]
    if wrong:
        able = [entry.name for entry in FORMATS.values() if entry.from_litert]
        raise InputError(
            f"{', '.join(wrong)} cannot be made from a LiteRT file",
            hint=f"give the ONNX model; made of LiteRT are: {', '.join(able)}",
        )


def _check_cuts(wishes: Wishes, wanted: list[Format]) -> None:
    """A cut that nothing makes would leave the whole model in silence."""
    if (wishes.start or wishes.end) and not any(entry.name in CUT for entry in wanted):
        raise InputError(
            f"{', '.join(entry.name for entry in wanted)}: takes the whole model, no cut",
            hint=f"--start and --end are for {', '.join(sorted(CUT))}",
        )


def _check_names(made: list[tuple[Format, Artefact]]) -> None:
    """No file may take the place of another format's.

    Raises:
        InputError: two have the same name.
    """
    owners: dict[str, str] = {}
    for entry, artefact in made:
        for name in artefact.files:
            if owners.setdefault(name, entry.name) != entry.name:
                raise InputError(
                    f"{owners[name]} and {entry.name} would both write {name}",
                    hint="convert to one at a time, each with an --out of its own",
                )


def _record(
    entry: Format, artefact: Artefact, compared: Compared, path: Path, job: Job
) -> ExportRecord:
    return ExportRecord(
        path=str(path),
        format=entry.name,
        sha256=artefact.sha256,
        size_bytes=artefact.size_bytes,
        inputs=input_names(job.model),
        outputs=output_names(job.model),
        opset=opset_of(job.model) if entry.name == "onnx" else None,
        files=tuple(sorted(artefact.files)),
        parity="verified" if compared.max_abs is not None else "unverified",
        max_abs=compared.max_abs,
        notes=(*artefact.notes, *((compared.note,) if compared.note else ())),
    )
