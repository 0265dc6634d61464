"""The port over a fleet's own folder: whoever may use the folder may do everything."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgewright.fleet.aliases import Alias
from edgewright.fleet.audit import Entry, read_audit
from edgewright.fleet.devices import Device, NewToken, TokenOrder
from edgewright.fleet.enrolment import Waiting
from edgewright.fleet.labels import parse_query
from edgewright.fleet.lineage import Lineage
from edgewright.fleet.office import Office
from edgewright.fleet.people import User, UserToken
from edgewright.fleet.publishing import Publication
from edgewright.fleet.quality import Difference
from edgewright.fleet.registry import Release
from edgewright.fleet.remote_commands import CommandFacts, CommandOrder
from edgewright.fleet.rollout_facts import RolloutFacts
from edgewright.fleet.rollout_plan import RolloutOrder, RolloutPlan
from edgewright.fleet.swu import SwuOrder, SwuUpdate

PAGE = 1000


class LocalFleet:
    """One project of an open fleet; `by` is who stands in the audit log."""

    def __init__(self, office: Office, *, by: str) -> None:
        self._office = office
        self._by = by

    def devices(self, query: str = "") -> Iterator[Device]:
        clauses, after = parse_query(query), ""
        while page := self._office.devices.find(clauses, limit=PAGE, after=after):
            yield from page
            after = page[-1].name

    def device(self, name: str) -> Device:
        return self._office.devices.show(name)

    def add_device(self, name: str, labels: Mapping[str, str]) -> str:
        return self._office.devices.add(name, labels, by=self._by)

    def create_enrolment_token(self, order: TokenOrder) -> NewToken:
        return self._office.devices.create_token(order, by=self._by)

    def label_device(self, name: str, changes: Mapping[str, str | None]) -> Device:
        self._office.devices.label(name, changes, by=self._by)
        return self.device(name)

    def set_timezone(self, name: str, timezone: str) -> Device:
        self._office.devices.set_timezone(name, timezone, by=self._by)
        return self.device(name)

    def revoke_device(self, name: str) -> Device:
        self._office.devices.revoke(name, by=self._by)
        return self.device(name)

    def order_command(self, device: str, order: CommandOrder) -> CommandFacts:
        return self._office.commands.order(device, order, by=self._by)

    def add_to_kit(
        self, device: str, number: int, content: bytes, *, at: int, is_last: bool
    ) -> CommandFacts:
        return self._office.commands.add_to_kit(
            device, number, content, at=at, is_last=is_last, by=self._by
        )

    def commands(self, device: str) -> tuple[CommandFacts, ...]:
        return self._office.commands.list(device)

    def command(self, device: str, number: int) -> CommandFacts:
        return self._office.commands.show(device, number)

    def command_file(self, device: str, number: int, *, after: int = 0) -> bytes:
        return self._office.commands.read_upload(device, number, by=self._by, after=after)

    def waiting_devices(self) -> tuple[Waiting, ...]:
        return self._office.enrolments.waiting()

    def decide_enrolment(self, name: str, *, is_approved: bool) -> None:
        self._office.enrolments.decide(name, is_approved=is_approved, by=self._by)

    def publish(self, file: Path) -> Publication:
        return self._office.publishing.publish(file, by=self._by)

    def wrap_release(self, reference: str, order: SwuOrder) -> SwuUpdate:
        return self._office.registry.wrap(reference, order, by=self._by)

    def releases(self) -> tuple[Release, ...]:
        return self._office.registry.releases()

    def release(self, reference: str) -> Release:
        return self._office.registry.release(reference)

    def release_lineage(self, reference: str) -> Lineage:
        return self._office.lineages.of_release(reference)

    def device_lineage(self, name: str, *, model: str = "", at_s: float | None = None) -> Lineage:
        return self._office.lineages.of_device(name, model=model, at_s=at_s)

    def aliases(self) -> tuple[Alias, ...]:
        return self._office.aliases.list()

    def propose_alias(self, reference: str, alias: str) -> Alias:
        return self._office.aliases.propose(reference, alias, by=self._by)

    def approve_alias(self, reference: str, alias: str) -> Alias:
        return self._office.aliases.approve(reference, alias, by=self._by)

    def plan_rollout(self, order: RolloutOrder) -> RolloutPlan:
        return self._office.rollouts.plan(order)

    def start_rollout(self, order: RolloutOrder) -> RolloutFacts:
        return self._office.rollouts.start(order, by=self._by)

    def rollouts(self) -> tuple[RolloutFacts, ...]:
        return self._office.rollouts.list()

    def rollout(self, number: int) -> RolloutFacts:
        return self._office.rollouts.status(number)

    def pause_rollout(self, number: int, *, reason: str = "") -> RolloutFacts:
        return self._office.rollouts.pause(number, reason=reason, by=self._by)

    def resume_rollout(self, number: int) -> RolloutFacts:
        return self._office.rollouts.resume(number, by=self._by)

    def retry_rollout(self, number: int, *, reason: str = "") -> RolloutFacts:
        return self._office.rollouts.retry(number, reason=reason, by=self._by)

    def abort_rollout(
        self, number: int, *, returns: bool | None = None, reason: str = ""
    ) -> RolloutFacts:
        return self._office.rollouts.abort(number, returns=returns, reason=reason, by=self._by)

    def compare_rollout(self, number: int) -> Difference:
        return self._office.rollouts.compare(number)

    def members(self) -> tuple[User, ...]:
        return self._office.users.list()

    def add_member(self, name: str, role: str) -> User:
        return self._office.users.add(name, role, by=self._by)

    def set_role(self, name: str, role: str) -> User:
        return self._office.users.set_role(name, role, by=self._by)

    def remove_member(self, name: str) -> None:
        self._office.users.remove(name, by=self._by)

    def create_user_token(
        self, name: str, *, lifetime_s: float, scopes: Sequence[str] = ()
    ) -> UserToken:
        return self._office.users.create_token(
            name, lifetime_s=lifetime_s, by=self._by, scopes=scopes
        )

    def revoke_user_tokens(self, name: str) -> int:
        return self._office.users.revoke_tokens(name, by=self._by)

    def audit(self, *, newest: int = 100) -> tuple[Entry, ...]:
        project = self._office.project
        return read_audit(self._office.state, newest=newest, projects=[project])
