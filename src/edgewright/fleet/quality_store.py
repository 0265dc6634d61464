"""What devices told of the releases of a model: spans of serving out of the kept records."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, select

from edgewright.fleet.quality import Served
from edgewright.fleet.state import schema
from edgewright.fleet.telemetry import readable
from edgewright.telemetry import ServingRecord

_decoder = msgspec.json.Decoder(ServingRecord)


class Tally:
    """The totals of one rollout, carried on from record to record; lost totals are counted anew."""

    def __init__(
        self, *, project: str, model: str, bundle_id: str, since_s: float, limit_ms: float
    ) -> None:
        self._project = project
        self._model = model
        self._bundle_id = bundle_id
        self._since_s = since_s
        self._limit_ms = limit_ms
        self._last_id = 0
        self.old = Served()
        self.new = Served()

    def update(self, connection: Connection) -> bool:
        """Take what came since the last call; whether there was anything."""
        table, devices = schema.records, schema.devices
        query = select(table.c.id, table.c.content).join(devices, devices.c.name == table.c.device)
        query = query.where(
            devices.c.project == self._project,
            table.c.kind == "serving",
            table.c.id > self._last_id,
            table.c.received_at_s >= self._since_s,
        )
        rows = connection.execute(query.order_by(table.c.id)).all()
        if not rows:
            return False
        self._last_id = rows[-1].id
        records = readable((row.content for row in rows), _decoder)
        mine = [record for record in records if record.model == self._model]
        self.new = self._plus(self.new, (r for r in mine if r.bundle == self._bundle_id))
        self.old = self._plus(self.old, (r for r in mine if r.bundle != self._bundle_id))
        return True

    def _plus(self, served: Served, records: Iterable[ServingRecord]) -> Served:
        requests, errors = served.requests, served.errors
        spans, slow = served.spans, served.slow_spans
        for record in records:
            if record.requests <= 0:
                continue
            requests += record.requests
            errors += min(max(record.errors, 0), record.requests)
            spans += 1
            slow += record.latency_p95_ms > self._limit_ms
        return Served(requests=requests, errors=errors, spans=spans, slow_spans=slow)
