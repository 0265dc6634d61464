"""Rollouts as people and programs see them."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, select

from edgewright.fleet.rollout_options import RolloutOptions
from edgewright.fleet.rollout_store import load, options_of, revision_of, unknown
from edgewright.fleet.rollout_terms import Limits, RolloutState, Status
from edgewright.fleet.state import schema


class MemberFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One device of a rollout, as shown."""

    device: str
    wave: int
    standing: str
    reason: str
    validation: str = ""


class WaveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How many devices of a wave stand where, and what their validations said."""

    number: int
    is_open: bool
    standings: dict[str, int]
    validations: dict[str, int] = {}

    @property
    def validations_text(self) -> str:
        """As people read it."""
        return ", ".join(
            f"{count} {verdict}" for verdict, count in sorted(self.validations.items())
        )


class HistoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a rollout's state."""

    at_s: float
    text: str


class RolloutFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout as people and programs see it."""

    number: int
    model: str
    version: str
    bundle_id: str
    status: Status
    reason: str
    query: str
    limits: Limits
    options: RolloutOptions = RolloutOptions()
    created_at_s: float
    created_by: str
    elapsed_s: float
    waves: tuple[WaveFacts, ...]
    members: tuple[MemberFacts, ...]
    history: tuple[HistoryFacts, ...]
    revision: int = 0


def facts(connection: Connection, number: int) -> RolloutFacts:
    """A rollout as shown.

    Raises:
        AbsentError: there is no such rollout.
    """
    rollouts, releases = schema.rollouts, schema.releases
    query = select(rollouts, releases.c.version).join(
        releases,
        (releases.c.bundle_id == rollouts.c.bundle_id) & (releases.c.project == rollouts.c.project),
    )
    row = connection.execute(query.where(rollouts.c.id == number)).first()
    if row is None:
        raise unknown(number)
    state = load(connection, number)
    history = select(schema.history).where(schema.history.c.rollout == number)
    return RolloutFacts(
        number=number,
        model=row.model,
        version=row.version,
        bundle_id=row.bundle_id,
        status=state.status,
        reason=state.reason,
        query=row.query,
        limits=state.limits,
        options=options_of(connection, number),
        created_at_s=row.created_at_s,
        created_by=row.created_by,
        elapsed_s=state.elapsed_s,
        waves=tuple(_waves(state)),
        members=tuple(
            MemberFacts(
                device=d,
                wave=m.wave + 1,
                standing=m.standing,
                reason=m.reason,
                validation=m.validation,
            )
            for d, m in state.members.items()
        ),
        history=tuple(
            HistoryFacts(at_s=entry.at_s, text=entry.text)
            for entry in connection.execute(history.order_by(schema.history.c.id))
        ),
        revision=revision_of(connection, number),
    )


def _waves(state: RolloutState) -> Iterable[WaveFacts]:
    for number in range(state.waves):
        members = [member for member in state.members.values() if member.wave == number]
        yield WaveFacts(
            number=number + 1,
            is_open=number <= state.open_wave,
            standings=_counts(member.standing for member in members),
            validations=_counts(member.validation for member in members if member.validation),
        )


def _counts(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words))
