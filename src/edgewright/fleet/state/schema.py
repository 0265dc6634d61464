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
    text,
)

SCHEMA_VERSION = 7

DEFAULT_PROJECT = "default"
"""The project of a fleet that knows no others; what was there before projects belongs to it."""

metadata = MetaData()


def _project() -> Column[str]:
    return Column("project", String, nullable=False, server_default=DEFAULT_PROJECT)


meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("name", String, primary_key=True),
    Column("created_at_s", Float, nullable=False),
    Column("created_by", String, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("project", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("since_s", Float, nullable=False),
    Column("source", String, nullable=False, server_default=""),
    Index("memberships_by_user", "user"),
)

releases = Table(
    "releases",
    metadata,
    Column("project", String, primary_key=True),
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
    UniqueConstraint("project", "model", "version"),
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
    Column("device", String, nullable=False, server_default=""),
    Column("needs_approval", Boolean, nullable=False, server_default=text("0")),
    _project(),
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("device", String, primary_key=True),
    Column("asked_by", String, nullable=False),
    Column("key_hash", String, nullable=False),
    Column("labels", String, nullable=False),
    Column("timezone", String, nullable=False),
    Column("may_replace", Boolean, nullable=False),
    Column("asked_at_s", Float, nullable=False),
    Column("decision", String, nullable=False),
    Column("decided_by", String, nullable=False),
    _project(),
)

certificates = Table(
    "certificates",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("device", String, nullable=False),
    Column("enrolment", Integer, nullable=False),
    Column("key_hash", String, nullable=False),
    Column("issued_at_s", Float, nullable=False),
    Column("not_after_s", Float, nullable=False),
    Index("certificates_by_device", "device", "issued_at_s"),
    Index("certificates_by_key", "key_hash"),
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
    Column("timezone", String, nullable=False, server_default="UTC"),
    _project(),
    Index("devices_by_project", "project", "name"),
)

recipients = Table(
    "recipients",
    metadata,
    Column("device", String, primary_key=True),
    Column("recipient", String, nullable=False),
)

labels = Table(
    "labels",
    metadata,
    Column("device", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
    Index("labels_by_value", "key", "value", "device"),
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
    Column("allowance", Float, nullable=False, server_default=text("0")),
    Column("options", String, nullable=False, server_default="{}"),
    _project(),
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

commands = Table(
    "commands",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String, nullable=False),
    Column("device", String, nullable=False),
    Column("enrolment", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("model", String, nullable=False),
    Column("status", String, nullable=False),
    Column("ordered_at_s", Float, nullable=False),
    Column("ordered_by", String, nullable=False),
    Column("expires_at_s", Float, nullable=False),
    Column("ended_at_s", Float),
    Column("text", String, nullable=False, server_default=""),
    Column("upload_bytes", Integer, nullable=False, server_default=text("0")),
    Index("commands_by_device", "device", "status", "id"),
    sqlite_autoincrement=True,
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
    Column("created_at_s", Float, nullable=False),
    Column("password", String, nullable=False, server_default=""),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("locked_until_s", Float, nullable=False, server_default=text("0")),
    Column("is_disabled", Boolean, nullable=False, server_default=text("0")),
)

user_tokens = Table(
    "user_tokens",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("user", String, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("expires_at_s", Float, nullable=False),
    Column("scopes", String, nullable=False, server_default=""),
    _project(),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_hash", String, primary_key=True),
    Column("user", String, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("expires_at_s", Float, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("issuer", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("user", String, nullable=False),
    Column("created_at_s", Float, nullable=False),
)

oidc_logins = Table(
    "oidc_logins",
    metadata,
    Column("state_hash", String, primary_key=True),
    Column("nonce", String, nullable=False),
    Column("verifier", String, nullable=False),
    Column("expires_at_s", Float, nullable=False),
)

notifiers = Table(
    "notifiers",
    metadata,
    Column("project", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("url", String, nullable=False),
    Column("secret", String, nullable=False),
    Column("topics", String, nullable=False),
    Column("hears_fleet", Boolean, nullable=False),
    Column("created_at_s", Float, nullable=False),
    Column("created_by", String, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("next_try_s", Float, nullable=False),
    Column("last_error", String, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String, nullable=False),
    Column("notifier", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("at_s", Float, nullable=False),
    Column("topic", String, nullable=False),
    Column("body", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("standing", String, nullable=False),
    Column("error", String, nullable=False),
    Index("deliveries_by_notifier", "project", "notifier", "standing", "id"),
    sqlite_autoincrement=True,
)

aliases = Table(
    "aliases",
    metadata,
    Column("project", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("alias", String, primary_key=True),
    Column("bundle_id", String, nullable=False),
    Column("set_by", String, nullable=False),
    Column("approved_by", String, nullable=False),
    Column("proposed_bundle_id", String, nullable=False),
    Column("proposed_by", String, nullable=False),
    Column("changed_at_s", Float, nullable=False),
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
    _project(),
)
