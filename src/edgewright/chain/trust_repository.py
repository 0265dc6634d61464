"""An image repository in a folder that its keepers carry from one to the other.

    REPO/staged.json   what waits for signatures, all roles in one file
    REPO/metadata/     what devices ask for: N.root.json ..., and timestamp.json, written last
    REPO/targets/      the files, each with its hash before its name

Private keys never lie here: each keeper brings a key to `sign` and takes it away again. The folder
needs no protection beyond that; whoever changes it can only make devices refuse it.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.errors import InputError
from edgewright.keys.file import FileSigner, read_public_key
from edgewright.trust import Signer, TrustedKeys
from edgewright.trust.metadata import TrustedSet, metadata_file_name
from edgewright.trust.repository import ROLES, Lack, Repository, RoleState
from edgewright.trust.signed import parsed
from edgewright.trust.target import Target
from edgewright.trust.tuf_api import Targets

STAGED_FILE = "staged.json"
STAGED_LIMIT_BYTES = 16 << 20
CHUNK_BYTES = 1 << 20
PASSWORD_LIMIT_BYTES = 4096
ONLINE_KEY = "director/online.pem"
"""A fleet's own key, below its home; the image repository lies there as `image/`."""


class KeyFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The public keys of one role, and how many of them must sign."""

    paths: tuple[Path, ...]
    threshold: int = 1


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What `trust rotate` was asked for."""

    role: str
    add: tuple[Path, ...] = ()
    remove: tuple[str, ...] = ()
    threshold: int | None = None


class RepositoryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where a repository stands."""

    roles: tuple[RoleState, ...]
    lacks: tuple[Lack, ...]
    targets: tuple[str, ...]


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """The SHA-256 that a target has, "" where it is not listed."""

    published: str
    staged: str


def make_key(path: Path, *, password: str | None) -> str:
    """A new key pair, `path` and its `.pub`; the key's id.

    Raises:
        InputError: there is a file already.
    """
    return FileSigner.create(path, password=password).public.key_id


def found(folder: Path, keys: Mapping[str, KeyFiles], *, wall_s: float) -> RepositoryStatus:
    """Begin a repository; all of it waits for signatures.

    Raises:
        InputError: the folder holds one already, or a key file is wrong.
    """
    if _exists(folder):
        raise InputError(f"{folder} is a repository already", hint="choose an empty folder")
    trusted = {role: _trusted(files) for role, files in keys.items()}
    return _kept(folder, Repository.founded(trusted, now=_at(wall_s)), wall_s)


def status(folder: Path, *, wall_s: float) -> RepositoryStatus:
    """What is published, what waits for whom, what expires soon."""
    return _status(_load(folder), wall_s)


def add_target(
    folder: Path,
    file: Path,
    *,
    name: str,
    wall_s: float,
    custom: Mapping[str, str] | None = None,
) -> RepositoryStatus:
    """Stage the promise of a file, with what the signers say about it, and keep the file."""
    sha256, length_bytes = _digest(file)
    repository = _load(folder).with_target(
        name, sha256=sha256, length_bytes=length_bytes, now=_at(wall_s), custom=custom
    )
    target = Target(name=name, length_bytes=length_bytes, hashes={"sha256": sha256})
    place = folder / "targets" / target.served_name(has_prefix=True)
    with file.open("rb") as source, _fs.atomic_file(place) as copy:
        shutil.copyfileobj(source, copy, CHUNK_BYTES)
    return _kept(folder, repository, wall_s)


def withdraw(folder: Path, name: str, *, wall_s: float) -> RepositoryStatus:
    """Stage that a target is promised no more; its file stays until nobody needs it."""
    return _changed(folder, wall_s, lambda r: r.without_target(name, now=_at(wall_s)))


def promised(folder: Path, name: str) -> Promise:
    """What is published and what is staged under a target's name."""
    repository = _load(folder)
    return Promise(
        published=_promised_sha256(repository.published, name),
        staged=_promised_sha256(repository.staged, name),
    )


def exists(folder: Path) -> bool:
    """Whether a folder holds a repository."""
    return _exists(folder)


