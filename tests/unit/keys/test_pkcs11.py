"""Keys in tokens, against SoftHSM."""

import uuid
from typing import TYPE_CHECKING

import pytest
from tests.tokens import PIN, Tokens, tokens

from edgewright.errors import InputError, UnavailableError
from edgewright.keys.pkcs11_uri import Pkcs11Uri
from edgewright.trust import Signature, TrustedKeys, verify_payload
from edgewright.trust.keys import Scheme

if TYPE_CHECKING:
    from edgewright.keys.pkcs11 import Pkcs11Signer

__all__ = ["tokens"]

SCHEMES: tuple[Scheme, ...] = ("ed25519", "ecdsa-sha2-nistp256")


@pytest.fixture
def uri(tokens: Tokens) -> Pkcs11Uri:
    return Pkcs11Uri.parsed(tokens.uri(f"key-{uuid.uuid4().hex[:8]}"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_key_made_in_a_token_signs_what_anybody_can_check(uri: Pkcs11Uri, scheme: Scheme) -> None:
    from edgewright.keys import pkcs11

    made = pkcs11.make_key(uri, PIN, scheme=scheme)
    assert made.scheme == scheme
    assert pkcs11.read_public_key(uri) == made
    trusted = TrustedKeys(threshold=1, keys=(made,))
    with pkcs11.opened_key(uri, PIN) as signer:
        for payload in (b"", b"payload", bytes(100_000)):
            assert verify_payload(payload, [Signature.of(signer, payload)], trusted)
        assert repr(signer) == f"Pkcs11Signer({uri.text})"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_private_key_cannot_be_read_out(uri: Pkcs11Uri, scheme: Scheme) -> None:
    import pkcs11 as library

    from edgewright.keys import pkcs11

    pkcs11.make_key(uri, PIN, scheme=scheme)
    token = library.lib(uri.module_path).get_token(token_label=uri.token)
    with token.open(user_pin=PIN) as session:
        private = session.get_key(object_class=library.ObjectClass.PRIVATE_KEY, label=uri.object)
        assert private[library.Attribute.EXTRACTABLE] is False
        with pytest.raises(library.AttributeSensitive):
            private[library.Attribute.VALUE]


def test_a_key_is_found_by_its_id_alone(tokens: Tokens, uri: Pkcs11Uri) -> None:
    from edgewright.keys import pkcs11

    named = Pkcs11Uri(**{**as_fields(uri), "id": uuid.uuid4().bytes})
    made = pkcs11.make_key(named, PIN)
    by_id = Pkcs11Uri(**{**as_fields(named), "object": ""})
    with pkcs11.opened_key(by_id, PIN) as signer:
        assert signer.public == made


def as_fields(uri: Pkcs11Uri) -> dict[str, object]:
    return {name: getattr(uri, name) for name in uri.__struct_fields__}


def test_a_key_is_never_replaced(uri: Pkcs11Uri) -> None:
    from edgewright.keys import pkcs11

    made = pkcs11.make_key(uri, PIN)
    with pytest.raises(InputError, match="has an object of that name already"):
        pkcs11.make_key(uri, PIN)
    assert pkcs11.read_public_key(uri) == made


def test_a_wrong_pin_is_refused_and_not_repeated(uri: Pkcs11Uri) -> None:
    from edgewright.keys import pkcs11

    pkcs11.make_key(uri, PIN)
    for pin, words in (("99999999", "the PIN is wrong"), ("1", "the PIN is (wrong|too short)")):
        with pytest.raises(InputError, match=words) as caught, pkcs11.opened_key(uri, pin):
            pytest.fail("opened with a wrong PIN")
        assert "9999" not in str(caught.value)
    with pkcs11.opened_key(uri, PIN) as signer:
        assert signer.sign(b"still good")


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"token": "LOST"}, UnavailableError, "no such token is plugged in"),
        ({"serial": "ffff"}, UnavailableError, "no such token is plugged in"),
        ({"model": "other"}, UnavailableError, "no such token is plugged in"),
        ({"token": "TWIN"}, InputError, "2 tokens are called so; add serial="),
        ({"object": "nobody"}, InputError, "the token has no private key of that name"),
        ({"module_path": "/usr/lib/no.so"}, UnavailableError, "no PKCS#11 library"),
        ({"module_path": "/etc/hostname"}, UnavailableError, "no PKCS#11 library"),
        ({"module_path": ""}, InputError, "which library speaks to the token"),
    ],
    ids=["token", "serial", "model", "twins", "key", "library", "no-library", "unsaid"],
)
def test_what_is_absent_or_unclear_is_named(
    uri: Pkcs11Uri, changed: dict[str, str], error: type[Exception], words: str
) -> None:
    from edgewright.keys import pkcs11

    asked = Pkcs11Uri(**{**as_fields(uri), **changed})
    with pytest.raises(error, match=words), pkcs11.opened_key(asked, PIN):
        pytest.fail("opened")


def test_a_public_key_of_another_private_one_is_noticed(uri: Pkcs11Uri) -> None:
    import pkcs11 as library

    from edgewright.keys import pkcs11

    other = Pkcs11Uri(**{**as_fields(uri), "object": f"{uri.object}-other"})
    pkcs11.make_key(uri, PIN)
    pkcs11.make_key(other, PIN)
    token = library.lib(uri.module_path).get_token(token_label=uri.token)
    with token.open(rw=True, user_pin=PIN) as session:
        kind = library.ObjectClass.PUBLIC_KEY
        session.get_key(object_class=kind, label=uri.object).destroy()
        stray = session.get_key(object_class=kind, label=other.object)
        stray[library.Attribute.LABEL] = uri.object
    with pkcs11.opened_key(uri, PIN) as signer:
        assert_refused(signer)


def assert_refused(signer: "Pkcs11Signer") -> None:
    with pytest.raises(InputError, match="belongs to another private key"):
        signer.sign(b"payload")


def test_a_key_of_another_kind_is_refused(uri: Pkcs11Uri) -> None:
    import pkcs11 as library

    from edgewright.keys import pkcs11

    token = library.lib(uri.module_path).get_token(token_label=uri.token)
    with token.open(rw=True, user_pin=PIN) as session:
        session.generate_keypair(library.KeyType.RSA, 2048, store=True, label=uri.object)
    with pytest.raises(InputError, match="expected an Ed25519 or a P-256 key"):
        pkcs11.read_public_key(uri)
    with pytest.raises(InputError, match="expected an Ed25519 or a P-256 key"), \
            pkcs11.opened_key(uri, PIN):  # fmt: skip
        pytest.fail("opened")
