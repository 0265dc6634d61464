"""How a device gets its identity and the roots of whom it trusts."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import msgspec

from edgewright import _fs
from edgewright.chain.device_tpm import DeviceTpm
from edgewright.clock import SystemClock
from edgewright.device.agent import (
    DeviceCertificate,
    FleetClient,
    Home,
    Identity,
    Roots,
    local_timezone,
    unverified_context,
)
from edgewright.errors import InputError, TransportError, TrustError
from edgewright.keys.file import read_public_key
from edgewright.transports.http1 import Client, is_unknown_issuer
from edgewright.trust import PublicKey, TrustedKeys
from edgewright.trust.keys import Scheme
from edgewright.trust.metadata import MetadataLimits, TrustedSet
from edgewright.wire.device_api import AUTHORITY, EnrollReply, EnrollRequest

_TOKEN_BYTES = 4096
AUTHORITY_LIMIT_BYTES = 64 << 10


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """By what a device wants to be let in, under which name, and whom it expects there."""

    token: str
    device: str
    labels: dict[str, str] = {}
    authority: Path | None = None
    image_root: Path | None = None
    tpm: bool = False


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """What came of enrolling, without the secret."""

    device: str
    fleet_url: str
    key_ids: tuple[str, ...]
    threshold: int
    anchor: Literal["repositories", "keys"] = "keys"


def enroll(
    url: str,
    *,
    token: str,
    home: Path,
    device: str,
    labels: dict[str, str],
    authority: Path | None = None,
    image_root: Path | None = None,
    tpm: bool = False,
) -> Enrolment:
    """`enroll_with`, outside an event loop."""
    wish = Wish(
        token=token,
        device=device,
        labels=labels,
        authority=authority,
        image_root=image_root,
        tpm=tpm,
    )
    return asyncio.run(enroll_with(url, wish, Home(home.absolute())))


async def enroll_with(url: str, wish: Wish, place: Home) -> Enrolment:
    """Swap a token for an identity and plant the roots of the fleet's repositories. Over https the
    identity is a key that is made here and a certificate that the fleet signs; whose certificate
    the fleet itself must show is in the token, in a file, or known to the system. With an
    `image_root` that came by another way, the fleet must give a root that follows it. With `tpm`
    this machine's TPM answers the fleet's challenge, about this name and this request.

    Raises:
        InputError: the token is not good, or the home belongs to an enrolled agent already.
        TrustError: the fleet is not the one that the token is of, or its root not the expected one.
        TransportError: the fleet did not answer, or a person there has yet to approve.
    """
    _require_new(place)
    request = EnrollRequest(
        token=wish.token.partition(".")[0],
        device=wish.device,
        labels=wish.labels,
        timezone=local_timezone(),
        recipient=place.recipient().text,
    )
    certificate = DeviceCertificate(place.root)
    if url.startswith("https:"):
        await _believe(url, certificate, wish.token, wish.authority)
        csr = certificate.signing_request(wish.device)
        request = msgspec.structs.replace(request, csr=csr)
    prover = DeviceTpm(place.root) if wish.tpm else None
    with _told_of_authority(wish):
        reply = await _enrolled(url, request, certificate, prover)
    if reply.certificate:
        certificate.save(reply.certificate, reply.authority)
    anchor = _anchor_from(reply, wish.image_root)
    identity = Identity(device=reply.device, fleet_url=url, secret=reply.secret)
    place.save_enrolment(identity, anchor)
    return _enrolment(identity, anchor)


def read_token(file: Path) -> str:
    """A token that stands in a file, or comes by stdin (`-`): arguments are everybody's to read.

    Raises:
        InputError: there is none.
    """
    text = (
        sys.stdin.readline()
        if str(file) == "-"
        else _fs.read_limited(file, limit_bytes=_TOKEN_BYTES).decode(errors="replace")
    )
    if not text.strip():
        raise InputError(f"{file}: no token there", hint="`edgewright device token` prints one")
    return text.strip()


def enroll_by_roots(
    home: Path, *, device: str, image_root: Path, director_root: Path | None = None
) -> Enrolment:
    """Plant roots from files, for a device that no fleet will reach: it takes air-gap files.

    Raises:
        TrustError: a file is no root, or not signed by its own keys.
        InputError: no such file, or the home belongs to an enrolled agent already.
    """
    _require_new(Home(home.absolute()))
    director = _read_root(director_root) if director_root else None
    anchor = Roots(image=_read_root(image_root), director=director)
    identity = Identity(device=device)
    Home(home.absolute()).save_enrolment(identity, anchor)
    return _enrolment(identity, anchor)


def enroll_offline(
    home: Path, *, device: str, keys: Sequence[Path], threshold: int = 1
) -> Enrolment:
    """Pin keys from files, for a device that no fleet will reach.

    Raises:
        InputError: a file is no public key, or the home belongs to an enrolled agent already.
    """
    _require_new(Home(home.absolute()))
    try:
        pinned = TrustedKeys(threshold=threshold, keys=tuple(read_public_key(key) for key in keys))
    except ValueError as error:
        raise InputError(str(error), hint="give each key once, as many as the threshold") from error
    identity = Identity(device=device)
    Home(home.absolute()).save_enrolment(identity, pinned)
    return _enrolment(identity, pinned)


async def _believe(
    url: str, certificate: DeviceCertificate, token: str, authority: Path | None
) -> None:
    """Find out which authority the fleet's name is behind, and make sure that it is that one."""
    pin = token.partition(".")[2]
    if authority is not None:
        pem = _fs.read_limited(authority, limit_bytes=AUTHORITY_LIMIT_BYTES)
        certificate.trust_authority(pem, fingerprint=pin)
    elif pin:
        async with Client(url, tls=unverified_context()) as client:
            answer = await client.request("GET", AUTHORITY)
        if answer.status != 200:
            raise TrustError(
                f"{url} shows no authority (status {answer.status}), the token promised one",
                hint="check the address",
            )
        certificate.trust_authority(answer.body, fingerprint=pin)


