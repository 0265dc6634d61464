"""The agent as single deeds: settle what the last one left, take a release, go back. `daemon` does
them all at once, `edgewright agent apply` one of them.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from edgewright.bundle import is_sealed, open_bundle, read_head
from edgewright.bundle.parcel import is_parcel
from edgewright.device.agent.air_gap import AirGap
from edgewright.device.agent.home import Home
from edgewright.device.agent.housekeeping import tidy_downloads, tidy_start
from edgewright.device.agent.machine import Event, State
from edgewright.device.agent.progress import Progress, Release, is_answered, is_settled
from edgewright.device.agent.recorder import Recorder
from edgewright.device.agent.reporter import Reporter
from edgewright.device.agent.tools import Tools
from edgewright.device.agent.update import Update
from edgewright.errors import DeviceError, EdgewrightError, InputError, ResourceError, TrustError
from edgewright.wire.device_api import DesiredModel

ADOPTED = "adopted"


class Agent:
    """One device's agent. Hold the home's lock while it lives. `special` are the tools of releases
    that are no models, by name.
    """

    def __init__(
        self,
        home: Home,
        recorder: Recorder,
        tools: Tools,
        *,
        special: Mapping[str, Tools] | None = None,
    ) -> None:
        self.home = home
        self.recorder = recorder
        self.tools = tools
        self._special = special or {}

    def known_models(self) -> list[str]:
        """The models that have a slot or a line in the journal."""
        return sorted({*self.recorder.journal.models(), *self.tools.slots.models()})

    def only_model(self, model: str) -> str:
        """The named model, or the only one there is.

        Raises:
            InputError: it is not on this device, or the name is needed to choose.
        """
        known = self.known_models()
        if model in known:
            return model
        known = [name for name in known if name not in self._special]
        if not known and not model:
            raise InputError(
                "no model is on this device yet",
                hint="apply one (edgewright agent apply FILE), or start a rollout of it",
            )
        if model or len(known) != 1:
            what = f"model {model!r} is not on this device" if model else "which model is meant"
            raise InputError(what, hint=f"name one of {known} with --model")
        return known[0]

    def update(self, model: str) -> Update:
        """The update of a model, where the journal says it stands."""
        return Update(self.recorder.journal.progress(model), self.tools_of(model))

    def tools_of(self, model: str) -> Tools:
        """What updates of this name work with."""
        return self._special.get(model, self.tools)

    def served(self) -> list[Progress]:
        """Where each model stands that a server serves."""
        models = self.recorder.journal.models()
        return [progress for name, progress in models.items() if name not in self._special]

    async def clean(self) -> None:
        """Remove what a cut left on disk. Once, before anything else."""
        models = self.recorder.journal.models()
        await self.tools.offload(partial(tidy_start, self.home, self.tools.slots, models))

    async def settle(self) -> None:
        """Clean up, finish what was cut off, serve only what verifies."""
        await self.clean()
        for model in self.known_models():
            await self.settle_model(self.update(model))

    async def settle_model(self, update: Update) -> Progress:
        """Serve what was committed, finish what was cut off, repair what does not verify."""
        await self._adopt(update)
        why = await self._why_not_served(update)
        await update.resume()
        progress, current = update.progress, self.tools.slots.current(update.progress.model)
        if not why and progress.good != current:
            why = f"the active slot is {current[:12] or 'none'}, committed is {progress.good[:12]}"
        if why and progress.state is State.IDLE:
            await update.repair(why)
        await self._tidy(update.progress.model)
        return update.progress

    async def release_of(self, path: Path) -> Release:
        """What a bundle file offers; a file that is no bundle leaves a line in the journal.

        Raises:
            InputError: no such file.
            TrustError: not a whole bundle.
        """
        try:
            return await self.tools.offload(partial(_release_in, path))
        except TrustError as error:
            reason = f"{path.name}: {error}"
            at_s = self.tools.clock.wall_s()
            refusal = Progress(model="", event=Event.REFUSED, reason=reason, at_s=at_s)
            self.recorder.write(refusal)
            raise

    async def apply(self, path: Path) -> Progress:
        """Bring a bundle file as far as it gets; the errors of `release_of` and `take`."""
        release = await self.release_of(path)
        return await self.take(release, self.update(release.model))

    async def take(self, release: Release, update: Update) -> Progress:
        """Bring a release as far as it gets.

        Raises:
            EdgewrightError: it was not activated; the error says why, the old model stays.
        """
        progress = await update.take(release)
        await self._tidy(release.model)
        if progress.good == release.bundle_id:
            return progress
        raise update.error or DeviceError(
            f"{release.model} {release.version}: {progress.event}: {progress.reason}",
            hint="see `edgewright agent status`",
        )

    async def answer(self, release: Release, update: Update) -> Progress:
        """Tell the fleet of a release that it ordered and that is settled here."""
        return await update.answer(release)

    async def go_back(self, reason: str, update: Update) -> Progress:
        """Return a model to the bundle before.

        Raises:
            InputError: there is none.
            DeviceError: no earlier bundle verifies and serves.
        """
        left = update.progress.good
        progress = await update.return_back(reason)
        await self._tidy(progress.model)
        if progress.good == left:
            raise DeviceError(f"{progress.model} stays on {left[:12]}: {progress.reason}")
        return progress

    async def follow_once(self) -> list[Progress]:
        """Ask the fleet once, do what it wants, tell it what came of it.

        Raises:
            ResourceError: no maintenance window is open.
            EdgewrightError: the fleet did not answer, or a release was not activated.
        """
        fleet = self.tools.fleet
        if fleet is None:
            raise InputError(
                "this device is enrolled with no fleet",
                hint="apply a bundle file: edgewright agent apply FILE",
            )
        if why := self.tools.policy.maintenance.why_closed(self.tools.clock.wall_s()):
            raise ResourceError(
                why, hint="`agent run` goes on by itself then; `agent apply` needs no window"
            )
        answer = await fleet.desired(etag="", wait_s=0)
        results: list[Progress] = []
        errors: list[EdgewrightError] = []
        for wanted in answer[1].models if answer else ():
            try:
                release = release_from(wanted)
                update = self.update(release.model)
                if is_settled(update.progress, release) and not is_answered(
                    update.progress, release
                ):
                    await self.answer(release, update)
                results.append(await self.take(release, update))
            except EdgewrightError as error:
                errors.append(error)
        await Reporter(self.recorder.outbox, fleet, self.tools.clock).send_all()
        if errors:
            raise errors[0]
        return results

    async def _adopt(self, update: Update) -> None:
        """A journal that was lost: what is active and verifies now was committed once."""
        progress, slots = update.progress, self.tools.slots
        current = slots.current(progress.model)
        if progress.committed or progress.state is not State.IDLE or not current:
            return
        if await self.tools.offload(partial(slots.why_unusable, progress.model, current)):
            await self.tools.offload(partial(slots.deactivate, progress.model))
            return
        update.progress = msgspec.structs.replace(
            progress,
            event=ADOPTED,
            reason="the journal had no line of it",
            at_s=self.tools.clock.wall_s(),
            good=current,
            factory=current,
        )
        self.tools.write(update.progress)

    async def _why_not_served(self, update: Update) -> str:
        """Serve the committed bundle; the reason why not, "" when it is served or there is none."""
        slots, progress = self.tools.slots, update.progress
        if not progress.good:
            return ""
        check = partial(slots.why_unusable, progress.model, progress.good)
        damage = await self.tools.offload(check)
        if damage:
            return damage
        try:
            server = self.tools_of(progress.model).server
            await server.show(progress.model, slots.folder(progress.model, progress.good))
        except DeviceError as error:
            return str(error)
        return ""

    async def _tidy(self, model: str) -> None:
        models = self.recorder.journal.models()
        progress = models.get(model, Progress(model=model))
        await self.tools.offload(partial(self.tools.slots.collect, model, progress.needed))
        folder = self.home.downloads
        await self.tools.offload(partial(tidy_downloads, folder, tuple(models.values())))


def _release_in(path: Path) -> Release:
    if is_parcel(path):
        return AirGap(path).release()
    if is_sealed(path):
        head = read_head(path)
        model, version, bundle_id = head.name, head.version, head.bundle_id
    else:
        bundle = open_bundle(path)
        model, version, bundle_id = bundle.manifest.name, bundle.manifest.version, bundle.id
    return Release(
        model=model,
        bundle_id=bundle_id,
        version=version,
        origin="file",
        path=str(path.absolute()),
        file_size_bytes=path.stat().st_size,
    )


def release_from(wanted: DesiredModel) -> Release:
    """A fleet's wish as a release.

    Raises:
        TrustError: its names are not names of models and bundles.
    """
    try:
        return Release(
            model=wanted.model,
            bundle_id=wanted.bundle_id,
            version=wanted.version,
            file_sha256=wanted.file_sha256,
            file_size_bytes=wanted.file_size_bytes,
            rollout=wanted.rollout,
        )
    except ValueError as error:
        raise TrustError(f"the fleet's wish: {error}", hint="ask the fleet's admin") from error
