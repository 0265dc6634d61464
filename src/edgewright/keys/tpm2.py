"""A machine's TPM 2.0: keys that never leave it, secrets that it gives back only to the same boot,
and its word about what was started.

It is spoken to by the programs of tpm2-tools, each doing one thing (ADR 21 says why). Nothing is
stored in the TPM: a key or a secret is a pair of areas that only this TPM can use, kept in a file
like any other; everything hangs from a primary key that the TPM makes again from its own seed. A
secret goes in by standard input and comes out by standard output, never by an argument or a file.
Keys are on the curve P-256, the one that every TPM 2.0 knows.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives import serialization

from edgewright.errors import (
    EdgewrightError,
    InputError,
    ResourceError,
    TrustError,
    UnavailableError,
)
from edgewright.trust import PublicKey
from edgewright.trust.curves import public_key_of
from edgewright.trust.quote import PCR_COUNT, Credential, Quote

SECRET_LIMIT_BYTES = 128
TIMEOUT_S = 60.0

Kind = Literal["signing", "attestation", "sealed"]

_ALGORITHM = "ecc256:ecdsa-sha256:null"
_COMMON = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth"
_ATTRIBUTES = {"signing": f"{_COMMON}|sign", "attestation": f"{_COMMON}|restricted|sign"}

_CERTIFICATE_PLACE = "0x01c00002"
"""Where every maker keeps the certificate of the RSA 2048 key (TCG EK Credential Profile)."""
_CREDENTIAL_HEAD = bytes.fromhex("badcc0de00000001")  # of tpm2-tools' files

# What the programs say on standard error, and who must act on it. Their text is not repeated: it
# is long, and differs between versions.
_MEANINGS: tuple[tuple[str, type[EdgewrightError], str, str], ...] = (
    (
        "policy check failed",
        TrustError,
        "this machine started something else than when the secret was sealed",
        "compare the registers: edgewright agent tpm show; after an update seal it again",
    ),
    (
        "tcti",
        UnavailableError,
        "no TPM answers",
        "check /dev/tpmrm0 and its group (tss), or set TPM2TOOLS_TCTI",
    ),
    (
        "integrity check failed",
        InputError,
        "this was made by another TPM, or the TPM was cleared",
        "make it again on this machine",
    ),
    (
        "lockout",
        ResourceError,
        "the TPM is locked",
        "wait, or clear its lockout: tpm2_dictionarylockout",
    ),
)


class Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key or a secret as only its TPM can use it; `pcrs` are the registers that a secret is bound
    to.
    """

    kind: Kind
    public_area: bytes
    private_area: bytes
    pcrs: tuple[int, ...] = ()
    format: Literal[1] = 1

    @classmethod
    def read(cls, content: bytes) -> "Sealed":
        """From a file's content.

        Raises:
            InputError: it is something else.
        """
        try:
            return msgspec.json.decode(content, type=cls)
        except msgspec.DecodeError as error:
            raise InputError(
                f"not a TPM's key or secret: {error}", hint="make one: edgewright agent tpm"
            ) from error

    @property
    def area(self) -> bytes:
        """The public area without its size (TPMT_PUBLIC): what the TPM's name for it is of."""
        return self.public_area[2:]

    @property
    def content(self) -> bytes:
        """As a file's content."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"


class Tpm:
    """The TPM of this machine, or the one that a TCTI names (`swtpm:port=2321`)."""

    def __init__(self, tcti: str = "") -> None:
        self._tcti = tcti

    def make_key(self, kind: Literal["signing", "attestation"] = "signing") -> Sealed:
        """A new key. One for attestation signs what the TPM itself wrote and nothing else.

        Raises:
            UnavailableError: no TPM, or the programs are absent.
        """
        with self._bench() as bench:
            return bench.created(kind, ["-G", _ALGORITHM, "-a", _ATTRIBUTES[kind]])

    def public(self, key: Sealed) -> PublicKey:
        """The public half of a key.

        Raises:
            InputError: another TPM made it.
        """
        with self._bench() as bench:
            return bench.public(bench.loaded(key))

    def sign(self, key: Sealed, payload: bytes) -> bytes:
        """The signature of a signing key over these bytes."""
        with self._bench() as bench:
            loaded, path = bench.loaded(key), bench.file("payload", payload)
            words = ["-c", loaded, "-g", "sha256", "-s", "ecdsa", "-f", "plain", "-o"]
            bench.run("tpm2_sign", *words, bench.path("signature"), path)
            return bench.read("signature")

    def seal(self, secret: bytes, *, pcrs: Sequence[int]) -> Sealed:
        """A secret that comes out only while these registers are what they are now.

        Raises:
            InputError: the secret is empty or too long, or no register is named.
        """
        if not 1 <= len(secret) <= SECRET_LIMIT_BYTES:
            raise InputError(
                f"a TPM seals 1 to {SECRET_LIMIT_BYTES} bytes, got {len(secret)}",
                hint="seal a key, and encrypt the rest with it",
            )
        selection = _selection(pcrs)
        with self._bench() as bench:
            policy = bench.path("policy")
            bench.run("tpm2_createpolicy", "--policy-pcr", "-l", selection, "-L", policy)
            words = ["-L", policy, "-a", "fixedtpm|fixedparent", "-i", "-"]
            made = bench.created("sealed", words, stdin=secret)
        return msgspec.structs.replace(made, pcrs=tuple(sorted(pcrs)))

    def unseal(self, sealed: Sealed) -> bytes:
        """The secret.

        Raises:
            TrustError: a register is not what it was.
            InputError: it is a key, or another TPM made it.
        """
        if sealed.kind != "sealed":
            raise InputError("this is a key, which never comes out", hint="sign with it")
        with self._bench() as bench:
            loaded = bench.loaded(sealed)
            return bench.run("tpm2_unseal", "-c", loaded, "-p", f"pcr:{_selection(sealed.pcrs)}")

    def pcrs(self, numbers: Sequence[int]) -> dict[int, str]:
        """What registers of the SHA-256 bank hold now."""
        with self._bench() as bench:
            return bench.pcrs(numbers)

    def quote(self, key: Sealed, *, asked: bytes, pcrs: Sequence[int]) -> Quote:
        """The TPM's word about these registers, for the one who asked."""
        with self._bench() as bench:
            loaded = bench.loaded(key)
            bench.run(
                *("tpm2_quote", "-c", loaded, "-l", _selection(pcrs), "-q", asked.hex()),
                *("-g", "sha256", "-f", "plain"),
                *("-m", bench.path("attested"), "-s", bench.path("signature")),
            )
            return Quote(
                key=bench.public(loaded),
                attested_hex=bench.read("attested").hex(),
                signature_hex=bench.read("signature").hex(),
                pcrs=bench.pcrs(pcrs),
            )

    def endorsement(self) -> bytes:
        """The maker's certificate of this chip (DER), for its RSA endorsement key.

        Raises:
            UnavailableError: the chip carries none.
        """
        with self._bench() as bench:
            try:
                return _der_of(bench.run("tpm2_nvread", "-C", "o", _CERTIFICATE_PLACE))
            except ResourceError as error:
                raise UnavailableError(
                    "this TPM carries no certificate of its maker",
                    hint="enrol with a fleet that lists TPM keys: edgewright agent tpm show",
                ) from error

    def opened(self, key: Sealed, credential: Credential) -> bytes:
        """The secret that was wrapped for this chip and this key.

        Raises:
            TrustError: it was wrapped for another one.
        """
        file = b"".join(
            (_CREDENTIAL_HEAD, *map(bytes.fromhex, (credential.blob_hex, credential.seed_hex)))
        )
        with self._bench() as bench:
            loaded = bench.loaded(key)
            try:
                return bench.opened(loaded, bench.file("credential", file))
            except (ResourceError, InputError) as error:
                raise TrustError(
                    "the fleet's secret was wrapped for another TPM than this one",
                    hint="its certificate is of another chip; show it: tpm2_getekcertificate",
                ) from error

    @contextlib.contextmanager
    def _bench(self) -> Iterator["_Bench"]:
        with tempfile.TemporaryDirectory(prefix="edgewright-tpm-") as folder:
            yield _Bench(Path(folder), self._tcti)


