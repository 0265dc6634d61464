from pathlib import Path

import pytest

from edgewright.bundle import Draft, build_bundle
from edgewright.contract import Contract, Evidence, Tensor
from edgewright.testing import MemorySigner

SIGNER = MemorySigner.from_seed(1)


@pytest.fixture
def draft() -> Draft:
    return Draft(
        name="tiny",
        version="1.0.0",
        format="reference",
        precision="fp32",
        contract=Contract(
            inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
            outputs=(Tensor(name="y", dtype="float32", shape=("batch", 1)),),
        ),
        evidence=(
            Evidence(
                name="accuracy",
                value=0.9,
                unit="1",
                how="test split by subject",
                where="x86-64",
                when="2026-01-01T00:00:00Z",
                on="synthetic",
            ),
        ),
    )


@pytest.fixture
def packed(tmp_path: Path, draft: Draft) -> Path:
    path = tmp_path / "tiny.ewb"
    contents = [
        ("model", "m.npz", b"weights" * 100),
        ("golden", "golden.npz", b"vectors"),
        ("file", "copy.npz", b"vectors"),
        ("file", "empty", b""),
    ]
    build_bundle(path, draft, contents, signers=[SIGNER])  # type: ignore[arg-type]
    return path
