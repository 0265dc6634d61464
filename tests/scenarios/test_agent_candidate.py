"""A new bundle beside the old one: what its process shows decides, and no client sees it."""

from typing import Any

import pytest

from edgewright.bundle import open_bundle
from edgewright.device.agent import CandidateSample, ServingSample, State
from edgewright.errors import DeviceError
from edgewright.testing.device import FakeReplay

CRASHED = CandidateSample(asked=9, failed=1, problem="the child died by SIGSEGV (1 x crash)")
SLOW = CandidateSample(asked=50, compared=50, run_p50_ms=9.0, old_run_p50_ms=3.0)


def ready(device: Any) -> None:
    device.replay = FakeReplay()
    device.start()


def steps(device: Any, state: State) -> list[str]:
    return [
        f"{line.progress.event}: {line.progress.reason}"
        for line in device.agent.recorder.journal.lines
        if line.progress.state is state
    ]


def test_a_good_candidate_is_mirrored_then_leads_then_is_loaded(device: Any, play: Any) -> None:
    ready(device)
    old = play(device.install("1"))
    device.server.samples = [ServingSample(is_ready=True, requests=n) for n in range(0, 900, 9)]
    device.server.candidates = [CandidateSample(asked=60, compared=60, agreed=58)]
    new = play(device.install("2"))
    tried = [deed for deed in device.server.history if deed.endswith(f" {new}")]
    assert tried == [f"shadow {new}", f"lead {new}", f"lead {new}"]
    assert (device.served, device.current) == (new, new)
    assert device.server.tried == {}
    assert "60 requests were mirrored, 58 answers agree" in steps(device, State.ACTIVATE)[-1]
    assert old in device.slots()


@pytest.mark.parametrize(("sample", "why"), [(CRASHED, "SIGSEGV"), (SLOW, "it takes 9 ms")])
def test_what_is_seen_in_shadow_is_refused_before_it_answers(
    device: Any, play: Any, sample: CandidateSample, why: str
) -> None:
    ready(device)
    old = play(device.install("1"))
    device.server.candidates = [sample]
    device.server.history.clear()
    with pytest.raises(DeviceError, match=why):
        play(device.install("2"))
    assert (device.served, device.current) == (old, old)
    assert not any(deed.startswith("lead") for deed in device.server.history)
    assert device.server.tried == {}


def test_what_is_seen_in_probation_rolls_back_at_once(device: Any, play: Any) -> None:
    ready(device)
    old = play(device.install("1"))
    device.server.candidates = [CandidateSample(), CandidateSample(), CandidateSample(), CRASHED]
    with pytest.raises(DeviceError):
        play(device.install("2"))
    assert (device.served, device.current) == (old, old)
    assert "SIGSEGV" in device.progress().bad[0].reason
    assert device.server.tried == {}


def test_a_candidate_that_cannot_start_is_refused(device: Any, play: Any) -> None:
    ready(device)
    old = play(device.install("1"))
    path = device.bundle("2")
    device.server.refused = {open_bundle(path).id}
    with pytest.raises(DeviceError, match="cannot load"):
        play(device.agent.apply(path))
    assert device.served == old
    assert steps(device, State.IDLE)[-1].startswith("refused")


def test_the_first_bundle_of_a_name_runs_apart_until_it_is_committed(
    device: Any, play: Any
) -> None:
    ready(device)
    device.server.samples = [ServingSample(is_ready=True, requests=n) for n in range(0, 900, 9)]
    one = play(device.install("1"))
    assert device.server.history == [f"lead {one}", f"lead {one}", one]
    assert device.server.tried == {}


def test_a_server_that_starts_anew_takes_a_candidate_with_it_and_blames_nobody(
    device: Any, play: Any
) -> None:
    ready(device)
    old = play(device.install("1"))
    sample, calls = device.server.sample, 0

    async def dying(model: str) -> ServingSample:
        nonlocal calls
        calls += device.progress().state is State.PROBATION
        if calls == 2:
            device.server.tried.clear()
        return await sample(model)

    device.server.sample = dying
    with pytest.raises(DeviceError, match="not to blame"):
        play(device.install("2"))
    assert (device.served, device.current, device.progress().bad) == (old, old, ())
