"""An image repository in a folder that its keepers carry from one to the other.

    REPO/staged.json   what waits for signatures, all roles in one file
    REPO/metadata/     what devices ask for: N.root.json, N.PROJECT.json ..., timestamp.json last
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
from urllib.parse import unquote

import msgspec

from edgewright import _fs
from edgewright.chain.signing_keys import public_key
from edgewright.errors import InputError
from edgewright.keys.file import FileSigner
from edgewright.trust import Signer, TrustedKeys
from edgewright.trust.metadata import TrustedSet, metadata_file_name
from edgewright.trust.repository import ROLES, Lack, Repository, RoleState
from edgewright.trust.target import Target
from edgewright.trust.tuf_api import TargetFile

STAGED_FILE = "staged.json"
STAGED_LIMIT_BYTES = 16 << 20
CHUNK_BYTES = 1 << 20
LARGE_BYTES = 512 << 10
"""From here on a role's list is worth splitting; devices refuse one of 5 MB."""
DAY_S = 86_400.0
ONLINE_KEY = "director/online.pem"
"""A fleet's own key, below its home; the image repository lies there as `image/`."""


class KeyFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The public keys of one role, in files or tokens, and how many of them must sign."""

    paths: tuple[Path | str, ...]
    threshold: int = 1


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What `trust rotate` was asked for."""

    role: str
    add: tuple[Path | str, ...] = ()
    remove: tuple[str, ...] = ()
    threshold: int | None = None


class RepositoryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where a repository stands."""

    roles: tuple[RoleState, ...]
    lacks: tuple[Lack, ...]
    targets: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """The SHA-256 that a target has, "" where it is not listed."""

    published: str
    staged: str


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
        published=_sha256_of(repository.promised(name, staged=False)),
        staged=_sha256_of(repository.promised(name, staged=True)),
    )


def delegate(
    folder: Path, project: str, keys: KeyFiles, *, paths: tuple[str, ...], wall_s: float
) -> RepositoryStatus:
    """Stage that a project speaks for paths, PROJECT/* if none is given, with keys of its own."""
    trusted, mine = _trusted(keys), paths or (f"{project}/*",)
    return _changed(
        folder, wall_s, lambda r: r.with_project(project, trusted, paths=mine, now=_at(wall_s))
    )


def undelegate(folder: Path, project: str, *, wall_s: float) -> RepositoryStatus:
    """Stage that a project speaks for nothing; the top-level targets list its files then."""
    return _changed(folder, wall_s, lambda r: r.without_project(project, now=_at(wall_s)))


def split(folder: Path, role: str, *, bins: int, wall_s: float) -> RepositoryStatus:
    """Stage that a role's names are spread over hashed bins."""
    return _changed(folder, wall_s, lambda r: r.with_bins(role, bins, now=_at(wall_s)))


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
    _publish_alone(folder, repository.renewed(due, now=_at(wall_s)), signer, wall_s=wall_s)


def sign(folder: Path, signer: Signer, *, wall_s: float) -> RepositoryStatus:
    """`sign_by`; in the home of a fleet its online key signs first, as far as it counts."""
    online = folder.parent / ONLINE_KEY
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
    add = tuple(public_key(name) for name in change.add)
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


def renew(folder: Path, roles: Sequence[str], *, wall_s: float, above: int = 0) -> RepositoryStatus:
    """Stage another lifetime for roles; in versions above one that devices have seen, where this
    repository is older than that.
    """
    return _changed(folder, wall_s, lambda r: r.renewed(roles, now=_at(wall_s), above=above))


def go_ahead(folder: Path, signer: Signer, *, by: int, wall_s: float) -> None:
    """Lift snapshot and timestamp that far, as far as this one key may sign them alone: a fleet
    renews them by itself, so that devices have seen newer ones than any backup holds. Beside what
    waits for keepers they wait with it.
    """
    if not _exists(folder):
        return
    repository = _load(folder)
    versions = repository.versions()
    above = max(versions.get(role, 0) for role in ("snapshot", "timestamp")) + by
    lifted = repository.renewed(("snapshot",), now=_at(wall_s), above=above)
    if repository.staged:
        _kept(folder, lifted, wall_s)
    else:
        _publish_alone(folder, lifted, signer, wall_s=wall_s)


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


def _publish_alone(folder: Path, staged: Repository, signer: Signer, *, wall_s: float) -> None:
    """Publish what one key can sign alone; nothing where it cannot."""
    with contextlib.suppress(InputError):  # not this key's to sign: the keepers are warned
        staged = staged.signed_by(signer)
    if not staged.lacks():
        _publish(folder, staged.published_at(_at(wall_s)))


def sha256_of(file: Path) -> str:
    """The hash by which a file is promised."""
    return _digest(file)[0]


def _changed(
    folder: Path, wall_s: float, change: Callable[[Repository], Repository]
) -> RepositoryStatus:
    return _kept(folder, change(_load(folder)), wall_s)


def _kept(folder: Path, repository: Repository, wall_s: float) -> RepositoryStatus:
    staged = {role: msgspec.Raw(content) for role, content in repository.staged.items()}
    _fs.write_atomic(_fs.make_dirs(folder) / STAGED_FILE, msgspec.json.encode(staged))
    return _status(repository, wall_s)


def _sha256_of(file: TargetFile | None) -> str:
    return str(file.hashes.get("sha256", "")) if file else ""


def _exists(folder: Path) -> bool:
    return (folder / STAGED_FILE).exists() or (folder / "metadata").exists()


def _load(folder: Path) -> Repository:
    """The folder as a value. What is staged but was published just before a power cut is staged no
    more.
    """
    if not _exists(folder):
        raise InputError(f"{folder} is not a trust repository", hint="make one: trust init")
    published = {
        role: _fs.read_limited(path, limit_bytes=STAGED_LIMIT_BYTES)
        for role, path in _newest(folder).items()
    }
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
    waiting = {role: bytes(part) for role, part in staged.items()}
    if waiting.items() <= published.items():
        waiting = {}
    repository = Repository(published=published, staged=waiting)
    if unknown := waiting.keys() - {*ROLES, *repository.speakers()}:
        raise InputError(
            f"{staged_path}: nobody delegates to {', '.join(sorted(unknown))}",
            hint="take a keeper's copy",
        )
    return repository


def _newest(folder: Path) -> dict[str, Path]:
    """The published file of each role with the highest version."""
    newest: dict[str, tuple[int, Path]] = {}
    for path in (folder / "metadata").glob("*.*.json"):
        number, _, name = path.name.removesuffix(".json").partition(".")
        if number.isdigit():
            found = (int(number), path)
            newest[unquote(name)] = max(newest.get(unquote(name), found), found)
    paths = {role: path for role, (_, path) in newest.items()}
    timestamp = folder / "metadata" / metadata_file_name("timestamp")
    return {**paths, "timestamp": timestamp} if timestamp.exists() else paths


def _publish(folder: Path, repository: Repository) -> None:
    """Timestamp last: until it is there, devices see the old state whole."""
    versions = repository.versions()
    for role in sorted(versions, key=lambda name: name == "timestamp"):
        prefix = "" if role == "timestamp" else f"{versions[role]}."
        path = folder / "metadata" / f"{prefix}{metadata_file_name(role)}"
        content = repository.published[role]
        if not path.exists() or path.read_bytes() != content:
            _fs.write_atomic(path, content)


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
    states = repository.states(_at(wall_s))
    return RepositoryStatus(
        roles=states,
        lacks=repository.lacks(),
        targets=repository.target_names(),
        warnings=tuple(text for state in states for text in _warnings(state, wall_s)),
    )


def _warnings(state: RoleState, wall_s: float) -> list[str]:
    """What people should do something about: an end that is near or past, a list grown large."""
    found = []
    if state.is_expiring:
        days = (state.expires_s - wall_s) / DAY_S
        when = f"expires in {days:.1f} days" if days > 0 else f"expired {-days:.1f} days ago"
        role = state.role.removesuffix("-bin-*")
        found.append(f"{state.role} {when}; run: edgewright trust renew REPO {role}, then sign")
    if state.size_bytes > LARGE_BYTES and not state.role.endswith("-*"):
        found.append(
            f"{state.role} lists {state.targets} files in {state.size_bytes >> 10} KiB, which "
            f"every device reads; run: edgewright trust split REPO {state.role}"
        )
    return found


def _trusted(files: KeyFiles) -> TrustedKeys:
    try:
        return TrustedKeys(
            threshold=files.threshold, keys=tuple(public_key(name) for name in files.paths)
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
