"""From every older schema to the one of `schema`, one version at a time, forward only.

A step is the SQL that its version needed, frozen as it was: it never reads `schema`, which moves
on.
The whole way is one transaction, so that a process killed in between leaves the old version.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import Connection, select, update

from edgewright.errors import InputError
from edgewright.fleet.state.schema import SCHEMA_VERSION, meta

_TO_2 = (
    "ALTER TABLE enrol_tokens ADD COLUMN device VARCHAR DEFAULT '' NOT NULL",
    "ALTER TABLE enrol_tokens ADD COLUMN needs_approval BOOLEAN DEFAULT 0 NOT NULL",
    "ALTER TABLE devices ADD COLUMN timezone VARCHAR DEFAULT 'UTC' NOT NULL",
    "ALTER TABLE rollouts ADD COLUMN allowance FLOAT DEFAULT 0 NOT NULL",
    "ALTER TABLE rollouts ADD COLUMN options VARCHAR DEFAULT '{}' NOT NULL",
    "ALTER TABLE users ADD COLUMN password VARCHAR DEFAULT '' NOT NULL",
    "ALTER TABLE users ADD COLUMN failures INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE users ADD COLUMN locked_until_s FLOAT DEFAULT 0 NOT NULL",
    "ALTER TABLE users ADD COLUMN is_disabled BOOLEAN DEFAULT 0 NOT NULL",
    "ALTER TABLE user_tokens ADD COLUMN scopes VARCHAR DEFAULT '' NOT NULL",
    """CREATE TABLE enrolments (
        device VARCHAR NOT NULL, asked_by VARCHAR NOT NULL, key_hash VARCHAR NOT NULL,
        labels VARCHAR NOT NULL, timezone VARCHAR NOT NULL, may_replace BOOLEAN NOT NULL,
        asked_at_s FLOAT NOT NULL, decision VARCHAR NOT NULL, decided_by VARCHAR NOT NULL,
        PRIMARY KEY (device))""",
    """CREATE TABLE certificates (
        fingerprint VARCHAR NOT NULL, device VARCHAR NOT NULL, enrolment INTEGER NOT NULL,
        key_hash VARCHAR NOT NULL, issued_at_s FLOAT NOT NULL, not_after_s FLOAT NOT NULL,
        PRIMARY KEY (fingerprint))""",
    "CREATE INDEX certificates_by_device ON certificates (device, issued_at_s)",
    "CREATE INDEX certificates_by_key ON certificates (key_hash)",
    """CREATE TABLE sessions (
        session_hash VARCHAR NOT NULL, "user" VARCHAR NOT NULL, created_at_s FLOAT NOT NULL,
        expires_at_s FLOAT NOT NULL, PRIMARY KEY (session_hash))""",
    """CREATE TABLE aliases (
        model VARCHAR NOT NULL, alias VARCHAR NOT NULL, bundle_id VARCHAR NOT NULL,
        set_by VARCHAR NOT NULL, approved_by VARCHAR NOT NULL, proposed_bundle_id VARCHAR NOT NULL,
        proposed_by VARCHAR NOT NULL, changed_at_s FLOAT NOT NULL, PRIMARY KEY (model, alias))""",
)

_TO_3 = ("CREATE INDEX labels_by_value ON labels (key, value, device)",)

_TO_4 = (
    """CREATE TABLE recipients (
        device VARCHAR NOT NULL, recipient VARCHAR NOT NULL, PRIMARY KEY (device))""",
)

_TO_5 = (
    """CREATE TABLE projects (
        name VARCHAR NOT NULL, created_at_s FLOAT NOT NULL, created_by VARCHAR NOT NULL,
        PRIMARY KEY (name))""",
    "INSERT INTO projects (name, created_at_s, created_by) VALUES ('default', 0, '')",
    """CREATE TABLE memberships (
        project VARCHAR NOT NULL, "user" VARCHAR NOT NULL, role VARCHAR NOT NULL,
        since_s FLOAT NOT NULL, PRIMARY KEY (project, "user"))""",
    'CREATE INDEX memberships_by_user ON memberships ("user")',
    """INSERT INTO memberships (project, "user", role, since_s)
        SELECT 'default', name, role, created_at_s FROM users""",
    "ALTER TABLE users DROP COLUMN role",
    "ALTER TABLE enrol_tokens ADD COLUMN project VARCHAR DEFAULT 'default' NOT NULL",
    "ALTER TABLE enrolments ADD COLUMN project VARCHAR DEFAULT 'default' NOT NULL",
    "ALTER TABLE devices ADD COLUMN project VARCHAR DEFAULT 'default' NOT NULL",
    "CREATE INDEX devices_by_project ON devices (project, name)",
    "ALTER TABLE rollouts ADD COLUMN project VARCHAR DEFAULT 'default' NOT NULL",
    "ALTER TABLE user_tokens ADD COLUMN project VARCHAR DEFAULT 'default' NOT NULL",
    "ALTER TABLE audit ADD COLUMN project VARCHAR DEFAULT 'default' NOT NULL",
    "ALTER TABLE releases RENAME TO releases_3",
    """CREATE TABLE releases (
        project VARCHAR NOT NULL, bundle_id VARCHAR NOT NULL, model VARCHAR NOT NULL,
        version VARCHAR NOT NULL, format VARCHAR NOT NULL, precision VARCHAR NOT NULL,
        file_sha256 VARCHAR NOT NULL, file_size_bytes INTEGER NOT NULL,
        published_at_s FLOAT NOT NULL, published_by VARCHAR NOT NULL, signers VARCHAR NOT NULL,
        provenance VARCHAR NOT NULL, PRIMARY KEY (project, bundle_id),
        UNIQUE (project, model, version))""",
    """INSERT INTO releases (project, bundle_id, model, version, format, precision, file_sha256,
            file_size_bytes, published_at_s, published_by, signers, provenance)
        SELECT 'default', bundle_id, model, version, format, precision, file_sha256,
            file_size_bytes, published_at_s, published_by, signers, provenance FROM releases_3""",
    "DROP TABLE releases_3",
    "ALTER TABLE aliases RENAME TO aliases_3",
    """CREATE TABLE aliases (
        project VARCHAR NOT NULL, model VARCHAR NOT NULL, alias VARCHAR NOT NULL,
        bundle_id VARCHAR NOT NULL, set_by VARCHAR NOT NULL, approved_by VARCHAR NOT NULL,
        proposed_bundle_id VARCHAR NOT NULL, proposed_by VARCHAR NOT NULL,
        changed_at_s FLOAT NOT NULL, PRIMARY KEY (project, model, alias))""",
    """INSERT INTO aliases (project, model, alias, bundle_id, set_by, approved_by,
            proposed_bundle_id, proposed_by, changed_at_s)
        SELECT 'default', model, alias, bundle_id, set_by, approved_by,
            proposed_bundle_id, proposed_by, changed_at_s FROM aliases_3""",
    "DROP TABLE aliases_3",
    """CREATE TABLE commands (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, project VARCHAR NOT NULL,
        device VARCHAR NOT NULL, enrolment INTEGER NOT NULL, kind VARCHAR NOT NULL,
        model VARCHAR NOT NULL, status VARCHAR NOT NULL, ordered_at_s FLOAT NOT NULL,
        ordered_by VARCHAR NOT NULL, expires_at_s FLOAT NOT NULL, ended_at_s FLOAT,
        text VARCHAR DEFAULT '' NOT NULL, upload_bytes INTEGER DEFAULT 0 NOT NULL)""",
    "CREATE INDEX commands_by_device ON commands (device, status, id)",
)

_TO_6 = (
    "ALTER TABLE memberships ADD COLUMN source VARCHAR DEFAULT '' NOT NULL",
    """CREATE TABLE identities (
        issuer VARCHAR NOT NULL, subject VARCHAR NOT NULL, "user" VARCHAR NOT NULL,
        created_at_s FLOAT NOT NULL, PRIMARY KEY (issuer, subject))""",
    """CREATE TABLE oidc_logins (
        state_hash VARCHAR NOT NULL, nonce VARCHAR NOT NULL, verifier VARCHAR NOT NULL,
        expires_at_s FLOAT NOT NULL, PRIMARY KEY (state_hash))""",
)

_TO_7 = (
    """CREATE TABLE notifiers (
        project VARCHAR NOT NULL, name VARCHAR NOT NULL, url VARCHAR NOT NULL,
        secret VARCHAR NOT NULL, topics VARCHAR NOT NULL, hears_fleet BOOLEAN NOT NULL,
        created_at_s FLOAT NOT NULL, created_by VARCHAR NOT NULL, failures INTEGER NOT NULL,
        next_try_s FLOAT NOT NULL, last_error VARCHAR NOT NULL, PRIMARY KEY (project, name))""",
    """CREATE TABLE deliveries (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, project VARCHAR NOT NULL,
        notifier VARCHAR NOT NULL, message_id VARCHAR NOT NULL, at_s FLOAT NOT NULL,
        topic VARCHAR NOT NULL, body VARCHAR NOT NULL, attempts INTEGER NOT NULL,
        standing VARCHAR NOT NULL, error VARCHAR NOT NULL)""",
    "CREATE INDEX deliveries_by_notifier ON deliveries (project, notifier, standing, id)",
)

_TO_8 = (
    "ALTER TABLE members ADD COLUMN validation VARCHAR DEFAULT '' NOT NULL",
    """CREATE TABLE validations (
        device VARCHAR NOT NULL, model VARCHAR NOT NULL, bundle_id VARCHAR NOT NULL,
        enrolment INTEGER NOT NULL, sequence INTEGER NOT NULL, record INTEGER NOT NULL,
        outcome VARCHAR NOT NULL, p95_ms FLOAT, content BLOB NOT NULL,
        PRIMARY KEY (device, model, bundle_id))""",
)

_TO_8_POSTGRES = (
    """ALTER TABLE members ADD COLUMN validation VARCHAR COLLATE "C" DEFAULT '' NOT NULL""",
    """CREATE TABLE validations (
        device VARCHAR COLLATE "C" NOT NULL, model VARCHAR COLLATE "C" NOT NULL,
        bundle_id VARCHAR COLLATE "C" NOT NULL, enrolment BIGINT NOT NULL,
        sequence BIGINT NOT NULL, record BIGINT NOT NULL, outcome VARCHAR COLLATE "C" NOT NULL,
        p95_ms FLOAT, content BYTEA NOT NULL, PRIMARY KEY (device, model, bundle_id))""",
)

STEPS: Mapping[int, Sequence[str]] = MappingProxyType(
    {1: _TO_2, 2: _TO_3, 3: _TO_4, 4: _TO_5, 5: _TO_6, 6: _TO_7, 7: _TO_8}
)
"""What leads from a version to the next one, in the words of SQLite."""

POSTGRES_STEPS: Mapping[int, Sequence[str]] = MappingProxyType({7: _TO_8_POSTGRES})
"""The same in the words of PostgreSQL, which version 7 was the first for."""


def migrate(
    connection: Connection, *, where: str, steps: Mapping[int, Sequence[str]] = STEPS
) -> int:
    """Bring the tables to the newest version; returns the version that was found.

    Raises:
        InputError: it is newer than this edgewright, or none that ever was.
    """
    query = select(meta.c.value).where(meta.c.key == "schema_version")
    text = connection.scalar(query) or ""
    found = int(text) if text.isdecimal() else 0
    if found == SCHEMA_VERSION:
        return found
    if found not in steps:
        raise InputError(
            f"{where} has schema version {text}, this edgewright reads "
            f"{min(steps, default=SCHEMA_VERSION)} to {SCHEMA_VERSION}",
            hint="install a newer edgewright",
        )
    for version in range(found, SCHEMA_VERSION):
        for statement in steps[version]:
            connection.exec_driver_sql(statement)
    connection.execute(
        update(meta).where(meta.c.key == "schema_version").values(value=str(SCHEMA_VERSION))
    )
    return found
