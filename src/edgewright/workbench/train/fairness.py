"""Scores by groups of people: by attribute (age, hand, source), with the worst group named. Pure.

>>> right = np.array([True, True, False, True])
>>> table = by_attribute("hand", np.array(["left", "left", "right", "right"]), right)
>>> table.worst, table.difference
('right', 0.5)
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray


class AttributeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One group's rows and the share that was answered rightly."""

    name: str
    rows: int
    accuracy: float


class AttributeTable(msgspec.Struct, frozen=True, kw_only=True):
    """All groups of an attribute; `difference` and `ratio` compare the worst to the best."""

    attribute: str
    groups: tuple[AttributeGroup, ...]
    worst: str
    difference: float
    ratio: float


def by_attribute(
    attribute: str, values: NDArray[np.str_], right: NDArray[np.bool_]
) -> AttributeTable:
    """The table of one attribute, given for each row."""
    groups = tuple(
        AttributeGroup(
            name=str(value),
            rows=int((values == value).sum()),
            accuracy=float(right[values == value].mean()),
        )
        for value in np.unique(values)
    )
    shares = [group.accuracy for group in groups]
    return AttributeTable(
        attribute=attribute,
        groups=groups,
        worst=min(groups, key=lambda group: group.accuracy).name,
        difference=max(shares) - min(shares),
        ratio=min(shares) / max(shares) if max(shares) else 1.0,
    )


def attribute_tables(
    named: Mapping[str, Mapping[str, tuple[str, ...]]],
    people: NDArray[np.str_],
    right: NDArray[np.bool_],
    *,
    by_source: bool = True,
) -> tuple[AttributeTable, ...]:
    """A table for each attribute; people that no group names stand under "(not said)". People of
    merged sources, whose names begin with it, also give a table by source.
    """
    tables = []
    for attribute, groups in named.items():
        of_person = {who: group for group, members in groups.items() for who in members}
        values = np.array([of_person.get(who, "(not said)") for who in people.tolist()])
        tables.append(by_attribute(attribute, values, right))
    sources = np.array([who.rpartition("/")[0] for who in people.tolist()])
    if by_source and len(sources) and all(sources.tolist()):
        tables.append(by_attribute("source", sources, right))
    return tuple(tables)
