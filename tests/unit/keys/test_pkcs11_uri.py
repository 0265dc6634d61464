import pytest

from edgewright.errors import InputError
from edgewright.keys.pkcs11_uri import Pkcs11Uri, is_pkcs11


def test_a_uri_as_tools_print_it_is_read() -> None:
    uri = Pkcs11Uri.parsed(
        "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=4d3f;token=our%20keys;"
        "id=%01%ff;object=alice%2F1;type=private?module-path=/usr/lib/p11.so&pin-source=file:/run/pin"
    )
    assert uri == Pkcs11Uri(
        model="SoftHSM v2",
        manufacturer="SoftHSM project",
        serial="4d3f",
        token="our keys",
        id=b"\x01\xff",
        object="alice/1",
        module_path="/usr/lib/p11.so",
        pin_source="file:/run/pin",
    )
    assert uri.text == (
        "pkcs11:token=our%20keys;serial=4d3f;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;"
        "object=alice%2F1;id=%01%ff"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pkcs11:object=alice", "names no token"),
        ("pkcs11:token=KEEPERS", "names no key"),
        ("pkcs11:", "names no token"),
        ("pkcs11:token=a;token=b;object=c", "says token twice"),
        ("pkcs11:token=a;object=b;colour=red", "has no part 'colour'; known: token, serial"),
        ("pkcs11:token=a;object", "has no part 'object'"),
        ("pkcs11:token=a;object=b;type=cert", "means a private key"),
        ("pkcs11:token=%ff;object=b", "no UTF-8"),
        ("alice.key", "named by a pkcs11: URI"),
    ],
)
def test_a_uri_that_says_too_little_or_too_much_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Pkcs11Uri.parsed(text)


def test_a_pin_in_a_uri_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="a PIN does not belong in a pkcs11: URI") as caught:
        Pkcs11Uri.parsed("pkcs11:token=a;object=b?pin-value=hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_path_is_no_uri() -> None:
    assert is_pkcs11("pkcs11:token=a")
    assert not is_pkcs11("keys/pkcs11:token.pem")
