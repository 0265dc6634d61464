"""The parcel: a model variant, its contract, golden vectors, evidence and signatures in one file.

A bundle (`.ewb`) is one deterministic tar: `manifest.json`, then the blobs in the manifest's order,
then signatures. Same input, same bytes. Its id is the SHA-256 of `manifest.json`, which lists every
blob by SHA-256 and never a signature. Reading accepts exactly the bytes that writing produces:
every header, every padding byte and every blob is checked, so no flipped bit passes. The file may
be encrypted as a whole (`edgewright.bundle.sealed`); its id stays that of what is inside. Nothing
here imports numpy; golden vectors have their own file, `edgewright.bundle.golden`.

    >>> import pathlib, tempfile
    >>> from edgewright.contract import Contract, Tensor
    >>> contract = Contract(
    ...     inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
    ...     outputs=(Tensor(name="y", dtype="float32", shape=("batch", 1)),),
    ... )
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny.ewb"
    >>> draft = Draft(
    ...     name="tiny", version="1", format="reference", precision="fp32", contract=contract
    ... )
    >>> bundle_id = build_bundle(path, draft, [("model", "tiny.npz", b"weights")])
    >>> bundle = open_bundle(path)
    >>> bundle.id == bundle_id, bundle.read(bundle.blob("model"))
    (True, b'weights')
"""

from edgewright.bundle.bom import ml_bom
from edgewright.bundle.build import (
    build_bundle,
    seal_bundle,
    sign_bundle,
    unseal_bundle,
    with_bom,
)
from edgewright.bundle.diff import diff_bundles
from edgewright.bundle.manifest import DRIFT_BLOB, Blob, Draft, Manifest
from edgewright.bundle.read import Bundle, open_bundle, unpack, verify_signatures
from edgewright.bundle.recipients import Opener, Recipient
from edgewright.bundle.sealed import Head, is_sealed, read_head

__all__ = [
    "DRIFT_BLOB",
    "Blob",
    "Bundle",
    "Draft",
    "Head",
    "Manifest",
    "Opener",
    "Recipient",
    "build_bundle",
    "diff_bundles",
    "is_sealed",
    "ml_bom",
    "open_bundle",
    "read_head",
    "seal_bundle",
    "sign_bundle",
    "unpack",
    "unseal_bundle",
    "verify_signatures",
    "with_bom",
]
