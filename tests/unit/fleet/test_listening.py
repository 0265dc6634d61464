import pytest

from edgewright.errors import InputError
from edgewright.fleet.listening import Address, parse_address, parse_networks, uses_tls


@pytest.mark.parametrize(
    ("text", "host"),
    [("127.0.0.1:80", "127.0.0.1"), ("localhost:80", "127.0.0.1"), ("[::1]:80", "::1")],
)
def test_loopback_is_taken(text: str, host: str) -> None:
    assert parse_address(text, flag="--listen") == Address(host=host, port=80)
    assert not uses_tls(Address(host=host, port=80), wanted=None, flag="--listen")


@pytest.mark.parametrize(
    "text", ["0.0.0.0:80", "192.168.1.4:80", "[::]:80", "example.org:80", ":80"]
)
def test_what_others_reach_speaks_tls_or_not_at_all(text: str) -> None:
    address = parse_address(text, flag="--listen")
    assert uses_tls(address, wanted=None, flag="--listen")
    with pytest.raises(InputError, match=r"--listen .* on loopback only.*certificate"):
        uses_tls(address, wanted=False, flag="--listen")


def test_a_proxy_is_an_address_or_a_network() -> None:
    assert [str(n) for n in parse_networks(("127.0.0.1", "10.0.0.0/24"))] == [
        "127.0.0.1/32",
        "10.0.0.0/24",
    ]
    with pytest.raises(InputError, match="--trusted-proxy"):
        parse_networks(("anybody",))


@pytest.mark.parametrize("text", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected HOST:PORT"):
        parse_address(text, flag="--listen")
