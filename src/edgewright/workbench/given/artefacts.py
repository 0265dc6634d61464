"""The artefact set that the first users hand over: an `.onnx` beside `model_config.json` (fitted
normalisation, shapes, claims) and `deployment_metadata.json`.

Its network takes normalised values; the mean and std become the contract's first step, so that
clients send what their sensors read. The accuracy that the set claims stays a claim.
"""

from pathlib import Path
from typing import Any

import msgspec

from edgewright.contract import Normalise
from edgewright.contract.decoding import convert
from edgewright.errors import InputError
from edgewright.workbench.convert.onnx_file import input_names, parse_onnx
from edgewright.workbench.given.engine_files import read_onnx_file
from edgewright.workbench.given.json_file import read_json
from edgewright.workbench.given.model_file import ModelFile

CONFIG = "model_config.json"
METADATA = "deployment_metadata.json"

_TEXT_LIMIT = 200


def is_artefact_set(path: Path) -> bool:
    """Whether a folder holds one."""
    return (path / CONFIG).is_file() and any(path.glob("*.onnx"))


def read_artefact_set(path: Path) -> ModelFile:
    """The network with its normalisation as a step.

    Raises:
        InputError: several networks, or a normalisation that does not fit.
    """
    networks = sorted(path.glob("*.onnx"))
    if len(networks) != 1:
        raise InputError(
            f"{path}: holds {len(networks)} .onnx files, expected one", hint="name the file itself"
        )
    model = read_onnx_file(networks[0])
    config, metadata = read_json(path / CONFIG), read_json(path / METADATA)
    steps = _steps(config, model, source=str(path / CONFIG))
    claims = {
        **_claims(CONFIG, {key: config[key] for key in config if key != "normalization"}),
        **_claims(METADATA, metadata),
    }
    return msgspec.structs.replace(
        model,
        how=f"artefact set with {CONFIG}" + (f" and {METADATA}" if metadata else ""),
        source=path.name,
        preprocess=steps,
        claims=claims,
        notes=(*model.notes, "the normalisation of the set runs before the model")
        if steps
        else model.notes,
    )


def _steps(config: dict[str, Any], model: ModelFile, *, source: str) -> tuple[Normalise, ...]:
    raw = config.get("normalization", config.get("normalisation"))
    if not isinstance(raw, dict) or not {"mean", "std"} <= set(raw):
        return ()
    names = input_names(parse_onnx(model.content, source=model.source))
    if len(names) != 1:
        raise InputError(
            f"{source}: one normalisation for {len(names)} inputs", hint="write contract.toml"
        )
    fields = {"tensor": names[0], "mean": _flat(raw["mean"]), "std": _flat(raw["std"])}
    return (convert({"step": "normalise", **fields}, Normalise, source=source),)


def _flat(values: object) -> list[float]:
    if isinstance(values, list):
        return [number for value in values for number in _flat(value)]
    return [values]  # type: ignore[list-item]  # convert() checks what it is


def _claims(prefix: str, value: object) -> dict[str, str]:
    """Every leaf as text, short; nobody here measured any of it."""
    if isinstance(value, dict):
        found: dict[str, str] = {}
        for key, below in value.items():
            found |= _claims(f"{prefix}: {key}" if ":" not in prefix else f"{prefix}.{key}", below)
        return found
    return {prefix: str(value)[:_TEXT_LIMIT]}
