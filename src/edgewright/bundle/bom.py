"""The bill of materials of a bundle, as CycloneDX 1.6 writes one for a model. Pure: the same
bundle, the same bytes.

It says what the model is, what every file of the bundle hashes to, which data it learnt from and
what was measured of it. It lies in the bundle as the blob of role "sbom", so the signature covers
it, and it does not mention itself.
"""

import uuid
from collections.abc import Iterable
from typing import Any

from edgewright.bundle.manifest import Blob, Draft, Manifest
from edgewright.contract import Evidence, Tensor, encode_json

NAME = "bom.cdx.json"

_OURS = uuid.UUID("9c1ac3a0-52de-5bb1-8f0c-3f3d3a1f2b77")
_MODEL = "model"
_DATASET = "dataset"


def ml_bom(bundle: Draft | Manifest, blobs: Iterable[Blob]) -> bytes:
    """The bill of a bundle with these blobs."""
    files = [blob for blob in blobs if blob.role != "sbom"]
    document: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _model(bundle, files)},
        "components": [*map(_file, files), *_data(bundle)],
        "dependencies": [{"ref": _MODEL, "dependsOn": [part["bom-ref"] for part in _data(bundle)]}],
    }
    name = uuid.uuid5(_OURS, encode_json(document).decode())
    return encode_json({"serialNumber": f"urn:uuid:{name}", **document})


def _model(bundle: Draft | Manifest, files: Iterable[Blob]) -> dict[str, Any]:
    contract, provenance = bundle.contract, bundle.contract.provenance
    facts = {"format": bundle.format, "precision": bundle.precision, "metric": contract.metric}
    facts |= {"run": provenance.run, "variant": provenance.variant, "split": provenance.split}
    return {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": bundle.name,
        "version": bundle.version,
        "hashes": [_hash(blob.sha256) for blob in files if blob.role == "model"],
        "modelCard": {
            "modelParameters": {
                "inputs": [{"format": _told(tensor)} for tensor in contract.inputs],
                "outputs": [{"format": _told(tensor)} for tensor in contract.outputs],
                "datasets": [{"ref": part["bom-ref"]} for part in _data(bundle)],
            },
            "quantitativeAnalysis": {"performanceMetrics": [*map(_figure, bundle.evidence)]},
        },
        "properties": [
            {"name": f"edgewright:{name}", "value": value} for name, value in facts.items() if value
        ],
    }


def _file(blob: Blob) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file/{blob.name}",
        "name": blob.name,
        "hashes": [_hash(blob.sha256)],
        "properties": [
            {"name": "edgewright:role", "value": blob.role},
            {"name": "edgewright:size_bytes", "value": str(blob.size_bytes)},
        ],
    }


def _data(bundle: Draft | Manifest) -> list[dict[str, Any]]:
    """The dataset that the model learnt from, when it is known."""
    provenance = bundle.contract.provenance
    if not provenance.dataset:
        return []
    return [
        {
            "type": "data",
            "bom-ref": _DATASET,
            "name": f"dataset {provenance.dataset[:12]}",
            "version": provenance.dataset,
            "data": [{"type": "dataset", "name": provenance.dataset}],
        }
    ]


def _figure(evidence: Evidence) -> dict[str, Any]:
    """A measured number with its interval, and how, where, when and on what it was measured."""
    figure: dict[str, Any] = {
        "type": f"{evidence.name} [{evidence.unit}]",
        "value": f"{evidence.value:.6g}",
        "slice": f"{evidence.on}; {evidence.how}; {evidence.where}; {evidence.when}",
    }
    bounds = {"lowerBound": evidence.low, "upperBound": evidence.high}
    known = {name: f"{bound:.6g}" for name, bound in bounds.items() if bound is not None}
    return {**figure, "confidenceInterval": known} if known else figure


def _told(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.dtype} [{', '.join(map(str, tensor.shape))}]"


def _hash(sha256: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": sha256}