class TpmSigner:
    """A signing key of a TPM, as a `trust.Signer`."""

    def __init__(self, tpm: Tpm, key: Sealed) -> None:
        self._tpm = tpm
        self._key = key
        self._public = tpm.public(key)

    def __repr__(self) -> str:
        return f"TpmSigner({self._public.key_id[:12]})"

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    def sign(self, payload: bytes) -> bytes:
        """The signature over these bytes."""
        return self._tpm.sign(self._key, payload)


class _Bench:
    """A folder for one piece of work, and the programs that work in it."""

    def __init__(self, folder: Path, tcti: str) -> None:
        self._folder = folder
        self._env = {**os.environ, **({"TPM2TOOLS_TCTI": tcti} if tcti else {})}

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def file(self, name: str, content: bytes) -> str:
        (self._folder / name).write_bytes(content)
        return self.path(name)

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def run(self, program: str, *words: str, stdin: bytes = b"") -> bytes:
        """One program's output. What it loaded is let go at once: a TPM holds three objects."""
        output = self._run(program, *words, stdin=stdin)
        self._run("tpm2_flushcontext", "-t")
        return output

    def created(self, kind: Kind, words: list[str], *, stdin: bytes = b"") -> Sealed:
        public, private = self.path("new.pub"), self.path("new.priv")
        places = ["-C", self._primary(), "-u", public, "-r", private]
        self.run("tpm2_create", "-Q", *places, *words, stdin=stdin)
        return Sealed(
            kind=kind, public_area=self.read("new.pub"), private_area=self.read("new.priv")
        )

    def loaded(self, sealed: Sealed) -> str:
        areas = (
            *("-u", self.file("old.pub", sealed.public_area)),
            *("-r", self.file("old.priv", sealed.private_area)),
        )
        self.run("tpm2_load", "-Q", "-C", self._primary(), *areas, "-c", self.path("loaded"))
        return self.path("loaded")

    def opened(self, loaded: str, credential: str) -> bytes:
        """Opened by the key that the maker certified, which the TPM makes again from its seed."""
        endorsement, session = self.path("endorsement"), self.path("session")
        self.run("tpm2_createek", "-Q", "-G", "rsa", "-c", endorsement)
        self.run("tpm2_startauthsession", "--policy-session", "-S", session)
        try:
            self.run("tpm2_policysecret", "-Q", "-S", session, "-c", "e")
            self.run(
                *("tpm2_activatecredential", "-Q", "-c", loaded, "-C", endorsement),
                *("-P", f"session:{session}", "-i", credential, "-o", self.path("secret")),
            )
        finally:
            self._run("tpm2_flushcontext", session)
        return self.read("secret")

    def public(self, loaded: str) -> PublicKey:
        self.run("tpm2_readpublic", "-Q", "-c", loaded, "-f", "pem", "-o", self.path("pem"))
        return public_key_of(serialization.load_pem_public_key(self.read("pem")))

    def pcrs(self, numbers: Sequence[int]) -> dict[int, str]:
        self.run("tpm2_pcrread", "-Q", _selection(numbers), "-o", self.path("pcrs"))
        values = self.read("pcrs").hex()
        ordered = sorted(set(numbers))
        if len(values) != 64 * len(ordered):
            raise UnavailableError(
                "the TPM has no SHA-256 registers", hint="switch that bank on in the firmware"
            )
        return {number: values[64 * at : 64 * at + 64] for at, number in enumerate(ordered)}

    def _primary(self) -> str:
        if not (self._folder / "primary").exists():
            words = ("-Q", "-C", "o", "-G", "ecc256", "-g", "sha256", "-c", self.path("primary"))
            self.run("tpm2_createprimary", *words)
        return self.path("primary")

    def _run(self, program: str, *words: str, stdin: bytes = b"") -> bytes:
        found = shutil.which(program)
        if found is None:
            raise UnavailableError(
                f"this needs {program}, which is not installed",
                hint="install tpm2-tools (Debian: apt install tpm2-tools)",
            )
        try:
            done = subprocess.run(
                [found, *words],
                input=stdin,
                capture_output=True,
                env=self._env,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(
                f"the TPM did not answer {program} in {TIMEOUT_S:g} s", hint="check dmesg"
            ) from error
        if done.returncode:
            raise _failure(program, done.stderr.decode(errors="replace"))
        return done.stdout


def _failure(program: str, said: str) -> EdgewrightError:
    for words, branch, wrong, hint in _MEANINGS:
        if words in said.lower():
            return branch(wrong, hint=hint)
    last = (said.strip().splitlines() or ["no word"])[-1]
    return ResourceError(f"{program} failed: {last[:200]}", hint="try tpm2_getcap properties-fixed")


def _der_of(content: bytes) -> bytes:
    """The certificate in a place of the TPM that may be larger than it."""
    if len(content) > 4 and content[:2] == b"\x30\x82":
        return content[: 4 + int.from_bytes(content[2:4], "big")]
    return content


def _selection(numbers: Sequence[int]) -> str:
    if not numbers or not all(0 <= number < PCR_COUNT for number in numbers):
        raise InputError(
            f"registers {', '.join(map(str, numbers)) or 'none'}: expected some of 0 to "
            f"{PCR_COUNT - 1}",
            hint="name them with --pcr",
        )
    return "sha256:" + ",".join(map(str, sorted(set(numbers))))
