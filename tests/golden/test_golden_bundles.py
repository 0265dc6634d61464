"""Bundles that were made once must be read, or refused, in the same way for ever."""

import importlib.util
from pathlib import Path

import pytest

from edgewright.bundle import open_bundle, unpack, verify_signatures
from edgewright.bundle.golden import decode_golden
from edgewright.chain.engines import open_model_of
from edgewright.contract import Tolerances
from edgewright.errors import TrustError
from edgewright.evidence.parity import compare
from edgewright.testing import MemorySigner
from edgewright.trust import TrustedKeys

V1 = Path(__file__).parent / "v1"
TRUSTED = TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,))
GOOD_ID = "4047f706a0f92cda974a787a5dfeb6221b6409b2f5740d899b27542f2822beda"


def test_the_good_bundle_of_version_1_is_trusted_and_answers(tmp_path: Path) -> None:
    bundle = unpack(V1 / "good.ewb", tmp_path / "slot")
    assert bundle.id == GOOD_ID
    verify_signatures(bundle, TRUSTED)
    golden = decode_golden(bundle.read(bundle.blob("golden")))
    model = open_model_of(bundle)
    answers = model.predict(golden.inputs)
    assert compare(golden.outputs, answers, Tolerances()).ok
    assert set(answers["label"].tolist()) == {"rest", "move"}


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
    spec = importlib.util.spec_from_file_location("make", Path(__file__).parent / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    make.main(tmp_path)
    for path in V1.glob("*.ewb"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
