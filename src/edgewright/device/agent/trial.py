"""What a staged bundle must show: its probe, its shadow, its probation."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import msgspec

from edgewright.bundle import open_bundle
from edgewright.device.agent.machine import CRASH_LIMIT, Event, State
from edgewright.device.agent.ports import Answer, CandidateSample, Replay
from edgewright.device.agent.probation import (
    Judgement,
    ProbationLimits,
    Watch,
    baseline_of,
    judge,
    why_candidate,
)
from edgewright.device.agent.progress import Baseline, Outcome, Progress, Release
from edgewright.device.agent.succession import Succession
from edgewright.device.agent.telling import tell_validation
from edgewright.device.agent.tools import Tools
from edgewright.errors import DeviceError, ResourceError

SAMPLES = 60
KILLED_PAUSE_S = 10.0
BASELINE_ANSWERS = 60


class Trial:
    """The actions that judge a bundle."""

    def __init__(self, tools: Tools, succession: Succession) -> None:
        self._tools = tools
        self._succession = succession

    async def probe(self, progress: Progress, release: Release) -> Outcome:
        """Its self-test, again when somebody killed it from outside."""
        killed = progress.tries.get(State.PROBE, 0)
        if progress.event == Event.KILLED:
            await self._tools.clock.sleep(KILLED_PAUSE_S * killed)
        report = await self._tools.probe.run(await self._tools.verified(release))
        if report.was_killed and killed + 1 < CRASH_LIMIT:
            reason = f"{report.reason} ({killed + 1} of {CRASH_LIMIT}, it runs again)"
            return Outcome(event=Event.KILLED, reason=reason)
        tools = self._tools
        tell_validation(tools, release.model, release.bundle_id, report, version=release.version)
        if not report.passed:
            raise DeviceError(f"probe: {report.reason}", hint="the old model stays")
        return Outcome(event=Event.PASSED, reason=report.reason)

    async def shadow(self, progress: Progress, release: Release) -> Outcome:
        """The candidate runs in a child process and sees what the old model is asked, live and
        golden; the old model's figures are taken meanwhile, for the probation.
        """
        tools = self._tools
        if not tools.server.is_on or tools.replay is None or not progress.good:
            return Outcome(event=Event.SKIPPED, reason="no old model is served to compare with")
        is_mirrored = await tools.is_comparable(progress, release)
        try:
            sample, baseline = await self._compared(
                progress, release, tools.replay, is_mirrored=is_mirrored
            )
        except BaseException:
            await self._succession.show_old(progress, release)
            raise
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

    async def probation(self, progress: Progress, release: Release) -> Outcome:
        """Watch the new bundle answer, until the verdict."""
        tools = self._tools
        if not tools.server.is_on and progress.baseline is not None:
            raise ResourceError(
                "probation: it began beside a server that does not run now; the old model is back",
                hint="start the agent (edgewright agent run), then it is tried again",
            )
        if not tools.server.is_on:
            return Outcome(event=Event.SKIPPED, reason="no server runs here, the probe decides")
        folder = await tools.verified(release)
        await self._succession.show_new(progress, release, folder)
        limits = await tools.blocking(lambda: self._limits(folder))
        watch = Watch(progress.baseline) if tools.replay else None
        listener = asyncio.create_task(self._listen(watch, release.model, folder, limits.pace_s))
        try:
            verdict = await self._watched(release.model, limits, watch, listener)
        finally:
            listener.cancel()
            await asyncio.wait({listener})
        if verdict.verdict == "refuse":
            raise DeviceError(f"probation: {verdict.reason}", hint="the old model is back")
        return Outcome(event=Event.PASSED, reason=verdict.reason)

    async def _compared(
        self, progress: Progress, release: Release, replay: Replay, *, is_mirrored: bool
    ) -> tuple[CandidateSample, Baseline]:
        """What the candidate did beside the old model, and the old model's figures."""
        tools, model = self._tools, release.model
        if is_mirrored:
            folder = await tools.verified(release)
            await self._succession.show_old(progress, release)
            await tools.server.try_out(model, folder, leads=False)
        answers = await self._old_answers(model, progress.good, replay)
        sample = await tools.server.candidate(model) or CandidateSample()
        if refusal := why_candidate(sample):
            raise DeviceError(f"shadow: {refusal}", hint="the old model stays")
        baseline = baseline_of(answers, await tools.server.sample(model))
        return sample, msgspec.structs.replace(baseline, overhead_ms=sample.overhead_p95_ms)

    async def _watched(
        self,
        model: str,
        limits: ProbationLimits,
        watch: Watch | None,
        listener: "asyncio.Task[None]",
    ) -> Judgement:
        """Sample until there is a verdict.

        Raises:
            ResourceError: the candidate's process went with the server: nothing was learnt.
        """
        server, clock = self._tools.server, self._tools.clock
        first, start_s = await server.sample(model), clock.monotonic_s()
        is_tried = await server.candidate(model) is not None
        while True:
            now = await server.sample(model)
            candidate = await server.candidate(model)
            if is_tried and candidate is None:
                raise ResourceError(
                    "probation: the server was started anew and the candidate went with it",
                    hint="it runs apart from the server and is not to blame; it is tried again",
                )
            judgement = judge(
                first,
                now,
                elapsed_s=clock.monotonic_s() - start_s,
                limits=limits,
                watch=watch,
                candidate=candidate,
            )
            if judgement.verdict != "wait":
                return judgement
            if listener.done():
                listener.result()
            await clock.sleep(min(1.0, max(limits.duration_s / SAMPLES, 0.05)))

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
