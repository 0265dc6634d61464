"""A model that somebody brings, looked at before a project is written around it."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edgewright.chain.engines import engine_for_format
from edgewright.contract import Contract
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import infer_contract
from edgewright.workbench.given import (
    GivenSamples,
    ModelFile,
    contract_text,
    fit_samples,
    read_arrays,
    read_model,
)

_LABELLED = (
    "Largest loss of the task metric on the labelled samples, in points, held with a 95 % bound."
)
_UNLABELLED = (
    "Without labels the budget is on agreement with the given model: 100 * (1 - RMSE / std) points."
)


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """What a project around a given model is written from."""

    values: dict[str, str]
    contents: dict[Path, bytes]


def bring_model(model: Path, data: Path | None, name: str) -> Brought:
    """Read a model, infer its contract, and see that the samples fit.

    Raises:
        InputError: an unknown or broken model, or samples that do not fit it.
        UnavailableError: what its conversion or engine needs is not installed.
        GateError: its conversion does not answer like its source.
    """
    arrays = read_arrays(data) if data else {}
    given = read_model(model, arrays)
    contract = _contract(given)
    samples = fit_samples(arrays, contract, source=str(data)) if data else None
    folder = Path("models") / name / "model_files"
    is_labelled = samples is not None and samples.labels is not None
    values = {
        "name": name,
        "model_file": given.file_name,
        "source": str(data or ""),
        "budget_meaning": _LABELLED if is_labelled else _UNLABELLED,
        "max_drop": "1.0" if is_labelled else "5.0",
        "origin": _origin(given).replace("$", "$$"),
    }
    return Brought(
        values=values,
        contents={
            folder / given.file_name: given.content,
            folder.parent / "origin.json": _origin_json(given),
            Path("contract.toml"): contract_text(contract, _seen(samples)).encode(),
        },
    )


def _contract(given: ModelFile) -> Contract:
    """The contract that the engine file implies, with the steps and labels that came along."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / given.file_name
        path.write_bytes(given.content)
        session = engine_for_format(given.engine).open(path)
        try:
            contract = infer_contract(session)
        finally:
            session.close()
    return msgspec.structs.replace(contract, preprocess=given.preprocess, labels=given.labels)


def _seen(samples: GivenSamples | None) -> Mapping[str, Array]:
    return samples.arrays if samples else {}


def _origin(given: ModelFile) -> str:
    lines = [f"From `{given.source}`: {given.how}."]
    lines += [f"Note: {note}." for note in given.notes]
    if given.claims:
        lines.append("Its maker claims (measured by nobody here):")
        lines += [f"`{key}` = {value}" for key, value in sorted(given.claims.items())]
    return "\n\n".join(lines)


def _origin_json(given: ModelFile) -> bytes:
    facts = {
        "purpose": "Where the given model came from; written once by `edgewright init`.",
        "source": given.source,
        "source_sha256": given.source_sha256,
        "how": given.how,
        "notes": given.notes,
        "claims_not_measured_here": given.claims,
    }
    return json.dumps(facts, indent=2, ensure_ascii=False).encode() + b"\n"
