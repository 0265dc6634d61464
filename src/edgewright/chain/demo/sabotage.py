"""Two bad releases: one damaged on its way, and one that is signed but answers wrongly."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgewright._fs import write_atomic
from edgewright.bundle import Bundle, Draft, build_bundle
from edgewright.trust import Signer


def rebuild(bundle: Bundle, path: Path, *, version: str, signer: Signer, model: bytes) -> Path:
    """The same bundle under another version with another model file, signed."""
    manifest = bundle.manifest
    draft = Draft(
        name=manifest.name,
        version=version,
        format=manifest.format,
        precision=manifest.precision,
        contract=manifest.contract,
        evidence=manifest.evidence,
    )
    contents = [
        (blob.role, blob.name, model if blob.role == "model" else bundle.read(blob))
        for blob in manifest.blobs
    ]
    build_bundle(path, draft, contents, signers=[signer])
    return path


def damage(path: Path, *, at: float = 0.5) -> int:
    """Flip one bit of a file in place; returns where."""
    content = bytearray(path.read_bytes())
    place = int(len(content) * at)
    content[place] ^= 1
    write_atomic(path, bytes(content))
    return place


def scramble(model: bytes) -> bytes:
    """The ONNX model with its last layer's weights in reverse order: whole, quick, and wrong."""
    graph = onnx.load_from_string(model)
    weights = [tensor for tensor in graph.graph.initializer if len(tensor.dims) == 2]
    order = [name for node in graph.graph.node for name in node.input]
    last = max(weights, key=lambda tensor: order.index(tensor.name))
    array = numpy_helper.to_array(last)
    last.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array[::-1, ::-1]), last.name))
    return bytes(graph.SerializeToString())
