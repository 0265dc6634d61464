"""What a rollout is made of: its limits, its members and where they stand, what happens to it and
what follows. Values only; the rule is `edgewright.fleet.rollout`.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from edgewright.evidence import Outcome as Verdict

Status = Literal["running", "paused", "trailing", "done", "aborted"]
"""Trailing: every wave has passed, devices that were away still get the release."""

Standing = Literal["waiting", "pending", "ordered", "updating", "succeeded", "failed", "left"]
"""Waiting: its wave is not open. Pending: not heard of since. Ordered: the order is on offer.
Updating: it acknowledged. Left: revoked, or taken over by a newer rollout.
"""

FINAL: frozenset[Standing] = frozenset({"succeeded", "failed", "left"})
IN_FLIGHT: frozenset[Standing] = frozenset({"ordered", "updating"})
ACTIVE: frozenset[Status] = frozenset({"running", "paused"})
WATCHED: frozenset[Status] = frozenset({"running", "paused", "trailing"})


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a wave passes and when a rollout is aborted. `validated_min_count` devices of a wave
    (all of a smaller one) must have succeeded with a validation that is VALID-PASS.
    """

    success_percent: float = 95.0
    error_percent: float = 10.0
    error_min_count: int = 2
    min_reached_percent: float = 80.0
    deadline_s: float = 900.0
    soak_s: float = 60.0
    returns_on_abort: bool = True
    starts_per_min: float | None = None
    validated_min_count: int = 0

    def __post_init__(self) -> None:
        for name in ("success_percent", "error_percent", "min_reached_percent"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} is {getattr(self, name):g}, expected 0 to 100")
        if self.error_min_count < 1:
            raise ValueError(f"error_min_count is {self.error_min_count}, expected 1 or more")
        if self.validated_min_count < 0:
            raise ValueError(
                f"validated_min_count is {self.validated_min_count}, expected 0 or more"
            )
        if self.starts_per_min is not None and not 0 < self.starts_per_min < float("inf"):
            raise ValueError(f"starts_per_min is {self.starts_per_min:g}, expected above 0")
        if not 0 < self.deadline_s < float("inf") or not 0 <= self.soak_s < float("inf"):
            raise ValueError("deadline_s must be above 0, soak_s 0 or more, and both finite")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One device of a rollout; `since_s` is on the rollout's own clock, `validation` the verdict
    that the device told of the release in this try.
    """

    wave: int
    standing: Standing = "waiting"
    since_s: float = 0.0
    reason: str = ""
    validation: Verdict | Literal[""] = ""


class RolloutState(msgspec.Struct, frozen=True, kw_only=True):
    """All that the rule knows. `elapsed_s` is the rollout's own clock, `allowance` the orders that
    the start rate has saved up.
    """

    limits: Limits
    members: Mapping[str, Member]
    ticked_at_s: float
    status: Status = "running"
    reason: str = ""
    open_wave: int = 0
    passed_at_s: float | None = None
    elapsed_s: float = 0.0
    allowance: float = 1.0

    @property
    def waves(self) -> int:
        """How many waves there are."""
        return max((member.wave for member in self.members.values()), default=-1) + 1

    @property
    def is_watched(self) -> bool:
        """Whether steps can still change anything by themselves."""
        return self.status in WATCHED or any(
            member.standing in IN_FLIGHT for member in self.members.values()
        )


class Seen(msgspec.Struct, frozen=True):
    """A device asked what it is to run."""

    device: str


class Acknowledged(msgspec.Struct, frozen=True):
    """A device has taken note of its order, or reports progress with it."""

    device: str


class Committed(msgspec.Struct, frozen=True):
    """A device runs the release for good."""

    device: str


class Failed(msgspec.Struct, frozen=True):
    """A device refused the release or went back from it."""

    device: str
    reason: str


class Validated(msgspec.Struct, frozen=True):
    """A device has validated the release: VALID-FAIL is its failure, INVALID says nothing."""

    device: str
    verdict: Verdict
    reason: str = ""


class Left(msgspec.Struct, frozen=True):
    """A device is none of this rollout's any more."""

    device: str
    reason: str


class Pause(msgspec.Struct, frozen=True):
    """Somebody wants no further orders; devices that are updating go on."""

    reason: str


class Resume(msgspec.Struct, frozen=True):
    """Somebody lets a paused rollout go on."""


class Retry(msgspec.Struct, frozen=True):
    """Somebody wants the failed devices to get another try. Their failures count no more."""

    reason: str


class Abort(msgspec.Struct, frozen=True):
    """Somebody ends the rollout, and says whether its devices return to what they ran before."""

    reason: str
    returns: bool


Told = Acknowledged | Committed | Failed | Validated | Left
Command = Pause | Resume | Retry | Abort
Event = Seen | Told | Command


class Order(msgspec.Struct, frozen=True):
    """Offer the release to a device."""

    device: str


class Recall(msgspec.Struct, frozen=True):
    """Offer a device what it ran before the order."""

    device: str


class Note(msgspec.Struct, frozen=True):
    """A change of the rollout's state, for its history."""

    text: str


Action = Order | Recall | Note


class Outcome(msgspec.Struct, frozen=True):
    """What a step led to."""

    state: RolloutState
    actions: tuple[Action, ...] = ()
