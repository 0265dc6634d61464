"""Keys and secrets in a TPM, against swtpm. Register 16 is the one that a test may reset."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tokens import SoftTpm, soft_tpm

from edgewright.errors import InputError, ResourceError, TrustError, UnavailableError
from edgewright.keys.tpm2 import SECRET_LIMIT_BYTES, Sealed, Tpm, TpmSigner
from edgewright.trust import Signature, TrustedKeys, verify_payload
from edgewright.trust.quote import QuotePolicy, require_quote

__all__ = ["soft_tpm"]

PCR = 16
SECRET = b"the disk's own key"


@pytest.fixture
def chip(soft_tpm: SoftTpm) -> Iterator[SoftTpm]:
    soft_tpm.reset(PCR)
    yield soft_tpm
    soft_tpm.reset(PCR)


@pytest.fixture
def tpm(chip: SoftTpm) -> Tpm:
    return Tpm(chip.tcti)


def test_a_key_made_in_the_tpm_signs_what_anybody_can_check(tpm: Tpm) -> None:
    key = Sealed.read(tpm.make_key().content)
    signer = TpmSigner(tpm, key)
    trusted = TrustedKeys(threshold=1, keys=(signer.public,))
    for payload in (b"payload", bytes(100_000)):
        assert verify_payload(payload, [Signature.of(signer, payload)], trusted)
    assert repr(signer) == f"TpmSigner({signer.public.key_id[:12]})"


def test_a_key_is_worth_nothing_to_another_tpm(tpm: Tpm, tmp_path: Path) -> None:
    key = tpm.make_key()
    other = SoftTpm(tmp_path / "other")
    try:
        with pytest.raises(InputError, match="made by another TPM"):
            Tpm(other.tcti).public(key)
    finally:
        other.stop()


def test_an_attestation_key_signs_nothing_that_the_tpm_did_not_write(tpm: Tpm) -> None:
    key = tpm.make_key("attestation")
    with pytest.raises(ResourceError, match="tpm2_sign failed"):
        tpm.sign(key, b"\xff\x54\x43\x47 made up")


def test_a_secret_comes_out_only_while_the_registers_are_what_they_were(
    chip: SoftTpm, tpm: Tpm
) -> None:
    sealed = Sealed.read(tpm.seal(SECRET, pcrs=[PCR]).content)
    assert sealed.pcrs == (PCR,)
    assert SECRET not in sealed.content
    assert tpm.unseal(sealed) == SECRET
    chip.extend(PCR, "another kernel")
    with pytest.raises(TrustError, match="started something else"):
        tpm.unseal(sealed)
    chip.reset(PCR)
    assert tpm.unseal(sealed) == SECRET


def test_what_a_tpm_cannot_seal_is_refused(tpm: Tpm) -> None:
    for secret in (b"", bytes(SECRET_LIMIT_BYTES + 1)):
        with pytest.raises(InputError, match="a TPM seals 1 to 128 bytes"):
            tpm.seal(secret, pcrs=[PCR])
    for pcrs in ([], [24], [-1, 7]):
        with pytest.raises(InputError, match="expected some of 0 to 23"):
            tpm.seal(SECRET, pcrs=pcrs)
    assert tpm.unseal(tpm.seal(bytes(SECRET_LIMIT_BYTES), pcrs=[PCR])) == bytes(SECRET_LIMIT_BYTES)


def test_a_key_does_not_come_out(tpm: Tpm) -> None:
    with pytest.raises(InputError, match="a key, which never comes out"):
        tpm.unseal(tpm.make_key())


def test_a_quote_of_the_tpm_is_believed_and_an_old_one_is_not(chip: SoftTpm, tpm: Tpm) -> None:
    key = tpm.make_key("attestation")
    chip.extend(PCR, "our kernel")
    good = tpm.pcrs([PCR, 0])
    policy = QuotePolicy(pcrs={number: (value,) for number, value in good.items()})
    quote = tpm.quote(key, asked=b"question 1", pcrs=[0, PCR])
    require_quote(quote, asked=b"question 1", policy=policy)
    with pytest.raises(TrustError, match="answers another question"):
        require_quote(quote, asked=b"question 2", policy=policy)
    chip.extend(PCR, "a rootkit")
    later = tpm.quote(key, asked=b"question 2", pcrs=[0, PCR])
    with pytest.raises(TrustError, match=r"register 16 is .*, which is not allowed"):
        require_quote(later, asked=b"question 2", policy=policy)


def test_no_tpm_and_no_programs_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, chip: SoftTpm
) -> None:
    with pytest.raises(UnavailableError, match="no TPM answers; check /dev/tpmrm0"):
        Tpm("swtpm:host=127.0.0.1,port=1").pcrs([0])
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        with pytest.raises(UnavailableError, match="tpm2_pcrread, which is not installed"):
            Tpm(chip.tcti).pcrs([0])


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"kind":"sealed","format":2}'])
def test_another_file_is_no_key(content: bytes) -> None:
    with pytest.raises(InputError, match="not a TPM's key or secret"):
        Sealed.read(content)
