"""Keys in PKCS#11 tokens: smart cards, USB keys, hardware security modules, SoftHSM for tests.

A private key is made inside its token, marked as not extractable, and never leaves it; only what is
to be signed goes in. Every signature is checked with the public half before it is used, because the
two halves are separate objects of the token that somebody may have named alike. Ed25519 is made
where the token knows it, else P-256 on request. The library is loaded into this process.
"""

import contextlib
import hashlib
import secrets
from collections.abc import Iterator

import pkcs11
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as foreign

from edgewright.errors import EdgewrightError, InputError, ResourceError, UnavailableError
from edgewright.keys.pkcs11_uri import Pkcs11Uri
from edgewright.trust import PublicKey
from edgewright.trust.keys import Scheme

_PARAMETERS: dict[Scheme, bytes] = {
    "ed25519": bytes.fromhex("06032b6570"),
    "ecdsa-sha2-nistp256": bytes.fromhex("06082a8648ce3d030107"),
}
_ED25519_BY_NAME = b"\x13\x0cedwards25519"
_GENERATORS: dict[Scheme, tuple[KeyType, Mechanism]] = {
    "ed25519": (KeyType.EC_EDWARDS, Mechanism.EC_EDWARDS_KEY_PAIR_GEN),
    "ecdsa-sha2-nistp256": (KeyType.EC, Mechanism.EC_KEY_PAIR_GEN),
}
_OCTET_STRING = 0x04
_KEY_ID_BYTES = 8

# Who must act on what a token says: branch, what is wrong, the next thing to try. No text of the
# library goes into a message.
_MEANINGS: dict[type[foreign.PKCS11Error], tuple[type[EdgewrightError], str, str]] = {
    foreign.PinIncorrect: (InputError, "the PIN is wrong", "tokens lock after a few wrong tries"),
    foreign.PinLenRange: (InputError, "the PIN is too short or too long", "check the PIN"),
    foreign.PinInvalid: (InputError, "the PIN has characters that it takes not", "check the PIN"),
    foreign.PinExpired: (InputError, "the PIN has expired", "change it with the token's own tool"),
    foreign.PinLocked: (
        ResourceError,
        "it is locked after too many wrong PINs",
        "unlock it with its PUK or SO PIN",
    ),
    foreign.UserPinNotInitialized: (
        InputError,
        "it has no PIN yet",
        "initialise it with the token's own tool",
    ),
    foreign.TokenNotPresent: (UnavailableError, "it was taken out", "plug it in again"),
    foreign.DeviceRemoved: (UnavailableError, "it was taken out", "plug it in again"),
    foreign.MechanismInvalid: (
        UnavailableError,
        "it does not know this kind of key",
        "make a P-256 key: trust keygen --scheme ecdsa-sha2-nistp256",
    ),
    foreign.TokenWriteProtected: (ResourceError, "it is write-protected", "use another token"),
    foreign.DeviceMemory: (ResourceError, "it is full", "delete keys that nobody needs"),
}


class Pkcs11Signer:
    """A private key in a token whose session is open."""

    def __init__(self, uri: Pkcs11Uri, private: pkcs11.PrivateKey, public: PublicKey) -> None:
        self._uri = uri
        self._private = private
        self._public = public

    def __repr__(self) -> str:
        return f"Pkcs11Signer({self._uri.text})"

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    def sign(self, payload: bytes) -> bytes:
        """The signature over these bytes.

        Raises:
            InputError: the token's public key is not the half of this private one.
            ResourceError: the token failed.
        """
        with _foreign_errors(self._uri):
            if self._public.scheme == "ed25519":
                signature = bytes(self._private.sign(payload, mechanism=Mechanism.EDDSA))
            else:
                digest = hashlib.sha256(payload).digest()
                signature = _der(bytes(self._private.sign(digest, mechanism=Mechanism.ECDSA)))
        if not self._public.accepts(signature.hex(), payload):
            raise InputError(
                f"{self._uri.text}: the public key beside it belongs to another private key",
                hint="name the key by its id= as well",
            )
        return signature


@contextlib.contextmanager
def opened_key(uri: Pkcs11Uri, pin: str) -> Iterator[Pkcs11Signer]:
    """The key of a token, for as long as the block lasts.

    Raises:
        UnavailableError: the library or the token is absent.
        InputError: the PIN is wrong, or there is not one such key.
    """
    with _session(uri, pin) as session:
        private = _one(session, uri, ObjectClass.PRIVATE_KEY)
        public = _one(session, uri, ObjectClass.PUBLIC_KEY)
        if not isinstance(private, pkcs11.PrivateKey):
            raise InputError(f"{uri.text}: this key cannot sign", hint="make one: trust keygen")
        with _foreign_errors(uri):
            found = _public(uri, public)
        yield Pkcs11Signer(uri, private, found)


def read_public_key(uri: Pkcs11Uri) -> PublicKey:
    """The public half of a key, which a token shows without a PIN.

    Raises:
        UnavailableError: the library or the token is absent.
        InputError: there is not one such key.
    """
    with _session(uri, None) as session:
        public = _one(session, uri, ObjectClass.PUBLIC_KEY)
        with _foreign_errors(uri):
            return _public(uri, public)


