"""The shell around the table: lets a state act, and writes down how it ended.

One `Update` per model. What the fleet sends waits for a maintenance window before it runs for the
first time, after it was brought and staged. Whatever an action raises becomes an event here, in one
place: what blames the release is REFUSED, what blames the circumstances is FAILED. A journal that
cannot be written ends the update as a cut would: the error leaves, and the next start resumes.
"""

import asyncio
import logging

from edgewright._tasks import ended
from edgewright.device.agent.actions import Actions
from edgewright.device.agent.machine import TABLE, Event, State
from edgewright.device.agent.ports import MetadataError
from edgewright.device.agent.progress import (
    Outcome,
    Progress,
    Release,
    advanced,
    answered,
    begun,
    damaged,
    is_settled,
    opened,
    ordered_back,
    resumed,
    stopped,
    waiting,
)
from edgewright.device.agent.tools import Tools
from edgewright.errors import EdgewrightError, ResourceError, TransportError

LOOK_S = 30.0
"""How often somebody who waits for a window looks at the clock, which may jump."""

CLEAN_UP_S = 120.0
"""How long an action that was cut off may take to show the old model again, before it is cancelled
once more.
"""

_log = logging.getLogger(__name__)


class Update:
    """The update of one model, one state after the other. `error` is what ended the last state, if
    an error did.
    """

    def __init__(self, progress: Progress, tools: Tools) -> None:
        self.progress = progress
        self.error: EdgewrightError | None = None
        self._tools = tools
        self._actions = Actions(tools)
        self._cancel = asyncio.Event()
        self._cancel_reason = ""

    async def take(self, release: Release) -> Progress:
        """Bring a release as far as it gets; back when the model is idle again."""
        await self._settled()
        self.progress = begun(self.progress, release, at_s=self._tools.clock.wall_s())
        return await self._drive()

    async def answer(self, release: Release) -> Progress:
        """Say what became of an order that asks for nothing new: it runs here, or was found bad."""
        await self._settled()
        if is_settled(self.progress, release):
            self._write(answered(self.progress, release, at_s=self._tools.clock.wall_s()))
        return self.progress

    async def return_back(self, reason: str) -> Progress:
        """Return to the bundle before.

        Raises:
            InputError: there is none.
        """
        await self._settled()
        self._write(ordered_back(self.progress, reason=reason, at_s=self._tools.clock.wall_s()))
        return await self._drive()

    async def repair(self, reason: str) -> Progress:
        """Leave a committed slot that does not verify any more."""
        await self._settled()
        self._write(damaged(self.progress, reason=reason, at_s=self._tools.clock.wall_s()))
        return await self._drive()

    async def resume(self) -> Progress:
        """Go on where the last agent was cut off; nothing when it was idle."""
        if self.progress.state is State.IDLE:
            return self.progress
        at_s = self._tools.clock.wall_s()
        self._write(
            resumed(
                self.progress,
                at_s=at_s,
                moved_bytes=self._actions.part_bytes(self.progress.release),
            )
        )
        return await self._drive()

    def cancel(self, reason: str) -> None:
        """End the present state; the model returns to what it ran before."""
        self._cancel_reason = reason
        self._cancel.set()

    async def _settled(self) -> None:
        """Idle before something new begins; a cancellation that came too late is forgotten."""
        await self._drive()
        self._cancel.clear()

    async def _drive(self) -> Progress:
        """Act until idle. A journal that failed in the middle of this process left a state that the
        next call goes on with; no cut is counted.
        """
        while self.progress.state is not State.IDLE:
            try:
                outcome = await self._waited() or await self._outcome(self.progress)
            except asyncio.CancelledError:
                self._write(stopped(self.progress, at_s=self._tools.clock.wall_s()))
                raise
            after = advanced(self.progress, outcome, at_s=self._tools.clock.wall_s())
            if self._is_news(after):
                self._write(after)
            self.progress = after
        return self.progress

    def _write(self, progress: Progress) -> None:
        release = progress.release
        _log.info(
            "model=%s bundle=%s state=%s event=%s reason=%s",
            progress.model,
            release.bundle_id[:12] if release else "",
            progress.state,
            progress.event,
            progress.reason,
        )
        self._tools.write(progress)
        self.progress = progress

    def _is_news(self, after: Progress) -> bool:
        """Looking and finding nothing is no step: it would wear the disk out."""
        return not (self.progress.state is State.CHECK and after.event == Event.NOTHING)

    async def _waited(self) -> Outcome | None:
        """Wait for a maintenance window where one is needed; the outcome when that was ended."""
        progress, clock = self.progress, self._tools.clock
        release, maintenance = progress.release, self._tools.policy.maintenance
        is_due = progress.state is State.PROBE and progress.event != Event.KILLED
        if not is_due or release is None or release.origin != "fleet":
            return None
        if not (why := maintenance.why_closed(clock.wall_s())):
            return None
        self._write(waiting(progress, reason=why, at_s=clock.wall_s()))
        while maintenance.why_closed(clock.wall_s()):
            if await self._is_cancelled_within(LOOK_S):
                return self._cancellation()
        self._write(opened(self.progress, at_s=clock.wall_s()))
        return None

    async def _is_cancelled_within(self, seconds: float) -> bool:
        sleeping = asyncio.ensure_future(self._tools.clock.sleep(seconds))
        cancelled = asyncio.ensure_future(self._cancel.wait())
        try:
            await asyncio.wait({sleeping, cancelled}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(sleeping, cancelled)
        if not sleeping.cancelled():
            sleeping.result()
        return self._cancel.is_set()

    def _cancellation(self) -> Outcome:
        self._cancel.clear()
        return Outcome(event=Event.CANCELLED, reason=self._cancel_reason)

    async def _outcome(self, progress: Progress) -> Outcome:
        name = f"{progress.model}:{progress.state}"
        action = asyncio.create_task(self._acted(progress), name=name)
        cancelled = asyncio.create_task(self._cancel.wait(), name=f"{name}:cancel")
        deadline_s = self._tools.policy.deadline_s(progress.state)
        try:
            await asyncio.wait(
                {action, cancelled}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED
            )
            is_cut_off = not action.done()
        finally:
            await ended(action, cancelled, again_s=CLEAN_UP_S)
        outcome = None if action.cancelled() else action.result()
        if outcome is not None and not (is_cut_off and outcome.event is not Event.DONE):
            return outcome  # what was done cannot be undone by a deadline that passed meanwhile
        if self._cancel.is_set():
            return self._cancellation()
        reason = f"{progress.state} took longer than {deadline_s:g} s"
        return Outcome(event=Event.TIMED_OUT, reason=reason)

    async def _acted(self, progress: Progress) -> Outcome:
        """The action's outcome, its errors turned into events."""
        self.error = None
        try:
            return await self._actions.act(progress)
        except (TransportError, ResourceError, MetadataError) as error:
            self.error = error
            return Outcome(event=Event.FAILED, reason=str(error))
        except EdgewrightError as error:
            self.error = error
            is_known = Event.REFUSED in TABLE[progress.state].on
            return Outcome(event=Event.REFUSED if is_known else Event.FAILED, reason=str(error))
