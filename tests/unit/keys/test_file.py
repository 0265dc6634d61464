from pathlib import Path

import pytest

from edgewright.errors import InputError
from edgewright.keys.file import FileSigner, read_public_key
from edgewright.trust import Signature, TrustedKeys, verify_payload


@pytest.mark.parametrize("password", [None, "s3cret"])
def test_key_survives_its_file(tmp_path: Path, password: str | None) -> None:
    made = FileSigner.create(tmp_path / "k.pem", password=password)
    loaded = FileSigner.load(tmp_path / "k.pem", password=password)
    trusted = TrustedKeys(threshold=1, keys=(read_public_key(tmp_path / "k.pub"),))
    assert loaded.public == made.public
    assert verify_payload(b"x", [Signature.of(loaded, b"x")], trusted)


def test_private_key_file_is_for_its_owner_only(tmp_path: Path) -> None:
    FileSigner.create(tmp_path / "k.pem", password="s3cret")
    assert (tmp_path / "k.pem").stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in (tmp_path / "k.pem").read_bytes()


def test_an_existing_key_is_never_replaced(tmp_path: Path) -> None:
    FileSigner.create(tmp_path / "k.pem")
    before = (tmp_path / "k.pem").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        FileSigner.create(tmp_path / "k.pem")
    assert (tmp_path / "k.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("made_with", "opened_with", "words"),
    [
        ("right", None, "a password is needed"),
        ("right", "wrong", "the password is wrong"),
        (None, "any", "it has no password"),
    ],
)
def test_wrong_password_is_an_input_error_that_does_not_show_it(
    tmp_path: Path, made_with: str | None, opened_with: str | None, words: str
) -> None:
    FileSigner.create(tmp_path / "k.pem", password=made_with)
    with pytest.raises(InputError, match=words) as caught:
        FileSigner.load(tmp_path / "k.pem", password=opened_with)
    assert "wrong'" not in str(caught.value)
    assert "any'" not in str(caught.value)


def test_other_files_and_other_keys_are_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="not a private key"):
        FileSigner.load(tmp_path / "text")
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "ec.pem").write_bytes(other)
    with pytest.raises(InputError, match="not an Ed25519 key"):
        FileSigner.load(tmp_path / "ec.pem")
    with pytest.raises(InputError, match="64 lower-case hex"):
        read_public_key(tmp_path / "text")


def test_repr_shows_no_secret(tmp_path: Path) -> None:
    signer = FileSigner.create(tmp_path / "k.pem")
    assert repr(signer) == f"FileSigner({signer.public.key_id[:12]})"
