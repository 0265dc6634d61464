"""OpenSSF model signatures, crosswise with the tool `model_signing`."""

import subprocess
from pathlib import Path

import pytest
from tests.own_python import python_with

from edgewright.bundle import open_bundle
from edgewright.bundle.build import extend_bundle, extract_bundle
from edgewright.bundle.openssf import MEMBER, load_public, verify_files
from edgewright.chain.attesting import sign_model_files
from edgewright.errors import TrustError
from edgewright.keys.elliptic import EllipticSigner
from edgewright.testing.bundles import build_tiny

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

TOOL = ("model-signing==1.1.1", "pyopenssl")


def run(python: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", "model_signing", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_each_reads_what_the_other_signed(tmp_path: Path) -> None:
    python = python_with(tmp_path / "venv", *TOOL)
    build_tiny(tmp_path / "signed.ewb", filler_bytes=3000)
    path = tmp_path / "1.ewb"
    extend_bundle(tmp_path / "signed.ewb", path, [("file", "note.txt", b"hello")])
    EllipticSigner.create(tmp_path / "maker.pem")

    sign_model_files(path, tmp_path / "maker.pem")
    files = tmp_path / "files"
    extract_bundle(path, files)
    verify = ("verify", "key", files, "--signature", files / MEMBER)
    theirs = run(python, *verify, "--public_key", tmp_path / "maker.pub")
    assert theirs.returncode == 0, theirs.stderr
    (files / "note.txt").write_bytes(b"other")
    refused = run(python, *verify, "--public_key", tmp_path / "maker.pub")
    assert refused.returncode != 0
    (files / "note.txt").write_bytes(b"hello")

    (files / MEMBER).unlink()
    signature = tmp_path / "their.sig"
    made = run(
        *(python, "sign", "key", files, "--signature", signature),
        *("--private_key", tmp_path / "maker.pem"),
    )
    assert made.returncode == 0, made.stderr
    public = load_public((tmp_path / "maker.pub").read_bytes(), source="maker.pub")
    blobs = open_bundle(path).manifest.blobs
    verify_files(signature.read_bytes(), blobs, public)
    with pytest.raises(TrustError, match=r"note.txt' is missing"):
        verify_files(
            signature.read_bytes(), [blob for blob in blobs if blob.name != "note.txt"], public
        )
