"""The one schema of a fleet's memory, version 7, in SQLAlchemy Core: every database stores these
tables.

Names of tables and columns are a file format: they do not follow renamed classes. Times are seconds
since 1970 (`_at_s`); a rollout's own clock is the exception and says so. Secrets and tokens are
stored as SHA-256 only: both are random and long, so a slow hash would add nothing. Passwords are
neither; what is kept of them says how it was made.

What belongs to a project carries its name, by itself or by its device or rollout (`labels`,
`assignments`, `reports`, `records`, `certificates`; `members`, `history`). Names of devices and
users are unique in the whole fleet, because certificates and accounts are.

A change here comes with a step in `migrations`; columns that are added have a server default, so
that a migrated file and a new one are the same.
"""

from sqlalchemy import (
    BigInteger,
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
    false,
    text,
)

SCHEMA_VERSION = 8

DEFAULT_PROJECT = "default"
"""The project of a fleet that knows no others; what was there before projects belongs to it."""

_TEXT = String().with_variant(String(collation="C"), "postgresql")
"""Compared character by character, everywhere."""
_WHOLE = BigInteger().with_variant(Integer(), "sqlite")
"""Eight bytes; SQLite's integers are that long anyway."""

metadata = MetaData()


def _project() -> Column[str]:
    return Column("project", _TEXT, nullable=False, server_default=DEFAULT_PROJECT)