def keep_fresh(folder: Path, signer: Signer, *, wall_s: float) -> None:
    """Renew timestamp and snapshot in time, as far as this one key may sign them alone."""
    if not _exists(folder):
        return
    repository = _load(folder)
    if repository.staged:
        return
    due = [
        state.role
        for state in repository.states(_at(wall_s))
        if state.is_expiring and state.role in ("timestamp", "snapshot")
    ]
    if not due:
        return
    renewed = repository.renewed(due, now=_at(wall_s))
    with contextlib.suppress(InputError):  # not this key's to sign: the keepers are warned
        renewed = renewed.signed_by(signer)
    if not renewed.lacks():
        _publish(folder, renewed.published_at(_at(wall_s)))


def sign(folder: Path, key: Path, *, password: str | None, wall_s: float) -> RepositoryStatus:
    """`sign_by` with the key of a file; in the home of a fleet its online key signs first, as far
    as it counts.
    """
    signer, online = FileSigner.load(key, password=password), folder.parent / ONLINE_KEY
    if online.exists() and signer.public != (own := FileSigner.load(online)).public:
        with contextlib.suppress(InputError):  # it counts for nothing that is staged
            sign_by(folder, own, wall_s=wall_s)
    return sign_by(folder, signer, wall_s=wall_s)


def sign_by(folder: Path, signer: Signer, *, wall_s: float) -> RepositoryStatus:
    """Sign what is staged; it is published when that was the last signature it needed, or when a
    power cut came between the last signature and the publication.

    Raises:
        InputError: the key counts for nothing that is staged.
        TrustError: devices would refuse what would be published.
    """
    repository = _load(folder)
    if repository.lacks() or not repository.staged:
        repository = repository.signed_by(signer)
    if not repository.lacks():
        repository = repository.published_at(_at(wall_s))
        _publish(folder, repository)
    return _kept(folder, repository, wall_s)


def rotate(folder: Path, change: KeyChange, *, wall_s: float) -> RepositoryStatus:
    """Stage other keys for a role."""
    add = tuple(read_public_key(path) for path in change.add)
    return _changed(
        folder,
        wall_s,
        lambda repository: repository.with_keys(
            change.role,
            add=add,
            remove=change.remove,
            threshold=change.threshold,
            now=_at(wall_s),
        ),
    )


def revoke(folder: Path, key_id: str, *, wall_s: float) -> RepositoryStatus:
    """Stage that a key counts for nothing any more."""
    return _changed(folder, wall_s, lambda r: r.without_key(key_id, now=_at(wall_s)))


def renew(folder: Path, roles: Sequence[str], *, wall_s: float) -> RepositoryStatus:
    """Stage another lifetime for roles."""
    return _changed(folder, wall_s, lambda r: r.renewed(roles, now=_at(wall_s)))


def export(folder: Path, out: Path, *, wall_s: float) -> RepositoryStatus:
    """Copy what devices may see, after it was read as they would read it; `out/root.json` is what
    they must be given by a trusted way.

    Raises:
        TrustError: devices would refuse it.
        InputError: nothing is published, or a file of a target is missing.
    """
    repository = _load(folder)
    if not set(ROLES) <= set(repository.published):
        raise InputError(f"{folder}: nothing is published yet", hint="trust status says why")
    trusted = repository.check(_at(wall_s))
    if out.exists():
        raise InputError(f"{out} exists already", hint="choose a new folder")
    with _fs.atomic_folder(out) as temp:
        _copy(sorted((folder / "metadata").glob("*.json")), folder, temp)
        _copy(_target_paths(folder, trusted), folder, temp)
        _fs.write_atomic(temp / "root.json", repository.published["root"])
    return _status(repository, wall_s)


def sha256_of(file: Path) -> str:
    """The hash by which a file is promised."""
    return _digest(file)[0]


def is_encrypted(key: Path) -> bool:
    """Whether a private key file needs a password."""
    return b"ENCRYPTED" in _fs.read_limited(key, limit_bytes=PASSWORD_LIMIT_BYTES)


def key_of(path: Path, password_file: Path | None) -> Signer:
    """The private key of a file, with its password from another."""
    return FileSigner.load(path, password=read_password(password_file))


def read_password(path: Path | None) -> str | None:
    """The password in a file's first line."""
    if path is None:
        return None
    text = _fs.read_limited(path, limit_bytes=PASSWORD_LIMIT_BYTES).decode(errors="replace")
    return text.splitlines()[0] if text else None


