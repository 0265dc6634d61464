"""Labels of devices and the queries over them. A group is a query, so it never goes stale.

Clauses are joined by commas and hold together; the label `device` is the device's own name.

>>> parse_query("site=berlin, tier!=prod, camera, !retired")[0]
Clause(key='site', values=('berlin',), is_negated=False)
>>> parse_query("device=a|b")[0].values
('a', 'b')
"""

import re
from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import ColumnElement, select

from edgewright.errors import InputError
from edgewright.fleet.state import schema

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
LABEL_LIMIT = 64
OWN_NAME = "device"
CLAUSES_AT_MOST = 32
"""Each is a list of its own that the database joins: a thousand of them take it gigabytes."""
VALUES_AT_MOST = 200

_CLAUSE = re.compile(
    r"(?P<absent>!?)(?P<key>[A-Za-z0-9][A-Za-z0-9._-]{0,62})"
    r"(?:(?P<operator>!?=)(?P<values>[A-Za-z0-9][A-Za-z0-9._|-]{0,999}))?"
)
_HINT = "write queries like site=berlin,tier!=prod,camera,!retired"


class Clause(msgspec.Struct, frozen=True):
    """One condition: the key has one of the values (any, when there are none), or has not."""

    key: str
    values: tuple[str, ...] = ()
    is_negated: bool = False


Query = tuple[Clause, ...]


def parse_query(text: str) -> Query:
    """The clauses of a query; an empty text asks for every device.

    Raises:
        InputError: not a query, or one of too many clauses or values.
    """
    if not text.strip():
        return ()
    parts = text.split(",")
    _check_count("clauses", len(parts), at_most=CLAUSES_AT_MOST)
    query = tuple(_parse_clause(part.strip()) for part in parts)
    values = sum(len(clause.values) for clause in query)
    _check_count("values", values, at_most=VALUES_AT_MOST)
    return query


def check_name(what: str, name: str) -> str:
    """A name of a device, label or user that is safe in paths, queries and pages.

    Raises:
        InputError: it is not such a name.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"{what} {name[:80]!r}: expected 1 to 63 of letters, digits, '.', '_', '-', beginning "
            "with a letter or digit",
            hint="choose another name",
        )
    return name


def check_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels that may be stored.

    Raises:
        InputError: too many, or a key or value that is not a name.
    """
    if len(labels) > LABEL_LIMIT:
        raise InputError(f"{len(labels)} labels, at most {LABEL_LIMIT} are taken")
    if OWN_NAME in labels:
        raise InputError(f"label {OWN_NAME!r} is the device's own name", hint="choose another key")
    return {
        check_name("label", key): check_name(f"value of label {key}", value)
        for key, value in labels.items()
    }


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """Labels written as KEY=VALUE.

    >>> parse_labels(["site=berlin"])
    {'site': 'berlin'}
    """
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not equals:
            raise InputError(f"label {key[:80]!r}: expected KEY=VALUE", hint="like site=berlin")
    return check_labels({key: value for key, _, value in pairs})


def matching(query: Query) -> list[ColumnElement[bool]]:
    """The query as conditions on the table of devices."""
    return [_condition(clause) for clause in query]


def _condition(clause: Clause) -> ColumnElement[bool]:
    if clause.key == OWN_NAME:
        found: ColumnElement[bool] = schema.devices.c.name.in_(clause.values)
    else:
        label = select(schema.labels.c.device).where(schema.labels.c.key == clause.key)
        if clause.values:
            label = label.where(schema.labels.c.value.in_(clause.values))
        # A list, not a question to each device: the database begins with the few that have it.
        found = schema.devices.c.name.in_(label)
    return ~found if clause.is_negated else found


def _check_count(what: str, count: int, *, at_most: int) -> None:
    if count > at_most:
        raise InputError(
            f"label query: {count} {what}, at most {at_most} are taken",
            hint="give those devices a label of their own, and ask for that",
        )


def _parse_clause(text: str) -> Clause:
    found = _CLAUSE.fullmatch(text)
    if found is None or (found["absent"] and found["operator"]):
        raise InputError(f"label query, {text[:80]!r}: not a clause", hint=_HINT)
    values = tuple(value for value in (found["values"] or "").split("|") if value)
    if found["key"] == OWN_NAME and not values:
        raise InputError(f"label query, {text!r}: every device has a name", hint="device=NAME")
    return Clause(found["key"], values, bool(found["absent"]) or found["operator"] == "!=")
