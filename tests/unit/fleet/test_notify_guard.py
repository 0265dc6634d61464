from collections.abc import Sequence

import pytest

from edgewright.errors import InputError, TransportError, TrustError
from edgewright.fleet.notify.destination import parse_destination
from edgewright.fleet.notify.guard import Guard, check_named, forbidden

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "::1", "10.0.0.7", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "fd12:3456::1", "198.18.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "2002:7f00:1::", "::127.0.0.1",
]  # fmt: skip
NEVER = [
    "169.254.169.254", "169.254.1.1", "fe80::1", "100.100.100.200", "fd00:ec2::254",
    "192.0.0.192", "168.63.129.16", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::", "::169.254.169.254", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
    "255.255.255.255",
]  # fmt: skip
PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"]


def guard(*addresses: str, named: Sequence[str] = ()) -> Guard:
    return Guard(lambda: named, resolve=lambda _host, _port: addresses)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached(address: str) -> None:
    assert forbidden(address) == ""
    assert guard(address).pin(parse_destination("https://hook.example/x")) == address


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_ones_own_needs_the_operators_word(address: str) -> None:
    destination = parse_destination("https://hook.internal/x")
    with pytest.raises(TrustError, match="not a public address"):
        guard(address).pin(destination)
    assert guard(address, named=["hook.internal"]).pin(destination) == address


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_nobody_stay_refused_whatever_was_named(address: str) -> None:
    with pytest.raises(TrustError):
        guard(address, named=["hook.internal"]).pin(parse_destination("https://hook.internal/x"))


def test_one_bad_address_among_good_ones_is_enough() -> None:
    with pytest.raises(TrustError, match="public"):
        guard("93.184.216.34", "127.0.0.1").pin(parse_destination("https://hook.example/x"))


@pytest.mark.parametrize(
    ("named", "fits"),
    [("hook.internal", True), ("HOOK.internal:8443", True), ("hook.internal:443", False),
     ("internal", False), ("evil-hook.internal", False), ("hook.internal.evil", False)],
)  # fmt: skip
def test_a_named_host_is_that_host_alone(named: str, fits: bool) -> None:
    destination = parse_destination("https://Hook.Internal:8443/x")
    made = guard("10.0.0.7", named=[check_named(named)])
    if fits:
        assert made.pin(destination) == "10.0.0.7"
    else:
        with pytest.raises(TrustError):
            made.pin(destination)


@pytest.mark.parametrize("url", ["http://hook.example/", "mqtt://hook.example/t",
                                 "slack+http://hook.example/"])  # fmt: skip
def test_without_tls_only_a_named_host_is_reached(url: str) -> None:
    destination = parse_destination(url)
    with pytest.raises(TrustError, match="TLS is needed"):
        guard("93.184.216.34").pin(destination)
    assert guard("93.184.216.34", named=["hook.example"]).pin(destination)


def test_a_name_without_an_address_is_tried_later() -> None:
    with pytest.raises(TransportError):
        guard().pin(parse_destination("https://hook.example/"))
    with pytest.raises(TransportError, match="cannot be resolved"):
        Guard(tuple).pin(parse_destination("https://no-such-name.invalid/"))


@pytest.mark.parametrize("text", ["", "a b", "http://a", "a:0", "a:70000", "a/b"])
def test_what_is_no_host_is_not_named(text: str) -> None:
    with pytest.raises(InputError, match="is not a host"):
        check_named(text)


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://a.example/", "file:///etc/passwd", "gopher://a.example/", "https://",
        "https:///x", "https://a:hush@c.example/", "https://user@c.example/", "https://a.example/#x",
        "https://a b.example/", "https://a.example:99999/", "https://a.example/\u00e9",
        "https://a.example/ x", "smtps://m.example", "smtps://m.example?from=a@x.org",
        "smtps://m.example?from=a@x.org&to=nobody", "smtps://m.example?from=a@x.org&to=b@x.org&cc=c@x.org",
        "smtps://m.example?from=a@x.org&to=b@x.org%0d%0aBcc:evil@x.org",
        "smtps://u:hush@m.example?from=a@x.org&to=b@x.org", "mqtts://b.example",
        "mqtts://b.example/%23", "mqtts://b.example/a%2b", "mqtts://b.example/a?x=1",
        "https://" + "a" * 3000 + ".example/",
    ],
)  # fmt: skip
def test_what_is_no_destination_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_destination(url)
    assert "hush" not in str(refused.value)


def test_a_destination_shows_no_path_of_a_webhook() -> None:
    made = parse_destination("slack+https://hooks.example/services/T0/B0/secret?x=1")
    assert (made.path, made.authority) == ("/services/T0/B0/secret?x=1", "hooks.example")
    assert "secret" not in made.shown
    assert parse_destination("mqtts://b.example/fleet/news").shown == (
        "mqtt b.example:8883/fleet/news"
    )
