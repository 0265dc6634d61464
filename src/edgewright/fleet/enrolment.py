"""Enrolment of devices and their certificates: in by token or factory certificate, maybe after a
person approved; then short-lived certificates that are renewed by themselves.

A certificate belongs to one enrolment of one device. Revoking or replacing the device makes all of
its certificates worth nothing at once, because every request looks them up.
"""

from collections.abc import Callable, Mapping

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from edgewright.clock import Clock
from edgewright.errors import AbsentError, InputError, TrustError
from edgewright.fleet.admission import Newcomer, Pass, admit, spend, token_hash
from edgewright.fleet.attestation import Attestation
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.authority import Issued, Request, read_request
from edgewright.fleet.certificates import Authorities, Certificates
from edgewright.fleet.labels import check_labels, check_name
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.recipients import keep_recipient
from edgewright.fleet.secret import DEVICE_PREFIX, hash_of
from edgewright.fleet.state import State, schema
from edgewright.trust.quote import Credential
from edgewright.wire.device_api import Challenge, Chip, Evidence
from edgewright.wire.windows import knows_timezone

PENDING_LIMIT = 10_000

_FACTORY = "factory certificate"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A device that wants in. `factory_name` is the name in a factory certificate it proved,
    `recipient` whom releases for it are encrypted to.
    """

    device: str
    token: str = ""
    labels: Mapping[str, str] = {}
    timezone: str = "UTC"
    csr: str = ""
    factory_name: str = ""
    recipient: str = ""
    evidence: Evidence | None = None


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """The device is in, with a secret or a certificate."""

    secret: str = ""
    certificate: Issued | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A device that waits for a person's word."""

    device: str
    asked_by: str
    key_hash: str
    labels: Mapping[str, str]
    asked_at_s: float
    decision: str


