"""Aliases of releases (`production`, `staging`): one person proposes, another one approves.

>>> check_alias("production")
'production'
"""

import msgspec
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.engine import RowMapping

from edgewright.clock import Clock
from edgewright.errors import AbsentError, InputError, TrustError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.labels import check_name
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.registry import Release, find_release
from edgewright.fleet.state import State, schema


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """What a name stands for, and what was proposed instead."""

    model: str
    alias: str
    bundle_id: str = ""
    set_by: str = ""
    approved_by: str = ""
    proposed_bundle_id: str = ""
    proposed_by: str = ""
    changed_at_s: float = 0.0


class Aliases(OfProject):
    """The aliases of a project."""

    def __init__(self, state: State, *, clock: Clock, project: str = DEFAULT_PROJECT) -> None:
        self._state = state
        self._clock = clock
        self._project = project

    def propose(self, reference: str, alias: str, *, by: str) -> Alias:
        """Say which release an alias is to mean; it does so once somebody else approved.

        Raises:
            InputError: no such release, not a name, or the name of a version.
        """
        check_alias(alias)
        with self._state.write() as connection:
            release = find_release(connection, reference, project=self._project)
            table = schema.releases
            versions = select(table.c.bundle_id).where(
                table.c.project == self._project,
                table.c.model == release.model,
                table.c.version == alias,
            )
            if connection.scalar(versions) is not None:
                raise InputError(
                    f"{alias} is a version of {release.model}, published under that name",
                    hint="choose another alias: a version's name stays its own",
                )
            before = self._find(connection, release.model, alias)
            after = msgspec.structs.replace(
                before,
                proposed_bundle_id=release.bundle_id,
                proposed_by=by,
                changed_at_s=self._clock.wall_s(),
            )
            return self._keep(connection, after, by, "alias proposed", release)

    def approve(self, reference: str, alias: str, *, by: str) -> Alias:
        """Let an alias mean a release that was proposed. It is named, so that nobody approves what
        was proposed in its place a moment ago.

        Raises:
            AbsentError: nothing was proposed.
            InputError: another release is proposed.
            TrustError: the one who proposed cannot approve as well.
        """
        with self._state.write() as connection:
            release = find_release(connection, reference, project=self._project)
            model = release.model
            before = self._find(connection, model, alias)
            if not before.proposed_bundle_id:
                raise AbsentError(
                    f"nothing is proposed for {model}@{alias}",
                    hint="see: edgewright release aliases",
                )
            if before.proposed_by == by:
                raise TrustError(
                    f"{by} proposed {model}@{alias} and cannot approve it",
                    hint="ask a second person who may approve",
                )
            if before.proposed_bundle_id != release.bundle_id:
                proposed = find_release(
                    connection, before.proposed_bundle_id, project=self._project
                )
                raise InputError(
                    f"{proposed.text} is proposed for {model}@{alias}, not {release.text}",
                    hint="look at what is proposed: edgewright release aliases",
                )
            after = Alias(
                model=model,
                alias=alias,
                bundle_id=release.bundle_id,
                set_by=before.proposed_by,
                approved_by=by,
                changed_at_s=self._clock.wall_s(),
            )
            return self._keep(connection, after, by, "alias approved", release)

    def list(self) -> tuple[Alias, ...]:
        """Every alias."""
        table = schema.aliases
        query = select(table).where(table.c.project == self._project)
        with self._state.read() as connection:
            rows = connection.execute(query.order_by(table.c.model, table.c.alias)).mappings()
            return tuple(map(_alias_of, rows))

    def _keep(
        self, connection: Connection, alias: Alias, by: str, what: str, release: Release
    ) -> Alias:
        table = schema.aliases
        connection.execute(
            delete(table).where(
                table.c.project == self._project,
                table.c.model == alias.model,
                table.c.alias == alias.alias,
            )
        )
        fields = msgspec.structs.asdict(alias)
        connection.execute(insert(table).values(project=self._project, **fields))
        deed = Deed(
            at_s=alias.changed_at_s,
            who=by,
            what=what,
            subject=f"{alias.model}@{alias.alias}",
            detail=f"{release.text} {release.bundle_id}",
            project=self._project,
        )
        write_down(connection, deed)
        return alias

    def _find(self, connection: Connection, model: str, alias: str) -> Alias:
        table = schema.aliases
        query = select(table).where(
            table.c.project == self._project, table.c.model == model, table.c.alias == alias
        )
        row = connection.execute(query).mappings().first()
        return _alias_of(row) if row is not None else Alias(model=model, alias=alias)


def check_alias(alias: str) -> str:
    """A name that may be an alias.

    Raises:
        InputError: it is none.
    """
    return check_name("alias", alias)


def _alias_of(row: RowMapping) -> Alias:
    return Alias(**{name: row[name] for name in Alias.__struct_fields__})
