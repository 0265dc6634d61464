"""What each state of an update does; how it ended goes back as a value or as an error of the tree.

Every action may be repeated: a cut can come at any point of it, and the next start does it again.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from edgewright import _fs
from edgewright.bundle import Bundle, open_bundle
from edgewright.bundle.patch import apply_patch
from edgewright.clock import Clock
from edgewright.contract import Contract
from edgewright.device.agent.air_gap import AirGap
from edgewright.device.agent.content_keys import ContentKeys
from edgewright.device.agent.machine import CRASH_LIMIT, TABLE, Event, State
from edgewright.device.agent.ports import (
    Answer,
    CandidateSample,
    Fleet,
    Offload,
    Probe,
    Replay,
    Server,
    Source,
    Trust,
)
from edgewright.device.agent.probation import (
    ProbationLimits,
    Watch,
    baseline_of,
    judge,
    why_candidate,
)
from edgewright.device.agent.progress import Outcome, Progress, Release
from edgewright.device.agent.slots import Slots
from edgewright.errors import DeviceError, InputError, ResourceError, TransportError, TrustError

SAMPLES = 60
KILLED_PAUSE_S = 10.0
RETRY_S = 1.0
STALLED_MOST = 3
BASELINE_ANSWERS = 60

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What this device's admin decided about updates."""

    probation_s: float = 300.0
    probation_error_rate: float = 0.01
    deadlines_s: Mapping[State, float] = {}

    def deadline_s(self, state: State) -> float:
        """How long a state may take."""
        return self.deadlines_s.get(state, TABLE[state].deadline_s)


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an update works with. `write` keeps a step for good before it returns; `admit`
    raises when the device's own policy refuses a bundle. Without a `replay` a probation sees the
    live traffic alone.
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


Action = Callable[[Progress, Release], Awaitable[Outcome]]


