"""Who did what, in a chain of hashes: no entry can be changed or taken out unseen.

Every entry's hash covers the entry before it. The chain is one for the whole fleet; an entry
belongs to a project, or to the fleet itself ("", like a login). Whoever can write the database can
also write a new chain; comparing the newest hash with one that was noted elsewhere shows that.
"""

import hashlib
import re
from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, insert, select

from edgewright.errors import InputError, TrustError
from edgewright.fleet.state import State, schema

FLEET_ITSELF = ""
"""What entries that are no project's have in the place of its name."""

_START = "0" * 64
_NOTED = re.compile(r"[0-9a-f]{12,64}")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did."""

    sequence: int
    at_s: float
    who: str
    what: str
    subject: str
    detail: str
    hash: str
    project: str = FLEET_ITSELF


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody does now, to be written down."""

    at_s: float
    who: str
    what: str
    subject: str
    detail: str = ""
    project: str = FLEET_ITSELF


def write_down(connection: Connection, deed: Deed) -> None:
    """Append a deed, in the transaction that does it."""
    newest = select(schema.audit.c.sequence, schema.audit.c.hash)
    row = connection.execute(newest.order_by(schema.audit.c.sequence.desc()).limit(1)).first()
    sequence, before = (row.sequence + 1, row.hash) if row else (1, _START)
    kept = _storable(deed)
    fields = msgspec.structs.asdict(kept)
    connection.execute(
        insert(schema.audit).values(
            sequence=sequence, hash=_hash_of(before, sequence, kept), **fields
        )
    )


def read_audit(
    state: State, *, newest: int = 100, projects: Collection[str] | None = None
) -> tuple[Entry, ...]:
    """The newest entries, newest first, of these projects only when some are named."""
    query = select(schema.audit).order_by(schema.audit.c.sequence.desc()).limit(newest)
    if projects is not None:
        query = query.where(schema.audit.c.project.in_(projects))
    with state.read() as connection:
        return tuple(Entry(**row) for row in connection.execute(query).mappings())


def verify_audit(state: State, *, noted: str = "") -> Entry | None:
    """Check the whole chain; returns its newest entry. `noted` is the hash of an entry (or its
    first 12 digits or more) that was written down elsewhere: it shows whether the newest ones were
    taken out, or all of them written anew.

    Raises:
        TrustError: an entry was changed, or one is missing.
        InputError: what was noted is no hash.
    """
    if noted and not _NOTED.fullmatch(noted):
        raise InputError(
            f"noted hash {noted[:80]!r}: expected 12 to 64 hexadecimal digits",
            hint="`fleet audit verify` prints the newest hash to note",
        )
    before, entry = _START, None
    is_there = not noted
    with state.read() as connection:
        rows = connection.execute(select(schema.audit).order_by(schema.audit.c.sequence))
        for number, row in enumerate(rows.mappings(), start=1):
            entry = Entry(**row)
            deed = Deed(
                at_s=entry.at_s,
                who=entry.who,
                what=entry.what,
                subject=entry.subject,
                detail=entry.detail,
                project=entry.project,
            )
            if entry.sequence != number or entry.hash != _hash_of(before, number, deed):
                raise TrustError(
                    f"audit log: entry {number} was changed or taken out",
                    hint="compare with a backup; somebody wrote the database by hand",
                )
            before = entry.hash
            is_there = is_there or before.startswith(noted)
    if not is_there:
        raise TrustError(
            f"audit log: no entry has the hash {noted[:16]}... that was noted",
            hint="entries were taken out at the end, or the chain was written anew",
        )
    return entry


def _storable(deed: Deed) -> Deed:
    """The deed as every database keeps it: PostgreSQL stores no NUL, and what is hashed must be
    what is stored.
    """
    texts = {
        name: value.replace("\0", "\ufffd")
        for name, value in msgspec.structs.asdict(deed).items()
        if isinstance(value, str)
    }
    return msgspec.structs.replace(deed, **texts)


def _hash_of(before: str, sequence: int, deed: Deed) -> str:
    fields = msgspec.structs.asdict(deed)
    if deed.project == schema.DEFAULT_PROJECT:
        del fields["project"]  # as entries were hashed before there were projects
    content = msgspec.json.encode((before, sequence, fields), order="sorted")
    return hashlib.sha256(content).hexdigest()