def _changed(
    folder: Path, wall_s: float, change: Callable[[Repository], Repository]
) -> RepositoryStatus:
    return _kept(folder, change(_load(folder)), wall_s)


def _kept(folder: Path, repository: Repository, wall_s: float) -> RepositoryStatus:
    staged = {role: msgspec.Raw(content) for role, content in repository.staged.items()}
    _fs.write_atomic(_fs.make_dirs(folder) / STAGED_FILE, msgspec.json.encode(staged))
    return _status(repository, wall_s)


def _promised_sha256(roles: Mapping[str, bytes], name: str) -> str:
    if "targets" not in roles:
        return ""
    file = parsed(roles["targets"], Targets, "targets").signed.targets.get(name)
    return str(file.hashes.get("sha256", "")) if file else ""


def _exists(folder: Path) -> bool:
    return (folder / STAGED_FILE).exists() or (folder / "metadata").exists()


def _load(folder: Path) -> Repository:
    """The folder as a value. What is staged but was published just before a power cut is staged no
    more.
    """
    if not _exists(folder):
        raise InputError(f"{folder} is not a trust repository", hint="make one: trust init")
    published = {}
    for role in ROLES:
        if path := _newest(folder, role):
            published[role] = _fs.read_limited(path, limit_bytes=STAGED_LIMIT_BYTES)
    staged_path = folder / STAGED_FILE
    content = b"{}"
    if staged_path.exists():
        content = _fs.read_limited(staged_path, limit_bytes=STAGED_LIMIT_BYTES)
    try:
        staged = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise InputError(
            f"{staged_path}: not JSON: {error}", hint="take a keeper's copy"
        ) from error
    waiting = {role: bytes(staged[role]) for role in ROLES if role in staged}
    if waiting.items() <= published.items():
        waiting = {}
    return Repository(published=published, staged=waiting)


def _newest(folder: Path, role: str) -> Path | None:
    """The published file of a role with the highest version."""
    name = metadata_file_name(role)
    if role == "timestamp":
        path = folder / "metadata" / name
        return path if path.exists() else None
    versions = {
        int(number): path
        for path in (folder / "metadata").glob(f"*.{name}")
        if (number := path.name.partition(".")[0]).isdigit()
    }
    return versions[max(versions)] if versions else None


def _publish(folder: Path, repository: Repository) -> None:
    """Timestamp last: until it is there, devices see the old state whole."""
    versions = repository.versions()
    for role in ROLES:
        prefix = "" if role == "timestamp" else f"{versions[role]}."
        path = folder / "metadata" / f"{prefix}{metadata_file_name(role)}"
        _fs.write_atomic(path, repository.published[role])


def _target_paths(folder: Path, trusted: TrustedSet) -> list[Path]:
    paths = []
    for name in trusted.listed():
        target = trusted.find(name)
        assert isinstance(target, Target)  # noqa: S101 - top-level targets are loaded
        path = folder / "targets" / target.served_name(has_prefix=True)
        if not path.exists() or _digest(path)[0] != target.digest:
            raise InputError(f"{path}: expected the file of target {name}", hint="add it again")
        paths.append(path)
    return paths


def _copy(paths: Iterable[Path], source: Path, out: Path) -> None:
    for path in paths:
        with path.open("rb") as file, _fs.atomic_file(out / path.relative_to(source)) as copy:
            shutil.copyfileobj(file, copy, CHUNK_BYTES)


def _status(repository: Repository, wall_s: float) -> RepositoryStatus:
    return RepositoryStatus(
        roles=repository.states(_at(wall_s)),
        lacks=repository.lacks(),
        targets=repository.target_names(),
    )


def _trusted(files: KeyFiles) -> TrustedKeys:
    try:
        return TrustedKeys(
            threshold=files.threshold, keys=tuple(read_public_key(path) for path in files.paths)
        )
    except ValueError as error:
        raise InputError(
            str(error), hint="name each key once, and a threshold they reach"
        ) from error


def _digest(path: Path) -> tuple[str, int]:
    with _fs.file_errors(path, doing="reading"), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()


def _at(wall_s: float) -> datetime:
    return datetime.fromtimestamp(int(wall_s), UTC)
