"""Projects of one fleet, closed to each other: what belongs to one is not there for the others.

A service over a state (`Devices`, `Registry`, `Rollouts`, ...) is always one project's; asked for
what another project has, it answers as if that did not exist. Names of devices are the exception:
they are unique in the fleet, so whoever may enrol can find out that a name is taken.

>>> check_project("press-shop")
'press-shop'
"""

import copy
from typing import Self

import msgspec
from sqlalchemy import Connection, insert, select

from edgewright.clock import Clock
from edgewright.errors import AbsentError, InputError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.labels import check_name
from edgewright.fleet.state import State, schema

DEFAULT_PROJECT = schema.DEFAULT_PROJECT


class OfProject:
    """A service that sees one project."""

    _project: str

    def within(self, project: str) -> Self:
        """The same service for another project."""
        other = copy.copy(self)
        other._project = project  # noqa: SLF001 - of the same class
        return other


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the fleet with its own devices, releases, rollouts and people."""

    name: str
    created_at_s: float
    created_by: str


class Projects:
    """All projects of a fleet."""

    def __init__(self, state: State, *, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def add(self, name: str, *, by: str) -> Project:
        """A new project, without devices, releases and people.

        Raises:
            InputError: the name is taken or not a name.
        """
        made = Project(name=check_project(name), created_at_s=self._clock.wall_s(), created_by=by)
        with self._state.write() as connection:
            if _is_there(connection, name):
                raise InputError(f"project {name} is there already", hint="choose another name")
            connection.execute(insert(schema.projects).values(**msgspec.structs.asdict(made)))
            deed = Deed(
                at_s=made.created_at_s, who=by, what="project added", subject=name, project=name
            )
            write_down(connection, deed)
        return made

    def list(self) -> tuple[Project, ...]:
        """Every project, by name."""
        table = schema.projects
        with self._state.read() as connection:
            rows = connection.execute(select(table).order_by(table.c.name)).mappings()
            return tuple(Project(**row) for row in rows)

    def require(self, name: str) -> str:
        """The name of a project that is there.

        Raises:
            AbsentError: it is not.
        """
        with self._state.read() as connection:
            if not _is_there(connection, name):
                raise unknown_project(name)
        return name


def check_project(name: str) -> str:
    """A name that may be a project's.

    Raises:
        InputError: it is none.
    """
    return check_name("project", name)


def unknown_project(name: str) -> AbsentError:
    """What is said of a project that is not there, or is none of this person's."""
    return AbsentError(
        f"there is no project {name[:80]!r} for you", hint="see: edgewright fleet project list"
    )


def _is_there(connection: Connection, name: str) -> bool:
    table = schema.projects
    return connection.scalar(select(table.c.name).where(table.c.name == name)) is not None
