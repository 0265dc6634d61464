"""The fleet wired over its home folder: database, release files, trusted keys.

    HOME/fleet.db            the state (SQLite), or
    HOME/database.json       where it is (`edgewright.chain.fleet_database`)
    HOME/releases/           release files by hash, or
    HOME/blobs.json          where they are (`edgewright.chain.fleet_blobs`)
    HOME/patches/            patches between them, made anew when they are gone
    HOME/image/              the image repository (`edgewright trust`), where the project keeps one
    HOME/director/           the fleet's online key and what it signs for devices
    HOME/uploads/            files that devices sent as the result of a remote command
    HOME/kits/               models that devices are to measure, while they wait
    HOME/arrivals/           bundles that are being sent, until they are verified
    HOME/swu/                releases that were also wrapped for SWUpdate
    HOME/trusted-keys.json   whose signatures a bundle needs, where there is no image repository
    HOME/sealing.key         opens releases that were encrypted to this fleet
    HOME/attestation.json    what a device's TPM must say, where the fleet asks for that
    HOME/tls/                certificates (`edgewright.chain.fleet_tls`)

The server and the command line open the same folder, at the same time if they like.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.bundle import Recipient
from edgewright.chain.fleet_attestation import FleetAttestation
from edgewright.chain.fleet_blobs import open_blobs
from edgewright.chain.fleet_database import has_fleet, open_state
from edgewright.chain.fleet_image import FleetImage
from edgewright.chain.fleet_tls import FleetTls
from edgewright.chain.trust_repository import ONLINE_KEY, keep_fresh
from edgewright.clock import SystemClock
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError
from edgewright.fleet.alerts import AlertLimits
from edgewright.fleet.aliases import Aliases
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.desk_commands import DeskCommands
from edgewright.fleet.devices import Devices
from edgewright.fleet.director import Director
from edgewright.fleet.enrolment import Enrolments
from edgewright.fleet.kits import Kits
from edgewright.fleet.lineage import Lineages
from edgewright.fleet.notify import Notifiers
from edgewright.fleet.notify.signing import SECRET_BYTES, new_secret
from edgewright.fleet.office import Office
from edgewright.fleet.patches import Patches
from edgewright.fleet.projects import DEFAULT_PROJECT, Projects
from edgewright.fleet.publishing import Publishing
from edgewright.fleet.recipients import Recipients
from edgewright.fleet.refusals import Refusals
from edgewright.fleet.registry import Registry
from edgewright.fleet.remote_commands import Commands
from edgewright.fleet.retention import Retention
from edgewright.fleet.rollouts import Rollouts
from edgewright.fleet.secret import draw
from edgewright.fleet.state import State
from edgewright.fleet.users import Users
from edgewright.fleet.watch import Watch
from edgewright.keys import FileOpener
from edgewright.keys.file import FileSigner, read_public_key
from edgewright.trust import TrustedKeys
from edgewright.trust.endorsement import makers_in
from edgewright.trust.quote import QuotePolicy

SWU = "swu"
TRUSTED_KEYS = "trusted-keys.json"
IMAGE = "image"
PATCHES = "patches"
SEALING_KEY = "sealing.key"
UPLOADS = "uploads"
KITS = "kits"
ARRIVALS = "arrivals"

_KEYS_LIMIT_BYTES = 1 << 20


@contextmanager
def open_fleet(home: Path, *, create: bool = False) -> Iterator[Office]:
    """The services of the fleet in a folder.

    Raises:
        InputError: there is none, and none was to be made.
    """
    if not create and not has_fleet(home):
        raise InputError(
            f"there is no fleet in {home}",
            hint=f"make one: edgewright fleet trust KEY.pub --home {home}",
        )
    _fs.make_dirs(home)
    state = open_state(home)
    try:
        yield _office(home, state)
    finally:
        state.close()


def trust(home: Path, keys: Sequence[Path], *, threshold: int, by: str) -> TrustedKeys:
    """Say whose signatures a bundle of this fleet needs, in place of what was said before.

    Raises:
        InputError: not public keys, one twice, or a threshold that they do not reach.
    """
    try:
        trusted = TrustedKeys(threshold=threshold, keys=tuple(map(read_public_key, keys)))
    except ValueError as error:
        raise InputError(
            str(error), hint="give each key once and a threshold they reach"
        ) from error
    with open_fleet(home, create=True) as office:
        with office.state.write() as connection:
            deed = Deed(
                at_s=office.clock.wall_s(),
                who=by,
                what="trusted keys changed",
                subject=f"{threshold} of {len(keys)}",
                detail=" ".join(key.key_id for key in trusted.keys),
            )
            write_down(connection, deed)
        _fs.write_atomic(home / TRUSTED_KEYS, encode_json(trusted))
    return trusted


class TlsFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet's authority and the names of its listeners, as shown."""

    fingerprint: str
    names: tuple[str, ...]
    certificate_lifetime_s: float


def init_tls(
    home: Path,
    names: Sequence[str],
    *,
    lifetime_s: float,
    brought: tuple[Path, Path] | None,
    by: str,
) -> TlsFacts:
    """Give a fleet an authority and its listeners a certificate.

    Raises:
        InputError: files that are no authority, or no host names; or another authority is here.
    """
    tls = FleetTls(home)
    settings = tls.init(names, lifetime_s=lifetime_s, brought=brought)
    _note(home, by, "authority set", tls.pin()[:16], " ".join(settings.names))
    return TlsFacts(
        fingerprint=tls.pin(), names=settings.names, certificate_lifetime_s=settings.lifetime_s
    )


