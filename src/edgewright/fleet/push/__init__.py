"""Bringing bundles to machines without a fleet's agent polling: over a link that is there now.

The machine keeps its own keys and its own agent; pushing only carries the file and looks. What the
room needs is handed in: a `Machine` (`transports.ssh`) and an `Examiner` who knows right answers.
"""

from edgewright.fleet.push.inventory import Target, parse_target, read_inventory
from edgewright.fleet.push.pushing import Parcel, Pusher, PushOptions
from edgewright.fleet.push.report import HostReport, PushReport, render
from edgewright.fleet.push.wheelhouse import read_wheelhouse

__all__ = [
    "HostReport",
    "Parcel",
    "PushOptions",
    "PushReport",
    "Pusher",
    "Target",
    "parse_target",
    "read_inventory",
    "read_wheelhouse",
    "render",
]
