"""The agent's own folder: what lies where, and the small files in it as values."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.bundle import Bundle, Recipient
from edgewright.bundle.policy import InstallPolicy
from edgewright.contract import decode_json, decode_toml, encode_json
from edgewright.device.agent.content_keys import KEY_FILE
from edgewright.device.agent.facts import read_board
from edgewright.device.agent.pinned import PinnedKeys
from edgewright.device.agent.ports import MetadataError, Trust
from edgewright.device.agent.settings import Settings
from edgewright.device.agent.two_repositories import TwoRepositories
from edgewright.errors import InputError, ResourceError
from edgewright.keys import FileOpener
from edgewright.trust import TrustedKeys

FILE_LIMIT_BYTES = 256 * 1024


class Roots(msgspec.Struct, frozen=True, kw_only=True):
    """The root metadata of the repositories that a device is to trust; no director on a device that
    no fleet directs.
    """

    image: bytes
    director: bytes | None = None


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`identity.json`: who this device is to which fleet; no fleet when `fleet_url` is empty."""

    device: str
    fleet_url: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return f"Identity({self.device!r}, {self.fleet_url!r})"


class Home(msgspec.Struct, frozen=True):
    """Paths under one folder, which one agent at a time may write."""

    root: Path

    @property
    def settings_path(self) -> Path:
        return self.root / "agent.toml"

    @property
    def identity_path(self) -> Path:
        return self.root / "identity.json"

    @property
    def trust_path(self) -> Path:
        return self.root / "trust.json"

    @property
    def policy_path(self) -> Path:
        return self.root / "policy.toml"

    @property
    def sealing_key(self) -> Path:
        return self.root / KEY_FILE

    @property
    def repositories(self) -> Path:
        return self.root / "trust"

    @property
    def journal_path(self) -> Path:
        return self.root / "journal.log"

    @property
    def outbox_path(self) -> Path:
        return self.root / "outbox.log"

    @property
    def numbers_path(self) -> Path:
        return self.root / "numbers.log"

    @property
    def slots(self) -> Path:
        return self.root / "slots"

    @property
    def packages(self) -> Path:
        return self.root / "packages"

    @property
    def downloads(self) -> Path:
        return self.root / "downloads"

    @property
    def admin_socket(self) -> Path:
        return self.root / "admin.sock"

    @property
    def serve_socket(self) -> Path:
        return self.root / "serve.sock"

    @property
    def control_socket(self) -> Path:
        return self.root / "agent.sock"

    @property
    def server_log(self) -> Path:
        return self.root / "server.log"

    def settings(self) -> Settings:
        """What `agent.toml` says; the defaults when there is none.

        Raises:
            InputError: an unknown key, or a value that cannot be.
        """
        if not self.settings_path.exists():
            return Settings()
        content = _fs.read_limited(self.settings_path, limit_bytes=FILE_LIMIT_BYTES)
        return decode_toml(content, Settings, source=str(self.settings_path))

    def install_policy(self) -> InstallPolicy | None:
        """What `policy.toml` asks of bundles; None when there is none.

        Raises:
            InputError: an unknown key, or a value that cannot be.
        """
        if not self.policy_path.exists():
            return None
        content = _fs.read_limited(self.policy_path, limit_bytes=FILE_LIMIT_BYTES)
        return decode_toml(content, InstallPolicy, source=str(self.policy_path))

    def admit(self, bundle: Bundle) -> None:
        """Pass when this device's policy lets a bundle in. It is read anew each time.

        Raises:
            MetadataError: the policy cannot be read; that blames no release.
            TrustError: the bundle does not keep it.
        """
        try:
            policy = self.install_policy()
        except InputError as error:
            raise MetadataError(error.message, hint=error.hint) from error
        if policy is not None:
            policy.require(bundle, board=read_board())

    def identity(self) -> Identity:
        """Who this device is.

        Raises:
            InputError: it was not enrolled.
        """
        self.require_enrolled()
        content = _fs.read_limited(self.identity_path, limit_bytes=FILE_LIMIT_BYTES)
        return decode_json(content, Identity, source=str(self.identity_path))

    def trust(self) -> Trust:
        """Who decides what may run here: the repositories whose roots were planted, else the keys
        that were pinned.

        Raises:
            InputError: it was not enrolled.
        """
        device = self.identity().device
        repositories = TwoRepositories(self.repositories, device=device)
        return repositories if repositories.is_planted else PinnedKeys(self.trusted_keys())

    def recipient(self) -> Recipient:
        """Whom bundles for this device are encrypted to; the key is made when there is none."""
        _fs.make_dirs(self.root)
        return FileOpener.load_or_create(self.sealing_key).recipient

    def trusted_keys(self) -> TrustedKeys:
        """The keys whose bundles may run here, where no repository decides.

        Raises:
            InputError: it was not enrolled.
        """
        self.require_enrolled()
        content = _fs.read_limited(self.trust_path, limit_bytes=FILE_LIMIT_BYTES)
        return decode_json(content, TrustedKeys, source=str(self.trust_path))

    def require_enrolled(self) -> None:
        """Pass, or say how to enrol."""
        is_planted = TwoRepositories(self.repositories).is_planted
        if not self.identity_path.exists() or not (is_planted or self.trust_path.exists()):
            raise InputError(
                f"{self.root} is not the home of an enrolled agent",
                hint="run: edgewright agent enroll URL --token TOKEN --home DIR",
            )

    def save_enrolment(self, identity: Identity, anchor: TrustedKeys | Roots) -> None:
        """Keep the anchor of trust first: an identity without one would look enrolled. The folder
        becomes its owner's own, because sockets in it take orders.

        Raises:
            TrustError: a root is none, or not signed by its own keys.
        """
        _fs.make_dirs(self.root)
        with _fs.file_errors(self.root, doing="changing the mode of"):
            self.root.chmod(0o700)
        if isinstance(anchor, TrustedKeys):
            _fs.write_atomic(self.trust_path, encode_json(anchor))
        else:
            _fs.remove_tree(self.repositories)
            TwoRepositories(self.repositories).plant(anchor.image, anchor.director)
        _fs.write_atomic(self.identity_path, encode_json(identity), mode=0o600)

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written here: mostly the kernel's answer to a failing disk."""
        with _fs.file_errors(self.root, doing="looking at"):
            return bool(os.statvfs(self.root).f_flag & os.ST_RDONLY)

    @property
    def is_locked(self) -> bool:
        """Whether an agent runs on this home now."""
        path = self.root / "lock"
        if not path.exists():
            return False
        with _fs.file_errors(path, doing="reading"), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextlib.contextmanager
    def locked(self, *, is_frozen: bool = False) -> Iterator[None]:
        """Be the only agent on this home; `is_frozen` is for one that writes nothing.

        Raises:
            ResourceError: another one is.
        """
        path = self.root / "lock"
        if not is_frozen:
            _fs.make_dirs(self.root)
        how = os.O_RDONLY if is_frozen else os.O_RDWR | os.O_CREAT
        with _fs.file_errors(path, doing="locking"):
            handle = os.open(path, how | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise ResourceError(
                f"another agent works on {self.root}", hint="stop it first, or use another --home"
            ) from error
        finally:
            os.close(handle)
