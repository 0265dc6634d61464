"""News of a fleet on their way to people: signed webhooks, Slack, email, MQTT.

What happened is known already: steps of rollouts in their history, deeds in the audit log, alerts
by their rule. `news` turns what is new there into deliveries, one for each notifier that asked for
that kind, in the transaction that moves its place on; so a kill loses nothing and repeats no entry.
The `courier` delivers them, in order, again and again until the receiver has them, each under an id
that never changes: a receiver that sees one twice drops the second.

A notifier sends only where `guard` lets it: to public addresses, and to others only when the
operator of this machine named the host.
"""

from edgewright.fleet.notify.base import Notice, Notifier
from edgewright.fleet.notify.destination import Destination, parse_destination
from edgewright.fleet.notify.guard import Guard
from edgewright.fleet.notify.notifiers import Notifiers

__all__ = [
    "Destination",
    "Guard",
    "Notice",
    "Notifier",
    "Notifiers",
    "parse_destination",
]