def trust_factory(
    home: Path,
    certificate: Path,
    *,
    needs_approval: bool,
    by: str,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Let new devices that have a factory's certificate into a project.

    Raises:
        InputError: not a certificate, or no such project.
    """
    with open_fleet(home, create=True) as office:
        office.projects.require(project)
    FleetTls(home).trust_factory(certificate, needs_approval=needs_approval, project=project)
    _note(home, by, "factory trusted", certificate.name, "approval" if needs_approval else "auto")


def attest(
    home: Path,
    golden: Path | None,
    *,
    pcrs: Sequence[int],
    keys: Sequence[str],
    makers: Sequence[Path] = (),
    by: str,
) -> QuotePolicy:
    """Ask devices that enrol for a TPM's quote, and allow what a golden device holds.

    Raises:
        InputError: the file is none, or nothing would be allowed.
    """
    policy = FleetAttestation(home).allow(golden, pcrs=pcrs, keys=keys, makers=makers)
    registers = " ".join(map(str, policy.numbers))
    named = [key[:16] for key in policy.keys]
    named += [name for pem in policy.makers for name in makers_in(pem.encode())]
    _note(home, by, "attestation allowed", registers, " ".join(named))
    return policy


def attest_no_more(home: Path, *, by: str) -> None:
    """Ask for no quote any more."""
    FleetAttestation(home).off()
    _note(home, by, "attestation off", "", "")


def _note(home: Path, by: str, what: str, subject: str, detail: str) -> None:
    with open_fleet(home, create=True) as office, office.state.write() as connection:
        now_s = office.clock.wall_s()
        write_down(connection, Deed(at_s=now_s, who=by, what=what, subject=subject, detail=detail))


def online_key(home: Path) -> FileSigner:
    """The key that the fleet itself signs with, made at its first use. Whoever has it can choose
    among releases, and make none.
    """
    path = home / ONLINE_KEY
    if not path.exists():
        _fs.make_dirs(path.parent)
        return FileSigner.create(path)
    return FileSigner.load(path)


def sealing_key(home: Path) -> FileOpener:
    """The key that opens releases which were encrypted to this fleet, made at its first use.
    Whoever has it can read them, and change none.
    """
    return FileOpener.load_or_create(home / SEALING_KEY)


def recipient(home: Path) -> Recipient:
    """Whom to encrypt a release to for the fleet in a folder.

    Raises:
        InputError: there is no fleet.
    """
    with open_fleet(home):
        return sealing_key(home).recipient


def found_online_key(home: Path) -> Path:
    """The public file of the online key of the fleet in a folder; both are made when absent."""
    with open_fleet(home, create=True):
        online_key(home)
    return (home / ONLINE_KEY).with_suffix(".pub")


def _tend(home: Path, wall_s: float) -> None:
    """Renew what the online key may renew; the keepers' own roles are theirs."""
    keep_fresh(home / IMAGE, online_key(home), wall_s=wall_s)


def _office(home: Path, state: State) -> Office:
    clock = SystemClock()
    tls = FleetTls(home, clock)

    def trusted() -> TrustedKeys:
        return _read_trusted(home)

    blobs = open_blobs(home)
    recipients = Recipients(
        state, clock=clock, file_of=blobs.path, opener=lambda: sealing_key(home)
    )
    kits = Kits(home / KITS)
    director = Director(
        state,
        home,
        clock=clock,
        signer=lambda: online_key(home),
        tend=lambda: _tend(home, clock.wall_s()),
        wrap=recipients.wrapped_for,
    )
    registry = Registry(
        state,
        blobs=blobs,
        clock=clock,
        trusted=trusted,
        director=director,
        swu=home / SWU,
        content_key=recipients.content_key,
    )
    return Office(
        state=state,
        projects=Projects(state, clock=clock),
        registry=registry,
        publishing=Publishing(
            registry,
            recipients,
            state=state,
            clock=clock,
            arrivals=home / ARRIVALS,
            image=FleetImage(home / IMAGE, clock=clock, online=lambda: online_key(home)),
        ),
        patches=Patches(registry, home / PATCHES),
        director=director,
        devices=Devices(state, clock=clock, draw=draw, pin=tls.pin),
        enrolments=Enrolments(
            state,
            clock=clock,
            draw=draw,
            authorities=tls.authorities,
            attestation=lambda: FleetAttestation(home).loaded(clock),
        ),
        rollouts=Rollouts(state, clock=clock, offers=director),
        aliases=Aliases(state, clock=clock),
        users=Users(state, clock=clock, draw=draw),
        watch=Watch(state, clock=clock, limits=AlertLimits()),
        retention=Retention(state, clock=clock),
        lineages=Lineages(state, clock=clock),
        commands=Commands(state, clock=clock, uploads=home / UPLOADS, kits=kits),
        desk_commands=DeskCommands(state, clock=clock, uploads=home / UPLOADS, kits=kits),
        refusals=Refusals(state, clock=clock),
        notifiers=Notifiers(state, clock=clock, new_secret=_new_secret),
        recipients=recipients,
        clock=clock,
        trusted=trusted,
    )


def _new_secret() -> str:
    return new_secret(secrets.token_bytes(SECRET_BYTES))


def _read_trusted(home: Path) -> TrustedKeys:
    path = home / TRUSTED_KEYS
    if not path.exists():
        raise InputError(
            f"the fleet in {home} trusts no key yet",
            hint=f"name one: edgewright fleet trust KEY.pub --home {home}",
        )
    content = _fs.read_limited(path, limit_bytes=_KEYS_LIMIT_BYTES)
    return decode_json(content, TrustedKeys, source=str(path))