@contextlib.contextmanager
def _told_of_authority(wish: Wish) -> Iterator[None]:
    """A fleet with an authority of its own is not believed without a word on it: say how."""
    try:
        yield
    except TransportError as error:
        has_word = wish.authority is not None or "." in wish.token
        if has_word or not is_unknown_issuer(error.__cause__):
            raise
        raise TransportError(
            error.message,
            hint="give the whole token as the fleet printed it (TOKEN.FINGERPRINT), or --ca with "
            "the fleet's authority",
        ) from error.__cause__


async def _enrolled(
    url: str, request: EnrollRequest, certificate: DeviceCertificate, prover: DeviceTpm | None
) -> EnrollReply:
    client = FleetClient(url, secret="", clock=SystemClock(), certificate=certificate)
    try:
        if prover is not None:
            challenge = await client.challenge()
            credential = None
            if challenge.is_genuine_asked:
                credential = await client.credential(prover.chip(challenge))
            evidence = prover.evidence(challenge, request, credential=credential)
            request = msgspec.structs.replace(request, evidence=evidence)
        return await client.enroll(request)
    finally:
        await client.close()


def _require_new(home: Home) -> None:
    if home.identity_path.exists():
        raise InputError(
            f"{home.root} belongs to device {home.identity().device!r} already",
            hint="choose another --home, or remove that folder",
        )


def _anchor_from(reply: EnrollReply, expected: Path | None) -> TrustedKeys | Roots:
    if not reply.image_root:
        if expected:
            raise TrustError(
                "the fleet keeps no image repository, a root of one was expected",
                hint="ask the fleet's security admin",
            )
        return _keys_from(reply)
    image = reply.image_root.encode()
    if expected:
        image = _following(_read_root(expected), image)
    return Roots(image=image, director=reply.director_root.encode() or None)


def _following(pinned: bytes, offered: bytes) -> bytes:
    """The pinned root itself: the agent follows from it to the fleet's newest, step by step."""
    first, last = (
        TrustedSet.from_root(root, now=datetime.fromtimestamp(0, UTC)).root
        for root in (pinned, offered)
    )
    if first.version > last.version or (first.version == last.version and pinned != offered):
        raise TrustError(
            f"the fleet's image repository has root v{last.version}, which does not follow the "
            f"expected v{first.version}",
            hint="this is another repository, or an old state of it",
        )
    return pinned


def _read_root(path: Path) -> bytes:
    return _fs.read_limited(path, limit_bytes=MetadataLimits().root_bytes)


def _keys_from(reply: EnrollReply) -> TrustedKeys:
    try:
        keys = tuple(
            PublicKey(public_hex=key.public_hex, scheme=cast("Scheme", key.scheme))
            for key in reply.keys
        )
        return TrustedKeys(threshold=reply.threshold, keys=keys)
    except ValueError as error:
        raise InputError(
            f"the fleet's keys cannot be trusted: {error}", hint="ask the fleet's security admin"
        ) from error


def _enrolment(identity: Identity, anchor: TrustedKeys | Roots) -> Enrolment:
    if isinstance(anchor, Roots):
        root = TrustedSet.from_root(anchor.image, now=datetime.fromtimestamp(0, UTC)).root
        role = root.roles["root"]
        return Enrolment(
            device=identity.device,
            fleet_url=identity.fleet_url,
            key_ids=tuple(role.keyids),
            threshold=role.threshold,
            anchor="repositories",
        )
    return Enrolment(
        device=identity.device,
        fleet_url=identity.fleet_url,
        key_ids=tuple(key.key_id for key in anchor.keys),
        threshold=anchor.threshold,
    )
