"""The alerts of a fleet: its newest records and silent devices, put before the rule of `alerts`."""

import msgspec
from sqlalchemy import func, select

from edgewright.clock import Clock
from edgewright.fleet.alerts import Alert, AlertLimits, judge, silent
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.state import State, schema
from edgewright.fleet.telemetry import readable
from edgewright.telemetry import Record

LOOK_BACK_S = 3600.0

_NEWEST = 20_000
_REASON_CHARACTERS = 300
_ALL = "the fleet"
"""In the place of a device's name, and no such name."""
_decoder = msgspec.json.Decoder(Record)


class Standstill:
    """Since when no rollout of any project goes on, and why. In memory, because what stops them may
    be the disk; so only the process that drives the rollouts tells of it.
    """

    def __init__(self) -> None:
        self._now: tuple[float, str] | None = None

    def begin(self, reason: str, *, now_s: float) -> None:
        """Rollouts could not be looked at just now; it began when that was so first."""
        since_s = self._now[0] if self._now else now_s
        self._now = since_s, reason[:_REASON_CHARACTERS]

    def end(self) -> None:
        """They were looked at."""
        self._now = None

    def alerts(self, *, now_s: float) -> tuple[Alert, ...]:
        """One while they stand still."""
        if self._now is None:
            return ()
        since_s, reason = self._now
        what = "rollouts stand still"
        alert = Alert(
            device=_ALL, what=what, measured=now_s - since_s, limit=0.0, unit="s", text=reason
        )
        return (alert,)


class Watch(OfProject):
    """Looks for alerts of a project when asked."""

    def __init__(
        self,
        state: State,
        *,
        clock: Clock,
        limits: AlertLimits,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._project = project
        self._state = state
        self._clock = clock
        self._limits = limits
        self.standstill = Standstill()

    def alerts(self) -> tuple[Alert, ...]:
        """What a person should look at now, from the last hour's records."""
        now_s = self._clock.wall_s()
        table, devices = schema.records, schema.devices
        told = (
            select(table.c.content)
            .join(
                devices,
                (devices.c.name == table.c.device) & (devices.c.enrolment == table.c.enrolment),
            )
            .where(table.c.kind != "update", table.c.received_at_s >= now_s - LOOK_BACK_S)
            .where(devices.c.project == self._project, ~devices.c.is_revoked)
            .order_by(table.c.id.desc())
            .limit(_NEWEST)
        )
        seen = select(devices.c.name, devices.c.last_seen_s).where(
            devices.c.project == self._project,
            ~devices.c.is_revoked,
            devices.c.last_seen_s.is_not(None),
        )
        with self._state.read() as connection:
            records = list(readable(connection.scalars(told), _decoder))
            last_seen_s = {row.name: row.last_seen_s for row in connection.execute(seen)}
        return (
            self.standstill.alerts(now_s=self._clock.monotonic_s())
            + judge(records, self._limits)
            + silent(last_seen_s, self._limits, now_s=now_s)
        )

    def counts(self) -> dict[str, int]:
        """How much there is of everything, for the health page."""
        devices, records = schema.devices, schema.records
        told = devices.join(records, records.c.device == devices.c.name)
        counted = {
            "releases": (schema.releases, schema.releases),
            "devices": (devices, devices),
            "rollouts": (schema.rollouts, schema.rollouts),
            "records": (told, devices),
        }
        with self._state.read() as connection:
            return {
                name: connection.scalar(
                    select(func.count()).select_from(among).where(of.c.project == self._project)
                )
                or 0
                for name, (among, of) in counted.items()
            }