def make_key(uri: Pkcs11Uri, pin: str, *, scheme: Scheme = "ed25519") -> PublicKey:
    """A new key pair inside the token; its public half.

    Raises:
        InputError: the URI gives it no name, or the token has a key of that name already.
        UnavailableError: the library or the token is absent, or knows no such keys.
    """
    if not uri.object:
        raise InputError(f"{uri.text}: a new key needs a name", hint="add object=NAME to the URI")
    kind, mechanism = _GENERATORS[scheme]
    with _session(uri, pin, is_writable=True) as session, _foreign_errors(uri):
        if list(session.get_objects({Attribute.LABEL: uri.object})):
            raise InputError(
                f"{uri.text}: the token has an object of that name already",
                hint="choose another name; a key is never replaced",
            )
        parameters = session.create_domain_parameters(
            kind, {Attribute.EC_PARAMS: _PARAMETERS[scheme]}, local=True
        )
        public, _ = parameters.generate_keypair(
            label=uri.object,
            id=uri.id or secrets.token_bytes(_KEY_ID_BYTES),
            store=True,
            capabilities=pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
            mechanism=mechanism,
            private_template={
                Attribute.PRIVATE: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
            },
        )
        return _public(uri, public)


@contextlib.contextmanager
def _session(
    uri: Pkcs11Uri, pin: str | None, *, is_writable: bool = False
) -> Iterator[pkcs11.Session]:
    token = _token(uri)
    with _foreign_errors(uri):
        session = token.open(rw=is_writable, user_pin=pin)
    try:
        yield session
    finally:
        session.close()


def _token(uri: Pkcs11Uri) -> pkcs11.Token:
    if not uri.module_path:
        raise InputError(
            f"{uri.text}: which library speaks to the token?",
            hint="add ?module-path=/path/to/library.so, or set EDGEWRIGHT_PKCS11_MODULE",
        )
    try:
        library = pkcs11.lib(uri.module_path)
    except foreign.PKCS11Error as error:
        raise UnavailableError(
            f"{uri.module_path} is no PKCS#11 library that can be loaded",
            hint="install the token's driver (Debian: softhsm2, opensc), and check the path",
        ) from error
    with _foreign_errors(uri):
        tokens = [token for token in library.get_tokens() if _is_meant(token, uri)]
    if not tokens:
        raise UnavailableError(
            f"{uri.text}: no such token is plugged in",
            hint="list them with: pkcs11-tool --module LIBRARY --list-token-slots",
        )
    if len(tokens) > 1:
        raise InputError(
            f"{uri.text}: {len(tokens)} tokens are called so", hint="add serial= to the URI"
        )
    return tokens[0]


def _is_meant(token: pkcs11.Token, uri: Pkcs11Uri) -> bool:
    """What the URI says of the token holds; what it does not say may be anything."""
    pairs = (
        (uri.token, token.label),
        (uri.serial, token.serial.decode(errors="replace").strip()),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
    )
    return all(wanted in ("", got) for wanted, got in pairs)


def _one(session: pkcs11.Session, uri: Pkcs11Uri, kind: ObjectClass) -> pkcs11.Key:
    half = "public" if kind is ObjectClass.PUBLIC_KEY else "private"
    with _foreign_errors(uri):
        try:
            return session.get_key(object_class=kind, label=uri.object or None, id=uri.id or None)
        except foreign.NoSuchKey as error:
            raise InputError(
                f"{uri.text}: the token has no {half} key of that name",
                hint="list them with: pkcs11-tool --module LIBRARY --login --list-objects",
            ) from error
        except foreign.MultipleObjectsReturned as error:
            raise InputError(
                f"{uri.text}: the token has several {half} keys of that name",
                hint="name one by its id=",
            ) from error


def _public(uri: Pkcs11Uri, key: pkcs11.Key) -> PublicKey:
    """The public half as this house writes it."""
    try:
        parameters, point = bytes(key[Attribute.EC_PARAMS]), bytes(key[Attribute.EC_POINT])
        content = _unwrapped(point)
        if parameters in (_PARAMETERS["ed25519"], _ED25519_BY_NAME):
            return PublicKey(public_hex=content.hex())
        if parameters == _PARAMETERS["ecdsa-sha2-nistp256"]:
            return PublicKey(public_hex=content.hex(), scheme="ecdsa-sha2-nistp256")
    except (foreign.AttributeTypeInvalid, ValueError) as error:
        raise _wrong_kind(uri) from error
    raise _wrong_kind(uri)


def _wrong_kind(uri: Pkcs11Uri) -> InputError:
    return InputError(
        f"{uri.text}: expected an Ed25519 or a P-256 key, the token has another kind",
        hint="make one: trust keygen",
    )


def _unwrapped(point: bytes) -> bytes:
    """A point is an octet string in DER, but some tokens give it bare."""
    is_wrapped = len(point) in (34, 67) and point[0] == _OCTET_STRING and point[1] == len(point) - 2
    return point[2:] if is_wrapped else point


def _der(pair: bytes) -> bytes:
    """A token's two numbers side by side, as the rest of the world writes a signature."""
    half = len(pair) // 2
    return encode_dss_signature(
        int.from_bytes(pair[:half], "big"), int.from_bytes(pair[half:], "big")
    )


@contextlib.contextmanager
def _foreign_errors(uri: Pkcs11Uri) -> Iterator[None]:
    try:
        yield
    except foreign.PKCS11Error as error:
        unknown = (
            ResourceError,
            f"the token failed ({type(error).__name__})",
            "try the token's own tool, such as pkcs11-tool --test",
        )
        branch, wrong, hint = _MEANINGS.get(type(error), unknown)
        raise branch(f"{uri.text}: {wrong}", hint=hint) from error