class Actions:
    """The actions of one device's updates, by state."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._by_state: Mapping[State, Action] = {
            State.CHECK: self._check,
            State.DOWNLOAD: self._download,
            State.VERIFY: self._verify,
            State.STAGE: self._stage,
            State.PROBE: self._probe,
            State.SHADOW: self._shadow,
            State.ACTIVATE: self._activate,
            State.PROBATION: self._probation,
            State.COMMIT: self._commit,
            State.ROLLBACK: self._rollback,
        }

    async def act(self, progress: Progress) -> Outcome:
        """Do what the state asks for.

        Raises:
            EdgewrightError: TransportError and ResourceError blame the circumstances, every other
            branch blames the release.
        """
        if progress.release is None:
            raise DeviceError(f"journal: {progress.model!r} is in {progress.state}, of no release")
        return await self._by_state[progress.state](progress, progress.release)

    def part_bytes(self, release: Release | None) -> int:
        """How much of a release's download is here."""
        if release is None or not release.file_sha256 or release.origin == "file":
            return 0
        part = self._part(release)
        parts = (part, part.with_suffix(".patch"))
        return sum(path.stat().st_size for path in parts if path.exists())

    async def _check(self, progress: Progress, release: Release) -> Outcome:
        slots = self._tools.slots
        bad = progress.why_bad(release.bundle_id)
        if bad and release.origin == "fleet":
            return Outcome(event=Event.NOTHING, reason=f"marked bad before: {bad}")
        wall_s, trust = self._tools.clock.wall_s(), self._tools.trust
        source = await self._blocking(lambda: self._source(release))
        if source is not None:  # news of revoked releases count even when this one is active
            await trust.approve(release, source, wall_s=wall_s)
        if release.bundle_id == progress.good == slots.current(release.model):
            damage = await self._why_unusable(release)
            if not damage:
                return Outcome(event=Event.NOTHING, reason="already active")
        if source is None:
            await trust.approve(release, None, wall_s=wall_s)
        await self._blocking(lambda: slots.require_room(release.file_size_bytes))
        return Outcome(event=Event.OFFERED, reason=f"offered by {release.origin}")

    async def _download(self, progress: Progress, release: Release) -> Outcome:
        if not await self._why_unusable(release):
            return Outcome(event=Event.DONE, reason="already on this device")
        if release.origin == "file":
            return self._local_file(release)
        file = self._file(release)
        if file.exists():
            return Outcome(event=Event.DONE, reason="already downloaded")
        if release.origin == "parcel":
            await self._blocking(lambda: AirGap(Path(release.path)).extract(file))
            return Outcome(event=Event.DONE, reason="taken out of the air-gap file")
        return await self._fetched_in_spite_of_cuts(release, file)

    async def _fetched_in_spite_of_cuts(self, release: Release, file: Path) -> Outcome:
        """A line that is cut again and again brings the file, as long as each try brings some."""
        stalled = 0
        while True:
            before = self.part_bytes(release)
            try:
                return await self._fetched(release, file)
            except TransportError:
                stalled = 0 if self.part_bytes(release) > before else stalled + 1
                if stalled == STALLED_MOST:
                    raise
            await self._tools.clock.sleep(RETRY_S * 2**stalled)

    async def _fetched(self, release: Release, file: Path) -> Outcome:
        size = release.file_size_bytes
        patch_bytes = 0 if self._part(release).exists() else await self._patched(release, file)
        if patch_bytes:
            share = f"{100 * patch_bytes / size:.2f} %"
            reason = f"{patch_bytes} bytes as a patch, {share} of {size}"
            return Outcome(event=Event.DONE, reason=reason)
        part = self._part(release)
        await self._asked_fleet().download(release, part)
        await self._blocking(lambda: _fs.move(part, file))
        return Outcome(event=Event.DONE, reason=f"{size} bytes")

    async def _patched(self, release: Release, file: Path) -> int:
        """Make the file out of the bundle that is active; how many bytes came, 0 when the whole
        file must come.
        """
        slots, patch = self._tools.slots, self._part(release).with_suffix(".patch")
        base = slots.current(release.model)
        if not base or not await self._asked_fleet().patch(release, base, patch):
            return 0

        def make() -> int:
            size_bytes = patch.stat().st_size
            try:
                apply_patch(patch, slots.verified(release.model, base), file)
                _require_file(file, release.file_sha256)
            except (TrustError, InputError) as error:
                _log.warning("bundle=%s patch refused: %s", release.bundle_id[:12], error)
                _fs.remove_tree(file)
                size_bytes = 0
            _fs.remove_tree(patch)
            return size_bytes

        return await self._blocking(make)

    def _asked_fleet(self) -> Fleet:
        if self._tools.fleet is None:
            raise TransportError(
                "this device has no fleet to ask", hint="enrol it, or apply a file"
            )
        return self._tools.fleet

    def _source(self, release: Release) -> Source | None:
        """Where the metadata about a release comes from; None when what is kept must do."""
        match release.origin:
            case "fleet":
                return self._tools.fleet
            case "parcel":
                return AirGap(Path(release.path))
            case _:
                return None

    def _local_file(self, release: Release) -> Outcome:
        if Path(release.path).is_file():
            return Outcome(event=Event.DONE, reason="a local file")
        raise ResourceError(f"{release.path} is gone", hint="apply it again")

    async def _verify(self, progress: Progress, release: Release) -> Outcome:
        if not await self._why_unusable(release):
            return Outcome(event=Event.DONE, reason="the slot was there and verifies")
        file = self._file(release)
        if not file.is_file():
            raise ResourceError(f"{file} is gone", hint="apply it again")
        await self._blocking(lambda: self._verify_file(file, release))
        return Outcome(event=Event.DONE, reason="every hash and signature is right")

    def _verify_file(self, file: Path, release: Release) -> None:
        bundle = open_bundle(file, content_key=self._content_key(file, release))
        if bundle.id != release.bundle_id or bundle.manifest.name != release.model:
            raise TrustError(
                f"{file.name} holds bundle {bundle.id[:12]} of model {bundle.manifest.name!r}, "
                f"promised was {release.bundle_id[:12]} of {release.model!r}",
                hint="ask the fleet's admin",
            )
        self._tools.trust.check_file(bundle, release, wall_s=self._tools.clock.wall_s())
        self._tools.admit(bundle)

    async def _stage(self, progress: Progress, release: Release) -> Outcome:
        await self._blocking(lambda: self._staged(self._file(release), release))
        if release.origin != "file":
            await self._blocking(lambda: _fs.remove_tree(self._file(release)))
        return Outcome(event=Event.DONE, reason="written and read back")

    def _staged(self, file: Path, release: Release) -> None:
        self._tools.slots.stage(
            file,
            model=release.model,
            bundle_id=release.bundle_id,
            content_key=self._content_key(file, release),
        )

    def _content_key(self, file: Path, release: Release) -> bytes | None:
        tools = self._tools
        return tools.content_keys.key_of(file, release, wall_s=tools.clock.wall_s())

    async def _probe(self, progress: Progress, release: Release) -> Outcome:
        killed = progress.tries.get(State.PROBE, 0)
        if progress.event == Event.KILLED:
            await self._tools.clock.sleep(KILLED_PAUSE_S * killed)
        report = await self._tools.probe.run(await self._verified(release))
        if report.was_killed and killed + 1 < CRASH_LIMIT:
            reason = f"{report.reason} ({killed + 1} of {CRASH_LIMIT}, it runs again)"
            return Outcome(event=Event.KILLED, reason=reason)
        if not report.passed:
            raise DeviceError(f"probe: {report.reason}", hint="the old model stays")
        return Outcome(event=Event.PASSED, reason=report.reason)

    async def _shadow(self, progress: Progress, release: Release) -> Outcome:
        """The candidate runs in a child process and sees what the old model is asked, live and
        golden; the old model's figures are taken meanwhile, for the probation.
        """
        tools, model = self._tools, release.model
        if not tools.server.is_on or tools.replay is None or not progress.good:
            return Outcome(event=Event.SKIPPED, reason="no old model is served to compare with")
        is_mirrored = await self._is_comparable(progress, release)
        try:
            if is_mirrored:
                folder = await self._verified(release)
                await self._show_old(progress, release)
                await tools.server.try_out(model, folder, leads=False)
            answers = await self._old_answers(model, progress.good, tools.replay)
            sample = await tools.server.candidate(model) or CandidateSample()
            if refusal := why_candidate(sample):
                raise DeviceError(f"shadow: {refusal}", hint="the old model stays")
        except BaseException:
            await self._show_old(progress, release)
            raise
        baseline = msgspec.structs.replace(
            baseline_of(answers, await tools.server.sample(model)),
            overhead_ms=sample.overhead_p95_ms,
        )
        said = (
            f"{sample.compared} requests were mirrored, {sample.agreed} answers agree"
            if is_mirrored
            else "not mirrored: it takes or gives other tensors than the old model"
        )
        return Outcome(
            event=Event.PASSED,
            reason=f"{said}; {baseline.answers} golden answers of the old model were timed",
            baseline=baseline,
        )

    async def _is_comparable(self, progress: Progress, release: Release) -> bool:
        """Whether the old model can answer for the new one: the same tensors at both doors."""
        slots = self._tools.slots

        def look() -> bool:
            if release.bundle_id == progress.good:
                return False
            old, new = (
                open_bundle(slots.folder(release.model, bundle_id)).manifest.contract
                for bundle_id in (progress.good, release.bundle_id)
            )
            return _doors(old) == _doors(new)

        return await self._blocking(look)

    async def _show_old(self, progress: Progress, release: Release) -> None:
        """Serve the committed bundle alone."""
        folder = self._tools.slots.folder(release.model, progress.good)
        await self._tools.server.show(release.model, folder)

    async def _show_new(self, progress: Progress, release: Release, folder: Path) -> None:
        """Let the new bundle answer: in a child process before the old model where there is one
        that can answer for it.
        """
        server = self._tools.server
        if not server.is_on or not progress.good:
            await server.show(release.model, folder)
        elif await self._is_comparable(progress, release):
            await self._show_old_unless_tried(progress, release)
            await server.try_out(release.model, folder, leads=True)
        else:
            await server.show(release.model, folder)

    async def _show_old_unless_tried(self, progress: Progress, release: Release) -> None:
        """The model that answers for the candidate must be there; a candidate that runs stays."""
        if await self._tools.server.candidate(release.model) is None:
            await self._show_old(progress, release)

    async def _old_answers(self, model: str, bundle_id: str, replay: Replay) -> list[Answer]:
        """Golden answers of the model that is served now; none when it cannot be asked."""
        folder = self._tools.slots.folder(model, bundle_id)
        pace_s = ProbationLimits(duration_s=self._tools.policy.probation_s).pace_s
        answers: list[Answer] = []
        try:
            async with aclosing(replay.answers(model, folder, pace_s=pace_s)) as stream:
                async for answer in stream:
                    answers.append(answer)
                    if len(answers) >= BASELINE_ANSWERS:
                        break
        except ResourceError:
            return []
        return answers

    async def _activate(self, progress: Progress, release: Release) -> Outcome:
        folder = await self._verified(release)
        slots = self._tools.slots
        await self._blocking(lambda: slots.activate(release.model, release.bundle_id))
        await self._show_new(progress, release, folder)
        return Outcome(event=Event.DONE)

    async def _probation(self, progress: Progress, release: Release) -> Outcome:
        server, clock = self._tools.server, self._tools.clock
        if not server.is_on:
            return Outcome(event=Event.SKIPPED, reason="no server runs here, the probe decides")
        folder = await self._verified(release)
        await self._show_new(progress, release, folder)
        limits = await self._blocking(lambda: self._limits(folder))
        first, start_s = await server.sample(release.model), clock.monotonic_s()
        watch = Watch(progress.baseline) if self._tools.replay else None
        listener = asyncio.create_task(self._listen(watch, release.model, folder, limits.pace_s))
        try:
            while True:
                now = await server.sample(release.model)
                judgement = judge(
                    first,
                    now,
                    elapsed_s=clock.monotonic_s() - start_s,
                    limits=limits,
                    watch=watch,
                    candidate=await server.candidate(release.model),
                )
                if judgement.verdict == "pass":
                    return Outcome(event=Event.PASSED, reason=judgement.reason)
                if judgement.verdict == "refuse":
                    reason = f"probation: {judgement.reason}"
                    raise DeviceError(reason, hint="the old model is back")
                if listener.done():
                    listener.result()
                await clock.sleep(min(1.0, max(limits.duration_s / SAMPLES, 0.05)))
        finally:
            listener.cancel()
            await asyncio.wait({listener})

    async def _listen(self, watch: Watch | None, model: str, folder: Path, pace_s: float) -> None:
        """Count the candidate's golden answers until cancelled.

        Raises:
            ResourceError: it cannot be asked, so its probation would be blind.
        """
        replay = self._tools.replay
        if replay is None or watch is None:
            return
        async with aclosing(replay.answers(model, folder, pace_s=pace_s)) as stream:
            async for answer in stream:
                watch.add(answer)

    def _limits(self, folder: Path) -> ProbationLimits:
        policy = self._tools.policy
        return ProbationLimits(
            duration_s=policy.probation_s,
            error_rate=policy.probation_error_rate,
            latency_p95_ms=open_bundle(folder).manifest.contract.budgets.latency_p95_ms,
        )

    async def _commit(self, progress: Progress, release: Release) -> Outcome:
        """After a cut the server shows the old bundle: what is committed is what is served."""
        await self._tools.server.show(release.model, await self._verified(release))
        return Outcome(event=Event.DONE, reason="committed")

    async def _rollback(self, progress: Progress, release: Release) -> Outcome:
        """Return to the best committed slot that verifies and serves now, else to none."""
        slots, server = self._tools.slots, self._tools.server
        choices = list(progress.committed)
        if release.origin == "order":
            choices = [*choices[1:], *choices[:1]]
        why = [progress.reason]
        for bundle_id in choices:
            folder = slots.folder(release.model, bundle_id)
            damage = await self._blocking(partial(slots.why_unusable, release.model, bundle_id))
            if damage:
                why.append(damage)
                continue
            await self._blocking(partial(slots.activate, release.model, bundle_id))
            try:
                await server.show(release.model, folder)
            except DeviceError as error:
                why.append(str(error))
                continue
            return Outcome(event=Event.DONE, reason="; ".join(why), landed=bundle_id)
        await self._blocking(partial(slots.deactivate, release.model))
        await server.withdraw(release.model)
        return Outcome(event=Event.DONE, reason="; ".join([*why, "no slot is left to serve"]))

    async def _verified(self, release: Release) -> Path:
        slots = self._tools.slots
        bundle = await self._blocking(lambda: slots.verified(release.model, release.bundle_id))
        return bundle.path

    async def _why_unusable(self, release: Release) -> str:
        slots = self._tools.slots
        return await self._blocking(lambda: slots.why_unusable(release.model, release.bundle_id))

    async def _blocking(self, work: Callable[[], T]) -> T:
        return await self._tools.offload(work)

    def _file(self, release: Release) -> Path:
        if release.origin == "file":
            return Path(release.path)
        return self._tools.downloads / f"{release.file_sha256}.ewb"

    def _part(self, release: Release) -> Path:
        return self._tools.downloads / f"{release.file_sha256}.part"


def _require_file(file: Path, sha256: str) -> None:
    with _fs.file_errors(file, doing="reading"), file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256:
        raise TrustError(f"the patch makes {found[:12]}..., promised was {sha256[:12]}...")


def _doors(contract: Contract) -> list[tuple[str, str, tuple[int | str, ...]]]:
    """What a client can see of a contract's tensors."""
    return [(t.name, t.dtype, t.shape) for t in (*contract.inputs, *contract.outputs)]
