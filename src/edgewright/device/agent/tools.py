"""What an update works with: the device's policy, and everything that acts for it."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from edgewright.bundle import Bundle, open_bundle
from edgewright.clock import Clock
from edgewright.contract import Contract
from edgewright.device.agent.content_keys import ContentKeys
from edgewright.device.agent.machine import TABLE, State
from edgewright.device.agent.maintenance import Maintenance
from edgewright.device.agent.ports import Fleet, Offload, Probe, Replay, Server, Trust
from edgewright.device.agent.progress import Outcome, Progress, Release
from edgewright.device.agent.slots import Slots
from edgewright.device.agent.step_hooks import StepHooks
from edgewright.telemetry import Record

T = TypeVar("T")

Action = Callable[[Progress, Release], Awaitable[Outcome]]
"""What a state does. It may be repeated: a cut can come at any point of it."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What this device's admin decided about updates."""

    probation_s: float = 300.0
    probation_error_rate: float = 0.01
    deadlines_s: Mapping[State, float] = {}
    maintenance: Maintenance = Maintenance()
    allow_hooks: bool = False

    def deadline_s(self, state: State) -> float:
        """How long a state may take."""
        return self.deadlines_s.get(state, TABLE[state].deadline_s)


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an update works with. `write` keeps a step for good before it returns; `tell` has
    the fleet told something beside steps, a record made of device and number; `admit` raises when
    the device's own policy refuses a bundle. Without a `replay` a probation sees the live traffic
    alone; without `step_hooks` a bundle that brings such scripts is refused.
    """

    write: Callable[[Progress], None]
    slots: Slots
    trust: Trust
    content_keys: ContentKeys
    probe: Probe
    server: Server
    clock: Clock
    offload: Offload
    downloads: Path
    policy: Policy
    fleet: Fleet | None = None
    replay: Replay | None = None
    admit: Callable[[Bundle], None] = lambda _: None
    step_hooks: StepHooks | None = None
    tell: Callable[[Callable[[str, int], Record]], None] = lambda _: None

    async def blocking(self, work: Callable[[], T]) -> T:
        """Disk work where it may block."""
        return await self.offload(work)

    async def verified(self, release: Release) -> Path:
        """The release's slot, every byte checked now.

        Raises:
            TrustError: it was changed, or its keys are trusted no more.
        """
        bundle = await self.blocking(lambda: self.slots.verified(release.model, release.bundle_id))
        return bundle.path

    async def why_unusable(self, release: Release) -> str:
        """Why the release's slot may not be loaded, "" when it may."""
        return await self.blocking(
            lambda: self.slots.why_unusable(release.model, release.bundle_id)
        )

    async def is_comparable(self, progress: Progress, release: Release) -> bool:
        """Whether the committed model can answer for the new one: the same tensors at both doors,
        and not the same bundle.
        """

        def look() -> bool:
            if not progress.good or release.bundle_id == progress.good:
                return False
            old, new = (
                open_bundle(self.slots.folder(release.model, bundle_id)).manifest.contract
                for bundle_id in (progress.good, release.bundle_id)
            )
            return _doors(old) == _doors(new)

        return await self.blocking(look)


def _doors(contract: Contract) -> list[tuple[str, str, tuple[int | str, ...]]]:
    """What a client can see of a contract's tensors."""
    return [(t.name, t.dtype, t.shape) for t in (*contract.inputs, *contract.outputs)]
