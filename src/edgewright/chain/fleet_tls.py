"""The fleet's certificates in its home folder, and TLS contexts made of them.

HOME/tls/authority.pem, authority.key    who signs for devices (made here, or brought)
HOME/tls/server.pem, server.key          what the listeners show
HOME/tls/factory.pem                     whose certificates let new devices in, if any
HOME/tls/tls.json                        lifetimes and the names of the listeners
"""

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.clock import Clock, SystemClock
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError
from edgewright.fleet.authority import Authority, names_in, not_after_s
from edgewright.fleet.certificates import Authorities
from edgewright.fleet.projects import DEFAULT_PROJECT

FOLDER = "tls"
RENEW_BEFORE_S = 30 * 86_400.0

_LIMIT_BYTES = 1 << 20


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tls.json`."""

    names: tuple[str, ...] = ()
    lifetime_s: float = 7 * 86_400.0
    factory_needs_approval: bool = True
    factory_project: str = DEFAULT_PROJECT


class FleetTls:
    """What lies in a fleet's `tls` folder."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self.folder = home / FOLDER
        self._clock = clock or SystemClock()

    @property
    def exists(self) -> bool:
        """Whether this fleet has an authority."""
        return (self.folder / "authority.pem").exists()

    def init(
        self,
        names: Sequence[str],
        *,
        lifetime_s: float | None = None,
        brought: tuple[Path, Path] | None = None,
    ) -> TlsSettings:
        """Make or bring an authority if there is none, and a certificate for these names.

        Raises:
            InputError: files that are no authority, or no host names; or another authority is here.
        """
        _fs.make_dirs(self.folder)
        self.folder.chmod(0o700)
        if brought is not None:
            self._bring(*brought)
        if not self.exists:
            made = Authority.create(now_s=self._clock.wall_s())
            _fs.write_atomic(self.folder / "authority.key", made.key_pem, mode=0o600)
            _fs.write_atomic(self.folder / "authority.pem", made.certificate_pem)
        before = self.settings()
        settings = msgspec.structs.replace(
            before,
            names=tuple(dict.fromkeys((*names, *before.names))) or own_names(),
            lifetime_s=lifetime_s or before.lifetime_s,
        )
        self._issue_server(settings)
        _fs.write_atomic(self.folder / "tls.json", encode_json(settings))
        return settings

    def trust_factory(
        self, certificate: Path, *, needs_approval: bool, project: str = DEFAULT_PROJECT
    ) -> None:
        """Let new devices that have a certificate signed by this one into a project."""
        content = _fs.read_limited(certificate, limit_bytes=_LIMIT_BYTES)
        try:
            not_after_s(content)
        except ValueError as error:
            raise InputError(f"{certificate}: {error}", hint="give a certificate as PEM") from error
        _fs.write_atomic(self.folder / "factory.pem", content)
        settings = msgspec.structs.replace(
            self.settings(), factory_needs_approval=needs_approval, factory_project=project
        )
        _fs.write_atomic(self.folder / "tls.json", encode_json(settings))

    def settings(self) -> TlsSettings:
        """What was chosen."""
        path = self.folder / "tls.json"
        if not path.exists():
            return TlsSettings()
        content = _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
        return decode_json(content, TlsSettings, source=str(path))

    def authorities(self) -> Authorities | None:
        """Who signs for devices; None when nobody does."""
        if not self.exists:
            return None
        settings = self.settings()
        return Authorities(
            authority=self._authority(),
            lifetime_s=settings.lifetime_s,
            factory_needs_approval=settings.factory_needs_approval,
            factory_project=settings.factory_project,
        )

    def pin(self) -> str:
        """What a token tells a device of the authority behind the fleet's name."""
        return self._authority().fingerprint if self.exists and self.authority_pem() else ""

    def authority_pem(self) -> str:
        """The authority, if the listeners' certificate comes from it."""
        if not self.exists or not (self.folder / "server.pem").exists():
            return ""
        authority = self._authority()
        is_own = authority.has_signed(self._read("server.pem"))
        return authority.certificate_pem.decode() if is_own else ""

    def factory_pem(self) -> str:
        """Whose certificates let new devices in."""
        return self._read("factory.pem").decode() if self._has("factory.pem") else ""

    def ready(self, names: Sequence[str]) -> None:
        """Make what is absent, and a new certificate for the listeners when theirs ends soon."""
        soon_s = self._clock.wall_s() + RENEW_BEFORE_S
        if not self._has("server.pem"):
            self.init(names)
            return
        server = self._read("server.pem")
        is_own = bool(self.authority_pem())
        if is_own and (not_after_s(server) < soon_s or not set(names) <= set(names_in(server))):
            self.init(names)

    def people_context(self) -> ssl.SSLContext:
        """TLS for people, who have passwords and tokens."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        return context

    def device_context(self) -> ssl.SSLContext:
        """TLS for devices: a certificate is asked for, and must be one of ours when it comes."""
        context = self.people_context()
        context.load_verify_locations(self.folder / "authority.pem")
        if self._has("factory.pem"):
            context.load_verify_locations(self.folder / "factory.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _bring(self, certificate: Path, key: Path) -> None:
        authority = Authority.load(
            _fs.read_limited(certificate, limit_bytes=_LIMIT_BYTES),
            _fs.read_limited(key, limit_bytes=_LIMIT_BYTES),
        )
        if self.exists and self._authority().fingerprint != authority.fingerprint:
            raise InputError(
                f"{self.folder} has another authority already, which devices believe",
                hint="move that folder away first; devices must enrol again then",
            )
        _fs.write_atomic(self.folder / "authority.key", authority.key_pem, mode=0o600)
        _fs.write_atomic(self.folder / "authority.pem", authority.certificate_pem)

    def _issue_server(self, settings: TlsSettings) -> None:
        certificate, key = self._authority().issue_server(
            settings.names, now_s=self._clock.wall_s()
        )
        _fs.write_atomic(self.folder / "server.key", key, mode=0o600)
        _fs.write_atomic(self.folder / "server.pem", certificate)

    def _authority(self) -> Authority:
        return Authority.load(self._read("authority.pem"), self._read("authority.key"))

    def _read(self, name: str) -> bytes:
        return _fs.read_limited(self.folder / name, limit_bytes=_LIMIT_BYTES)

    def _has(self, name: str) -> bool:
        return (self.folder / name).exists()


def own_names() -> tuple[str, ...]:
    """Under which names this machine is surely reached."""
    return tuple(dict.fromkeys((socket.gethostname(), "localhost", "127.0.0.1", "::1")))