class Enrolments(OfProject):
    """The door. A device comes into the project of its token; people see who waits for theirs."""

    def __init__(
        self,
        state: State,
        *,
        clock: Clock,
        draw: Callable[[str], str],
        authorities: Callable[[], Authorities | None],
        project: str = DEFAULT_PROJECT,
        attestation: Callable[[], Attestation | None] = lambda: None,
    ) -> None:
        self._state = state
        self._clock = clock
        self._draw = draw
        self._authorities = authorities
        self._project = project
        self._attestation = attestation
        self._certificates = Certificates(clock, authorities)

    def challenge(self) -> Challenge | None:
        """What a device's TPM is to answer; None when this fleet asks for no quote."""
        attestation = self._attestation()
        return attestation.challenge() if attestation else None

    def credential(self, chip: Chip) -> Credential | None:
        """What only this chip can open; None when this fleet asks for no maker's word.

        Raises:
            TrustError: its maker is not on the list.
        """
        attestation = self._attestation()
        return attestation.credential(chip) if attestation else None

    def enrol(self, wish: Wish) -> Granted | None:
        """Let a device in; None while it waits for approval, then the same wish is to be repeated.

        Raises:
            TrustError: the token or the TPM's quote is not good, or a person refused.
            InputError: a name that is taken or not a name, labels or a request that are none.
        """
        check_name("device", wish.device)
        own = check_labels(wish.labels)
        request = read_request(wish.csr) if wish.csr else None
        if attestation := self._attestation():
            attestation.require(
                wish.evidence, device=wish.device, csr=wish.csr, recipient=wish.recipient
            )
        with self._state.write() as connection:
            earlier = self._decided(connection, wish, request)
            if earlier == "":
                return None
            if isinstance(earlier, Pass):
                return self._let_in(connection, wish, request, earlier)
            given = self._pass_of(connection, wish)
            labels = own | dict(given.labels)
            given = msgspec.structs.replace(given, labels=labels)
            if given.needs_approval:
                self._ask(connection, wish, request, given)
                return None
            return self._let_in(connection, wish, request, given)

    def renew(self, csr: str, *, device: str = "", enrolment: int = 0) -> Issued:
        """The next certificate of a device that proved who it is; or, without that, of the device
        whose newest certificate had this very key, for a while after it ended. A certificate for
        this key that has most of its life before it is given again.

        Raises:
            TrustError: the key is not known, or its device was revoked or replaced.
            ConflictError: the device got as many as it may within an hour.
            InputError: not a request, or this fleet signs no certificates.
        """
        request, certificates = read_request(csr), self._certificates
        with self._state.write() as connection:
            if not device:
                device, enrolment = certificates.owner(connection, request)
            if fresh := certificates.fresh(connection, request, device, enrolment):
                return fresh
            certificates.require_few(connection, device, enrolment)
            issued = certificates.issue(connection, request, device, enrolment)
            table = schema.devices
            project = connection.scalar(select(table.c.project).where(table.c.name == device))
            deed = self._deed(device, "certificate renewed", device, issued.fingerprint[:16])
            write_down(connection, msgspec.structs.replace(deed, project=project or ""))
        return issued

    def waiting(self) -> tuple[Waiting, ...]:
        """Devices that wait for a person's word, the first one first."""
        table = schema.enrolments
        query = select(table).where(table.c.project == self._project, table.c.decision == "")
        query = query.order_by(table.c.asked_at_s)
        with self._state.read() as connection:
            return tuple(
                Waiting(
                    device=row.device,
                    asked_by=row.asked_by[:12],
                    key_hash=row.key_hash,
                    labels=msgspec.json.decode(row.labels, type=dict[str, str]),
                    asked_at_s=row.asked_at_s,
                    decision=row.decision,
                )
                for row in connection.execute(query)
            )

    def decide(self, device: str, *, is_approved: bool, by: str) -> None:
        """A person's word on a device that waits.

        Raises:
            AbsentError: no such device waits.
        """
        check_name("device", device)
        table = schema.enrolments
        decision = "approved" if is_approved else "refused"
        with self._state.write() as connection:
            done = connection.execute(
                update(table)
                .where(table.c.project == self._project)
                .where(table.c.device == device, table.c.decision == "")
                .values(decision=decision, decided_by=by)
            )
            if done.rowcount != 1:
                raise AbsentError(
                    f"no device {device} waits for approval", hint="see: edgewright device pending"
                )
            write_down(connection, self._deed(by, f"enrolment {decision}", device, ""))

    def _decided(
        self, connection: Connection, wish: Wish, request: Request | None
    ) -> Pass | str | None:
        """What was decided of the same wish: a pass, or nothing yet (""); None for a new wish."""
        table = schema.enrolments
        row = connection.execute(select(table).where(table.c.device == wish.device)).first()
        asked_by = _FACTORY if wish.factory_name else token_hash(wish.token)
        key_hash = request.key_hash if request else ""
        if row is None or (row.asked_by, row.key_hash) != (asked_by, key_hash):
            return None
        if row.decision == "refused":
            raise TrustError(
                f"the enrolment of {wish.device} was refused", hint="ask the fleet's device admin"
            )
        if row.decision == "":
            return ""
        connection.execute(delete(table).where(table.c.device == wish.device))
        return Pass(
            given_by=asked_by,
            project=row.project,
            labels=msgspec.json.decode(row.labels, type=dict[str, str]),
            may_replace=row.may_replace,
        )

    def _pass_of(self, connection: Connection, wish: Wish) -> Pass:
        if not wish.factory_name:
            return spend(connection, wish.token, wish.device, now_s=self._clock.wall_s())
        authorities = self._authorities()
        if wish.factory_name != wish.device or not wish.csr or authorities is None:
            raise TrustError(
                f"a factory certificate of {wish.factory_name[:80]!r} enrols a device of that name "
                "with a signing request",
                hint=f"enrol with --device {wish.factory_name[:80]}",
            )
        needs_approval = authorities.factory_needs_approval
        return Pass(
            given_by=_FACTORY,
            project=authorities.factory_project,
            needs_approval=needs_approval,
            may_replace=True,
        )

    def _ask(
        self, connection: Connection, wish: Wish, request: Request | None, given: Pass
    ) -> None:
        table = schema.enrolments
        known = connection.execute(select(table).where(table.c.device == wish.device)).first()
        if known is not None and (known.decision == "" or known.project != given.project):
            raise InputError(
                f"another device waits for approval as {wish.device} already",
                hint="let the device admin refuse that one first, or choose another name",
            )
        count = len(connection.execute(select(table.c.device)).all())
        if count >= PENDING_LIMIT:
            raise InputError(
                f"{count} devices wait for approval", hint="let the device admin decide"
            )
        connection.execute(delete(table).where(table.c.device == wish.device))
        connection.execute(
            insert(table).values(
                device=wish.device,
                asked_by=given.given_by,
                key_hash=request.key_hash if request else "",
                labels=msgspec.json.encode(given.labels).decode(),
                timezone=wish.timezone[:60],
                may_replace=given.may_replace,
                asked_at_s=self._clock.wall_s(),
                decision="",
                decided_by="",
                project=given.project,
            )
        )
        deed = self._deed(_who(given), "enrolment asked for", wish.device, "")
        write_down(connection, msgspec.structs.replace(deed, project=given.project))

    def _let_in(
        self, connection: Connection, wish: Wish, request: Request | None, given: Pass
    ) -> Granted:
        secret = self._draw(DEVICE_PREFIX)
        is_known = knows_timezone(wish.timezone)
        newcomer = Newcomer(
            device=wish.device,
            labels=given.labels,
            timezone=wish.timezone if is_known else "UTC",
            secret_hash=hash_of(secret),
            may_replace=given.may_replace,
            project=given.project,
        )
        enrolment = admit(connection, newcomer, now_s=self._clock.wall_s())
        keep_recipient(connection, wish.device, wish.recipient)
        why = "" if is_known else f"its time zone {wish.timezone[:40]!r} is not known here: UTC"
        if wish.evidence is not None and self._attestation():
            why = f"attested by TPM key {wish.evidence.quote.key.key_id[:16]} {why}".rstrip()
        deed = self._deed(_who(given), "device enrolled", wish.device, why)
        write_down(connection, msgspec.structs.replace(deed, project=given.project))
        if request is None:
            return Granted(secret=secret)
        issued = self._certificates.issue(connection, request, wish.device, enrolment)
        return Granted(certificate=issued)

    def _deed(self, who: str, what: str, subject: str, why: str) -> Deed:
        return Deed(
            at_s=self._clock.wall_s(),
            who=who,
            what=what,
            subject=subject,
            detail=why,
            project=self._project,
        )


def _who(given: Pass) -> str:
    return given.given_by if given.given_by == _FACTORY else f"token {given.given_by[:12]}"
