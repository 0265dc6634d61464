"""Makes the bundles in v1/ and what is made of them: `python tests/golden/make.py`. Synthetic
weights, keys that are no secret.

They are checked in because every later version must go on reading them. A test holds that today's
code still writes `good.ewb` byte for byte; when the format moves on, it writes v2/ beside v1/. An
encrypted file has a fresh key each time, so the one in sealed-v1/ is made once and stays.
"""

import hashlib
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edgewright.bundle import Draft, build_bundle, open_bundle, seal_bundle
from edgewright.bundle.golden import encode_golden
from edgewright.bundle.parcel import Label, write_parcel
from edgewright.contract import Argmax, Contract, Evidence, Labels, Provenance, Tensor
from edgewright.keys import FileOpener
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.model import LoadedModel, answer_golden
from edgewright.runtimes.reference import Graph, Layer, ReferenceRuntime, write_reference
from edgewright.testing import MemorySigner

FOLDER = Path(__file__).parent
MAKER, STRANGER = MemorySigner.from_seed(1), MemorySigner.from_seed(2)

CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 8, 3), low=-50.0, high=50.0),),
    outputs=(
        Tensor(name="logits", dtype="float32", shape=("batch", 2)),
        Tensor(name="label", dtype="string", shape=("batch",)),
    ),
    postprocess=(Argmax(tensor="logits", into="label"), Labels(tensor="label")),
    labels=("rest", "move"),
    rate_hz=50.0,
    provenance=Provenance(recipe="synthetic", dataset="0" * 64),
)
EVIDENCE = Evidence(
    name="accuracy",
    value=1.0,
    unit="1",
    how="by construction",
    where="nowhere",
    when="2026-11-21T00:00:00Z",
    on="synthetic windows",
)


def write_model(path: Path) -> None:
    """Mean over time, one linear layer: moves when the mean of the first axis is above zero."""
    graph = Graph(
        inputs=(EngineTensor(name="x", dtype="float32", shape=(None, 8, 3)),),
        outputs=(EngineTensor(name="logits", dtype="float32", shape=(None, 2)),),
        layers=(
            Layer(op="mean", inputs=("x",), output="pooled", numbers={"axis": 1}),
            Layer(op="linear", inputs=("pooled",), output="logits", weights={"weight": "w"}),
        ),
    )
    write_reference(path, graph, {"w": np.array([[-4, 0, 0], [4, 0, 0]], np.float32)})


def write_good(path: Path, scratch: Path, signer: MemorySigner = MAKER) -> None:
    """The whole, signed bundle."""
    model = scratch / "model.npz"
    write_model(model)
    x = np.linspace(-9, 9, 4 * 8 * 3, dtype=np.float32).reshape(4, 8, 3)
    loaded = LoadedModel(CONTRACT, ReferenceRuntime().open(model))
    golden = encode_golden(answer_golden(loaded, {"x": x}))
    draft = Draft(
        name="golden",
        version="1.0.0",
        format="reference",
        precision="fp32",
        contract=CONTRACT,
        evidence=(EVIDENCE,),
    )
    contents = [("model", "model.npz", model), ("golden", "golden.npz", golden)]
    build_bundle(path, draft, contents, signers=[signer])


def opener(seed: bytes = b"golden") -> FileOpener:
    """Who the encrypted bundle is for."""
    return FileOpener(X25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest()))


def write_good_parcel(path: Path, bundle: Path) -> None:
    """An air-gap file with the form of metadata, and nothing that any device would believe."""
    content = bundle.read_bytes()
    label = Label(
        model="golden",
        version="1.0.0",
        bundle_id=open_bundle(bundle).id,
        file_sha256=hashlib.sha256(content).hexdigest(),
        file_size_bytes=len(content),
    )
    metadata = {
        f"{name}/1.root.json": b'{"golden":"%s"}' % name.encode() for name in ("image", "director")
    }
    write_parcel(path, label, metadata, bundle)


def main(root: Path = FOLDER) -> None:
    """Write them all."""
    folder = root / "v1"
    write_version_1(folder)
    write_good_parcel(root / "parcel-v1" / "good.ewx", folder / "good.ewb")
    sealed = root / "sealed-v1" / "good.ewb"
    if not sealed.exists():
        seal_bundle(folder / "good.ewb", sealed, [opener().recipient])


def write_version_1(folder: Path) -> None:
    """The bundles of version 1, good and bad."""
    import tempfile

    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        write_good(folder / "good.ewb", Path(scratch))
        write_good(folder / "stranger.ewb", Path(scratch), STRANGER)
    content = (folder / "good.ewb").read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    (folder / "flipped.ewb").write_bytes(flipped)
    (folder / "truncated.ewb").write_bytes(content[: len(content) // 2])
    newer = content.replace(b'"schema_version": 1', b'"schema_version": 7')
    (folder / "newer.ewb").write_bytes(newer)


if __name__ == "__main__":
    main()
