import pytest

from edgewright.errors import InputError
from edgewright.fleet.listening import Address, parse_loopback


@pytest.mark.parametrize(
    ("text", "host"),
    [("127.0.0.1:80", "127.0.0.1"), ("localhost:80", "127.0.0.1"), ("[::1]:80", "::1")],
)
def test_loopback_is_taken(text: str, host: str) -> None:
    assert parse_loopback(text, flag="--listen") == Address(host=host, port=80)


@pytest.mark.parametrize(
    "text", ["0.0.0.0:80", "192.168.1.4:80", "[::]:80", "example.org:80", ":80"]
)
def test_what_others_reach_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(InputError, match=r"--listen .* on loopback only.*certificate"):
        parse_loopback(text, flag="--listen")


@pytest.mark.parametrize("text", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected HOST:PORT"):
        parse_loopback(text, flag="--listen")
