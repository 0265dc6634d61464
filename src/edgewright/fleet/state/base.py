"""The port: a database that keeps the tables of `schema` and gives transactions over them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import Connection, Select


class State(Protocol):
    """A fleet's memory. Any number of processes may share one.

    Both kinds of transaction may be opened from any thread; one connection serves one thread at a
    time. Foreign errors leave as `ResourceError`; a broken uniqueness, and a number of more than 64
    bits, as `InputError`.
    """

    @property
    def is_local(self) -> bool:
        """Whether a look never waits for a network."""

    def read(self) -> AbstractContextManager[Connection]:
        """A snapshot: what others commit meanwhile is not seen."""

    def look(self, query: Select[Any], values: Mapping[str, object]) -> Sequence[tuple[Any, ...]]:
        """The rows of one query by itself, for what is asked thousands of times a second. Columns
        come as the database keeps them: a truth as 0 or 1.
        """

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction that nobody else writes beside. Left normally it is durable; left by an
        exception it never happened.

        Raises:
            ResourceError: the disk is full, or another writer does not end.
        """

    def change_count(self) -> int:
        """A number that differs whenever anybody committed something since the last call."""

    def hang_up(self) -> None:
        """End every wait for a database that does not answer, before it is closed."""

    def close(self) -> None:
        """Let go of every connection."""
