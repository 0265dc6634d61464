"""The one schema of a fleet's memory, version 1, in SQLAlchemy Core: every database stores these
tables.

Names of tables and columns are a file format: they do not follow renamed classes. Times are seconds
since 1970 (`_at_s`); a rollout's own clock is the exception and says so. Secrets and tokens are
stored as SHA-256 only: both are random and long, so a slow hash would add nothing.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

SCHEMA_VERSION = 1

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("bundle_id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("version", String, nullable=False),
    Column("format", String, nullable=False),
    Column("precision", String, nullable=False),
    Column("file_sha256", String, nullable=False),
    Column("file_size_bytes", Integer, nullable=False),
    Column("published_at_s", Float, nullable=False),
    Column("published_by", String, nullable=False),
    Column("signers", String, nullable=False),
    Column("provenance", String, nullable=False),
    UniqueConstraint("model", "version"),
)

enrol_tokens = Table(
    "enrol_tokens",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("created_at_s", Float, nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires_at_s", Float, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("labels", String, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("name", String, primary_key=True),
    Column("secret_hash", String, nullable=False, unique=True),
    Column("enrolment", Integer, nullable=False),
    Column("enrolled_at_s", Float, nullable=False),
    Column("last_seen_s", Float),
    Column("is_revoked", Boolean, nullable=False),
    Column("revision", Integer, nullable=False, index=True),
)

labels = Table(
    "labels",
    metadata,
    Column("device", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

assignments = Table(
    "assignments",
    metadata,
    Column("device", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("bundle_id", String, nullable=False),
    Column("rollout", Integer, nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("device", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("enrolment", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("at_s", Float, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("bundle_id", String, nullable=False),
    Column("version", String, nullable=False),
    Column("running_bundle_id", String, nullable=False),
    Column("running_version", String, nullable=False),
)

records = Table(
    "records",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", String, nullable=False),
    Column("enrolment", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("received_at_s", Float, nullable=False),
    Column("content", LargeBinary, nullable=False),
    UniqueConstraint("device", "enrolment", "sequence"),
    Index("records_by_kind", "kind", "id"),
    sqlite_autoincrement=True,
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String, nullable=False),
    Column("bundle_id", String, nullable=False),
    Column("query", String, nullable=False),
    Column("waves", String, nullable=False),
    Column("limits", String, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("created_by", String, nullable=False),
    Column("status", String, nullable=False),
    Column("is_watched", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Column("open_wave", Integer, nullable=False),
    Column("ticked_at_s", Float, nullable=False),
    Column("elapsed_s", Float, nullable=False),
    Column("passed_at_elapsed_s", Float),
    sqlite_autoincrement=True,
)

members = Table(
    "members",
    metadata,
    Column("rollout", Integer, primary_key=True),
    Column("device", String, primary_key=True),
    Column("wave", Integer, nullable=False),
    Column("standing", String, nullable=False),
    Column("since_elapsed_s", Float, nullable=False),
    Column("reason", String, nullable=False),
    Column("previous_bundle_id", String, nullable=False),
    Column("previous_rollout", Integer, nullable=False),
    Index("members_by_device", "device", "standing"),
)

history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rollout", Integer, nullable=False),
    Column("at_s", Float, nullable=False),
    Column("text", String, nullable=False),
    Index("history_by_rollout", "rollout", "id"),
)

users = Table(
    "users",
    metadata,
    Column("name", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("created_at_s", Float, nullable=False),
)

user_tokens = Table(
    "user_tokens",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("user", String, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("expires_at_s", Float, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("at_s", Float, nullable=False),
    Column("who", String, nullable=False),
    Column("what", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("hash", String, nullable=False),
)
