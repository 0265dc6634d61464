"""The fleet wired over its home folder: database, release files, trusted keys.

    HOME/fleet.db            the state (SQLite)
    HOME/releases/           release files by hash
    HOME/trusted-keys.json   whose signatures a bundle needs

The server and the command line open the same folder, at the same time if they like.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgewright import _fs
from edgewright.clock import SystemClock
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError
from edgewright.fleet.alerts import AlertLimits
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.devices import Devices
from edgewright.fleet.office import Office
from edgewright.fleet.registry import Registry
from edgewright.fleet.rollouts import Rollouts
from edgewright.fleet.secret import draw
from edgewright.fleet.state import SqliteState
from edgewright.fleet.users import Users
from edgewright.fleet.watch import Watch
from edgewright.keys.file import read_public_key
from edgewright.stores import FolderBlobs
from edgewright.trust import TrustedKeys

DATABASE = "fleet.db"
RELEASES = "releases"
TRUSTED_KEYS = "trusted-keys.json"

_KEYS_LIMIT_BYTES = 1 << 20


@contextmanager
def open_fleet(home: Path, *, create: bool = False) -> Iterator[Office]:
    """The services of the fleet in a folder.

    Raises:
        InputError: there is none, and none was to be made.
    """
    if not create and not (home / DATABASE).exists():
        raise InputError(
            f"there is no fleet in {home}",
            hint=f"make one: edgewright fleet trust KEY.pub --home {home}",
        )
    _fs.make_dirs(home)
    state = SqliteState(home / DATABASE)
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


def _office(home: Path, state: SqliteState) -> Office:
    clock = SystemClock()

    def trusted() -> TrustedKeys:
        return _read_trusted(home)

    return Office(
        state=state,
        registry=Registry(state, blobs=FolderBlobs(home / RELEASES), clock=clock, trusted=trusted),
        devices=Devices(state, clock=clock, draw=draw),
        rollouts=Rollouts(state, clock=clock),
        users=Users(state, clock=clock, draw=draw),
        watch=Watch(state, clock=clock, limits=AlertLimits()),
        clock=clock,
        trusted=trusted,
    )


def _read_trusted(home: Path) -> TrustedKeys:
    path = home / TRUSTED_KEYS
    if not path.exists():
        raise InputError(
            f"the fleet in {home} trusts no key yet",
            hint=f"name one: edgewright fleet trust KEY.pub --home {home}",
        )
    content = _fs.read_limited(path, limit_bytes=_KEYS_LIMIT_BYTES)
    return decode_json(content, TrustedKeys, source=str(path))
