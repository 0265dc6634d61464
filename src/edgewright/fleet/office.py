"""Everything a fleet's front doors work with, in one value, whether command line or server."""

from collections.abc import Callable

import msgspec

from edgewright.clock import Clock
from edgewright.fleet.aliases import Aliases
from edgewright.fleet.devices import Devices
from edgewright.fleet.director import Director
from edgewright.fleet.enrolment import Enrolments
from edgewright.fleet.lineage import Lineages
from edgewright.fleet.patches import Patches
from edgewright.fleet.recipients import Recipients
from edgewright.fleet.refusals import Refusals
from edgewright.fleet.registry import Registry
from edgewright.fleet.retention import Retention
from edgewright.fleet.rollouts import Rollouts
from edgewright.fleet.state import State
from edgewright.fleet.users import Users
from edgewright.fleet.watch import Watch
from edgewright.trust import TrustedKeys


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """The services of one fleet over one state."""

    state: State
    registry: Registry
    devices: Devices
    enrolments: Enrolments
    rollouts: Rollouts
    aliases: Aliases
    users: Users
    watch: Watch
    lineages: Lineages
    retention: Retention
    refusals: Refusals
    recipients: Recipients
    clock: Clock
    trusted: Callable[[], TrustedKeys]
    director: Director | None = None
    patches: Patches | None = None
