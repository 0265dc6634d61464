"""Commands on rollouts that would change nothing are refused, with what to do instead."""

from sqlalchemy import Connection

from edgewright.errors import ConflictError, InputError
from edgewright.fleet import rollout_store as store
from edgewright.fleet.rollout_plan import RolloutOrder, RolloutPlan
from edgewright.fleet.rollout_terms import Abort, RolloutState


def refuse_unusable(plan: RolloutPlan, order: RolloutOrder) -> None:
    """Pass when a plan has devices, and nobody else's."""
    if plan.busy:
        raise ConflictError(
            f"{len(plan.busy)} device(s), {plan.busy[0]} first, are in another active rollout of "
            f"{plan.release.model}",
            hint="let it end or abort it, or choose other devices by their labels",
        )
    if not plan.waves:
        raise InputError(
            f"no device matches {order.query!r} and lacks {plan.release.text}"
            if order.query
            else f"no device lacks {plan.release.text}",
            hint="see: edgewright device list",
        )


def require_failed(number: int, before: RolloutState) -> None:
    """A retry needs somebody who failed."""
    if not any(member.standing == "failed" for member in before.members.values()):
        raise ConflictError(
            f"no device of rollout {number} has failed: there is nothing to try again",
            hint=f"see: edgewright rollout status {number}",
        )


def returning(connection: Connection, number: int) -> str:
    """What a return changes: who was given something newer meanwhile stays with that."""
    count = store.assigned_count(connection, number)
    return f"{count} device(s) are to return; the others have no order of this rollout any more"


def require_left_over(
    connection: Connection, number: int, event: Abort, before: RolloutState
) -> None:
    """An aborted rollout can still be taken back, once."""
    if not (event.returns and store.has_assigned(connection, number)):
        raise ConflictError(
            f"rollout {number} is aborted already ({before.reason})",
            hint=f"see: edgewright rollout status {number}",
        )


def require_gone_on(connection: Connection, number: int) -> None:
    """Whoever lets a rollout go on is told when the rule pauses it again at once."""
    after = store.load(connection, number)
    if after.status == "paused":
        raise ConflictError(
            f"rollout {number} stays paused: {after.reason}",
            hint=f"edgewright rollout retry {number} gives failed devices another try; or abort it",
        )
