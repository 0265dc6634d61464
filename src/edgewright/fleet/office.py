"""Everything a fleet's front doors work with, in one value, whether command line or server."""

from collections.abc import Callable

import msgspec

from edgewright.clock import Clock
from edgewright.fleet.aliases import Aliases
from edgewright.fleet.desk_commands import DeskCommands
from edgewright.fleet.devices import Devices
from edgewright.fleet.director import Director
from edgewright.fleet.enrolment import Enrolments
from edgewright.fleet.lineage import Lineages
from edgewright.fleet.notify import Notifiers
from edgewright.fleet.patches import Patches
from edgewright.fleet.people import ProviderLogin
from edgewright.fleet.projects import DEFAULT_PROJECT, Projects
from edgewright.fleet.publishing import Publishing
from edgewright.fleet.recipients import Recipients
from edgewright.fleet.refusals import Refusals
from edgewright.fleet.registry import Registry
from edgewright.fleet.remote_commands import Commands
from edgewright.fleet.retention import Retention
from edgewright.fleet.rollouts import Rollouts
from edgewright.fleet.state import State
from edgewright.fleet.users import Users
from edgewright.fleet.watch import Watch
from edgewright.trust import TrustedKeys


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """The services of one project of a fleet over one state."""

    project: str = DEFAULT_PROJECT
    projects: Projects
    state: State
    registry: Registry
    publishing: Publishing
    devices: Devices
    enrolments: Enrolments
    rollouts: Rollouts
    aliases: Aliases
    users: Users
    watch: Watch
    lineages: Lineages
    retention: Retention
    commands: Commands
    desk_commands: DeskCommands
    refusals: Refusals
    notifiers: Notifiers
    recipients: Recipients
    clock: Clock
    trusted: Callable[[], TrustedKeys]
    director: Director | None = None
    patches: Patches | None = None
    oidc: ProviderLogin | None = None

    def within(self, project: str) -> "Office":
        """The same services for another project, which is not looked up here."""
        if project == self.project:
            return self
        return msgspec.structs.replace(
            self,
            project=project,
            registry=self.registry.within(project),
            publishing=self.publishing.within(project),
            devices=self.devices.within(project),
            enrolments=self.enrolments.within(project),
            rollouts=self.rollouts.within(project),
            aliases=self.aliases.within(project),
            users=self.users.within(project),
            watch=self.watch.within(project),
            lineages=self.lineages.within(project),
            notifiers=self.notifiers.within(project),
            commands=self.commands.within(project),
            recipients=self.recipients.within(project),
        )
