"""The port: one project of a fleet, wherever it is."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from edgewright.fleet.aliases import Alias
from edgewright.fleet.audit import Entry
from edgewright.fleet.devices import Device, NewToken, TokenOrder
from edgewright.fleet.enrolment import Waiting
from edgewright.fleet.lineage import Lineage
from edgewright.fleet.people import User, UserToken
from edgewright.fleet.publishing import Publication
from edgewright.fleet.quality import Difference
from edgewright.fleet.registry import Release
from edgewright.fleet.remote_commands import CommandFacts, CommandOrder
from edgewright.fleet.rollout_facts import RolloutFacts
from edgewright.fleet.rollout_plan import RolloutOrder, RolloutPlan
from edgewright.fleet.swu import SwuOrder, SwuUpdate


class Fleet(Protocol):
    """One project of a fleet, for somebody who may do some of this.

    Every method raises `AbsentError` for what is not there, `InputError` for what makes no sense
    and `TrustError` for what this user may not do; over HTTP also `TransportError`.
    """

    def devices(self, query: str = "") -> Iterator[Device]:
        """Devices by name, those matching a label query; fetched as they are needed."""

    def device(self, name: str) -> Device:
        """One device."""

    def add_device(self, name: str, labels: Mapping[str, str]) -> str:
        """Add a device that does not enrol itself; returns its secret, shown once."""

    def create_enrolment_token(self, order: TokenOrder) -> NewToken:
        """A token that lets devices in, shown once."""

    def label_device(self, name: str, changes: Mapping[str, str | None]) -> Device:
        """Set labels; None takes one away."""

    def set_timezone(self, name: str, timezone: str) -> Device:
        """Where a device is."""

    def revoke_device(self, name: str) -> Device:
        """Let a device in no more."""

    def order_command(self, device: str, order: CommandOrder) -> CommandFacts:
        """Have a device do something from a short list, within a time."""

    def add_to_kit(
        self, device: str, number: int, content: bytes, *, at: int, is_last: bool
    ) -> CommandFacts:
        """Send a part of the kit that it is to measure, from a byte on; the last one lets it go."""

    def commands(self, device: str) -> tuple[CommandFacts, ...]:
        """What it was ordered to do and what came of it, newest first."""

    def command(self, device: str, number: int) -> CommandFacts:
        """One of them."""

    def command_file(self, device: str, number: int, *, after: int = 0) -> bytes:
        """The file that it sent as the result."""

    def waiting_devices(self) -> tuple[Waiting, ...]:
        """Devices that wait for a person's word."""

    def decide_enrolment(self, name: str, *, is_approved: bool) -> None:
        """A person's word on one of them."""

    def publish(self, file: Path) -> Publication:
        """Have a bundle file verified and offered, or staged for keepers to sign."""

    def wrap_release(self, reference: str, order: SwuOrder) -> SwuUpdate:
        """Make a release an update of SWUpdate as well."""

    def releases(self) -> tuple[Release, ...]:
        """Every release, newest first."""

    def release(self, reference: str) -> Release:
        """The one that MODEL@VERSION, MODEL@ALIAS or a bundle id means."""

    def release_lineage(self, reference: str) -> Lineage:
        """Where it came from."""

    def device_lineage(self, name: str, *, model: str = "", at_s: float | None = None) -> Lineage:
        """Where that came from what a device ran at a moment."""

    def aliases(self) -> tuple[Alias, ...]:
        """What aliases mean, and what is proposed."""

    def propose_alias(self, reference: str, alias: str) -> Alias:
        """Say which release an alias is to mean."""

    def approve_alias(self, reference: str, alias: str) -> Alias:
        """Let it mean this release, which somebody else proposed."""

    def plan_rollout(self, order: RolloutOrder) -> RolloutPlan:
        """What an order would do now."""

    def start_rollout(self, order: RolloutOrder) -> RolloutFacts:
        """Open the first wave."""

    def rollouts(self) -> tuple[RolloutFacts, ...]:
        """The newest ones first."""

    def rollout(self, number: int) -> RolloutFacts:
        """One, with its waves, devices and history."""

    def pause_rollout(self, number: int, *, reason: str = "") -> RolloutFacts:
        """Give no further orders."""

    def resume_rollout(self, number: int) -> RolloutFacts:
        """Let a paused one go on."""

    def retry_rollout(self, number: int, *, reason: str = "") -> RolloutFacts:
        """Give the failed devices another try."""

    def abort_rollout(
        self, number: int, *, returns: bool | None = None, reason: str = ""
    ) -> RolloutFacts:
        """End it; its devices return to what they ran before unless told or ordered otherwise."""

    def compare_rollout(self, number: int) -> Difference:
        """How its release does beside the model's others."""

    def members(self) -> tuple[User, ...]:
        """Who is let into the project."""

    def add_member(self, name: str, role: str) -> User:
        """Let somebody in."""

    def set_role(self, name: str, role: str) -> User:
        """Give a member another role."""

    def remove_member(self, name: str) -> None:
        """Let a member in no more."""

    def create_user_token(
        self, name: str, *, lifetime_s: float, scopes: Sequence[str] = ()
    ) -> UserToken:
        """A token for a member's programs, shown once."""

    def revoke_user_tokens(self, name: str) -> int:
        """End a member's sessions, and tokens for this project; how many tokens there were."""

    def audit(self, *, newest: int = 100) -> tuple[Entry, ...]:
        """Who did what in the project, newest first."""
