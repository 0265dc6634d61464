"""Where people look: reports in `reports/`, engine files and the bundle in `models/NAME/`."""

import json
from collections.abc import Mapping
from pathlib import Path

from edgewright._fs import make_dirs, write_atomic
from edgewright.bundle import open_bundle
from edgewright.contract import encode_json
from edgewright.workbench.pipeline.manifests import FinishedStage

_REPORTS = {".json", ".html", ".md"}


def publish_outputs(folder: Path, name: str, finished: Mapping[str, FinishedStage]) -> Path | None:
    """Copy what finished stages left to where people look; returns the bundle's path if there is
    one.
    """
    reports = make_dirs(folder / "reports")
    for stage_name, stage in finished.items():
        for output in stage.manifest.outputs:
            source = stage.folder / output
            if source.suffix in _REPORTS and "/" not in output:
                label = output if source.stem == stage_name else f"{stage_name}-{output}"
                write_atomic(reports / label, source.read_bytes())
    model = folder / "models" / name
    for stage_name in ("optimize", "convert"):
        for output in finished[stage_name].manifest.outputs if stage_name in finished else ():
            if Path(output).suffix in {".onnx", ".tflite", ".pte"}:
                source = finished[stage_name].folder / output
                write_atomic(model / "model_files" / source.name, source.read_bytes())
    return _publish_bundle(model, finished["package"]) if "package" in finished else None


def _publish_bundle(model: Path, package: FinishedStage) -> Path:
    (name,) = (output for output in package.manifest.outputs if output.endswith(".ewb"))
    path = model / "model_files" / name
    write_atomic(path, (package.folder / name).read_bytes())
    bundle = open_bundle(path)
    contract = bundle.manifest.contract
    write_atomic(model / "preprocessing" / "steps.json", encode_json(contract.preprocess))
    write_atomic(model / "postprocessing" / "steps.json", encode_json(contract.postprocess))
    metadata = {
        "purpose": "What `edgewright run` made last; written by the package stage.",
        "name": bundle.manifest.name,
        "version": bundle.manifest.version,
        "bundle": bundle.id,
        "file": f"model_files/{name}",
        **package.manifest.facts,
    }
    write_atomic(model / "metadata.json", json.dumps(metadata, indent=2).encode() + b"\n")
    return path
