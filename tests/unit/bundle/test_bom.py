import json
from pathlib import Path

import pytest

from edgewright.bundle import Draft, build_bundle, ml_bom, open_bundle, with_bom
from edgewright.contract import Contract, Evidence, Provenance, Tensor

DRAFT = Draft(
    name="steps",
    version="1.2",
    format="onnx",
    precision="int8",
    contract=Contract(
        inputs=(Tensor(name="x", dtype="float32", shape=("batch", 100, 6)),),
        outputs=(Tensor(name="logits", dtype="float32", shape=("batch", 6)),),
        provenance=Provenance(recipe="har", dataset="d" * 64, run="r", variant="v", split="s"),
    ),
    evidence=(
        Evidence(
            name="accuracy",
            value=0.95,
            unit="1",
            how="bootstrap over people",
            where="here",
            when="today",
            on="933 windows",
            low=0.93,
        ),
    ),
)
CONTENTS = [("model", "m.onnx", b"weights"), ("card", "card.md", b"# steps")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    build_bundle(tmp_path / "a.ewb", DRAFT, with_bom(DRAFT, CONTENTS))  # type: ignore[arg-type]
    return tmp_path / "a.ewb"


def test_the_bill_names_every_file_by_hash_and_the_data_behind_the_model(path: Path) -> None:
    bundle = open_bundle(path)
    bill = json.loads(bundle.read(bundle.blob("sbom")))
    found = {part["name"]: part["hashes"][0]["content"] for part in bill["components"][:2]}
    others = [blob for blob in bundle.manifest.blobs if blob.role != "sbom"]
    assert found == {blob.name: blob.sha256 for blob in others}
    assert bill["components"][2]["version"] == "d" * 64
    assert bill["dependencies"] == [{"ref": "model", "dependsOn": ["dataset"]}]
    (figure,) = bill["metadata"]["component"]["modelCard"]["quantitativeAnalysis"][
        "performanceMetrics"
    ]
    assert (figure["value"], figure["confidenceInterval"]) == ("0.95", {"lowerBound": "0.93"})


def test_the_bill_derived_from_a_bundle_is_the_one_it_carries(path: Path) -> None:
    bundle = open_bundle(path)
    assert ml_bom(bundle.manifest, bundle.manifest.blobs) == bundle.read(bundle.blob("sbom"))


def test_another_model_has_another_serial_number(tmp_path: Path, path: Path) -> None:
    other = [("model", "m.onnx", b"other weights"), CONTENTS[1]]
    build_bundle(tmp_path / "b.ewb", DRAFT, with_bom(DRAFT, other))  # type: ignore[arg-type]
    bills = [
        json.loads(b.read(b.blob("sbom"))) for b in map(open_bundle, (path, tmp_path / "b.ewb"))
    ]
    assert bills[0]["serialNumber"] != bills[1]["serialNumber"]


def test_the_tool_of_the_format_finds_nothing_wrong(path: Path) -> None:
    validation = pytest.importorskip(
        "cyclonedx.validation.json", reason="absent: cyclonedx-python-lib (extra oracles)"
    )
    schema = pytest.importorskip("cyclonedx.schema", reason="absent: cyclonedx (extra oracles)")
    bundle = open_bundle(path)
    text = bundle.read(bundle.blob("sbom")).decode()
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"machine-learning-model"', '"magic"')) is not None
