"""The certificates of devices: signed for a key, remembered by fingerprint, renewed within bounds.

Who asks again for the key that has a fresh certificate gets that one. A device gets `HOURLY` new
ones an hour, or in a certificate's life if that is shorter, and those that have ended go, so that
asking fills neither the tables nor the audit log.
"""

from collections import OrderedDict
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from edgewright.clock import Clock
from edgewright.errors import ConflictError, InputError, TrustError
from edgewright.fleet.authority import Authority, Issued, Request
from edgewright.fleet.projects import DEFAULT_PROJECT
from edgewright.fleet.state import schema

HOUR_S = 3600.0
HOURLY = 6
REMEMBERED = 4096
"""How many certificates are known by heart, to be given again."""


class Authorities(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs for devices, for how long, and whether a factory's certificate alone lets in."""

    authority: Authority
    lifetime_s: float = 7 * 86_400.0
    renewal_grace_s: float = 90 * 86_400.0
    factory_needs_approval: bool = True
    factory_project: str = DEFAULT_PROJECT


class Certificates:
    """Issues them, in the transaction of the caller."""

    def __init__(self, clock: Clock, authorities: Callable[[], Authorities | None]) -> None:
        self._clock = clock
        self._authorities = authorities
        self._given: OrderedDict[str, Issued] = OrderedDict()

    def issue(
        self, connection: Connection, request: Request, device: str, enrolment: int
    ) -> Issued:
        """A new certificate for this key; those of the device that have ended go.

        Raises:
            InputError: this fleet signs no certificates.
        """
        authorities = self._authorities()
        if authorities is None:
            raise InputError(
                "this fleet signs no certificates",
                hint="enrol over http, or let it have an authority: edgewright fleet tls init",
            )
        now_s = self._clock.wall_s()
        issued = authorities.authority.issue_device(
            request, device=device, now_s=now_s, lifetime_s=authorities.lifetime_s
        )
        connection.execute(
            insert(schema.certificates).values(
                fingerprint=issued.fingerprint,
                device=device,
                enrolment=enrolment,
                key_hash=issued.key_hash,
                issued_at_s=now_s,
                not_after_s=issued.not_after_s,
            )
        )
        table = schema.certificates
        has_ended = (table.c.not_after_s <= now_s) & (table.c.fingerprint != issued.fingerprint)
        connection.execute(delete(table).where(table.c.device == device, has_ended))
        self._given[issued.fingerprint] = issued
        while len(self._given) > REMEMBERED:
            self._given.popitem(last=False)
        return issued

    def fresh(
        self, connection: Connection, request: Request, device: str, enrolment: int
    ) -> Issued | None:
        """The newest certificate of a device, if it is for this key, lives for more than half of
        its time yet, and was given lately.
        """
        table = schema.certificates
        mine = (table.c.device == device) & (table.c.enrolment == enrolment)
        newest = select(table).where(mine).order_by(table.c.issued_at_s.desc()).limit(1)
        row = connection.execute(newest).first()
        if row is None or row.key_hash != request.key_hash:
            return None
        is_fresh = row.issued_at_s + row.not_after_s > 2 * self._clock.wall_s()
        return self._given.get(row.fingerprint) if is_fresh else None

    def require_few(self, connection: Connection, device: str, enrolment: int) -> None:
        """Pass when a device may have another certificate now.

        Raises:
            ConflictError: it got as many as it may lately.
        """
        table, authorities = schema.certificates, self._authorities()
        span_s = min(HOUR_S, authorities.lifetime_s) if authorities else HOUR_S
        query = (
            select(func.count())
            .select_from(table)
            .where(table.c.device == device, table.c.enrolment == enrolment)
            .where(table.c.issued_at_s > self._clock.wall_s() - span_s)
        )
        if (connection.scalar(query) or 0) >= HOURLY:
            raise ConflictError(
                f"device {device} got {HOURLY} certificates within {span_s:g} s, the most it may",
                hint="the newest one is good; ask again later",
            )

    def owner(self, connection: Connection, request: Request) -> tuple[str, int]:
        """Whose newest certificate has this key. The request was signed with it just now.

        Raises:
            TrustError: nobody's here, or its time is over for good.
        """
        certificates, devices = schema.certificates, schema.devices
        authorities = self._authorities()
        grace_s = authorities.renewal_grace_s if authorities else 0.0
        row = connection.execute(
            select(certificates)
            .join(
                devices,
                (devices.c.name == certificates.c.device)
                & (devices.c.enrolment == certificates.c.enrolment),
            )
            .where(certificates.c.key_hash == request.key_hash, ~devices.c.is_revoked)
            .order_by(certificates.c.issued_at_s.desc())
        ).first()
        newest = None
        if row is not None:
            newest = connection.scalar(
                select(certificates.c.key_hash)
                .where(certificates.c.device == row.device)
                .order_by(certificates.c.issued_at_s.desc())
                .limit(1)
            )
        if (
            row is None
            or newest != request.key_hash
            or row.not_after_s + grace_s <= self._clock.wall_s()
        ):
            raise TrustError(
                "no device of this fleet has that key now",
                hint="enrol the device again with a fresh token",
            )
        return row.device, row.enrolment
