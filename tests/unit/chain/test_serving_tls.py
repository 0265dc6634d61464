"""A certificate that is renewed on disk is shown without a restart."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from edgewright.chain.serving_tls import TlsFiles
from edgewright.errors import InputError
from edgewright.testing.tls import certificate


def renewed(folder: Path) -> bytes:
    """Another certificate and its key, in one file."""
    folder.mkdir()
    return certificate(folder)[0].read_bytes()


def test_changed_files_are_shown_once_they_belong_together(tmp_path: Path, caplog: Any) -> None:
    old, new = renewed(tmp_path / "old"), renewed(tmp_path / "new")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(old)
    key.write_bytes(old)
    shown: list[ssl.SSLContext] = []
    files = TlsFiles(cert, key, client_ca=cert)
    assert files.context.verify_mode is ssl.CERT_REQUIRED

    files.look(shown.append)
    key.write_bytes(new)
    for _ in range(3):
        files.look(shown.append)
    assert (shown, files.texts.key) == ([], old)
    assert caplog.text.count("the key is another certificate's") == 1
    cert.unlink()
    files.look(shown.append)
    assert "No such file" in caplog.text
    cert.write_bytes(new)
    for _ in range(3):
        files.look(shown.append)
    assert shown == [files.context]
    assert files.texts.cert == new
    assert "PRIVATE" not in repr(files.texts)


def test_files_that_are_no_pem_are_refused(tmp_path: Path) -> None:
    pem, _ = certificate(tmp_path)
    (tmp_path / "ca.pem").write_text("nothing", encoding="utf-8")
    with pytest.raises(InputError, match=r"TLS authority .*ca\.pem: there is no certificate in it"):
        TlsFiles(pem, pem, tmp_path / "ca.pem")
