"""Bundles that were made once must be read, or refused, in the same way for ever."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from edgewright.bundle import (
    manifest,
    open_bundle,
    parcel,
    read_head,
    sealed,
    unpack,
    verify_signatures,
)
from edgewright.bundle.golden import decode_golden
from edgewright.chain.engines import open_model_of
from edgewright.contract import Tolerances
from edgewright.errors import TrustError
from edgewright.evidence.parity import compare
from edgewright.testing import MemorySigner
from edgewright.trust import TrustedKeys

HERE = Path(__file__).parent
V1 = HERE / "v1"
TRUSTED = TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,))
GOOD_IDS = {1: "4047f706a0f92cda974a787a5dfeb6221b6409b2f5740d899b27542f2822beda"}
"""By format version. A new version brings a new folder and a line here; none ever goes."""
FORMATS = {
    "v{}/good.ewb": manifest.SCHEMA_VERSION,
    "sealed-v{}/good.ewb": sealed.SCHEMA_VERSION,
    "parcel-v{}/good.ewx": parcel.SCHEMA_VERSION,
}


def missing(formats: dict[str, int]) -> list[str]:
    """The golden files that these versions of the formats should have and have not."""
    wanted = [
        pattern.format(version)
        for pattern, newest in formats.items()
        for version in range(1, newest + 1)
    ]
    return [name for name in wanted if not _is_of_its_version(name)]


def _is_of_its_version(name: str) -> bool:
    """A file that is there, and says that it is of the version that its folder is named by."""
    path, version = HERE / name, int(name.partition("/")[0].rpartition("v")[2])
    return path.exists() and f'"schema_version": {version}'.encode() in path.read_bytes()[:65536]


def test_every_version_of_every_format_has_a_golden_file() -> None:
    assert missing(FORMATS) == [], "write them with tests/golden/make.py, into a new folder"


@pytest.mark.parametrize("pattern", FORMATS)
def test_raising_a_format_version_without_a_golden_file_is_noticed(pattern: str) -> None:
    raised = {pattern: FORMATS[pattern] + 1}
    assert missing(raised) == [pattern.format(FORMATS[pattern] + 1)]


@pytest.mark.parametrize("version", range(1, manifest.SCHEMA_VERSION + 1))
def test_the_good_bundle_of_each_version_is_trusted_and_answers(
    version: int, tmp_path: Path
) -> None:
    bundle = unpack(HERE / f"v{version}" / "good.ewb", tmp_path / "slot")
    assert bundle.id == GOOD_IDS[version]
    verify_signatures(bundle, TRUSTED)
    golden = decode_golden(bundle.read(bundle.blob("golden")))
    model = open_model_of(bundle)
    answers = model.predict(golden.inputs)
    assert compare(golden.outputs, answers, Tolerances()).ok
    assert set(answers["label"].tolist()) == {"rest", "move"}


@pytest.mark.parametrize("version", range(1, sealed.SCHEMA_VERSION + 1))
def test_the_encrypted_bundle_of_each_version_is_opened_by_its_recipient(version: int) -> None:
    path = HERE / f"sealed-v{version}" / "good.ewb"
    head = read_head(path)
    assert (head.name, head.version, head.bundle_id) == ("golden", "1.0.0", GOOD_IDS[1])
    bundle = open_bundle(path, content_key=head.key_by(make().opener()))
    verify_signatures(bundle, TRUSTED)
    plain = open_bundle(V1 / "good.ewb")
    for blob in plain.manifest.blobs:
        assert bundle.read(blob) == plain.read(blob)
    with pytest.raises(TrustError, match="not to this key"):
        head.key_by(make().opener(b"stranger"))


@pytest.mark.parametrize("version", range(1, parcel.SCHEMA_VERSION + 1))
def test_the_air_gap_file_of_each_version_holds_what_it_says(version: int) -> None:
    opened = parcel.open_parcel(HERE / f"parcel-v{version}" / "good.ewx")
    assert opened.label.bundle_id == GOOD_IDS[1]
    assert b"".join(opened.chunks()) == (V1 / "good.ewb").read_bytes()
    assert sorted(opened.metadata) == ["director/1.root.json", "image/1.root.json"]
    assert json.loads(opened.metadata["image/1.root.json"]) == {"golden": "image"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("flipped", "is not what the manifest says"),
        ("truncated", "fetch it again"),
        ("newer", "install a newer edgewright"),
        ("stranger", "signed by 0 trusted key"),
    ],
)
def test_the_bad_bundles_of_version_1_are_refused(name: str, words: str) -> None:
    with pytest.raises(TrustError, match=words):
        verify_signatures(open_bundle(V1 / f"{name}.ewb"), TRUSTED)


def test_todays_code_writes_the_good_bundle_byte_for_byte(tmp_path: Path) -> None:
    make().main(tmp_path)
    for folder in (V1, HERE / "parcel-v1"):
        for path in folder.glob("*.ew?"):
            assert (tmp_path / folder.name / path.name).read_bytes() == path.read_bytes(), path.name


def make() -> ModuleType:
    """The script that made the files."""
    spec = importlib.util.spec_from_file_location("make", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
