"""Which bundle answers: activation, commit, and the way back."""

import asyncio
from functools import partial
from pathlib import Path

from edgewright.bundle.hooks import Step
from edgewright.device.agent.machine import Event
from edgewright.device.agent.progress import Outcome, Progress, Release
from edgewright.device.agent.tools import Tools
from edgewright.errors import DeviceError, EdgewrightError


class Succession:
    """The actions that change what answers under a model's name. No other model is touched."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def activate(self, progress: Progress, release: Release) -> Outcome:
        """`current` becomes the new bundle, and it is asked first."""
        tools = self._tools
        folder = await tools.verified(release)
        if why := await self._scripted("before_activate", folder):
            raise DeviceError(why, hint="the old model stays")
        await tools.blocking(lambda: tools.slots.activate(release.model, release.bundle_id))
        await self.show_new(progress, release, folder)
        return Outcome(event=Event.DONE)

    async def commit(self, progress: Progress, release: Release) -> Outcome:
        """After a cut the server shows the old bundle: what is committed is what is served."""
        folder = await self._tools.verified(release)
        await self._tools.server.show(release.model, folder)
        why = await self._told("after_commit", folder)
        return Outcome(event=Event.DONE, reason=f"committed; {why}" if why else "committed")

    async def roll_back(self, progress: Progress, release: Release) -> Outcome:
        """Return to the best committed slot that verifies and serves now, else to none."""
        tools, slots = self._tools, self._tools.slots
        choices = list(progress.committed)
        if release.origin == "order":
            choices = [*choices[1:], *choices[:1]]
        why = [progress.reason]
        for bundle_id in choices:
            damage = await tools.blocking(partial(slots.why_unusable, release.model, bundle_id))
            if damage:
                why.append(damage)
                continue
            await tools.blocking(partial(slots.activate, release.model, bundle_id))
            try:
                await tools.server.show(release.model, slots.folder(release.model, bundle_id))
            except DeviceError as error:
                why.append(str(error))
                continue
            why += await self._left(release)
            return Outcome(event=Event.DONE, reason="; ".join(why), landed=bundle_id)
        await tools.blocking(partial(slots.deactivate, release.model))
        await tools.server.withdraw(release.model)
        return Outcome(event=Event.DONE, reason="; ".join([*why, "no slot is left to serve"]))

    async def _left(self, release: Release) -> list[str]:
        """Let the bundle that was left say so, if it can still be believed."""
        if self._tools.step_hooks is None or await self._tools.why_unusable(release):
            return []
        folder = self._tools.slots.folder(release.model, release.bundle_id)
        why = await self._told("after_rollback", folder)
        return [why] if why else []

    async def _scripted(self, step: Step, folder: Path) -> str:
        """Why the bundle's own script of a step failed, "" when none did."""
        hooks = self._tools.step_hooks
        return await hooks.run(step, folder) if hooks else ""

    async def _told(self, step: Step, folder: Path) -> str:
        """The same for a step that is over. Nothing about the script changes that any more: a
        deadline or somebody who cancels ends the script alone.
        """
        try:
            return await self._scripted(step, folder)
        except asyncio.CancelledError:
            return f"{step}.py: cut off before it ended"
        except EdgewrightError as error:
            return f"{step}.py: {error}"

    async def show_old(self, progress: Progress, release: Release) -> None:
        """Serve the committed bundle alone."""
        folder = self._tools.slots.folder(release.model, progress.good)
        await self._tools.server.show(release.model, folder)

    async def show_new(self, progress: Progress, release: Release, folder: Path) -> None:
        """Let the new bundle answer from a process of its own, before the old model where there is
        one: until commit nothing that is new runs where other models do.
        """
        server = self._tools.server
        if not server.is_on or release.bundle_id == progress.good:
            await server.show(release.model, folder)
            return
        if progress.good and await server.candidate(release.model) is None:
            await self.show_old(progress, release)
        await server.try_out(release.model, folder, leads=True)