meta = Table(
    "meta",
    metadata,
    Column("key", _TEXT, primary_key=True),
    Column("value", _TEXT, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("created_at_s", Float, nullable=False),
    Column("created_by", _TEXT, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("project", _TEXT, primary_key=True),
    Column("user", _TEXT, primary_key=True),
    Column("role", _TEXT, nullable=False),
    Column("since_s", Float, nullable=False),
    Column("source", _TEXT, nullable=False, server_default=""),
    Index("memberships_by_user", "user"),
)

releases = Table(
    "releases",
    metadata,
    Column("project", _TEXT, primary_key=True),
    Column("bundle_id", _TEXT, primary_key=True),
    Column("model", _TEXT, nullable=False),
    Column("version", _TEXT, nullable=False),
    Column("format", _TEXT, nullable=False),
    Column("precision", _TEXT, nullable=False),
    Column("file_sha256", _TEXT, nullable=False),
    Column("file_size_bytes", _WHOLE, nullable=False),
    Column("published_at_s", Float, nullable=False),
    Column("published_by", _TEXT, nullable=False),
    Column("signers", _TEXT, nullable=False),
    Column("provenance", _TEXT, nullable=False),
    UniqueConstraint("project", "model", "version"),
)

enrol_tokens = Table(
    "enrol_tokens",
    metadata,
    Column("token_hash", _TEXT, primary_key=True),
    Column("created_at_s", Float, nullable=False),
    Column("created_by", _TEXT, nullable=False),
    Column("expires_at_s", Float, nullable=False),
    Column("uses_left", _WHOLE, nullable=False),
    Column("labels", _TEXT, nullable=False),
    Column("device", _TEXT, nullable=False, server_default=""),
    Column("needs_approval", Boolean, nullable=False, server_default=false()),
    _project(),
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("device", _TEXT, primary_key=True),
    Column("asked_by", _TEXT, nullable=False),
    Column("key_hash", _TEXT, nullable=False),
    Column("labels", _TEXT, nullable=False),
    Column("timezone", _TEXT, nullable=False),
    Column("may_replace", Boolean, nullable=False),
    Column("asked_at_s", Float, nullable=False),
    Column("decision", _TEXT, nullable=False),
    Column("decided_by", _TEXT, nullable=False),
    _project(),
)

certificates = Table(
    "certificates",
    metadata,
    Column("fingerprint", _TEXT, primary_key=True),
    Column("device", _TEXT, nullable=False),
    Column("enrolment", _WHOLE, nullable=False),
    Column("key_hash", _TEXT, nullable=False),
    Column("issued_at_s", Float, nullable=False),
    Column("not_after_s", Float, nullable=False),
    Index("certificates_by_device", "device", "issued_at_s"),
    Index("certificates_by_key", "key_hash"),
)

devices = Table(
    "devices",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("secret_hash", _TEXT, nullable=False, unique=True),
    Column("enrolment", _WHOLE, nullable=False),
    Column("enrolled_at_s", Float, nullable=False),
    Column("last_seen_s", Float),
    Column("is_revoked", Boolean, nullable=False),
    Column("revision", _WHOLE, nullable=False, index=True),
    Column("timezone", _TEXT, nullable=False, server_default="UTC"),
    _project(),
    Index("devices_by_project", "project", "name"),
)

recipients = Table(
    "recipients",
    metadata,
    Column("device", _TEXT, primary_key=True),
    Column("recipient", _TEXT, nullable=False),
)

labels = Table(
    "labels",
    metadata,
    Column("device", _TEXT, primary_key=True),
    Column("key", _TEXT, primary_key=True),
    Column("value", _TEXT, nullable=False),
    Index("labels_by_value", "key", "value", "device"),
)

assignments = Table(
    "assignments",
    metadata,
    Column("device", _TEXT, primary_key=True),
    Column("model", _TEXT, primary_key=True),
    Column("bundle_id", _TEXT, nullable=False),
    Column("rollout", _WHOLE, nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("device", _TEXT, primary_key=True),
    Column("model", _TEXT, primary_key=True),
    Column("enrolment", _WHOLE, nullable=False),
    Column("sequence", _WHOLE, nullable=False),
    Column("at_s", Float, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("bundle_id", _TEXT, nullable=False),
    Column("version", _TEXT, nullable=False),
    Column("running_bundle_id", _TEXT, nullable=False),
    Column("running_version", _TEXT, nullable=False),
)

records = Table(
    "records",
    metadata,
    Column("id", _WHOLE, primary_key=True),
    Column("device", _TEXT, nullable=False),
    Column("enrolment", _WHOLE, nullable=False),
    Column("sequence", _WHOLE, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Column("received_at_s", Float, nullable=False),
    Column("content", LargeBinary, nullable=False),
    UniqueConstraint("device", "enrolment", "sequence"),
    Index("records_by_kind", "kind", "id"),
    sqlite_autoincrement=True,
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", _WHOLE, primary_key=True),
    Column("model", _TEXT, nullable=False),
    Column("bundle_id", _TEXT, nullable=False),
    Column("query", _TEXT, nullable=False),
    Column("waves", _TEXT, nullable=False),
    Column("limits", _TEXT, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("created_by", _TEXT, nullable=False),
    Column("status", _TEXT, nullable=False),
    Column("is_watched", Boolean, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("open_wave", _WHOLE, nullable=False),
    Column("ticked_at_s", Float, nullable=False),
    Column("elapsed_s", Float, nullable=False),
    Column("passed_at_elapsed_s", Float),
    Column("allowance", Float, nullable=False, server_default=text("0")),
    Column("options", _TEXT, nullable=False, server_default="{}"),
    _project(),
    sqlite_autoincrement=True,
)

members = Table(
    "members",
    metadata,
    Column("rollout", _WHOLE, primary_key=True),
    Column("device", _TEXT, primary_key=True),
    Column("wave", _WHOLE, nullable=False),
    Column("standing", _TEXT, nullable=False),
    Column("since_elapsed_s", Float, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("previous_bundle_id", _TEXT, nullable=False),
    Column("previous_rollout", _WHOLE, nullable=False),
    Column("validation", _TEXT, nullable=False, server_default=""),
    Index("members_by_device", "device", "standing"),
)

validations = Table(
    "validations",
    metadata,
    Column("device", _TEXT, primary_key=True),
    Column("model", _TEXT, primary_key=True),
    Column("bundle_id", _TEXT, primary_key=True),
    Column("enrolment", _WHOLE, nullable=False),
    Column("sequence", _WHOLE, nullable=False),
    Column("record", _WHOLE, nullable=False),
    Column("outcome", _TEXT, nullable=False),
    Column("p95_ms", Float),
    Column("content", LargeBinary, nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("id", _WHOLE, primary_key=True),
    Column("project", _TEXT, nullable=False),
    Column("device", _TEXT, nullable=False),
    Column("enrolment", _WHOLE, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Column("model", _TEXT, nullable=False),
    Column("status", _TEXT, nullable=False),
    Column("ordered_at_s", Float, nullable=False),
    Column("ordered_by", _TEXT, nullable=False),
    Column("expires_at_s", Float, nullable=False),
    Column("ended_at_s", Float),
    Column("text", _TEXT, nullable=False, server_default=""),
    Column("upload_bytes", _WHOLE, nullable=False, server_default=text("0")),
    Index("commands_by_device", "device", "status", "id"),
    sqlite_autoincrement=True,
)

history = Table(
    "history",
    metadata,
    Column("id", _WHOLE, primary_key=True),
    Column("rollout", _WHOLE, nullable=False),
    Column("at_s", Float, nullable=False),
    Column("text", _TEXT, nullable=False),
    Index("history_by_rollout", "rollout", "id"),
)

users = Table(
    "users",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("created_at_s", Float, nullable=False),
    Column("password", _TEXT, nullable=False, server_default=""),
    Column("failures", _WHOLE, nullable=False, server_default=text("0")),
    Column("locked_until_s", Float, nullable=False, server_default=text("0")),
    Column("is_disabled", Boolean, nullable=False, server_default=false()),
)

user_tokens = Table(
    "user_tokens",
    metadata,
    Column("token_hash", _TEXT, primary_key=True),
    Column("user", _TEXT, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("expires_at_s", Float, nullable=False),
    Column("scopes", _TEXT, nullable=False, server_default=""),
    _project(),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_hash", _TEXT, primary_key=True),
    Column("user", _TEXT, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("expires_at_s", Float, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("issuer", _TEXT, primary_key=True),
    Column("subject", _TEXT, primary_key=True),
    Column("user", _TEXT, nullable=False),
    Column("created_at_s", Float, nullable=False),
)

oidc_logins = Table(
    "oidc_logins",
    metadata,
    Column("state_hash", _TEXT, primary_key=True),
    Column("nonce", _TEXT, nullable=False),
    Column("verifier", _TEXT, nullable=False),
    Column("expires_at_s", Float, nullable=False),
)

notifiers = Table(
    "notifiers",
    metadata,
    Column("project", _TEXT, primary_key=True),
    Column("name", _TEXT, primary_key=True),
    Column("url", _TEXT, nullable=False),
    Column("secret", _TEXT, nullable=False),
    Column("topics", _TEXT, nullable=False),
    Column("hears_fleet", Boolean, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("created_by", _TEXT, nullable=False),
    Column("failures", _WHOLE, nullable=False),
    Column("next_try_s", Float, nullable=False),
    Column("last_error", _TEXT, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _WHOLE, primary_key=True),
    Column("project", _TEXT, nullable=False),
    Column("notifier", _TEXT, nullable=False),
    Column("message_id", _TEXT, nullable=False),
    Column("at_s", Float, nullable=False),
    Column("topic", _TEXT, nullable=False),
    Column("body", _TEXT, nullable=False),
    Column("attempts", _WHOLE, nullable=False),
    Column("standing", _TEXT, nullable=False),
    Column("error", _TEXT, nullable=False),
    Index("deliveries_by_notifier", "project", "notifier", "standing", "id"),
    sqlite_autoincrement=True,
)

aliases = Table(
    "aliases",
    metadata,
    Column("project", _TEXT, primary_key=True),
    Column("model", _TEXT, primary_key=True),
    Column("alias", _TEXT, primary_key=True),
    Column("bundle_id", _TEXT, nullable=False),
    Column("set_by", _TEXT, nullable=False),
    Column("approved_by", _TEXT, nullable=False),
    Column("proposed_bundle_id", _TEXT, nullable=False),
    Column("proposed_by", _TEXT, nullable=False),
    Column("changed_at_s", Float, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", _WHOLE, primary_key=True),
    Column("at_s", Float, nullable=False),
    Column("who", _TEXT, nullable=False),
    Column("what", _TEXT, nullable=False),
    Column("subject", _TEXT, nullable=False),
    Column("detail", _TEXT, nullable=False),
    Column("hash", _TEXT, nullable=False),
    _project(),
)
