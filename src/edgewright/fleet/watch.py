"""The alerts of a fleet: its newest records and silent devices, put before the rule of `alerts`."""

import msgspec
from sqlalchemy import func, select

from edgewright.clock import Clock
from edgewright.fleet.alerts import Alert, AlertLimits, judge, silent
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.state import State, schema
from edgewright.telemetry import Record

LOOK_BACK_S = 3600.0

_NEWEST = 20_000
_decoder = msgspec.json.Decoder(Record)


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
            records = [_decoder.decode(content) for content in connection.scalars(told)]
            last_seen_s = {row.name: row.last_seen_s for row in connection.execute(seen)}
        return judge(records, self._limits) + silent(last_seen_s, self._limits, now_s=now_s)

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
